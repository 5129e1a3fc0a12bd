from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ._shape import Array, Bounds, Shape


@dataclass(frozen=True)
class WithCentre(Shape):
    """A shape and a point at its centre, with a weight each.

    The point is the collinear core of a jet, the shape what surrounds it.

    Parameters
    ----------
    shape : Shape
        The shape, whose first parameters are y and phi.

    Raises
    ------
    TypeError
        If `shape` is not a single shape.
    ValueError
        If the shape has no place of its own, or has a point already.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import Ring, WithCentre
    >>> WithCentre(Ring())
    WithCentre(shape=Ring())
    """

    shape: Shape

    def __post_init__(self) -> None:
        if not isinstance(self.shape, Shape):
            raise TypeError(
                "shape must be a single shape: put WithCentre around each summand, "
                f"got {self.shape!r}."
            )
        if not self.shape.is_movable or len(self.shape.parts) > 1:
            raise ValueError(
                f"{self.shape!r} has no centre that is free: its first parameters must "
                "be y and phi, and it must be a single part."
            )

    @property
    def parameters(self) -> Mapping[str, Bounds]:  # type: ignore[override]
        return self.shape.parameters

    @property
    def parts(self) -> tuple[Shape, ...]:
        return (self.shape, _Centre(self.shape))

    @property
    def name(self) -> str:
        return self.shape.name

    # those of the first part
    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        return self.shape.nodes(n_nodes)

    def start(self, points: Array, weights: Array) -> Array:
        return self.shape.start(points, weights)

    def describe(self, theta: Array) -> Array:
        return self.shape.describe(theta)

    def recall(self, values: Array) -> Array:
        return self.shape.recall(values)


# A point that has the parameters of a shape, and needs the first two.
@dataclass(frozen=True)
class _Centre(Shape):
    shape: Shape

    @property
    def parameters(self) -> Mapping[str, Bounds]:  # type: ignore[override]
        return self.shape.parameters

    @property
    def name(self) -> str:
        return "centre"

    def nodes(self, n_nodes: int) -> tuple[Array, Array]:
        return np.zeros((1, 2)), np.ones(1)

    def design(self, nodes: Array) -> Array:
        return self.translated(np.zeros((len(nodes), 2, len(self.parameters) - 2)))
