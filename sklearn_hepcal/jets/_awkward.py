"""Jets as an awkward array of records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._optional import import_optional
from ._parts import named_columns
from ._ragged import counts_to_offsets

if TYPE_CHECKING:
    import awkward

    from ._jets import Jets


# Return the arguments of Jets held by an awkward array.
def read_awkward(
    array: awkward.Array,
    constituent_names: Iterable[str] | None,
    labels: Iterable[str],
    constituent_labels: Iterable[str],
) -> dict[str, Any]:
    if array.fields:
        if constituent_names is not None:
            raise ValueError(
                "constituent_names is for arrays without fields; "
                f"the array has the fields {array.fields}."
            )
        return _read_records(array, list(labels), list(constituent_labels))
    if array.ndim == 3:
        return _read_numbers(array, constituent_names)
    raise ValueError(
        "array must have records of named fields or be n_jets * var * n_columns "
        f"numbers, got {array.type}."
    )


def _read_numbers(
    array: awkward.Array, constituent_names: Iterable[str] | None
) -> dict[str, Any]:
    ak = import_optional("awkward", "awkward")
    names = None if constituent_names is None else tuple(constituent_names)
    table = _to_numpy(ak.flatten(array, axis=1), "array")
    if names and not table.size:
        # lists without a single number do not tell how many columns they would have
        table = table.reshape(0, len(names))
    return {
        "constituents": table,
        "constituent_names": names,
        "offsets": counts_to_offsets(_to_numpy(ak.num(array, axis=1), "array")),
    }


def _read_records(
    array: awkward.Array, labels: list[str], constituent_labels: list[str]
) -> dict[str, Any]:
    per_jet, per_constituent = _sort_fields(array, labels)
    values = {name: _to_numpy(field, name) for name, field in per_jet.items()}
    parts: dict[str, Any] = {
        "labels": _pop(values, labels, "labels"),
        "features": _stack(values, len(array)),
        "feature_names": list(values),
    }
    values, offsets = _flatten(per_constituent, len(array))
    return parts | {
        "constituent_labels": _pop(values, constituent_labels, "constituent_labels"),
        "constituents": _stack(values, offsets[-1]),
        "constituent_names": list(values),
        "offsets": offsets,
    }


# Tell the fields of jets from those of constituents by their depth.
def _sort_fields(
    array: awkward.Array, labels: list[str]
) -> tuple[dict[str, awkward.Array], dict[str, awkward.Array]]:
    if array.ndim == 2:
        return {}, {name: array[name] for name in array.fields}
    per_jet: dict[str, awkward.Array] = {}
    per_constituent: dict[str, awkward.Array] = {}
    for name in array.fields:
        field = array[name]
        if field.fields and field.ndim == 2:
            nested = {inner: field[inner] for inner in field.fields}
        elif field.ndim == 2 and name not in labels:
            nested = {name: field}
        elif field.fields or (field.ndim > 2 and name not in labels):
            raise ValueError(
                f"Field {name!r} is {field.type}: a field must be one number a jet, or "
                "a list of numbers or of records of numbers a jet."
            )
        else:
            nested = {}
            per_jet[name] = field
        repeated = sorted(nested.keys() & per_constituent.keys())
        if repeated:
            raise ValueError(f"Constituents have several fields named {repeated}.")
        per_constituent |= nested
    return per_jet, per_constituent


# Flatten the fields of constituents, all of which must have the same counts.
def _flatten(
    fields: dict[str, awkward.Array], n_jets: int
) -> tuple[dict[str, NDArray], NDArray[np.int64]]:
    ak = import_optional("awkward", "awkward")
    counts = {
        name: _to_numpy(ak.num(field, axis=1), name) for name, field in fields.items()
    }
    common = next(iter(counts.values()), np.zeros(n_jets))
    odd = [name for name in counts if not np.array_equal(counts[name], common)]
    if odd:
        raise ValueError(
            f"Fields {next(iter(counts))!r} and {odd[0]!r} have different numbers of "
            "constituents; give the fields of one collection."
        )
    flat = {
        name: _to_numpy(ak.flatten(field, axis=1), name)
        for name, field in fields.items()
    }
    return flat, counts_to_offsets(common)


def _pop(values: dict[str, NDArray], names: list[str], argument: str) -> dict[str, Any]:
    missing = [name for name in names if name not in values]
    if missing:
        raise ValueError(f"{argument} {missing} are not among the fields {[*values]}.")
    return {name: values.pop(name) for name in names}


# Stack named columns into a table, which may have none.
def _stack(columns: dict[str, NDArray], n_rows: int) -> NDArray:
    return np.column_stack([*columns.values()]) if columns else np.empty((n_rows, 0))


def _to_numpy(array: awkward.Array, name: str) -> NDArray:
    ak = import_optional("awkward", "awkward")
    try:
        return ak.to_numpy(array, allow_missing=False)
    except ValueError as error:
        raise ValueError(
            f"{name!r} cannot be made a NumPy array: fill missing values "
            "(ak.fill_none), and give every constituent as many numbers as the others."
        ) from error


# Return one record a jet, with its constituents as a nested list of records.
def write_awkward(jets: Jets) -> awkward.Array:
    ak = import_optional("awkward", "awkward")
    fields = _fields(jets.features, jets.feature_names, jets.labels)
    nested = _fields(jets.constituents, jets.constituent_names, jets.constituent_labels)
    if nested:
        if "constituents" in fields:
            raise ValueError("A feature or label is named 'constituents'; rename it.")
        records = ak.zip(nested, depth_limit=1)
        fields["constituents"] = ak.unflatten(records, jets.counts)
    return ak.zip(fields, depth_limit=1)


# Arrow, and with it parquet, takes only arrays that are contiguous.
def _fields(
    table: NDArray, names: tuple[str, ...], labels: Mapping[str, NDArray]
) -> dict[str, Any]:
    columns = named_columns(table, names, labels)
    return {name: np.ascontiguousarray(values) for name, values in columns.items()}
