"""Coverage of predicted uncertainties."""

from __future__ import annotations

from contextlib import suppress
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from ._validation import Array, check_paired, check_scores, check_weights

_MAX_ASYMMETRY = 1e-5


class Coverage(NamedTuple):
    """Part of the true values inside the predicted regions.

    Attributes
    ----------
    value : float
        Between 0 and 1.
    error : float
        One standard deviation, from the finite number of rows.
    """

    value: float
    error: float


def coverage(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    std: ArrayLike | None = None,
    cov: ArrayLike | None = None,
    level: float = 0.6827,
    sample_weight: ArrayLike | None = None,
) -> Coverage:
    """Measure how often the true value is in its Gaussian interval or ellipse.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, dim)
        True values and predictions.
    std : array-like of shape (n_samples,) or None, default=None
        Predicted standard deviations, for one-dimensional values.
    cov : array-like of shape (n_samples, dim, dim) or None, default=None
        Predicted covariances; give either `std` or `cov`.
    level : float, default=0.6827
        Probability content of the regions, between 0 and 1. The default is one
        standard deviation in one dimension, and the ellipse of that content in more.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.

    Returns
    -------
    Coverage
        Weighted part of the true values inside their central interval or ellipse, and
        its error ``sqrt(sum w^2 (inside - value)^2) / sum w``: 0 if all rows agree.

    Raises
    ------
    TypeError
        If `level` is not a number.
    ValueError
        If shapes do not match, a value is not finite, not exactly one of `std` and
        `cov` is given, a standard deviation is not positive, a covariance is not
        symmetric and positive definite, `level` is not between 0 and 1 or the weights
        do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import coverage
    >>> truth = np.random.default_rng(0).normal(size=10_000)
    >>> value, error = coverage(truth, np.zeros(10_000), std=np.ones(10_000))
    >>> abs(value - 0.6827) < 3 * error
    True
    """
    true, predicted = check_paired(
        _columns(y_true), _columns(y_pred), ("y_true", "y_pred")
    )
    if not isinstance(level, Real):
        raise TypeError(f"level must be a number between 0 and 1, got {level!r}.")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    if (std is None) == (cov is None):
        raise ValueError("Give either std or cov.")
    factor = _cov_factor(cov, true) if std is None else _std_factor(std, true)
    weights = check_weights(sample_weight, len(true), "sample_weight")
    pulls = np.linalg.solve(factor, (true - predicted)[:, :, None])[:, :, 0]
    inside = np.sum(pulls**2, axis=1) <= chi2.ppf(level, true.shape[1])
    value = np.average(inside, weights=weights)
    error = np.linalg.norm(weights * (inside - value)) / weights.sum()
    return Coverage(float(value), float(error))


def _columns(values: ArrayLike) -> Array:
    array: Array = np.asarray(values)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _std_factor(std: ArrayLike, true: Array) -> Array:
    if true.shape[1] != 1:
        raise ValueError(f"std is for one column, got {true.shape[1]}; give cov.")
    n, shape = len(true), np.shape(std)
    if shape not in ((n,), (n, 1)):
        raise ValueError(f"std must have shape {(n,)}, got {shape}.")
    checked = check_scores(std, "std")
    if (checked <= 0).any():
        raise ValueError(f"std must be positive, got {checked.min():g}.")
    return checked[:, None, None]


# Cholesky reads one triangle only, so that symmetry is checked apart: of correlations,
# as an element that should be zero is only rounding.
def _cov_factor(cov: ArrayLike | None, true: Array) -> Array:
    matrices = np.asarray(cov, dtype=np.float64)
    n, dim = true.shape
    if matrices.shape != (n, dim, dim):
        raise ValueError(f"cov must have shape {(n, dim, dim)}, got {matrices.shape}.")
    factor: Array = np.full_like(matrices, np.nan)
    with suppress(np.linalg.LinAlgError):
        factor[:] = np.linalg.cholesky(matrices)
    if not (np.isfinite(factor).all() and _is_symmetric(matrices)):
        raise ValueError("cov must be finite, symmetric and positive definite.")
    return factor


def _is_symmetric(matrices: Array) -> bool:
    widths = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    scale = widths[:, :, None] * widths[:, None, :]
    asymmetry = np.abs(matrices - np.swapaxes(matrices, 1, 2))
    return bool((asymmetry <= _MAX_ASYMMETRY * scale).all())
