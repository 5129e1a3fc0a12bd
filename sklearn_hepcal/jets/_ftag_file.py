"""Files of ATLAS's flavour tagging: their tables, columns and unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from .._optional import import_optional
from ._chunks import CHUNK_SIZE
from ._files import PathLike, suggest
from ._ftag_columns import (
    ALIASES,
    Layout,
    Names,
    as_list,
    check_columns,
    find_inputs,
    find_others,
    measured,
)

Unit = Literal["auto", "GeV", "MeV"]

# Above this median pt of the jets, files that do not tell their unit are in MeV.
MEV_FROM = 2000.0


# One file, after its layout was found to be as expected.
class Source(NamedTuple):
    path: Path
    n_rows: int
    unit: str


# Turn what h5py raises at broken files into one clear error.
@contextmanager
def readable(path: PathLike) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as HDF5: it is truncated, corrupt or of another "
            f"format, or needs `import hdf5plugin` to decompress ({error})."
        ) from error


# Open the tables of jets and of tracks, and check that they fit together.
@contextmanager
def opened(path: Path, groups: tuple[str, str | None]) -> Iterator[tuple[Any, Any]]:
    h5py = import_optional("h5py", "hdf5")
    with readable(path):
        file = h5py.File(path, "r")
    with file:
        jets = open_table(file, groups[0], 1, path)
        tracks = None
        if groups[1] is not None:
            tracks = open_table(file, groups[1], 2, path)
            if len(tracks) != len(jets):
                raise ValueError(
                    f"{path} is inconsistent: {groups[0]!r} has {len(jets)} rows and "
                    f"{groups[1]!r} has {len(tracks)}."
                )
            if "valid" not in tracks.dtype.names:
                raise ValueError(
                    f"{path}: {groups[1]!r} has no column 'valid', which tells "
                    "constituents from padding."
                )
        yield jets, tracks


# Return a dataset of named columns.
def open_table(file: Any, name: str, ndim: int, path: Path) -> Any:
    h5py = import_optional("h5py", "hdf5")
    with readable(path):
        if name not in file:
            hint = "; tracks_group=None reads jets alone" if ndim == 2 else ""
            raise ValueError(f"{path} has no {name!r}: {suggest(name, file)}{hint}.")
        table = file[name]
    if not isinstance(table, h5py.Dataset) or table.dtype.names is None:
        raise ValueError(f"{path}: {name!r} is not a dataset of named columns.")
    if table.ndim != ndim:
        raise ValueError(
            f"{path}: {name!r} must have {ndim} dimension(s), got shape {table.shape}."
        )
    return table


# Find the columns to read, from the names asked for or those the file suggests.
def choose_columns(
    jets: Any, tracks: Any, asked: Sequence[Names], path: Path
) -> Layout:
    features, labels, constituents, constituent_labels = map(as_list, asked)
    usual = _noted(jets, "features", ["pt", "eta"])
    arguments = ("features", "labels")
    known, where = column_types(jets), place(jets, path)
    inputs = find_inputs(features, known, usual, arguments, where)
    others = find_others(labels, known, [], inputs, arguments[1], where)
    if tracks is None:
        if constituents or constituent_labels:
            raise ValueError("Constituents are asked for, but tracks_group is None.")
        return Layout(inputs, others, {}, {})
    usual = _noted(tracks, "constituents", measured(column_types(tracks)))
    arguments = ("constituents", "constituent_labels")
    known, where = column_types(tracks), place(tracks, path)
    parts = find_inputs(constituents, known, usual, arguments, where)
    rest = find_others(constituent_labels, known, usual, parts, arguments[1], where)
    return Layout(inputs, others, parts, rest)


# Return the inputs that the writer noted, if it was ours.
def _noted(table: Any, argument: str, otherwise: list[str]) -> list[str]:
    with readable(table.file.filename):
        return list(table.attrs[argument]) if argument in table.attrs else otherwise


def place(table: Any, path: Path) -> str:
    return f"{table.name[1:]!r} of {path}"


# Return the types of the columns; `valid` is none of them.
def column_types(table: Any) -> dict[str, np.dtype]:
    return {name: table.dtype[name] for name in table.dtype.names if name != "valid"}


# Check one file, and find its unit.
def inspect_file(
    path: Path, groups: tuple[str, str | None], layout: Layout, unit: Unit
) -> Source:
    with opened(path, groups) as (jets, tracks):
        for argument, chosen in layout._asdict().items():
            table = jets if argument in ("features", "labels") else tracks
            if table is not None:
                inputs = argument in ("features", "constituents")
                where = place(table, path)
                check_columns(chosen, column_types(table), argument, where, inputs)
        known = _find_unit(jets, path) if unit == "auto" else unit
        return Source(path, len(jets), known)


def _find_unit(jets: Any, path: Path) -> str:
    with readable(path):
        noted = [a["unit"] for a in (jets.attrs, jets.file.attrs) if "unit" in a]
    if noted:
        unit = noted[0].decode() if isinstance(noted[0], bytes) else noted[0]
        if unit not in ("GeV", "MeV"):
            raise ValueError(
                f"{path} gives its unit as {unit!r}; choose unit='GeV' or 'MeV'."
            )
        return unit
    if not len(jets):
        return "GeV"
    known = [name for name in ALIASES["pt"] if name in jets.dtype.names]
    if known:
        with readable(path):
            pt = jets.fields(known[0])[:CHUNK_SIZE].astype(np.float64)
        pt = pt[np.isfinite(pt)]
        if pt.size:
            return "MeV" if np.median(pt) > MEV_FROM else "GeV"
    raise ValueError(
        f"{path} does not tell its unit, neither by an attribute 'unit' nor by a "
        "finite pt; choose unit='GeV' or 'MeV'."
    )
