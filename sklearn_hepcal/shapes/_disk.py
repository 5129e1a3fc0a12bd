from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._round import Round
from ._shape import Array, moments


@dataclass(frozen=True)
class Disk(Round):
    """Energy spread evenly over the inside of a circle.

    Parameters of the fit: y, phi [radians], radius.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Disk, Point
    >>> Disk() + Point()
    Disk() + Point()
    """

    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        return sunflower(n_nodes), np.full(n_nodes, 1 / n_nodes)

    def start(self, points: Array, weights: Array) -> Array:
        centre, spread = moments(points, weights)
        return np.array([*centre, np.sqrt(2 * np.trace(spread))])


# Spread points evenly over the unit disk, turning by the golden angle.
def sunflower(n_nodes: int) -> Array:
    step = np.arange(n_nodes)
    radius = np.sqrt((step + 0.5) / n_nodes)
    angle = step * np.pi * (3 - np.sqrt(5))
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
