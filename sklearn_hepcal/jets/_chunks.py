"""What all readers in chunks share: ranges of jets over several files, selections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._jets import Jets

Selection = Callable[[Jets], NDArray[np.bool_]]

# Files are read so many jets at a time: tens of megabytes with their padding.
CHUNK_SIZE = 10_000


# A file, or a part of one, whose number of rows, jets or events, is known.
class _Counted(Protocol):
    @property
    def n_rows(self) -> int: ...


_Source = TypeVar("_Source", bound=_Counted)


# Check the arguments that say how to read.
def check_chunks(chunk_size: int, selection: Selection | None) -> None:
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}.")
    if selection is not None and not callable(selection):
        raise TypeError(
            "selection must be a function of jets that returns a boolean array, "
            f"got {type(selection).__name__}."
        )


# Return the ranges of rows to read, source by source; an empty one if there are none.
def find_ranges(
    sources: Sequence[_Source], start: int | None, stop: int | None
) -> list[tuple[_Source, int, int]]:
    n_rows = sum(source.n_rows for source in sources)
    low, high, _ = slice(start, stop).indices(n_rows)
    ranges = list(_clip(sources, low, high))
    return ranges or [(sources[0], 0, 0)]


def _clip(
    sources: Sequence[_Source], low: int, high: int
) -> Iterator[tuple[_Source, int, int]]:
    for source in sources:
        first, last = max(low, 0), min(high, source.n_rows)
        if first < last:
            yield source, first, last
        low, high = low - source.n_rows, high - source.n_rows


# Stack columns into a table of the least type that holds them, float32 at least.
def stack_columns(columns: Sequence[NDArray], n_rows: int) -> NDArray[np.floating]:
    dtype = np.result_type(np.float32, *(column.dtype for column in columns))
    table = np.empty((n_rows, len(columns)), dtype=dtype)
    for i, column in enumerate(columns):
        table[:, i] = column
    return table


# Return the jets to keep.
def select(jets: Jets, selection: Selection | None) -> Jets:
    if selection is None:
        return jets
    keep = np.asarray(selection(jets))
    if keep.dtype != np.bool_ or keep.shape != jets.shape:
        raise ValueError(
            f"selection must return a boolean array of shape {jets.shape}, got "
            f"dtype {keep.dtype} and shape {keep.shape}."
        )
    return jets[keep]
