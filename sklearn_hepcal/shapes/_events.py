"""Events as they are compared with shapes."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jets import Jets, relative_constituents
from ._family import DIGITS, Event
from ._momenta import check_energies
from ._shape import Array


class RelativeEvents(NamedTuple):
    """Events around their axes, in units of R, and what takes them back."""

    events: list[Event]
    # The particle of its event that each constituent belongs to; -1 without energy.
    particles: list[NDArray[np.intp]]
    energy: Array
    y: Array
    phi: Array


def relative_events(jets: Jets, R: float) -> RelativeEvents:
    """Read events; constituents of one direction are one particle."""
    relative = relative_constituents(jets)
    pt = jets.constituents[:, 0]
    check_energies(pt)
    points = np.column_stack([relative.dy, relative.dphi]) / R
    ends = jets.offsets[1:-1]
    merged = [
        _merge(places, energies)
        for places, energies in zip(
            np.split(points, ends), np.split(pt, ends), strict=True
        )
    ]
    events = [event for event, _ in merged]
    _warn_of_wide_events(events, R)
    particles = [numbers for _, numbers in merged]
    return RelativeEvents(events, particles, relative.pt, relative.y, relative.phi)


# The plane is cut opposite to the axis: beyond half a turn there is a shorter way.
def _warn_of_wide_events(events: list[Event], R: float) -> None:
    wide = sum(
        len(points) > 0 and np.ptp(points[:, 1]) * R > np.pi for points, _ in events
    )
    if wide:
        warnings.warn(
            f"{wide} events span more than half a turn in azimuth: distances between "
            "their ends are overestimated. Shapes are for jets, not for whole events.",
            UserWarning,
            stacklevel=4,
        )


# The solver is fastest if the softest particles come first. Rounding errors must not
# change the order.
def _merge(places: Array, energies: Array) -> tuple[Event, NDArray[np.intp]]:
    some = energies > 0
    points, numbers = np.unique(places[some], axis=0, return_inverse=True)
    shares = energies[some] / energies.sum()
    weights = np.asarray(np.bincount(numbers, shares, len(points)), dtype=np.float64)
    order = np.lexsort([*points.T.round(DIGITS), weights.round(DIGITS)])
    particles = np.full(len(places), -1)
    particles[some] = np.argsort(order)[numbers]
    return Event(points[order], weights[order]), particles
