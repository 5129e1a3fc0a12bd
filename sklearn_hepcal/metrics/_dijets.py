"""Balance of the two jets of an event, and the events where it can be measured."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from ._validation import Array, check_scores

_KINDS = ("linear", "log")
# pi in single precision is larger than pi.
_MAX_DPHI = np.pi + 1e-6
_DPHI_FACTOR = 1.2


def check_pt(pt: ArrayLike, name: str) -> Array:
    """Check transverse momenta.

    Parameters
    ----------
    pt : array-like of shape (n_samples,)
        Transverse momenta in GeV.
    name : str
        Name of the argument, for the error.

    Returns
    -------
    array of shape (n_samples,)
        The momenta.

    Raises
    ------
    ValueError
        If one is not finite and positive.
    """
    checked = check_scores(pt, name)
    if (checked <= 0).any():
        raise ValueError(f"{name} must be positive, got {checked.min():g}.")
    return checked


def dijet_asymmetry(
    pt_1: ArrayLike,
    pt_2: ArrayLike,
    *,
    kind: str = "linear",
    random_state: int | RandomState | None = 0,
) -> Array:
    """Compute the asymmetry of the transverse momenta of two jets.

    It is ``(pt_ref - pt_probe) / pt_avg`` or ``log(pt_ref / pt_probe)``. Which jet of
    an event is the reference is drawn at random: jets ordered in their measured pt
    would have asymmetries of one sign, and jets ordered in anything that knows the pt
    a biased mean.

    Parameters
    ----------
    pt_1, pt_2 : array-like of shape (n_events,)
        Transverse momenta of the two jets in GeV; their order does not matter.
    kind : {"linear", "log"}, default="linear"
        Divide the difference by the mean of the two, or take the logarithm of the
        ratio, to which the errors of the two jets add exactly.
    random_state : int, RandomState instance or None, default=0
        Seed of the random choice.

    Returns
    -------
    ndarray of shape (n_events,)
        The asymmetries, between -2 and 2 if linear.

    Raises
    ------
    ValueError
        If a momentum is not finite and positive, the lengths differ or `kind` is
        unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import dijet_asymmetry
    >>> np.abs(dijet_asymmetry([110.0, 200.0], [90.0, 200.0]))
    array([0.2, 0. ])
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
    first, second = check_pt(pt_1, "pt_1"), check_pt(pt_2, "pt_2")
    _check_lengths(pt_1=first, pt_2=second)
    sign = check_random_state(random_state).choice([-1.0, 1.0], size=len(first))
    if kind == "log":
        return sign * np.log(first / second)
    return sign * 2 * (first - second) / (first + second)


def dijet_activity(
    pt_1: ArrayLike, pt_2: ArrayLike, dphi: ArrayLike, jet3_pt: ArrayLike
) -> Array:
    """Compute how far an event is from two jets back to back.

    Radiation that unbalances the jets is a third jet or turns the two away from each
    other: the activity is ``hypot(jet3_pt / pt_avg, 1.2 (pi - abs(dphi)))``. The
    factor makes the two terms alike for a soft emission that is not reconstructed.

    Parameters
    ----------
    pt_1, pt_2 : array-like of shape (n_events,)
        Transverse momenta of the two jets in GeV.
    dphi : array-like of shape (n_events,)
        Angle between the two jets in the transverse plane in radians, within -pi to pi.
    jet3_pt : array-like of shape (n_events,)
        Transverse momentum of the third jet in GeV, 0 without one.

    Returns
    -------
    ndarray of shape (n_events,)
        The activities, 0 for two jets alone and back to back.

    Raises
    ------
    ValueError
        If an argument is not finite or out of its range, or the lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import dijet_activity
    >>> dijet_activity([110.0], [90.0], [np.pi - 0.1], [16.0])
    array([0.2])
    """
    pt_avg, dphi, jet3 = _check_events(pt_1, pt_2, dphi, jet3_pt)
    return _activity(pt_avg, dphi, jet3)


