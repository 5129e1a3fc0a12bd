"""Nodes of correctionlib's schema, version 2, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Node = dict[str, Any]

SYSTEMATIC = (
    "systematic",
    "string",
    "nominal, or up and down by one standard deviation",
)


def correction(
    name: str,
    description: str,
    inputs: Sequence[tuple[str, str, str]],
    output: tuple[str, str],
    data: Any,
    formulas: Sequence[Node] = (),
) -> Node:
    """Describe a correction.

    Parameters
    ----------
    name : str
        Its name in the set.
    description : str
        What it does.
    inputs : sequence of (name, type, description)
        What it is evaluated with, in this order.
    output : tuple of (name, description)
        The result, a real number.
    data : node or float
        How it follows.
    formulas : sequence of nodes
        What `reference` refers to.

    Returns
    -------
    dict
        The correction.
    """
    keys = ("name", "type", "description")
    made: Node = {
        "name": name,
        "description": description,
        "version": 1,
        "inputs": [dict(zip(keys, column, strict=True)) for column in inputs],
        "output": dict(zip(keys, (output[0], "real", output[1]), strict=True)),
        "data": data,
    }
    if formulas:
        made["generic_formulas"] = list(formulas)
    return made


def formula(
    expression: str, variables: Sequence[str], parameters: ArrayLike | None = None
) -> Node:
    """Describe a formula.

    Parameters
    ----------
    expression : str
        In the language of ROOT's TFormula, with parameters [0], [1], ...
    variables : sequence of str
        The inputs that it calls x, y, ...
    parameters : array-like, default=None
        The parameters; None where `reference` gives them.

    Returns
    -------
    dict
        The formula.
    """
    made: Node = {
        "nodetype": "formula",
        "expression": expression,
        "parser": "TFormula",
        "variables": list(variables),
    }
    if parameters is not None:
        made["parameters"] = np.asarray(parameters, dtype=np.float64).tolist()
    return made


def reference(index: int, parameters: Iterable[float]) -> Node:
    """Evaluate a formula of the correction.

    Parameters
    ----------
    index : int
        The number of the formula.
    parameters : iterable of float
        Its parameters.

    Returns
    -------
    dict
        The node.
    """
    numbers = [float(parameter) for parameter in parameters]
    return {"nodetype": "formularef", "index": index, "parameters": numbers}


def binning(
    variable: str, edges: Iterable[float], content: list[Any], flow: Any
) -> Node:
    """Distinguish bins of an input; their lower edges are inside.

    Parameters
    ----------
    variable : str
        The input.
    edges : iterable of float
        Increasing edges; the outer ones may be infinite.
    content : list of nodes or floats
        One for each bin.
    flow : node, float, "clamp" or "error"
        What there is beyond.

    Returns
    -------
    dict
        The node.
    """
    # JSON has no infinity.
    numbers = [float(edge) if np.isfinite(edge) else str(float(edge)) for edge in edges]
    return {
        "nodetype": "binning",
        "input": variable,
        "edges": numbers,
        "content": content,
        "flow": flow,
    }


def category(variable: str, content: Mapping[Any, Any]) -> Node:
    """Distinguish values of an input; others are errors.

    Parameters
    ----------
    variable : str
        The input.
    content : mapping of str or int to nodes or floats
        One for each value.

    Returns
    -------
    dict
        The node.
    """
    items = [{"key": key, "value": value} for key, value in content.items()]
    return {"nodetype": "category", "input": variable, "content": items}


def transform(variable: str, rule: Any, content: Any) -> Node:
    """Replace an input in a part of a correction.

    Parameters
    ----------
    variable : str
        The input.
    rule : node
        What takes its place.
    content : node
        Where it does.

    Returns
    -------
    dict
        The node.
    """
    return {
        "nodetype": "transform",
        "input": variable,
        "rule": rule,
        "content": content,
    }
