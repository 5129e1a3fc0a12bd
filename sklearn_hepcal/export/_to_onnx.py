"""Fitted estimators as ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from .._optional import import_optional
from ..jets._files import PathLike, replacing


def to_onnx(
    estimator: Any,
    path: PathLike,
    *,
    units: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    import_optional("onnx", "onnx")
    from ._onnx._dispatch import write_estimator
    from ._onnx._graph import Graph
    from ._onnx._metadata import describe

    check_is_fitted(estimator)
    graph = Graph()
    write_estimator(graph, estimator)
    model = graph.model(describe(estimator, graph, units or {}, metadata or {}))
    with replacing(Path(path)) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
