"""From estimators to what a file holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._allowed import find_name
from ._container import is_storable
from ._values import CODECS, find_codec

# Objects in objects. What is deeper, such as a list that holds itself, is a mistake.
MAX_DEPTH = 60
_PLAIN = (type(None), bool, int, str)


class Encoder:
    """Turns values into JSON and a list of arrays.

    Numbers, text, None and lists stand for themselves. Anything else is an object of
    JSON with one name, that of its type.

    Attributes
    ----------
    arrays : list of arrays
        What the JSON refers to by position; an array that is held twice is here once.
    """

    def __init__(self) -> None:
        self.arrays: list[NDArray] = []
        # The values are kept, as numbers of objects that are gone are given again.
        self._places: dict[int, tuple[NDArray, int]] = {}

    def encode(self, value: Any, path: str, depth: int = 0) -> Any:
        """Describe a value.

        Parameters
        ----------
        value : object
            The value.
        path : str
            Where it is, for messages.
        depth : int, default=0
            How many objects it is in.

        Returns
        -------
        object
            What JSON can hold.

        Raises
        ------
        TypeError
            If it cannot be stored.
        """
        kind = type(value)
        if depth > MAX_DEPTH:
            raise _refusal(f"{path[:80]}...", "an object in itself, or too many others")
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is list:
            return self._list(value, path, depth)
        if kind is dict:
            return self._dict(value, path, depth)
        if isinstance(value, np.ndarray):
            return self._array(value, path, depth)
        codec = find_codec(kind)
        if codec is not None:
            return {codec: self._parts(codec, value, path, depth)}
        if isinstance(value, np.generic):
            return {"scalar": self._place(np.asarray(value), path)}
        return self._object(value, path, depth)

    def _list(self, values: list[Any], path: str, depth: int) -> list[Any]:
        return [
            self.encode(value, f"{path}[{i}]", depth + 1)
            for i, value in enumerate(values)
        ]

    def _dict(self, values: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
        if all(type(key) is str for key in values):
            return {
                "dict": {
                    key: self.encode(value, f"{path}[{key!r}]", depth + 1)
                    for key, value in values.items()
                }
            }
        pairs = [list(pair) for pair in values.items()]
        return {"items": self._list(pairs, path, depth)}

    def _array(self, array: NDArray, path: str, depth: int) -> dict[str, Any]:
        if type(array) not in (np.ndarray, np.memmap):
            raise _refusal(path, _describe(array))
        if array.dtype == object:
            values = self._list(array.ravel().tolist(), path, depth)
            return {"objects": [list(array.shape), values]}
        return {"array": self._place(array, path)}

    def _place(self, array: NDArray, path: str) -> int:
        if not is_storable(array.dtype):
            raise _refusal(path, f"an array of the type {array.dtype}")
        if id(array) not in self._places:
            self._places[id(array)] = array, len(self.arrays)
            self.arrays.append(array)
        return self._places[id(array)][1]

    def _parts(self, codec: str, value: Any, path: str, depth: int) -> Any:
        try:
            parts = CODECS[codec].parts(value)
        except TypeError as error:
            raise _refusal(path, str(error)) from None
        return self.encode(parts, path, depth + 1)

    def _object(self, value: Any, path: str, depth: int) -> dict[str, Any]:
        name = find_name(type(value))
        if name is None:
            raise _refusal(path, _describe(value))
        named = hasattr(value, "_asdict")
        fields = value._asdict() if named else value.__getstate__()
        return {
            name: {
                key: self.encode(field, f"{path}.{key}", depth + 1)
                for key, field in (fields or {}).items()
            }
        }


def _refusal(path: str, what: str) -> TypeError:
    return TypeError(f"{path} cannot be stored: it is {what}.")


def _describe(value: Any) -> str:
    kind = type(value)
    called = getattr(value, "__qualname__", None)
    if called is not None:
        return f"the {kind.__name__} {called}"
    return f"a {kind.__module__}.{kind.__qualname__}"
