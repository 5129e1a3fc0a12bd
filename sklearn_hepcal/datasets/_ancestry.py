"""Where particles come from: decays, and the hadrons that decayed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ._events import Events
from ._species import TAU, heaviest_quark

# codes of Pythia for the products of a decay
_DECAYED = (91, 99)


# Return where particles begin (n, 3), in mm.
def find_positions(events: Events) -> NDArray[np.float64]:
    return np.column_stack([events.particles[axis] for axis in "xyz"])


# The decays in events, as places in the flat table of particles.
@dataclass(frozen=True)
class Ancestry:
    events: Events

    # Return 5, 4 or 15 for b hadrons, c hadrons and taus, else smaller numbers.
    @cached_property
    def flavour(self) -> NDArray:
        pdg_id = self.events.particles["id"]
        return np.where(np.abs(pdg_id) == TAU, TAU, heaviest_quark(pdg_id))

    # Return the particles that come from a decay.
    @cached_property
    def products(self) -> NDArray[np.int64]:
        status = np.abs(self.events.particles["status"])
        return np.flatnonzero((status >= _DECAYED[0]) & (status <= _DECAYED[1]))

    # Return what the products are from.
    @cached_property
    def parents(self) -> NDArray[np.int64]:
        starts = np.repeat(self.events.offsets[:-1], np.diff(self.events.offsets))
        return (starts + self.events.particles["mother1"])[self.products]

    # Tell which particles have an ancestor of this flavour.
    def descends_from(self, flavour: int) -> NDArray[np.bool_]:
        passes_on = self.flavour == flavour
        descends = np.zeros(len(passes_on), dtype=bool)
        while True:
            # one more generation
            grown = (descends | passes_on)[self.parents]
            if np.array_equal(grown, descends[self.products]):
                return descends
            descends[self.products] = grown

    # Return the particles of this flavour that decay, but not to another.
    def last_of(self, flavour: int) -> NDArray[np.int64]:
        is_last = np.zeros(len(self.flavour), dtype=bool)
        is_last[self.parents] = self.flavour[self.parents] == flavour
        stays = self.flavour[self.products] == flavour
        is_last[self.parents[stays]] = False
        return np.flatnonzero(is_last)

    # Return where these particles decay (n, 3), in mm.
    def decay_points(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        points = np.zeros((len(self.flavour), 3))
        points[self.parents] = find_positions(self.events)[self.products]
        return points[rows]
