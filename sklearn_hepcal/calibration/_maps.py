"""What every solver takes and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Sample(NamedTuple):
    """Rows of one side, ready for a solver.

    Attributes
    ----------
    x : array of shape (n, d)
        The moved columns.
    h : array of shape (n, k)
        Basis functions of the conditions.
    w : array of shape (n,)
        Weights, possibly signed.
    """

    x: Array
    h: Array
    w: Array

    def take(self, rows: NDArray[np.intp]) -> Sample:
        """Select rows.

        Parameters
        ----------
        rows : array of int
            The rows.

        Returns
        -------
        Sample
            Those rows.
        """
        return Sample(self.x[rows], self.h[rows], self.w[rows])


class GradientMap(ABC):
    """Map of the moved columns by the gradient of a convex potential.

    All methods take rows x or y of shape (n, d) and the values h of the basis
    functions of their conditions, of shape (n, k).
    """

    @abstractmethod
    def forward(self, x: Array, h: Array) -> Array:
        """Move rows of the simulation."""

    @abstractmethod
    def inverse(self, y: Array, h: Array) -> Array:
        """Find the rows that `forward` moves to y."""

    @abstractmethod
    def log_det(self, x: Array, h: Array) -> Array:
        """Logarithm of the Jacobian's determinant at x, of shape (n,)."""

    @abstractmethod
    def potential(self, x: Array, h: Array) -> Array:
        """Potential at x, of shape (n,), up to a function of the condition."""

    @abstractmethod
    def min_curvature(self) -> float:
        """Lower bound of the eigenvalues of the Jacobian, at any x and condition."""

    def conjugate(self, y: Array, h: Array) -> Array:
        """Convex conjugate of the potential at y, of shape (n,)."""
        x = self.inverse(y, h)
        return np.einsum("ij,ij->i", x, y) - self.potential(x, h)


class IdentityMap(GradientMap):
    """The map that moves nothing."""

    def forward(self, x: Array, h: Array) -> Array:
        return x.copy()

    def inverse(self, y: Array, h: Array) -> Array:
        return y.copy()

    def log_det(self, x: Array, h: Array) -> Array:
        return np.zeros(len(x))

    def potential(self, x: Array, h: Array) -> Array:
        return 0.5 * np.square(x).sum(axis=1)

    def min_curvature(self) -> float:
        return 1.0
