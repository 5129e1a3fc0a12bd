"""Coordinates for the peers in which both samples have the same spread."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Standardiser:
    """Shifts both samples to zero and scales the columns.

    The columns of the source are stretched as those of the target are shrunk, and
    all have a common factor: the optimal map remains the optimal one, as it would not
    if each sample were divided by its own standard deviations.
    """

    source_mean: NDArray
    target_mean: NDArray
    stretch: NDArray
    unit: float

    @classmethod
    def fit(cls, x: NDArray, y: NDArray) -> Self:
        s_x, s_y = x.std(axis=0), y.std(axis=0)
        unit = float(np.sqrt(np.mean(s_x * s_y)))
        return cls(x.mean(axis=0), y.mean(axis=0), np.sqrt(s_y / s_x), unit)

    def source(self, x: NDArray) -> NDArray:
        return (x - self.source_mean) * self.stretch / self.unit

    def target(self, y: NDArray) -> NDArray:
        return (y - self.target_mean) / (self.stretch * self.unit)

    def from_target(self, y: NDArray) -> NDArray:
        return y * (self.stretch * self.unit) + self.target_mean
