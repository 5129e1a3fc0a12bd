"""Smallest transport costs to rings, disks, ellipses and points, from many starts.

    python tests/benchmarks/_exact_shapes.py EVENTS.npz 2-ring --R 0.8 --cache FOLDER

EVENTS.npz holds the columns pt, y and phi of all events one after the other, and their
offsets. The value is the mean distance of the best transport plan divided by R (beta is
1, momenta are divided by their sum). Nothing of the package is used, and it is slow:
bench_shapiness.py takes the values as the exact ones.

Shapes are searched with few nodes by scipy's L-BFGS-B; the gradient is that of the cost
of the best plan, by POT's network simplex, at fixed plan (Danskin's theorem). The best
ones are finished with many nodes. A disk has a node at the centre and rings of 6, 12,
18, ... nodes at the centroids of cells; an ellipse is its image by a symmetric matrix,
which reaches every ellipse; the weights of several components are a softmax.

Nodes make an error. `lower` is a bound from below for the shape that was found: the
dual problem, which has a potential for each particle and an integral over the shape, by
a very fine rule.

Points need no solver, as each particle goes to the closest one: all sets of particles
are tried as points; the best of them, and random ones, are moved by Weiszfeld's steps.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import ot
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import softmax

SAVE_EVERY = 10
LARGEST_LOGIT = 8.0
# Numbers of nodes of a ring, and about those of a disk.
SEARCHED, FINISHED, EVALUATED, INTEGRATED = 96, 512, 1024, 4096
# Rings in a disk; n of them have 1 + 3 n (n - 1) nodes.
DISK_RINGS = {SEARCHED: 6, FINISHED: 14, EVALUATED: 26, INTEGRATED: 60}
SEARCH_ITERATIONS, FINISH_ITERATIONS = 100, 60
N_FINISHED = 3
# by the number of components
N_STARTS = {1: 30, 2: 40, 3: 40}
N_STARTS_AT_POINTS, N_COLLAPSED = 6, 3
N_POINT_STARTS = 60
CHUNK = 20_000


def ring_nodes(n_nodes):
    angles = 2 * np.pi * (np.arange(n_nodes) + 0.5) / n_nodes
    return np.column_stack([np.cos(angles), np.sin(angles)])


def disk_nodes(n_rings):
    """Put a node of equal area at the centroid of each cell of concentric rings."""
    nodes, inside = [np.zeros((1, 2))], 1
    n_nodes = 1 + 3 * n_rings * (n_rings - 1)
    for ring in range(1, n_rings):
        n_cells = 6 * ring
        inner, outer = inside / n_nodes, (inside + n_cells) / n_nodes
        radius = 2 / 3 * (outer**1.5 - inner**1.5) / (outer - inner)
        # The centroid of an arc lies inside it.
        nodes.append(radius * np.sinc(1 / n_cells) * turned_ring(n_cells, ring))
        inside += n_cells
    return np.concatenate(nodes)


def turned_ring(n_nodes, turn):
    """Turn rings differently, so that their nodes do not form rays."""
    cos, sin = np.cos(2.4 * turn), np.sin(2.4 * turn)
    return ring_nodes(n_nodes) @ [[cos, sin], [-sin, cos]]


def round_design(nodes):
    """Return the derivatives of the nodes by (y, phi, radius)."""
    return np.concatenate([centre_design(nodes), nodes[:, :, None]], axis=2)


def ellipse_design(nodes):
    """Return the derivatives by (y, phi, s_yy, s_yphi, s_phiphi)."""
    (u, v), zero = nodes.T, np.zeros(len(nodes))
    stretch = np.stack([np.stack([u, v, zero], 1), np.stack([zero, u, v], 1)], 1)
    return np.concatenate([centre_design(nodes), stretch], axis=2)


def centre_design(nodes):
    return np.broadcast_to(np.eye(2), (len(nodes), 2, 2))


@dataclass(frozen=True)
class Family:
    """A number of components of one kind."""

    kind: str
    n_components: int

    @classmethod
    def parse(cls, text):
        number, _, kind = text.rpartition("-")
        return cls(kind, int(number or 1))

    @property
    def n_starts(self):
        return N_POINT_STARTS if self.kind == "point" else N_STARTS[self.n_components]

    def design(self, size):
        if self.kind == "ring":
            return round_design(ring_nodes(size))
        nodes = disk_nodes(DISK_RINGS[size])
        return round_design(nodes) if self.kind == "disk" else ellipse_design(nodes)

    def with_radii(self, centres, radii):
        """Return the parameters of round components."""
        radii = np.asarray(radii)[:, None]
        if self.kind == "ellipse":
            return np.hstack([centres, radii, 0 * radii, radii])
        return np.hstack([centres, radii])

    def readable(self, theta):
        """Return y, phi and the radius, or the half axes and the angle of the first."""
        if self.kind != "ellipse":
            return np.append(theta[:2], abs(theta[2]))
        matrix = theta[[2, 3, 3, 4]].reshape(2, 2)
        lengths, axes = np.linalg.eigh(matrix)
        order = np.argsort(-abs(lengths))
        angle = np.arctan2(*axes[::-1, order[0]]) % np.pi
        return np.array([*theta[:2], *abs(lengths[order]), angle])


@dataclass(frozen=True)
class Event:
    """Positions and momentum fractions."""

    points: np.ndarray
    weights: np.ndarray

    @classmethod
    def read(cls, columns):
        pt, y, phi = columns
        return cls(np.column_stack([y, phi]), pt / pt.sum())

    @cached_property
    def mean(self):
        return self.weights @ self.points

    @cached_property
    def spread(self):
        squares = ((self.points - self.mean) ** 2).sum(axis=1)
        return np.sqrt(self.weights @ squares)


class Mixture:
    """Components of an event's mixture, with nodes of one size."""

    def __init__(self, event, family, size):
        self.event = event
        self.n_components = family.n_components
        self.design = family.design(size)

    def split(self, vector):
        n_geometry = self.n_components * self.design.shape[2]
        theta = vector[:n_geometry].reshape(self.n_components, -1)
        return theta, softmax(vector[n_geometry:])

    def nodes(self, vector):
        theta, shares = self.split(vector)
        nodes = np.einsum("mdp,kp->kmd", self.design, theta).reshape(-1, 2)
        n_nodes = len(self.design)
        return nodes, np.repeat(shares / n_nodes, n_nodes)

    def transport(self, nodes, weights):
        distances = cdist(self.event.points, nodes)
        plan, log = ot.emd(
            self.event.weights,
            weights,
            distances,
            numItermax=10_000_000,
            log=True,
            check_marginals=False,
        )
        return distances, plan, log

    def cost_and_gradient(self, vector):
        nodes, weights = self.nodes(vector)
        distances, plan, log = self.transport(nodes, weights)
        pull = plan / np.maximum(distances, 1e-12)
        by_node = pull.sum(axis=0)[:, None] * nodes - pull.T @ self.event.points
        by_node = by_node.reshape(self.n_components, -1, 2)
        gradient = np.einsum("kmd,mdp->kp", by_node, self.design)
        prices = log["v"].reshape(self.n_components, -1).mean(axis=1)
        _, shares = self.split(vector)
        by_logit = shares * (prices - shares @ prices)
        return (plan * distances).sum(), np.concatenate([gradient.ravel(), by_logit])

    def minimise(self, vector, max_iterations):
        n_geometry = self.n_components * self.design.shape[2]
        bounds = [(None, None)] * n_geometry
        bounds += [(-LARGEST_LOGIT, LARGEST_LOGIT)] * self.n_components
        found = minimize(
            self.cost_and_gradient,
            vector,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": max_iterations, "ftol": 1e-8, "gtol": 1e-7},
        )
        return found.fun, found.x

    def bound(self, vector, potentials):
        """Maximise the dual for the potentials of the particles."""
        nodes, weights = self.nodes(vector)
        distances = cdist(self.event.points, nodes)
        columns = np.arange(len(nodes))

        def loss(potentials):
            closest = (distances - potentials[:, None]).argmin(axis=0)
            reached = np.bincount(closest, weights, len(potentials))
            value = weights @ distances[closest, columns]
            missing = self.event.weights - reached
            return -value - missing @ potentials, -missing

        return -minimize(loss, potentials, jac=True, method="L-BFGS-B").fun


