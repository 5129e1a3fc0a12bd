from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from ._shape import FREE, Array, Shape, line_angle, moments


@dataclass(frozen=True)
class Segment(Shape):
    r"""Energy spread evenly over a straight line.

    Parameters of the fit: y, phi [radians] of its middle, its length, and its angle to
    the direction of rapidity, in :math:`[0, \pi)`.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Segment
    >>> Segment()
    Segment()
    """

    parameters = dict.fromkeys(("y", "phi", "length", "angle"), FREE)

    # a curve needs fewer points than an area
    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        n_nodes = ceil(n_nodes / 2)
        along = (2 * np.arange(n_nodes) + 1) / n_nodes - 1
        return along[:, None], np.full(n_nodes, 1 / n_nodes)

    # what is fitted is the way from the middle to an end
    def design(self, nodes: Array) -> Array:
        return self.translated(nodes[:, :, None] * np.eye(2))

    def start(self, points: Array, weights: Array) -> Array:
        centre, spread = moments(points, weights)
        variances, axes = np.linalg.eigh(spread)
        return np.array([*centre, *np.sqrt(3 * max(variances[1], 0)) * axes[:, 1]])

    def describe(self, theta: Array) -> Array:
        y, phi, dy, dphi = theta
        return np.array([y, phi, 2 * np.hypot(dy, dphi), line_angle(dy, dphi)])

    def recall(self, values: Array) -> Array:
        y, phi, length, angle = values
        half = length / 2
        return np.array([y, phi, half * np.cos(angle), half * np.sin(angle)])
