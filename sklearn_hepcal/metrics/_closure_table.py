"""Closure, linearity and resolution of a calibration at fixed true momentum."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.random import RandomState
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from ._binned_response import BinnedResponse
from ._fixed_truth import (
    check_positive,
    distinct_values,
    log_edges,
    slope_and_resolution,
)
from ._response import response_closure
from ._sample_statistics import check_count, median_and_half_width, with_error
from ._validation import Array


def closure_table(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bins: int | ArrayLike = 9,
    sample_weight: ArrayLike | None = None,
    n_bootstrap: int = 100,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Tabulate closure, slope and resolution in bins of the true momentum.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Positive true values, in GeV.
    y_pred : array-like of shape (n_samples,)
        Predictions, in GeV. A bin with one that is not positive has no slope (NaN) and
        an infinite resolution.
    bins : int or array-like of shape (n_bins + 1,), default=9
        Number of bins of equal width in the logarithm between the extreme true
        values, or increasing edges. Rows outside the edges are left out; the last bin
        includes its upper edge.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.
    n_bootstrap : int, default=100
        Number of bootstrap replicas behind the errors of mode and resolution.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap; the values do not depend on it.

    Returns
    -------
    DataFrame of shape (n_bins, 12)
        One row a bin, with the columns

        - low, high : edges of the bin;
        - mean_true : mean true value;
        - n_rows : number of rows of non-zero weight;
        - mean, mean_error, median, mode, mode_error : of the response
          ``y_pred / y_true``, which are one in a calibration that closes;
        - slope : local ``d log(y_pred) / d log(y_true)``, of the line of least squares:
          one if the prediction follows the true value, below one if it is shrunk
          towards a mean, and zero for a constant;
        - jer, jer_error : relative resolution at fixed true value, that is, half the
          width of the central 68.27 % of the predictions, moved along the line to the
          middle of the bin, over their median and over the slope. It is infinite if the
          slope is not positive.

        What a bin has too few rows for is NaN: it needs one for the mean, two for its
        error, and three of different true values for slope and resolution.

    Raises
    ------
    TypeError
        If a number of `bins` or `n_bootstrap` is not an integer.
    ValueError
        If the rows do not match or are not finite, a true value is not positive, the
        edges do not increase, the weights do not fit or `n_bootstrap` is below 2.

    Notes
    -----
    The width of ``y_pred / y_true`` alone rewards shrinkage: predictions
    ``a * p**0.5`` of a measured momentum ``p`` fluctuate half as much, and a constant
    does not fluctuate at all, while neither tells jets apart any better than before.
    The slope gives the shrinkage away, and the width over the slope, what is left
    after an inversion of the response, does not change with it. A fit to a falling
    spectrum shrinks in this way, and nothing but responses at fixed true value shows
    it: in the whole sample the mean response can be one all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import closure_table
    >>> rng = np.random.default_rng(0)
    >>> true = np.exp(rng.uniform(np.log(50), np.log(800), size=20_000))
    >>> measured = true * rng.normal(1.0, 0.1, size=20_000)
    >>> shrunk = 200 * (measured / 200) ** 0.8
    >>> columns = ["mean", "slope", "jer"]
    >>> closure_table(true, measured, bins=2, random_state=0)[columns].round(2)
       mean  slope  jer
    0   1.0    1.0  0.1
    1   1.0    1.0  0.1
    >>> closure_table(true, shrunk, bins=2, random_state=0)[columns].round(2)
       mean  slope  jer
    0  1.15    0.8  0.1
    1  0.87    0.8  0.1
    """
    rng = check_random_state(random_state)
    check_positive(y_true, "y_true")
    if np.ndim(bins) == 0:
        n_bins = check_count(bins, "bins", 1)
        (true,) = BinnedResponse.of(y_true, y_pred, "ratio", None, sample_weight).true
        bins = log_edges(true.min(), true.max(), n_bins)
    closure = response_closure(
        y_true,
        y_pred,
        bins=bins,
        sample_weight=sample_weight,
        n_bootstrap=n_bootstrap,
        random_state=rng,
    )
    binned = BinnedResponse.of(y_true, y_pred, "ratio", bins, sample_weight)
    rows = list(zip(binned.true, binned.response, binned.weights, strict=True))
    jer = np.array([_resolution(*row, n_bootstrap, rng) for row in rows])
    return pd.DataFrame(
        {
            "low": closure.edges[:-1],
            "high": closure.edges[1:],
            "mean_true": closure.mean_true,
            "n_rows": closure.n_rows,
            "mean": closure.mean,
            "mean_error": closure.mean_error,
            "median": [_median(response, weights) for _, response, weights in rows],
            "mode": closure.mode,
            "mode_error": closure.mode_error,
            "slope": jer[:, 0],
            "jer": jer[:, 1],
            "jer_error": jer[:, 2],
        }
    )


def _median(response: Array, weights: Array) -> float:
    if len(response) == 0:
        return np.nan
    return median_and_half_width(*distinct_values(response, weights))[0]


# Slope, resolution and the error of the resolution.
def _resolution(
    true: Array, response: Array, weights: Array, n_bootstrap: int, rng: RandomState
) -> tuple[float, float, float]:
    log_true = np.log(true)
    # NaN and minus infinity stand for a prediction that is not positive.
    with np.errstate(invalid="ignore", divide="ignore"):
        log_predicted = log_true + np.log(response)

    def jer(numbers: Array, mass: Array) -> float:
        drawn = numbers.astype(np.intp)
        return slope_and_resolution(log_true[drawn], log_predicted[drawn], mass)[1]

    slope, _ = slope_and_resolution(log_true, log_predicted, weights)
    # Rows are drawn by number, since a row is a pair of values here. Replicas of
    # infinite resolution have no scatter.
    with np.errstate(invalid="ignore"):
        value, error = with_error(
            jer, np.arange(len(true), dtype=np.float64), weights, n_bootstrap, rng
        )
    return slope, value, error
