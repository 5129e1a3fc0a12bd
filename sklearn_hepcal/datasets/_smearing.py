"""A detector for particles: energies as a calorimeter and a tracker measure them."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state

Array = NDArray[np.float64]

_PHOTON = 22
_LEPTONS = (11, 13)
_CHARGED_HADRONS = (211, 321, 2212)
_NEUTRINOS = (12, 14, 16)
# Below this energy, in GeV, the response of hadrons no longer falls.
_LEAST_SHOWER = 1.0
_TINY = np.finfo(np.float64).tiny


def smear_particles(
    pt: ArrayLike,
    eta: ArrayLike,
    pdgid: ArrayLike,
    *,
    charged: str = "calorimeter",
    track: tuple[float, float] = (0.01, 1.5e-4),
    photon: tuple[float, float] = (0.10, 0.01),
    hadron: tuple[float, float] = (0.60, 0.05),
    h_over_e: float = 0.5,
    m: float = 0.82,
    threshold: float = 0.5,
    random_state: int | RandomState | None = None,
) -> Array:
    r"""Measure particles in a simple calorimeter and tracker.

    Every particle is measured alone: photons by an electromagnetic calorimeter, hadrons
    by a hadronic one, which does not compensate, electrons and muons by a tracker.
    Directions stay as they are. What a jet loses then depends on the kinds of
    its particles, which a regression of its energy can make use of.

    Parameters
    ----------
    pt : array-like of shape (n_particles,)
        Transverse momenta in GeV.
    eta : array-like of shape (n_particles,)
        Pseudorapidities.
    pdgid : array-like of shape (n_particles,)
        PDG identifiers. Charged hadrons are the pion, the kaon and the proton;
        neutrinos are lost; all that has no other place is a neutral hadron.
    charged : {"calorimeter", "tracker"}, default="calorimeter"
        What measures charged hadrons: the calorimeter, as neutral ones, or the
        tracker, as an ideal particle flow.
    track : tuple of (float, float), default=(0.01, 0.00015)
        Resolution of the tracker, Gaussian with the mean 1: a and b of
        :math:`\sigma(p_T) / p_T = a \oplus b\,p_T`, with pT in GeV.
    photon : tuple of (float, float), default=(0.1, 0.01)
        Resolution of photons: S and C of
        :math:`\sigma(E) / E = S / \sqrt{E} \oplus C`, with E in GeV. The measured
        energy follows a gamma distribution, so that it is positive.
    hadron : tuple of (float, float), default=(0.6, 0.05)
        The same of hadrons, relative to their mean measured energy.
    h_over_e : float, default=0.5
        Response of the calorimeter to the hadronic part of a shower, between 0 and 1;
        that of photons is 1.
    m : float, default=0.82
        Power of the energy with which the hadronic part of a shower grows, between 0
        and 1: the mean response of hadrons is
        :math:`1 - (1 - h/e)\,E^{m - 1}` [1]_, and h/e below 1 GeV.
    threshold : float, default=0.5
        Particles measured below this pt, in GeV, are lost.
    random_state : int, RandomState instance or None, default=None
        Seed of the noise.

    Returns
    -------
    ndarray of shape (n_particles,)
        Measured transverse momenta in GeV; 0 for lost particles.

    Raises
    ------
    ValueError
        If the particles have different lengths, are not finite or have negative pt, or
        a property of the detector is out of range.

    References
    ----------
    .. [1] D. E. Groom, "Energy flow in a hadronic cascade: Application to hadron
       calorimetry", Nucl. Instrum. Meth. A 572 (2007) 633, arXiv:physics/0605164.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import smear_particles
    >>> pt, eta, pdgid = [100.0, 100.0, 0.3], [0.0, 1.0, 0.0], [22, 211, 22]
    >>> smear_particles(pt, eta, pdgid, photon=(0, 0), hadron=(0, 0)).round(1)
    array([100. ,  79.8,   0. ])
    """
    pt, eta = _check_numbers(pt, "pt"), _check_numbers(eta, "eta")
    kind = np.abs(_check_numbers(pdgid, "pdgid"))
    _check_particles(pt, eta, kind)
    if charged not in ("calorimeter", "tracker"):
        raise ValueError(
            f"charged must be 'calorimeter' or 'tracker', got {charged!r}."
        )
    for name, terms in (("track", track), ("photon", photon), ("hadron", hadron)):
        if np.shape(terms) != (2,) or not np.isfinite(terms).all() or min(terms) < 0:
            raise ValueError(
                f"{name} must be two terms that are not negative, got {terms!r}."
            )
    for name, value in (("h_over_e", h_over_e), ("m", m)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value!r}.")
    if not threshold >= 0:
        raise ValueError(f"threshold must not be negative, got {threshold!r}.")

    rng = check_random_state(random_state)
    photons = kind == _PHOTON
    # Lost particles have no energy either; it stays finite in the denominator.
    energy = np.maximum(pt * np.cosh(eta), _TINY)
    hadronic = np.maximum(energy, _LEAST_SHOWER) ** (m - 1)
    response = np.where(photons, 1.0, 1 - (1 - h_over_e) * hadronic)
    stochastic, constant = (
        np.where(photons, *terms) for terms in zip(photon, hadron, strict=True)
    )
    variance = np.maximum(stochastic**2 / energy + constant**2, _TINY)
    by_calorimeter = response * variance * rng.standard_gamma(1 / variance)
    by_tracker = 1 + np.hypot(track[0], track[1] * pt) * rng.standard_normal(len(pt))

    tracked = _LEPTONS + (_CHARGED_HADRONS if charged == "tracker" else ())
    measured = pt * np.where(np.isin(kind, tracked), by_tracker, by_calorimeter)
    lost = (measured < threshold) | np.isin(kind, _NEUTRINOS)
    return np.where(lost, 0.0, measured)


def _check_numbers(values: ArrayLike, name: str) -> Array:
    return check_array(
        values,
        dtype=np.float64,
        ensure_2d=False,
        ensure_min_samples=0,
        input_name=name,
    )


def _check_particles(pt: Array, eta: Array, kind: Array) -> None:
    if pt.ndim != 1 or not pt.shape == eta.shape == kind.shape:
        raise ValueError(
            "pt, eta and pdgid must have one value a particle, got the shapes "
            f"{pt.shape}, {eta.shape} and {kind.shape}."
        )
    if (pt < 0).any():
        raise ValueError(f"pt must not be negative, got {pt.min():g}.")
