"""Encoders of jets, on padded tables of their constituents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._graph import Value
from ._networks import (
    Weights,
    activate,
    hidden_layers,
    layer_norm,
    linear,
    linear_layer,
    mlp,
    mlp_layers,
    sum_over_constituents,
)

# Score of an element that is not there: its exponential is zero.
_NOTHING = -1e30
# Slope of the scores of a graph layer below zero.
_SLOPE = 0.2


class Elements(NamedTuple):
    """What networks see of constituents.

    Attributes
    ----------
    table : Value of shape (n_jets, n_max, n_columns)
        Scaled constituents.
    mask : bool Value of shape (n_jets, n_max)
        Where there are any.
    """

    table: Value
    mask: Value


# Every encoder takes a network, scaled features (n_jets, n_features) and elements; it
# returns latent vectors (n_jets, latent_dim), in single precision.


def dense(state: dict[str, Any], features: Value, elements: Elements | None) -> Value:
    """Evaluate `sklearn_hepcal.nn.DenseEncoder`."""
    return mlp(
        features, state["weights"], "encoder.layers", state["config"]["activation"]
    )


def deep_sets(state: dict[str, Any], features: Value, elements: Elements) -> Value:
    """Evaluate `sklearn_hepcal.nn.SumEncoder`."""
    weights, activation = state["weights"], state["config"]["activation"]
    layers = mlp_layers(weights, "encoder.phi")
    n_columns = state["config"]["n_columns"]
    hidden = activate(_first(layers[0], elements, features, n_columns), activation)
    hidden = hidden_layers(hidden, layers[1:], activation)
    pooled = sum_over_constituents(hidden, elements.mask.cast(np.float32), layers[-1])
    return mlp(features, weights, "encoder.psi", activation) + pooled


def recurrent(state: dict[str, Any], features: Value, elements: Elements) -> Value:
    """Evaluate `sklearn_hepcal.nn.RecurrentEncoder`."""
    graph, weights = features.graph, state["weights"]
    start = linear(features, linear_layer(weights, "encoder.start")).apply("Tanh")
    rows = graph.concat([elements.table, _spread(features, elements.table)], axis=2)
    counts = elements.mask.cast(np.int32).sum(1)
    inputs, recurrence, *biases = (
        _gates(weights[f"encoder.memory.{name}_l0"])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    # One more jet of one constituent: a memory of nothing at all may end the process.
    _, end = graph.nodes(
        "LSTM",
        _padded(rows, 1, 1, 0).transpose(1, 0, 2),
        graph.constant(inputs[None]),
        graph.constant(recurrence[None]),
        graph.constant(np.concatenate(biases)[None]),
        _padded(counts, 1).maximum(1),
        _padded(start, 1, 0).expand_dims(0),
        dtypes=[np.float32, np.float32],
        hidden_size=recurrence.shape[1],
    )
    end = end.take(0, axis=0).slice(0, -1, axis=0)
    end = graph.where((counts > 0).expand_dims(1), end, start)
    return linear(end, linear_layer(weights, "encoder.last"))


def attention(state: dict[str, Any], features: Value, elements: Elements) -> Value:
    """Evaluate `sklearn_hepcal.nn.AttentionEncoder`."""
    graph, config, weights = features.graph, state["config"], state["weights"]
    activation = config["activation"]
    first, last = mlp_layers(weights, "encoder.embed")
    x = linear(
        activate(_first(first, elements, features, config["n_columns"]), activation),
        last,
    )
    jet = mlp(features, weights, "encoder.embed_jet", activation)
    x = graph.concat([jet.expand_dims(1), x], axis=1)
    mask = _padded(elements.mask.cast(np.float32), 0, 1, before=True, value=1.0)
    # Added to scores: what is not there has none.
    bias = (1.0 - mask) * _NOTHING
    layer = {"gnn": _graph_layer, "transformer": _transformer_layer}
    for k in range(config["n_layers"]):
        name = f"encoder.layers.{k}"
        x = layer[config["backbone"]](x, bias, weights, name, config)
    x = layer_norm(x, weights, "encoder.norm")
    gate = linear(x, linear_layer(weights, "encoder.gate")).take(0) + bias
    share = gate.apply("Softmax", axis=-1).expand_dims(1)
    pooled = (share @ x).reshape(0, config["embed_dim"])
    return linear(pooled, linear_layer(weights, "encoder.last"))


ENCODERS: dict[str, Callable[..., Value]] = {
    "deepsets": deep_sets,
    "dense": dense,
    "gnn": attention,
    "rnn": recurrent,
    "transformer": attention,
}


# A first layer that reads constituents, and the features of their jet.
def _first(
    layer: tuple[NDArray, NDArray], elements: Elements, features: Value, n_columns: int
) -> Value:
    weight, bias = layer
    of_elements, of_jets = weight[:, :n_columns], weight[:, n_columns:]
    jets = features @ of_jets.T + bias
    return elements.table @ of_elements.T + jets.expand_dims(1)


def _transformer_layer(
    x: Value, bias: Value, weights: Weights, name: str, config: dict[str, Any]
) -> Value:
    width, n_heads = config["embed_dim"], config["n_heads"]
    normed = layer_norm(x, weights, f"{name}.norm")
    heads = linear(normed, linear_layer(weights, f"{name}.attention"))
    heads = heads.reshape(0, 0, 3, n_heads, width // n_heads).transpose(2, 0, 3, 1, 4)
    query, key, value = (heads.take(k, axis=0) for k in range(3))
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width // n_heads)
    scores = scores + bias.expand_dims(1).expand_dims(1)
    attended = scores.apply("Softmax", axis=-1) @ value
    flat = attended.transpose(0, 2, 1, 3).reshape(0, 0, width)
    x = x + linear(flat, linear_layer(weights, f"{name}.attended"))
    normed = layer_norm(x, weights, f"{name}.own_norm")
    return x + mlp(normed, weights, f"{name}.own", "gelu")


def _graph_layer(
    x: Value, bias: Value, weights: Weights, name: str, config: dict[str, Any]
) -> Value:
    width, n_heads = config["embed_dim"], config["n_heads"]
    normed = layer_norm(x, weights, f"{name}.norm")
    target = linear(normed, linear_layer(weights, f"{name}.target"))
    message = linear(normed, linear_layer(weights, f"{name}.source"))
    pair = target.expand_dims(2) + message.expand_dims(1)
    # Scores of all heads by one product: each reads its columns only.
    read = np.zeros((n_heads, width // n_heads, n_heads))
    heads = np.arange(n_heads)
    read[heads, :, heads] = weights[f"{name}.score"]
    scores = pair.apply("LeakyRelu", alpha=_SLOPE) @ read.reshape(width, n_heads)
    scores = scores + bias.expand_dims(1).expand_dims(3)
    share = scores.apply("Softmax", axis=2).transpose(0, 3, 1, 2)
    messages = message.reshape(0, 0, n_heads, width // n_heads).transpose(0, 2, 1, 3)
    pooled = (share @ messages).transpose(0, 2, 1, 3).reshape(0, 0, width)
    return x + linear(pooled.apply("Relu"), linear_layer(weights, f"{name}.last"))


# Rows of jets, once for each of their constituents.
def _spread(features: Value, table: Value) -> Value:
    return table.take([0]) * 0.0 + features.expand_dims(1)


# More entries at the ends of axes, or before their beginnings.
def _padded(
    table: Value, *widths: int, before: bool = False, value: float = 0.0
) -> Value:
    nothing = [0] * len(widths)
    pads = [*widths, *nothing] if before else [*nothing, *widths]
    graph = table.graph
    return table.apply(
        "Pad",
        graph.constant(np.array(pads, dtype=np.int64)),
        graph.constant(np.array(value, dtype=table.dtype)),
    )


# Gates in the order of ONNX: input, output, forget, cell.
def _gates(weight: NDArray) -> NDArray[np.float32]:
    first, forget, cell, output = np.split(np.asarray(weight, dtype=np.float32), 4)
    return np.concatenate([first, output, forget, cell])
