"""Steps that turn rows into rows, and pipelines of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ...calibration import OTCalibrator, SimplexTransformer
from ._atoms import merge_atoms, split_atoms
from ._graph import Graph, Value
from ._maps import move
from ._tables import hats


def write_rows(graph: Graph, estimator: Any) -> None:
    """Write a transformer of tables, or a pipeline of such.

    Parameters
    ----------
    graph : Graph
        The graph.
    estimator : fitted estimator
        A type in `STEPS`, or a Pipeline.

    Raises
    ------
    NotFittedError
        If a step is not fitted.
    ValueError
        If a step that spreads atoms is not the first one.
    TypeError
        If a step of a pipeline is not supported.
    ValueError
        If there are no steps, or calibrators have different numbers of replicas.
    """
    steps = list(_steps(estimator))
    if not steps:
        raise ValueError("the pipeline has no steps to export.")
    for step in steps:
        check_is_fitted(step)
    rows = read_table(graph, steps[0])
    for number, step in enumerate(steps):
        if isinstance(step, OTCalibrator):
            rows = _calibrate(step, rows, _replica(graph, steps), first=number == 0)
        else:
            rows = STEPS[type(step)](step, rows)
    names = [str(name) for name in estimator.get_feature_names_out()]
    graph.output("transformed", rows, ["n_rows", len(names)], columns=names)


def read_table(graph: Graph, estimator: Any) -> Value:
    """Declare a table as input.

    Parameters
    ----------
    graph : Graph
        The graph.
    estimator : fitted estimator
        Knows the columns.

    Returns
    -------
    Value of shape (n_rows, n_features)
        The table, in double precision: differences of large numbers stay exact.
    """
    names = getattr(estimator, "feature_names_in_", None)
    n_columns = estimator.n_features_in_
    columns = [f"x{k}" for k in range(n_columns)] if names is None else list(names)
    table = graph.input(
        "features", np.float32, ["n_rows", n_columns], columns=list(map(str, columns))
    )
    return table.cast(np.float64)


# Steps of a pipeline that do something, also of those inside of it.
def _steps(estimator: Any) -> Iterator[Any]:
    if not isinstance(estimator, Pipeline):
        yield estimator
        return
    for name, step in estimator.steps:
        if isinstance(step, Pipeline):
            yield from _steps(step)
        elif type(step) in STEPS:
            yield step
        elif step not in (None, "passthrough"):
            known = ", ".join(sorted(kind.__name__ for kind in STEPS))
            raise TypeError(
                f"the step {name!r} of the pipeline is a {type(step).__name__}, which "
                f"cannot be exported; steps may be {known}, Pipeline and 'passthrough'."
            )


# Which map moves the rows; None where there is only one.
def _replica(graph: Graph, steps: list[Any]) -> Value | None:
    calibrators = [step for step in steps if isinstance(step, OTCalibrator)]
    numbers = {len(step._replicas) for step in calibrators} - {0}
    if len(numbers) > 1:
        raise ValueError(
            f"the calibrators of the pipeline have different numbers of replicas, "
            f"{sorted(numbers)}: one index cannot choose among them."
        )
    if not numbers:
        return None
    (n_replicas,) = numbers
    replica = graph.input(
        "replica",
        np.int64,
        [1],
        description=(
            f"bootstrap replica that moves the rows, from 0 to {n_replicas - 1}; -1 "
            "for the nominal map"
        ),
    )
    index = (replica + 1).reshape()
    # Negative indices would count from the end.
    return graph.where(index < 0, index + (n_replicas + 1 - index), index)


def _calibrate(
    calibrator: OTCalibrator, rows: Value, index: Value | None, *, first: bool
) -> Value:
    graph, frame = rows.graph, calibrator._frame
    maps = [calibrator._map, *calibrator._replicas]
    x = rows.take(frame.moved)
    if frame.atoms is not None:
        if not first:
            raise ValueError(
                "an OTCalibrator that spreads atoms can be exported only by itself or "
                "as the first step of a pipeline: where a row lies in a gap depends on "
                "the last bit of its values."
            )
        x = split_atoms(frame.atoms, x, len(frame.moved))
    if len(frame.conditions):
        h = hats(rows.take(frame.conditions), frame.basis.knots)
    else:
        h = graph.constant(np.ones((1, 1)))
    if len(maps) == 1:
        index = None
    moved = move(graph, maps, index, x - frame.origin, h) + frame.origin
    if frame.atoms is not None:
        moved = merge_atoms(frame.atoms, moved, len(frame.moved))
    return _placed(rows, moved, frame.moved, frame.moved, calibrator.n_features_in_)


def _scale(scaler: StandardScaler, rows: Value) -> Value:
    if scaler.mean_ is not None and scaler.with_mean:
        rows = rows - scaler.mean_
    return rows if scaler.scale_ is None else rows / scaler.scale_


def _simplex(step: SimplexTransformer, rows: Value) -> Value:
    places = step.columns_, step.coordinate_columns_
    if step.inverse:
        gone, filled = places[::-1]
        values = _probabilities(step, rows.take(gone))
    else:
        gone, filled = places
        values = _coordinates(step, rows.take(gone))
    return _placed(rows, values, gone, filled, step.n_features_in_)


def _coordinates(step: SimplexTransformer, values: Value) -> Value:
    if step.log:
        log_p = values.apply("LogSoftmax", axis=-1)
    else:
        total = values.sum(1, keepdims=True)
        total = total + total.equals(0.0).cast(np.float64)
        log_p = (values / total).maximum(step.eps).apply("Log")
    if step.kind != "logit":
        return log_p @ step._bases()[0]
    n_classes = len(step.columns_)
    others = [
        _log_sum(log_p.take(np.delete(np.arange(n_classes), k)))
        for k in range(n_classes)
    ]
    return log_p - values.graph.concat(others, axis=1)


def _log_sum(values: Value) -> Value:
    largest = values.max(1, keepdims=True)
    total = (values - largest).apply("Exp").sum(1, keepdims=True)
    return largest + total.apply("Log")


def _probabilities(step: SimplexTransformer, coordinates: Value) -> Value:
    if step.kind == "logit":
        log_p = -(-coordinates).apply("Softplus")
    else:
        log_p = coordinates @ step._bases()[1]
    return log_p.apply("LogSoftmax" if step.log else "Softmax", axis=-1)


# Rows in which the columns `gone` are replaced by others, at the places `filled`.
def _placed(
    rows: Value, values: Value, gone: NDArray, filled: NDArray, n_columns: int
) -> Value:
    kept = np.delete(np.arange(n_columns), gone)
    source = np.empty(len(kept) + len(filled), dtype=np.int64)
    source[np.delete(np.arange(len(source)), filled)] = kept
    source[filled] = n_columns + np.arange(len(filled))
    return rows.graph.concat([rows, values], axis=1).take(source)


STEPS: dict[type, Callable[..., Value]] = {
    OTCalibrator: _calibrate,
    SimplexTransformer: _simplex,
    StandardScaler: _scale,
}
