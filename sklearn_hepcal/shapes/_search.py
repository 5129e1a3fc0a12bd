"""The search for the member of a family of shapes that is closest to an event."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np

from ._family import DIGITS, Event, Family, Member
from ._point import Point
from ._points import closest_points
from ._shape import Array, Shape
from ._starts import Starts

# Fewer nodes would not show where a shape is to go.
_LEAST_NODES = 12
# By how much more nodes the lower bound is integrated.
_FINER = 4
_N_INIT_SINGLE, _N_INIT_SUM = 2, 48
# Steps downhill in place of a plan, where no majoriser has a known minimum.
_STEPS_PER_PLAN = 3


class Closest(NamedTuple):
    """The closest member of a family of shapes.

    Its distance, what that cannot be below at these parameters or NaN, the parameters
    in units of R, and the shares of the parts.
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
        bound: bool,
        n_nodes: int,
        n_init: int | None,
        max_iter: int,
        tol: float,
        rng: np.random.RandomState,
    ) -> None:
        def family(share: float, smooth: float = 0.0) -> Family:
            n = max(ceil(share * n_nodes), min(_LEAST_NODES, n_nodes))
            return Family(components, n, beta=beta, R=R, beam=beam, smooth=smooth)

        self.family = family(1)
        self._finer = family(_FINER) if bound else None
        single = self.family.n_parts == 1
        descent = (3 / 16, 1e-4, 0, max_iter, 1)
        # share of the nodes, smoothing, plans to majorise at, steps downhill, members
        # to keep
        if single:
            schedule = [(3 / 64, 1e-2, 4, 0, 1), descent]
        else:
            schedule = [(3 / 128, 1e-2, 4, 0, 12), (1 / 16, 1e-2, 0, 25, 4), descent]
            schedule.append((1 / 2, 1e-5, 0, 15, 1))
        self._stages = [
            _Stage(family(share, smooth), *rest) for share, smooth, *rest in schedule
        ]
        self._n_init = n_init or (_N_INIT_SINGLE if single else _N_INIT_SUM)
        # weights of sums move slowly
        self._tol = tol if single else tol / 10
        self._n_points = len(components) * all(isinstance(c, Point) for c in components)
        self._beta, self._cap = beta, (1.0 if beam else np.inf)
        self._starts = Starts(
            components, self._n_init, beta=beta, R=R, beam=beam, rng=rng
        )

    def __call__(self, event: Event) -> Closest:
        if self._n_points:
            return self._sum_of_points(event)
        member, is_exact = self._find(event)
        if is_exact:
            return Closest(0.0, 0.0, member.theta, self.family.shares(member.logits))
        best = self.family.move(event, member).best
        lower = np.nan
        if self._finer is not None:
            lower = self._finer.dual_value(event, member, best.row_prices)
        shares = self.family.shares(member.logits)
        return Closest(best.cost, lower, member.theta, shares)

    # Return the closest member, and whether its distance is zero because each particle
    # has a shape of its own.
    def _find(self, event: Event) -> tuple[Member, bool]:
        alone = self._starts.degenerate(event)
        if alone is not None:
            alone = self.family.clip(alone)
            if self.family.touches(event, alone):
                return alone, True
        centre, rounded = self._round(event)
        member = self._descend(rounded)
        member = self.family.clip(self.family.translate(member, centre))
        return self.family.canonical(member), False

    # Rounding errors of the input do not change the distance, but might lead the search
    # to another minimum. Nor do its coordinates, unless shapes have a place in them.
    def _round(self, event: Event) -> tuple[Array, Event]:
        centre = np.zeros(2)
        if self.family.is_movable:
            centre = event.weights @ event.points
        points = (event.points - centre).round(DIGITS)
        weights = np.maximum(event.weights.round(DIGITS), 10.0**-DIGITS)
        return centre, Event(points, weights / weights.sum())

    # Few nodes are enough to move shapes but not to compare them: what a stage finds is
    # judged with the nodes of the next.
    def _descend(self, event: Event) -> Member:
        members = [self.family.clip(member) for member in self._starts(event)]
        judges = [stage.family for stage in self._stages[1:]] + [self.family]
        for stage, judge in zip(self._stages, judges, strict=True):
            members = [self._improve(event, member, stage) for member in members]
            if len(members) > 1:
                values = [judge.move(event, member).best.cost for member in members]
                order = np.argsort(values, kind="stable")
                members = [members[k] for k in order[: stage.n_kept]]
        return members[0]

    def _improve(self, event: Event, member: Member, stage: _Stage) -> Member:
        n_steps = stage.n_steps
        if stage.family.is_affine:
            member = stage.family.majorise(event, member, stage.n_plans)
        else:
            n_steps += _STEPS_PER_PLAN * stage.n_plans
        if n_steps:
            member = stage.family.descend(event, member, n_steps, self._tol)
        return member

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
