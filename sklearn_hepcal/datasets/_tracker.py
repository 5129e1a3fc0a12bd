"""A parametrised tracking detector: helix parameters with errors, and hits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ._helix import Array, find_perigee

Tracks = dict[str, NDArray]


# Error of an impact parameter: a constant, and scattering in the material.
@dataclass(frozen=True)
class Resolution:
    constant: float  # mm
    scattering: float  # mm GeV
    # factor for tracks without a hit in the innermost layer
    without_innermost: float

    def sigma(self, pt: Array, sin_theta: Array, innermost: NDArray[np.bool_]) -> Array:
        scattering = self.scattering / (pt * np.sqrt(sin_theta))
        worse = np.where(innermost, 1, self.without_innermost)
        return worse * np.hypot(self.constant, scattering)


# What the detector does to tracks; lengths in mm, momenta in GeV.
@dataclass(frozen=True)
class Tracker:
    field: float = 2.0  # T
    efficiency: float = 0.95
    # of electrons, which radiate, relative to others
    electron_efficiency: float = 0.8
    min_pt: float = 0.5
    max_eta: float = 2.5
    # of the point where the particle begins, from the beam
    max_radius: float = 50.0
    d0: Resolution = Resolution(0.012, 0.070, 1.8)
    z0_sin_theta: Resolution = Resolution(0.035, 0.090, 1.5)
    # how much worse impact parameters are measured than their errors say
    impact_scale: float = 1.0
    tail_fraction: float = 0.05
    tail_scale: float = 3.0
    # of the logarithm of the errors that are told
    error_spread: float = 0.08
    # of the collision in x, y and z
    vertex_resolution: tuple[float, float, float] = (0.008, 0.008, 0.020)
    # relative error of q/p: constant, and in 1/GeV
    momentum_constant: float = 0.01
    momentum_slope: float = 4e-4
    # error of angles: constant, and in GeV
    angle_constant: float = 1e-4
    angle_scattering: float = 1e-3
    innermost_radius: float = 33.0
    innermost_efficiency: float = 0.94
    # largest number of hits in the other layers, holes among them and their probability
    pixel_hits: tuple[int, int, float] = (3, 1, 0.08)
    strip_hits: tuple[int, int, float] = (8, 3, 0.12)

    # Tell which charged particles can leave a track.
    def accepts(self, position: Array, momentum: Array) -> NDArray[np.bool_]:
        pt = np.hypot(momentum[:, 0], momentum[:, 1])
        in_reach = np.abs(momentum[:, 2]) < np.sinh(self.max_eta) * pt
        starts_inside = np.hypot(position[:, 0], position[:, 1]) < self.max_radius
        return (pt > self.min_pt) & in_reach & starts_inside

    # Draw which of these are found.
    def finds(self, is_electron: NDArray[np.bool_], rng: Generator) -> NDArray:
        relative = np.where(is_electron, self.electron_efficiency, 1)
        return rng.random(len(is_electron)) < self.efficiency * relative

    # Draw where the collisions are reconstructed, relative to where they are.
    def smear_vertices(self, n_events: int, rng: Generator) -> Array:
        return rng.normal(size=(n_events, 3)) * self.vertex_resolution

    # Measure tracks of particles, whose positions are relative to the collision. The
    # measured angles are those at the perigee.
    def measure(
        self, position: Array, momentum: Array, charge: NDArray, rng: Generator
    ) -> Tracks:
        perigee = find_perigee(position, momentum, charge, self.field)
        true_pt = np.hypot(momentum[:, 0], momentum[:, 1])
        true_theta = np.arctan2(true_pt, momentum[:, 2])
        n = len(true_pt)
        relative, angle = self.momentum_errors(true_pt)
        pt = true_pt / np.abs(1 + relative * rng.normal(size=n))
        theta = true_theta + angle * rng.normal(size=n)
        sin_theta = np.sin(theta)
        hits = self._hits(np.hypot(position[:, 0], position[:, 1]), rng)
        innermost = hits["numberOfInnermostPixelLayerHits"] > 0
        tail = np.where(rng.random(n) < self.tail_fraction, self.tail_scale, 1)
        true_sine = np.sin(true_theta)
        impact, errors = {}, {}
        for name, resolution, true_value in (
            ("d0", self.d0, perigee.d0),
            ("z0SinTheta", self.z0_sin_theta, perigee.z0 * true_sine),
        ):
            sigma = resolution.sigma(true_pt, true_sine, innermost) * tail
            noise = self.impact_scale * sigma * rng.normal(size=n)
            impact[name] = true_value + noise
            told = resolution.sigma(pt, sin_theta, innermost)
            spread = np.exp(self.error_spread * rng.normal(size=n))
            errors[f"{name}Uncertainty"] = told * spread
        # from the measured momentum, or they would tell the true one
        relative, angle_error = self.momentum_errors(pt)
        q_over_p = charge * sin_theta / pt
        return {
            "pt": pt,
            "eta": -np.log(np.tan(theta / 2)),
            "phi": perigee.phi + angle * rng.normal(size=n),
            "qOverP": q_over_p,
            **impact,
            **errors,
            "qOverPUncertainty": np.abs(q_over_p) * relative,
            "phiUncertainty": angle_error,
            "thetaUncertainty": angle_error,
            **hits,
        }

    # Return the relative errors of momenta, and those of angles.
    def momentum_errors(self, pt: Array) -> tuple[Array, Array]:
        relative = np.hypot(self.momentum_constant, self.momentum_slope * pt)
        return relative, self.angle_constant + self.angle_scattering / pt

    def _hits(self, radius: Array, rng: Generator) -> Tracks:
        n = len(radius)
        found = rng.random(n) < self.innermost_efficiency
        innermost = found & (radius < self.innermost_radius)
        pixels, strips = (
            most - rng.binomial(n_holes, probability, n)
            for most, n_holes, probability in (self.pixel_hits, self.strip_hits)
        )
        return {
            "numberOfInnermostPixelLayerHits": innermost.astype(np.int64),
            "numberOfPixelHits": innermost + pixels,
            "numberOfSCTHits": strips,
        }
