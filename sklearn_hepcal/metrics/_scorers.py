"""Scorers for the selection of models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import make_scorer

from ._effective_sample_size import effective_sample_size
from ._rejection import background_rejection
from ._two_classes import split_classes


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
    if not 0 < efficiency <= 1:
        raise ValueError(f"efficiency must be above 0 and up to 1, got {efficiency!r}.")
    return make_scorer(
        _log_rejection,
        response_method=("decision_function", "predict_proba"),
        efficiency=efficiency,
    )


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
