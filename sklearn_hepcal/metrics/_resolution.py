"""Resolution: widths of the response around one true value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from ._binned_response import BinnedResponse
from ._sample_statistics import (
    gaussian_core,
    mean_and_std,
    median_and_half_width,
    with_error,
)
from ._validation import Array

# Each gives a centre and a width.
_METHODS = {
    "quantile": median_and_half_width,
    "std": mean_and_std,
    "fit": gaussian_core,
}


class Resolution(NamedTuple):
    """Resolution in bins of the true value.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins.
    mean_true : ndarray of shape (n_bins,)
        Mean true value in each bin.
    value : ndarray of shape (n_bins,)
        Relative width of a ratio, or width of a difference.
    error : ndarray of shape (n_bins,)
        One standard deviation each.
    n_rows : ndarray of shape (n_bins,)
        Number of rows of non-zero weight.
    """

    edges: Array
    mean_true: Array
    value: Array
    error: Array
    n_rows: NDArray[np.int64]


def resolution(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bins: int | ArrayLike | None = None,
    kind: str = "ratio",
    method: str = "quantile",
    sample_weight: ArrayLike | None = None,
    n_bootstrap: int = 100,
    random_state: int | RandomState | None = None,
) -> Resolution:
    """Measure the width of the response in bins of the true value.

    The width of a ratio is divided by its centre, so that a prediction of the wrong
    scale has no better resolution.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values, in the units of `y_pred` (GeV for energies).
    y_pred : array-like of shape (n_samples,)
        Predictions.
    bins : int, array-like of shape (n_bins + 1,) or None, default=None
        Number of bins that hold equal parts of the weight, increasing edges, or None
        for one bin of all rows. Rows outside the edges are left out; the last bin
        includes its upper edge.
    kind : {"ratio", "difference"}, default="ratio"
        Whether the response is ``y_pred / y_true`` or ``y_pred - y_true``.
    method : {"quantile", "std", "fit"}, default="quantile"
        Width and centre:

        - "quantile": half the width of the central 68.27 %, and the median;
        - "std": the standard deviation, which far tails dominate, and the mean
          (divided by ``n``, not ``n - 1``; see Notes);
        - "fit": those of a Gaussian fitted within 1.5 widths around its centre.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.
    n_bootstrap : int, default=100
        Number of bootstrap replicas behind the errors.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap; the values do not depend on it.

    Returns
    -------
    Resolution
        Widths and their errors. An empty bin has 0 rows and is NaN otherwise, as
        is a relative width around a centre that is not positive; one row gives no
        error (NaN).

    Raises
    ------
    TypeError
        If a number of `bins` or `n_bootstrap` is not an integer.
    ValueError
        If the rows do not match or are not finite, a true value is not positive for
        ``kind="ratio"``, the edges do not increase, the weights do not fit, `method`
        is unknown or `n_bootstrap` is below 2.

    Notes
    -----
    A row of weight two and a repeated row give the same value, and so does any unit of
    the weights. No correction for a small sample can do both, so that the "std" of few
    rows is too small, by about ``1 / (2 n)`` of it from the divisor.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import resolution
    >>> rng = np.random.default_rng(0)
    >>> energy = rng.uniform(20.0, 100.0, size=10_000)
    >>> measured = energy * rng.normal(0.8, 0.08, size=10_000)
    >>> jer = resolution(energy, measured, bins=[20, 60, 100], random_state=0)
    >>> jer.value.round(2)
    array([0.1, 0.1])
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {tuple(_METHODS)}, got {method!r}.")
    rng = check_random_state(random_state)
    binned = BinnedResponse.of(y_true, y_pred, kind, bins, sample_weight)

    def width(values: Array, mass: Array) -> float:
        centre, width = _METHODS[method](values, mass)
        if kind == "difference":
            return width
        return width / centre if centre > 0 else np.nan

    widths = [with_error(width, *rows, n_bootstrap, rng) for rows in binned]
    value, error = np.transpose(widths)
    return Resolution(binned.edges, binned.mean_true, value, error, binned.n_rows)
