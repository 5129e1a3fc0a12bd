"""Discriminants and working points of flavour taggers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._flavours import default_fractions, flavour, label_list
from ._validation import Array, check_matrix, check_scores, check_weights

T = TypeVar("T", float, Array)


class Estimate(NamedTuple, Generic[T]):
    """Values with their statistical errors.

    Attributes
    ----------
    value : float or ndarray of shape (n_cuts,)
        The value, or the values at several cuts.
    error : float or ndarray of shape (n_cuts,)
        One standard deviation each.
    """

    value: T
    error: T


def discriminant(
    proba: ArrayLike,
    *,
    signal: Hashable = "b",
    fractions: Mapping[Any, float] | None = None,
    order: Sequence[Any] | NDArray[Any] = ("u", "c", "b"),
    epsilon: float = 0.0,
) -> Array:
    """Compute the log-likelihood ratio of one flavour against a mix of the others.

    For b jets it is ``D_b = log[p_b / (f_c p_c + f_u p_u)]``.

    Parameters
    ----------
    proba : array-like of shape (n_jets, n_classes)
        Non-negative class probabilities. Only their ratios matter without `epsilon`.
    signal : hashable, default="b"
        Label of the class in the numerator. Spellings of a flavour are the same label,
        here, in `fractions` and in `order`: "u", "light", "ujets" and 0; "c", "cjets"
        and 4; "b", "bjets" and 5; "tau", "taujets" and 15.
    fractions : mapping of label to float, or None, default=None
        Fraction of every other class in the denominator; non-negative, sum one. None
        takes 0.2 of c for signal b and 0.2 of b for signal c, 0.05 of tau if it has a
        column, and light jets for the rest. For other signals, with other classes or
        without light jets, it takes equal fractions.
    order : sequence of labels, default=("u", "c", "b")
        Labels of the columns of `proba`, such as the ``classes_`` of a classifier.
    epsilon : float, default=0.0
        Number that is added to the numerator and to the denominator. The software of
        ATLAS [1]_ adds 1e-10.

    Returns
    -------
    ndarray of shape (n_jets,)
        Finite discriminant: a probability of zero counts as the smallest positive
        normal float.

    Raises
    ------
    ValueError
        If the columns do not match `order`, a probability or `epsilon` is negative, or
        the fractions are not those of the other classes.

    References
    ----------
    .. [1] atlas-ftag-tools, https://github.com/umami-hep/atlas-ftag-tools

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import discriminant
    >>> proba = [[0.25, 0.25, 0.5], [0.8, 0.1, 0.1]]
    >>> discriminant(proba).round(3)
    array([ 0.693, -1.887])
    >>> discriminant(proba, signal=4, order=[0, 4, 5]).round(3)
    array([-0.182, -1.887])
    """
    p = check_matrix(proba, "proba")
    labels = label_list(order)
    if p.shape[1] != len(labels):
        raise ValueError(f"proba has {p.shape[1]} columns, but order is {labels}.")
    if (p < 0).any():
        raise ValueError(f"proba must not be negative, got {p.min():g}.")
    if not 0 <= epsilon < np.inf:
        raise ValueError(f"epsilon must not be negative or infinite, got {epsilon!r}.")
    column, mix = signal_and_mix(signal, fractions, labels)
    tiny = np.finfo(np.float64).tiny
    numerator: Array = np.maximum(p[:, column] + epsilon, tiny)
    # The difference of logarithms does not overflow, as the ratio would.
    return np.log(numerator) - np.log(np.maximum(p @ mix + epsilon, tiny))


def working_point_cuts(
    scores: ArrayLike,
    efficiencies: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Find the cuts on a score that a given part of the jets passes.

    A jet passes if its score is equal to or above the cut. The cut is the largest score
    of the sample at which at least the wanted part passes.

    Parameters
    ----------
    scores : array-like of shape (n_jets,)
        Scores of the jets that define the working points.
    efficiencies : array-like of shape (n_cuts,)
        Wanted efficiencies, above 0 and up to 1.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Non-negative weights of the jets.

    Returns
    -------
    ndarray of shape (n_cuts,)
        Cuts in the order of `efficiencies`.

    Raises
    ------
    ValueError
        If an efficiency is outside (0, 1], or scores or weights are unusable.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import working_point_cuts
    >>> working_point_cuts([1.0, 2.0, 3.0, 4.0, 5.0], [0.4, 1.0])
    array([4., 1.])
    """
    scores = check_scores(scores, "scores")
    weights = check_weights(sample_weight, len(scores), "sample_weight")
    wanted = check_scores(np.atleast_1d(efficiencies), "efficiencies")
    if (wanted <= 0).any() or (wanted > 1).any():
        raise ValueError(f"efficiencies must be above 0 and up to 1, got {wanted}.")
    scores, weights = scores[weights > 0], weights[weights > 0]
    descending = np.argsort(-scores)
    passing = np.cumsum(weights[descending])
    passing /= passing[-1]
    # 0.7 of ten jets are seven, whatever the rounding of the two numbers.
    rows = np.searchsorted(passing, wanted * (1 - 1e-12))
    return scores[descending[rows]]


