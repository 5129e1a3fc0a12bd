"""The search for the member of a family of shapes that is closest to an event."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np

from ._family import Event, Family, Member
from ._point import Point
from ._points import closest_points
from ._shape import Array, Shape
from ._starts import Starts

# By how much more nodes the lower bound is integrated.
_FINER = 4
_N_INIT_SINGLE, _N_INIT_SUM = 4, 64
# Steps downhill in place of a plan, where no majoriser has a known minimum.
_STEPS_PER_PLAN = 3


class Closest(NamedTuple):
    """The closest member of a family of shapes.

    Its distance, what that cannot be below at these parameters, the parameters in units
    of R, and the shares of the parts.
    """

    value: float
    lower: float
    theta: Array
    shares: Array


class _Stage(NamedTuple):
    family: Family
    n_plans: int
    n_steps: int
    n_kept: int


class Search:
    """Many starts with few nodes, the best of them with more."""

    def __init__(
        self,
        components: tuple[Shape, ...],
        *,
        beta: float,
        R: float,
        beam: bool,
        n_nodes: int,
        n_init: int | None,
        max_iter: int,
        tol: float,
        rng: np.random.RandomState,
    ) -> None:
        def family(share: float) -> Family:
            n = ceil(share * n_nodes)
            return Family(components, n, beta=beta, R=R, beam=beam)

        self.family, self._finer = family(1), family(_FINER)
        single = self.family.n_parts == 1
        # share of the nodes, plans to majorise at, steps downhill, starts to keep
        if single:
            schedule = [(3 / 64, 4, 0, 1), (3 / 16, 0, max_iter, 1)]
        else:
            schedule = [
                (3 / 128, 3, 4, 8),
                (1 / 16, 0, 25, 3),
                (3 / 16, 0, max_iter, 1),
            ]
        self._stages = [_Stage(family(share), *rest) for share, *rest in schedule]
        self._n_init = n_init or (_N_INIT_SINGLE if single else _N_INIT_SUM)
        self._tol = tol
        self._n_points = len(components) * all(isinstance(c, Point) for c in components)
        self._beta, self._cap = beta, (1.0 if beam else np.inf)
        self._starts = Starts(
            components, self._n_init, beta=beta, R=R, beam=beam, rng=rng
        )

    def __call__(self, event: Event) -> Closest:
        if self._n_points:
            return self._sum_of_points(event)
        member = self._starts.degenerate(event)
        if member is not None and self.family.touches(event, member):
            return Closest(0.0, 0.0, member.theta, self.family.shares(member.logits))
        member = self._descend(event)
        best = self.family.move(event, member).best
        lower = self._finer.dual_value(event, member, best.row_prices)
        return Closest(
            best.cost, lower, member.theta, self.family.shares(member.logits)
        )

    def _descend(self, event: Event) -> Member:
        members = list(self._starts(event))
        for family, n_plans, n_steps, n_kept in self._stages:
            if family.is_affine:
                members = [family.majorise(event, m, n_plans) for m in members]
            else:
                n_steps += _STEPS_PER_PLAN * n_plans
            found = [family.descend(event, m, n_steps, self._tol) for m in members]
            found.sort(key=lambda result: result[0])
            members = [member for _, member in found[:n_kept]]
        return members[0]

    # The transport to points with free weights is known.
    def _sum_of_points(self, event: Event) -> Closest:
        places, value, nearest = closest_points(
            event, self._n_points, self._beta, cap=self._cap, n_init=self._n_init
        )[0]
        missing = self._n_points - len(places)
        places = np.vstack([places, np.repeat(places[:1], missing, axis=0)])
        parts = np.arange(self.family.n_parts)
        # the beam, whose number is -1, comes last
        shares = (nearest % len(parts) == parts[:, None]) @ event.weights
        return Closest(value, value, places.ravel(), shares)
