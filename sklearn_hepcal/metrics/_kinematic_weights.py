"""Weights that give all classes the same kinematic spectrum."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from .._flavours import check_labels, flavour
from ._effective_sample_size import effective_sample_size
from ._sample_statistics import check_count
from ._validation import Array, check_matrix, check_scores, check_weights


def kinematic_weights(
    values: ArrayLike,
    y: ArrayLike,
    *,
    target: Hashable | None = None,
    bins: int | Sequence[Any] | NDArray[Any] = 10,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Find weights that give each class the kinematic spectrum of one of them.

    Without them, a tagger learns the spectra of the flavours, which belong to the
    process that made the jets, rather than the tracks. The weight of a jet is the
    density of the target class over that of its own one, in bins.

    Parameters
    ----------
    values : array-like of shape (n_jets,) or (n_jets, n_values)
        Quantities whose spectrum is matched, such as the transverse momentum in GeV and
        the absolute pseudorapidity. Bins are the products of those of each.
    y : array-like of shape (n_jets,)
        Class labels.
    target : label or None, default=None
        Class whose spectrum all get; spellings of a flavour are those of
        :func:`discriminant`. None takes the class with the smallest effective number of
        jets, as it can afford the least to lose some of it: it keeps its weights.
    bins : int, array-like or sequence, default=10
        Number of bins, which hold equal numbers of jets of the target, or the edges of
        the bins; for a table of values one for all columns, a number, or a sequence of
        one for each. The first and the last bin reach to infinity.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Non-negative weights of the jets, of which the new ones are multiples.

    Returns
    -------
    ndarray of shape (n_jets,)
        Weights, to use in place of `sample_weight`, with a mean of one in each class
        over the jets of positive `sample_weight`. They are zero in bins without jets of
        the target. A class without jets in a bin of the target stays without: use wider
        bins.

    Raises
    ------
    TypeError
        If a number of bins is not an integer.
    ValueError
        If the arguments do not fit, or a class shares no bin with the target.

    See Also
    --------
    flatten_spectrum : Weights for regressions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import kinematic_weights
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["u", "c", "b"], [6000, 1000, 3000])
    >>> pt = 20 + rng.exponential(np.where(y == "b", 60.0, 40.0))
    >>> weights = kinematic_weights(pt, y, bins=20)
    >>> for label in "ucb":
    ...     jets = y == label
    ...     print(f"{np.average(pt[jets], weights=weights[jets]):.0f}")
    57
    57
    58
    """
    table = _as_table(values)
    labels = check_labels(y, "y")
    check_consistent_length(table, labels)
    weights = check_weights(sample_weight, len(table), "sample_weight")
    classes, member = np.unique(labels, return_inverse=True)
    sums = np.bincount(member, weights)
    if (sums == 0).any():
        raise ValueError(
            "sample_weight must have a positive sum in each class, got none for "
            f"{classes[sums == 0].tolist()}."
        )
    aim = _target_class(classes.tolist(), member, weights, target)

    edges = _edges(bins, table, table[(member == aim) & (weights > 0)])
    number = _bin_numbers(table, edges)
    shape = (len(classes), number.max() + 1)
    spectra = np.bincount(
        np.ravel_multi_index((member, number), shape), weights, shape[0] * shape[1]
    ).reshape(shape)
    ratio = spectra[aim] / np.where(spectra > 0, spectra, np.inf)
    result = weights * ratio[member, number]
    return result / _class_means(result, weights, member, classes)[member]


def _as_table(values: ArrayLike) -> Array:
    if np.ndim(values) == 1:
        return check_scores(values, "values")[:, None]
    return check_matrix(values, "values")


def _target_class(
    classes: list[Any],
    member: NDArray[np.intp],
    weights: Array,
    target: Hashable | None,
) -> int:
    if target is None:
        sizes = [
            effective_sample_size(weights[member == k]) for k in range(len(classes))
        ]
        return int(np.argmin(sizes))
    names = [flavour(label) for label in classes]
    if flavour(target) not in names:
        raise ValueError(f"target must be one of {classes}, got {target!r}.")
    return names.index(flavour(target))


# Inner edges of the bins of each column.
def _edges(
    bins: int | Sequence[Any] | NDArray[Any], table: Array, target: Array
) -> list[Array]:
    n_columns = table.shape[1]
    if isinstance(bins, Sequence | np.ndarray):
        # The edges of a single column need not be wrapped.
        alone = n_columns == 1 and all(np.ndim(entry) == 0 for entry in bins)
        each = [bins] if alone else list(bins)
    else:
        each = [bins] * n_columns
    if len(each) != n_columns:
        raise ValueError(
            f"bins must have an entry for each of the {n_columns} columns of values, "
            f"got {len(each)}."
        )
    return [_inner(b, target[:, k]) for k, b in enumerate(each)]


def _inner(bins: Any, target: Array) -> Array:
    if np.ndim(bins) == 0:
        levels = np.linspace(0, 1, check_count(bins, "bins", 1) + 1)[1:-1]
        return np.unique(np.quantile(target, levels))
    edges = check_scores(bins, "bins")
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"bins must be increasing edges, at least two, got {edges}.")
    return edges[1:-1]


def _bin_numbers(table: Array, edges: list[Array]) -> NDArray[np.intp]:
    columns = [
        np.searchsorted(inner, column, side="right")
        for inner, column in zip(edges, table.T, strict=True)
    ]
    return np.ravel_multi_index(columns, [len(inner) + 1 for inner in edges])


# Mean of the new weights in each class, over the jets that count.
def _class_means(
    result: Array, weights: Array, member: NDArray[np.intp], classes: NDArray[Any]
) -> Array:
    sums = np.bincount(member, result)
    if (sums == 0).any():
        raise ValueError(
            "bins must be wide enough for each class to share one with the target; "
            f"not so for {classes[sums == 0].tolist()}."
        )
    return sums / np.bincount(member, weights > 0)
