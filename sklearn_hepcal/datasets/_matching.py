"""Directions in the plane of pseudorapidity and azimuth, and the nearest jets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jets._ragged import counts_to_offsets, gather
from ._packing import wrap_angle

Array = NDArray[np.float64]


# Directions in several events, event after event.
class Axes(NamedTuple):
    event: NDArray[np.int64]
    eta: NDArray
    phi: NDArray

    def take(self, rows: NDArray) -> Axes:
        return Axes(*(column[rows] for column in self))


# The nearest of some axes, -1 without any in the event, and how far it is.
class Nearest(NamedTuple):
    row: NDArray[np.int64]
    distance: Array


# Return pT and directions of momenta (px, py, pz, ...).
def find_axes(momenta: Array, event: NDArray[np.int64]) -> tuple[Array, Axes]:
    px, py, pz = momenta.T[:3]
    pt = np.hypot(px, py)
    return pt, Axes(event, np.arcsinh(pz / pt), np.arctan2(py, px))


# Return the distances in eta and phi.
def find_differences(axes: Axes, others: Axes) -> tuple[Array, Array]:
    return axes.eta - others.eta, wrap_angle(axes.phi - others.phi)


def find_nearest(axes: Axes, candidates: Axes) -> Nearest:
    n = len(axes.event)
    n_events = max(axes.event.max(initial=0), candidates.event.max(initial=0)) + 1
    counts = np.bincount(candidates.event, minlength=n_events)
    starts, places = gather(counts_to_offsets(counts), axes.event)
    row = np.repeat(np.arange(n), np.diff(starts))
    distance = np.hypot(*find_differences(axes.take(row), candidates.take(places)))
    order = np.lexsort([distance, row])
    has_any = np.diff(starts) > 0
    first = order[starts[:-1][has_any]]
    nearest = Nearest(np.full(n, -1), np.full(n, np.inf))
    nearest.row[has_any] = places[first]
    nearest.distance[has_any] = distance[first]
    return nearest
