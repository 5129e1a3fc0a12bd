"""Bins of equal width in the logarithm of a momentum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_N_BINS = 12
_ROUNDING = 1e-9
_CORE = 0.6827
_MIN_WIDTH = 1e-4


class LogBins:
    """Equal bins, joined until each has enough entries.

    Bins of equal content would be wide where a spectrum ends, and what is linear in the
    logarithm would be cut off there.

    Parameters
    ----------
    log_pt : array of shape (n_rows,)
        Logarithms of momenta.
    min_rows : int, default=20
        Entries that a bin needs.
    """

    def __init__(self, log_pt: Array, min_rows: int = 20) -> None:
        # Exponentials of the outer edges hold every momentum, whatever the rounding.
        low, high = log_pt.min() - _ROUNDING, log_pt.max() + _ROUNDING
        edges = np.linspace(low, high, _N_BINS + 1)
        ordered = np.sort(log_pt)
        kept = [edges[0]]
        for edge in edges[1:-1]:
            below, until = np.searchsorted(ordered, [kept[-1], edge])
            if until - below >= min_rows and len(ordered) - until >= min_rows:
                kept.append(edge)
        self.edges = np.array([*kept, edges[-1]])
        self.n_bins = len(self.edges) - 1

    def place(self, log_pt: Array) -> NDArray[np.int64]:
        """Find the bins of momenta; the outer ones have no ends.

        Parameters
        ----------
        log_pt : array of shape (n_rows,)
            Logarithms of momenta.

        Returns
        -------
        int array of shape (n_rows,)
            Numbers of the bins.
        """
        place = np.searchsorted(self.edges, log_pt, side="right") - 1
        return np.clip(place, 0, self.n_bins - 1)

    def means(self, log_pt: Array, values: Array, weight: Array) -> Array:
        """Average in each bin.

        Parameters
        ----------
        log_pt, values, weight : arrays of shape (n_rows,)
            Logarithms of momenta, what is averaged, and weights.

        Returns
        -------
        array of shape (n_bins,)
            The averages; NaN in bins without weight.
        """
        place = self.place(log_pt)
        total = np.bincount(place, weight, self.n_bins)
        sums = np.bincount(place, weight * values, self.n_bins)
        return np.divide(sums, total, where=total > 0, out=np.full(self.n_bins, np.nan))


def typical_width(log_pt: Array, values: Array) -> Array:
    """Estimate the width of a symmetric quantity as a function of momentum.

    Parameters
    ----------
    log_pt : array of shape (n_rows,)
        Logarithms of the momenta.
    values : array of shape (n_rows,)
        The quantity, whose two signs are as likely.

    Returns
    -------
    array of shape (n_rows,)
        Half of the width that holds 68 % of it.
    """
    bins = LogBins(log_pt)
    place = bins.place(log_pt)
    rows = [place == k for k in range(bins.n_bins)]
    knots = [log_pt[inside].mean() for inside in rows]
    widths = [np.quantile(np.abs(values[inside]), _CORE) for inside in rows]
    return np.maximum(np.interp(log_pt, knots, widths), _MIN_WIDTH)
