"""What a file tells about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ... import __version__
from ._graph import OPSET, Graph

# Longer arrays of numbers are no summary.
_MAX_LENGTH = 64
# What these mean everywhere in the package.
_UNITS = "momenta and energies in GeV, angles in radians, unless units say otherwise"


def describe(
    estimator: Any,
    graph: Graph,
    units: Mapping[str, str],
    metadata: Mapping[str, str],
) -> dict[str, str]:
    """Collect the metadata of a file.

    Parameters
    ----------
    estimator : fitted estimator
        The estimator.
    graph : Graph
        Its graph.
    units : mapping of str to str
        Units of columns.
    metadata : mapping of str to str
        What the user adds.

    Returns
    -------
    dict of str to str
        Names and values; what is not text is JSON.

    Raises
    ------
    ValueError
        If a unit is that of no column, or the user's names are taken.
    """
    columns = {
        column
        for tensors in graph.described.values()
        for tensor in tensors.values()
        for column in tensor.get("columns", [])
    }
    unknown = sorted(set(units) - columns)
    if unknown:
        raise ValueError(
            f"units names {unknown}, which are not among the columns {sorted(columns)}."
        )
    known: dict[str, Any] = {
        "package": "sklearn_hepcal",
        "version": __version__,
        "estimator": _name(estimator),
        "opset": OPSET,
        "inputs": graph.described["inputs"],
        "outputs": graph.described["outputs"],
        "units": dict(units),
        "conventions": _UNITS,
        "training": _summary(estimator),
    }
    taken = sorted(set(metadata) & set(known))
    if taken:
        raise ValueError(f"metadata must not hold {taken}, which the file has itself.")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in {**known, **metadata}.items()
    }


def _name(estimator: Any) -> str:
    name = type(estimator).__name__
    if isinstance(estimator, Pipeline):
        name += f"({', '.join(_name(step) for _, step in estimator.steps)})"
    return "passthrough" if isinstance(estimator, str) else name


# Parameters and fitted attributes of an estimator, as far as they are short.
def _summary(estimator: Any) -> Any:
    if isinstance(estimator, Pipeline):
        return {name: _summary(step) for name, step in estimator.steps}
    if not hasattr(estimator, "get_params"):
        return {}
    fitted = {
        name: value
        for name, value in sorted(vars(estimator).items())
        if name.endswith("_") and not name.startswith("_")
    }
    return {
        "parameters": _plain(estimator.get_params(deep=False)),
        "fitted": _plain(fitted),
    }


# The parts of a dictionary that JSON knows; numbers that are none become null.
def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    converted = {str(name): _convert(value) for name, value in values.items()}
    return {name: value for name, value in converted.items() if value is not ...}


def _convert(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) <= _MAX_LENGTH:
        parts = [_convert(part) for part in value]
        return parts if ... not in parts else ...
    return ...
