"""Parquet files: their columns, and what our writer noted in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import __version__
from .._optional import import_optional
from ._arrow import value_type
from ._files import PathLike
from ._ftag_columns import (
    Layout,
    Names,
    as_list,
    check_columns,
    find_inputs,
    find_others,
    measured,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Where the schema holds our notes, and the version of what they mean.
KEY = b"sklearn_hepcal"
FORMAT = 1
# Constituents and features may have the same names, columns may not.
PREFIX = "constituent_"
BUFFER_BYTES = 2**20


# A column of numbers or text; `field` is that of records in lists.
class Column(NamedTuple):
    name: str
    field: str | None
    dtype: np.dtype


# One file: its number of jets, the columns by the names they are asked by, our notes
# and the index of pandas.
class Source(NamedTuple):
    path: Path
    n_rows: int
    per_jet: dict[str, Column]
    per_constituent: dict[str, Column]
    notes: dict[str, Any]
    index_columns: list[Any]


# Turn what pyarrow raises at broken files into one clear error.
@contextmanager
def readable(path: PathLike) -> Iterator[None]:
    pa = import_optional("pyarrow", "parquet")
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{path} cannot be read as parquet: it is truncated, corrupt or of another "
            f"format ({error})."
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    pq = import_optional("pyarrow.parquet", "parquet")
    with readable(path):
        # by default, all groups of rows are fetched before the first is used
        file = pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=BUFFER_BYTES,
            page_checksum_verification=True,
        )
    with file:
        yield file


# Return what goes into the schema besides the columns.
def make_notes(
    columns: Mapping[str, Sequence[str]], metadata: Mapping[str, Any] | None
) -> dict[bytes, bytes]:
    notes = {
        "format": FORMAT,
        "version": __version__,
        **{part: list(names) for part, names in columns.items()},
        "metadata": dict(metadata or {}),
    }
    try:
        return {KEY: json.dumps(notes).encode()}
    except TypeError as error:
        raise TypeError(
            f"metadata must hold what JSON can: text, numbers, lists ({error})."
        ) from error


# Return our notes, which files of others do not have.
def read_notes(schema: pa.Schema, path: Path) -> dict[str, Any]:
    written = (schema.metadata or {}).get(KEY)
    if written is None:
        return {}
    try:
        notes = json.loads(written)
    except ValueError as error:
        raise ValueError(f"{path} is corrupt: its metadata are no JSON.") from error
    if notes["format"] > FORMAT:
        raise ValueError(
            f"{path} was written by sklearn_hepcal {notes['version']}, in a format "
            f"that {__version__} cannot read; update the package."
        )
    return notes


def inspect_file(path: Path) -> Source:
    with opened(path) as file:
        schema, n_rows = file.schema_arrow, file.metadata.num_rows
    notes = read_notes(schema, path)
    per_jet, per_constituent = _sort_columns(schema)
    if notes:
        per_constituent = {
            name.removeprefix(PREFIX): column
            for name, column in per_constituent.items()
        }
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return Source(path, n_rows, per_jet, per_constituent, notes, index)


# Tell columns of jets from lists, which are columns of constituents.
def _sort_columns(schema: pa.Schema) -> tuple[dict[str, Column], dict[str, Column]]:
    types = import_optional("pyarrow.types", "parquet")
    per_jet = {}
    lists = []
    for column in schema:
        if not (types.is_list(column.type) or types.is_large_list(column.type)):
            per_jet[column.name] = Column(column.name, None, value_type(column.type))
            continue
        inner = column.type.value_type
        if types.is_struct(inner):
            lists += [Column(column.name, f.name, value_type(f.type)) for f in inner]
        else:
            lists.append(Column(column.name, None, value_type(inner)))
    return per_jet, _name_lists(lists)


# Fields of records go by their own names, where only one column has them.
def _name_lists(lists: list[Column]) -> dict[str, Column]:
    used = Counter(column.field or column.name for column in lists)
    named = {}
    for column in lists:
        name = column.field or column.name
        if column.field and used[name] > 1:
            name = f"{column.name}.{column.field}"
        named[name] = column
    return named


# Find the columns to read, from the names asked for or those the file suggests.
def choose_columns(source: Source, asked: Sequence[Names]) -> Layout:
    features, labels, constituents, constituent_labels = map(as_list, asked)
    inputs, others = _choose(source, features, labels, ("features", "labels"))
    parts, rest = _choose(
        source,
        constituents,
        constituent_labels,
        ("constituents", "constituent_labels"),
    )
    return Layout(inputs, others, parts, rest)


def _choose(
    source: Source,
    names: list[str] | None,
    labels: list[str] | None,
    arguments: tuple[str, str],
) -> tuple[dict[str, str], dict[str, str]]:
    known, where = _known(source, arguments[0])
    held = {name: dtype for name, dtype in known.items() if dtype.kind != "O"}
    noted = source.notes.get(arguments[0], measured(held))
    usual = [
        name for name in noted if name in held and name not in source.index_columns
    ]
    inputs = find_inputs(names, known, usual, arguments, where)
    offered = held if labels is None else known
    # other features become labels, other constituents are left unread
    unread = usual if arguments[0] == "constituents" else []
    others = find_others(labels, offered, unread, inputs, arguments[1], where)
    return inputs, others


# Return the types of the columns of jets or of constituents, and what to call them.
def _known(source: Source, argument: str) -> tuple[dict[str, np.dtype], str]:
    if argument in ("features", "labels"):
        columns, where = source.per_jet, str(source.path)
    else:
        columns = source.per_constituent
        where = f"{source.path} (columns of lists)"
    return {name: column.dtype for name, column in columns.items()}, where


# Check that a file has the chosen columns, of types that can be read.
def check_source(source: Source, layout: Layout) -> None:
    for argument, chosen in layout._asdict().items():
        known, where = _known(source, argument)
        for column in chosen.values():
            if column in known and known[column].kind == "O":
                raise ValueError(
                    f"{argument}: {column!r} of {source.path} holds nested lists or "
                    "other values that are neither numbers nor text."
                )
        inputs = argument in ("features", "constituents")
        check_columns(chosen, known, argument, where, inputs)
