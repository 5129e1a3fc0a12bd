"""The arrays `Jets` is made of: each is checked once and kept as a read-only view."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

COORDINATES = ("pt", "eta", "phi")


# Name unnamed jet features x0, x1, ...
def default_feature_names(n_columns: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(n_columns))


# Name unnamed constituent columns pt, eta, phi, x3, x4, ...
def default_constituent_names(n_columns: int) -> tuple[str, ...]:
    extra = default_feature_names(n_columns)[len(COORDINATES) :]
    return COORDINATES[:n_columns] + extra


# Return a view that cannot be written through; the caller's array stays as is.
def read_only(array: NDArray) -> NDArray:
    view = array.view()
    view.setflags(write=False)
    return view


# NumPy forgets masks without a word when it makes an array of a masked one.
def mask_to_nan(values: Any) -> Any:
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values


# Convert to float64, or keep float32; masked values become NaN.
def as_float(values: ArrayLike, argument: str) -> NDArray[np.floating]:
    array = np.asarray(mask_to_nan(values))
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {argument} has dtype {array.dtype}; "
            "give its real and imaginary parts as two columns."
        )
    if array.dtype.kind not in "biufO":
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument} must hold real numbers: {error}") from error


# Return the column names of a data frame; None without names that are strings.
def column_names(values: object) -> tuple[str, ...] | None:
    columns = getattr(values, "columns", None)
    if columns is None or not all(isinstance(name, str) for name in columns):
        return None
    return tuple(map(str, columns))


# Check a 2-D table and the names of its columns.
def check_table(
    values: ArrayLike,
    names: Iterable[str] | None,
    default_names: Callable[[int], tuple[str, ...]],
    argument: str,
) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    table = as_float(values, argument)
    if table.ndim != 2:
        raise ValueError(
            f"{argument} must be a 2-D array (rows, columns), "
            f"got an array of shape {table.shape}."
        )
    n_columns = table.shape[1]
    if names is None:
        names = column_names(values) or default_names(n_columns)
    return read_only(table), _check_names(names, n_columns, argument)


def _check_names(
    names: Iterable[str], n_columns: int, argument: str
) -> tuple[str, ...]:
    if isinstance(names, str):
        raise TypeError(f"The names of {argument} must be a list, got {names!r}.")
    checked = tuple(names)
    if not all(isinstance(name, str) for name in checked):
        raise TypeError(f"The names of {argument} must be strings, got {checked}.")
    checked = tuple(map(str, checked))
    if len(checked) != n_columns:
        raise ValueError(
            f"{argument} has {n_columns} columns but {len(checked)} names: "
            f"{list(checked)}."
        )
    repeated = sorted({name for name in checked if checked.count(name) > 1})
    if repeated:
        raise ValueError(f"The names of {argument} must differ, got {repeated} twice.")
    return checked


# Check that the offsets cut a table of constituents into jets.
def check_offsets(offsets: ArrayLike, n_constituents: int) -> NDArray[np.int64]:
    array = np.asarray(offsets)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(
            "offsets must be a 1-D array of n_jets + 1 integers, "
            f"got shape {array.shape} and dtype {array.dtype}."
        )
    array = array.astype(np.int64, copy=False)
    if array[0] != 0 or array[-1] != n_constituents or np.any(array[1:] < array[:-1]):
        raise ValueError(
            "offsets must rise from 0 to the number of constituents "
            f"({n_constituents}) without a step back, got {array}."
        )
    return read_only(array)


# Check that every label is an array with one entry a row.
def check_labels(
    labels: Mapping[str, ArrayLike] | None, n_rows: int, argument: str
) -> dict[str, NDArray]:
    checked = {}
    for name, values in (labels or {}).items():
        array = np.asarray(values)
        if not isinstance(name, str):
            raise TypeError(f"The names of {argument} must be strings, got {name!r}.")
        if array.shape[:1] != (n_rows,):
            raise ValueError(
                f"{argument}[{name!r}] must have {n_rows} rows, "
                f"got an array of shape {array.shape}."
            )
        checked[str(name)] = read_only(array)
    return checked


# Return the positions of names among the known ones.
def find_names(
    names: Iterable[str], known: tuple[str, ...], argument: str
) -> list[int]:
    names = [names] if isinstance(names, str) else list(names)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"No {argument} named {missing}; there are {list(known)}.")
    return [known.index(name) for name in names]


# Gather the columns of a table and its labels under their names.
def named_columns(
    table: NDArray, names: tuple[str, ...], labels: Mapping[str, NDArray]
) -> dict[str, Any]:
    shared = sorted(set(names) & set(labels))
    if shared:
        raise ValueError(
            f"The labels {shared} have the names of columns; rename them first."
        )
    return {**dict(zip(names, table.T, strict=True)), **labels}


# Tell whether two arrays of any type agree, NaN being equal to NaN.
def same_values(a: NDArray, b: NDArray) -> bool:
    if a.shape != b.shape:
        return False
    return bool(np.all((a == b) | ((a != a) & (b != b))))
