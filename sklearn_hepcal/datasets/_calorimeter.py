"""A parametrised calorimeter: what particles leave in towers of five layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import gammainc

from ._helix import GEV_PER_TESLA_MM
from ._matching import Array, Axes

N_LAYERS = 5
N_EM_LAYERS = 2
# places of the five layers, and of inactive material, along the path of a particle
_LAYERS, _INACTIVE = [0, 1, 3, 4, 5], 2
# of the differences between modules: a detector, not a sample
_MODULE_SEED = 0

# Showers of electrons and photons: dE/dt ~ t^(a - 1) exp(-b t) in radiation lengths t,
# with its maximum at (a - 1) / b = ln(E / critical energy)
_EM_RATE, _CRITICAL_ENERGY = 0.5, 0.01  # GeV
# Showers of hadrons, from where they begin, as by R. K. Bock et al. (Nucl. Instrum.
# Meth. 186 (1981) 533): the electromagnetic part goes like t^(a - 1) exp(-b t) in
# radiation lengths, the other part in interaction lengths. Pairs of constants (c, d)
# stand for c + d ln(E / GeV).
_HADRON_SHAPE = (0.62, 0.32)
_HADRON_EM_RATE, _HADRON_RATE = 0.22, (0.91, -0.02)
_EM_PART_RANGE = (0.01, 0.99)  # of the mean
_MIN_HADRON_ENERGY, _MIN_EM_ENERGY = 1.0, 0.1  # GeV, of profiles


# Particles of several events, with energies and pT in GeV.
class Particles(NamedTuple):
    axes: Axes
    energy: Array
    pt: Array
    charge: NDArray[np.int64]
    # photons and electrons, which make electromagnetic showers
    is_em: NDArray[np.bool_]

    def take(self, rows: NDArray) -> Particles:
        axes, *columns = self
        return Particles(axes.take(rows), *(column[rows] for column in columns))


# Towers that are hit, event after event; energies (n, 5) in GeV, and leak for what gets
# behind the last layer.
class Towers(NamedTuple):
    axes: Axes
    energies: Array
    leak: NDArray

    def take(self, rows: NDArray) -> Towers:
        return Towers(self.axes.take(rows), self.energies[rows], self.leak[rows])

    @property
    def pt(self) -> Array:
        return self.energies.sum(axis=1) / np.cosh(self.axes.eta)

    @property
    def em_fraction(self) -> Array:
        total = self.energies.sum(axis=1)
        return self.energies[:, :N_EM_LAYERS].sum(axis=1) / total


# The detector. Depths are in interaction lengths, at eta = 0.
@dataclass(frozen=True)
class Calorimeter:
    layers: tuple[float, ...] = (1.2, 0.33, 1.8, 4.1, 1.8)
    # between the second and the third layer
    inactive: float = 0.40
    # it is thicker, by this factor, where the barrel ends: place and width in eta
    gap: tuple[float, float, float] = (1.3, 0.98, 0.18)
    # factor for all layers
    depth_scale: float = 1.0
    # the path does not get longer with eta beyond this
    max_slant_eta: float = 1.1
    radiation_lengths: float = 15.0  # in an interaction length
    max_eta: float = 2.8
    granularity: float = 0.05
    min_tower_pt: float = 0.4  # GeV
    # charged particles turn in the field until they arrive
    field: float = 2.0  # T
    radius: float = 1400.0  # mm

    # response to the hadronic part of showers, that of the electromagnetic part being 1
    hadronic_response: float = 0.62
    # mean electromagnetic part of showers of hadrons: 1 - (E / reference)^power
    em_reference: float = 4.5  # GeV
    em_power: float = -0.2
    # of its beta distribution: variance = mean (1 - mean) / (1 + concentration)
    em_concentration: float = 25.0
    # relative resolution: stochastic in sqrt(GeV) for both kinds of showers, constant
    hadronic_stochastic: float = 0.45
    em_stochastic: float = 0.10
    constant: float = 0.02

    scale: float = 1.0
    # relative, in cos(4 eta)
    modulation: float = 0.0
    # spread of the responses of modules, of two by two towers
    module_spread: float = 0.008

    # Sum in towers what particles leave, without what is below the threshold.
    def measure(self, particles: Particles, rng: Generator) -> Towers:
        particles = self._bend(particles)
        towers = self._sum(particles.axes, self.deposit(particles, rng))
        return towers.take(towers.pt > self.min_tower_pt)

    # Draw the energies (n, 6), in GeV, in the layers and behind them.
    def deposit(self, particles: Particles, rng: Generator) -> Array:
        energy, depths = particles.energy, self._depths(particles.axes.eta)
        em, hadrons = np.flatnonzero(particles.is_em), np.flatnonzero(~particles.is_em)
        shares = np.empty((len(energy), N_LAYERS + 1))
        shares[em] = self._em_shares(energy[em], depths[em])
        shares[hadrons] = self._hadron_shares(energy[hadrons], depths[hadrons], rng)
        stochastic = np.where(
            particles.is_em, self.em_stochastic, self.hadronic_stochastic
        )
        sigma = np.hypot(stochastic / np.sqrt(energy), self.constant)
        noise = np.maximum(1 + sigma * rng.normal(size=len(energy)), 0)
        return (self.scale * noise * energy)[:, None] * shares

    # Return how deep the ends of the layers, and of the inactive material, are.
    def _depths(self, eta: Array) -> Array:
        slant = np.cosh(np.minimum(np.abs(eta), self.max_slant_eta))
        layers = self.depth_scale * np.array(self.layers)
        thickness = np.insert(layers, _INACTIVE, self.inactive) * slant[:, None]
        factor, place, width = self.gap
        bump = np.exp(-0.5 * ((np.abs(eta) - place) / width) ** 2)
        thickness[:, _INACTIVE] *= 1 + (factor - 1) * bump
        return np.cumsum(thickness, axis=1)

    # Return the parts of the energy of electrons and photons in layers and behind.
    def _em_shares(self, energy: Array, depths: Array) -> Array:
        log_energy = np.log(np.maximum(energy, _MIN_EM_ENERGY) / _CRITICAL_ENERGY)
        shape = 1 + _EM_RATE * log_energy[:, None]
        return _shares(gammainc(shape, _EM_RATE * self.radiation_lengths * depths))

    def _hadron_shares(self, energy: Array, depths: Array, rng: Generator) -> Array:
        log_energy = np.log(np.maximum(energy, _MIN_HADRON_ENERGY))[:, None]
        depths = np.maximum(depths - rng.exponential(size=(len(energy), 1)), 0)
        shape, rate = (a + b * log_energy for a, b in (_HADRON_SHAPE, _HADRON_RATE))
        em_rate = _HADRON_EM_RATE * self.radiation_lengths
        em_part = self._em_part(log_energy, rng)
        return em_part * _shares(gammainc(shape, em_rate * depths)) + (
            self.hadronic_response
            * (1 - em_part)
            * _shares(gammainc(shape, rate * depths))
        )

    def _em_part(self, log_energy: Array, rng: Generator) -> Array:
        mean = 1 - np.exp(self.em_power * (log_energy - np.log(self.em_reference)))
        mean = mean.clip(*_EM_PART_RANGE)
        concentration = self.em_concentration
        return rng.beta(mean * concentration, (1 - mean) * concentration)

    # Move charged particles to where they arrive; those of low pT curl up before.
    def _bend(self, particles: Particles) -> Particles:
        curvature = particles.charge * GEV_PER_TESLA_MM * self.field / particles.pt
        sine = 0.5 * self.radius * curvature
        axes = particles.axes
        hit = (np.abs(sine) < 1) & (np.abs(axes.eta) < self.max_eta)
        bent = axes._replace(phi=axes.phi - np.arcsin(np.where(hit, sine, 0)))
        return particles._replace(axes=bent).take(np.flatnonzero(hit))

    @property
    def n_phi(self) -> int:
        return round(2 * np.pi / self.granularity)

    @property
    def n_eta(self) -> int:
        return round(2 * self.max_eta / self.granularity)

    # Centres of towers (n_eta,).
    @property
    def eta(self) -> Array:
        eta, _ = self.centres(np.arange(self.n_eta), np.zeros(self.n_eta))
        return eta

    # Return the places of the towers in some directions.
    def find(self, eta: Array, phi: Array) -> tuple[NDArray, NDArray]:
        i = np.floor((eta + self.max_eta) / self.granularity).astype(np.int64)
        j = np.floor(phi * self.n_phi / (2 * np.pi)).astype(np.int64)
        return i.clip(0, self.n_eta - 1), j % self.n_phi

    # Return the centres of towers in eta and in phi.
    def centres(self, i: NDArray, j: NDArray) -> tuple[Array, Array]:
        eta = (i + 0.5) * self.granularity - self.max_eta
        return eta, (j + 0.5) * 2 * np.pi / self.n_phi

    # Responses of towers (n_eta, n_phi), which are the same in all samples.
    @cached_property
    def response(self) -> Array:
        rng = np.random.default_rng(_MODULE_SEED)
        shape = (-(-self.n_eta // 2), -(-self.n_phi // 2))
        modules = 1 + self.module_spread * rng.normal(size=shape)
        towers = np.kron(modules, np.ones((2, 2)))[: self.n_eta, : self.n_phi]
        return towers * (1 + self.modulation * np.cos(4 * self.eta))[:, None]

    def _sum(self, axes: Axes, energies: Array) -> Towers:
        shape = (axes.event.max(initial=0) + 1, self.n_eta, self.n_phi)
        codes = np.ravel_multi_index(
            (axes.event, *self.find(axes.eta, axes.phi)), shape
        )
        hit, tower = np.unique(codes, return_inverse=True)
        event, i, j = np.unravel_index(hit, shape)
        *layers, leak = (
            np.bincount(tower, column, minlength=len(hit)) for column in energies.T
        )
        axes = Axes(event, *self.centres(i, j))
        return Towers(axes, self.response[i, j][:, None] * np.stack(layers, 1), leak)


# Turn cumulative shares at the ends of the layers into those of the active ones, and of
# what is behind all.
def _shares(cumulative: Array) -> Array:
    shares = np.diff(cumulative, prepend=0, append=1, axis=1)
    return shares[:, [*_LAYERS, -1]]
