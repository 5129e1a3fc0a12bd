"""Pairs of measured jets in dijet events, and what is measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..jets._ragged import position_in_jet
from ._calorimeter import Particles, Towers
from ._clustering import Clusters, cluster_anti_kt
from ._dijet_detector import JetTracks
from ._events import Events
from ._matching import Array, Axes, find_axes, find_differences, find_nearest
from ._packing import wrap_angle

RADIUS = 0.4
_MIN_PT = 5.0  # GeV, of measured jets
# of the energy, in the least number of towers
_MAIN_SHARE = 0.9


# Jets of towers; those of an event are neighbours.
class TowerJets(NamedTuple):
    clusters: Clusters
    axes: Axes
    pt: Array
    towers: Towers

    @property
    def n_jets(self) -> int:
        return len(self.pt)

    # Return the jet of each tower that is in one, and these towers.
    @property
    def contents(self) -> tuple[NDArray[np.int64], Towers]:
        n_towers = np.diff(self.clusters.offsets)
        jet = np.repeat(np.arange(self.n_jets), n_towers)
        return jet, self.towers.take(self.clusters.particles)

    def take(self, key: NDArray) -> TowerJets:
        rows = np.arange(self.n_jets)[key]
        return TowerJets(
            self.clusters.take(rows), self.axes.take(rows), self.pt[rows], self.towers
        )


# Cluster towers, as particles without mass.
def find_jets(towers: Towers, n_events: int) -> TowerJets:
    pt, (event, eta, phi) = towers.pt, towers.axes
    momenta = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "e": pt * np.cosh(eta),
    }
    offsets = np.searchsorted(event, np.arange(n_events + 1))
    clusters = cluster_anti_kt(Events(offsets, momenta, {}), RADIUS, _MIN_PT)
    jet_pt, axes = find_axes(clusters.momenta, clusters.event)
    return TowerJets(clusters, axes, jet_pt, towers)


# The cuts on the two leading jets and on the third; pT in GeV.
@dataclass(frozen=True)
class Selection:
    max_eta: float = 1.5
    min_dphi: float = 2.7
    # of the two; below, events are missing that the cut on pTHat has removed
    min_mean_pt: float = 55.0
    # the third jet is below one of these: a pT, and a share of the mean of the two
    max_jet3_pt: float = 25.0
    max_jet3_share: float = 0.25


# Two neighbouring rows of jets an event, the harder one first; one entry an event of
# the pT of the third jet, 0 without one, and of the angle between the two.
class Pairs(NamedTuple):
    jets: TowerJets
    jet3_pt: Array
    dphi12: Array

    def take(self, key: NDArray[np.bool_]) -> Pairs:
        jets = self.jets.take(np.repeat(key, 2))
        return Pairs(jets, self.jet3_pt[key], self.dphi12[key])


# Take the leading jets of events with two or more that pass the cuts.
def select_pairs(jets: TowerJets, cuts: Selection) -> Pairs:
    jets = jets.take(jets.pt > _MIN_PT)
    event = jets.axes.event
    order = np.lexsort([-jets.pt, event])
    rank = np.arange(jets.n_jets) - np.searchsorted(event, event)
    # rows of the three leading jets of events, -1 without one
    leading = np.full((event.max(initial=-1) + 1, 3), -1)
    among = rank < 3
    leading[event[among], rank[among]] = order[among]
    leading = leading[leading[:, 1] >= 0]
    jet3_pt = np.where(leading[:, 2] >= 0, jets.pt[leading[:, 2]], 0)
    two = leading[:, :2]
    dphi12 = np.abs(wrap_angle(jets.axes.phi[two[:, 0]] - jets.axes.phi[two[:, 1]]))
    mean_pt = jets.pt[two].mean(axis=1)
    max_jet3_pt = cuts.max_jet3_share * mean_pt
    chosen = (
        (dphi12 > cuts.min_dphi)
        & (mean_pt > cuts.min_mean_pt)
        & (np.abs(jets.axes.eta[two]) < cuts.max_eta).all(axis=1)
        & (jet3_pt < np.maximum(max_jet3_pt, cuts.max_jet3_pt))
    )
    return Pairs(jets.take(two.ravel()), jet3_pt, dphi12).take(chosen)


# Return what the calorimeter and the muon detector tell of jets.
def describe_towers(
    jets: TowerJets, leak_per_segment: float, rng: Generator
) -> dict[str, Array]:
    jet, towers = jets.contents
    pt = towers.pt
    layers = [_sum(jet, column, jets) for column in towers.energies.T]
    shares = np.stack(layers) / sum(layers)
    total = _sum(jet, pt, jets)
    # towers are in falling pT
    before = np.cumsum(pt) - pt
    starts = jets.clusters.offsets[:-1]
    is_main = before - before[starts][jet] < _MAIN_SHARE * total[jet]
    distance = np.hypot(*find_differences(towers.axes, jets.axes.take(jet)))
    n_segments = _sum(jet, towers.leak, jets) / leak_per_segment
    names = ("f_em12", "f_em3", "f_tile0", "f_tile1", "f_tile2")
    return {
        **dict(zip(names, shares, strict=True)),
        "n90": _sum(jet, is_main, jets),
        "n_segments": 1.0 * rng.poisson(n_segments),
        "w_calo": _sum(jet, pt * distance, jets) / total,
        "n_tower": np.diff(jets.clusters.offsets).astype(float),
    }


# Return what tracks tell of jets.
def describe_tracks(
    jets: TowerJets, particles: Particles, detector: JetTracks, rng: Generator
) -> dict[str, Array]:
    particles = particles.take(particles.charge != 0)
    particles = particles.take(detector.find(particles.pt, particles.axes.eta, rng))
    nearest = find_nearest(particles.axes, jets.axes)
    inside = nearest.distance < RADIUS
    jet, distance = nearest.row[inside], nearest.distance[inside]
    pt = detector.measure(particles.pt[inside], rng)
    total, spread = _sum(jet, pt, jets), _sum(jet, pt * distance, jets)
    leading = np.zeros(jets.n_jets)
    np.maximum.at(leading, jet, pt)
    return {
        "f_charged": total / jets.pt,
        "n_track": _sum(jet, np.ones_like(pt), jets),
        "w_track": np.divide(spread, total, out=np.zeros_like(total), where=total > 0),
        "lead_track_frac": leading / jets.pt,
    }


# Return pt, eta, phi and em_fraction of the leading towers, and their numbers.
def list_towers(jets: TowerJets, n_most: int) -> tuple[Array, NDArray[np.int64]]:
    jet, towers = jets.contents
    leading = position_in_jet(jets.clusters.offsets) < n_most
    table = np.stack(
        [
            towers.pt,
            towers.axes.eta,
            wrap_angle(towers.axes.phi),
            towers.em_fraction,
        ],
        axis=1,
    )
    return table[leading], np.bincount(jet[leading], minlength=jets.n_jets)


# Sum what belongs to each jet.
def _sum(jet: NDArray[np.int64], values: NDArray, jets: TowerJets) -> Array:
    return np.bincount(jet, values, minlength=jets.n_jets).astype(np.float64)
