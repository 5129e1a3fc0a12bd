"""Transport maps of moved columns, as expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ...calibration._bures import BuresMap
from ...calibration._convex_map import ConvexMap
from ...calibration._flow_map import FlowMap
from ...calibration._maps import IdentityMap, TransportMap
from ...calibration._quantile import QuantileMap
from ._flow import inverse_flow
from ._graph import Graph, Value
from ._networks import softplus
from ._tables import find_cells, search_table

# Columns up to which sums over knots are products of matrices.
_FEW_COLUMNS = 8


class Picker:
    """The numbers of one of several maps of the same kind.

    Parameters
    ----------
    graph : Graph
        The graph.
    maps : sequence of objects
        The maps.
    index : Value of shape () or None
        Which of them is meant; None for a single map.
    """

    def __init__(self, graph: Graph, maps: Sequence[Any], index: Value | None) -> None:
        self.graph = graph
        self.maps = maps
        self.index = index

    def __call__(
        self,
        read: Callable[..., ArrayLike],
        *arguments: Any,
        dtype: DTypeLike = np.float64,
    ) -> Value:
        """Take an array that every map has, with the same shape."""
        arrays = [
            np.asarray(read(fitted, *arguments), dtype=dtype) for fitted in self.maps
        ]
        if self.index is None:
            return self.graph.constant(arrays[0])
        return self.graph.constant(np.stack(arrays)).take(self.index, axis=0)

    def part(self, read: Callable[..., Any], *arguments: Any) -> Picker:
        """Descend to a part that every map has."""
        parts = [read(fitted, *arguments) for fitted in self.maps]
        return Picker(self.graph, parts, self.index)


def move(
    graph: Graph,
    maps: Sequence[TransportMap],
    index: Value | None,
    x: Value,
    h: Value,
) -> Value:
    """Move rows by one of several maps.

    Parameters
    ----------
    graph : Graph
        The graph.
    maps : sequence of TransportMap
        A map, and its replicas.
    index : Value of shape () or None
        Which of them moves the rows.
    x : Value of shape (n, d)
        The rows, in double precision.
    h : Value of shape (n, k) or (1, 1)
        Basis functions of their conditions.

    Returns
    -------
    Value of shape (n, d)
        The moved rows.
    """
    if all(isinstance(fitted, IdentityMap) for fitted in maps):
        return x
    maps = _alike(maps)
    return _MOVES[type(maps[0])](Picker(graph, maps, index), x, h)


# The replicas of an identity are Gaussian maps, of which it is one.
def _alike(maps: Sequence[TransportMap]) -> list[TransportMap]:
    gaussian = next((m for m in maps if isinstance(m, BuresMap)), None)
    if gaussian is None:
        return list(maps)
    zeros, eye = np.zeros_like(gaussian.source_mean), np.eye(gaussian.root.shape[1])
    identity = BuresMap(zeros, zeros, np.broadcast_to(eye, gaussian.root.shape))
    return [identity if isinstance(m, IdentityMap) else m for m in maps]


def _gaussian(pick: Picker, x: Value, h: Value) -> Value:
    return _unwhiten(pick, _whiten(pick, x, h), h)


def _convex(pick: Picker, x: Value, h: Value) -> Value:
    halves, scale = pick.part(lambda m: m.gaussian), pick(lambda m: m.scale)
    white = (_whiten(halves, x, h) / scale).cast(np.float32)
    coefficients = pick.part(_coefficients)
    moved = _gradient(coefficients, white, h.cast(np.float32))
    return _unwhiten(halves, moved.cast(np.float64) * scale, h)


# Weights of a potential as they enter its formula, in numpy.
def _coefficients(fitted: ConvexMap) -> SimpleNamespace:
    module = fitted.module
    tensors = {**module.coefficients()._asdict(), "offset": list(module.offset)}

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(part) for part in value]
        return value.detach().numpy()

    return SimpleNamespace(**{name: convert(value) for name, value in tensors.items()})


# The gradient of `ConvexPotential`: up the layers, and down again.
def _gradient(pick: Picker, x: Value, h: Value) -> Value:
    n_layers, n_knots = len(pick.maps[0].skip), len(pick.maps[0].linear)

    def weights(read: Callable[..., ArrayLike], *layer: int) -> Value:
        return pick(read, *layer, dtype=np.float32)

    # Conditions enter as further columns: one product instead of two.
    joined = x if n_knots == 1 else pick.graph.concat([x, h], axis=1)

    def below(layer: int) -> Value:
        if n_knots == 1:
            skip = weights(lambda c, k: c.skip[k], layer)
            return joined @ skip + weights(lambda c, k: c.offset[k], layer)
        return joined @ weights(lambda c, k: np.vstack([c.skip[k], c.offset[k]]), layer)

    activations = [below(0)]
    for layer in range(1, n_layers):
        inner = weights(lambda c, k: c.inner[k], layer - 1)
        activations.append(below(layer) + softplus(activations[-1]) @ inner)
    out = (h @ weights(lambda c: c.quadratic)) * x + h @ weights(lambda c: c.linear)
    signal = h @ weights(lambda c: c.output)
    for layer in reversed(range(n_layers)):
        signal = signal * activations[layer].apply("Sigmoid")
        out = out + signal @ weights(lambda c, k: c.skip[k].T, layer)
        if layer:
            signal = signal @ weights(lambda c, k: c.inner[k].T, layer - 1)
    return out


def _quantile(pick: Picker, x: Value, h: Value) -> Value:
    gaussian = pick.part(lambda m: m.gaussian)
    white = _whiten(gaussian, x, h)
    columns = [curve.points for m in pick.maps for curve in m.curves]
    shape = len(pick.maps[0].curves), search_table(columns).shape[1]

    # Behind the last point nothing is read.
    def points(fitted: QuantileMap) -> ArrayLike:
        table = np.full(shape, np.inf)
        for row, curve in zip(table, fitted.curves, strict=True):
            row[: len(curve.points)] = curve.points
        return table.ravel()

    def values(fitted: QuantileMap) -> ArrayLike:
        table = np.zeros((*shape, len(fitted.curves[0].values)))
        for row, curve in zip(table, fitted.curves, strict=True):
            row[: len(curve.points)] = curve.values.T
        return table.reshape(-1, table.shape[2])

    def last_cell(fitted: QuantileMap) -> ArrayLike:
        sizes = [len(curve.points) for curve in fitted.curves]
        return np.array(sizes) - 2 + first_cell

    first_cell = shape[1] * np.arange(shape[0])
    known, heights = pick(points), pick(values)
    cell = find_cells(white, known, shape) - 1
    cell = cell.maximum(first_cell).minimum(pick(last_cell, dtype=np.int64))
    low, high = known.take(cell, axis=0), known.take(cell + 1, axis=0)
    basis = h.expand_dims(1)
    start, end = (
        (heights.take(place, axis=0) * basis).sum(2) for place in (cell, cell + 1)
    )
    moved = start + (end - start) / (high - low) * (white - low)
    return _unwhiten(gaussian, moved, h)


def _flow(pick: Picker, x: Value, h: Value) -> Value:
    gaussian = pick.part(lambda m: m.gaussian)
    round_x = _whiten(gaussian, x, h) @ pick(lambda m: m.axes)
    moved = inverse_flow(pick.part(lambda m: m.network), round_x, h)
    return _unwhiten(gaussian, moved @ pick(lambda m: np.linalg.inv(m.axes)), h)


_MOVES: dict[type[TransportMap], Callable[[Picker, Value, Value], Value]] = {
    BuresMap: _gaussian,
    ConvexMap: _convex,
    FlowMap: _flow,
    QuantileMap: _quantile,
}


def _whiten(pick: Picker, x: Value, h: Value) -> Value:
    return _apply_root(pick, x - h @ pick(lambda m: m.source_mean), h)


def _unwhiten(pick: Picker, x: Value, h: Value) -> Value:
    return _apply_root(pick, x, h) + h @ pick(lambda m: m.target_mean)


# Mean of the matrices of all knots. For few columns, three products are faster than
# many small ones: the coordinates at all knots, their factors, and the sum.
def _apply_root(pick: Picker, x: Value, h: Value) -> Value:
    n_knots, n_columns, _ = pick.maps[0].root.shape
    if n_knots == 1:
        return x @ pick(lambda m: m.root[0])
    if n_columns <= _FEW_COLUMNS:
        factors = h @ np.kron(np.eye(n_knots), np.ones(n_columns))
        at_knots = x @ pick(lambda m: np.hstack(m.root))
        return (at_knots * factors) @ np.tile(np.eye(n_columns), (n_knots, 1))
    out = (x @ pick(lambda m: m.root[0])) * h.take([0])
    for knot in range(1, n_knots):
        out = out + (x @ pick(lambda m, k: m.root[k], knot)) * h.take([knot])
    return out
