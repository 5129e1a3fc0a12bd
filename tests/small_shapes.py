"""Small events and cheap settings for tests of shapes."""

import numpy as np

from sklearn_hepcal.shapes import (
    Disk,
    Ellipse,
    Point,
    Ring,
    Segment,
    Uniform,
    WithCentre,
)

R = 0.4
EXTENDED = [Segment(), Ring(), Disk(), Ellipse()]
SHAPES = [
    Point(),
    *EXTENDED,
    2 * Point(),
    2 * Ring(),
    WithCentre(Point()),
    WithCentre(Ellipse()),
    Ring() + Uniform(R),
    Point() + Disk(),
]
# Cheap sums, where it does not matter whether the closest one is found.
QUICK = {"R": R, "n_nodes": 24, "n_init": 2, "max_iter": 10}


def make_events(seed, counts, width=0.15):
    rng = np.random.default_rng(seed)
    return [
        np.column_stack([rng.exponential(10.0, n) + 0.1, rng.normal(0, width, (n, 2))])
        for n in counts
    ]


def event_at(places, pt=1.0):
    return np.column_stack([np.full(len(places), pt), places])


def circle(n, radius, centre=(0.0, 0.0), turn=0.3):
    angle = turn + 2 * np.pi * np.arange(n) / n
    return radius * np.column_stack([np.cos(angle), np.sin(angle)]) + centre


def filled_disk(n_rings):
    """Points of equal area on rings, no spiral; the unit disk."""
    rings = [circle(6 * k, k - 0.0, turn=k) for k in range(1, n_rings)]
    return np.vstack([[[0.0, 0.0]], *rings]) / (n_rings - 0.5)
