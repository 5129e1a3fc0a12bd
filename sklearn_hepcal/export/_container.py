"""The format of files of estimators: two lines of text, a line of JSON, and arrays.

The first line names the format, the second is the SHA-256 of all others. The JSON holds
the layout of the arrays, whose bytes follow it one after the other: nothing in a file
can ask for more memory than a multiple of its own size.
"""

from __future__ import annotations

import hashlib
import json
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# The number goes up when files change in a way that older versions cannot read.
FORMAT = 1
FIRST_LINE = b"sklearn_hepcal estimator, format "
_DIGEST_SIZE = 64
# Bytes by item of the kinds of numpy; text ("U") has four a character.
_ITEM_SIZES = {
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8),
    "c": (8, 16),
}
_LAST_CHARACTER = 0x10FFFF


class FileError(ValueError):
    """A file is no estimator that this version can load.

    It is truncated, was changed, holds what must not be loaded, or was written by a
    later version.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal import export
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "calibration.hepcal")
    ...     _ = file.write_text("no estimator")
    ...     try:
    ...         export.load(file)
    ...     except export.FileError as error:
    ...         print(str(error).removeprefix(f"{file}: "))
    not written by sklearn_hepcal.export.save.
    """


def pack(header: dict[str, Any], arrays: list[NDArray]) -> bytes:
    """Write a file.

    Parameters
    ----------
    header : dict
        What JSON can hold; "arrays" is added to it.
    arrays : list of arrays
        Of types that `is_storable` allows.

    Returns
    -------
    bytes
        The content of the file; the same for the same input.
    """
    layout, data = [], []
    for array in arrays:
        columns_first = array.flags.f_contiguous and array.ndim > 1
        order: Literal["F", "C"] = "F" if columns_first else "C"
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        layout.append([little.dtype.str, list(array.shape), order])
        data.append(little.tobytes(order))
    text = json.dumps(
        {**header, "arrays": layout}, allow_nan=False, separators=(",", ":")
    )
    return seal(text.encode("ascii"), b"".join(data))


def seal(text: bytes, data: bytes) -> bytes:
    """Put the first two lines before JSON and arrays.

    Parameters
    ----------
    text : bytes
        The JSON, in one line.
    data : bytes
        The arrays.

    Returns
    -------
    bytes
        The content of the file.
    """
    first, body = FIRST_LINE + b"%d\n" % FORMAT, b"\n".join([text, data])
    digest = hashlib.sha256(first + body).hexdigest()
    return b"\n".join([first + digest.encode("ascii"), body])


def unpack(content: bytes) -> tuple[dict[str, Any], list[NDArray]]:
    """Read a file.

    Parameters
    ----------
    content : bytes
        The content of the file.

    Returns
    -------
    header : dict
        What was given to `pack`.
    arrays : list of arrays
        The arrays, which own their memory, in the byte order of the machine.

    Raises
    ------
    FileError
        If it is not what `pack` returned.
    """
    text, data = _unseal(content)
    try:
        header = json.loads(
            text.decode("ascii"),
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise FileError("its content is nested too deeply.") from None
    except UnicodeDecodeError:
        raise FileError("its second part is no text.") from None
    except json.JSONDecodeError as error:
        raise FileError(f"its second part is no JSON: {error}.") from None
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise FileError("it does not say what arrays it holds.")
    arrays, start = [], 0
    for place in header["arrays"]:
        arrays.append(_read_array(place, data, start))
        start += arrays[-1].nbytes
    if start != len(data):
        raise FileError(f"it has {len(data)} bytes of arrays where {start} are named.")
    return header, arrays


def is_storable(dtype: np.dtype) -> bool:
    """Tell whether arrays of a type can be in a file: numbers and text.

    Parameters
    ----------
    dtype : dtype
        The type.

    Returns
    -------
    bool
        Whether they can. Types whose size depends on the machine cannot.
    """
    if dtype.kind == "U":
        return dtype.itemsize > 0
    return dtype.itemsize in _ITEM_SIZES.get(dtype.kind, ())


def read_dtype(name: Any) -> np.dtype:
    """Find a type by what numpy calls its ``str``.

    Parameters
    ----------
    name : str
        Such as "<f8".

    Returns
    -------
    dtype
        The type.

    Raises
    ------
    FileError
        If there is none, or none that can be stored.
    """
    # numpy reads much more than this, such as lists of fields.
    if isinstance(name, str) and name[1:2] in (*_ITEM_SIZES, "U") and len(name) < 10:
        try:
            dtype = np.dtype(name)
        except (TypeError, ValueError):
            dtype = np.dtype(object)
        if is_storable(dtype) and dtype.str == name:
            return dtype
    raise FileError(f"an array has the unknown type {name!r:.50}.")


# Return JSON and arrays of a file that is as it was written.
def _unseal(content: bytes) -> tuple[bytes, memoryview]:
    start = content.find(b"\n") + 1
    first = content[:start]
    if not first.startswith(FIRST_LINE):
        raise FileError("not written by sklearn_hepcal.export.save.")
    if first != FIRST_LINE + b"%d\n" % FORMAT:
        number = first[len(FIRST_LINE) : -1].decode("ascii", "replace")
        raise FileError(
            f"it has the format {number!r:.20}, and this version of sklearn_hepcal "
            f"reads {FORMAT}: a later one is needed."
        )
    digest, stop = content[start : start + _DIGEST_SIZE], start + _DIGEST_SIZE + 1
    body = memoryview(content)[stop:]
    expected = hashlib.sha256(first)
    expected.update(body)
    sealed = expected.hexdigest().encode("ascii")
    if digest != sealed or content[stop - 1 : stop] != b"\n":
        raise FileError("truncated or changed: its checksum is wrong.")
    end = content.find(b"\n", stop)
    if end < 0:
        raise FileError("it holds no arrays.")
    return content[stop:end], memoryview(content)[end + 1 :]


def _read_array(place: Any, data: memoryview, start: int) -> NDArray:
    if not isinstance(place, list) or len(place) != 3 or not isinstance(place[1], list):
        raise FileError("an array has no type and shape.")
    dtype, shape, order = read_dtype(place[0]), place[1], place[2]
    if order not in ("C", "F") or not all(type(n) is int and n >= 0 for n in shape):
        raise FileError(f"an array has the shape {shape!r:.50} in order {order!r:.10}.")
    count = prod(shape)
    if count * dtype.itemsize > len(data) - start:
        raise FileError(f"an array of shape {shape!r:.50} is larger than the file.")
    flat = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
    if dtype.kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise FileError("an array of booleans holds other bytes.")
    if dtype.kind == "U" and _characters(flat).max(initial=0) > _LAST_CHARACTER:
        raise FileError("an array of text holds other bytes.")
    try:
        shaped = flat.reshape(shape, order=order)
    except ValueError as error:
        raise FileError(f"an array of shape {shape!r:.50}: {error}.") from None
    return shaped.astype(dtype.newbyteorder("="), order=order, copy=True)


def _characters(text: NDArray) -> NDArray:
    return text.view(text.dtype.byteorder.replace("|", "=") + "u4")


def _refuse_constant(name: str) -> None:
    raise FileError(f"it holds {name}, which is no JSON.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise FileError("a name in it is given twice.")
    return content