def efficiency(
    scores: ArrayLike,
    cuts: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Estimate[Array]:
    """Measure the part of the jets that passes cuts on a score.

    Parameters
    ----------
    scores : array-like of shape (n_jets,)
        Scores; a jet passes if its score is equal to or above the cut.
    cuts : array-like of shape (n_cuts,)
        The cuts.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Weights of the jets, possibly signed, with a positive sum.

    Returns
    -------
    Estimate
        Efficiencies and their errors: the binomial ``sqrt(e (1 - e) / n)`` without
        weights, else ``sqrt(sum w^2 (pass - e)^2) / sum w``. The error is 0 if no
        jet or every jet passes.

    Raises
    ------
    ValueError
        If scores, cuts or weights are unusable.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import efficiency
    >>> efficiency([1.0, 2.0, 3.0, 4.0], [3.0])
    Estimate(value=array([0.5]), error=array([0.25]))
    """
    scores = check_scores(scores, "scores")
    cuts = check_scores(np.atleast_1d(cuts), "cuts")
    weights = check_weights(sample_weight, len(scores), "sample_weight", signed=True)
    ascending = np.argsort(scores)
    first = np.searchsorted(scores[ascending], cuts)
    sums, squares = (_tail_sums(w[ascending]) for w in (weights, weights**2))
    value = sums[first] / sums[0]
    passed, failed = squares[first], squares[0] - squares[first]
    error = np.sqrt(passed * (1 - value) ** 2 + failed * value**2) / sums[0]
    return Estimate(value, error)


def efficiency_ratio(
    scores_num: ArrayLike,
    scores_den: ArrayLike,
    cuts: ArrayLike,
    *,
    sample_weight_num: ArrayLike | None = None,
    sample_weight_den: ArrayLike | None = None,
) -> Estimate[Array]:
    """Measure the ratio of the efficiencies of two independent samples.

    Parameters
    ----------
    scores_num, scores_den : array-like of shape (n_num,) and (n_den,)
        Scores of the jets in the numerator and in the denominator.
    cuts : array-like of shape (n_cuts,)
        The cuts; a jet passes if its score is equal to or above the cut.
    sample_weight_num, sample_weight_den : array-like or None, default=None
        Weights of the jets, possibly signed, with a positive sum.

    Returns
    -------
    Estimate
        Ratios and their errors, propagated to first order; NaN where no jet of the
        denominator passes.

    Raises
    ------
    ValueError
        If scores, cuts or weights are unusable.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import efficiency_ratio
    >>> efficiency_ratio([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 4.0], [3.0]).value
    array([2.])
    """
    num = efficiency(scores_num, cuts, sample_weight_num)
    den = efficiency(scores_den, cuts, sample_weight_den)
    passed = np.where(den.value == 0, np.nan, den.value)
    ratio = num.value / passed
    return Estimate(ratio, np.hypot(num.error, ratio * den.error) / passed)


# Column of the signal, and the fractions of all columns, zero for the signal.
def signal_and_mix(
    signal: Hashable, fractions: Mapping[Any, float] | None, labels: list[Any]
) -> tuple[int, Array]:
    names = [flavour(label) for label in labels]
    if len(set(names)) < len(names):
        raise ValueError(f"order must not name a class twice, got {labels}.")
    if flavour(signal) not in names:
        raise ValueError(f"signal must be one of {labels}, got {signal!r}.")
    column = names.index(flavour(signal))
    background = names[:column] + names[column + 1 :]
    if fractions is None:
        parts = default_fractions(names[column], background)
    else:
        parts = {flavour(label): part for label, part in fractions.items()}
        if set(parts) != set(background) or len(parts) < len(fractions):
            raise ValueError(
                "fractions must name the classes "
                f"{labels[:column] + labels[column + 1 :]} once each, got "
                f"{list(fractions)}."
            )
    mix = np.array([parts.get(name, 0.0) for name in names])
    if not (mix >= 0).all() or not np.isclose(mix.sum(), 1.0):
        raise ValueError(f"fractions must be non-negative and sum to 1, got {parts}.")
    return column, mix


# Sums over an entry and all that follow; one more entry for the empty tail.
def _tail_sums(values: Array) -> Array:
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)
