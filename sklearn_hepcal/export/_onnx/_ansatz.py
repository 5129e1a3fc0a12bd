"""Gaussian Ansatz networks: estimates and covariances as expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...regression import GaussianAnsatzRegressor
from ...regression._inputs import LEAST_PT, JetInputs
from ._graph import Graph, Value
from ._jets import (
    constituent_names,
    encode,
    read_constituents,
    read_features,
    relative_to_axis,
)
from ._networks import deep_sets, linear, linear_layer, mlp, softplus
from ._outputs import write_prediction
from ._rows import read_table

# What `sklearn_hepcal.nn.GaussianAnsatz` adds to precisions.
_MIN_PRECISION = 1e-3


def write_ansatz(graph: Graph, estimator: GaussianAnsatzRegressor) -> None:
    """Write a `GaussianAnsatzRegressor`.

    All that there is one of an event is in double precision: the inverse of a precision
    magnifies rounding errors.

    Parameters
    ----------
    graph : Graph
        The graph.
    estimator : GaussianAnsatzRegressor
        The estimator.
    """
    model = estimator._model
    inputs = model.inputs
    if isinstance(inputs, JetInputs):
        rows = "n_jets"
        features, points = _read_jets(graph, estimator, inputs)
    else:
        rows = "n_rows"
        features, points = read_table(graph, estimator), None
    scaled = (features - inputs.features.mean_) / inputs.features.scale_
    members = [_member(state, scaled, points) for state in model.ensemble.networks]
    precision, pulled = (_mean(list(part)) for part in zip(*members, strict=True))
    scaler = model.scaler
    n_targets = scaler.n_features_in_
    covariance = _inverse(precision, n_targets)
    peak = (covariance @ pulled).reshape(0, n_targets)
    write_prediction(graph, peak, scaler, model.single, rows)
    covariance = covariance * np.outer(scaler.scale_, scaler.scale_)
    graph.output("covariance", covariance, [rows, n_targets, n_targets])
    diagonal = np.arange(n_targets) * (n_targets + 1)
    std = covariance.reshape(0, n_targets**2).take(diagonal).apply("Sqrt")
    if model.single:
        graph.output("std", std.take(0), [rows])
    else:
        graph.output("std", std, [rows, n_targets])


def _read_jets(
    graph: Graph, estimator: GaussianAnsatzRegressor, inputs: JetInputs
) -> tuple[Value, dict[str, Value]]:
    jets = read_constituents(graph, constituent_names(estimator))
    relative = relative_to_axis(jets)
    log_pt = (relative.pt / inputs.pt_scale).maximum(LEAST_PT).apply("Log")
    columns = [relative.pt, log_pt, relative.y]
    others = read_features(graph, list(estimator.jet_feature_names_in_))
    if others is not None:
        columns.append(others)
    by_energy = inputs.constituents.weighting == "energy"
    points = {
        "inputs": encode(inputs.constituents, jets, relative),
        "factors": relative.fraction if by_energy else jets.present,
    }
    return graph.concat(columns, axis=1), points


# Precision, and its product with the estimate as a column, of one network.
def _member(
    state: dict[str, Any], features: Value, points: dict[str, Value] | None
) -> tuple[Value, Value]:
    config, weights = state["config"], state["weights"]
    graph, activation = features.graph, config["activation"]
    n_targets = config["n_targets"]
    code = features
    if points is not None:
        latent = deep_sets(points, state, "deep_sets") / config["latent_scale"]
        code = graph.concat([features, latent], axis=1)
    line = linear(features, linear_layer(weights, "line"))
    estimate = line + mlp(code, weights, "peak", activation)
    joined = graph.concat([code, estimate], axis=1)
    entries = mlp(joined, weights, "factor", activation)
    lower = _lower_triangular(entries, n_targets)
    # Older runtimes have no product with a transposed matrix in double precision.
    precision = (lower.expand_dims(2) * lower.expand_dims(1)).sum(3)
    precision = precision + _MIN_PRECISION * np.eye(n_targets)
    return precision, precision @ estimate.expand_dims(2)


# Matrices from their entries, row by row; those of the diagonal are positive.
def _lower_triangular(entries: Value, size: int) -> Value:
    rows, columns = np.tril_indices(size)
    diagonal = rows == columns
    entries = entries * ~diagonal + softplus(entries) * diagonal
    places = np.zeros((len(rows), size * size))
    places[np.arange(len(rows)), size * rows + columns] = 1.0
    return (entries @ places).reshape(0, size, size)


def _mean(parts: list[Value]) -> Value:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / float(len(parts))


# Gauss-Jordan elimination in place; no pivots are needed where matrices are positive.
def _inverse(matrices: Value, size: int) -> Value:
    for k, unit in enumerate(np.eye(size)):
        others = 1.0 - unit
        column, row = matrices.take([k], axis=2), matrices.take([k], axis=1)
        row = (row * others + unit) / row.take([k], axis=2)
        rest = (matrices * others - column @ row) * others[:, None]
        matrices = rest + unit[:, None] * row
    return matrices
