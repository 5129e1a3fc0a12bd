"""Jets of all events at once, by FastJet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._optional import import_optional
from ..jets import Jets
from ..jets._ragged import counts_to_offsets, gather
from ._events import Events
from ._packing import wrap_angle

_MOMENTUM = ("px", "py", "pz", "E")


# In GeV and radians.
class Kinematics(NamedTuple):
    pt: NDArray[np.float64]
    y: NDArray[np.float64]
    phi: NDArray[np.float64]
    mass: NDArray[np.float64]


# Jets, in falling pT within every event, with their momenta (px, py, pz, e) and
# particles, in falling pT within every jet: rows of the table of all particles.
@dataclass(frozen=True)
class Clusters:
    momenta: NDArray[np.float64]
    event: NDArray[np.int64]
    offsets: NDArray[np.int64]
    particles: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.event)

    # Return 0 for the leading jet of every event, 1 for the next, ...
    @property
    def rank(self) -> NDArray[np.int64]:
        return np.arange(len(self)) - np.searchsorted(self.event, self.event)

    # Keep some jets, by a mask or by rows.
    def take(self, key: NDArray) -> Clusters:
        rows = np.arange(len(self))[key]
        offsets, places = gather(self.offsets, rows)
        return Clusters(
            self.momenta[rows], self.event[rows], offsets, self.particles[places]
        )


# Convert the columns px, py, pz, e.
def kinematics(momenta: NDArray[np.float64]) -> Kinematics:
    px, py, pz, e = momenta.T
    pt2 = px**2 + py**2
    mass2 = np.maximum((e + pz) * (e - pz) - pt2, 0)
    # exact where e and pz are close, which log((e + pz) / (e - pz)) is not
    y = np.sign(pz) * 0.5 * np.log((e + np.abs(pz)) ** 2 / (pt2 + mass2))
    return Kinematics(np.sqrt(pt2), y, wrap_angle(np.arctan2(py, px)), np.sqrt(mass2))


# Cluster the particles of every event by anti-kT in the E scheme.
def cluster_anti_kt(particles: Events, radius: float, min_pt: float) -> Clusters:
    ak = import_optional("awkward", "generate")
    fastjet = import_optional("fastjet", "generate")
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    offsets, momenta = particles.offsets, particles.momenta
    columns = [ak.contents.NumpyArray(column) for column in momenta.T.copy()]
    records = ak.contents.RecordArray(columns, _MOMENTUM)
    lists = ak.contents.ListOffsetArray(ak.index.Index64(offsets), records)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    sequence = fastjet.ClusterSequence(ak.Array(lists), definition)
    jets = sequence.inclusive_jets(min_pt)
    members = ak.flatten(sequence.constituent_index(min_pt))
    event = np.repeat(np.arange(len(particles)), ak.to_numpy(ak.num(jets)))
    flat = ak.flatten(jets)
    counts = ak.to_numpy(ak.num(members))
    clusters = Clusters(
        np.column_stack([ak.to_numpy(flat[name]) for name in _MOMENTUM]),
        event,
        counts_to_offsets(counts),
        ak.to_numpy(ak.flatten(members)) + np.repeat(offsets[event], counts),
    )
    return _sort(clusters, momenta)


def _sort(clusters: Clusters, momenta: NDArray[np.float64]) -> Clusters:
    pt2 = (clusters.momenta[:, :2] ** 2).sum(axis=1)
    clusters = clusters.take(np.lexsort([-pt2, clusters.event]))
    jet = np.repeat(np.arange(len(clusters)), np.diff(clusters.offsets))
    pt2 = (momenta[clusters.particles, :2] ** 2).sum(axis=1)
    order = np.lexsort([-pt2, jet])
    return replace(clusters, particles=clusters.particles[order])


# Return jets of visible particles, with truth among the labels.
def to_jets(clusters: Clusters, particles: Events, **labels: NDArray) -> Jets:
    pt, y, phi, _ = kinematics(particles.momenta[clusters.particles])
    pdgid = particles.particles["id"][clusters.particles]
    return Jets(
        constituents=np.column_stack([pt, y, phi, pdgid]),
        constituent_names=("pt", "y", "phi", "pdgid"),
        offsets=clusters.offsets,
        labels={
            **kinematics(clusters.momenta)._asdict(),
            "pt_hat": particles.info["pt_hat"][clusters.event],
            **labels,
        },
    )
