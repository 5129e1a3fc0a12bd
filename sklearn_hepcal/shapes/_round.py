from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._shape import FREE, Array, Shape


@dataclass(frozen=True)
class Round(Shape):
    """A shape that is moved and scaled, and looks the same from all sides."""

    parameters = {"y": FREE, "phi": FREE, "radius": FREE}  # noqa: RUF012

    def design(self, nodes: Array) -> Array:
        return self.translated(nodes[:, :, None])

    # Radii of both signs fit: there is no wall at zero to be stuck at.
    def describe(self, theta: Array) -> Array:
        y, phi, radius = theta
        return np.array([y, phi, abs(radius)])
