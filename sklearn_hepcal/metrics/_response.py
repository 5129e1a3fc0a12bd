"""Closure of a calibration: responses around one true value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from ._binned_response import BinnedResponse
from ._sample_statistics import mode, with_error
from ._validation import Array

_SINGLE_ROW = 1e-12


class ResponseClosure(NamedTuple):
    """Responses in bins of the true value.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins.
    mean_true : ndarray of shape (n_bins,)
        Mean true value in each bin.
    mean : ndarray of shape (n_bins,)
        Mean response.
    mean_error : ndarray of shape (n_bins,)
        One standard deviation of the mean.
    mode : ndarray of shape (n_bins,)
        Most probable response.
    mode_error : ndarray of shape (n_bins,)
        One standard deviation of the mode.
    n_rows : ndarray of shape (n_bins,)
        Number of rows of non-zero weight.
    """

    edges: Array
    mean_true: Array
    mean: Array
    mean_error: Array
    mode: Array
    mode_error: Array
    n_rows: NDArray[np.int64]


def response_closure(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bins: int | ArrayLike | None = None,
    kind: str = "ratio",
    sample_weight: ArrayLike | None = None,
    n_bootstrap: int = 100,
    random_state: int | RandomState | None = None,
) -> ResponseClosure:
    """Measure the mean and the most probable response in bins of the true value.

    A calibration that closes has a response of 1 (ratio) or 0 (difference) at every
    true value: its mean for an unbiased estimate, its mode for the maximum of a
    likelihood. Bins of the predicted value would mix in the spectrum of the sample.

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
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.
    n_bootstrap : int, default=100
        Number of bootstrap replicas behind the error of the mode.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap; the values do not depend on it.

    Returns
    -------
    ResponseClosure
        Means, modes and their errors. An empty bin has a count of 0 and is NaN
        otherwise; one row, or one of all the weight, gives no error of the mean, and
        one row none of the mode (NaN).

    Raises
    ------
    TypeError
        If a number of `bins` or `n_bootstrap` is not an integer.
    ValueError
        If the rows do not match or are not finite, a true value is not positive for
        ``kind="ratio"``, the edges do not increase, the weights do not fit or
        `n_bootstrap` is below 2.

    Notes
    -----
    A row of weight two and a repeated row give the same means and modes. The error of
    the mean takes weights as those of simulated events instead: it is
    ``sqrt(sum w^2 (r - mean)^2 / (1 - sum w^2))`` for weights of sum 1, that is, for
    equal ones, the usual ``std / sqrt(n - 1)`` with the "std" of `resolution`.

    The mode is extrapolated from the centres of the core within one and two widths of
    a Gaussian fitted to it, by one width at most and never out of the sample. With
    10 000 rows of a log-normal response of 10 % width its error is 0.3 % and its bias
    +0.1 %; for a width of 30 % they are 0.9 % and +0.7 %. For 10 %, the maximum of a
    kernel density estimate has an error of 0.45 %, and the centre of a fit within 1.5
    widths a bias of 0.6 %. A few rows give a central value rather than a peak.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import response_closure
    >>> rng = np.random.default_rng(0)
    >>> energy = rng.uniform(20.0, 100.0, size=10_000)
    >>> measured = energy * rng.normal(0.95, 0.1, size=10_000)
    >>> closure = response_closure(energy, measured, bins=[20, 60, 100], random_state=0)
    >>> closure.mean.round(2)
    array([0.95, 0.95])
    """
    rng = check_random_state(random_state)
    binned = BinnedResponse.of(y_true, y_pred, kind, bins, sample_weight)
    means = np.array([_mean_with_error(*rows) for rows in binned])
    modes = np.array([with_error(mode, *rows, n_bootstrap, rng) for rows in binned])
    return ResponseClosure(
        edges=binned.edges,
        mean_true=binned.mean_true,
        mean=means[:, 0],
        mean_error=means[:, 1],
        mode=modes[:, 0],
        mode_error=modes[:, 1],
        n_rows=binned.n_rows,
    )


# The error has the unbiased variance of a sample of the effective size. Weights that
# are one row within rounding leave no variance.
def _mean_with_error(values: Array, weights: Array) -> tuple[float, float]:
    if len(values) == 0:
        return np.nan, np.nan
    weights = weights / weights.sum()
    mean = float(weights @ values)
    squares = weights**2
    spare = 1 - squares.sum()
    if spare < _SINGLE_ROW:
        return mean, np.nan
    return mean, float(np.sqrt(squares @ (values - mean) ** 2 / spare))
