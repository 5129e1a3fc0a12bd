"""What is made of the outputs of networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from ._graph import Graph, Value


def write_probabilities(graph: Graph, logits: Value, classes: list[Any]) -> Value:
    """Declare the probabilities of classes as output.

    Parameters
    ----------
    graph : Graph
        The graph.
    logits : Value of shape (n_jets, n_classes)
        Logarithms of the probabilities, up to a constant.
    classes : list
        The classes.

    Returns
    -------
    Value of shape (n_jets, n_classes)
        The probabilities, in double precision.
    """
    probabilities = logits.cast(np.float64).apply("Softmax", axis=-1)
    graph.output(
        "probabilities", probabilities, ["n_jets", len(classes)], columns=_text(classes)
    )
    return probabilities


def write_log_odds(graph: Graph, logits: Value, classes: list[Any]) -> None:
    """Declare the log-odds of classes as output, a single column for two of them.

    Parameters
    ----------
    graph : Graph
        The graph.
    logits : Value of shape (n_jets, n_classes)
        Logarithms of the probabilities, up to a constant.
    classes : list
        The classes.
    """
    if len(classes) == 2:
        odds = logits.take(1) - logits.take(0)
        graph.output("decision", odds, ["n_jets"])
        return
    odds = logits - logits.sum(1, keepdims=True) / float(len(classes))
    graph.output("decision", odds, ["n_jets", len(classes)], columns=_text(classes))


def write_prediction(
    graph: Graph, scaled: Value, scaler: StandardScaler, single: bool, rows: str
) -> None:
    """Declare predictions as output.

    Parameters
    ----------
    graph : Graph
        The graph.
    scaled : Value of shape (n, n_targets)
        Predictions in the units of the network.
    scaler : StandardScaler
        Their units.
    single : bool
        Whether there is one target, without an axis of its own.
    rows : str
        Name of the number of rows.
    """
    prediction = scaled.cast(np.float64) * scaler.scale_ + scaler.mean_
    if single:
        graph.output("prediction", prediction.take(0), [rows])
    else:
        graph.output("prediction", prediction, [rows, scaler.n_features_in_])


def _text(classes: list[Any]) -> list[str]:
    return [str(name) for name in classes]
