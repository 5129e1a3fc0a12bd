"""Calibration by numerical inversion of the response."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from ._binned_response import BinnedResponse
from ._fixed_truth import check_positive, distinct_values, log_edges, merge_bins
from ._sample_statistics import (
    check_count,
    mean_and_std,
    median_and_half_width,
    mode,
)
from ._validation import Array

_LOCATIONS = {
    "mean": lambda values, mass: mean_and_std(values, mass)[0],
    "median": lambda values, mass: median_and_half_width(values, mass)[0],
    "mode": mode,
}
_MIN_ROWS = 50
# An inverse that magnifies fluctuations by more than twenty is of no use.
_MIN_RISE = 0.05
# Points between two knots at which the rising curve is inverted.
_N_STEPS = 256


@dataclass(frozen=True, eq=False)
class NumericalInversion:
    """Calibration of predictions, the inverse of their response.

    Made by :func:`numerical_inversion`. Between the knots the response is a monotone
    cubic of the logarithm of the true value. It goes on as a power of it for half a
    knot distance beyond the first and the last knot, and is frozen from there.

    Attributes
    ----------
    true : ndarray of shape (n_bins,)
        Knots: the geometric mean true value in each bin, as far as iterations have not
        moved it.
    response : ndarray of shape (n_bins,)
        Response at the knots, by which predictions are divided.
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins of the true value, after merging.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import NumericalInversion
    >>> inversion = NumericalInversion(
    ...     true=np.array([50.0, 200.0]),
    ...     response=np.array([0.7, 0.8]),
    ...     edges=np.array([25.0, 100.0, 400.0]),
    ... )
    >>> inversion([0.7 * 50, 0.75 * 100, 0.8 * 200]).round(6)
    array([ 50., 100., 200.])
    """

    true: Array
    response: Array
    edges: Array

    def __call__(self, y_pred: ArrayLike) -> Array:
        """Calibrate predictions.

        Parameters
        ----------
        y_pred : array-like of shape (n_samples,)
            Positive predictions, in the units of the true values (GeV).

        Returns
        -------
        ndarray of shape (n_samples,)
            Calibrated values, positive and strictly increasing with the predictions.

        Raises
        ------
        ValueError
            If a prediction is not positive and finite.
        """
        predicted = check_positive(y_pred, "y_pred")
        curve = self._inverse_curve()
        inside = np.clip(np.log(predicted), curve.x[0], curve.x[-1])
        return predicted * np.exp(curve(inside) - inside)

    # Logarithm of the true value as a function of that of the prediction.
    def _inverse_curve(self) -> PchipInterpolator:
        log_true, log_predicted = self._curve()
        return PchipInterpolator(log_predicted, log_true)

    # Logarithms of true values and of the predictions they give: at fine steps between
    # the knots, and at the ends of the power laws beyond.
    def _curve(self) -> tuple[Array, Array]:
        knots = np.log([self.true, self.true * self.response])
        if len(self.true) == 1:
            log_true, log_predicted = knots + np.array([-1.0, 1.0])
            return log_true, log_predicted
        below = knots[:, 0] - np.diff(knots)[:, 0] / 2
        above = knots[:, -1] + np.diff(knots)[:, -1] / 2
        numbers = np.arange(len(self.true))
        steps = np.linspace(0, numbers[-1], numbers[-1] * _N_STEPS + 1)
        log_true = np.interp(steps, numbers, knots[0])
        response = PchipInterpolator(knots[0], self.response)(log_true)
        log_predicted = log_true + np.log(response)
        curve = np.column_stack([below, [log_true, log_predicted], above])
        return curve[0], curve[1]

    # The first of two bins between which the prediction rises too little, if any.
    def _flat_bin(self) -> int | None:
        if len(self.true) == 1:
            return None
        log_true, log_predicted = self._curve()
        rise = np.diff(log_predicted)[1:-1] / np.diff(log_true)[1:-1]
        flattest = int(np.argmin(rise))
        return None if rise[flattest] >= _MIN_RISE else flattest // _N_STEPS


def numerical_inversion(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bins: int = 12,
    location: str = "mean",
    n_iter: int = 3,
    sample_weight: ArrayLike | None = None,
) -> NumericalInversion:
    """Calibrate predictions by inverting their response at fixed true value.

    The response ``R``, a location of ``y_pred / y_true``, is measured in bins of the
    true value, so that it does not depend on the spectrum of the sample; a prediction
    is then divided by the response of the true value ``p`` for which ``R(p) p`` is
    the prediction.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Positive true values, in GeV.
    y_pred : array-like of shape (n_samples,)
        Positive predictions, in GeV.
    bins : int, default=12
        Number of bins, of equal width in the logarithm, between the extreme true
        values. A bin of fewer than 50 rows is merged with a neighbour.
    location : {"mean", "median", "mode"}, default="mean"
        Location of the response that is brought to one.
    n_iter : int, default=3
        Number of times that the calibrated response in the bins is measured and
        divided out. Without (0), the location of the calibrated response is not quite
        one, because the mean or the mode of a curved function of the predictions is
        not the function of their mean or mode; see Notes.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.

    Returns
    -------
    NumericalInversion
        Function of predictions that gives calibrated values.

    Raises
    ------
    TypeError
        If `bins` or `n_iter` is not an integer.
    ValueError
        If true values or predictions are not positive and finite, the rows do not
        match, the weights do not fit, `location` is unknown, `bins` is below 1 or
        `n_iter` below 0.

    Warns
    -----
    UserWarning
        If the predictions do not rise with the true value somewhere: ``log[R(p) p]``
        must rise by at least 5 % of the rise of ``log(p)``. Bins are merged there until
        it does, in the end to one response for all, and the calibration does not close
        within the merged bins.

    Notes
    -----
    The calibration is strictly increasing, so that it changes no order of jets, and
    takes the median of the response at one true value to that of the calibrated one:
    for ``location="median"`` iterations merely make up for the width of the bins.

    A response linear in ``log(p)`` is inverted to 1e-8 between the knots, and to 3e-5
    beyond, for 12 bins from 80 to 3000 GeV. With 40 000 jets there, of a resolution of
    25 to 5 % and a response that rises from 0.3 to 0.8, the mean in the bins of the
    sample is off by up to 2 % without iterations and by less than 0.1 % after three; a
    resolution of 30 % everywhere takes five. The mode moves with every fluctuation of
    the slope of the calibration: it stays off by about its own error, 2 % here at 25 %.

    References
    ----------
    .. [1] A. Cukierman and B. Nachman, "Mathematical properties of numerical inversion
       for jet calibrations", Nucl. Instrum. Meth. A 858 (2017) 1. arXiv:1609.05195.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import numerical_inversion
    >>> rng = np.random.default_rng(0)
    >>> true = np.exp(rng.uniform(np.log(50), np.log(2000), size=20_000))
    >>> response = 0.6 + 0.03 * np.log(true)
    >>> measured = true * response * rng.normal(1.0, 0.1, size=20_000)
    >>> calibrate = numerical_inversion(true, measured)
    >>> print(f"{np.mean(measured / true):.3f}")
    0.773
    >>> print(f"{np.mean(calibrate(measured) / true):.3f}")
    1.000
    """
    if location not in _LOCATIONS:
        raise ValueError(
            f"location must be one of {tuple(_LOCATIONS)}, got {location!r}."
        )
    check_count(bins, "bins", 1)
    check_count(n_iter, "n_iter", 0)
    true, predicted = check_positive(y_true, "y_true"), check_positive(y_pred, "y_pred")

    def measure(values: Array, edges: Array | None) -> BinnedResponse:
        return BinnedResponse.of(true, values, "ratio", edges, sample_weight)

    (weighted,) = measure(predicted, None).true
    edges = log_edges(weighted.min(), weighted.max(), bins)
    edges = merge_bins(edges, weighted, _MIN_ROWS)
    inversion = _of_bins(measure(predicted, edges), location)
    flat = inversion._flat_bin()
    if flat is not None:
        warnings.warn(
            "y_pred does not rise with y_true everywhere, bins are merged and the "
            "calibration does not close there; give a prediction that follows y_true "
            f"(around {inversion.true[flat]:g}), fewer bins or more rows.",
            UserWarning,
            stacklevel=2,
        )
    while flat is not None:
        edges = np.delete(inversion.edges, flat + 1)
        inversion = _of_bins(measure(predicted, edges), location)
        flat = inversion._flat_bin()
    for _ in range(n_iter):
        binned = measure(inversion(predicted), inversion.edges)
        closure = _of_bins(binned, location).response
        # At the knots the same predictions get a better true value.
        refined = replace(
            inversion,
            true=inversion.true / closure,
            response=inversion.response * closure,
        )
        if (np.diff(refined.true) <= 0).any() or refined._flat_bin() is not None:
            break
        inversion = refined
    return inversion


# Return what divides predictions by the response in each bin.
def _of_bins(binned: BinnedResponse, location: str) -> NumericalInversion:
    locate = _LOCATIONS[location]
    response = [locate(*distinct_values(*rows)) for rows in binned]
    pairs = zip(binned.true, binned.weights, strict=True)
    log_true = [np.average(np.log(true), weights=w) for true, w in pairs]
    return NumericalInversion(np.exp(log_true), np.array(response), binned.edges)
