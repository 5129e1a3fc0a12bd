from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._shape import FREE, Array, Shape


@dataclass(frozen=True)
class Point(Shape):
    """All energy in one place.

    The distance to the closest sum of N points is N-subjettiness with the best axes.

    Parameters of the fit: y, phi [radians].

    References
    ----------
    .. [1] J. Thaler, K. Van Tilburg, "Maximizing boosted top identification by
       minimizing N-subjettiness", JHEP 02 (2012) 093, arXiv:1108.2701.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Point
    >>> 3 * Point()
    3 * Point()
    """

    parameters = {"y": FREE, "phi": FREE}  # noqa: RUF012

    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        return np.zeros((1, 2)), np.ones(1)

    def design(self, nodes: Array) -> Array:
        return self.translated(np.empty((len(nodes), 2, 0)))
