from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from ._round import Round
from ._shape import Array, moments


@dataclass(frozen=True)
class Ring(Round):
    """Energy spread evenly over a circle.

    Parameters of the fit: y, phi [radians], radius.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Ring
    >>> Ring() + Ring()
    2 * Ring()
    """

    # a curve needs fewer points than an area
    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        n_nodes = ceil(n_nodes / 2)
        angle = 2 * np.pi * np.arange(n_nodes) / n_nodes
        nodes = np.column_stack([np.cos(angle), np.sin(angle)])
        return nodes, np.full(n_nodes, 1 / n_nodes)

    def start(self, points: Array, weights: Array) -> Array:
        centre, spread = moments(points, weights)
        return np.array([*centre, np.sqrt(np.trace(spread))])