def all_starts(event, family, n_starts, rng):
    """Yield starts; the first ones have the spread of the particles around them.

    Components may be as small as points, of any share. Random starts miss them.
    """
    n = family.n_components
    points = point_candidates(event, n, 10, rng)[1]
    for start, chosen in enumerate(start_centres(event, n, n_starts, points, rng)):
        yield start_vector(event, family, chosen, rng, moderate=start < 3)
    if n > 1:
        for chosen in points[:N_COLLAPSED]:
            yield collapsed_start(event, family, chosen)


def start_centres(event, n, n_starts, points, rng):
    """Take the mean and the best points, then draw particles."""
    centres = [points[start % 3] for start in range(N_STARTS_AT_POINTS)]
    if n == 1:
        centres[0] = event.mean[None]
    n_drawn = n_starts - N_STARTS_AT_POINTS
    return centres + [drawn_centres(event, n, rng) for _ in range(n_drawn)]


def drawn_centres(event, n, rng):
    """Draw particles, often by momentum; pull a single one towards the mean."""
    flat = rng.random() < 0.3 or np.count_nonzero(event.weights) < n
    n_particles = len(event.weights)
    particles = rng.choice(
        n_particles, n, replace=n_particles < n, p=None if flat else event.weights
    )
    pull, centres = rng.uniform(), event.points[particles]
    return centres + pull * (event.mean - centres) if n == 1 else centres


