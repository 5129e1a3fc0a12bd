"""What PDG ids tell about particles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

ELECTRON, MUON, TAU, PHOTON = 11, 13, 15, 22
CHARM, BOTTOM = 4, 5
NEUTRINOS = (12, 14, 16)
# of the charged particles that live long enough to leave a track
_CHARGES = {ELECTRON: -1, MUON: -1, 211: 1, 321: 1, 2212: 1}


# Return the values that a table has for absolute PDG ids, 0 for others.
def look_up(table: Mapping[int, int], pdg_id: NDArray) -> NDArray[np.int64]:
    is_in = [np.abs(pdg_id) == key for key in table]
    return np.select(is_in, list(table.values()), 0)


# Return the charges of final particles.
def find_charges(pdg_id: NDArray) -> NDArray[np.int64]:
    return np.sign(pdg_id) * look_up(_CHARGES, pdg_id)


# Return the heaviest quark of hadrons, as its PDG id; 0 for others and for quarkonia.
def heaviest_quark(pdg_id: NDArray) -> NDArray:
    code = np.abs(pdg_id)
    quarks = np.stack([code // place % 10 for place in (1000, 100, 10)])
    # mesons have two quarks, diquarks none in the last place
    is_open = (quarks[0] > 0) | (quarks[1] != quarks[2])
    is_hadron = (quarks[1] > 0) & (quarks[2] > 0)
    return np.where(is_open & is_hadron, quarks.max(axis=0), 0)
