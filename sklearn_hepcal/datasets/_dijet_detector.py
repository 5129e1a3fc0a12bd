"""The parametrised detector of generated dijet events, in simulation and in data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ._calorimeter import Calorimeter
from ._matching import Array


# Collisions at the same time, and what a subtraction leaves of them in jets.
@dataclass(frozen=True)
class PileUp:
    # of the mean number of collisions, a Gaussian cut off on both sides
    mean_mu: float = 34.0
    mu_spread: float = 9.0
    mu_range: tuple[float, float] = (8.0, 70.0)
    # mean number of reconstructed vertices, a Poisson number but for the first
    npv_per_mu: float = 0.62
    # of the pT of jets, in GeV
    mu_slope: float = 0.05
    npv_slope: float = 0.145
    noise: float = 2.75

    # Return mu and the number of vertices of events.
    def draw(self, n_events: int, rng: Generator) -> tuple[NDArray, NDArray]:
        mu = rng.normal(self.mean_mu, self.mu_spread, n_events).clip(*self.mu_range)
        return mu, 1.0 + rng.poisson(self.npv_per_mu * mu - 1)

    # Draw what is added to the pT of jets, in GeV.
    def offset(self, mu: Array, npv: Array, rng: Generator) -> Array:
        excess = npv - self.npv_per_mu * self.mean_mu
        mean = self.mu_slope * (mu - self.mean_mu) + self.npv_slope * excess
        return mean + self.noise * rng.normal(size=len(mu))


# Tracks of jets, some of which are lost in the dense cores of hard jets.
@dataclass(frozen=True)
class JetTracks:
    min_pt: float = 1.0  # GeV
    max_eta: float = 2.5
    efficiency: float = 0.90
    # the efficiency falls as exp(-pT / this)
    dense_pt: float = 1000.0  # GeV
    # relative resolution of pT: constant, and in 1/GeV
    constant: float = 0.01
    slope: float = 2e-4

    # Draw which charged particles are found.
    def find(self, pt: Array, eta: Array, rng: Generator) -> NDArray[np.bool_]:
        efficiency = self.efficiency * np.exp(-pt / self.dense_pt)
        accepted = (pt > self.min_pt) & (np.abs(eta) < self.max_eta)
        return accepted & (rng.random(len(pt)) < efficiency)

    # Smear the pT of tracks.
    def measure(self, pt: Array, rng: Generator) -> Array:
        sigma = np.hypot(self.constant, self.slope * pt)
        return pt / np.abs(1 + sigma * rng.normal(size=len(pt)))


# What measures the jets of dijet events.
@dataclass(frozen=True)
class Detector:
    calorimeter: Calorimeter = field(default_factory=Calorimeter)
    tracks: JetTracks = field(default_factory=JetTracks)
    pile_up: PileUp = field(default_factory=PileUp)
    # mean energy behind the calorimeter for a muon segment, a Poisson number
    leak_per_segment: float = 5.0  # GeV


DETECTORS = {
    "sim": Detector(),
    "data": Detector(
        calorimeter=Calorimeter(
            inactive=0.50,
            depth_scale=0.92,
            hadronic_response=0.57,
            hadronic_stochastic=0.50,
            constant=0.03,
            module_spread=0.02,
            scale=0.985,
            modulation=0.02,
        ),
        tracks=JetTracks(efficiency=0.98 * JetTracks.efficiency),
        pile_up=PileUp(mu_slope=0.0, npv_slope=0.24, noise=2.9),
    ),
}
