"""True flavours of jets, and true origins and vertices of their tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ._ancestry import Ancestry
from ._matching import Array, Axes, find_axes, find_nearest
from ._species import BOTTOM, CHARM, TAU

_MIN_HADRON_PT, _MAX_HADRON_DISTANCE = 5.0, 0.3  # GeV, in the eta-phi plane
_MIN_VERTEX_DISTANCE = 0.1  # mm

_COUNTS = {BOTTOM: "n_truth_b", CHARM: "n_truth_c"}
_PRIMARY, _FROM_B, _FROM_C_OF_B, _FROM_C, _FROM_TAU, _OTHER = 2, 3, 4, 5, 6, 7


# Find the flavour of jets, 15 for taus, and the leading hadron that makes it.
def label_jets(axes: Axes, ancestry: Ancestry) -> dict[str, NDArray]:
    n = len(axes.eta)
    labels = {
        "HadronConeExclTruthLabelID": np.zeros(n, dtype=np.int64),
        "n_truth_b": np.zeros(n, dtype=np.int64),
        "n_truth_c": np.zeros(n, dtype=np.int64),
        "hadron_pt": np.zeros(n),
        "hadron_Lxy": np.zeros(n),
    }
    # the later win
    for flavour in (TAU, CHARM, BOTTOM):
        rows = ancestry.last_of(flavour)
        x, y, _ = ancestry.decay_points(rows).T
        events = ancestry.events
        pt, directions = find_axes(events.momenta[rows], events.event_index[rows])
        nearest = find_nearest(directions, axes)
        inside = nearest.distance < _MAX_HADRON_DISTANCE
        chosen = np.flatnonzero(inside & (pt > _MIN_HADRON_PT))
        # of assignments to the same jet, the last stays
        chosen = chosen[np.argsort(pt[chosen])]
        jet = nearest.row[chosen]
        labels["HadronConeExclTruthLabelID"][jet] = flavour
        labels["hadron_pt"][jet] = pt[chosen]
        labels["hadron_Lxy"][jet] = np.hypot(x, y)[chosen]
        if flavour in _COUNTS:
            labels[_COUNTS[flavour]] = np.bincount(jet, minlength=n)
    return labels


# Give numbers to the points, in mm, where the tracks of each jet begin. Neighbours of
# neighbours, ..., are one point. The collision, at the origin, has number 0, then come
# 1, 2, ... in the order of tracks.
def find_vertices(position: Array, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    n_tracks, n_jets = len(position), len(offsets) - 1
    jet = np.repeat(np.arange(n_jets), np.diff(offsets))
    points = np.zeros((n_tracks + n_jets, 4))
    points[:n_tracks, :3] = position
    # a fourth coordinate keeps jets apart
    points[:, 3] = np.append(jet, np.arange(n_jets))
    i, j = cKDTree(points).query_pairs(_MIN_VERTEX_DISTANCE, output_type="ndarray").T
    links = coo_array((np.ones(len(i)), (i, j)), shape=(len(points), len(points)))
    _, group = connected_components(links, directed=False)
    is_secondary = group[:n_tracks] != group[n_tracks:][jet]
    _, first, inverse = np.unique(
        group[:n_tracks], return_index=True, return_inverse=True
    )
    opens = np.zeros(n_tracks, dtype=bool)
    opens[first] = True
    n_opened = np.append(0, np.cumsum(opens & is_secondary))
    number = n_opened[1:] - n_opened[offsets[:-1]][jet]
    return np.where(is_secondary, number[first[inverse]], 0)


# Tell what tracks of particles are from, in the numbers of ATLAS.
def find_origins(
    rows: NDArray[np.int64], vertex: NDArray[np.int64], ancestry: Ancestry
) -> NDArray[np.int64]:
    from_b, from_c, from_tau = (
        ancestry.descends_from(flavour)[rows] for flavour in (BOTTOM, CHARM, TAU)
    )
    return np.select(
        [from_b & from_c, from_b, from_c, from_tau, vertex > 0],
        [_FROM_C_OF_B, _FROM_B, _FROM_C, _FROM_TAU, _OTHER],
        _PRIMARY,
    )
