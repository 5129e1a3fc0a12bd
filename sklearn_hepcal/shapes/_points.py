"""The closest sum of N points to an event.

Nothing has to be transported: each particle goes to the nearest point. Points are first
sought among the particles, then moved by steps of Weiszfeld.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._family import Event
from ._shape import Array
from ._transport import distance_power, distances

# Sets of particles that are kept while points are added one at a time.
_N_SETS = 256
# Steps of all starts and how many are kept, of those kept, ...
_STEPS = ((8, 12), (30, 3), (200, 1))
_LEAST_DISTANCE = 1e-12
_N_HARD = 12


class Points(NamedTuple):
    """Places of the points, the distance, and the point that each particle goes to."""

    places: Array
    value: float
    nearest: Array


def closest_points(
    event: Event, n_points: int, beta: float, *, cap: float, n_init: int
) -> list[Points]:
    """Find places for points, the best first; particles may stay at a cost of `cap`."""
    x, weights = event
    candidates = x if np.isinf(cap) else np.vstack([x, _middles(x)])
    reach = np.minimum(distance_power(candidates, x, beta) / beta, cap)
    places = candidates[_best_sets(reach, weights, min(n_points, len(x)))[:n_init]]
    for n_steps, n_kept in _STEPS:
        places = _move(event, places, n_steps, beta, cap)
        values = [_assign(event, p, beta, cap).value for p in places]
        places = places[np.argsort(values, kind="stable")[:n_kept]]
    return [_snap(event, p, beta, cap) for p in places]


# Between the hardest particles: where particles may be left out, none of them need be
# close to a good point.
def _middles(x: Array) -> Array:
    first, second = np.triu_indices(min(len(x), _N_HARD), 1)
    hard = x[-_N_HARD:]
    return (hard[first] + hard[second]) / 2


# Return sets of candidates, shape (n_sets, n_points), that would be good points.
def _best_sets(cost: Array, weights: Array, n_points: int) -> np.ndarray:
    sets, reach = np.arange(len(cost))[:, None], cost
    for _ in range(n_points - 1):
        values = np.minimum(reach[:, None], cost) @ weights
        best = np.argsort(values, axis=None, kind="stable")[: n_points * _N_SETS]
        old, new = np.unravel_index(best, values.shape)
        grown = np.sort(np.column_stack([sets[old], new]), axis=1)
        first = np.sort(np.unique(grown, axis=0, return_index=True)[1])[:_N_SETS]
        sets, reach = grown[first], np.minimum(reach[old[first]], cost[new[first]])
    return sets[np.argsort(reach @ weights, kind="stable")]


# Each step minimises a quadratic majoriser of the cost of the particles that go to a
# point, which exists for beta <= 2, or is short enough for larger beta. Going somewhat
# further is faster and still downhill. For beta = 1 a particle at the very place of a
# point holds it as strongly as the energy that it has (Vardi and Zhang, "The
# multivariate L1-median and associated data depth", PNAS 97 (2000) 1423). For beta > 1
# no particle holds a point, which therefore starts from the mean of its particles.
def _move(event: Event, places: Array, n_steps: int, beta: float, cap: float) -> Array:
    x, weights = event
    length = 1 / (beta - 1) if beta > 2 else 2 - beta / 2
    for _ in range(n_steps):
        distance = _distances(x, places)
        mine = distance == distance.min(axis=1, keepdims=True)
        mine &= distance**beta < beta * cap
        touching = distance < _LEAST_DISTANCE
        pull = np.where(touching, 1, distance) ** (beta - 2) * weights * mine
        if beta == 1:
            pull[touching] = 0
        total = pull.sum(axis=2, keepdims=True)
        force = pull @ x - total * places
        if beta == 1:
            held = (touching @ weights)[:, :, None]
            strength = np.linalg.norm(force, axis=2, keepdims=True)
            force *= np.maximum(1 - held / np.maximum(strength, 1e-300), 0)
        step = np.divide(force, total, where=total > 0, out=np.zeros_like(force))
        places = places + length * step
        if np.abs(step).max() < 1e-9:
            break
    return places


# Shape (n_starts, n_points, n_particles).
def _distances(x: Array, places: Array) -> Array:
    n_starts, n_points, _ = places.shape
    return distances(places.reshape(-1, 2), x).reshape(n_starts, n_points, len(x))


def _assign(event: Event, places: Array, beta: float, cap: float) -> Points:
    cost = distance_power(places, event.points, beta) / beta
    nearest = cost.argmin(axis=0)
    value = np.minimum(cost.min(axis=0), cap) @ event.weights
    return Points(places, float(value), np.where(cost.min(axis=0) < cap, nearest, -1))


# For beta = 1 the best place of a point often is a particle, where steps end slowly.
def _snap(event: Event, places: Array, beta: float, cap: float) -> Points:
    best = _assign(event, places, beta, cap)
    for k in range(len(places)):
        mine = best.nearest == k
        if not mine.any():
            continue
        near = event.points[mine]
        spent = event.weights[mine] @ distance_power(near, near, beta)
        snapped = best.places.copy()
        snapped[k] = near[spent.argmin()]
        best = min(best, _assign(event, snapped, beta, cap), key=lambda p: p.value)
    return best
