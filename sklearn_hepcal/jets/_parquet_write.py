"""Jets into parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._optional import import_optional
from ._arrow import to_arrow
from ._files import PathLike, replacing
from ._jets import Jets
from ._parquet_file import PREFIX, make_notes
from ._parts import named_columns

if TYPE_CHECKING:
    import pyarrow as pa

# Files are read one group of rows at a time.
MAX_GROUP = 50_000
STORAGE = {"compression": "zstd", "write_page_checksum": True}


def write_parquet(
    path: PathLike,
    jets: Jets | Iterable[Jets],
    *,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write jets to a parquet file.

    Features and labels become columns of their names, constituents and their labels
    columns of lists, whose names begin with ``constituent_``: any reader of parquet
    can use the file. `read_parquet` returns the same jets.

    Parameters
    ----------
    path : str or path-like
        The file to write. It appears when it is complete.
    jets : Jets or iterable of Jets
        The jets, in GeV. Of an iterable, one chunk after the other is written, and
        none is kept in memory.
    metadata : mapping, default=None
        What to note in the file, for `read_parquet_metadata`: anything that JSON can
        hold.
    overwrite : bool, default=False
        Whether a file of this name is replaced.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    ImportError
        If pyarrow is not installed.
    TypeError
        If `jets` are no `Jets`, or `metadata` cannot be stored.
    ValueError
        If a label has the name of a column or values that parquet cannot hold, there
        is no column or no chunk, or chunks differ in their columns or types.

    See Also
    --------
    read_parquet : Read such a file.

    Notes
    -----
    Types are kept: floats, integers, bool, text, bytes and times. Labels of several
    dimensions become lists of fixed size. The schema notes, under ``sklearn_hepcal``
    and in JSON, the columns that are features, labels, constituents and constituent
    labels, the metadata, and the versions of this format and of the package.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import Jets, read_parquet, write_parquet
    >>> jets = Jets(
    ...     features=[[50.0], [80.0]],
    ...     constituents=[[30.0, 0.3], [20.0, 0.2], [30.0, 2.0]],
    ...     offsets=[0, 2, 3],
    ...     feature_names=["pt"],
    ...     constituent_names=["pt", "d0"],
    ...     labels={"flavour": [5, 0]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(Path(folder, "jets.parquet"), jets)
    ...     read_parquet(Path(folder, "jets.parquet")) == jets
    True
    """
    target = Path(path).expanduser().resolve()
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True replaces it.")
    pq = import_optional("pyarrow.parquet", "parquet")
    chunks = iter([jets] if isinstance(jets, Jets) else jets)
    first = next(chunks, None)
    if first is None:
        raise ValueError("jets must hold at least one chunk, got an empty iterable.")
    schema = _to_table(first, metadata).schema
    with (
        replacing(target) as part,
        pq.ParquetWriter(part, schema, **STORAGE) as writer,
    ):
        for chunk in chain([first], chunks):
            table = _to_table(chunk, metadata)
            _require_same_columns(schema, table.schema)
            writer.write_table(table, row_group_size=MAX_GROUP)


def _to_table(jets: Jets, metadata: Mapping[str, Any] | None) -> pa.Table:
    if not isinstance(jets, Jets):
        raise TypeError(f"jets must be Jets, got {type(jets).__name__}.")
    pa = import_optional("pyarrow", "parquet")
    per_jet = named_columns(jets.features, jets.feature_names, jets.labels)
    columns = {name: to_arrow(values, name) for name, values in per_jet.items()}
    lists = named_columns(
        jets.constituents, jets.constituent_names, jets.constituent_labels
    )
    if not per_jet and not lists:
        raise ValueError("jets have no column: give at least one feature or label.")
    if len(jets.constituents) and not lists:
        raise ValueError("Constituents have no column; name what there is of them.")
    for name, values in lists.items():
        if PREFIX + name in columns:
            raise ValueError(
                f"{PREFIX + name!r} is a feature or label and the column of the "
                f"constituents' {name!r}; rename one."
            )
        columns[PREFIX + name] = pa.LargeListArray.from_arrays(
            jets.offsets, to_arrow(values, name)
        )
    notes = make_notes(
        {
            "features": jets.feature_names,
            "labels": list(jets.labels),
            "constituents": jets.constituent_names,
            "constituent_labels": list(jets.constituent_labels),
        },
        metadata,
    )
    return pa.table(columns, metadata=notes)


def _require_same_columns(first: pa.Schema, other: pa.Schema) -> None:
    if other.equals(first, check_metadata=True):
        return
    ours, theirs = (
        [f"{f.name}: {f.type}" for f in schema] for schema in (first, other)
    )
    raise ValueError(
        "All chunks must have the same columns, in the same order and of the same "
        f"types; the first has {ours}, another {theirs}."
    )
