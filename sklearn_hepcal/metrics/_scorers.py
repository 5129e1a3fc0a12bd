"""Scorers for the selection of models."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import make_scorer
from sklearn.utils import _safe_indexing

from .._flavours import flavour, has_flavour
from ._effective_sample_size import effective_sample_size
from ._rejection import background_rejection
from ._routed_scorer import RoutedScorer
from ._tagging import discriminant
from ._two_classes import split_classes
from ._validation import check_weights


def make_log_rejection_scorer(efficiency: float = 0.5) -> Any:
    """Make a scorer of the background rejection at a fixed signal efficiency.

    The score is the natural logarithm of the rejection, so that the mean over folds is
    not ruled by the fold in which the fewest background jets pass. It is always finite
    and rises with every background jet that is rejected: of n background jets, of which
    k pass, it is ``-log[(k + 1/2) / (n + 1)]``, at most ``log[2 (n + 1)]``. With
    weights n is the effective sample size of the background.

    Parameters
    ----------
    efficiency : float, default=0.5
        Signal efficiency, above 0 and up to 1. The signal is the larger of two labels.

    Returns
    -------
    callable
        Scorer with signature ``scorer(estimator, X, y, *, sample_weight=None)`` for
        classifiers with a ``decision_function`` or else ``predict_proba``. Weights are
        those of :func:`background_rejection`; request them in a search or a
        cross-validation by ``set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If the efficiency is outside (0, 1].

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_hepcal.metrics import make_log_rejection_scorer
    >>> X, y = make_classification(500, random_state=0)
    >>> scorer = make_log_rejection_scorer(efficiency=0.8)
    >>> scores = cross_val_score(LogisticRegression(), X, y, scoring=scorer)
    >>> scores.shape
    (5,)
    """
    _check_efficiency(efficiency)
    return make_scorer(
        _log_rejection,
        response_method=("decision_function", "predict_proba"),
        efficiency=efficiency,
    )


def make_tagging_scorer(
    signal: Hashable,
    background: Hashable | None = None,
    efficiency: float = 0.77,
    fractions: Mapping[Any, float] | None = None,
) -> Any:
    """Make a scorer of a tagger with several classes by one rejection.

    The score is that of :func:`make_log_rejection_scorer` for the
    :func:`discriminant` of the class probabilities.

    Parameters
    ----------
    signal : hashable
        Label of the signal; spellings of a flavour are those of :func:`discriminant`.
    background : hashable or None, default=None
        Label of the background. Jets of further classes do not count. None takes all
        jets that are not the signal.
    efficiency : float, default=0.77
        Signal efficiency, above 0 and up to 1.
    fractions : mapping of label to float, or None, default=None
        Fractions in the discriminant of all classes but the signal; None takes the
        default ones of :func:`discriminant`.

    Returns
    -------
    callable
        Scorer with signature ``scorer(estimator, X, y, *, sample_weight=None)`` for
        classifiers with ``predict_proba`` and ``classes_``. It pickles. Weights are
        those of :func:`background_rejection`; request them in a search or a
        cross-validation by ``set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If the efficiency is outside (0, 1], or signal and background are the same. The
        scorer raises one if a class has no jets, or no column in the probabilities.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_hepcal.metrics import make_tagging_scorer
    >>> X, y = make_classification(600, n_informative=4, n_classes=3, random_state=0)
    >>> scorer = make_tagging_scorer(signal=2, background=1)
    >>> cross_val_score(LogisticRegression(), X, y, scoring=scorer).shape
    (5,)
    """
    _check_efficiency(efficiency)
    if background is not None and flavour(background) == flavour(signal):
        raise ValueError(
            f"background must differ from signal, got {background!r} and {signal!r}."
        )
    return _TaggingScorer(signal, background, efficiency, fractions)


class _TaggingScorer(RoutedScorer):
    def __init__(
        self,
        signal: Hashable,
        background: Hashable | None,
        efficiency: float,
        fractions: Mapping[Any, float] | None,
    ) -> None:
        super().__init__()
        self._signal = signal
        self._background = background
        self._efficiency = efficiency
        self._fractions = None if fractions is None else dict(fractions)
        self._name = (
            f"make_tagging_scorer({signal!r}, {background!r}, {efficiency!r}, "
            f"{self._fractions!r})"
        )

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        is_signal = has_flavour(y, self._signal, "y")
        if self._background is None:
            is_background = ~is_signal
        else:
            is_background = has_flavour(y, self._background, "y")
        for name, label, members in (
            ("signal", self._signal, is_signal),
            ("background", self._background, is_background),
        ):
            if not members.any():
                raise ValueError(f"y has no jets of the {name}, {label!r}.")
        rows = np.flatnonzero(is_signal | is_background)
        weights = check_weights(
            sample_weight, len(is_signal), "sample_weight", signed=True
        )
        scores = discriminant(
            estimator.predict_proba(_safe_indexing(X, rows)),
            signal=self._signal,
            fractions=self._fractions,
            order=estimator.classes_,
        )
        return _log_rejection(
            is_signal[rows],
            scores,
            efficiency=self._efficiency,
            sample_weight=weights[rows],
        )


def _check_efficiency(efficiency: float) -> None:
    if not 0 < efficiency <= 1:
        raise ValueError(f"efficiency must be above 0 and up to 1, got {efficiency!r}.")


def _log_rejection(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    efficiency: float,
    sample_weight: ArrayLike | None = None,
) -> float:
    rejection = background_rejection(y_true, y_score, [efficiency], sample_weight)
    _, background = split_classes(y_true, y_score, sample_weight)
    n_jets = effective_sample_size(background.weights)
    n_passing = n_jets / rejection.value[0]
    return float(-np.log((n_passing + 0.5) / (n_jets + 1)))
