from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._disk import sunflower
from ._shape import FREE, Array, Shape, line_angle, moments


@dataclass(frozen=True)
class Ellipse(Shape):
    r"""Energy spread evenly over the inside of an ellipse.

    Parameters of the fit: y, phi [radians], the half axes a >= b, and the angle of the
    longer one to the direction of rapidity, in :math:`[0, \pi)`.

    Notes
    -----
    An ellipse is the image of the unit disk under a symmetric matrix, whose elements
    are what is fitted, instead of the half axes and the angle: the places are linear
    in them.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Ellipse, Uniform, WithCentre
    >>> 2 * WithCentre(Ellipse()) + Uniform()
    2 * WithCentre(shape=Ellipse()) + Uniform(half_width=0.8)
    """

    parameters = dict.fromkeys(("y", "phi", "a", "b", "angle"), FREE)

    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        return sunflower(n_nodes), np.full(n_nodes, 1 / n_nodes)

    def design(self, nodes: Array) -> Array:
        u, v = nodes.T
        zero = np.zeros_like(u)
        matrix = np.array([[u, v, zero], [zero, u, v]])
        return self.translated(np.moveaxis(matrix, 2, 0))

    def start(self, points: Array, weights: Array) -> Array:
        centre, spread = moments(points, weights)
        variances, axes = np.linalg.eigh(spread)
        half_axes = 2 * np.sqrt(np.maximum(variances, 0))
        return np.array([*centre, *_elements(half_axes, axes)])

    def describe(self, theta: Array) -> Array:
        y, phi, s11, s12, s22 = theta
        half_axes, axes = np.linalg.eigh([[s11, s12], [s12, s22]])
        b, a = np.argsort(np.abs(half_axes))
        angle = line_angle(*axes[:, a])
        return np.array([y, phi, *np.abs(half_axes[[a, b]]), angle])

    def recall(self, values: Array) -> Array:
        y, phi, a, b, angle = values
        cos, sin = np.cos(angle), np.sin(angle)
        axes = np.array([[cos, -sin], [sin, cos]])
        return np.array([y, phi, *_elements(np.array([a, b]), axes)])


# Of the symmetric matrix with these half axes, without the repeated one.
def _elements(half_axes: Array, axes: Array) -> Array:
    matrix = (axes * half_axes) @ axes.T
    return matrix[[0, 0, 1], [0, 1, 1]]
