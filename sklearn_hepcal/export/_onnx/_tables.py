"""Functions that are read off tables: hats, steps, interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._graph import Value

Array = NDArray[np.float64]


def hats(conditions: Value, knots: list[Array]) -> Value:
    """Evaluate a `HatBasis` of one condition or more.

    Parameters
    ----------
    conditions : Value of shape (n, n_conditions)
        Values of the conditions.
    knots : list of arrays
        Increasing knots of every condition.

    Returns
    -------
    Value of shape (n, n_functions)
        Values of the functions.
    """
    products = _hats(conditions.take([0]), knots[0])
    n_functions = len(knots[0])
    for place, points in enumerate(knots[1:], start=1):
        column = _hats(conditions.take([place]), points)
        n_functions *= len(points)
        both = products.expand_dims(2) * column.expand_dims(1)
        products = both.reshape(0, n_functions)
    return products


# Ramps between neighbouring knots, from zero to one: hats are their differences.
def _hats(values: Value, knots: Array) -> Value:
    if len(knots) == 1:
        return values * 0.0 + 1.0
    first, differences = np.eye(len(knots))[0], np.diff(np.eye(len(knots)), axis=0)
    return _ramps(values, knots) @ differences + first


def interpolate(values: Value, points: Array, heights: Array) -> Value:
    """Interpolate linearly between points, as `numpy.interp` does.

    Parameters
    ----------
    values : Value of shape (n, 1)
        Where to interpolate.
    points, heights : arrays of shape (n_points,)
        Increasing points, and the values there.

    Returns
    -------
    Value of shape (n, 1)
        The values.
    """
    if len(points) == 1:
        return values * 0.0 + heights
    return _ramps(values, points) @ np.diff(heights)[:, None] + heights[0]


def _ramps(values: Value, knots: Array) -> Value:
    return ((values - knots[:-1]) / np.diff(knots)).clip(0.0, 1.0)


def search_table(columns: Sequence[Array]) -> Array:
    """Make a table of increasing columns for `find_cells`.

    Parameters
    ----------
    columns : sequence of arrays of shape (n_points,)
        Increasing points.

    Returns
    -------
    array of shape (n_columns, 2**k)
        The points, with infinities behind them.
    """
    width = 2 ** max(len(points) for points in columns).bit_length()
    return np.stack(
        [np.pad(p, (0, width - len(p)), constant_values=np.inf) for p in columns]
    )


def find_cells(
    values: Value, table: Value, shape: tuple[int, ...], *, equal: bool = True
) -> Value:
    """Count the points of every column up to a value, by bisection.

    Parameters
    ----------
    values : Value of shape (n, n_columns)
        Values, as many as there are columns.
    table : Value of shape (n_columns * width,)
        What `search_table` returns, flat.
    shape : (int, int)
        Shape of the table before.
    equal : bool
        Whether points count that are equal to the value.

    Returns
    -------
    int64 Value of shape (n, n_columns)
        Places in the flat table of the first points that do not count.
    """
    graph = values.graph
    n_columns, width = shape
    place = graph.constant(width * np.arange(n_columns))
    step = width // 2
    while step:
        probe = table.take(place + (step - 1), axis=0)
        passed = probe <= values if equal else probe < values
        place = graph.where(passed, place + step, place)
        step //= 2
    return place


def evaluate_cubic(values: Value, breaks: Array, coefficients: Array) -> Value:
    """Evaluate a piecewise cubic polynomial of scipy; its ends go on.

    Parameters
    ----------
    values : Value of shape (n, 1)
        Where to evaluate.
    breaks : array of shape (n_pieces + 1,)
        Ends of the pieces.
    coefficients : array of shape (4, n_pieces)
        Coefficients of the powers of the distance from the left end, highest first.

    Returns
    -------
    Value of shape (n, 1)
        The values.
    """
    graph, table = values.graph, search_table([breaks])
    cell = find_cells(values, graph.constant(table.ravel()), table.shape) - 1
    cell = cell.maximum(0).minimum(len(breaks) - 2)
    step = values - graph.constant(breaks).take(cell, axis=0)
    result = graph.constant(coefficients[0]).take(cell, axis=0)
    for row in coefficients[1:]:
        result = result * step + graph.constant(row).take(cell, axis=0)
    return result
