"""Exact optimal transport between two weighted sets of points, by POT."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]

_MAX_ITERATIONS = 10_000_000
_OPTIMAL = 1


class Transport(NamedTuple):
    """The cheapest plan, its cost, and prices of the rows and columns."""

    cost: float
    plan: Array
    row_prices: Array
    column_prices: Array


# POT's checks and conversions take longer than small problems themselves, so that its
# compiled solver is called directly. POT imports torch: not before it is needed.
@cache
def _network_simplex() -> Callable[..., Any]:
    from ot.lp.emd_wrap import emd_c

    return emd_c


def transport(rows: Array, columns: Array, cost: Array) -> Transport:
    """Solve a balanced problem of positive weights with equal sums."""
    plan, total, row_prices, column_prices, status = _network_simplex()(
        rows, columns, np.ascontiguousarray(cost), _MAX_ITERATIONS, 1
    )
    if status != _OPTIMAL:
        warnings.warn(
            f"The network simplex stopped before the optimum (status {status}).",
            RuntimeWarning,
            stacklevel=2,
        )
    return Transport(total, plan, row_prices, column_prices)


def distances(x: Array, y: Array) -> Array:
    """Compute the Euclidean distances of points."""
    return cdist(x, y)


def distance_power(x: Array, y: Array, beta: float) -> Array:
    """Compute the distances of points to the power of beta."""
    if beta == 2:
        return cdist(x, y, "sqeuclidean")
    distance = cdist(x, y)
    return distance if beta == 1 else distance**beta
