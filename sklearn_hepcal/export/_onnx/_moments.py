"""Energy flow networks with moment pooling, as expressions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..._moment_efn import BaseMomentEFN
from ...classification import MomentEFNClassifier
from ._graph import Graph, Value
from ._jets import constituent_names, encode, read_constituents, relative_to_axis
from ._networks import (
    hidden_layers,
    linear,
    mlp,
    mlp_layers,
    sum_over_constituents,
)
from ._outputs import write_log_odds, write_prediction, write_probabilities


def write_moment_efn(graph: Graph, estimator: BaseMomentEFN) -> None:
    """Write a `MomentEFNClassifier` or a `MomentEFNRegressor`.

    Parameters
    ----------
    graph : Graph
        The graph.
    estimator : fitted estimator
        One of the two.
    """
    inputs, state = estimator._model.inputs, estimator._model.network
    names = constituent_names(estimator)
    jets = read_constituents(graph, names)
    relative = relative_to_axis(jets)
    present, counts = jets.present, jets.counts
    factors = relative.fraction
    if inputs.weighting == "count":
        factors = present / counts.maximum(1.0)
    moments = _moments(state, encode(inputs, jets, relative), factors)
    if inputs.weighting == "count":
        moments = graph.concat([counts, moments], axis=1)
    weights, activation = state["weights"], state["config"]["activation"]
    scaled = (moments - weights["mean"]) / weights["scale"]
    out = mlp(scaled, weights, "f", activation)
    if not isinstance(estimator, MomentEFNClassifier):
        write_prediction(graph, out, estimator._scaler, estimator._single, "n_jets")
        return
    classes = estimator.classes_.tolist()
    if len(classes) == 2:  # the network gives the log of the ratio
        out = graph.concat([out * 0.0, out], axis=1)
    write_probabilities(graph, out, classes)
    write_log_odds(graph, out, classes)


# Moments in the order of `sklearn_hepcal.nn.moment_pool`, in double precision: those of
# higher order are small differences.
def _moments(state: dict[str, Any], points: Value, factors: Value) -> Value:
    config, weights = state["config"], state["weights"]
    layers = mlp_layers(weights, "phi")
    hidden = hidden_layers(points, layers, config["activation"]).cast(np.float64)
    order, latent_dim = config["order"], config["latent_dim"]
    means = sum_over_constituents(hidden, factors, layers[-1])
    if order == 1:
        return means
    values = linear(hidden, layers[-1])
    if config["central"]:
        values = values - means.expand_dims(1)
    rows = factors.expand_dims(1)
    moments, products = [means], values
    for first, others in _factors(latent_dim, order):
        products = values.take(first) * products.take(others)
        moments.append((rows @ products).reshape(0, len(first)))
    return points.graph.concat(moments, axis=1)


# For every degree, the products as a component times a product of one degree less.
def _factors(latent_dim: int, order: int) -> Iterator[tuple[list[int], list[int]]]:
    components = range(latent_dim)
    for degree in range(2, order + 1):
        below = combinations_with_replacement(components, degree - 1)
        place = {product: k for k, product in enumerate(below)}
        products = list(combinations_with_replacement(components, degree))
        yield [p[0] for p in products], [place[p[1:]] for p in products]
