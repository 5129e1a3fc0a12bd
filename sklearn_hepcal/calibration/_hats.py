"""Linear B-splines (hats) of the conditions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ._weighted import weighted_quantile

# Knots at the very ends of a spectrum would rest on a handful of events.
_TAIL = 0.01


class HatBasis:
    """Non-negative functions of the conditions that sum to one.

    For one condition they are the piecewise linear hats on its knots, constant
    beyond the first and the last; for several, the products of their hats; for
    none, the constant 1.

    Parameters
    ----------
    knots : list of arrays of shape (n_knots_k,)
        Increasing knots of every condition.
    """

    def __init__(self, knots: list[NDArray[np.float64]]) -> None:
        self.knots = knots

    @classmethod
    def from_sample(
        cls,
        conditions: NDArray[np.float64],
        weights: NDArray[np.float64],
        n_knots: int,
    ) -> HatBasis:
        """Place the knots at quantiles of a sample.

        Parameters
        ----------
        conditions : array of shape (n_samples, n_conditions)
            Sample of the conditions.
        weights : array of shape (n_samples,)
            Non-negative weights.
        n_knots : int
            Knots of every condition; those with no more distinct values than this get
            one at each.

        Returns
        -------
        HatBasis
            The basis.
        """
        levels = np.linspace(_TAIL, 1.0 - _TAIL, n_knots)
        knots = []
        for condition in conditions.T:
            values = np.unique(condition)
            if len(values) > n_knots:
                values = np.unique(weighted_quantile(condition, levels, weights))
            knots.append(values)
        return cls(knots)

    def refined(self, conditions: NDArray[np.float64]) -> HatBasis:
        """Halve the intervals; the span contains that of the basis itself.

        Parameters
        ----------
        conditions : array of shape (n_samples, n_conditions)
            Sample: intervals without rows of it, as between discrete values, are kept.

        Returns
        -------
        HatBasis
            The finer basis.
        """
        finer = []
        for knots, values in zip(self.knots, conditions.T, strict=True):
            middles = [
                (low + high) / 2
                for low, high in pairwise(knots)
                if ((values > low) & (values < high)).any()
            ]
            finer.append(np.sort(np.concatenate([knots, middles])))
        return HatBasis(finer)

    def __len__(self) -> int:
        return int(np.prod([len(k) for k in self.knots], dtype=int))

    def __call__(self, conditions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the basis.

        Parameters
        ----------
        conditions : array of shape (n_samples, n_conditions)
            Values of the conditions.

        Returns
        -------
        array of shape (n_samples, len(self))
            Values of the functions.
        """
        out = np.ones((len(conditions), 1))
        for values, knots in zip(conditions.T, self.knots, strict=True):
            hats = _hats(values, knots)
            products = out[:, :, None] * hats[:, None, :]
            out = products.reshape(len(out), out.shape[1] * hats.shape[1])
        return out


def _hats(values: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray:
    """Piecewise linear hats of one variable."""
    out = np.zeros((len(values), len(knots)))
    if len(knots) == 1:
        out[:] = 1.0
        return out
    values = np.clip(values, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(knots) - 2)
    t = (values - knots[left]) / (knots[left + 1] - knots[left])
    rows = np.arange(len(values))
    out[rows, left] = 1.0 - t
    out[rows, left + 1] = t
    return out