def start_vector(event, family, centres, rng, moderate):
    n = len(centres)
    closest = cdist(event.points, centres).argmin(axis=1)
    shares = np.bincount(closest, event.weights, n) + 0.02
    radii = cluster_spreads(event, centres, closest) + 0.1 * event.spread
    if not moderate:
        radii = rng.uniform(0.05, 1.6) * radii * rng.uniform(0.3, 1, n)
    theta = family.with_radii(centres, radii)
    if family.kind == "ellipse" and not moderate:
        theta[:, 2:] *= rng.uniform(0.2, 1.0, (n, 3))
        theta[:, 3] = theta[:, 2] * rng.uniform(-0.7, 0.7, n)
    return np.concatenate([theta.ravel(), np.log(shares / shares.sum())])


def collapsed_start(event, family, centres):
    n = len(centres)
    closest = cdist(event.points, centres).argmin(axis=1)
    shares = np.bincount(closest, event.weights, n)
    theta = family.with_radii(centres, np.full(n, 1e-5 * event.spread))
    return np.concatenate([theta.ravel(), np.log(shares + 1e-4)])


def cluster_spreads(event, centres, closest):
    squares = ((event.points - centres[closest]) ** 2).sum(axis=1) * event.weights
    totals = np.bincount(closest, event.weights, len(centres))
    sums = np.bincount(closest, squares, len(centres))
    return np.sqrt(sums / np.maximum(totals, 1e-12))


def fit_shape(event, family, n_starts, rng):
    """Return the cost, its bound from below and the components."""
    coarse = Mixture(event, family, SEARCHED)
    starts = all_starts(event, family, n_starts, rng)
    found = [coarse.minimise(start, SEARCH_ITERATIONS) for start in starts]
    fine = Mixture(event, family, FINISHED)
    finished = [
        fine.minimise(vector, FINISH_ITERATIONS) for vector in distinct_best(found)
    ]
    _, vector = min(finished, key=itemgetter(0))
    evaluated = Mixture(event, family, EVALUATED)
    distances, plan, log = evaluated.transport(*evaluated.nodes(vector))
    lower = Mixture(event, family, INTEGRATED).bound(vector, log["u"])
    theta, shares = fine.split(vector)
    columns = np.column_stack([[family.readable(t) for t in theta], shares])
    return (plan * distances).sum(), lower, columns[np.argsort(-shares)]


def distinct_best(found):
    """Return the vectors of the smallest costs that are not alike."""
    kept, vectors = [], []
    for cost, vector in sorted(found, key=itemgetter(0)):
        if not kept or cost > 1.0001 * kept[-1]:
            kept.append(cost)
            vectors.append(vector)
    return vectors[:N_FINISHED]


def point_cost(event, axes):
    """Return the costs of sets of points, of shape (n_sets, n_points, 2)."""
    gaps = np.linalg.norm(event.points[:, None, None] - axes, axis=-1)
    return event.weights @ gaps.min(axis=2)


