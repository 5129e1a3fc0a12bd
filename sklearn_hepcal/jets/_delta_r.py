"""Matching of objects by their angular distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._ragged import gather


# Match objects to targets of the same event, in the order of their distances: the
# closest pair of those unmatched is next, up to a radius. Return the row of the target
# of each object, -1 without one. Both are flat tables of (eta, phi).
def match_delta_r(
    objects: Sequence[NDArray],
    targets: Sequence[NDArray],
    event: NDArray[np.int64],
    target_offsets: NDArray[np.int64],
    radius: float,
) -> NDArray[np.int64]:
    pair_offsets, target = gather(target_offsets, event)
    source = np.repeat(np.arange(event.size), np.diff(pair_offsets))
    distance = _delta_r(objects, source, targets, target)
    near = np.flatnonzero(distance < radius)
    near = near[np.argsort(distance[near], kind="stable")]
    source, target = source[near], target[near]
    matched = np.full(event.size, -1)
    while source.size:
        # in this order, a pair that is the first of both its members is the closest
        first = _is_first(source) & _is_first(target)
        matched[source[first]] = target[first]
        free = ~np.isin(source, source[first]) & ~np.isin(target, target[first])
        source, target = source[free], target[free]
    return matched


def _is_first(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = np.zeros(values.size, dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _delta_r(
    objects: Sequence[NDArray],
    source: NDArray[np.int64],
    targets: Sequence[NDArray],
    target: NDArray[np.int64],
) -> NDArray[np.float64]:
    eta, phi = (
        np.asarray(a, np.float64)[source] - np.asarray(b, np.float64)[target]
        for a, b in zip(objects, targets, strict=True)
    )
    return np.hypot(eta, np.remainder(phi + np.pi, 2 * np.pi) - np.pi)
