"""Scorers that select a jet calibration, and how to select with several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, column_or_1d

from .._event_pairs import check_event_id, find_pairs
from ._binned_response import BinnedResponse
from ._fixed_truth import (
    check_positive,
    distinct_values,
    log_edges,
    merge_bins,
    slope_and_resolution,
)
from ._routed_scorer import RoutedScorer
from ._sample_statistics import median_and_half_width, quantiles
from ._validation import Array, check_weights

_N_BINS = 9
_RANGE = np.array([0.01, 0.99])
_MIN_ROWS = 20
_MIN_PAIRS = 20
# Candidates that an error lists.
_N_NEAREST = 3


class _Labelled(NamedTuple):
    """Labelled rows of non-zero weight: their places, and one entry each."""

    rows: NDArray[np.intp]
    true: Array
    predicted: Array
    weights: Array

    @classmethod
    def of(
        cls, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> _Labelled:
        target = column_or_1d(y, dtype=np.float64)
        weights = check_weights(sample_weight, len(target), "sample_weight")
        rows = np.flatnonzero(~np.isnan(target) & (weights > 0))
        if len(rows) == 0:
            raise ValueError(
                "y must have labelled rows (true momenta that are not NaN, of positive "
                f"weight), got none of {len(target)}; split so that each part has some."
            )
        true = check_positive(target[rows], "y")
        predicted = column_or_1d(
            _predict(estimator, _safe_indexing(X, rows)), dtype=np.float64
        )
        return cls(rows, true, predicted, weights[rows])

    # Whether all predictions are momenta.
    @property
    def usable(self) -> bool:
        return bool((np.isfinite(self.predicted) & (self.predicted > 0)).all())

    # The bins depend on nothing but the true values, the same for all estimators.
    def bins(self) -> BinnedResponse:
        low, high = quantiles(*distinct_values(self.true, self.weights), _RANGE)
        edges = merge_bins(log_edges(low, high, _N_BINS), self.true, _MIN_ROWS, 2)
        binned = BinnedResponse.of(
            self.true, self.predicted, "ratio", edges, self.weights
        )
        # After merging, only a bin that is left alone can lack them.
        if binned.n_rows[0] < _MIN_ROWS or np.ptp(binned.true[0]) == 0:
            raise ValueError(
                f"y must have at least {_MIN_ROWS} labelled rows, of different true "
                f"momenta, between its 1 % and 99 % quantiles, got {binned.n_rows[0]}; "
                "make fewer splits."
            )
        return binned


# Predict as in simulation: a correction found in unlabelled data is wrong there. A
# pipeline cannot pass this wish on without it being requested, and a search never.
def _predict(estimator: Any, X: Any) -> Any:
    if hasattr(estimator, "best_estimator_"):
        return _predict(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        before, last = estimator[:-1], estimator[-1]
        return _predict(last, before.transform(X) if len(before) else X)
    if "insitu" in signature(estimator.predict).parameters:
        return estimator.predict(X, insitu=False)
    return estimator.predict(X)


class _JERScorer(RoutedScorer):
    """Score a calibration by its resolution at fixed true momentum.

    ``jer_score(estimator, X, y, *, sample_weight=None)`` is minus the mean resolution
    ``jer`` of :func:`closure_table` over nine bins, of equal width in the logarithm,
    between the 1 % and 99 % quantiles of the true momentum; bins of fewer than 20
    rows are merged with a neighbour. It is to be used as ``scoring`` in a search or a
    cross-validation.

    The width is divided by the slope of the predictions, so that shrinking them gains
    nothing: a constant scores minus infinity, as does a prediction with a momentum that
    is not positive and finite. Note that scikit-learn's searches warn of such scores.
    A resolution does not tell whether the calibration closes: take
    :data:`closure_score` along, and :func:`best_resolution` to select with both.

    Rows whose `y` is NaN (unlabelled) are ignored. The labelled ones are predicted
    with ``insitu=False`` if the estimator has this parameter, also as the last step of
    a pipeline or as the best estimator of a search. Rows that cannot be scored (fewer
    than 20 labelled ones, or of a single true momentum) raise a ValueError.

    With metadata routing weights are requested by
    ``jer_score.set_score_request(sample_weight=True)``, which returns a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_hepcal.metrics import jer_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.exp(rng.uniform(np.log(50), np.log(800), size=10_000))
    >>> X = np.log(y)[:, None] + rng.normal(0.0, 0.1, size=(10_000, 2))
    >>> model = TransformedTargetRegressor(
    ...     LinearRegression(), func=np.log, inverse_func=np.exp
    ... )
    >>> cross_val_score(model, X, y, scoring=jer_score, cv=3).round(2)
    array([-0.07, -0.07, -0.07])
    """

    _name = "jer_score"

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        labelled = _Labelled.of(estimator, X, y, sample_weight)
        if not labelled.usable:
            return -np.inf
        binned = labelled.bins()
        columns = zip(binned.true, binned.response, binned.weights, strict=True)
        widths = [
            slope_and_resolution(np.log(true), np.log(true * response), weights)[1]
            for true, response, weights in columns
        ]
        return -float(np.mean(widths))


class _ClosureScorer(RoutedScorer):
    """Score a calibration by its closure at fixed true momentum.

    ``closure_score(estimator, X, y, *, sample_weight=None)`` is minus the largest
    ``abs(mean(y_pred / y) - 1)`` in the bins of :data:`jer_score`, whose docstring
    tells which rows count and how they are predicted. It is minus infinity for a
    prediction with a momentum that is not positive and finite.

    Being a maximum over bins of finite samples it is never quite zero: for a
    calibration without any fault, of resolution ``s`` and with ``n`` rows a bin, it is
    about ``-2 s / sqrt(n)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_hepcal.metrics import closure_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.exp(rng.uniform(np.log(50), np.log(800), size=10_000))
    >>> X = np.zeros((10_000, 1))
    >>> print(f"{closure_score(DummyRegressor().fit(X, y), X, y):.1f}")
    -3.5
    """

    _name = "closure_score"

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        labelled = _Labelled.of(estimator, X, y, sample_weight)
        if not labelled.usable:
            return -np.inf
        means = [np.average(rows, weights=w) for rows, w in labelled.bins()]
        return -float(np.max(np.abs(np.array(means) - 1)))


class _AsymmetryScorer(RoutedScorer):
    """Score a calibration by the asymmetry it leaves between the jets of an event.

    ``asymmetry_score(estimator, X, y, *, sample_weight=None, event_id=None)`` is the
    width of ``log(c1 / c2)`` over that of ``log(t1 / t2)``, of the calibrated and of
    the true momenta of the two jets of an event: half the width of the central 68.27 %
    with both orders of the jets. It is minus infinity for a prediction with a momentum
    that is not positive and finite.

    This is a check and not a goal. Jets of an event never balance perfectly, and a
    measurement adds its resolution, so that an honest calibration scores above one. A
    score below one betrays a calibration that shrinks, or that has learnt to undo the
    imbalance of the event; a constant scores zero. Above one, a higher score is a worse
    resolution: select with :func:`best_resolution`.

    Jets of the same `event_id` make a pair if just two of them are labelled; -1 stands
    for a jet without a partner. Split by event, as GroupKFold does, or pairs are torn
    apart. Fewer than 20 pairs raise a ValueError. A pair has the mean weight of its
    jets. See :data:`jer_score` for the rows that count and how they are predicted.

    Searches and cross-validations pass `event_id` on only with scikit-learn's metadata
    routing enabled, if it is requested by
    ``asymmetry_score.set_score_request(event_id=True)``, which returns a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_hepcal.metrics import asymmetry_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(np.exp(rng.uniform(4.0, 7.0, size=1000)), 2)
    >>> y *= np.exp(rng.normal(0.0, 0.1, size=2000))
    >>> X, event_id = np.zeros((2000, 1)), np.repeat(np.arange(1000), 2)
    >>> asymmetry_score(DummyRegressor().fit(X, y), X, y, event_id=event_id)
    0.0
    """

    _name = "asymmetry_score"
    _metadata = ("event_id", "sample_weight")

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        event_id: ArrayLike | None = None,
    ) -> float:
        if event_id is None:
            raise ValueError(
                "asymmetry_score needs event_id, the numbers of the events that pair "
                "the jets; in a search or cross-validation enable metadata routing, "
                "score with asymmetry_score.set_score_request(event_id=True) and pass "
                "event_id to fit (to `params` of a cross-validation)."
            )
        labelled = _Labelled.of(estimator, X, y, sample_weight)
        first, second = _pairs(event_id, len(np.asarray(y)), labelled.rows)
        if not labelled.usable:
            return -np.inf
        weights = (labelled.weights[first] + labelled.weights[second]) / 2

        def width(values: Array) -> float:
            log_ratio = np.log(values[first] / values[second])
            both = np.concatenate([log_ratio, -log_ratio])
            sample = distinct_values(both, np.concatenate([weights, weights]))
            return median_and_half_width(*sample)[1]

        true_width = width(labelled.true)
        if true_width == 0:
            raise ValueError(
                "y must differ between the two jets of an event: without any imbalance "
                "of the true momenta there is no asymmetry to compare with."
            )
        return width(labelled.predicted) / true_width


# Places, among the labelled rows, of the two jets of each event.
def _pairs(
    event_id: ArrayLike, n_rows: int, labelled: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    events = check_event_id(event_id, n_rows)[labelled]
    pairs = find_pairs(events, np.ones(len(events), dtype=bool))
    if len(pairs.first) < _MIN_PAIRS:
        raise ValueError(
            f"event_id must pair the jets of at least {_MIN_PAIRS} labelled events, "
            f"got {len(pairs.first)}; split by event, as GroupKFold does, into fewer "
            "parts."
        )
    return pairs


jer_score = _JERScorer()
closure_score = _ClosureScorer()
asymmetry_score = _AsymmetryScorer()


def best_resolution(
    *,
    closure_tol: float = 0.01,
    asymmetry_tol: float = 0.02,
    jer: str = "jer",
    closure: str = "closure",
    asymmetry: str | None = None,
) -> Callable[[Mapping[str, Any]], int]:
    """Make a ``refit`` that selects the best resolution among honest calibrations.

    For a search with several scorers, such as ``scoring={"jer": jer_score, "closure":
    closure_score}``: the best mean score `jer` over the folds among the candidates that
    pass the limits on the others.

    Parameters
    ----------
    closure_tol : float, default=0.01
        The mean of :data:`closure_score` over the folds must be above minus this.
    asymmetry_tol : float, default=0.02
        The mean of :data:`asymmetry_score` must be at least one minus this.
    jer : str, default="jer"
        Name of :data:`jer_score` in ``scoring``.
    closure : str, default="closure"
        Name of :data:`closure_score`.
    asymmetry : str or None, default=None
        Name of :data:`asymmetry_score`, or None for no such limit.

    Returns
    -------
    callable
        Function of the ``cv_results_`` of a search that gives the index of the best
        candidate. It raises a ValueError that lists the nearest candidates if none
        passes, or if a scorer of the given name was not used.

    Raises
    ------
    ValueError
        If `closure_tol` is not positive or `asymmetry_tol` is negative.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import best_resolution
    >>> results = {
    ...     "params": [{"alpha": 0.1}, {"alpha": 1.0}, {"alpha": 10.0}],
    ...     "mean_test_jer": [-0.08, -0.06, -0.05],
    ...     "mean_test_closure": [-0.004, -0.006, -0.2],
    ... }
    >>> best_resolution(closure_tol=0.01)(results)
    1
    """
    if not closure_tol > 0:
        raise ValueError(f"closure_tol must be positive, got {closure_tol!r}.")
    if not asymmetry_tol >= 0:
        raise ValueError(f"asymmetry_tol must not be negative, got {asymmetry_tol!r}.")
    return _BestResolution(closure_tol, asymmetry_tol, jer, closure, asymmetry)


@dataclass(frozen=True)
class _BestResolution:
    closure_tol: float
    asymmetry_tol: float
    jer: str
    closure: str
    asymmetry: str | None

    def __call__(self, cv_results: Mapping[str, Any]) -> int:
        jer = self._mean(cv_results, self.jer)
        closure = -self._mean(cv_results, self.closure)
        passes = np.isfinite(jer) & (closure < self.closure_tol)
        excess = np.maximum(closure - self.closure_tol, 0)
        scores = {self.jer: jer, self.closure: -closure}
        if self.asymmetry is not None:
            asymmetry = self._mean(cv_results, self.asymmetry)
            passes &= asymmetry >= 1 - self.asymmetry_tol
            excess = excess + np.maximum(1 - self.asymmetry_tol - asymmetry, 0)
            scores[self.asymmetry] = asymmetry
        if not passes.any():
            raise ValueError(self._failure(cv_results["params"], excess, scores))
        return int(np.argmax(np.where(passes, jer, -np.inf)))

    def _mean(self, cv_results: Mapping[str, Any], name: str) -> Array:
        key = f"mean_test_{name}"
        if key not in cv_results:
            raise ValueError(
                f"The search must score {name!r}, got no {key!r}; pass a dict of "
                "scorers as scoring, and their names to best_resolution."
            )
        return np.asarray(cv_results[key], dtype=np.float64)

    def _failure(
        self, params: list[Any], excess: Array, scores: Mapping[str, Array]
    ) -> str:
        limits = f"{self.closure!r} above {-self.closure_tol:g}"
        if self.asymmetry is not None:
            limits += f" and {self.asymmetry!r} of at least {1 - self.asymmetry_tol:g}"
        nearest = [
            f"{params[k]} with "
            + ", ".join(f"{name} = {score[k]:.4g}" for name, score in scores.items())
            for k in np.argsort(excess, kind="stable")[:_N_NEAREST]
        ]
        return (
            f"No candidate has a finite {self.jer!r} and {limits}. The nearest are: "
            f"{'; '.join(nearest)}. Loosen the limits or search elsewhere."
        )
