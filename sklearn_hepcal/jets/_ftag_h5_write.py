"""Jets into HDF5 files of ATLAS's flavour tagging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._optional import import_optional
from ._chunks import CHUNK_SIZE
from ._files import PathLike, replacing
from ._jets import Jets
from ._parts import named_columns
from ._ragged import position_in_jet

# The places for tracks in files of ATLAS.
N_PLACES = 40
COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def write_ftag_h5(
    path: PathLike,
    jets: Jets,
    *,
    max_constituents: int | None = None,
    overwrite: bool = False,
    jets_group: str = "jets",
    tracks_group: str = "tracks",
    verbose: int = 0,
) -> None:
    """Write jets to an HDF5 file in the layout of ATLAS's flavour tagging.

    Features and labels become the columns of a table ``jets``, constituents and their
    labels those of a padded table ``tracks``, in which the column ``valid`` tells
    tracks from padding. `read_ftag_h5` returns the same jets.

    Parameters
    ----------
    path : str or path-like
        The file to write. It appears when it is complete.
    jets : Jets
        The jets, in GeV. Without constituent columns there is no table of tracks.
    max_constituents : int, default=None
        The number of places a jet. Longer jets keep their leading constituents in the
        stored order. By default 40, or more if a jet has more.
    overwrite : bool, default=False
        Whether a file of this name is replaced.
    jets_group : str, default="jets"
        The name of the table of jets.
    tracks_group : str, default="tracks"
        The name of the table of constituents.
    verbose : int, default=0
        1 shows a progress bar.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    ImportError
        If h5py is not installed.
    TypeError
        If `jets` are no `Jets`.
    ValueError
        If a label has the name of a column, or values that HDF5 cannot hold, there is
        neither a feature nor a label, or `max_constituents` is not positive.

    See Also
    --------
    read_ftag_h5 : Read such a file.
    write_ftag_scores : Add the scores of a tagger to such a file.

    Notes
    -----
    Types are kept: float32, float64, integers, bool, text and bytes. Padding is NaN in
    floats, -1 in signed integers (as for the truth labels of ATLAS) and 0, False or
    empty in others. Tables are compressed by gzip. The attribute ``unit`` of the file
    is "GeV"; the attributes ``features`` of the jets and ``constituents`` of the
    tracks name the columns that are inputs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import Jets, read_ftag_h5, write_ftag_h5
    >>> jets = Jets(
    ...     features=[[50.0], [80.0]],
    ...     constituents=[[30.0, 0.3], [20.0, 0.2], [30.0, 2.0]],
    ...     offsets=[0, 2, 3],
    ...     feature_names=["pt"],
    ...     constituent_names=["pt", "d0"],
    ...     labels={"HadronConeExclTruthLabelID": [5, 0]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ftag_h5(Path(folder, "jets.h5"), jets)
    ...     read_ftag_h5(Path(folder, "jets.h5")) == jets
    True
    """
    if not isinstance(jets, Jets):
        raise TypeError(f"jets must be Jets, got {type(jets).__name__}.")
    target = Path(path).expanduser().resolve()
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True replaces it.")
    if max_constituents is None:
        max_constituents = max(N_PLACES, int(jets.counts.max(initial=0)))
    elif max_constituents < 1:
        raise ValueError(
            f"max_constituents must be at least 1, got {max_constituents}."
        )
    per_jet = _storable(jets.features, jets.feature_names, jets.labels)
    per_track = _storable(
        jets.constituents, jets.constituent_names, jets.constituent_labels
    )
    if not per_jet:
        raise ValueError(
            "HDF5 has no empty tables: give at least one feature or label."
        )
    if "valid" in per_track:
        raise ValueError("A column of constituents is named 'valid'; rename it.")
    h5py = import_optional("h5py", "hdf5")
    with replacing(target) as part, h5py.File(part, "x") as file:
        file.attrs["unit"] = "GeV"
        tables = [_create(file, jets_group, _fields(per_jet), (len(jets),))]
        _note(tables[0], "features", jets.feature_names)
        if per_track:
            fields = [("valid", np.dtype(bool)), *_fields(per_track)]
            shape = (len(jets), max_constituents)
            tables.append(_create(file, tracks_group, fields, shape))
            _note(tables[1], "constituents", jets.constituent_names)
        for rows in blocks(len(jets), verbose):
            values = {name: column[rows] for name, column in per_jet.items()}
            write_rows(tables[0], values, rows)
            if per_track:
                _write_padded(tables[1], per_track, jets.offsets, rows)


# Return the columns of a table and its labels as arrays that HDF5 can hold.
def _storable(
    table: NDArray, names: tuple[str, ...], labels: Mapping[str, NDArray]
) -> dict[str, NDArray]:
    columns = named_columns(table, names, labels)
    return {name: _encode(name, values) for name, values in columns.items()}


def _encode(name: str, values: NDArray) -> NDArray:
    if values.dtype.kind == "O" and all(isinstance(v, str) for v in values.flat):
        values = values.astype(np.str_)
    if values.dtype.kind == "U":
        h5py = import_optional("h5py", "hdf5")
        encoded = np.char.encode(values, "utf-8")
        text = h5py.string_dtype("utf-8", max(encoded.dtype.itemsize, 1))
        return encoded.astype(text)
    if values.dtype.kind not in "biufcS":
        raise ValueError(
            f"Label {name!r} of type {values.dtype} cannot be stored; give numbers or "
            "text."
        )
    return values


def _fields(columns: dict[str, NDArray]) -> list[tuple[str, Any, tuple[int, ...]]]:
    return [(name, array.dtype, array.shape[1:]) for name, array in columns.items()]


def _create(file: Any, name: str, fields: list[Any], shape: tuple[int, ...]) -> Any:
    chunks = (2000,) if len(shape) == 1 else (500, *shape[1:])
    return file.create_dataset(
        name,
        shape=shape,
        maxshape=(None, *shape[1:]),
        chunks=chunks,
        dtype=np.dtype(fields),
        **COMPRESSION,
    )


# Note which columns are inputs, for the reader.
def _note(table: Any, argument: str, names: tuple[str, ...]) -> None:
    h5py = import_optional("h5py", "hdf5")
    table.attrs[argument] = np.array(names, dtype=h5py.string_dtype())


def blocks(n_rows: int, verbose: int, chunk_size: int = CHUNK_SIZE) -> Iterator[slice]:
    with tqdm(total=n_rows, unit="jet", disable=not verbose) as bar:
        for first in range(0, n_rows, chunk_size):
            rows = slice(first, min(first + chunk_size, n_rows))
            yield rows
            bar.update(rows.stop - first)


def write_rows(table: Any, columns: Mapping[str, NDArray], rows: slice) -> None:
    block = np.empty(rows.stop - rows.start, dtype=table.dtype)
    for name, values in columns.items():
        block[name] = values
    table[rows] = block


def _write_padded(
    table: Any, columns: dict[str, NDArray], offsets: NDArray[np.int64], rows: slice
) -> None:
    ends = offsets[rows.start : rows.stop + 1]
    width = table.shape[1]
    places = np.arange(ends[0], ends[-1])
    kept = places[position_in_jet(ends - ends[0]) < width]
    filled = np.arange(width) < np.diff(ends)[:, np.newaxis]
    block = np.empty(filled.shape, dtype=table.dtype)
    block["valid"] = filled
    for name, values in columns.items():
        block[name] = _padding(values.dtype)
        block[name][filled] = values[kept]
    table[rows] = block


def _padding(dtype: np.dtype) -> Any:
    if dtype.kind in "fc":
        return np.nan
    return -1 if dtype.kind == "i" else np.zeros((), dtype=dtype)
