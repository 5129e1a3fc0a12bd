"""Weights that flatten a spectrum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._dijets import check_pt
from ._effective_sample_size import effective_sample_size
from ._sample_statistics import check_count
from ._validation import Array, check_weights

# Stiffness of the density's logarithm against bending: one bin of 30 events bends as it
# likes, bins of one event do it together.
_STIFFNESS = 30.0
_MAX_ITERATIONS = 100
_TOLERANCE = 1e-8


class FlatSpectrum(NamedTuple):
    """Weights of a flat spectrum.

    Attributes
    ----------
    weight : ndarray of shape (n_samples,)
        Weights, with a mean of one over the rows that count.
    n_eff : float
        Effective number of rows, ``(sum w)^2 / sum w^2``.
    """

    weight: Array
    n_eff: float


def flatten_spectrum(
    pt: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_bins: int = 50,
    max_weight: float = 10.0,
) -> FlatSpectrum:
    """Find weights that make a spectrum flat in the logarithm of pt.

    A regression on a falling spectrum learns its low end, and pulls jets towards where
    most are. The weights are the inverse of a smooth density: its logarithm is linear
    between the centres of equal bins in ``log(pt)``, and bends only as far as the rows
    demand. A few rows at an end follow a power law instead of making spikes.

    Parameters
    ----------
    pt : array-like of shape (n_samples,)
        Transverse momenta in GeV.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows, of which the new ones are multiples.
    n_bins : int, default=50
        Number of bins.
    max_weight : float, default=10.0
        Largest weight allowed, in units of the mean. Larger ones are clipped, there
        the spectrum still falls, and the effective number of rows is at least
        ``n_samples / max_weight``. Infinity clips none.

    Returns
    -------
    FlatSpectrum
        Weights, to use in place of `sample_weight`, and their effective number of rows.
        Rows of weight zero keep it and count nowhere.

    Raises
    ------
    TypeError
        If `n_bins` is not an integer.
    ValueError
        If a momentum is not finite and positive, the weights do not fit, `n_bins` is
        below 3 or `max_weight` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import flatten_spectrum
    >>> pt = 50.0 * (1 + np.random.default_rng(0).pareto(2.0, size=10_000))
    >>> weight, n_eff = flatten_spectrum(pt)
    >>> low, high = weight[(pt > 60) & (pt < 120)], weight[(pt > 120) & (pt < 240)]
    >>> print(f"{high.sum() / low.sum():.1f}, {n_eff > 1000}")
    1.0, True
    """
    check_count(n_bins, "n_bins", 3)
    if not max_weight >= 1:
        raise ValueError(f"max_weight must be at least 1, got {max_weight!r}.")
    pt = check_pt(pt, "pt")
    weights = check_weights(sample_weight, len(pt), "sample_weight")
    kept = weights > 0
    x = np.log(pt[kept])
    flat = weights[kept]
    if x.max() > x.min():
        log_density = _log_density(x, flat, n_bins)
        flat = flat * np.exp(log_density.min() - log_density)
    result = np.zeros(len(pt))
    result[kept] = _clipped(flat, max_weight)
    return FlatSpectrum(result, effective_sample_size(result))


# Logarithm of the density at each row, up to a constant.
def _log_density(x: Array, weights: Array, n_bins: int) -> Array:
    low, high = x.min(), x.max()
    position = (x - low) / (high - low) * n_bins
    number = np.minimum(position.astype(np.int64), n_bins - 1)
    sums = np.bincount(number, weights, n_bins)
    squares = np.bincount(number, weights**2, n_bins)
    filled = sums > 0
    bins = np.arange(n_bins)
    # A bin counts as its effective number of rows, each of a typical weight.
    counts = np.zeros(n_bins)
    counts[filled] = sums[filled] ** 2 / squares[filled]
    typical = np.log(squares[filled] / sums[filled])
    nodes = _smooth(counts, np.interp(bins, bins[filled], typical))
    # Straight on beyond the outer centres.
    left = np.clip((position - 0.5).astype(np.int64), 0, n_bins - 2)
    return nodes[left] + (position - 0.5 - left) * (nodes[left + 1] - nodes[left])


# Newton's steps to the most likely logarithms, less a penalty on second differences.
def _smooth(counts: Array, offset: Array) -> Array:
    bend = np.diff(np.eye(len(counts)), 2, axis=0)
    penalty = _STIFFNESS * bend.T @ bend
    nodes = np.log(counts + 0.5) + offset
    for _ in range(_MAX_ITERATIONS):
        expected = np.exp(nodes - offset)
        gradient = counts - expected - penalty @ nodes
        step = np.linalg.solve(np.diag(expected) + penalty, gradient)
        nodes = nodes + step
        if np.abs(step).max() < _TOLERANCE:
            break
    return nodes


# Weights of mean one, none above the maximum. If the k largest are at it, the sum of
# the others tells where it is; k is the least that leaves all others below.
def _clipped(weights: Array, max_weight: float) -> Array:
    n_rows = len(weights)
    weights = weights / weights.mean()
    if weights.max() > max_weight * (1 + _TOLERANCE):
        ascending = np.sort(weights)
        n_below = n_rows - np.arange(1, int(np.ceil(n_rows / max_weight)))
        sums = np.cumsum(ascending)[n_below - 1]
        limits = max_weight * sums / (n_rows - max_weight * (n_rows - n_below))
        limit = limits[np.argmax(limits >= ascending[n_below - 1])]
        weights = np.minimum(weights, limit)
    return weights / weights.mean()
