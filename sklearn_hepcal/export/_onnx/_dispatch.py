"""Which estimators can be written, and by what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.pipeline import Pipeline

from ._graph import Graph
from ._rows import STEPS, write_rows

_WRITERS: dict[type, Callable[[Graph, Any], None]] = {
    **dict.fromkeys((*STEPS, Pipeline), write_rows),
}


def write_estimator(graph: Graph, estimator: Any) -> None:
    """Write an estimator.

    Parameters
    ----------
    graph : Graph
        The graph.
    estimator : fitted estimator
        The estimator.

    Raises
    ------
    TypeError
        If its type is not supported.
    """
    # Not those derived from them, which may do something else.
    writer = _WRITERS.get(type(estimator))
    if writer is None:
        known = ", ".join(sorted(kind.__name__ for kind in _WRITERS))
        raise TypeError(
            f"{type(estimator).__name__} cannot be exported; supported are {known}."
        )
    writer(graph, estimator)
