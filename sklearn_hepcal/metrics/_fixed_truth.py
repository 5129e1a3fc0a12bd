"""Bins of the true value, and the response and resolution around one true value."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._sample_statistics import median_and_half_width, merged_weights
from ._validation import Array, check_scores

# A prediction that rises less than this in the logarithm is a constant: what is left
# may be rounding, even in single precision.
_MIN_SLOPE = 1e-6
# Two rows are always on a line, without a width.
_MIN_ROWS_OF_A_WIDTH = 3


def check_positive(values: ArrayLike, name: str) -> Array:
    """Check positive finite numbers.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        The numbers.
    name : str
        Name of the argument, for the error.

    Returns
    -------
    array of shape (n_samples,)
        The numbers.

    Raises
    ------
    ValueError
        If one is not positive and finite, or there is none.
    """
    checked = check_scores(values, name)
    if (checked <= 0).any():
        raise ValueError(
            f"{name} must be positive (a momentum or an energy), got "
            f"{checked.min():g}; leave such rows out."
        )
    return checked


def log_edges(low: float, high: float, n_bins: int) -> Array:
    """Cut a range of true values into bins of equal width in the logarithm.

    Parameters
    ----------
    low, high : float
        Positive ends of the range.
    n_bins : int
        Number of bins.

    Returns
    -------
    array of shape (n_bins + 1,)
        Edges, the ends exactly.

    Raises
    ------
    ValueError
        If the range is empty.
    """
    if not low < high:
        raise ValueError(
            f"The true values must differ to make bins of them, got {low:g} only."
        )
    edges: Array = np.geomspace(low, high, n_bins + 1)
    return edges


def distinct_values(values: Array, weights: Array) -> tuple[Array, Array]:
    """Merge rows of the same value.

    Parameters
    ----------
    values, weights : array of shape (n_samples,)
        The sample and its weights.

    Returns
    -------
    values : array of shape (n_distinct,)
        Distinct values, increasing.
    mass : array of shape (n_distinct,)
        Weight of each.
    """
    distinct, index = np.unique(values, return_inverse=True)
    return distinct, merged_weights(index, weights, len(distinct))


def merge_bins(
    edges: Array, true: Array, min_rows: int, min_distinct: int = 1
) -> Array:
    """Merge bins of few rows with a neighbour.

    Parameters
    ----------
    edges : array of shape (n_bins + 1,)
        Increasing edges.
    true : array of shape (n_samples,)
        True values.
    min_rows : int
        Number of rows that a bin needs.
    min_distinct : int, default=1
        Number of different true values that it needs.

    Returns
    -------
    array of shape (n_merged + 1,)
        Some of the edges, always the first and the last one. A single bin may hold
        fewer rows than are needed.
    """
    inside = true[(true >= edges[0]) & (true <= edges[-1])]

    def filled(low: float, high: float) -> bool:
        rows = inside[(inside >= low) & (inside < high)]
        return len(rows) >= min_rows and len(np.unique(rows)) >= min_distinct

    kept = [edges[0]]
    for edge in edges[1:-1]:
        if filled(kept[-1], edge):
            kept.append(edge)
    if len(kept) > 1 and not filled(kept[-1], np.inf):
        kept.pop()
    return np.array([*kept, edges[-1]])


def slope_and_resolution(
    log_true: Array, log_predicted: Array, weights: Array
) -> tuple[float, float]:
    """Measure how a prediction follows the true value, and how well it resolves it.

    Parameters
    ----------
    log_true, log_predicted : array of shape (n_samples,)
        Logarithms of true and predicted values of close true values. One prediction
        without a logarithm (NaN or minus infinity) leaves no slope, and no resolution.
    weights : array of shape (n_samples,)
        Positive weights.

    Returns
    -------
    slope : float
        That of the line of least squares; NaN for a single true value.
    resolution : float
        Relative half width of the central 68.27 % of the predictions, moved to one
        true value along the line, over the slope; infinite without a positive slope,
        NaN for a single true value or below three rows.
    """
    if len(log_true) < _MIN_ROWS_OF_A_WIDTH or np.ptp(log_true) == 0:
        return np.nan, np.nan
    if not np.isfinite(log_predicted).all():
        return np.nan, np.inf
    x = log_true - np.average(log_true, weights=weights)
    y = log_predicted - np.average(log_predicted, weights=weights)
    slope = float((weights * x) @ y / ((weights * x) @ x))
    if slope <= _MIN_SLOPE:
        return slope, np.inf
    sample = distinct_values(np.exp(y - slope * x), weights)
    centre, width = median_and_half_width(*sample)
    return slope, width / centre / slope
