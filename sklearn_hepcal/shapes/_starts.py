"""First guesses of the members of a family that are close to an event."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._family import Event, Member
from ._points import closest_points
from ._shape import Array, Shape

# How many of the best sums of points are tried, of how many.
_N_CLUSTERINGS, _N_SUMS = 4, 64
# Sizes of the neighbourhoods that shapes start from, relative to that of the event.
_LEAST_SIZE, _LARGEST_SIZE = 0.1, 3.0
# What shapes that cannot be moved, and the beam, weigh against all others.
_BACKGROUND = 0.1
# A neighbourhood is never quite empty.
_FAR = 1e-12


class Starts:
    """Guesses from the whole event, from its clusters, and from neighbourhoods.

    The neighbourhoods are drawn once, as shares of the energy and of the size of an
    event, so that they are the same for all events and follow them smoothly.
    """

    def __init__(
        self,
        components: tuple[Shape, ...],
        n_init: int,
        *,
        beta: float,
        R: float,
        beam: bool,
        rng: np.random.RandomState,
    ) -> None:
        self._components = components
        self._beta, self._R, self._beam = beta, R, beam
        self._n_movable = sum(shape.is_movable for shape in components)
        n_systematic = _N_CLUSTERINGS if self._n_movable > 1 else 1
        self._n_systematic = min(n_init, n_systematic)
        n_random = (n_init - self._n_systematic) if self._n_movable else 0
        self._draws = rng.uniform(size=(n_random, self._n_movable, 3))

    def __call__(self, event: Event) -> Iterator[Member]:
        for groups in self._clusterings(event):
            yield self._member(event, groups, groups.sum(axis=1))
        for draw in self._draws:
            yield self._member(event, _neighbourhoods(event, draw), 0.1 + draw[:, 2])

    def degenerate(self, event: Event) -> Member | None:
        """Start each shape from a single particle, if there are enough shapes."""
        n_particles = len(event.weights)
        if n_particles > self._n_movable:
            return None
        groups = np.zeros((self._n_movable, n_particles))
        groups[:n_particles] = np.diag(event.weights)
        groups[n_particles:, 0] = _FAR
        return self._member(event, groups, groups.sum(axis=1), background=_FAR)

    # Energies of the particles that belong to each movable shape.
    def _clusterings(self, event: Event) -> Iterator[Array]:
        if self._n_movable < 2:
            yield np.atleast_2d(event.weights)[: self._n_movable]
            return
        sums = closest_points(
            event, self._n_movable, self._beta, cap=np.inf, n_init=_N_SUMS
        )
        for points in sums[: self._n_systematic]:
            members = points.nearest == np.arange(self._n_movable)[:, None]
            # a shape without particles starts as the whole event
            members |= ~members.any(axis=1, keepdims=True)
            yield members * event.weights

    # Put the parameters and weights of all parts together; `groups` has a row for each
    # movable shape.
    def _member(
        self,
        event: Event,
        groups: Array,
        shares: Array,
        background: float = _BACKGROUND,
    ) -> Member:
        theta, weights = [np.empty(0)], []
        movable = zip(groups, shares / shares.sum(), strict=True)
        for shape in self._components:
            if shape.is_movable:
                group, share = next(movable)
                theta.append(shape.start(self._R * event.points, group) / self._R)
            else:
                share = background
            weights += [share / len(shape.parts)] * len(shape.parts)
        weights += [background] * self._beam
        return Member(np.concatenate(theta), np.log(weights))


# Energies weighted by Gaussians of random places and widths.
def _neighbourhoods(event: Event, draw: Array) -> Array:
    x, weights = event
    place, size, _ = draw.T
    centres = x[np.minimum(weights.cumsum().searchsorted(place), len(x) - 1)]
    spread = np.sqrt(weights @ ((x - weights @ x) ** 2).sum(axis=1))
    width = spread * _LEAST_SIZE * (_LARGEST_SIZE / _LEAST_SIZE) ** size
    width = np.maximum(width, _FAR)[:, None]
    away = ((x - centres[:, None]) ** 2).sum(axis=2) / (2 * width**2)
    return weights * (np.exp(-away) + _FAR)
