"""From rows of X to what the solvers work on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._atoms import AtomSplitter
from ._conditions import SpectrumRatio, background_scale, check_population
from ._domains import Sides
from ._hats import HatBasis
from ._maps import Array, Sample, StoredRows

# Rows of a side from which the origin and repeated values are found.
_REFERENCE_ROWS = 10_000


class Frame(NamedTuple):
    """Coordinates of the moved columns, and basis functions of the conditions.

    Attributes
    ----------
    moved, conditions : arrays of int
        Indices of the columns.
    origin : array of shape (n_moved,)
        Maps are kept relative to this point, lest large offsets cost precision.
    basis : HatBasis
        Basis functions of the conditions.
    ratio : SpectrumRatio or None
        Ratio of the conditions' spectra; None stands for one.
    atoms : AtomSplitter or None
        What spreads repeated values of the moved columns; None if nothing does.
    """

    moved: NDArray[np.intp]
    conditions: NDArray[np.intp]
    origin: Array
    basis: HatBasis
    ratio: SpectrumRatio | None
    atoms: AtomSplitter | None

    def coordinates(self, rows: Array) -> tuple[Array, Array]:
        """Read moved columns and basis functions off rows of X."""
        return self._moved(rows), self.basis(self._conditions(rows))

    def write(self, moved: Array, rows: Array) -> None:
        """Put moved coordinates back into rows of X, in place."""
        values = moved + self.origin
        rows[:, self.moved] = self.atoms.merge(values) if self.atoms else values

    def matched(self, rows: NDArray, sides: Sides) -> Frame:
        """Estimate the ratio of the conditions' spectra.

        Parameters
        ----------
        rows : array of shape (n_samples, n_columns)
            Rows of X.
        sides : Sides
            Rows of either side, and their weights.

        Returns
        -------
        Frame
            The frame with this ratio.
        """
        if len(self.conditions) == 0:
            return self
        c = self._conditions(rows)
        ratio = SpectrumRatio.fit(
            self.basis,
            c[sides.source],
            sides.source_weight,
            c[sides.target],
            sides.target_weight,
        )
        return self._replace(ratio=ratio)

    def background_scale(self, rows: NDArray, sides: Sides) -> tuple[float, float]:
        """Fit the factor of the background's weights, and its standard error.

        Parameters
        ----------
        rows : array of shape (n_samples, n_columns)
            Rows of X.
        sides : Sides
            Rows of either side.

        Returns
        -------
        scale, error : float
            The factor and its error.

        Raises
        ------
        ValueError
            If there is no background, or nothing that tells it from simulation.
        """
        if not sides.background.any():
            raise ValueError(
                "float_background=True needs rows of background, with the label -1."
            )
        if len(self.conditions) == 0:
            raise ValueError(
                "float_background=True needs conditions: the map can absorb any "
                "fraction of background, which only a spectrum that is not moved tells."
            )
        return background_scale(self.basis, self._conditions(rows), sides)

    def condition_weights(self, rows: Array) -> Array:
        """Evaluate p_data(c) / p_sim(c) at the conditions of rows of X."""
        if self.ratio is None:
            return np.ones(len(rows))
        return self.ratio(self._conditions(rows))

    def samples(
        self, rows: NDArray, sides: Sides, *, stored: bool = False
    ) -> tuple[Sample, Sample]:
        """Prepare simulation, at the data's spectrum, and data less background.

        Parameters
        ----------
        rows : array of shape (n_samples, n_columns)
            Rows of X.
        sides : Sides
            Rows of either side, and their weights.
        stored : bool
            Leave the moved columns in the file of X.

        Returns
        -------
        source, target : Sample
            The samples, with weights of mean one.

        Raises
        ------
        ValueError
            If no simulation has conditions of the data.
        """
        conditions = self._conditions(rows)
        source, matched = sides.source, sides.source_weight
        if self.ratio is not None:
            matched = matched * self.ratio(conditions[source])
            source, matched = source[matched != 0], matched[matched != 0]
        if len(source) == 0:
            raise ValueError(
                "no simulation lies in the range of the conditions of the data."
            )

        def sample(index: NDArray[np.intp], weight: Array) -> Sample:
            x = StoredRows(rows, index, self._moved, len(self.moved))
            h = self.basis(conditions[index])
            return Sample(x if stored else x[:], h, weight / weight.mean())

        return sample(source, matched), sample(sides.target, sides.target_weight)

    def _moved(self, rows: NDArray) -> Array:
        values = rows[:, self.moved]
        if self.atoms is not None:
            values = self.atoms.split(values)
        return values - self.origin

    def _conditions(self, rows: NDArray) -> Array:
        return np.asarray(rows[:, self.conditions], dtype=np.float64)


def fit_frame(
    rows: NDArray,
    sides: Sides,
    moved: NDArray[np.intp],
    conditions: NDArray[np.intp],
    *,
    n_knots: int,
    atoms: AtomSplitter | None,
) -> Frame:
    """Find the origin and the basis functions.

    Parameters
    ----------
    rows : array of shape (n_samples, n_columns)
        Rows of X.
    sides : Sides
        Rows of either side.
    moved, conditions : arrays of int
        Indices of the columns.
    n_knots : int
        Knots of every condition.
    atoms : AtomSplitter or None
        What spreads repeated values.

    Returns
    -------
    Frame
        A frame that matches no spectra.

    Raises
    ------
    ValueError
        If too few rows of a side support a basis function.
    """
    reference = reference_rows(rows, sides.source, moved)
    if atoms is not None:
        reference = atoms.split(reference)
    basis = HatBasis([])
    if len(conditions):
        c = np.asarray(rows[:, conditions], dtype=np.float64)
        data = sides.target[~sides.background]
        data_weight = sides.target_weight[~sides.background]
        basis = HatBasis.from_sample(c[data], data_weight, n_knots)
        check_population(basis, c[sides.source], sides.source_weight, "simulated")
        check_population(basis, c[sides.target], sides.target_weight, "data")
    origin = reference.mean(axis=0)
    return Frame(moved, conditions, origin, basis, ratio=None, atoms=atoms)


def reference_rows(
    rows: NDArray, index: NDArray[np.intp], columns: NDArray[np.intp]
) -> Array:
    """Read evenly spaced rows, enough of them to know roughly how they lie.

    Parameters
    ----------
    rows : array of shape (n_samples, n_columns)
        Rows of X.
    index : array of int
        Rows of one side.
    columns : array of int
        The columns to read.

    Returns
    -------
    array of shape (n, len(columns))
        The values.
    """
    step = math.ceil(len(index) / _REFERENCE_ROWS)
    return np.asarray(rows[index[::step]][:, columns], dtype=np.float64)
