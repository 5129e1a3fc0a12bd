"""Labelled and unlabelled jets of a calibration, and their pairs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from .._event_pairs import UNPAIRED, Pairs, check_event_id, find_pairs
from .._hold_out import hold_out
from ..jets import Jets
from ._jet_table import momenta
from ._resolution_in_bins import Asymmetries

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CalibrationSample:
    """Rows of a fit, in an order that does not depend on that of the user.

    Parameters
    ----------
    jets : Jets
        The jets.
    true_pt : array of shape (n_jets,)
        True momenta, NaN where they are not known.
    event_id : int array of shape (n_jets,)
        Numbers of events, -1 for jets in no pair.
    weight : array of shape (n_jets,)
        Weights.
    quiet : bool array of shape (n_jets,)
        Whether there is little radiation in the event.
    """

    jets: Jets
    true_pt: Array
    event_id: NDArray[np.int64]
    weight: Array
    quiet: Mask

    def __getitem__(self, rows: NDArray) -> CalibrationSample:
        return CalibrationSample(
            self.jets[rows],
            self.true_pt[rows],
            self.event_id[rows],
            self.weight[rows],
            self.quiet[rows],
        )

    @property
    def labelled(self) -> Mask:
        """Whether the true momentum of a jet is known."""
        return ~np.isnan(self.true_pt)

    def sorted(self, pt_column: int | str) -> CalibrationSample:
        """Sort by event, and the jets of an event by momentum.

        Parameters
        ----------
        pt_column : int or str
            Column of the momentum.

        Returns
        -------
        CalibrationSample
            The same rows; those of jets in no pair come first, in their old order.
        """
        key = momenta(self.jets, pt_column)
        key = np.where(self.event_id == UNPAIRED, 0.0, key)
        return self[np.lexsort((key, self.event_id))]

    def pairs(self) -> Pairs:
        """Find the events of two jets.

        Returns
        -------
        Pairs
            Rows of their jets.

        Raises
        ------
        ValueError
            If only one jet of an event has a true momentum.

        Warns
        -----
        UserWarning
            If events have another number of jets than two.
        """
        used = self.event_id[(self.event_id != UNPAIRED) & (self.weight > 0)]
        count = np.unique(used, return_counts=True)[1]
        if (count != 2).any():
            warnings.warn(
                f"{(count != 2).sum()} of {len(count)} events do not have two jets and "
                "make no pair; their labelled jets are used one by one. Do the event "
                "numbers of simulation and data overlap?",
                UserWarning,
                stacklevel=3,
            )
        pairs = find_pairs(self.event_id, self.weight > 0)
        mixed = self.labelled[pairs.first] != self.labelled[pairs.second]
        if mixed.any():
            raise ValueError(
                f"{mixed.sum()} events have one jet with a true pt in y and one "
                "without, such as event_id = "
                f"{self.event_id[pairs.first][mixed][0]}: events are either simulated "
                "or measured. Do their numbers overlap?"
            )
        return pairs

    def pair_weight(self, pairs: Pairs) -> Array:
        """Average the weights of the two jets of pairs.

        Parameters
        ----------
        pairs : Pairs
            Rows of the jets.

        Returns
        -------
        array of shape (n_pairs,)
            The weights.
        """
        return (self.weight[pairs.first] + self.weight[pairs.second]) / 2

    def asymmetries(self, pairs: Pairs, log_pt: Array) -> Asymmetries:
        """Compare the momenta of the two jets of pairs.

        Parameters
        ----------
        pairs : Pairs
            Rows of the jets.
        log_pt : array of shape (n_jets,)
            Logarithms of momenta.

        Returns
        -------
        Asymmetries
            Their differences.
        """
        first, second = log_pt[pairs.first], log_pt[pairs.second]
        mean, difference = (first + second) / 2, first - second
        return Asymmetries(mean, difference, self.pair_weight(pairs))

    def hold_out(self, fraction: float, rng: np.random.RandomState) -> Mask:
        """Choose labelled events to hold out.

        Parameters
        ----------
        fraction : float
            Part of the events.
        rng : RandomState
            Where the choice comes from.

        Returns
        -------
        bool array of shape (n_jets,)
            Whether the jet is held out.

        Raises
        ------
        ValueError
            If there is one event only.
        """
        rows = np.flatnonzero(self.labelled & (self.weight > 0))
        # Jets in no pair are events of their own.
        alone = self.event_id[rows] == UNPAIRED
        names = np.where(alone, self.event_id.max() + 1 + rows, self.event_id[rows])
        _, event = np.unique(names, return_inverse=True)
        if event.max() == 0:
            raise ValueError(
                "a calibration needs labelled jets of two events, one of which is held "
                f"out to measure it with, got n_samples = {len(rows)} of one event."
            )
        chosen = hold_out(np.zeros(event.max() + 1, dtype=np.int64), fraction, rng)
        mask = np.zeros(len(self.jets), dtype=bool)
        mask[rows[chosen[event]]] = True
        return mask


def read_sample(
    jets: Jets,
    y: ArrayLike,
    event_id: ArrayLike | None,
    activity: ArrayLike | None,
    sample_weight: ArrayLike | None,
    max_activity: float,
) -> CalibrationSample:
    """Check the arguments of a fit.

    Parameters
    ----------
    jets : Jets
        The jets.
    y : array-like of shape (n_jets,)
        True momenta; NaN where they are not known.
    event_id : array-like of int of shape (n_jets,) or None
        Numbers of events.
    activity : array-like of shape (n_jets,) or None
        Radiation in the events.
    sample_weight : array-like of shape (n_jets,) or None
        Weights.
    max_activity : float
        Largest activity of a quiet event.

    Returns
    -------
    CalibrationSample
        The rows.

    Raises
    ------
    ValueError
        If lengths do not match, or values cannot be used.
    """
    true_pt = check_true_pt(y, len(jets))
    weight = _check_sample_weight(sample_weight, true_pt, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError("sample_weight must not be negative.")
    if not weight[~np.isnan(true_pt)].any():
        raise ValueError("sample_weight is 0 for every labelled jet.")
    # Their unit means nothing.
    weight = weight / weight.max()
    quiet = np.ones(len(true_pt), dtype=bool)
    if activity is not None:
        values = column_or_1d(activity, dtype=np.float64)
        check_consistent_length(true_pt, values)
        if np.isnan(values).any():
            raise ValueError("activity contains NaN; leave the argument out instead.")
        quiet = values <= max_activity
    events = check_event_id(event_id, len(true_pt))
    return CalibrationSample(jets, true_pt, events, weight, quiet)


def check_true_pt(y: ArrayLike, n_rows: int) -> Array:
    """Read true momenta.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        True momenta; NaN where they are not known.
    n_rows : int
        Number of rows.

    Returns
    -------
    array of shape (n_rows,)
        The momenta.

    Raises
    ------
    ValueError
        If there is none, one is not positive and finite, or their number is another.
    """
    true_pt = column_or_1d(y, dtype=np.float64, warn=True)
    if len(true_pt) != n_rows:
        raise ValueError(
            f"X and y have inconsistent numbers of samples: [{n_rows}, {len(true_pt)}]."
        )
    labels = true_pt[~np.isnan(true_pt)]
    if len(labels) == 0:
        raise ValueError(
            "y holds NaN only: a calibration needs simulated jets of known true pt."
        )
    if np.isinf(labels).any():
        raise ValueError("y contains infinity; unlabelled jets have NaN.")
    if (labels <= 0).any():
        raise ValueError(
            f"y must hold positive true momenta in GeV, got {labels.min():g}; "
            "unlabelled jets have NaN."
        )
    return true_pt
