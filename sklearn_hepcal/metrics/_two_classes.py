"""The signal and the background of a labelled sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from ._validation import Array, check_scores, check_weights


class WeightedScores(NamedTuple):
    scores: Array
    weights: Array


# Signal, the class of the larger label, and background, both in increasing order of
# the scores. Weights may be signed.
def split_classes(
    y_true: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[WeightedScores, WeightedScores]:
    labels = column_or_1d(
        check_array(y_true, ensure_2d=False, dtype=None, input_name="y_true")
    )
    classes = np.unique(labels)
    if len(classes) != 2:
        raise ValueError(f"y_true must hold two classes, got {classes.tolist()}.")
    scores = check_scores(scores, "scores")
    check_consistent_length(labels, scores)
    weights = check_weights(sample_weight, len(scores), "sample_weight", signed=True)
    unit = np.abs(weights).max()  # in which squares are finite
    ascending = np.argsort(scores)
    scores, weights = scores[ascending], weights[ascending]
    is_signal = labels[ascending] == classes[1]
    signal, background = (
        WeightedScores(
            scores[rows],
            check_weights(weights[rows], len(rows), name, signed=True) / unit,
        )
        for rows, name in (
            (np.flatnonzero(is_signal), "sample_weight of the signal"),
            (np.flatnonzero(~is_signal), "sample_weight of the background"),
        )
    )
    return signal, background
