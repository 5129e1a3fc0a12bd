"""Responses of predictions in bins of the true value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._sample_statistics import check_count, merged_weights, quantiles
from ._validation import Array, check_scores, check_weights

_KINDS = ("ratio", "difference")


@dataclass(frozen=True)
class BinnedResponse:
    """Rows of positive weight, sorted into bins.

    Attributes
    ----------
    edges : array of shape (n_bins + 1,)
        Edges of the bins in the true value.
    true, response, weights : list of n_bins arrays
        True values, responses and weights of the rows of each bin.
    """

    edges: Array
    true: list[Array]
    response: list[Array]
    weights: list[Array]

    @classmethod
    def of(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        kind: str,
        bins: int | ArrayLike | None,
        sample_weight: ArrayLike | None,
    ) -> BinnedResponse:
        """Check the rows and sort them into bins.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            True and predicted values.
        kind : {"ratio", "difference"}
            Whether a response is ``y_pred / y_true`` or ``y_pred - y_true``.
        bins : int, array-like or None
            Number of bins of equal weight, increasing edges, or one bin for all.
        sample_weight : array-like of shape (n_samples,) or None
            Non-negative weights.

        Returns
        -------
        BinnedResponse
            The rows inside the edges.

        Raises
        ------
        TypeError
            If a number of bins is not an integer.
        ValueError
            If an argument is unusable.
        """
        _check_column(y_true, "y_true")
        _check_column(y_pred, "y_pred")
        if sample_weight is not None:
            _check_column(sample_weight, "sample_weight")
        true, predicted = check_scores(y_true, "y_true"), check_scores(y_pred, "y_pred")
        if len(true) != len(predicted):
            raise ValueError(
                f"y_true and y_pred must have the same rows, got {len(true)} and "
                f"{len(predicted)}."
            )
        weights = check_weights(sample_weight, len(true), "sample_weight")
        kept = weights > 0
        true, predicted, weights = true[kept], predicted[kept], weights[kept]
        response = _response(true, predicted, kind)
        edges = _edges(true, weights, bins)
        numbers = np.searchsorted(edges, true, side="right") - 1
        numbers[true == edges[-1]] = len(edges) - 2
        rows = [np.flatnonzero(numbers == k) for k in range(len(edges) - 1)]
        columns = ([column[r] for r in rows] for column in (true, response, weights))
        return cls(edges, *columns)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return zip(self.response, self.weights, strict=True)

    @property
    def n_rows(self) -> NDArray[np.int64]:
        """Count the rows.

        Returns
        -------
        array of shape (n_bins,)
            Number of rows in each bin.
        """
        return np.array([len(rows) for rows in self.true])

    @property
    def mean_true(self) -> Array:
        """Average the true values.

        Returns
        -------
        array of shape (n_bins,)
            Mean true value in each bin; NaN in an empty one.
        """
        pairs = zip(self.true, self.weights, strict=True)
        return np.array(
            [np.average(t, weights=w) if len(t) else np.nan for t, w in pairs]
        )


def _check_column(values: ArrayLike, name: str) -> None:
    shape = np.shape(values)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(f"{name} must have one dimension, got the shape {shape}.")


def _response(true: Array, predicted: Array, kind: str) -> Array:
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
    if kind == "difference":
        return predicted - true
    if (true <= 0).any():
        raise ValueError(
            f"y_true must be positive for kind='ratio', got {true.min():g}; use "
            "kind='difference'."
        )
    return predicted / true


def _edges(true: Array, weights: Array, bins: int | ArrayLike | None) -> Array:
    if bins is None:
        # One bin also for rows of a single true value.
        return np.array([true.min(), true.max()])
    if np.ndim(bins) == 0:
        n_bins = check_count(bins, "bins", 1)
        distinct, index = np.unique(true, return_inverse=True)
        levels = np.linspace(0.0, 1.0, n_bins + 1)
        mass = merged_weights(index, weights, len(distinct))
        edges = quantiles(distinct, mass, levels)
    else:
        _check_column(bins, "bins")
        edges = check_scores(bins, "bins")
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"bins must give two or more increasing edges, got {edges}.")
    return edges
