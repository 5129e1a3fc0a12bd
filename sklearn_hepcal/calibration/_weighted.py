"""Weighted order statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def weighted_cdf(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mid-rank distribution function at the distinct values.

    Equal values are merged first, so that a weight of two and a repeated row are
    the same thing. Signed weights may make the sum dip: it is raised to its running
    maximum.

    Parameters
    ----------
    values : array of shape (n_samples,)
        The sample.
    weights : array of shape (n_samples,)
        Weights with a positive sum.

    Returns
    -------
    points : array of shape (n_distinct,)
        Distinct values, increasing.
    levels : array of shape (n_distinct,)
        Probability below each plus half of its own (Hazen's convention).
    """
    points, index = np.unique(values, return_inverse=True)
    mass = np.bincount(index, weights=weights, minlength=len(points))
    points, mass = points[mass != 0], mass[mass != 0]
    levels = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    return points, np.maximum.accumulate(levels)


def weighted_quantile(
    values: NDArray[np.float64],
    levels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Quantiles of a weighted sample.

    Parameters
    ----------
    values : array of shape (n_samples,)
        The sample.
    levels : array of shape (n_levels,)
        Probabilities.
    weights : array of shape (n_samples,)
        Weights with a positive sum.

    Returns
    -------
    array of shape (n_levels,)
        The quantiles; for equal weights those of ``numpy.quantile`` with the
        method "hazen".
    """
    points, cdf = weighted_cdf(values, weights)
    return np.interp(levels, cdf, points)