def best_medoids(event, n, n_best):
    """Try all sets of n particles."""
    gaps = cdist(event.points, event.points)
    sets = np.array(list(combinations(range(len(gaps)), n)))
    costs = []
    for chunk in np.array_split(sets, 1 + len(sets) // CHUNK):
        nearest = gaps[chunk[:, 0]]
        for column in chunk.T[1:]:
            nearest = np.minimum(nearest, gaps[column])
        costs.append(nearest @ event.weights)
    return sets[np.argsort(np.concatenate(costs))[:n_best]]


def move_points(event, axes, n_steps):
    """Move each point to the median of its closest particles, by Weiszfeld's steps."""
    for _ in range(n_steps):
        gaps = np.linalg.norm(event.points[None, :, None] - axes[:, None], axis=-1)
        closest = gaps.argmin(axis=2)[..., None] == np.arange(axes.shape[1])
        pull = closest * event.weights[:, None] / np.maximum(gaps, 1e-9)
        total = pull.sum(axis=1)[..., None]
        moved = np.einsum("sik,id->skd", pull, event.points)
        axes = np.where(total > 0, moved / np.maximum(total, 1e-300), axes)
    return axes


def point_candidates(event, n, n_starts, rng, n_steps=60):
    """Return the costs and the sets of points, the best first."""
    n_particles = len(event.points)
    if n_particles <= n:
        axes = event.points[np.arange(n) % n_particles]
        return np.zeros(n_starts), np.repeat(axes[None], n_starts, axis=0)
    medoids = best_medoids(event, n, n_starts)
    drawn = [rng.choice(n_particles, n, replace=False) for _ in range(n_starts)]
    starts = event.points[np.concatenate([medoids, drawn])]
    # A step does not leave a particle, so that starts lie next to them.
    nearby = starts + 1e-3 * rng.standard_normal(starts.shape)
    axes = np.concatenate([starts, move_points(event, nearby, n_steps)])
    costs = point_cost(event, axes)
    order = np.argsort(costs)
    return costs[order], axes[order]


def snap(event, axes):
    """Put each point onto a particle where that is better."""
    for k in range(axes.shape[0]):
        tried = np.repeat(axes[None], len(event.points) + 1, axis=0)
        tried[1:, k] = event.points
        axes = tried[point_cost(event, tried).argmin()]
    return axes


def fit_points(event, family, n_starts, rng):
    n = family.n_components
    _, axes = point_candidates(event, n, n_starts, rng, n_steps=200)
    axes = move_points(event, axes[:5], 3000)
    axes = np.array([*axes, *(snap(event, a) for a in axes)])
    costs = point_cost(event, axes)
    cost, best = costs.min(), axes[costs.argmin()]
    closest = cdist(event.points, best).argmin(axis=1)
    shares = np.bincount(closest, event.weights, n)
    order = np.argsort(-shares)
    return cost, cost, np.column_stack([best, shares])[order]


class Exact(NamedTuple):
    """Values, their bounds from below, components and CPU seconds, by event."""

    value: np.ndarray
    lower: np.ndarray
    parameters: np.ndarray
    cpu: np.ndarray


def fit(columns, family, R, seed):
    event = Event.read(columns)
    rng = np.random.default_rng([seed, family.n_components])
    search = fit_points if family.kind == "point" else fit_shape
    (cost, lower, parameters), seconds = cpu_seconds(
        lambda: search(event, family, family.n_starts, rng)
    )
    return Exact(cost / R, lower / R, parameters, seconds)


def stack(rows):
    return Exact(*(np.array(column) for column in zip(*rows, strict=True)))


def reference(events, shape, R, path):
    """Return the exact values of events, of which the file may have some already.

    Each event is an array of the rows pt, y and phi.
    """
    family = Family.parse(shape)
    # What makes stored results comparable.
    sizes = [SEARCHED, FINISHED, EVALUATED, N_FINISHED]
    starts = [family.n_starts, N_STARTS_AT_POINTS, N_COLLAPSED]
    key = {
        "settings": np.array([R, *sizes, *starts]),
        "sums": np.array([columns.sum() for columns in events]),
    }
    rows = stored(path, **key)
    for number in range(len(rows), len(events)):
        rows.append(fit(events[number], family, R, number))
        if len(rows) % SAVE_EVERY == 0 or len(rows) == len(events):
            sums = key["sums"][: len(rows)]
            np.savez(path, **stack(rows)._asdict(), **key | {"sums": sums})
    return stack(rows[: len(events)])


def stored(path, settings, sums):
    """Return the rows of the file, if they belong to the first events."""
    if not path.exists():
        return []
    with np.load(path) as arrays:
        n = min(len(sums), len(arrays["sums"]))
        same = np.array_equal(arrays["settings"], settings)
        if not same or not np.allclose(arrays["sums"][:n], sums[:n], rtol=1e-9):
            return []
        columns = [arrays[name] for name in Exact._fields]
    return [Exact(*row) for row in zip(*columns, strict=True)]


def read_events(path):
    with np.load(path) as arrays:
        columns = np.stack([arrays[name] for name in ("pt", "y", "phi")])
        return np.split(columns, arrays["offsets"][1:-1], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", type=Path, help="npz file")
    parser.add_argument("shapes", nargs="+", help="such as ring, 2-disk or 3-point")
    parser.add_argument("--R", type=float, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--n-jets", type=int)
    args = parser.parse_args()
    events = read_events(args.events)[: args.n_jets]
    table = Table(
        f"{len(events)} events of {args.events.name}, R = {args.R}",
        f"{'shape':10}|mean value|above bound: mean|     max|CPU s an event",
    )
    sample = args.events.stem.removeprefix("events_")
    for shape in args.shapes:
        found = reference(events, shape, args.R, args.cache / f"{sample}_{shape}.npz")
        gap = found.value / found.lower - 1
        figures = f"{found.value.mean():.5f}", f"{gap.mean():.1e}", f"{gap.max():.1e}"
        table.row(shape, *figures, f"{found.cpu.mean():.2f}")


if __name__ == "__main__":
    main()
