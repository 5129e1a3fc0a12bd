"""Closure tests by a classifier of simulation against data."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils import check_random_state

from ._validation import Array, check_scores, check_two_samples, check_weights

_MIN_ROWS = 20


class ClosureAUC(NamedTuple):
    """Area under the ROC curve of simulation against data.

    Attributes
    ----------
    auc : float
        Area measured on rows that the classifier has not seen.
    error : float
        One standard deviation, from the finite number of these rows.
    """

    auc: float
    error: float


class BinnedClosureAUC(NamedTuple):
    """Closure in bins of a condition.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins.
    auc : ndarray of shape (n_bins,)
        Area under the ROC curve in each bin.
    error : ndarray of shape (n_bins,)
        One standard deviation each.
    """

    edges: Array
    auc: Array
    error: Array


def closure_auc(
    X_sim: ArrayLike,
    X_data: ArrayLike,
    *,
    sample_weight_sim: ArrayLike | None = None,
    sample_weight_data: ArrayLike | None = None,
    n_train: int = 20_000,
    n_bootstrap: int = 100,
    random_state: int | RandomState | None = None,
) -> ClosureAUC:
    """Measure how well a classifier tells simulation from data.

    A gradient-boosted classifier of 100 trees is trained on one part of the rows and
    its area under the ROC curve is measured on other ones. It is 0.5 if the samples
    have the same law; a value below 0.5 is a statistical fluctuation.

    Parameters
    ----------
    X_sim : array-like of shape (n_sim, n_features)
        Simulation, for example after a calibration, with the condition columns.
    X_data : array-like of shape (n_data, n_features)
        Data.
    sample_weight_sim, sample_weight_data : array-like or None, default=None
        Non-negative weights of the rows, used in training and in testing.
    n_train : int, default=20_000
        Largest number of rows of either sample to train on, and again to test on.
        Smaller samples are cut into halves.
    n_bootstrap : int, default=100
        Number of Poisson bootstrap replicas of the test rows behind the error. The
        scatter between trainings is not part of it.
    random_state : int, RandomState instance or None, default=None
        Seed of the splits, of the training and of the bootstrap.

    Returns
    -------
    ClosureAUC
        The area and its error.

    Raises
    ------
    ValueError
        If the samples have different columns or fewer than 20 rows of non-zero weight,
        the weights do not fit, `n_train` is below 10 or `n_bootstrap` below 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import closure_auc
    >>> rng = np.random.default_rng(0)
    >>> sim, data = rng.normal(size=(1000, 1)), rng.normal(2.0, size=(1000, 1))
    >>> auc, error = closure_auc(sim, data, random_state=0)
    >>> 0.85 < auc < 0.95 and error < 0.03
    True
    """
    X_sim, X_data = check_two_samples(X_sim, X_data, ("X_sim", "X_data"))
    if n_train < _MIN_ROWS // 2:
        raise ValueError(f"n_train must be at least {_MIN_ROWS // 2}, got {n_train!r}.")
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap must be at least 2, got {n_bootstrap!r}.")
    weights_sim = check_weights(sample_weight_sim, len(X_sim), "sample_weight_sim")
    weights_data = check_weights(sample_weight_data, len(X_data), "sample_weight_data")
    rng = check_random_state(random_state)
    sim = _split(X_sim, weights_sim, n_train, rng, "X_sim")
    data = _split(X_data, weights_data, n_train, rng, "X_data")
    (X_train, y_train, w_train), (X_test, y_test, w_test) = (
        _stack(*sides) for sides in zip(sim, data, strict=True)
    )
    classifier = HistGradientBoostingClassifier(
        max_iter=100, early_stopping=False, random_state=rng.randint(2**31)
    )
    classifier.fit(X_train, y_train, sample_weight=w_train)
    scores = classifier.decision_function(X_test)
    return _bootstrap_auc(scores, y_test, w_test, n_bootstrap, rng)


def closure_auc_by_bin(
    X_sim: ArrayLike,
    X_data: ArrayLike,
    condition: int,
    bins: int | ArrayLike = 4,
    *,
    sample_weight_sim: ArrayLike | None = None,
    sample_weight_data: ArrayLike | None = None,
    n_train: int = 20_000,
    n_bootstrap: int = 100,
    random_state: int | RandomState | None = None,
) -> BinnedClosureAUC:
    """Measure closure in bins of a condition, with one classifier a bin.

    Parameters
    ----------
    X_sim : array-like of shape (n_sim, n_features)
        Simulation.
    X_data : array-like of shape (n_data, n_features)
        Data.
    condition : int
        Index of the column to bin in. The classifiers see it too: if its spectra
        differ, give weights that match them.
    bins : int or array-like of shape (n_bins + 1,), default=4
        Number of bins that hold equal parts of the data, or increasing edges. Rows
        outside the edges are left out; the last bin includes its upper edge.
    sample_weight_sim, sample_weight_data : array-like or None, default=None
        Non-negative weights of the rows.
    n_train : int, default=20_000
        As in :func:`closure_auc`, a bin.
    n_bootstrap : int, default=100
        As in :func:`closure_auc`.
    random_state : int, RandomState instance or None, default=None
        Seed of the splits, of the training and of the bootstrap.

    Returns
    -------
    BinnedClosureAUC
        Edges of the bins, areas and errors.

    Raises
    ------
    ValueError
        If the edges do not increase, a bin holds fewer than 20 rows of a sample, or
        an input is unusable for :func:`closure_auc`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import closure_auc_by_bin
    >>> rng = np.random.default_rng(0)
    >>> sim, data = rng.random((2, 400, 2))
    >>> closure_auc_by_bin(sim, data, 1, bins=[0.0, 0.5, 1.0], random_state=0).auc.shape
    (2,)
    """
    X_sim, X_data = check_two_samples(X_sim, X_data, ("X_sim", "X_data"))
    weights_sim = check_weights(sample_weight_sim, len(X_sim), "sample_weight_sim")
    weights_data = check_weights(sample_weight_data, len(X_data), "sample_weight_data")
    if condition not in range(X_sim.shape[1]):
        raise ValueError(
            f"condition must be a column, 0 to {X_sim.shape[1] - 1}, got {condition!r}."
        )
    edges = _bin_edges(X_data[:, condition], bins)
    bins_sim = _bin_numbers(X_sim[:, condition], edges)
    bins_data = _bin_numbers(X_data[:, condition], edges)
    rng = check_random_state(random_state)
    closures = []
    for k in range(len(edges) - 1):
        sim, data = bins_sim == k, bins_data == k
        if min(sim.sum(), data.sum()) < _MIN_ROWS:
            raise ValueError(
                f"The bin from {edges[k]:g} to {edges[k + 1]:g} holds {sim.sum()} rows "
                f"of X_sim and {data.sum()} of X_data; use wider bins, with at least "
                f"{_MIN_ROWS} rows each."
            )
        closures.append(
            closure_auc(
                X_sim[sim],
                X_data[data],
                sample_weight_sim=weights_sim[sim],
                sample_weight_data=weights_data[data],
                n_train=n_train,
                n_bootstrap=n_bootstrap,
                random_state=rng,
            )
        )
    auc, error = np.array(closures).T
    return BinnedClosureAUC(edges, auc, error)


# Random training and test rows of one sample, with their weights.
def _split(
    X: Array, weights: Array, n_train: int, rng: RandomState, name: str
) -> list[tuple[Array, Array]]:
    rows = rng.permutation(np.flatnonzero(weights))
    if len(rows) < _MIN_ROWS:
        raise ValueError(
            f"{name} must have at least {_MIN_ROWS} rows of non-zero weight, got "
            f"{len(rows)}."
        )
    size = min(n_train, len(rows) // 2)
    return [(X[part], weights[part]) for part in (rows[:size], rows[size : 2 * size])]


# Both samples with the same total weight, whatever their sizes.
def _stack(
    sim: tuple[Array, Array], data: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
    X = np.concatenate([sim[0], data[0]])
    y = np.repeat([0.0, 1.0], [len(sim[0]), len(data[0])])
    halves = [weights / weights.sum() for _, weights in (sim, data)]
    return X, y, np.concatenate(halves) * len(y) / 2


# Only the ranks matter: jets of equal score share one, and a replica is a new set of
# weights for the same ranks.
def _bootstrap_auc(
    scores: Array, y: Array, weights: Array, n_bootstrap: int, rng: RandomState
) -> ClosureAUC:
    ranks = np.unique(scores, return_inverse=True)[1]
    auc = _weighted_auc(ranks, y, weights)
    replicas = [
        _weighted_auc(ranks, y, weights * rng.poisson(1.0, len(y)))
        for _ in range(n_bootstrap)
    ]
    return ClosureAUC(auc, float(np.std(replicas, ddof=1)))


def _weighted_auc(ranks: NDArray[np.intp], y: Array, weights: Array) -> float:
    positive = np.bincount(ranks, weights * y)
    negative = np.bincount(ranks, weights * (1 - y))
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))


def _bin_edges(values: Array, bins: int | ArrayLike) -> Array:
    if isinstance(bins, Integral):
        edges = np.quantile(values, np.linspace(0.0, 1.0, int(bins) + 1))
    else:
        edges = check_scores(bins, "bins")
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"bins must give two or more increasing edges, got {edges}.")
    return edges


def _bin_numbers(values: Array, edges: Array) -> NDArray[np.intp]:
    numbers = np.searchsorted(edges, values, side="right") - 1
    numbers[values == edges[-1]] -= 1
    return numbers
