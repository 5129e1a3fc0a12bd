"""What likelihood ratios need of targets and weights."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _check_sample_weight

Array = NDArray[np.float64]

# Two events to train on, and two to hold out.
_MIN_ROWS = 4
# The central half of the values spans more than this part of their standard deviation.
_MIN_CORE = 1e-3
# Fewer distinct values of z, absolutely and relative to the rows, look discrete.
_MIN_DISTINCT = 10
_MIN_DISTINCT_PART = 0.1


def check_density_weight(sample_weight: ArrayLike | None, z: Array) -> Array:
    """Read weights that make a density.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Event weights.
    z : array of shape (n_samples, n_targets)
        The targets.

    Returns
    -------
    array of shape (n_samples,)
        The weights; ones by default.

    Raises
    ------
    ValueError
        If a weight is negative.
    """
    weight = _check_sample_weight(sample_weight, z, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            "sample_weight must not be negative: a likelihood ratio needs densities."
        )
    return np.asarray(weight, dtype=np.float64)


def check_continuous(z: Array) -> None:
    """Refuse targets that cannot be regressed, and warn of discrete ones.

    Parameters
    ----------
    z : array of shape (n_samples, n_targets)
        The targets.

    Raises
    ------
    ValueError
        If there are fewer than four rows, or a target is constant.

    Warns
    -----
    UserWarning
        If a target takes few values.
    """
    if len(z) < _MIN_ROWS:
        raise ValueError(
            f"a fit needs {_MIN_ROWS} rows of positive weight, got n_samples = "
            f"{len(z)}."
        )
    for column, values in enumerate(z.T):
        n_distinct = len(np.unique(values))
        if n_distinct == 1:
            raise ValueError(
                f"y is constant (column {column}): there is nothing to regress."
            )
        if np.ptp(values) ** 2 == 0:
            raise ValueError(
                f"y spans only {np.ptp(values):.3g} (column {column}), too little to "
                "be squared: choose other units."
            )
        if n_distinct < min(len(z), max(_MIN_DISTINCT, _MIN_DISTINCT_PART * len(z))):
            warnings.warn(
                f"y takes only {n_distinct} values in {len(z)} rows (column {column}): "
                "the likelihood ratio is learnt from pairs of different values, and "
                "needs a continuous target.",
                UserWarning,
                stacklevel=3,
            )


def check_scale(scaler: StandardScaler, table: NDArray, name: str) -> None:
    """Refuse values whose variance is not a number, and warn of outliers.

    Parameters
    ----------
    scaler : StandardScaler
        Fitted to the table.
    table : array of shape (n_samples, n_columns)
        The values.
    name : str
        Argument to name.

    Raises
    ------
    ValueError
        If a variance overflows.

    Warns
    -----
    UserWarning
        If the standard deviation of a column is that of a few outliers.
    """
    if not np.isfinite(scaler.var_).all():
        raise ValueError(
            f"{name} holds values too large to be squared: choose other units."
        )
    core = np.ptp(np.quantile(table, [0.25, 0.75], axis=0), axis=0)
    for column in np.flatnonzero((core > 0) & (core < _MIN_CORE * scaler.scale_)):
        warnings.warn(
            f"column {column} of {name} has outliers: half of its values lie within "
            f"{core[column]:.3g}, beside a standard deviation of "
            f"{scaler.scale_[column]:.3g}, and look alike to the networks. Remove the "
            "outliers, or take logarithms.",
            UserWarning,
            stacklevel=3,
        )
