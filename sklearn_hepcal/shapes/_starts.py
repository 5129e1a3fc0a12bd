"""First guesses of the members of a family that are close to an event."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import softmax

from ._family import Event, Member
from ._points import closest_points
from ._shape import Array, Shape

# Starts of the search for the best sum of points.
_N_SUMS = 64
_N_OUTLIERS = 12
# Sizes of the neighbourhoods that shapes start from, relative to that of the event.
_LEAST_SIZE, _LARGEST_SIZE = 0.03, 3.0
_LEAST_RATIO = 0.2
# What shapes that cannot be moved, and the beam, weigh against all others.
_BACKGROUND, _LOG_BACKGROUND = 0.1, (-3, -0.5)
# No share and no size is smaller.
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
        n_random = n_init if self._n_movable else 0
        self._draws = rng.uniform(size=(n_random, self._n_movable, 4))
        self._backgrounds = 10 ** rng.uniform(*_LOG_BACKGROUND, size=n_random)

    def __call__(self, event: Event) -> Iterator[Member]:
        for groups in self._clusterings(event, self._n_movable):
            yield self._member(event, groups)
        for groups in self._outliers(event):
            yield self._member(event, groups)
        for draw, background in zip(self._draws, self._backgrounds, strict=True):
            yield self._member(event, _neighbourhoods(event, draw), background)

    def degenerate(self, event: Event) -> Member | None:
        """Start each shape from a single particle, if there are enough shapes."""
        n_particles = len(event.weights)
        if n_particles > self._n_movable:
            return None
        groups = np.zeros((self._n_movable, n_particles))
        groups[:n_particles] = np.diag(event.weights)
        groups[n_particles:, 0] = _FAR
        return self._member(event, groups, background=_FAR)

    # Energies of the particles that belong to each of so many shapes.
    def _clusterings(self, event: Event, n_shapes: int) -> list[Array]:
        if n_shapes < 2:
            return [np.atleast_2d(event.weights)[:n_shapes]]
        sums = closest_points(event, n_shapes, self._beta, cap=np.inf, n_init=_N_SUMS)
        groups = []
        for points in sums:
            members = points.nearest == np.arange(n_shapes)[:, None]
            # a shape without particles starts as the whole event
            members |= ~members.any(axis=1, keepdims=True)
            groups.append(members * event.weights)
        return groups

    # One shape for a single particle that is far from the others and not soft.
    def _outliers(self, event: Event) -> Iterator[Array]:
        n_others = self._n_movable - 1
        if n_others < 1:
            return
        x, weights = event
        others = self._clusterings(event, n_others)[0]
        cost = weights * np.linalg.norm(x - weights @ x, axis=1)
        for k, particle in enumerate(np.argsort(-cost, kind="stable")[:_N_OUTLIERS]):
            rest = others.copy()
            rest[:, particle] = 0
            # a cluster of this particle alone becomes the whole event
            rest = np.maximum(rest, _FAR * weights)
            alone = np.zeros_like(weights)
            alone[particle] = weights[particle]
            yield np.insert(rest, k % self._n_movable, alone, axis=0)

    # Put the parameters and weights of all parts together; `groups` has a row for each
    # movable shape.
    def _member(
        self,
        event: Event,
        groups: Array,
        background: float = _BACKGROUND,
    ) -> Member:
        theta, weights = [np.empty(0)], []
        shares = np.maximum(groups.sum(axis=1), _FAR)
        movable = zip(groups, shares, strict=True)
        for shape in self._components:
            if shape.is_movable:
                group, share = next(movable)
            else:
                group, share = event.weights, background
            theta.append(shape.start(self._R * event.points, group) / self._R)
            weights += [share / len(shape.parts)] * len(shape.parts)
        weights += [background] * self._beam
        return Member(np.concatenate(theta), np.log(weights))


# Divide the energies among Gaussians of random places, widths and directions.
def _neighbourhoods(event: Event, draw: Array) -> Array:
    x, weights = event
    place, size, ratio, turn = draw.T
    centres = x[np.minimum(weights.cumsum().searchsorted(place), len(x) - 1)]
    spread = np.sqrt(weights @ ((x - weights @ x) ** 2).sum(axis=1))
    length = spread * _LEAST_SIZE * (_LARGEST_SIZE / _LEAST_SIZE) ** size
    width = length * _LEAST_RATIO**ratio
    axis = np.column_stack([np.cos(np.pi * turn), np.sin(np.pi * turn)])
    along, across = (
        np.einsum("knd,kd->kn", x - centres[:, None], direction)
        / np.maximum(size, _FAR)[:, None]
        for direction, size in ((axis, length), (axis[:, ::-1] * [-1, 1], width))
    )
    area = np.maximum(length * width, _FAR)[:, None]
    return weights * softmax(-(along**2 + across**2) / 2 - np.log(area), axis=0)
