"""Stacked samples and the labels that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets

# Label of simulated background: part of the data, but not of what is to be moved.
BACKGROUND = -1


def read_domains(y: NDArray, *, background: bool) -> NDArray:
    """Find the labels of simulation and data.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Domain labels of all rows.
    background : bool
        Whether the label -1 may stand for background.

    Returns
    -------
    ndarray of shape (2,)
        The labels of simulation and of data.

    Raises
    ------
    ValueError
        If y does not hold exactly two labels beside the background's.
    """
    check_classification_targets(y)
    if y.dtype.kind not in "biuf":
        raise ValueError(
            "y must hold numbers, 0 for simulation and 1 for data: the order of other "
            f"labels, such as {np.unique(y).tolist()[:2]}, would decide which is which."
        )
    labels = np.unique(y)
    if background:
        labels = labels[[label != BACKGROUND for label in labels.tolist()]]
    if len(labels) != 2 or BACKGROUND in labels.tolist():
        role = "beside -1" if background else "neither of them -1"
        raise ValueError(
            "y must hold two domain labels, the lower for simulation and the higher "
            f"for data, {role} (background), but it holds "
            f"{np.unique(y).tolist()[:5]}: with one class there is nothing to compare."
        )
    return labels


def check_data_weight(weight: NDArray[np.float64], label: object) -> None:
    """Refuse negative weights of data.

    Parameters
    ----------
    weight : ndarray of shape (n_data,)
        Weights of the data rows.
    label : object
        Label of the data, for the message.

    Raises
    ------
    ValueError
        If a weight is negative.
    """
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative for data (label {label!r}), since a "
            "density is not negative."
        )


def stack_samples(
    labels: Sequence[int],
    samples: Sequence[ArrayLike | None],
    weights: Sequence[ArrayLike | None],
) -> tuple[ArrayLike, NDArray, NDArray | None]:
    """Stack samples into rows, domain labels and weights.

    Parameters
    ----------
    labels : sequence of int
        Domain label of each sample.
    samples : sequence of array-like of shape (n_k, n_features), or None
        The samples; None is left out.
    weights : sequence of array-like of shape (n_k,), or None
        Their weights; None means ones.

    Returns
    -------
    X : array or DataFrame of shape (n_samples, n_features)
        The rows; a DataFrame if all samples are.
    y : ndarray of shape (n_samples,)
        The labels.
    sample_weight : ndarray of shape (n_samples,) or None
        The weights; None if none were given.

    Raises
    ------
    ValueError
        If a sample and its weights differ in length.
    """
    present = [
        part
        for part in zip(labels, samples, weights, strict=True)
        if part[1] is not None
    ]
    labels, samples, weights = zip(*present, strict=True)
    sizes = [np.shape(X)[0] for X in samples]
    y = np.repeat(labels, sizes)
    frames = all(isinstance(X, pd.DataFrame) for X in samples)
    X = pd.concat(samples, ignore_index=True) if frames else np.concatenate(samples)
    if all(weight is None for weight in weights):
        return X, y, None
    columns = []
    for weight, size in zip(weights, sizes, strict=True):
        column = np.ones(size) if weight is None else np.asarray(weight)
        if column.shape != (size,):
            raise ValueError(
                f"Sample weights of shape {column.shape} were given for {size} rows."
            )
        columns.append(column)
    return X, y, np.concatenate(columns)
