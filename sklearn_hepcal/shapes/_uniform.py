from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from ._shape import Array, Shape


@dataclass(frozen=True)
class Uniform(Shape):
    """Energy spread evenly over a square around the axis of the event: pile-up.

    It has no parameters; added to other shapes it has a weight.

    Parameters
    ----------
    half_width : float, default=0.8
        From the axis to a side of the square, usually the radius of the jets.

    Raises
    ------
    ValueError
        If the width is not positive.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Ring, Uniform
    >>> Ring() + Uniform(0.4)
    Ring() + Uniform(half_width=0.4)
    """

    half_width: float = 0.8

    def __post_init__(self) -> None:
        if not isinstance(self.half_width, Real) or not 0 < self.half_width < np.inf:
            raise ValueError(
                f"half_width must be positive and finite, got {self.half_width!r}."
            )

    # A lattice whose points are even in every number of them.
    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        step = np.arange(n_nodes)
        golden = (np.sqrt(5) - 1) / 2
        u = (step + 0.5) / n_nodes
        v = ((step + 0.5) * golden) % 1
        nodes = 2 * np.column_stack([u, v]) - 1
        return nodes, np.full(n_nodes, 1 / n_nodes)

    def positions(self, theta: Array, nodes: Array) -> Array:
        return self.half_width * nodes

    def jacobian(self, theta: Array, nodes: Array) -> Array:
        return np.empty((len(nodes), 2, 0))

    def start(self, points: Array, weights: Array) -> Array:
        return np.empty(0)
