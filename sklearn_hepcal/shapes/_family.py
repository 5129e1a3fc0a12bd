"""A family of shapes as a transport problem whose columns move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ._shape import Array, Shape
from ._transport import Transport, distances, transport

# Places, in units of R, and shares of energy are known to so many decimals.
DIGITS = 10
# No part of a mixture gets less, so that each has a price.
_LEAST_SHARE = 1e-9
# Distances below this one, in units of R, pull as if they were this one.
_LEAST_DISTANCE = 1e-12
_STEPS_PER_PLAN = 2
_TINY = 1e-300


class Event(NamedTuple):
    """Places of particles, in units of R, and energies that sum to one."""

    points: Array
    weights: Array


class Member(NamedTuple):
    """A shape of the family: parameters in units of R, and logarithms of weights."""

    theta: Array
    logits: Array

    @classmethod
    def of(cls, theta: Array, weights: Array) -> Member:
        """Take weights in any unit."""
        return cls(theta, np.log(np.maximum(weights, _TINY)))


class Move(NamedTuple):
    """Places of the nodes, distances of the particles to them, and the best plan."""

    nodes: Array
    distance: Array
    best: Transport


class Family:
    """Shapes, their nodes, and the cost of moving an event onto them.

    With a beam, energy may stay away from the shapes at a cost of one. The cost has a
    kink where a node touches a particle, at which a descent can come to a halt; with
    `smooth` distances d become the root of d^2 + smooth^2, in units of R.
    """

    def __init__(
        self,
        components: tuple[Shape, ...],
        n_nodes: int,
        *,
        beta: float,
        R: float,
        beam: bool = False,
        smooth: float = 0.0,
    ) -> None:
        self.beta, self.R = beta, R
        self._smooth = smooth
        self.components = components
        ends = np.cumsum([len(shape.parameters) for shape in components])
        self.slices = [
            slice(end - len(shape.parameters), end)
            for shape, end in zip(components, ends, strict=True)
        ]
        self.n_parameters = int(ends[-1])
        # the same bounds in units of R
        bounds = [b for shape in components for b in shape.parameters.values()]
        self._bounds = np.reshape(bounds, (self.n_parameters, 2)) / R
        parts = [
            (part, where, *part.nodes(n_nodes))
            for shape, where in zip(components, self.slices, strict=True)
            for part in shape.parts
        ]
        self._parts = [(part, where, nodes) for part, where, nodes, _ in parts]
        shares = [share for *_, share in parts] + [np.ones(1)] * beam
        self._share = np.concatenate(shares)
        self._part_of_node = np.repeat(np.arange(len(shares)), list(map(len, shares)))
        self._beam = beam
        self.n_parts = len(shares)
        self.is_movable = all(shape.is_movable for shape in components)
        self.is_affine = all(part.is_affine for part, _, _ in self._parts)
        # what positions and Jacobian are at any parameters if they are affine
        origin = np.zeros(self.n_parameters)
        self._origin = self._compute_positions(origin) if self.is_affine else None
        self._design = self._compute_jacobian(origin) if self.is_affine else None

    def positions(self, theta: Array) -> Array:
        """Place the nodes, in units of R."""
        if self._origin is None or self._design is None:
            return self._compute_positions(theta)
        return self._origin + (self._design @ theta).reshape(-1, 2)

    def jacobian(self, theta: Array) -> Array:
        """Differentiate the places; shape (2 * n_nodes, n_parameters)."""
        return self._compute_jacobian(theta) if self._design is None else self._design

    def shares(self, logits: Array) -> Array:
        """Give the weights of the parts, which sum to one."""
        shares = np.exp(logits - logits.max())
        shares = shares / shares.sum() + _LEAST_SHARE
        return shares / shares.sum()

    def move(self, event: Event, member: Member) -> Move:
        """Find the plan that moves the event onto a member."""
        nodes = self.positions(member.theta)
        distance = self._distances(event, nodes)
        weights = self._node_weights(member)
        return Move(
            nodes, distance, transport(event.weights, weights, self._cost(distance))
        )

    def dual_value(self, event: Event, member: Member, row_prices: Array) -> float:
        """Bound the distance to a member from below, at any prices of the particles."""
        cost = self._cost(self._distances(event, self.positions(member.theta)))
        column_prices = (cost - row_prices[:, None]).min(axis=0)
        weights = self._node_weights(member)
        return float(event.weights @ row_prices + weights @ column_prices)

    def divide(self, event: Event, member: Member) -> Array:
        """Share each particle among the parts; shape (n_particles, n_parts)."""
        plan = self.move(event, member).best.plan
        starts = np.flatnonzero(np.diff(self._part_of_node, prepend=-1))
        return np.add.reduceat(plan, starts, axis=1) / event.weights[:, None]

    def nodes(self, member: Member) -> tuple[Array, Array, NDArray[np.intp]]:
        """Give places, weights and parts of the nodes, without the beam."""
        places = self.positions(member.theta)
        n = len(places)
        return places, self._node_weights(member)[:n], self._part_of_node[:n]

    def canonical(self, member: Member) -> Member:
        """Choose, of all parameters of this shape, those that are reported."""
        theta = [
            shape.recall(shape.describe(self.R * member.theta[where])) / self.R
            for shape, where in zip(self.components, self.slices, strict=True)
        ]
        return member._replace(theta=np.concatenate(theta))

    def translate(self, member: Member, shift: Array) -> Member:
        """Move the shapes that can be moved."""
        theta = member.theta.copy()
        for shape, where in zip(self.components, self.slices, strict=True):
            if shape.is_movable:
                theta[where][:2] += shift
        return member._replace(theta=theta)

    def clip(self, member: Member) -> Member:
        """Move the parameters into their bounds."""
        return member._replace(theta=np.clip(member.theta, *self._bounds.T))

    def touches(self, event: Event, member: Member) -> bool:
        """Whether all movable shapes lie on particles."""
        nodes = [
            part.positions(self.R * member.theta[where], nodes) / self.R
            for part, where, nodes in self._parts
            if part.is_movable
        ]
        nearest = distances(event.points, np.concatenate(nodes)).min(axis=0)
        return bool((nearest < _LEAST_DISTANCE).all())

    def _node_weights(self, member: Member) -> Array:
        return self._share * self.shares(member.logits)[self._part_of_node]

    def _distances(self, event: Event, nodes: Array) -> Array:
        distance = distances(event.points, nodes)
        return np.hypot(distance, self._smooth) if self._smooth else distance

    # What costs nothing still does if it is smooth. The beam costs one.
    def _cost(self, distance: Array) -> Array:
        cost = distance if self.beta == 1 else distance**self.beta / self.beta
        cost = cost - self._smooth**self.beta / self.beta
        return np.column_stack([cost, np.ones(len(cost))]) if self._beam else cost

    def majorise(self, event: Event, member: Member, n_plans: int) -> Member:
        """Go to the least of a quadratic majoriser of the cost, plan by plan."""
        theta = member.theta
        for _ in range(n_plans):
            nodes, distance, best = self.move(event, member._replace(theta=theta))
            plan = best.plan[:, : len(nodes)]  # not what goes to the beam
            for _ in range(_STEPS_PER_PLAN):
                step = self._majorising_step(event, theta, nodes, plan, distance)
                theta = np.clip(theta + step, *self._bounds.T)
                nodes = self.positions(theta)
                distance = self._distances(event, nodes)
        return member._replace(theta=theta)

    def _majorising_step(
        self, event: Event, theta: Array, nodes: Array, plan: Array, distance: Array
    ) -> Array:
        pull = plan * np.maximum(distance, _LEAST_DISTANCE) ** (self.beta - 2)
        total = pull.sum(axis=0)
        force = pull.T @ event.points - total[:, None] * nodes
        design = self.jacobian(theta)
        matrix = (design.T * np.repeat(total, 2)) @ design
        # parameters that move nothing stay where they are
        matrix.flat[:: len(matrix) + 1] += 1e-12 * np.trace(matrix) + _TINY
        step = np.linalg.solve(matrix, design.T @ force.ravel())
        # there is no such majoriser for beta > 2, but shorter steps lead downhill
        return step / max(self.beta - 1, 1)

    def descend(self, event: Event, member: Member, n_steps: int, tol: float) -> Member:
        """Go downhill, places and weights at once."""
        result = minimize(
            self._value_and_slope,
            np.concatenate(member),
            args=(event,),
            jac=True,
            method="L-BFGS-B",
            bounds=[*self._bounds, *[(None, None)] * self.n_parts],
            options={"maxiter": n_steps, "ftol": tol},
        )
        return self._split(result.x)

    def _split(self, values: Array) -> Member:
        return Member(values[: self.n_parameters], values[self.n_parameters :])

    # The plan is the best one, so that it counts as fixed in the derivatives, and the
    # prices of the nodes are the derivatives by their weights (Danskin's theorem).
    def _value_and_slope(self, values: Array, event: Event) -> tuple[float, Array]:
        member = self._split(values)
        nodes, distance, best = self.move(event, member)
        plan = best.plan[:, : len(nodes)]
        pull = plan * np.maximum(distance, _LEAST_DISTANCE) ** (self.beta - 2)
        force = pull.T @ event.points - pull.sum(axis=0)[:, None] * nodes
        price = np.bincount(
            self._part_of_node, self._share * best.column_prices, self.n_parts
        )
        shares = self.shares(member.logits)
        by_logit = shares * (price - shares @ price)
        by_parameter = -force.ravel() @ self.jacobian(member.theta)
        return best.cost, np.concatenate([by_parameter, by_logit])

    def _compute_positions(self, theta: Array) -> Array:
        places = [
            part.positions(self.R * theta[where], nodes)
            for part, where, nodes in self._parts
        ]
        return np.concatenate(places) / self.R

    # Lengths and places are in units of R both: R drops out.
    def _compute_jacobian(self, theta: Array) -> Array:
        blocks = []
        for part, where, nodes in self._parts:
            block = np.zeros((len(nodes), 2, self.n_parameters))
            block[:, :, where] = part.jacobian(self.R * theta[where], nodes)
            blocks.append(block.reshape(2 * len(nodes), self.n_parameters))
        return np.concatenate(blocks)
