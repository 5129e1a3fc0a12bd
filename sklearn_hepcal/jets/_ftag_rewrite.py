"""Copies of files of ATLAS's flavour tagging in which some columns differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._optional import import_optional
from ._chunks import CHUNK_SIZE
from ._ftag_file import open_table, readable
from ._ftag_h5_write import COMPRESSION, blocks, write_rows

# Given some rows and where they stand, it returns columns of them.
Change = Callable[[NDArray[np.void], slice], Mapping[str, NDArray]]


# Copy a file; columns of the table of jets are changed, or added if their types are
# given.
def rewrite_table(
    source: Path,
    target: Path,
    jets_group: str,
    types: Mapping[str, np.dtype],
    change: Change,
    chunk_size: int = CHUNK_SIZE,
    verbose: int = 0,
) -> None:
    h5py = import_optional("h5py", "hdf5")
    with readable(source):
        original = h5py.File(source, "r")
    with original, h5py.File(target, "x") as copy:
        old = open_table(original, jets_group, 1, source)
        _copy_except(original, copy, old.name)
        new = _create_alike(copy, old, types)
        for rows in blocks(len(old), verbose, chunk_size):
            with readable(source):
                kept = old[rows]
            values = {name: kept[name] for name in old.dtype.names}
            write_rows(new, {**values, **change(kept, rows)}, rows)


# Copy all of a group but one dataset; compressed data are copied as they are.
def _copy_except(source: Any, target: Any, skip: str) -> None:
    h5py = import_optional("h5py", "hdf5")
    _copy_attributes(source, target)
    for name in source:
        link = source.get(name, getlink=True)
        place = f"{source.name.rstrip('/')}/{name}"
        if isinstance(link, (h5py.SoftLink, h5py.ExternalLink)):
            target[name] = link
        elif skip.startswith(f"{place}/"):
            _copy_except(source[name], target.create_group(name), skip)
        elif skip != place:
            with readable(source.file.filename):
                source.copy(name, target, name)


def _copy_attributes(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value


# Create a table as another one, with some columns more or of another type.
def _create_alike(file: Any, old: Any, columns: Mapping[str, np.dtype]) -> Any:
    types = {name: old.dtype[name] for name in old.dtype.names} | dict(columns)
    storage: dict[str, Any] = COMPRESSION
    # the storage of virtual and external tables is that of other files
    if not (old.is_virtual or old.external):
        storage = {"dcpl": old.id.get_create_plist(), "chunks": old.chunks}
    new = file.create_dataset(
        old.name,
        shape=old.shape,
        maxshape=old.maxshape,
        dtype=np.dtype(list(types.items())),
        **storage,
    )
    _copy_attributes(old, new)
    return new
