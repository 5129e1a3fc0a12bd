"""Events of Pythia in flat tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._optional import import_optional
from ..jets._ragged import counts_to_offsets, position_in_jet

_QUIET = ("Print:quiet = on", "Random:setSeed = on")
_PARTICLE = ("id", "status", "mother1", "mother2", "daughter1", "daughter2", "m", "tau")
_MOMENTUM = ("px", "py", "pz", "e")
# the production vertex, under names that differ from those of momenta
_VERTEX = {"x": "px", "y": "py", "z": "pz", "t": "e"}
# against division by zero, in GeV
_LEAST_PT = 1e-100
_NEUTRINOS = (12, 14, 16)
# of remnants of the beams; the preparation of hadronisation is next
_LAST_PARTON_STATUS = 69
_PB_PER_MB = 1e9


# What a run did: events tried and made, and the cross-section of those made.
class Statistics(NamedTuple):
    n_tried: int
    n_events: int
    cross_section_pb: float
    cross_section_error_pb: float


# Join the statistics of several runs of one generator.
def combine(runs: Sequence[Statistics]) -> Statistics:
    n_tried, n_events, cross_section, error = np.array(runs).T
    weight = n_tried / n_tried.sum()
    return Statistics(
        int(n_tried.sum()),
        int(n_events.sum()),
        float(weight @ cross_section),
        float(np.sqrt(np.sum((weight * error) ** 2))),
    )


# Particles of all events as columns of one table, cut into events by the offsets:
# momenta in GeV, vertices in mm, and status and relatives as in Pythia, so that mothers
# and daughters count from the first particle of their event. `info` is of the events.
@dataclass(frozen=True)
class Events:
    offsets: NDArray[np.int64]
    particles: Mapping[str, NDArray]
    info: Mapping[str, NDArray]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def event_index(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    # px, py, pz, e as the columns of one table
    @cached_property
    def momenta(self) -> NDArray[np.float64]:
        return np.column_stack([self.particles[name] for name in _MOMENTUM])

    @property
    def eta(self) -> NDArray[np.float64]:
        px, py, pz, _ = self.momenta.T
        return np.arcsinh(pz / np.maximum(np.hypot(px, py), _LEAST_PT))

    # Tell which particles have one of these PDG ids, whatever the sign.
    def is_id(self, *ids: int) -> NDArray[np.bool_]:
        return np.isin(np.abs(self.particles["id"]), ids)

    @property
    def is_final(self) -> NDArray[np.bool_]:
        return self.particles["status"] > 0

    @property
    def is_visible(self) -> NDArray[np.bool_]:
        return self.is_final & ~self.is_id(*_NEUTRINOS)

    # What was visible before hadronisation: partons have their copies and hadrons
    # further down in the table.
    @property
    def is_visible_parton(self) -> NDArray[np.bool_]:
        place = position_in_jet(self.offsets)
        hadronic = np.abs(self.particles["status"]) > _LAST_PARTON_STATUS
        end = np.diff(self.offsets)
        np.minimum.at(end, self.event_index[hadronic], place[hadronic])
        end = end[self.event_index]
        was_final = self.is_final | (self.particles["daughter1"] >= end)
        return (place < end) & was_final & ~self.is_id(*_NEUTRINOS)

    # Keep some particles of every event.
    def select(self, mask: NDArray[np.bool_]) -> Events:
        counts = np.bincount(self.event_index[mask], minlength=len(self))
        particles = {name: column[mask] for name, column in self.particles.items()}
        return Events(counts_to_offsets(counts), particles, self.info)


# A run of Pythia, from which events are drawn.
class PythiaSource:
    def __init__(self, settings: Iterable[str], hook: Any, seed: int) -> None:
        pythia8 = import_optional("pythia8mc", "generate")
        self._pythia = pythia8.Pythia("", False)
        for line in (*_QUIET, f"Random:seed = {seed}", *settings):
            if not self._pythia.readString(line):
                raise ValueError(f"Pythia does not know the setting {line!r}.")
        # kept here, for Pythia does not keep the Python object alive
        self._hook = hook
        if hook is not None:
            self._pythia.setUserHooksPtr(hook)
        if not self._pythia.init():
            raise RuntimeError(f"Pythia does not start with {list(settings)}.")

    # Return new events; the few in which Pythia fails are missing.
    def next_events(self, n_events: int) -> Events:
        return _flatten(self._pythia.nextBatch(n_events, errorMode="skip"))

    @property
    def statistics(self) -> Statistics:
        info = self._pythia.infoPython()
        return Statistics(
            int(info.nTried()),
            int(info.nAccepted()),
            _PB_PER_MB * info.sigmaGen(),
            _PB_PER_MB * info.sigmaErr(),
        )


def _flatten(batch: Any) -> Events:
    ak = import_optional("awkward", "generate")
    flat = ak.flatten(batch.prt)
    particles = {name: ak.to_numpy(flat[name]) for name in _PARTICLE}
    particles |= {name: ak.to_numpy(flat.p[name]) for name in _MOMENTUM}
    # without a vertex, the particle comes from the collision
    particles |= {
        name: ak.to_numpy(ak.fill_none(flat.vProd[column], 0.0))
        for name, column in _VERTEX.items()
    }
    scalars = [name for name in batch.info.fields if name != "weights"]
    info = {name: ak.to_numpy(batch.info[name]) for name in scalars}
    info["weight"] = ak.to_numpy(batch.info.weights[:, 0])
    info["pt_hat"] = np.sqrt(info["pT2Hat"])
    counts = ak.to_numpy(ak.num(batch.prt))
    return Events(counts_to_offsets(counts), particles, info)
