from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._shape import Array, Shape


@dataclass(frozen=True, init=False)
class Fixed(Shape):
    """Energy at given places, without parameters.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Rapidities and azimuths [radians] relative to the axis of the event.
    weights : array-like of shape (n,), default=None
        How the energy is divided among the points; evenly by default.

    Raises
    ------
    ValueError
        If there is no point, if points are not finite, or weights not positive.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Fixed
    >>> Fixed([[0, 0.3], [0, -0.3]])
    Fixed(points=((0.0, 0.3), (0.0, -0.3)), weights=(0.5, 0.5))
    """

    # tuples, so that shapes can be compared and hashed
    points: tuple[tuple[float, float], ...]
    weights: tuple[float, ...]

    def __init__(self, points: ArrayLike, weights: ArrayLike | None = None) -> None:
        try:
            places = np.array(points, dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"points must be numbers: {error}") from error
        if places.ndim != 2 or places.shape[1] != 2 or not len(places):
            raise ValueError(f"points must have shape (n, 2), got {places.shape}.")
        shares = np.ones(len(places)) if weights is None else np.array(weights, float)
        if shares.shape != (len(places),):
            raise ValueError(
                f"weights must have shape ({len(places)},), got {shares.shape}."
            )
        if not np.isfinite(places).all():
            raise ValueError("points must be finite.")
        if not (np.isfinite(shares).all() and (shares > 0).all()):
            raise ValueError("weights must be positive and finite.")
        object.__setattr__(self, "points", tuple(map(tuple, places.tolist())))
        object.__setattr__(self, "weights", tuple((shares / shares.sum()).tolist()))

    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        return np.array(self.points), np.array(self.weights)

    def positions(self, theta: Array, nodes: Array) -> Array:
        return nodes

    def jacobian(self, theta: Array, nodes: Array) -> Array:
        return np.empty((len(nodes), 2, 0))

    def start(self, points: Array, weights: Array) -> Array:
        return np.empty(0)
