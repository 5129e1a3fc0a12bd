"""What networks see of the constituents of jets, shared by the estimators."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from .jets import Jets, RelativeConstituents
from .jets._parts import default_constituent_names

Array = NDArray[np.float64]

# Least fraction of momentum whose logarithm is still told apart: constituents without
# energy stay finite.
LEAST_FRACTION = 1e-6
# A column that need not be there.
_PARTICLE_ID = "pdgid"
# Distances to the axis, in radians, that are not rounding errors.
_LEAST_DISTANCE = 1e-9


class ConstituentInputs:
    """Constituents relative to their jet's axis, scaled for a network.

    Weighted by energy, a network sees the directions only: these and the fractions of
    momentum that weight them do not change with soft or collinear emissions.

    Parameters
    ----------
    weighting : {"energy", "count"}
        Whether the momentum of a constituent is its weight or a coordinate.
    particle_id : str or None
        Constituent column with PDG identifiers: categories for the weighting "count".
    warp_scale : float or None
        Distances r to the axis become log(1 + r / warp_scale) / 2, in radians, along
        the same direction. None leaves them as they are.
    """

    def __init__(
        self, weighting: str, particle_id: str | None, warp_scale: float | None = None
    ) -> None:
        self.weighting = weighting
        self.particle_id = particle_id
        self.warp_scale = warp_scale

    def fit(
        self, jets: Jets, relative: RelativeConstituents, weight: Array
    ) -> ConstituentInputs:
        """Learn scales and categories.

        Parameters
        ----------
        jets : Jets
            Training sample.
        relative : RelativeConstituents
            Its constituents relative to the axes.
        weight : array of shape (n_jets,)
            Weights of the jets.

        Returns
        -------
        ConstituentInputs
            This object.

        Raises
        ------
        ValueError
            If there is no column with the name of the particle identifiers, or no
            momentum where it is the weight.

        Warns
        -----
        UserWarning
            If columns without names might hold particle identifiers.
        """
        self._choose_columns(jets.constituent_names)
        table = self._table(jets, relative)
        if self.id_column is not None:
            self.ids = np.unique(table[:, self.id_column])
        # Weighted by momentum, soft constituents do not change the scale either.
        by_constituent = weight[jets.jet_index]
        if self.weighting == "energy":
            by_constituent = by_constituent * np.abs(relative.fraction)
            if not by_constituent.any():
                raise ValueError(
                    "the constituents of all jets have a pt of zero: weighted by "
                    "energy, there is nothing to learn."
                )
        points = self._points(table)
        scaler = StandardScaler().fit(points, sample_weight=by_constituent)
        self.mean, self.scale = scaler.mean_, scaler.scale_
        # The axis stays the origin, and a circle around it a circle.
        squares = np.average(points[:, :2] ** 2, axis=0, weights=by_constituent)
        rms = np.sqrt(squares.mean())
        magnification = 0.5 / self.warp_scale if self.warp_scale else 1.0
        self.mean[:2] = 0.0
        self.scale[:2] = rms if rms > _LEAST_DISTANCE * magnification else 1.0
        return self

    def transform(
        self, jets: Jets, relative: RelativeConstituents
    ) -> dict[str, NDArray]:
        """Scale the constituents.

        Parameters
        ----------
        jets : Jets
            Any sample with the columns of the training sample.
        relative : RelativeConstituents
            Its constituents relative to the axes.

        Returns
        -------
        dict of arrays of shape (n_constituents, ...)
            What `encode` returns and, for the weighting "energy", "energies".
        """
        tables = self.encode(self._table(jets, relative))
        if self.weighting == "energy":
            tables["energies"] = relative.fraction
        return tables

    def encode(self, table: Array) -> dict[str, NDArray]:
        """Scale single constituents.

        Parameters
        ----------
        table : array of shape (n, n_columns)
            The columns of the constituents, where the first three are the fraction of
            momentum and the distances dy and dphi to the axis.

        Returns
        -------
        dict of arrays of shape (n, ...)
            "points" of shape (n, n_coordinates), the directions first, and
            "categories" if there are particle identifiers.
        """
        points = (self._points(table) - self.mean) / self.scale
        tables: dict[str, NDArray] = {"points": points}
        if self.id_column is not None:
            tables["categories"] = _categories(table[:, self.id_column], self.ids)
        return tables

    @property
    def n_coordinates(self) -> int:
        """Number of columns of the points."""
        return len(self.scale)

    @property
    def n_categories(self) -> int:
        """Number of particle identifiers in the training sample."""
        return 0 if self.id_column is None else len(self.ids)

    def _choose_columns(self, names: tuple[str, ...]) -> None:
        self.columns: list[int] = []
        self.id_column: int | None = None
        if self.weighting == "energy":
            return
        if self.particle_id not in (None, _PARTICLE_ID, *names[3:]):
            raise ValueError(
                f"particle_id={self.particle_id!r} is not one of the columns "
                f"{list(names[3:])} of the constituents beside pt and direction."
            )
        for column in range(3, len(names)):
            if names[column] == self.particle_id:
                self.id_column = column
            else:
                self.columns.append(column)
        unnamed = names == default_constituent_names(len(names))
        if self.columns and unnamed and self.particle_id == _PARTICLE_ID:
            warnings.warn(
                f"the columns {list(names[3:])} of the constituents have no names, and "
                "are read as numbers: if one holds PDG identifiers, give its name as "
                "particle_id, or else particle_id=None.",
                UserWarning,
                stacklevel=4,
            )

    # Other columns than the first three are not read with the weighting "energy".
    def _table(self, jets: Jets, relative: RelativeConstituents) -> Array:
        columns = [relative.fraction, relative.dy, relative.dphi]
        if self.weighting == "count":
            columns.extend(jets.constituents[:, 3:].T)
        return np.stack(columns, axis=1)

    def _points(self, table: Array) -> Array:
        directions = table[:, 1:3]
        if self.warp_scale is not None:
            directions = _warp(directions, self.warp_scale)
        if self.weighting == "energy":
            return directions
        log_fraction = np.log(np.maximum(table[:, :1], LEAST_FRACTION))
        return np.hstack([directions, table[:, self.columns], log_fraction])


# Continuous at r = 0, where it is a magnification: what is collinear stays so.
def _warp(directions: Array, scale: float) -> Array:
    r = np.hypot(*directions.T)[:, None]
    at_axis = r < 1e-9 * scale
    factor = np.log1p(r / scale) / (2.0 * np.where(at_axis, 1.0, r))
    return directions * np.where(at_axis, 0.5 / scale, factor)


# 1, 2, ... in the order of the known identifiers; 0 for others.
def _categories(ids: NDArray, known: NDArray) -> NDArray[np.int64]:
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[place] == ids, place + 1, 0)
