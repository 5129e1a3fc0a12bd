from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bounds = tuple[float, float]

FREE: Bounds = (-np.inf, np.inf)


class _Summand(ABC):
    """What can be added to other shapes and taken several times."""

    @property
    @abstractmethod
    def components(self) -> tuple[Shape, ...]: ...

    def __add__(self, other: object) -> Mixture:
        if not isinstance(other, _Summand):
            return NotImplemented
        return Mixture(self.components + other.components)

    def __rmul__(self, n_copies: object) -> Mixture:
        if not isinstance(n_copies, Integral):
            return NotImplemented
        if n_copies < 1:
            raise ValueError(f"a shape is taken at least once, got {n_copies} times.")
        return Mixture(self.components * int(n_copies))


class Shape(_Summand):
    """A family of energy distributions in the plane of rapidity and azimuth.

    The base of all shapes, and of your own: a frozen dataclass that says what its
    parameters are and where its nodes lie. ``a + b`` is the family of all mixtures of
    two shapes with free weights, and ``n * a`` that of n copies.

    A shape is made of `nodes`, fixed points with weights that sum to one, and of
    parameters that place them. If the places depend on the parameters linearly, as for
    all that is moved and stretched, give `design`, else `positions` and `jacobian`.
    A size that goes to zero as a bound can hold a fit there: rather let it have both
    signs, and take its absolute value in `describe`.
    Lengths are in the units of the coordinates, and places are relative to the axis of
    the event, see `sklearn_hepcal.jets.relative_constituents`.

    Attributes
    ----------
    parameters : mapping of str to (float, float)
        Names of the parameters and the range of each. The first two are "y" and "phi",
        the place of the shape, unless it cannot be moved.
    name : str
        The name of the shape in the names of columns.
    components : tuple of Shape
        The shapes of a sum: this one alone.
    parts : tuple of Shape
        Shapes that share the parameters and have a weight each: this one alone.
    is_movable : bool
        Whether the first two parameters are the place of the shape.
    is_affine : bool
        Whether the places are linear in the parameters, up to a constant.

    See Also
    --------
    ShapinessTransformer : The distance of events to the closest member of a family.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    A cross of two bars of equal length:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from sklearn_hepcal.shapes import Shape, ShapinessTransformer
    >>> @dataclass(frozen=True)
    ... class Cross(Shape):
    ...     parameters = {k: (-np.inf, np.inf) for k in ("y", "phi", "length")}
    ...
    ...     def nodes(self, n_nodes):
    ...         bar = np.linspace(-1, 1, n_nodes // 2)
    ...         zero = np.zeros_like(bar)
    ...         nodes = np.vstack([np.c_[bar, zero], np.c_[zero, bar]])
    ...         return nodes, np.full(len(nodes), 1 / len(nodes))
    ...
    ...     def design(self, nodes):
    ...         return self.translated(nodes[:, :, None])
    >>> jet = np.array([[1, -0.1, 0], [1, 0.1, 0], [1, 0, -0.1], [1, 0, 0.1]])
    >>> ShapinessTransformer(Cross()).fit_transform([jet]).round(3) + 0.0
    array([[0.052, 0.   , 0.   , 0.142]])
    >>> 2 * Cross()
    2 * Cross()
    """

    parameters: Mapping[str, Bounds] = {}

    @property
    def components(self) -> tuple[Shape, ...]:
        return (self,)

    @property
    def parts(self) -> tuple[Shape, ...]:
        return (self,)

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    @property
    def is_movable(self) -> bool:
        return tuple(self.parameters)[:2] == ("y", "phi")

    @property
    def is_affine(self) -> bool:
        return type(self).positions is Shape.positions or not self.parameters

    @abstractmethod
    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        """Give the fixed points that the parameters place, and their weights.

        Parameters
        ----------
        n_nodes : int
            About how many there should be.

        Returns
        -------
        nodes : ndarray of shape (n, d)
            The points, in coordinates of the shape's own choice.
        weights : ndarray of shape (n,)
            Positive weights that sum to one.
        """

    def design(self, nodes: Array) -> Array:
        """Give the matrices that take parameters to places.

        Parameters
        ----------
        nodes : ndarray of shape (n, d)
            The points.

        Returns
        -------
        ndarray of shape (n, 2, n_parameters)
            A matrix for each point.
        """
        raise TypeError(f"{type(self).__name__} defines neither design nor positions.")

    def positions(self, theta: Array, nodes: Array) -> Array:
        """Place the nodes.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            Values of the parameters.
        nodes : ndarray of shape (n, d)
            The points.

        Returns
        -------
        ndarray of shape (n, 2)
            Rapidities and azimuths relative to the axis of the event.
        """
        return self.design(nodes) @ theta

    def jacobian(self, theta: Array, nodes: Array) -> Array:
        """Differentiate the places with respect to the parameters.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            Values of the parameters.
        nodes : ndarray of shape (n, d)
            The points.

        Returns
        -------
        ndarray of shape (n, 2, n_parameters)
            The derivatives.
        """
        return self.design(nodes)

    def start(self, points: Array, weights: Array) -> Array:
        """Guess the parameters from the particles, or from some of them.

        By default the place is their mean and all other parameters are their spread.
        If all particles are in one place the shape should be that point.

        Parameters
        ----------
        points : ndarray of shape (n, 2)
            Rapidities and azimuths relative to the axis of the event.
        weights : ndarray of shape (n,)
            Energies.

        Returns
        -------
        ndarray of shape (n_parameters,)
            A guess of the parameters.
        """
        centre, spread = moments(points, weights)
        theta = np.full(len(self.parameters), np.sqrt(np.trace(spread)))
        theta[:2] = centre
        return theta

    def describe(self, theta: Array) -> Array:
        """Turn the parameters that are fitted into those that are reported.

        They differ where parameters that are easy to fit are not easy to read, or not
        unique: a ring of radius -1 is one of radius 1.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            Fitted parameters.

        Returns
        -------
        ndarray of shape (n_parameters,)
            The same in the meaning of their names.
        """
        return theta

    def recall(self, values: Array) -> Array:
        """Undo `describe`.

        Parameters
        ----------
        values : ndarray of shape (n_parameters,)
            Reported parameters.

        Returns
        -------
        ndarray of shape (n_parameters,)
            Parameters that give the same shape.
        """
        return values

    def translated(self, deformations: Array) -> Array:
        """Put the two columns of a translation before others.

        Parameters
        ----------
        deformations : ndarray of shape (n, 2, n_parameters - 2)
            What the other parameters do to the nodes.

        Returns
        -------
        ndarray of shape (n, 2, n_parameters)
            A `design`.
        """
        move = np.broadcast_to(np.eye(2), (len(deformations), 2, 2))
        return np.concatenate([move, deformations], axis=2)


@dataclass(frozen=True, repr=False)
class Mixture(_Summand):
    """Shapes with free weights that sum to one; made by ``+`` and ``*``."""

    shapes: tuple[Shape, ...]

    @property
    def components(self) -> tuple[Shape, ...]:
        return self.shapes

    def __repr__(self) -> str:
        terms = {shape: self.shapes.count(shape) for shape in self.shapes}
        return " + ".join(
            repr(shape) if n == 1 else f"{n} * {shape!r}" for shape, n in terms.items()
        )


# Return the weighted mean and covariance of points.
def moments(points: Array, weights: Array) -> tuple[Array, Array]:
    share = weights / weights.sum()
    centre = share @ points
    relative = points - centre
    return centre, (relative.T * share) @ relative


# Of a line, which is the same after half a turn: in [0, pi), whatever the rounding.
def line_angle(dy: float, dphi: float) -> float:
    angle = np.arctan2(dphi, dy) % np.pi
    return 0.0 if np.pi - angle < 1e-12 else float(angle)
