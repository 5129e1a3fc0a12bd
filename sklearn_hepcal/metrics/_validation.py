"""Checks shared by the metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, column_or_1d

Array = NDArray[np.float64]


def check_matrix(X: ArrayLike, name: str, min_rows: int = 1) -> Array:
    matrix: Array = check_array(
        X, dtype=np.float64, input_name=name, ensure_min_samples=min_rows
    )
    return matrix


def check_scores(values: ArrayLike, name: str) -> Array:
    shape = np.shape(values)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(f"{name} must be one-dimensional, got the shape {shape}.")
    scores: Array = column_or_1d(values, dtype=np.float64)
    if len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError(f"{name} must be a non-empty array of finite numbers.")
    return scores


def check_weights(
    weights: ArrayLike | None, n_rows: int, name: str, *, signed: bool = False
) -> Array:
    if weights is None:
        return np.ones(n_rows)
    checked = check_scores(weights, name)
    if len(checked) != n_rows:
        raise ValueError(f"{name} has {len(checked)} entries for {n_rows} rows.")
    if not signed and (checked < 0).any():
        raise ValueError(f"{name} must not be negative, got {checked.min():g}.")
    if checked.sum() <= 0:
        raise ValueError(f"{name} must have a positive sum, got {checked.sum():g}.")
    return checked


def check_two_samples(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[Array, Array]:
    a, b = check_matrix(first, names[0]), check_matrix(second, names[1])
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same columns, got "
            f"{a.shape[1]} and {b.shape[1]}."
        )
    return a, b


def check_paired(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[Array, Array]:
    a, b = check_two_samples(first, second, names)
    if len(a) != len(b):
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same rows, got {len(a)} and "
            f"{len(b)}."
        )
    return a, b
