"""Copies of files in which a calibration has moved some columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._optional import import_optional
from ..jets import _ftag_file, _parquet_file
from ..jets._arrow import to_numpy, value_type
from ..jets._files import replacing
from ..jets._ftag_columns import Layout, find_columns, to_gev
from ..jets._ftag_rewrite import rewrite_table
from ..jets._parquet_write import STORAGE
from ._calibration import Calibration

if TYPE_CHECKING:
    import pyarrow as pa

_JETS = "jets"


def rewrite_parquet(
    source: Path,
    target: Path,
    calibration: Calibration,
    chunk_size: int,
    verbose: int,
) -> None:
    pq = import_optional("pyarrow.parquet", "parquet")
    with _parquet_file.opened(source) as file:
        schema = file.schema_arrow
        types = {column.name: value_type(column.type) for column in schema}
        columns = _find(calibration, types, source)
        batches = _read_batches(file, source, chunk_size)
        with (
            replacing(target) as part,
            pq.ParquetWriter(part, schema, **STORAGE) as writer,
            tqdm(total=file.metadata.num_rows, unit="jet", disable=not verbose) as bar,
        ):
            for batch in batches:
                writer.write_batch(_move_batch(batch, calibration, columns, source))
                bar.update(len(batch))


def _read_batches(file: Any, path: Path, chunk_size: int) -> Iterator[pa.RecordBatch]:
    with _parquet_file.readable(path):
        yield from file.iter_batches(chunk_size)


def _move_batch(
    batch: pa.RecordBatch,
    calibration: Calibration,
    columns: Mapping[str, str],
    path: Path,
) -> pa.RecordBatch:
    pa = import_optional("pyarrow", "parquet")
    values = {
        column: to_numpy(batch.column(column), f"{column!r} of {path}")
        for column in columns.values()
    }
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    for column, moved in _move(calibration, columns, values).items():
        stored = moved.astype(values[column].dtype)
        arrays[column] = pa.array(stored, batch.schema.field(column).type)
    return pa.RecordBatch.from_arrays([*arrays.values()], schema=batch.schema)


def rewrite_ftag_h5(
    source: Path,
    target: Path,
    calibration: Calibration,
    chunk_size: int,
    verbose: int,
) -> None:
    with _ftag_file.opened(source, (_JETS, None)) as (jets, _):
        columns = _find(calibration, _ftag_file.column_types(jets), source)
    layout = Layout({}, columns, {}, {})
    unit = _ftag_file.inspect_file(source, (_JETS, None), layout, "auto").unit
    scales = {
        column: to_gev(np.ones(1), column) if unit == "MeV" else 1.0
        for column in columns.values()
    }

    def change(rows: NDArray[np.void], _: slice) -> dict[str, NDArray]:
        values = {name: rows[name].astype(float) * scales[name] for name in scales}
        moved = _move(calibration, columns, values)
        return {column: moved[column] / scales[column] for column in moved}

    with replacing(target) as part:
        rewrite_table(source, part, _JETS, {}, change, chunk_size, verbose)


# Return the columns of a file that the calibration knows by its names.
def _find(
    calibration: Calibration, types: Mapping[str, np.dtype], path: Path
) -> dict[str, str]:
    columns = find_columns(calibration.names, types, "columns", str(path))
    for name, column in columns.items():
        kind, kinds = (
            ("floating", "f") if name in calibration.columns else ("real", "biuf")
        )
        if types[column].kind not in kinds or types[column].subdtype is not None:
            raise ValueError(
                f"{path}: {column!r} must hold {kind} numbers, got {types[column]}."
            )
    return columns


def _move(
    calibration: Calibration, columns: Mapping[str, str], values: Mapping[str, NDArray]
) -> dict[str, NDArray[np.float64]]:
    table = pd.DataFrame(
        {name: values[column].astype(float) for name, column in columns.items()}
    )
    if table.empty:
        return {}
    moved = calibration.move(table)
    return {columns[name]: moved[name].to_numpy() for name in calibration.columns}