def dijet_selection(
    pt_1: ArrayLike,
    pt_2: ArrayLike,
    eta_1: ArrayLike,
    eta_2: ArrayLike,
    dphi: ArrayLike,
    jet3_pt: ArrayLike,
    *,
    eta_range: tuple[float, float] = (0.2, 0.7),
    min_dphi: float = 2.7,
    min_jet3_cut: float = 25.0,
    max_jet3_fraction: float = 0.25,
    max_activity: float | None = None,
) -> NDArray[np.bool_]:
    """Select events with two jets that balance each other.

    Parameters
    ----------
    pt_1, pt_2 : array-like of shape (n_events,)
        Transverse momenta of the two jets in GeV.
    eta_1, eta_2 : array-like of shape (n_events,)
        Their pseudorapidities.
    dphi : array-like of shape (n_events,)
        Angle between them in the transverse plane in radians, within -pi to pi.
    jet3_pt : array-like of shape (n_events,)
        Transverse momentum of the third jet in GeV, 0 without one.
    eta_range : tuple of two floats, default=(0.2, 0.7)
        Lowest and highest ``abs(eta)`` of both jets, both included.
    min_dphi : float, default=2.7
        The angle must be larger, in radians.
    min_jet3_cut : float, default=25.0
        Third jets below this pt in GeV always pass, as pile-up gives many.
    max_jet3_fraction : float, default=0.25
        The third jet must be below the larger of `min_jet3_cut` and this part of the
        mean pt of the two jets.
    max_activity : float or None, default=None
        If given, `dijet_activity` must be smaller too. To quote a resolution, a tight
        0.1 halves the imbalance of the true jets, which is subtracted.

    Returns
    -------
    ndarray of bool of shape (n_events,)
        Whether each event is selected.

    Raises
    ------
    ValueError
        If an argument is not finite or out of its range, or the lengths differ.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import dijet_selection
    >>> pt, eta = [100.0, 100.0, 100.0], [0.5, 0.5, 0.5]
    >>> dijet_selection(pt, pt, eta, eta, dphi=[3.1, 2.6, 3.1], jet3_pt=[0, 0, 30])
    array([ True, False, False])
    """
    low, high = eta_range
    if not 0 <= low < high:
        raise ValueError(f"eta_range must be 0 <= low < high, got {eta_range}.")
    cuts = {
        "min_dphi": min_dphi,
        "min_jet3_cut": min_jet3_cut,
        "max_jet3_fraction": max_jet3_fraction,
        "max_activity": 0.0 if max_activity is None else max_activity,
    }
    for name, cut in cuts.items():
        if not cut >= 0:
            raise ValueError(f"{name} must not be negative, got {cut!r}.")
    pt_avg, dphi, jet3 = _check_events(pt_1, pt_2, dphi, jet3_pt)
    etas = check_scores(eta_1, "eta_1"), check_scores(eta_2, "eta_2")
    _check_lengths(pt_1=pt_avg, eta_1=etas[0], eta_2=etas[1])
    selected = dphi > min_dphi
    selected &= jet3 < np.maximum(min_jet3_cut, max_jet3_fraction * pt_avg)
    for eta in np.abs(etas):
        selected &= (low <= eta) & (eta <= high)
    if max_activity is not None:
        selected &= _activity(pt_avg, dphi, jet3) < max_activity
    return selected


def _activity(pt_avg: Array, dphi: Array, jet3: Array) -> Array:
    return np.hypot(jet3 / pt_avg, _DPHI_FACTOR * (np.pi - dphi))


# Return the mean pt of the two jets, the size of the angle and the pt of the third jet.
def _check_events(
    pt_1: ArrayLike, pt_2: ArrayLike, dphi: ArrayLike, jet3_pt: ArrayLike
) -> tuple[Array, Array, Array]:
    first, second = check_pt(pt_1, "pt_1"), check_pt(pt_2, "pt_2")
    angle = np.abs(check_scores(dphi, "dphi"))
    jet3 = check_scores(jet3_pt, "jet3_pt")
    _check_lengths(pt_1=first, pt_2=second, dphi=angle, jet3_pt=jet3)
    if (angle > _MAX_DPHI).any():
        raise ValueError(
            f"dphi must be within -pi to pi, got a size of {angle.max():g}; give "
            "radians, and the angle the short way round."
        )
    if (jet3 < 0).any():
        raise ValueError(
            f"jet3_pt must not be negative, got {jet3.min():g}; give 0 without a third "
            "jet."
        )
    return (first + second) / 2, angle, jet3


def _check_lengths(**columns: Array) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The arrays must have the same length, got {lengths}.")
