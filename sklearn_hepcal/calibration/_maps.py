"""What every solver takes and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Rows that are read together.
_BLOCK = 8192


class StoredRows:
    """Moved columns of rows that stay in their file until they are needed.

    Parameters
    ----------
    X : array of shape (n_all, n_columns)
        The memory-mapped rows.
    index : array of int of shape (n,)
        Rows of X that belong to the sample.
    read : callable
        Turns rows of X into moved columns of shape (n, d).
    n_moved : int
        Number of moved columns d.
    """

    def __init__(
        self,
        X: NDArray,
        index: NDArray[np.intp],
        read: Callable[[Array], Array],
        n_moved: int,
    ) -> None:
        self.X = X
        self.index = index
        self.read = read
        self.shape = (len(index), n_moved)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        return self.read(np.asarray(self.X[self.index[rows]], dtype=np.float64))

    def take(self, rows: NDArray[np.intp], axis: int = 0) -> StoredRows:
        """Select rows, which stay in their file."""
        return StoredRows(self.X, self.index[rows], self.read, self.shape[1])


class Sample(NamedTuple):
    """Rows of one side, ready for a solver.

    Attributes
    ----------
    x : array or StoredRows of shape (n, d)
        The moved columns.
    h : array of shape (n, k)
        Basis functions of the conditions.
    w : array of shape (n,)
        Weights, possibly signed.
    """

    x: Any
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
        return Sample(self.x.take(rows, axis=0), self.h[rows], self.w[rows])

    def load(self) -> Sample:
        """Read all rows into memory.

        Returns
        -------
        Sample
            The same rows, with x as an array.
        """
        return self._replace(x=self.x[:])

    def blocks(self) -> Iterator[tuple[Array, Array, Array]]:
        """Go through the rows with a bounded amount of memory.

        Yields
        ------
        x, h, w : arrays
            Consecutive rows.
        """
        for start in range(0, len(self.w), _BLOCK):
            rows = slice(start, start + _BLOCK)
            yield self.x[rows], self.h[rows], self.w[rows]


class TransportMap(ABC):
    """Invertible map of the moved columns.

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


class GradientMap(TransportMap):
    """Map by the gradient of a convex potential."""

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
