"""Jets from the HDF5 files of ATLAS's flavour tagging."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._optional import import_optional
from ._chunks import (
    CHUNK_SIZE,
    Selection,
    check_chunks,
    find_ranges,
    select,
    stack_columns,
)
from ._files import PathLike, find_files
from ._ftag_columns import Layout, Names, to_gev
from ._ftag_file import (
    Source,
    Unit,
    choose_columns,
    inspect_file,
    opened,
    readable,
)
from ._jets import Jets
from ._ragged import counts_to_offsets


def read_ftag_h5(
    path: PathLike | Iterable[PathLike],
    *,
    features: Names = None,
    constituents: Names = None,
    labels: Names = None,
    constituent_labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    selection: Selection | None = None,
    unit: Unit = "auto",
    jets_group: str = "jets",
    tracks_group: str | None = "tracks",
    verbose: int = 0,
) -> Jets:
    """Read jets and tracks from HDF5 files of ATLAS's flavour tagging.

    Such a file holds a table ``jets`` of named columns, one row a jet, and a table
    ``tracks`` of shape (n_jets, n_places), whose column ``valid`` tells tracks from
    padding. Only valid tracks are read, in their order. The truth never becomes an
    input: it is read into labels.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern such as ``"ttbar_*.h5"`` (files in alphabetical order) or
        several of them. The jets of all files follow one another.
    features : iterable of str, default=None
        Columns of jets that are inputs: what `write_ftag_h5` noted in the file, or
        else ``("pt", "eta")``.
    constituents : iterable of str, default=None
        Columns of tracks that are inputs: what `write_ftag_h5` noted in the file, or
        else all columns of numbers whose names do not tell truth, vertices, weights
        or outputs of taggers.
    labels : iterable of str, default=None
        Columns of jets that are labels; by default all that are no features.
    constituent_labels : iterable of str, default=None
        Columns of tracks that are labels; by default all that would not be
        constituents by default.
    start, stop : int, default=None
        The range of jets to read, as in a slice, counted over all files and before
        the selection.
    selection : callable, default=None
        Given some jets, it returns a boolean array of shape (n_jets,), True for those
        to keep: ``lambda jets: jets.feature("pt") > 20``.
    unit : {"auto", "GeV", "MeV"}, default="auto"
        The unit of the file. Columns in MeV whose names say pt, p, mass, energy or
        similar are divided by 1000, qOverP is multiplied by it, others are kept.
        "auto" takes each file's attribute ``unit``, or that of its jets; without one,
        a file is in MeV if the median pt of its first 10,000 jets is above 2000.
    jets_group : str, default="jets"
        The table of jets.
    tracks_group : str or None, default="tracks"
        The table of constituents; None reads jets alone.
    verbose : int, default=0
        1 shows a progress bar, with the unit of each file.

    Returns
    -------
    Jets
        Jets in GeV. Inputs are float32, or float64 if one of their columns needs it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is not installed.
    ValueError
        If a file is truncated, corrupt or of another format, a table or column is
        missing, tables differ in their lengths, the unit cannot be told, or the truth
        is asked for as an input.

    See Also
    --------
    iterate_ftag_h5 : Read files larger than memory.
    write_ftag_h5 : Write such a file.

    Notes
    -----
    Columns keep the name they are asked by. These names find columns under the names
    of several releases: ``pt`` (or ``pt_btagJes``), ``eta`` (``eta_btagJes``),
    ``abs_eta`` (``absEta_btagJes``), ``mass``, ``energy``, ``event``
    (``eventNumber``), ``flavour`` (``HadronConeExclTruthLabelID``: 0 light, 4 c, 5 b,
    15 tau), ``origin`` (``ftagTruthOriginLabel``, ``truthOriginLabel``,
    ``trackOrigin``) and ``vertex`` (``ftagTruthVertexIndex``, ``truthVertexIndex``,
    ``vertexIndex``). With several files, the first one decides what columns are read
    by default.

    A column counts as truth if its name says truth, label, hadron, parton, boson,
    flavour, PDG ID, barcode, origin or vertex index, or begins with mc or isJvt.

    Half precision becomes float32; text becomes str, but byte strings of fixed length
    are kept. Files compressed by lz4 or zstd need ``import hdf5plugin`` first.

    References
    ----------
    ATLAS, "Training dataset dumper", https://training-dataset-dumper.docs.cern.ch

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import Jets, read_ftag_h5, write_ftag_h5
    >>> jets = Jets(
    ...     features=[[50.0, 0.3], [80.0, -1.2]],
    ...     constituents=[[0.02, 1.5], [0.3, 12.0], [-0.01, -0.4]],
    ...     offsets=[0, 2, 3],
    ...     feature_names=["pt", "eta"],
    ...     constituent_names=["d0", "signed_d0_significance"],
    ...     labels={"HadronConeExclTruthLabelID": [5, 0]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "jets.h5")
    ...     write_ftag_h5(file, jets)
    ...     again = read_ftag_h5(file, constituents=["d0"], labels=["flavour"])
    >>> again
    Jets(n=2, features=['pt', 'eta'], constituents=1.5 per jet ['d0'], \
labels=['flavour'])
    """
    chunks = iterate_ftag_h5(
        path,
        features=features,
        constituents=constituents,
        labels=labels,
        constituent_labels=constituent_labels,
        start=start,
        stop=stop,
        selection=selection,
        unit=unit,
        jets_group=jets_group,
        tracks_group=tracks_group,
        verbose=verbose,
    )
    return Jets.concatenate(chunks)


def iterate_ftag_h5(
    path: PathLike | Iterable[PathLike],
    *,
    chunk_size: int = CHUNK_SIZE,
    features: Names = None,
    constituents: Names = None,
    labels: Names = None,
    constituent_labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    selection: Selection | None = None,
    unit: Unit = "auto",
    jets_group: str = "jets",
    tracks_group: str | None = "tracks",
    verbose: int = 0,
) -> Iterator[Jets]:
    """Read HDF5 files of ATLAS's flavour tagging in chunks of jets.

    The layout of all files is checked at once; their contents are read one chunk at a
    time, so that memory is bounded by the size of a chunk. The chunks together are
    what `read_ftag_h5` returns.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern or several of them.
    chunk_size : int, default=10_000
        The number of jets to read at a time. Chunks are shorter at the end of a file
        and by the selection.
    features, constituents, labels, constituent_labels : iterable of str, default=None
        The columns to read, see `read_ftag_h5`.
    start, stop : int, default=None
        The range of jets to read, counted over all files.
    selection : callable, default=None
        Given the jets of a chunk, it returns a boolean array, True for those to keep.
    unit : {"auto", "GeV", "MeV"}, default="auto"
        The unit of the file, see `read_ftag_h5`.
    jets_group : str, default="jets"
        The table of jets.
    tracks_group : str or None, default="tracks"
        The table of constituents; None reads jets alone.
    verbose : int, default=0
        1 shows a progress bar, with the unit of each file.

    Returns
    -------
    iterator of Jets
        Jets in GeV, at least one chunk: it is empty where there are no jets to read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is not installed.
    TypeError
        If `selection` cannot be called.
    ValueError
        If `read_ftag_h5` would refuse a file or an argument.

    See Also
    --------
    read_ftag_h5 : Read everything at once.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import Jets, iterate_ftag_h5, write_ftag_h5
    >>> jets = Jets([[50.0], [80.0], [30.0]], feature_names=["pt"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "jets.h5")
    ...     write_ftag_h5(file, jets)
    ...     for chunk in iterate_ftag_h5(file, chunk_size=2, tracks_group=None):
    ...         print(chunk.feature("pt"))
    [50. 80.]
    [30.]
    """
    check_chunks(chunk_size, selection)
    if unit not in ("auto", "GeV", "MeV"):
        raise ValueError(f"unit must be 'auto', 'GeV' or 'MeV', got {unit!r}.")
    groups = (jets_group, tracks_group)
    asked = (features, labels, constituents, constituent_labels)
    files = find_files(path)
    with opened(files[0], groups) as (jets, tracks):
        layout = choose_columns(jets, tracks, asked, files[0])
    sources = [inspect_file(file, groups, layout, unit) for file in files]
    spans = list(_spans(find_ranges(sources, start, stop), chunk_size))
    return _stream(spans, groups, layout, selection, verbose)


# Cut ranges of rows into chunks.
def _spans(
    ranges: list[tuple[Source, int, int]], chunk_size: int
) -> Iterator[tuple[Source, int, int]]:
    for source, low, high in ranges:
        # an empty range is one chunk
        for first in range(low, max(high, low + 1), chunk_size):
            yield source, first, min(first + chunk_size, high)


def _stream(
    spans: list[tuple[Source, int, int]],
    groups: tuple[str, str | None],
    layout: Layout,
    selection: Selection | None,
    verbose: int,
) -> Iterator[Jets]:
    total = sum(high - low for _, low, high in spans)
    with tqdm(total=total, unit="jet", disable=not verbose) as bar:
        for source, low, high in spans:
            # no file stays open while its jets are used
            with opened(source.path, groups) as (jets, tracks):
                chunk = _read_rows(jets, tracks, slice(low, high), layout, source.unit)
            bar.set_postfix_str(f"{source.path.name} in {source.unit}")
            bar.update(high - low)
            yield select(chunk, selection)


def _read_rows(jets: Any, tracks: Any, rows: slice, layout: Layout, unit: str) -> Jets:
    n_jets = rows.stop - rows.start
    columns = {*layout.features.values(), *layout.labels.values()}
    per_jet = _split(jets, _read(jets, columns, rows), columns)
    parts: dict[str, Any] = {}
    if tracks is not None:
        columns = {*layout.constituents.values(), *layout.constituent_labels.values()}
        padded = _read(tracks, {"valid", *columns}, rows)
        filled = padded["valid"].astype(bool)
        flat = _split(tracks, padded[filled], columns)
        parts = {
            "constituents": _stack(flat, layout.constituents, filled.sum(), unit),
            "constituent_names": list(layout.constituents),
            "constituent_labels": _labels(flat, layout.constituent_labels, unit),
            "offsets": counts_to_offsets(filled.sum(axis=1)),
        }
    return Jets(
        features=_stack(per_jet, layout.features, n_jets, unit),
        feature_names=list(layout.features),
        labels=_labels(per_jet, layout.labels, unit),
        **parts,
    )


# Read some columns as a structured array.
def _read(table: Any, columns: set[str], rows: slice) -> NDArray[np.void]:
    if not columns:
        return np.empty(rows.stop - rows.start, dtype=[])
    with readable(table.file.filename):
        return table.fields(sorted(columns))[rows]


# Return one array a column.
def _split(
    table: Any, values: NDArray[np.void], columns: set[str]
) -> dict[str, NDArray]:
    return {name: _decode(values[name], table.dtype[name]) for name in columns}


# Turn text into str, except for byte strings of fixed length.
def _decode(values: NDArray, dtype: np.dtype) -> NDArray:
    h5py = import_optional("h5py", "hdf5")
    text = h5py.check_string_dtype(dtype)
    if text is None or (text.encoding == "ascii" and text.length is not None):
        # a view would keep all columns in memory
        return values.copy()
    if text.length is None:
        words = [value.decode(text.encoding) for value in values.ravel()]
        return np.array(words, dtype=np.str_).reshape(values.shape)
    return np.char.decode(values, text.encoding)


def _stack(
    columns: Mapping[str, NDArray], chosen: dict[str, str], n_rows: int, unit: str
) -> NDArray[np.floating]:
    inputs = [_convert(columns[column], column, unit) for column in chosen.values()]
    return stack_columns(inputs, n_rows)


def _labels(
    columns: Mapping[str, NDArray], chosen: dict[str, str], unit: str
) -> dict[str, NDArray]:
    return {
        name: _convert(columns[column], column, unit) for name, column in chosen.items()
    }


def _convert(values: NDArray, column: str, unit: str) -> NDArray:
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    return to_gev(values, column) if unit == "MeV" else values
