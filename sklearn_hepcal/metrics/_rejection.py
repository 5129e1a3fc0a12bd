"""Background rejection at fixed signal efficiency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._tagging import Estimate, efficiency, working_point_cuts
from ._two_classes import WeightedScores, split_classes
from ._validation import Array, check_scores, check_weights

# Reach, in standard errors of the signal efficiency, of the window around a working
# point in which the slope of the ROC curve is measured: wide enough to hold jets,
# narrow enough to be straight.
_REACH = 2.0


def background_rejection(
    y_true: ArrayLike,
    scores: ArrayLike,
    efficiencies: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Estimate[Array]:
    """Measure the background rejection at fixed signal efficiencies.

    The rejection is one over the part of the background that passes the cut of
    :func:`working_point_cuts` on the signal. Its error has two sources: the number of
    background jets that pass, and the cut, which fluctuates with the signal sample.
    The latter is the error of the signal efficiency at the cut times the slope of the
    ROC curve [1]_, measured between the cuts two standard errors of the signal
    efficiency below and above the working point.

    Parameters
    ----------
    y_true : array-like of shape (n_jets,)
        Labels of two classes; the larger one is the signal.
    scores : array-like of shape (n_jets,)
        Scores, higher for the signal; a jet passes if its score is equal to or above
        the cut.
    efficiencies : array-like of shape (n_cuts,)
        Wanted signal efficiencies, above 0 and up to 1.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Weights of the jets with a positive sum in each class. Those of the background
        may be signed; those of the signal define the cuts and must not be negative.

    Returns
    -------
    Estimate
        Rejections and their errors, propagated to first order. Both are infinite where
        no background jet passes, or where those that pass have no positive sum of
        weights: the sample then only tells that the rejection is not much below the
        number of background jets. The error of a cut that every signal jet passes is
        not known and counts 0.

    Raises
    ------
    ValueError
        If there are not two classes, an efficiency is outside (0, 1], or scores or
        weights are unusable.

    References
    ----------
    .. [1] F. Hsieh and B. W. Turnbull, "Nonparametric and semiparametric estimation of
           the receiver operating characteristic curve", Ann. Statist. 24 (1996) 25.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import background_rejection
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 1000)
    >>> rejection, error = background_rejection(y, rng.normal(y), [0.3, 0.5])
    >>> rejection.round(1)
    array([20.4,  6.7])
    >>> error.round(1)
    array([3.1, 0.7])
    """
    signal, background = split_classes(y_true, scores, sample_weight)
    check_weights(signal.weights, len(signal.weights), "sample_weight of the signal")
    wanted = check_scores(np.atleast_1d(efficiencies), "efficiencies")
    cuts = working_point_cuts(signal.scores, wanted, signal.weights)
    passing = efficiency(background.scores, cuts, background.weights)
    cut_error = _cut_error(signal, background, wanted, cuts)
    # A passing part of zero makes infinities without a division by zero.
    measured = passing.value > 0
    part = np.where(measured, passing.value, 1.0)
    error = np.hypot(passing.error, cut_error) / part**2
    return Estimate(
        np.where(measured, 1 / part, np.inf), np.where(measured, error, np.inf)
    )


# Error of the background efficiency from the scatter of the cuts.
def _cut_error(
    signal: WeightedScores, background: WeightedScores, wanted: Array, cuts: Array
) -> Array:
    error = efficiency(signal.scores, cuts, signal.weights).error
    window = np.stack([wanted - _REACH * error, wanted + _REACH * error])
    levels = window.clip(np.finfo(np.float64).tiny, 1.0).ravel()
    edges = working_point_cuts(signal.scores, levels, signal.weights)
    gained_signal, gained_background = (
        np.diff(efficiency(*side).value.reshape(window.shape), axis=0)[0]
        for side in (
            (signal.scores, edges, signal.weights),
            (background.scores, edges, background.weights),
        )
    )
    # Without signal between the edges they are the same cut, which does not move.
    return error * gained_background / np.where(gained_signal > 0, gained_signal, 1.0)
