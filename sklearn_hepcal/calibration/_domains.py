"""Stacked samples and the labels that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


class Sides(NamedTuple):
    """Rows of simulation, and rows of data and background together.

    Attributes
    ----------
    source, target : arrays of int
        Rows of either side whose weight is not zero.
    source_weight, target_weight : arrays
        Their weights; those of the background are those of the data it is taken from,
        hence negative.
    background : array of bool of shape (n_target,)
        Which rows of the target are background.
    """

    source: NDArray[np.intp]
    target: NDArray[np.intp]
    source_weight: NDArray[np.float64]
    target_weight: NDArray[np.float64]
    background: NDArray[np.bool_]

    def with_background(self, scale: float) -> Sides:
        """Multiply the weights of the background.

        Parameters
        ----------
        scale : float
            The factor; below 0 it counts as 0.

        Returns
        -------
        Sides
            The same rows.

        Raises
        ------
        ValueError
            If no data are left.
        """
        factor = np.where(self.background, max(scale, 0.0), 1.0)
        weight = self.target_weight * factor
        if not weight.sum() > 0:
            raise ValueError(
                f"the background, multiplied by {scale:.3g}, outweighs the data."
            )
        return self._replace(target_weight=weight)

    def reweighted(self, weight: NDArray[np.float64]) -> Sides:
        """Multiply the weights, and leave rows out whose weight becomes zero.

        Parameters
        ----------
        weight : array of shape (n_samples,)
            Factors of all rows of X, not negative.

        Returns
        -------
        Sides
            The rows that remain.
        """
        first, second = weight[self.source], weight[self.target]
        kept, left = first != 0, second != 0
        return Sides(
            self.source[kept],
            self.target[left],
            (self.source_weight * first)[kept],
            (self.target_weight * second)[left],
            self.background[left],
        )


def split_sides(
    domains: NDArray, labels: Sequence[object], weight: NDArray[np.float64]
) -> Sides:
    """Separate the two sides.

    Parameters
    ----------
    domains : ndarray of shape (n_samples,)
        Domain labels of all rows.
    labels : sequence of two labels
        Those of simulation and of data.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.

    Returns
    -------
    Sides
        The sides.

    Raises
    ------
    ValueError
        If a label is missing or unknown, or if the weights of a side do not have a
        positive sum.
    """
    source = domains == labels[0]
    background = domains == BACKGROUND
    data = domains == labels[1]
    if not source.any() or not data.any() or not (source | data | background).all():
        raise ValueError(
            f"y must hold the labels {labels[0]!r} (simulation) and {labels[1]!r} "
            f"(data), but it holds {np.unique(domains).tolist()[:5]}. For "
            "cross-validation pass a stratified splitter, cv=StratifiedKFold()."
        )
    signed = np.where(background, -weight, weight)
    used = weight != 0
    first = np.flatnonzero(source & used)
    second = np.flatnonzero((data | background) & used)
    sides = Sides(first, second, signed[first], signed[second], background[second])
    for name, values in (
        ("simulation", sides.source_weight),
        ("data less background", sides.target_weight),
    ):
        if not values.sum() > 0:
            raise ValueError(
                "sample_weight must have a positive sum on each side, but that of "
                f"{name} is {values.sum():g}."
            )
    return sides


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
