"""Normalising flows of coupled splines, as expressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._graph import Value
from ._networks import mlp_layers

if TYPE_CHECKING:
    from ._maps import Picker

# What bounds the logarithms of slopes in the splines of zuko.
_LOG_SLOPE = -math.log(1e-3)


def inverse_flow(pick: Picker, y: Value, h: Value) -> Value:
    """Evaluate the inverse of `sklearn_hepcal.nn.ConditionalFlow`.

    Parameters
    ----------
    pick : Picker
        The flow, as `sklearn_hepcal.nn.export_module` describes it.
    y : Value of shape (n, n_features)
        Moved points.
    h : Value of shape (n, n_knots) or (1, 1)
        Basis functions of the condition.

    Returns
    -------
    Value of shape (n, n_features)
        The points.
    """
    config = pick.maps[0]["config"]
    bound, n_bins = config["bound"], config["n_bins"]
    n_columns = config["n_features"]
    n_fixed = n_columns // 2
    for layer in reversed(range(config["n_transforms"])):
        mirrored = y @ pick(_mirror, layer)
        fixed = mirrored.slice(0, n_fixed)
        free = mirrored.slice(n_fixed, n_columns)
        network = pick.part(_layers, layer)
        shapes = _evaluate(network, fixed.clip(-bound, bound), h, n_fixed)
        shapes = shapes.reshape(0, n_columns - n_fixed, 3 * n_bins - 1)
        free = _inverse_spline(shapes, free, bound, n_bins)
        joined = y.graph.concat([fixed, free], axis=1)
        y = joined @ pick(lambda state, k: _mirror(state, k).T, layer)
    return y


# A reflection, and every other time the columns in reversed order.
def _mirror(state: dict[str, Any], layer: int) -> NDArray[np.float64]:
    normal = np.asarray(state["weights"]["mirrors"][layer // 2], dtype=np.float64)
    matrix = np.eye(len(normal)) - 2.0 * np.outer(normal, normal) / (normal @ normal)
    return matrix[:, ::-1] if layer % 2 else matrix


def _layers(state: dict[str, Any], layer: int) -> list[tuple[NDArray, NDArray]]:
    return mlp_layers(state["weights"], f"networks.{layer}")


# A network of two inputs, one of which may have a single row for all.
def _evaluate(pick: Picker, fixed: Value, h: Value, n_fixed: int) -> Value:
    out = h @ pick(lambda layers: layers[0][0][:, n_fixed:].T)
    out = out + pick(lambda layers: layers[0][1])
    if n_fixed:
        out = out + fixed @ pick(lambda layers: layers[0][0][:, :n_fixed].T)
    for k in range(1, len(pick.maps[0])):
        weight = pick(lambda layers, k: layers[k][0].T, k)
        out = out.apply("Relu") @ weight + pick(lambda layers, k: layers[k][1], k)
    return out


# The inverse of zuko's `MonotonicRQSTransform`.
def _inverse_spline(shapes: Value, y: Value, bound: float, n_bins: int) -> Value:
    graph = y.graph
    widths, heights = (
        _knots(shapes.slice(start, start + n_bins), bound, n_bins)
        for start in (0, n_bins)
    )
    slopes = shapes.slice(2 * n_bins, 3 * n_bins - 1)
    slopes = (slopes / (1.0 + (slopes / _LOG_SLOPE).apply("Abs"))).apply("Exp")
    ends = np.eye(n_bins + 1)[[0, -1]].sum(0)
    slopes = slopes @ np.eye(n_bins - 1, n_bins + 1, 1) + ends
    points = y.expand_dims(2)
    low, high = heights.slice(0, n_bins), heights.slice(1, n_bins + 1)
    chosen = ((points > low) & (points <= high)).cast(np.float64)

    def at(table: Value, offset: int) -> Value:
        return (table.slice(offset, offset + n_bins) * chosen).sum(2)

    x0, x1, y0, y1 = (at(t, k) for t in (widths, heights) for k in (0, 1))
    d0, d1 = at(slopes, 0), at(slopes, 1)
    s = (y1 - y0) / (x1 - x0)
    step, bend = y - y0, d0 + d1 - 2.0 * s
    a = (y1 - y0) * (s - d0) + step * bend
    b = (y1 - y0) * d0 - step * bend
    c = -(s * step)
    z = 2.0 * c / (-b - (b * b - 4.0 * a * c).apply("Sqrt"))
    inside = (y > -bound) & (y <= bound)
    return graph.where(inside, x0 + z * (x1 - x0), y)


# Positions of the knots of a spline, from -bound to bound.
def _knots(raw: Value, bound: float, n_bins: int) -> Value:
    raw = raw / (1.0 + (raw * (2.0 / _LOG_SLOPE)).apply("Abs"))
    parts = raw.apply("Softmax", axis=-1)
    sums = np.triu(np.ones((n_bins, n_bins + 1)), 1)
    return (parts @ sums) * (2.0 * bound) - bound
