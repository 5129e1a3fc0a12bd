"""Padded constituents of jets, and what networks see of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..._constituents import LEAST_FRACTION, ConstituentInputs
from ...jets._parts import default_constituent_names
from ._graph import Graph, Value

# Distances to the axis below this part of the warp's scale count as none.
_AT_AXIS = 1e-9


class PaddedJets(NamedTuple):
    """Jets as a graph reads them.

    Attributes
    ----------
    table : Value of shape (n_jets, n_max, n_columns)
        Constituents, in double precision; zeros where there are none.
    mask : bool Value of shape (n_jets, n_max)
        Where there are constituents.
    """

    table: Value
    mask: Value

    @property
    def present(self) -> Value:
        """The mask as numbers."""
        return self.mask.cast(np.float64)

    @property
    def counts(self) -> Value:
        """Numbers of constituents, of shape (n_jets, 1)."""
        return self.present.sum(1, keepdims=True)


class RelativeJets(NamedTuple):
    """What `sklearn_hepcal.jets.relative_constituents` returns, padded.

    Attributes
    ----------
    fraction, dy, dphi : Values of shape (n_jets, n_max)
        Constituents relative to the axes.
    pt, y : Values of shape (n_jets, 1)
        Sums of momenta, and rapidities of the axes.
    """

    fraction: Value
    dy: Value
    dphi: Value
    pt: Value
    y: Value


def constituent_names(estimator: Any) -> list[str]:
    """Name the constituent columns of an estimator that reads nothing else."""
    default = default_constituent_names(max(estimator.n_features_in_, 3))
    return [str(name) for name in getattr(estimator, "feature_names_in_", default)]


def read_constituents(graph: Graph, names: list[str]) -> PaddedJets:
    """Declare constituents and their mask as inputs.

    Parameters
    ----------
    graph : Graph
        The graph.
    names : list of str
        Columns of the constituents.

    Returns
    -------
    PaddedJets
        The jets.
    """
    table = graph.input(
        "constituents", np.float32, ["n_jets", "n_max", len(names)], columns=names
    )
    mask = graph.input(
        "mask",
        bool,
        ["n_jets", "n_max"],
        description="True where there is a constituent; what is elsewhere is not read",
    )
    kept = graph.where(mask.expand_dims(2), table.cast(np.float64), 0.0)
    return PaddedJets(kept, mask)


def read_features(graph: Graph, names: list[str]) -> Value | None:
    """Declare features of jets as input, if there are any; in double precision."""
    if not names:
        return None
    table = graph.input("features", np.float32, ["n_jets", len(names)], columns=names)
    return table.cast(np.float64)


def relative_to_axis(jets: PaddedJets) -> RelativeJets:
    """Evaluate `sklearn_hepcal.jets.relative_constituents`."""
    graph = jets.table.graph
    pt, y, phi = (jets.table.take(column) for column in range(3))
    size = pt.apply("Abs")
    total = size.sum(1, keepdims=True)
    fraction = pt / (total + total.equals(0.0).cast(np.float64))
    axis = (fraction.apply("Abs") * y).sum(1, keepdims=True)
    parts = (phi.apply("Sin"), _cos(phi))
    dphi = phi - _arctan2(
        graph, *((size * part).sum(1, keepdims=True) for part in parts)
    )
    dphi = dphi - 2.0 * np.pi * (dphi / (2.0 * np.pi)).apply("Round")
    return RelativeJets(fraction, y - axis, dphi, pt.sum(1, keepdims=True), axis)


# Of the two, older runtimes know only the sine in double precision.
def _cos(angle: Value) -> Value:
    return (angle + np.pi / 2).apply("Sin")


# Runtimes know the arc tangent in single precision only: one step of Newton's method
# makes it double.
def _arctan2(graph: Graph, sine: Value, cosine: Value) -> Value:
    radius = (sine * sine + cosine * cosine).apply("Sqrt")
    radius = radius + radius.equals(0.0).cast(np.float64)
    right = cosine.apply("Abs")
    half = (sine / (radius + right)).cast(np.float32).apply("Atan")
    angle = half.cast(np.float64) * 2.0
    step = (sine * _cos(angle) - right * angle.apply("Sin")) / radius
    angle = angle + step
    straight = graph.where(sine >= 0.0, sine * 0.0 + np.pi, -np.pi)
    return graph.where(cosine < 0.0, straight - angle, angle)


def encode(
    inputs: ConstituentInputs, jets: PaddedJets, relative: RelativeJets
) -> Value:
    """Evaluate `ConstituentInputs.encode`, with one-hot columns of categories.

    Parameters
    ----------
    inputs : ConstituentInputs
        Scales and categories.
    jets : PaddedJets
        The jets.
    relative : RelativeJets
        The same relative to their axes.

    Returns
    -------
    Value of shape (n_jets, n_max, n_inputs)
        What a `sklearn_hepcal.nn.ConstituentMLP` reads, in single precision.
    """
    graph = jets.table.graph
    directions = graph.concat(
        [part.expand_dims(2) for part in (relative.dy, relative.dphi)], axis=2
    )
    if inputs.warp_scale is not None:
        directions = _warp(graph, directions, inputs.warp_scale)
    parts = [directions]
    if inputs.weighting == "count":
        if inputs.columns:
            parts.append(jets.table.take(inputs.columns))
        parts.append(
            relative.fraction.maximum(LEAST_FRACTION).apply("Log").expand_dims(2)
        )
    points = (graph.concat(parts, axis=2) - inputs.mean) / inputs.scale
    parts = [points.cast(np.float32)]
    if inputs.id_column is not None:
        # Numbers that single precision does not hold were rounded before.
        known = inputs.ids.astype(np.float32).astype(np.float64)
        ids = jets.table.take([inputs.id_column])
        parts.append(ids.equals(known).cast(np.float32))
    return graph.concat(parts, axis=2)


def _warp(graph: Graph, directions: Value, scale: float) -> Value:
    r = (directions * directions).sum(2, keepdims=True).apply("Sqrt")
    at_axis = r < _AT_AXIS * scale
    safe = graph.where(at_axis, r * 0.0 + 1.0, r)
    factor = (safe / scale + 1.0).apply("Log") / (2.0 * safe)
    return directions * graph.where(at_axis, r * 0.0 + 0.5 / scale, factor)
