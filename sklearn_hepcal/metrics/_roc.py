"""Area under the ROC curve with its statistical error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._tagging import Estimate
from ._two_classes import WeightedScores, split_classes
from ._validation import Array


def roc_auc(
    y_true: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None = None
) -> Estimate[float]:
    """Measure the area under the ROC curve and its statistical error.

    The area is the part of the pairs of a signal and a background jet in which the
    signal has the higher score; equal scores count one half. The error is DeLong's
    [1]_: the placement of a jet is the part of the other class that it wins against,
    and the variances of the two mean placements add up.

    Parameters
    ----------
    y_true : array-like of shape (n_jets,)
        Labels of two classes; the larger one is the signal.
    scores : array-like of shape (n_jets,)
        Scores, higher for the signal.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Weights of the jets, possibly signed, with a positive sum in each class. The
        area may then leave the range from 0 to 1.

    Returns
    -------
    Estimate
        The area and its error, two floats. A class of n jets adds the variance
        ``n / (n - 1) sum w^2 (placement - mean)^2 / (sum w)^2``, where jets of weight
        zero do not count. The error is NaN if a class has one jet, and 0 if the scores
        separate the classes.

    Raises
    ------
    ValueError
        If there are not two classes, or scores or weights are unusable.

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas
           under two or more correlated receiver operating characteristic curves: a
           nonparametric approach", Biometrics 44 (1988) 837.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import roc_auc
    >>> auc, error = roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> auc, round(error, 3)
    (0.75, 0.354)
    """
    signal, background = split_classes(y_true, scores, sample_weight)
    auc, signal_variance = _mean_placement(signal, background)
    _, background_variance = _mean_placement(background, signal)
    return Estimate(auc, float(np.sqrt(signal_variance + background_variance)))


# Mean placement of a class in the other one, and the variance of this mean.
def _mean_placement(
    jets: WeightedScores, others: WeightedScores
) -> tuple[float, float]:
    placements, weights = _placements(jets.scores, others), jets.weights
    mean = weights @ placements / weights.sum()
    n_jets = np.count_nonzero(weights)
    small_sample = n_jets / (n_jets - 1) if n_jets > 1 else np.nan
    squares = np.sum(weights**2 * (placements - mean) ** 2)
    return float(mean), float(small_sample * squares / weights.sum() ** 2)


def _placements(scores: Array, others: WeightedScores) -> Array:
    below = np.append(0.0, np.cumsum(others.weights))
    first, last = (
        np.searchsorted(others.scores, scores, side) for side in ("left", "right")
    )
    return (below[first] + below[last]) / (2 * below[-1])
