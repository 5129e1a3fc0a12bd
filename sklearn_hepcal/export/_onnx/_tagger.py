"""Taggers and regressors of momenta with the same networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..._find_column import find_column
from ..._tagger import BaseTagger
from ..._tagger_inputs import ColumnScaler, TaggerInputs
from ...classification import FlavourTaggerClassifier
from ...metrics._tagging import signal_and_mix
from ...regression import JetPtRegressor
from ._encoders import ENCODERS, Elements
from ._graph import Graph, Value
from ._jets import (
    PaddedJets,
    constituent_names,
    read_constituents,
    read_features,
)
from ._networks import mlp
from ._outputs import write_log_odds, write_probabilities


class Given(NamedTuple):
    """What a graph is given.

    Attributes
    ----------
    features : Value of shape (n_jets, n_features) or None
        Features of the jets, in double precision.
    jets : PaddedJets or None
        Their constituents.
    """

    features: Value | None
    jets: PaddedJets | None


def write_flavour_tagger(graph: Graph, tagger: FlavourTaggerClassifier) -> None:
    """Write a `FlavourTaggerClassifier`.

    Parameters
    ----------
    graph : Graph
        The graph.
    tagger : FlavourTaggerClassifier
        The estimator.
    """
    latent = _latent(tagger, _read(graph, tagger))
    classes = tagger.classes_.tolist()
    logits = _head(tagger, latent)
    probabilities = write_probabilities(graph, logits, classes)
    signal, fractions = tagger._decision
    if signal is None:
        write_log_odds(graph, logits, classes)
    else:
        column, mix = signal_and_mix(signal, fractions, classes)
        tiny = np.finfo(np.float64).tiny
        chosen = probabilities.take([column]).maximum(tiny).apply("Log")
        others = (probabilities @ mix[:, None]).maximum(tiny).apply("Log")
        graph.output("decision", (chosen - others).take(0), ["n_jets"])
    n_latent = tagger._model.network["config"]["latent_dim"]
    graph.output("latent", latent, ["n_jets", n_latent])


def write_jet_pt(graph: Graph, regressor: JetPtRegressor) -> None:
    """Write a `JetPtRegressor`.

    Parameters
    ----------
    graph : Graph
        The graph.
    regressor : JetPtRegressor
        The estimator.
    """
    given = _read(graph, regressor)
    latent = _latent(regressor, given)
    pulls = _head(regressor, latent).take(0).cast(np.float64)
    (ratio,) = regressor._model.outputs
    names = list(regressor.jet_feature_names_in_)
    column, floor = regressor._pt
    measured = measured_pt(given, names, column)
    factor = (pulls * ratio.width + ratio.centre).apply("Exp")
    graph.output("prediction", measured.maximum(floor) * factor, ["n_jets"])


def measured_pt(given: Given, names: list[str], column: int | str) -> Value:
    """Read the momenta of jets.

    Parameters
    ----------
    given : Given
        The inputs.
    names : list of str
        Names of the features.
    column : int or str
        That of the momentum; jets without features have that of their constituents.

    Returns
    -------
    Value of shape (n_jets,)
        Transverse momenta in GeV.
    """
    if given.features is None:
        assert given.jets is not None
        return given.jets.table.take(0).sum(1)
    return given.features.take(find_column(column, tuple(names), "pt_column"))


def _read(graph: Graph, estimator: BaseTagger) -> Given:
    jets = None
    if estimator._model.inputs.use_tracks:
        jets = read_constituents(graph, constituent_names(estimator))
    return Given(read_features(graph, list(estimator.jet_feature_names_in_)), jets)


def _latent(estimator: BaseTagger, given: Given) -> Value:
    inputs, state = estimator._model.inputs, estimator._model.network
    encoder = ENCODERS[state["config"]["backbone"]]
    jets = given.jets
    if jets is None:
        assert given.features is not None
        features = scale_columns(inputs.features, given.features, axis=1)
        return encoder(state, features.cast(np.float32), None)
    table, mask = jets.table, jets.mask
    if state["config"]["backbone"] == "rnn":
        table, mask = _sorted(inputs, jets)
    columns = [(jets.counts + 1.0).apply("Log")]
    if given.features is not None:
        columns.insert(0, given.features)
    features = scale_columns(
        inputs.features, table.graph.concat(columns, axis=1), axis=1
    )
    tracks = scale_columns(inputs.tracks, table, axis=2)
    elements = Elements(tracks.cast(np.float32), mask)
    return encoder(state, features.cast(np.float32), elements)


def _head(estimator: BaseTagger, latent: Value) -> Value:
    state = estimator._model.network
    return mlp(latent, state["weights"], "head", state["config"]["activation"])


def scale_columns(scaler: ColumnScaler, table: Value, axis: int) -> Value:
    """Evaluate a `ColumnScaler` on the last axis of a table.

    Parameters
    ----------
    scaler : ColumnScaler
        The scales.
    table : Value
        The table, in double precision.
    axis : int
        Its last axis.

    Returns
    -------
    Value
        The scaled columns, and behind them the marks of missing values.
    """
    graph = table.graph
    missing = graph.node("IsNaN", table, dtype=bool)
    pull = (table - scaler.centre) / scaler.width
    size = pull.apply("Abs")
    squashed = (size + (size * size + 1.0).apply("Sqrt")).apply("Log")
    scaled = (pull.apply("Sign") * squashed - scaler.mean) / scaler.scale
    scaled = graph.node(
        "Where", missing, graph.constant(np.array(0.0)), scaled, dtype=np.float64
    )
    if not len(scaler.missing):
        return scaled
    marks = missing.cast(np.float64).take(scaler.missing)
    return graph.concat([scaled, marks], axis=axis)


# Constituents in the order in which they are read, those that are none last.
def _sorted(inputs: TaggerInputs, jets: PaddedJets) -> tuple[Value, Value]:
    graph, key = jets.table.graph, jets.present
    if inputs.order_column is not None:
        size = jets.table.take(inputs.order_column).apply("Abs")
        known = graph.node("IsNaN", size, dtype=bool)
        size = graph.node(
            "Where", known, graph.constant(np.array(0.0)), size, dtype=np.float64
        )
        key = graph.where(jets.mask, size, -1.0)
    # Of equal ones, the first comes first.
    _, order = graph.nodes(
        "TopK", key, key.length(1), dtypes=[key.dtype, np.int64], axis=1
    )
    table = jets.table.apply("GatherND", order.expand_dims(2), batch_dims=1)
    mask = jets.present.apply("GatherElements", order, axis=1) > 0.5
    return table, mask
