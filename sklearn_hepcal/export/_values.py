"""Values that are neither plain numbers and text nor objects with attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils._metadata_requests import SIMPLE_METHODS, MetadataRequest

from ._container import is_storable, read_dtype
from ._trees import HalfBinomialLoss, TreePredictor, build_tree, tree_parts

# Functions that a FunctionTransformer may have.
_FUNCTIONS = (
    *("cbrt", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "sqrt"),
    *("square", "arcsinh", "sinh", "arctanh", "tanh"),
)
_GENERATORS = {"PCG64": np.random.PCG64, "PCG64DXSM": np.random.PCG64DXSM}
# The bit generator of RandomState, and the words of its state.
_MERSENNE_TWISTER, _N_WORDS = "MT19937", 624


class Codec(NamedTuple):
    """How a file holds values of a type.

    Attributes
    ----------
    kind : type
        The type; values of derived ones are not meant.
    parts : callable
        Takes a value to lists, dictionaries, numbers, text and arrays. A TypeError
        says why it cannot be stored.
    build : callable
        Makes the value of these again. Any error says that there is no such value.
    """

    kind: type
    parts: Callable[[Any], Any]
    build: Callable[[Any], Any]


def _dtype_name(dtype: np.dtype) -> str:
    if dtype != np.dtype(object) and not is_storable(dtype):
        raise TypeError(f"the type {dtype}")
    return dtype.str


def _dtype(name: Any) -> np.dtype:
    return np.dtype(object) if name == "|O" else read_dtype(name)


def _function_name(function: np.ufunc) -> str:
    name = function.__name__
    if name not in _FUNCTIONS or getattr(np, name) is not function:
        raise TypeError(f"the function {name}")
    return name


def _function(name: Any) -> np.ufunc:
    return getattr(np, _FUNCTIONS[_FUNCTIONS.index(name)])


def _random_state_parts(state: np.random.RandomState) -> dict[str, Any]:
    parts: Any = state.get_state(legacy=False)
    if parts["bit_generator"] != _MERSENNE_TWISTER:
        raise TypeError(f"a RandomState of {parts['bit_generator']}")
    return {
        "key": parts["state"]["key"],
        "position": int(parts["state"]["pos"]),
        "has_gauss": int(parts["has_gauss"]),
        "gauss": float(parts["gauss"]),
    }


def _random_state(parts: Any) -> np.random.RandomState:
    key, position = parts["key"], parts["position"]
    # numpy reads where the position says, without a look.
    if key.dtype != np.uint32 or key.shape != (_N_WORDS,):
        raise ValueError("a RandomState of other than 624 words")
    if type(position) is not int or not 0 <= position <= _N_WORDS:
        raise ValueError(f"a RandomState at position {position!r:.20}")
    # Of the first word only one bit counts. Zeros follow zeros, for ever: a search
    # for a point in a circle among them has no end.
    if not (key[0] >> 31 or key[1:].any()):
        raise ValueError("a RandomState of zeros")
    state = np.random.RandomState()
    state.set_state(
        (_MERSENNE_TWISTER, key, position, parts["has_gauss"], parts["gauss"])
    )
    return state


def _generator_parts(generator: np.random.Generator) -> dict[str, Any]:
    parts: Any = generator.bit_generator.state
    if parts["bit_generator"] not in _GENERATORS:
        raise TypeError(f"a Generator of {parts['bit_generator']}")
    return parts


def _generator(parts: Any) -> np.random.Generator:
    if parts["state"]["inc"] % 2 != 1:
        raise ValueError("a Generator with an even increment")
    bit_generator: Any = _GENERATORS[parts["bit_generator"]](0)
    bit_generator.state = parts
    return np.random.Generator(bit_generator)


def _frame_parts(frame: pd.DataFrame) -> dict[str, Any]:
    # pandas has several types for columns of text, which change with its version.
    if not all(isinstance(t, np.dtype) and is_storable(t) for t in frame.dtypes):
        raise TypeError("a DataFrame with columns that are no numbers")
    return {
        "columns": list(frame.columns),
        "index": frame.index.to_numpy(),
        "values": [frame.iloc[:, i].to_numpy() for i in range(frame.shape[1])],
    }


def _frame(parts: Any) -> pd.DataFrame:
    values = dict(enumerate(parts["values"]))
    frame = pd.DataFrame(values, index=pd.Index(parts["index"]))
    frame.columns = pd.Index(parts["columns"])
    return frame


def _request_parts(request: MetadataRequest) -> dict[str, Any]:
    parts = {name: dict(getattr(request, name).requests) for name in SIMPLE_METHODS}
    return {name: requests for name, requests in parts.items() if requests}


def _request(parts: Any) -> MetadataRequest:
    request = MetadataRequest(owner=None)
    for method, requests in parts.items():
        chosen = getattr(request, SIMPLE_METHODS[SIMPLE_METHODS.index(method)])
        for name, alias in requests.items():
            chosen.add_request(param=name, alias=alias)
    return request


def _slice(parts: Any) -> slice:
    start, stop, step = parts
    return slice(start, stop, step)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("text that is none")
    return value


def set_owner(request: MetadataRequest, owner: Any) -> None:
    """Tell requests of metadata whose they are, which messages name.

    Parameters
    ----------
    request : MetadataRequest
        The requests of an estimator.
    owner : object
        The estimator.
    """
    for part in (request, *(getattr(request, name) for name in SIMPLE_METHODS)):
        part.owner = owner


# By their names in files.
CODECS = {
    "tuple": Codec(tuple, list, tuple),
    "text": Codec(np.str_, str, lambda text: np.str_(_text(text))),
    "slice": Codec(slice, lambda s: [s.start, s.stop, s.step], _slice),
    "function": Codec(np.ufunc, _function_name, _function),
    "RandomState": Codec(np.random.RandomState, _random_state_parts, _random_state),
    "Generator": Codec(np.random.Generator, _generator_parts, _generator),
    "DataFrame": Codec(pd.DataFrame, _frame_parts, _frame),
    "TreePredictor": Codec(TreePredictor, tree_parts, build_tree),
    # Its compiled parts are the same for all.
    "HalfBinomialLoss": Codec(
        HalfBinomialLoss, lambda loss: None, lambda parts: HalfBinomialLoss()
    ),
    "MetadataRequest": Codec(MetadataRequest, _request_parts, _request),
    # Types of numbers are of classes of their own, which find_codec knows.
    "dtype": Codec(np.dtype, _dtype_name, _dtype),
}
_BY_KIND = {codec.kind: name for name, codec in CODECS.items()}


def find_codec(kind: type) -> str | None:
    """Find the name in files of values of a type.

    Parameters
    ----------
    kind : type
        The type.

    Returns
    -------
    str or None
        The name; None if there is no codec.
    """
    return _BY_KIND.get(np.dtype if issubclass(kind, np.dtype) else kind)
