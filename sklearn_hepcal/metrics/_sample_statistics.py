"""Centres and widths of a weighted sample, with bootstrap errors.

Statistics take the distinct values of a sample in increasing order and the weight of
each, so that a row of weight two and a repeated row are the same thing.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.stats import norm

from ._validation import Array

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-6
# Part of the weight below which the difference of two sums is rounding.
_NEGLIGIBLE = 1e-12
_MODE_WINDOWS = (1.0, 2.0)

Statistic = Callable[[Array, Array], float]


def check_count(value: object, name: str, minimum: int) -> int:
    """Check a number of things.

    Parameters
    ----------
    value : object
        The number.
    name : str
        Name of the argument, for the error.
    minimum : int
        Smallest allowed number.

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError
        If the value is not an integer; a truth value is none.
    ValueError
        If it is too small.
    """
    message = f"{name} must be an integer of at least {minimum}, got {value!r}."
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(message)
    if value < minimum:
        raise ValueError(message)
    return int(value)


def with_error(
    statistic: Statistic,
    values: Array,
    weights: Array,
    n_bootstrap: int,
    rng: RandomState,
) -> tuple[float, float]:
    """Evaluate a statistic and the standard deviation of its bootstrap replicas.

    Parameters
    ----------
    statistic : callable
        Function of distinct increasing values and of their weights.
    values : array of shape (n_samples,)
        The sample; both results are NaN if it is empty, the error for one row.
    weights : array of shape (n_samples,)
        Positive weights.
    n_bootstrap : int
        Number of replicas.
    rng : RandomState
        Generator of the replicas.

    Returns
    -------
    value : float
        The statistic of the sample.
    error : float
        One standard deviation.

    Raises
    ------
    TypeError
        If `n_bootstrap` is not an integer.
    ValueError
        If `n_bootstrap` is below 2.
    """
    check_count(n_bootstrap, "n_bootstrap", 2)
    if len(values) == 0:
        return np.nan, np.nan
    distinct, index = np.unique(values, return_inverse=True)

    def evaluate(rows: slice | NDArray[np.int64]) -> float:
        mass = merged_weights(index[rows], weights[rows], len(distinct))
        return statistic(distinct[mass > 0], mass[mass > 0])

    value = evaluate(slice(None))
    if len(values) == 1:
        return value, np.nan
    replicas = [
        evaluate(rng.randint(len(values), size=len(values))) for _ in range(n_bootstrap)
    ]
    return value, float(np.std(replicas, ddof=1))


def merged_weights(index: NDArray[np.int64], weights: Array, n_distinct: int) -> Array:
    """Sum the weights of equal values.

    Parameters
    ----------
    index : array of shape (n_samples,)
        Position of each row among the distinct values.
    weights : array of shape (n_samples,)
        Weights of the rows.
    n_distinct : int
        Number of distinct values.

    Returns
    -------
    array of shape (n_distinct,)
        The sums.
    """
    return np.bincount(index, weights, n_distinct).astype(np.float64, copy=False)


def quantiles(values: Array, mass: Array, levels: Array) -> Array:
    """Interpolate the quantiles in Hazen's convention.

    Parameters
    ----------
    values : array of shape (n_distinct,)
        Distinct values, increasing.
    mass : array of shape (n_distinct,)
        Positive weight of each.
    levels : array of shape (n_levels,)
        Probabilities; 0 and 1 give the extreme values.

    Returns
    -------
    array of shape (n_levels,)
        The quantiles.
    """
    return np.interp(levels, (np.cumsum(mass) - mass / 2) / mass.sum(), values)


def mean_and_std(values: Array, mass: Array) -> tuple[float, float]:
    """Compute the mean and the standard deviation.

    The deviation has no correction for a small sample: this would need to know how
    many rows a weight stands for, and so depend on the unit of the weights.

    Parameters
    ----------
    values, mass : array of shape (n_distinct,)
        Distinct values and their weights.

    Returns
    -------
    centre : float
        Mean.
    width : float
        Standard deviation.
    """
    mean = np.average(values, weights=mass)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=mass)))


def median_and_half_width(values: Array, mass: Array) -> tuple[float, float]:
    """Compute the median and half the width of the central 68.27 %.

    Parameters
    ----------
    values, mass : array of shape (n_distinct,)
        Distinct values, increasing, and their weights.

    Returns
    -------
    centre : float
        Median.
    width : float
        Half width.
    """
    low, median, high = quantiles(values, mass, norm.cdf([-1.0, 0.0, 1.0]))
    return float(median), float(high - low) / 2


def gaussian_core(
    values: Array, mass: Array, window: float = 1.5
) -> tuple[float, float]:
    """Fit a Gaussian to the core of a sample.

    Centre and width are those of the Gaussian which, cut at `window` widths around
    its centre, has the mean and the variance of the rows there: the fit of maximum
    likelihood in a window that follows it.

    Parameters
    ----------
    values, mass : array of shape (n_distinct,)
        Distinct values, increasing, and their weights.
    window : float
        Half width of the window in units of the fitted width.

    Returns
    -------
    centre : float
        Mean of the Gaussian.
    width : float
        Its standard deviation.
    """
    centre, width = median_and_half_width(values, mass)
    inside = norm.cdf(window) - norm.cdf(-window)
    kept = np.sqrt(1 - 2 * window * norm.pdf(window) / inside)
    return _follow(values, mass, centre, width, lambda spread: spread / kept, window)


def mode(values: Array, mass: Array) -> float:
    """Estimate the mode from the core of a sample.

    On a skewed law the centre of a window that follows the rows moves away from the
    mode by the square of its reach, to leading order. Two windows, within one and two
    widths of the core, extrapolate it to none. As both take the width of the narrow
    one, a second peak further out does not pull the wide one away.

    Parameters
    ----------
    values, mass : array of shape (n_distinct,)
        Distinct values, increasing, and their weights.

    Returns
    -------
    float
        The mode, at most one width from the centre of the core and never outside of
        the sample.
    """
    near, far = _MODE_WINDOWS
    narrow, width = gaussian_core(values, mass, near)
    wide, _ = _follow(values, mass, narrow, width, lambda _: width, far)
    step = (narrow - wide) / ((far / near) ** 2 - 1)
    extrapolated = narrow + np.clip(step, -width, width)
    return float(np.clip(extrapolated, values[0], values[-1]))


# Centre and width reproduce themselves from the rows within `window` widths.
def _follow(
    values: Array,
    mass: Array,
    centre: float,
    width: float,
    new_width: Callable[[float], float],
    window: float,
) -> tuple[float, float]:
    # Sums from the first centre lose no digits to an offset of the sample.
    x, start, centre = values - centre, centre, 0.0
    sums = np.zeros((3, len(x) + 1))
    np.cumsum([mass, mass * x, mass * x**2], axis=1, out=sums[:, 1:])
    negligible = _NEGLIGIBLE * sums[0, -1]
    for _ in range(_MAX_ITERATIONS):
        reach = window * width
        first = np.searchsorted(x, centre - reach)
        last = np.searchsorted(x, centre + reach, side="right")
        total, linear, square = sums[:, last] - sums[:, first]
        if last - first < 2 or total <= negligible:
            break
        mean = linear / total
        spread = new_width(np.sqrt(max(square / total - mean**2, 0.0)))
        step = abs(mean - centre) + abs(spread - width)
        centre, width = mean, spread
        if step <= _TOLERANCE * width:
            break
    return float(start + centre), float(width)
