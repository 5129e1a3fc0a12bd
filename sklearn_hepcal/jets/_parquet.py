"""Jets from parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._optional import import_optional
from ._arrow import refuse_nulls, to_numpy
from ._chunks import (
    CHUNK_SIZE,
    Selection,
    check_chunks,
    find_ranges,
    select,
    stack_columns,
)
from ._files import PathLike, find_files
from ._ftag_columns import Layout, Names
from ._jets import Jets
from ._parquet_file import (
    Source,
    check_source,
    choose_columns,
    inspect_file,
    opened,
    readable,
)
from ._ragged import counts_to_offsets

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(
    path: PathLike | Iterable[PathLike],
    *,
    features: Names = None,
    constituents: Names = None,
    labels: Names = None,
    constituent_labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    selection: Selection | None = None,
    verbose: int = 0,
) -> Jets:
    """Read jets from parquet files.

    Columns of numbers, times or text hold one value a jet; columns of lists, or of
    lists of records, one value a constituent. Files of `write_parquet` give the same
    jets again. In other files, such as those of awkward or pandas, columns are told by
    their names: the truth never becomes an input by itself.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern such as ``"ttbar_*.parquet"`` (files in alphabetical order)
        or several of them. The jets of all files follow one another.
    features : iterable of str, default=None
        Columns that are inputs: what `write_parquet` noted in the file, or else all
        columns of numbers whose names do not tell truth, weights, numbers of events or
        outputs of taggers.
    constituents : iterable of str, default=None
        Columns of lists that are inputs, chosen likewise.
    labels : iterable of str, default=None
        Columns that are labels; by default all that are no features.
    constituent_labels : iterable of str, default=None
        Columns of lists that are labels; by default all that would not be constituents
        by default.
    start, stop : int, default=None
        The range of jets to read, as in a slice, counted over all files and before
        the selection.
    selection : callable, default=None
        Given some jets, it returns a boolean array of shape (n_jets,), True for those
        to keep: ``lambda jets: jets.feature("pt") > 20``.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Jets
        The jets, in the units of the file. Inputs are float32, or float64 if one of
        their columns needs it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If pyarrow is not installed.
    ValueError
        If a file is truncated, corrupt or of another format, a column is missing, of
        nested lists or has missing values that are no numbers, lists of one jet differ
        in their lengths, or the truth is asked for as an input.

    See Also
    --------
    iterate_parquet : Read files larger than memory.
    write_parquet : Write such a file.

    Notes
    -----
    Columns keep the name they are asked by; ``event``, ``flavour``, ``origin`` and
    ``vertex`` also find columns under ATLAS's names, see `read_ftag_h5`. Fields of
    records in lists go by their own names, or by ``column.field`` where several
    columns have such a field. With several files, the first one decides what columns
    are read by default; columns of other types than the above are then left out.

    Missing values (nulls) of numbers become NaN, those of times NaT. Lists of fixed
    size are labels of several dimensions.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from sklearn_hepcal.jets import read_parquet
    >>> table = pd.DataFrame(
    ...     {"pt": [50.0, 80.0], "flavour": [5, 0], "d0": [[0.02, 0.3], [-0.01]]}
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table.to_parquet(Path(folder, "jets.parquet"))
    ...     read_parquet(Path(folder, "jets.parquet"))
    Jets(n=2, features=['pt'], constituents=1.5 per jet ['d0'], labels=['flavour'])
    """
    chunks = iterate_parquet(
        path,
        features=features,
        constituents=constituents,
        labels=labels,
        constituent_labels=constituent_labels,
        start=start,
        stop=stop,
        selection=selection,
        verbose=verbose,
    )
    return Jets.concatenate(chunks)


def iterate_parquet(
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
    verbose: int = 0,
) -> Iterator[Jets]:
    """Read parquet files in chunks of jets.

    The columns of all files are checked at once; their contents are read one chunk at
    a time, so that memory is bounded by the size of a chunk and of a group of rows of
    the file. The chunks together are what `read_parquet` returns.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern or several of them.
    chunk_size : int, default=10_000
        The largest number of jets to read at a time.
    features, constituents, labels, constituent_labels : iterable of str, default=None
        The columns to read, see `read_parquet`.
    start, stop : int, default=None
        The range of jets to read, counted over all files.
    selection : callable, default=None
        Given the jets of a chunk, it returns a boolean array, True for those to keep.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    iterator of Jets
        The jets, at least one chunk: it is empty where there are no jets to read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If pyarrow is not installed.
    TypeError
        If `selection` cannot be called.
    ValueError
        If `read_parquet` would refuse a file or an argument.

    See Also
    --------
    read_parquet : Read everything at once.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import Jets, iterate_parquet, write_parquet
    >>> jets = Jets([[50.0], [80.0], [30.0]], feature_names=["pt"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "jets.parquet")
    ...     write_parquet(file, jets)
    ...     for chunk in iterate_parquet(file, chunk_size=2):
    ...         print(chunk.feature("pt"))
    [50. 80.]
    [30.]
    """
    check_chunks(chunk_size, selection)
    sources = [inspect_file(file) for file in find_files(path)]
    layout = choose_columns(
        sources[0], (features, labels, constituents, constituent_labels)
    )
    for source in sources:
        check_source(source, layout)
    ranges = find_ranges(sources, start, stop)
    return _stream(ranges, chunk_size, layout, selection, verbose)


def read_parquet_metadata(path: PathLike) -> dict[str, Any]:
    """Return the metadata that `write_parquet` noted in a file.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict
        The metadata; empty if there are none, or if another package wrote the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If pyarrow is not installed.
    ValueError
        If the file is truncated, corrupt or of another format.

    See Also
    --------
    write_parquet : Write a file and its metadata.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import Jets, read_parquet_metadata, write_parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "jets.parquet")
    ...     write_parquet(file, Jets([[1.0]]), metadata={"process": "ttbar"})
    ...     read_parquet_metadata(file)
    {'process': 'ttbar'}
    """
    return inspect_file(Path(path).expanduser()).notes.get("metadata", {})


def _stream(
    ranges: list[tuple[Source, int, int]],
    chunk_size: int,
    layout: Layout,
    selection: Selection | None,
    verbose: int,
) -> Iterator[Jets]:
    total = sum(high - low for _, low, high in ranges)
    with tqdm(total=total, unit="jet", disable=not verbose) as bar:
        for source, low, high in ranges:
            bar.set_postfix_str(source.path.name)
            for rows in _read_rows(source, layout, low, high, chunk_size):
                bar.update(rows.num_rows)
                yield select(_to_jets(rows, source, layout), selection)


# Read a range of rows in batches; an empty range is one batch.
def _read_rows(
    source: Source, layout: Layout, low: int, high: int, chunk_size: int
) -> Iterator[pa.RecordBatch]:
    pa = import_optional("pyarrow", "parquet")
    lists = {*layout.constituents.values(), *layout.constituent_labels.values()}
    names = {source.per_constituent[key].name for key in lists}
    columns = [*layout.features.values(), *layout.labels.values(), *names]
    with opened(source.path) as file, readable(source.path):
        if low == high:
            yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)
        groups, position = _find_groups(file.metadata, low, high)
        for batch in file.iter_batches(chunk_size, row_groups=groups, columns=columns):
            first, last = max(low - position, 0), min(high - position, len(batch))
            position += len(batch)
            if first < last:
                yield batch.slice(first, last - first)


# Return the groups of rows that hold a range, and where the first of them begins.
def _find_groups(file: Any, low: int, high: int) -> tuple[list[int], int]:
    sizes = [file.row_group(i).num_rows for i in range(file.num_row_groups)]
    starts = counts_to_offsets(sizes)
    held = np.flatnonzero((starts[:-1] < high) & (starts[1:] > low))
    return held.tolist(), int(starts[held[0]]) if held.size else 0


def _to_jets(rows: pa.RecordBatch, source: Source, layout: Layout) -> Jets:
    features, labels = (
        {
            name: to_numpy(rows.column(column), f"{column!r} of {source.path}")
            for name, column in chosen.items()
        }
        for chosen in (layout.features, layout.labels)
    )
    constituents, constituent_labels = (
        {name: _read_lists(rows, source, key) for name, key in chosen.items()}
        for chosen in (layout.constituents, layout.constituent_labels)
    )
    offsets = _common_offsets(constituents | constituent_labels, len(rows), source.path)
    return Jets(
        features=stack_columns([*features.values()], len(rows)),
        feature_names=list(features),
        labels=labels,
        constituents=stack_columns([*_values(constituents).values()], offsets[-1]),
        constituent_names=list(constituents),
        constituent_labels=_values(constituent_labels),
        offsets=offsets,
    )


# Return the lengths of the lists of a column, and their values.
def _read_lists(
    rows: pa.RecordBatch, source: Source, key: str
) -> tuple[NDArray[np.int64], NDArray]:
    column = source.per_constituent[key]
    where = f"{key!r} of {source.path}"
    lists = rows.column(column.name)
    refuse_nulls(lists, where)
    values = lists.flatten()
    if column.field is not None:
        refuse_nulls(values, where)
        values = values.flatten()[values.type.get_field_index(column.field)]
    counts = lists.value_lengths().to_numpy(zero_copy_only=False)
    return counts, to_numpy(values, where)


def _values(lists: Mapping[str, tuple[NDArray, NDArray]]) -> dict[str, NDArray]:
    return {name: values for name, (_, values) in lists.items()}


# Return where the jets begin, of whose lists all must have the same length.
def _common_offsets(
    lists: Mapping[str, tuple[NDArray, NDArray]], n_jets: int, path: Path
) -> NDArray[np.int64]:
    counts = {name: lengths for name, (lengths, _) in lists.items()}
    first = next(iter(counts), "")
    common = counts.get(first, np.zeros(n_jets))
    for name in counts:
        odd = np.flatnonzero(counts[name] != common)
        if odd.size:
            raise ValueError(
                f"{path}: the lists {first!r} and {name!r} differ in length, first "
                f"{common[odd[0]]} and {counts[name][odd[0]]}; ask for the columns of "
                "one collection."
            )
    return counts_to_offsets(common)
