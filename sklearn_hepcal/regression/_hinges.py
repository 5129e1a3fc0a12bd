"""Additive piecewise linear functions of the features of jets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_N_KNOTS = 11
_LEVELS = (0.01, 0.99)
MAX_PULL = 2.5


class Hinges:
    """Columns whose linear combinations are sums of functions of single features.

    The functions are piecewise linear between quantiles of a feature, constant beyond
    the outer ones, and linear in the logarithm of the momentum. A ridge penalty on
    their coefficients punishes bends rather than slopes.

    Parameters
    ----------
    table : array of shape (n_jets, n_features)
        Features of the jets of a sample.
    log_pt : array of shape (n_jets,)
        Logarithms of their momenta.
    """

    def __init__(self, table: Array, log_pt: Array) -> None:
        levels = np.linspace(*_LEVELS, _N_KNOTS)
        self.knots = [np.unique(column) for column in np.quantile(table, levels, 0).T]
        self.middle, self.spread = float(log_pt.mean()), float(log_pt.std()) or 1.0
        sizes = [2 * (len(knots) - 1) for knots in self.knots]
        self.feature = np.repeat(np.arange(len(sizes)), sizes)
        self.scale = np.ones(len(self.feature))
        spread = self(table, log_pt).std(axis=0)
        self.scale = np.where(spread > 0, spread, 1.0)

    def __call__(self, table: Array, log_pt: Array) -> Array:
        """Evaluate the columns.

        Parameters
        ----------
        table : array of shape (n_jets, n_features)
            Features.
        log_pt : array of shape (n_jets,)
            Logarithms of momenta.

        Returns
        -------
        array of shape (n_jets, n_columns)
            The columns.
        """
        pull = (log_pt - self.middle) / self.spread
        pull = np.clip(pull, -MAX_PULL, MAX_PULL)[:, None]
        columns = [np.zeros((len(table), 0))]
        for values, knots in zip(table.T, self.knots, strict=True):
            inside = np.clip(values, knots[0], knots[-1])
            # The first one is a straight line.
            bends = np.maximum(inside[:, None] - knots[:-1], 0.0)
            columns += [bends, bends * pull]
        return np.hstack(columns) / self.scale

    def columns_of(self, features: Sequence[int]) -> NDArray[np.int64]:
        """Find the columns of some features.

        Parameters
        ----------
        features : sequence of int
            The features.

        Returns
        -------
        int array
            Numbers of the columns.
        """
        return np.flatnonzero(np.isin(self.feature, features))
