"""Arrays of NumPy as arrays of Arrow, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .._optional import import_optional

if TYPE_CHECKING:
    import pyarrow as pa


# Return an Arrow array; further dimensions become lists of fixed size.
def to_arrow(values: NDArray, name: str) -> pa.Array:
    pa = import_optional("pyarrow", "parquet")
    if values.dtype.kind == "O" and all(isinstance(v, str) for v in values.flat):
        values = values.astype(np.str_)
    if values.dtype.kind not in "biufSUMm" or 0 in values.shape[1:]:
        raise _not_storable(values, name)
    native = values.dtype.newbyteorder("=")
    try:
        array = pa.array(np.ascontiguousarray(values, dtype=native).ravel())
    except pa.ArrowNotImplementedError as error:
        raise _not_storable(values, name) from error
    for size in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _not_storable(values: NDArray, name: str) -> ValueError:
    return ValueError(
        f"{name!r} of type {values.dtype} and shape {values.shape} cannot be stored; "
        "give numbers, times or text."
    )


# Return a NumPy array; lists of fixed size become further dimensions.
def to_numpy(array: pa.Array, where: str) -> NDArray:
    types = import_optional("pyarrow.types", "parquet")
    shape = [len(array)]
    while types.is_fixed_size_list(array.type):
        refuse_nulls(array, where)
        shape.append(array.type.list_size)
        array = array.flatten()
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return _flat_numpy(array, where).reshape(shape)


# Missing numbers become NaN, missing times NaT; other values must be there.
def _flat_numpy(array: pa.Array, where: str) -> NDArray:
    pa = import_optional("pyarrow", "parquet")
    kind = value_type(array.type).kind
    if kind not in "biufMm":
        refuse_nulls(array, where)
    if kind == "b" and array.null_count:
        array = array.cast(pa.uint8())
    values = array.to_numpy(zero_copy_only=False)
    return values.astype(kind) if kind in "SU" else values


def refuse_nulls(array: pa.Array, where: str) -> None:
    if array.null_count:
        raise ValueError(
            f"{where} has {array.null_count} missing values (nulls), which only "
            "columns of numbers may have."
        )


# Return the type of the values in NumPy; that of what NumPy cannot hold is object.
def value_type(arrow: pa.DataType) -> np.dtype:
    types = import_optional("pyarrow.types", "parquet")
    while types.is_fixed_size_list(arrow) or types.is_dictionary(arrow):
        arrow = arrow.value_type
    if str(arrow) in ("string", "large_string", "string_view"):
        return np.dtype(np.str_)
    if str(arrow).endswith("binary") or types.is_fixed_size_binary(arrow):
        return np.dtype(np.bytes_)
    try:
        return np.dtype(arrow.to_pandas_dtype())
    except (NotImplementedError, TypeError):
        return np.dtype(object)
