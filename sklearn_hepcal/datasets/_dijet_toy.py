"""Dijet events whose exact jet calibration is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils import check_array, check_random_state

Array = NDArray[np.float64]

_FEATURES = (
    *("pt", "eta", "f_em", "f_charged", "n_track", "w_track", "n_segments"),
    *("mu", "npv"),
)
_POSITIVE = ("pt", "w_track")
_COUNTS = ("n_track", "n_segments")
_GLUON, _QUARK = 21, 1

# Of the mean true pT of an event, in GeV: dN/dpT falls with these powers.
_PT_RANGE = (70.0, 3600.0)
_DRAWN_POWER, _PHYSICAL_POWER = 2.0, 5.5
_REFERENCE_PT = 100.0
# Imbalance other than by the third jet, along and across the two jets.
_INTRINSIC = 0.05
_MIN_DPHI = 2.7
_MAX_JET3_PT, _MAX_JET3_FRACTION = 25.0, 0.25

# Logarithms of the number and of the radius of the tracks of a jet, half-way between
# quark and gluon: value at the reference pT and slope in log(pT).
_LOG_N_TRACK = (2.35, 0.33)
_LOG_W_TRACK = (-2.3, -0.3)
_MEAN_MU, _MEAN_NPV = 35.0, 20.0
_LOGIT_F_EM, _LOGIT_F_CHARGED = 0.6, 0.4

_NOISE, _STOCHASTIC = 2.5, 0.60
_TAIL_FRACTION, _TAIL_MEAN = 0.03, 0.08
# Below, where there are no jets, the detector stays the same, hence invertible.
_MIN_PT = 20.0
# Each step of the inversion reduces its error by a factor of four or more.
_N_STEPS = 12


# Coefficients of one side: of the response log(measured pT / true pT), unless said.
@dataclass(frozen=True)
class _Side:
    scale: float = 0.0
    eta: float = 0.03
    f_em: float = 0.33
    f_charged: float = -0.13
    n_track: float = -0.05
    w_track: float = -0.035
    n_segments: float = -0.06
    # of the measured pT, in GeV
    mu: float = -0.05
    npv: float = 0.12
    # of the noise
    constant: float = 0.025
    # of the events
    n_track_ratio: float = 1.0
    mean_radiation: float = 0.10

    def response(self, pt: Array, X: Array) -> Array:
        _, eta, f_em, f_charged, n_track, w_track, n_segments, mu, npv = X.T
        pt = np.maximum(pt, _MIN_PT)
        log_pt = np.log(pt / _REFERENCE_PT)
        pile_up = self.npv * (npv - _MEAN_NPV) + self.mu * (mu - _MEAN_MU)
        return (
            self.scale
            - 0.25 * np.exp(-0.25 * log_pt)
            + self.eta * np.cos(4 * eta)
            + self.f_em * (f_em - expit(_LOGIT_F_EM))
            + self.f_charged * (f_charged - expit(_LOGIT_F_CHARGED))
            + self.n_track * (np.log1p(n_track) - _line(_LOG_N_TRACK, log_pt))
            + self.w_track * (np.log(w_track) - _line(_LOG_W_TRACK, log_pt))
            + self.n_segments * np.log1p(n_segments)
            + pile_up / pt
        )

    def sigma(self, pt: Array) -> Array:
        pt = np.maximum(pt, _MIN_PT)
        variance = (_NOISE / pt) ** 2 + _STOCHASTIC**2 / pt + self.constant**2
        return np.sqrt(variance)

    # A Gaussian and a low tail, with mean zero.
    def noise(self, pt: Array, rng: Generator) -> Array:
        core = self.sigma(pt) * rng.normal(size=len(pt))
        in_tail = rng.random(len(pt)) < _TAIL_FRACTION
        tail = in_tail * rng.exponential(_TAIL_MEAN, len(pt))
        return core - tail + _TAIL_FRACTION * _TAIL_MEAN

    # Logarithm of the mean of exp(noise).
    def bias(self, pt: Array) -> Array:
        tail = np.log1p(-_TAIL_FRACTION * _TAIL_MEAN / (1 + _TAIL_MEAN))
        return self.sigma(pt) ** 2 / 2 + tail + _TAIL_FRACTION * _TAIL_MEAN


_SIM = _Side()
_SIDES = {
    "sim": _SIM,
    "data": replace(
        _SIM,
        scale=-0.02,
        eta=0.0,
        f_em=1.57 * _SIM.f_em,
        f_charged=2 * _SIM.f_charged,
        n_track=2 * _SIM.n_track,
        w_track=-_SIM.w_track,
        n_segments=1.6 * _SIM.n_segments,
        npv=1.4 * _SIM.npv,
        constant=0.03,
        n_track_ratio=0.94,
        mean_radiation=1.08 * _SIM.mean_radiation,
    ),
}


@dataclass(frozen=True)
class DijetProblem:
    """Jets of dijet events, with their exact calibration.

    Two neighbouring rows are an event, in random order. All arrays have one entry a
    jet, so that a slice of rows fits all of them.

    Attributes
    ----------
    X : ndarray of shape (2 * n_events, 9)
        Measured pT in GeV, and observables of the jet and of its event.
    y : ndarray of shape (2 * n_events,)
        True pT, in GeV. The true asymmetry of an event is the difference of its two
        values over their mean.
    event_id : ndarray of shape (2 * n_events,)
        Groups for splitting by event and for pairing jets; even in simulation, odd in
        data.
    sample_weight : ndarray of shape (2 * n_events,)
        Weights that give a physical spectrum, 1 for a mean true pT of 100 GeV. They
        span six orders of magnitude.
    flavour : ndarray of shape (2 * n_events,)
        21 for a gluon, 1 for a quark; never an input.
    dphi12 : ndarray of shape (2 * n_events,)
        Angle between the two jets in the transverse plane, in radians.
    jet3_pt : ndarray of shape (2 * n_events,)
        True pT of the third jet, in GeV.
    feature_names : list of str
        Names of the columns of `X`.
    side : {"sim", "data"}
        Law of the events and of the detector.
    selection : bool
        Whether all events pass the dijet selection.
    """

    X: Array
    y: Array
    event_id: NDArray[np.int64]
    sample_weight: Array
    flavour: NDArray[np.int64]
    dphi12: Array
    jet3_pt: Array
    feature_names: list[str]
    side: str
    selection: bool

    def sample(
        self, n_events: int, random_state: int | RandomState | None = None
    ) -> DijetProblem:
        """Draw fresh events of the same law.

        Parameters
        ----------
        n_events : int
            Number of events.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        DijetProblem
            Events independent of those of this problem. Their `event_id` start at the
            same value again.

        Raises
        ------
        ValueError
            If `n_events` is not a positive integer.
        """
        return _draw(n_events, self.side, self.selection, random_state, stream=1)

    def oracle(self, X: ArrayLike) -> Array:
        """Calibrate jets exactly, by inverting the true mean response of this side.

        The result does not depend on the spectrum of the jets. Its mean at any true pT
        and any value of the observables is the true pT, within 0.04 per cent.

        Parameters
        ----------
        X : array-like of shape (n_jets, 9)
            Jets, of either side.

        Returns
        -------
        ndarray of shape (n_jets,)
            Calibrated pT, in GeV.

        Raises
        ------
        ValueError
            If `X` has the wrong shape, is not finite or has values out of range.
        """
        jets, law = _check_jets(X), _SIDES[self.side]
        pt = measured = jets[:, 0]
        for _ in range(_N_STEPS):
            pt = measured * np.exp(-law.response(pt, jets) - law.bias(pt))
        return pt

    def response(self, y: ArrayLike, X: ArrayLike) -> Array:
        """Give the mean of log(measured pT / true pT) of jets.

        Parameters
        ----------
        y : array-like of shape (n_jets,)
            True pT, in GeV.
        X : array-like of shape (n_jets, 9)
            Jets; their measured pT is not used.

        Returns
        -------
        ndarray of shape (n_jets,)
            Mean log response of this side.

        Raises
        ------
        ValueError
            If `X` or `y` has the wrong shape, is not finite or has values out of range.
        """
        jets, pt = _check_jets(X), _check_pt(y)
        if len(pt) != len(jets):
            raise ValueError(f"y must have shape ({len(jets)},), got {pt.shape}.")
        return _SIDES[self.side].response(pt, jets)

    def sigma(self, y: ArrayLike) -> Array:
        """Give the Gaussian width of log(measured pT / true pT), without its tail.

        Parameters
        ----------
        y : array-like of shape (n_jets,)
            True pT, in GeV.

        Returns
        -------
        ndarray of shape (n_jets,)
            Widths; they depend on nothing but the true pT.

        Raises
        ------
        ValueError
            If `y` has the wrong shape, is not finite or not positive.
        """
        return _SIDES[self.side].sigma(_check_pt(y))


def make_dijets(
    n_events: int = 20_000,
    *,
    side: str = "sim",
    selection: bool = True,
    random_state: int | RandomState | None = None,
) -> DijetProblem:
    """Make dijet events measured by a detector of known response.

    The observables of a jet explain part of its response; the rest is noise. In "data"
    the same observables act in another way, so that a calibration of the simulation is
    worse there than the exact one. The balance of the two jets of an event can repair
    it, without true values.

    Parameters
    ----------
    n_events : int, default=20_000
        Number of events, after the selection.
    side : {"sim", "data"}, default="sim"
        Law of the events and of the detector.
    selection : bool, default=True
        Whether to keep only events with an angle between the two jets above 2.7 and a
        third jet below the higher of 25 GeV and a quarter of the mean pT of the two
        jets, in true values.
    random_state : int, RandomState instance or None, default=None
        Seed of the sample; the two sides are independent at the same seed.

    Returns
    -------
    DijetProblem
        The events, their exact calibration and a method for drawing fresh events.

    Raises
    ------
    ValueError
        If `n_events` is not a positive integer or `side` is unknown.

    Notes
    -----
    *Events.* The mean true pT p of the two jets is between 70 and 3600 GeV with
    ``dN/dp ~ p^-2``; the weights ``(p / 100 GeV)^-3.5`` turn this into ``p^-5.5``. A
    third jet of pT z p at an angle psi, with z exponential of mean 0.10 (cut off at 1)
    and psi uniform, and Gaussians g and h of width 0.05 unbalance the jets: their true
    pT are ``p (1 +- A / 2)`` with ``A = z cos(psi) + g``, and the angle between them is
    ``pi - arctan(abs(z sin(psi) + h))``.

    *Observables*, drawn for each jet given p, so that they know nothing of A:

    - eta, with abs(eta) uniform in 0.2 to 0.7;
    - f_em and f_charged, the logistic function of a Gaussian;
    - n_track, Poisson, and w_track, log-normal, both larger for gluons. n_track grows
      like p^0.33 and w_track falls like p^-0.3; the share of gluons falls with p;
    - n_segments, Poisson with a mean that grows like p^0.7;
    - mu and npv, common to both jets and independent of p.

    *Response.* The logarithm of measured over true pT is the sum of a smooth function
    of true pT and observables, and of noise of mean zero independent of the
    observables: a Gaussian whose width has the terms 2.5 / pT, 0.60 / sqrt(pT) and
    0.025 in quadrature, with pT in GeV, and for 3 per cent of the jets a low tail,
    exponential of mean 0.08.

    *Data.* The effect of f_em is 1.57 times, of f_charged and n_track twice, of
    n_segments 1.6 times and of npv 1.4 times that of simulation, of w_track its
    opposite; eta has none. The constant term of the noise is 0.030, the response lower
    by 0.02, n_track lower by 6 per cent and the mean of z higher by 8 per cent.

    The resolution (half the width of the central 68 per cent of the response over its
    median, mean of nine bins of equal width in log(pT) in 120 to 2400 GeV) is

    ==========  ========  ======  ===================
    side        measured  oracle  oracle of the other
    ==========  ========  ======  ===================
    simulation  6.7 %     3.8 %   5.4 %
    data        9.2 %     4.0 %   5.8 %
    ==========  ========  ======  ===================

    The imbalance of the true pT, the width of A over the square root of two, is 6.3 per
    cent in simulation and 6.4 per cent in data.

    References
    ----------
    .. [1] ATLAS Collaboration, "Jet energy scale and resolution measured in
       proton-proton collisions at sqrt(s) = 13 TeV with the ATLAS detector",
       Eur. Phys. J. C 81 (2021) 689, arXiv:2007.02645.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.datasets import make_dijets
    >>> problem = make_dijets(1000, random_state=0)
    >>> problem.X.shape, problem.feature_names[:3]
    ((2000, 9), ['pt', 'eta', 'f_em'])
    >>> response = problem.oracle(problem.X) / problem.y
    >>> print(f"{response.mean():.2f}")
    1.00
    """
    if side not in _SIDES:
        raise ValueError(f"side must be one of {tuple(_SIDES)}, got {side!r}.")
    return _draw(n_events, side, selection, random_state, stream=0)


# Streams keep fresh events independent of the problem's own, and data of simulation,
# even at the same seed.
def _draw(
    n_events: int,
    side: str,
    selection: bool,
    random_state: int | RandomState | None,
    stream: int,
) -> DijetProblem:
    if not isinstance(n_events, Integral) or n_events < 1:
        raise ValueError(f"n_events must be an integer >= 1, got {n_events!r}.")
    seed = check_random_state(random_state).randint(2**31)
    law, domain = _SIDES[side], list(_SIDES).index(side)
    rng = np.random.default_rng([seed, domain, stream])
    mean_pt, asymmetry, dphi12, jet3_pt = _draw_events(n_events, law, selection, rng)
    y = (mean_pt[:, None] * (1 + asymmetry[:, None] * [0.5, -0.5])).ravel()
    gluon = rng.random(2 * n_events) < expit(-0.8 * np.log(np.repeat(mean_pt, 2) / 400))
    X = _draw_observables(mean_pt, gluon, law, rng)
    X[:, 0] = y * np.exp(law.response(y, X) + law.noise(y, rng))
    weight = (mean_pt / _REFERENCE_PT) ** (_DRAWN_POWER - _PHYSICAL_POWER)
    return DijetProblem(
        X=X,
        y=y,
        event_id=np.repeat(2 * np.arange(n_events) + domain, 2),
        sample_weight=np.repeat(weight, 2),
        flavour=np.where(gluon, _GLUON, _QUARK),
        dphi12=np.repeat(dphi12, 2),
        jet3_pt=np.repeat(jet3_pt, 2),
        feature_names=list(_FEATURES),
        side=side,
        selection=selection,
    )


# Mean pT, asymmetry, angle and third jet of events: batches of as many as asked for,
# until enough have passed the selection.
def _draw_events(n_events: int, law: _Side, selection: bool, rng: Generator) -> Array:
    batches: list[Array] = []
    while sum(batch.shape[1] for batch in batches) < n_events:
        events = _draw_batch(n_events, law, rng)
        batches.append(events[:, _selected(events)] if selection else events)
    return np.hstack(batches)[:, :n_events]


def _draw_batch(n_events: int, law: _Side, rng: Generator) -> Array:
    low, high = _PT_RANGE
    mean_pt = 1 / rng.uniform(1 / high, 1 / low, n_events)
    # The third jet is not above the mean of the two others.
    cut_off = -np.expm1(-1 / law.mean_radiation)
    z = -law.mean_radiation * np.log1p(-rng.uniform(0, cut_off, n_events))
    psi = rng.uniform(0, 2 * np.pi, n_events)
    along = z * np.cos(psi) + rng.normal(0, _INTRINSIC, n_events)
    across = z * np.sin(psi) + rng.normal(0, _INTRINSIC, n_events)
    return np.stack([mean_pt, along, np.pi - np.arctan(np.abs(across)), z * mean_pt])


def _selected(events: Array) -> NDArray[np.bool_]:
    mean_pt, _, dphi12, jet3_pt = events
    max_jet3_pt = np.maximum(_MAX_JET3_PT, _MAX_JET3_FRACTION * mean_pt)
    return (dphi12 > _MIN_DPHI) & (jet3_pt < max_jet3_pt)


# The mean pT of an event, not that of the jet, sets the scale: the observables cannot
# know which jet has the higher pT. The first column is left to the measured pT.
def _draw_observables(
    mean_pt: Array, gluon: NDArray[np.bool_], law: _Side, rng: Generator
) -> Array:
    n_jets = len(gluon)
    pt = np.repeat(mean_pt, 2)
    log_pt = np.log(pt / _REFERENCE_PT)
    more_for_gluons = 0.4 * (gluon - 0.5)
    log_n_track = _line(_LOG_N_TRACK, log_pt) + more_for_gluons
    log_w_track = _line(_LOG_W_TRACK, log_pt) + more_for_gluons
    mean_n_track = law.n_track_ratio * np.exp(rng.normal(log_n_track, 0.2))
    # about 35 with a spread of 10, and 20 vertices
    mu = rng.gamma(12.25, _MEAN_MU / 12.25, len(mean_pt))
    npv = rng.poisson(mu * _MEAN_NPV / _MEAN_MU)
    columns = {
        "pt": np.zeros(n_jets),
        "eta": rng.uniform(0.2, 0.7, n_jets) * rng.choice([-1, 1], n_jets),
        "f_em": expit(rng.normal(_LOGIT_F_EM, 0.5, n_jets)),
        "f_charged": expit(rng.normal(_LOGIT_F_CHARGED, 0.5, n_jets)),
        "n_track": rng.poisson(mean_n_track),
        "w_track": np.exp(rng.normal(log_w_track, 0.3)),
        "n_segments": rng.poisson(0.2 * (pt / 500) ** 0.7),
        "mu": np.repeat(mu, 2),
        "npv": np.repeat(npv, 2),
    }
    return np.stack([columns[name] for name in _FEATURES], axis=1).astype(np.float64)


def _line(value_and_slope: tuple[float, float], x: Array) -> Array:
    return value_and_slope[0] + value_and_slope[1] * x


def _check_jets(X: ArrayLike) -> Array:
    jets: Array = check_array(X, dtype=np.float64, input_name="X")
    if jets.shape[1] != len(_FEATURES):
        raise ValueError(
            f"X has {jets.shape[1]} columns, but dijets have {len(_FEATURES)}: "
            f"{', '.join(_FEATURES)}."
        )
    for name, column in zip(_FEATURES, jets.T, strict=True):
        if name in _POSITIVE and column.min() <= 0:
            raise ValueError(f"{name} must be positive, got {column.min():g}.")
        if name in _COUNTS and column.min() < 0:
            raise ValueError(f"{name} must not be negative, got {column.min():g}.")
    return jets


def _check_pt(y: ArrayLike) -> Array:
    pt: Array = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    if pt.ndim != 1:
        raise ValueError(f"y must have one dimension, got shape {pt.shape}.")
    if pt.min() <= 0:
        raise ValueError(f"y must be positive, got {pt.min():g}.")
    return pt
