"""From what a file holds to estimators."""

from __future__ import annotations

from inspect import Parameter, signature
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier

from ._allowed import ALLOWED, find_class
from ._container import FileError
from ._encode import MAX_DEPTH
from ._trees import check_boosting
from ._values import CODECS, set_owner

_PLAIN = (type(None), bool, int, float, str)


class Decoder:
    """Turns the JSON of an `Encoder`, and its arrays, into values.

    Parameters
    ----------
    arrays : list of arrays
        What the JSON refers to by position.
    """

    def __init__(self, arrays: list[NDArray]) -> None:
        self.arrays = arrays

    def decode(self, node: Any, depth: int = 0) -> Any:
        """Build a value.

        Parameters
        ----------
        node : object
            What JSON held.
        depth : int, default=0
            How many objects it is in.

        Returns
        -------
        object
            The value.

        Raises
        ------
        FileError
            If it is of no type that may be in a file.
        Exception
            Any other, if there is no such value of its type.
        """
        if depth > MAX_DEPTH:
            raise FileError("its content is nested too deeply.")
        if type(node) in _PLAIN:
            return node
        if type(node) is list:
            return [self.decode(part, depth + 1) for part in node]
        if len(node) != 1:
            raise FileError(f"an object has {len(node)} types in place of one.")
        ((name, content),) = node.items()
        if name == "float":
            return {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}[content]
        if name == "dict":
            return self._fields(content, depth)
        if name == "items":
            return self._items(content, depth)
        if name == "array":
            return self._array(content)
        if name == "scalar":
            return self._array(content)[()]
        if name == "objects":
            return self._objects(content, depth)
        if name in CODECS:
            return CODECS[name].build(self.decode(content, depth + 1))
        if name in ALLOWED:
            return _build(find_class(name), self._fields(content, depth))
        raise FileError(f"it holds a {name!r:.50}, which no estimator of ours does.")

    def _fields(self, content: dict[str, Any], depth: int) -> dict[str, Any]:
        return {name: self.decode(node, depth + 1) for name, node in content.items()}

    def _items(self, content: Any, depth: int) -> dict[Any, Any]:
        if type(content) is not list:
            raise FileError("a dictionary has no list of keys and values.")
        pairs = [self.decode(pair, depth + 1) for pair in content]
        values = {key: value for key, value in pairs}
        if len(values) < len(pairs):
            raise FileError("a key of a dictionary is given twice.")
        return values

    def _array(self, place: Any) -> NDArray:
        if type(place) is not int or place < 0:
            raise FileError(f"it has no array {place!r:.20}.")
        return self.arrays[place]

    def _objects(self, content: Any, depth: int) -> NDArray:
        shape, nodes = content
        if prod(shape) != len(nodes):
            raise FileError(f"{len(nodes)} objects do not fill the shape {shape}.")
        values = np.empty(len(nodes), dtype=object)
        for i, node in enumerate(nodes):
            values[i] = self.decode(node, depth + 1)
        return values.reshape(shape)


def _build(cls: type, fields: dict[str, Any]) -> Any:
    if issubclass(cls, tuple):
        return cls(**fields)
    for name in fields:
        if not name.isidentifier() or name.startswith("__"):
            raise FileError(f"an attribute is called {name!r:.50}.")
    value = object.__new__(cls)
    if not isinstance(value, BaseEstimator):
        value.__dict__.update(fields)
        return value
    value.__setstate__(_parameters(cls, fields) | fields)
    if isinstance(value, HistGradientBoostingClassifier):
        check_boosting(value)
    if "_metadata_request" in fields:
        set_owner(value._metadata_request, value)
    return value


# Defaults of parameters that the version which wrote the file did not have.
def _parameters(cls: type, fields: dict[str, Any]) -> dict[str, Any]:
    defaults = {}
    for name, parameter in signature(cls).parameters.items():
        if name not in fields and parameter.kind is not Parameter.VAR_KEYWORD:
            if parameter.default is Parameter.empty:
                raise FileError(f"the {name} of a {cls.__name__} is missing.")
            defaults[name] = parameter.default
    return defaults
