"""Rows of one sample, cut into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


class RowsDataset(Dataset):
    """Rows of one sample for `train`: every row once an epoch.

    Parameters
    ----------
    columns : dict of tensors of shape (n_rows, ...)
        What each row has one value of.
    ragged : dict of tensors of shape (n_constituents, ...) or None
        Flat tables of the constituents of the rows, row after row.
    counts : int64 tensor of shape (n_rows,) or None
        Number of constituents of each row, needed with `ragged`.

    Raises
    ------
    ValueError
        If there are no rows, if lengths do not fit together, or if names clash;
        "counts" is the name of the counts.
    """

    def __init__(
        self,
        columns: dict[str, Tensor],
        ragged: dict[str, Tensor] | None = None,
        counts: Tensor | None = None,
    ) -> None:
        if (ragged is None) != (counts is None):
            raise ValueError("ragged and counts must be given together.")
        # Before the ragged tables: the first entry of a batch has its length.
        self.columns = dict(columns)
        self.ragged = {} if ragged is None else dict(ragged)
        if counts is not None:
            _require_new_names({"counts": counts}, self.columns)
            self.columns["counts"] = counts
            self.starts = counts.cumsum(0) - counts
            _require_length(self.ragged, int(counts.sum()), "the counts add up to")
        _require_new_names(self.ragged, self.columns)
        if not any(len(column) for column in self.columns.values()):
            raise ValueError("columns must have at least one row.")
        _require_length(self.columns, len(self), "the first one has")

    @classmethod
    def from_numpy(
        cls,
        columns: dict[str, NDArray],
        ragged: dict[str, NDArray] | None = None,
        counts: NDArray | None = None,
        dtype: torch.dtype | None = None,
    ) -> RowsDataset:
        """Convert arrays.

        Parameters
        ----------
        columns : dict of arrays of shape (n_rows, ...)
            What each row has one value of.
        ragged : dict of arrays of shape (n_constituents, ...) or None
            Flat tables of the constituents of the rows, used with `counts`.
        counts : int64 array of shape (n_rows,) or None
            Number of constituents of each row; without, rows have none.
        dtype : torch dtype or None
            Precision of real numbers, float32 by default.

        Returns
        -------
        RowsDataset
            The rows.
        """

        def tensors(arrays: dict[str, NDArray]) -> dict[str, Tensor]:
            real = dtype or torch.float32
            return {
                name: torch.tensor(a, dtype=real if a.dtype.kind == "f" else None)
                for name, a in arrays.items()
            }

        if counts is None:
            return cls(tensors(columns))
        return cls(tensors(columns), tensors(ragged or {}), torch.tensor(counts))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def n_batches(self, batch_size: int) -> int:
        """Count the batches of an epoch.

        Parameters
        ----------
        batch_size : int
            Largest number of rows in a batch.

        Returns
        -------
        int
            The number of batches.
        """
        return math.ceil(len(self) / batch_size)

    def batches(self, batch_size: int, shuffle: bool) -> Iterator[dict[str, Tensor]]:
        """Cut an epoch into batches whose sizes differ by at most one.

        Parameters
        ----------
        batch_size : int
            Largest number of rows in a batch.
        shuffle : bool
            Draw the rows in random order.

        Yields
        ------
        dict of tensors
            The columns of the rows, "counts", and the tables of their constituents;
            the first entry has one value a row.
        """
        order = torch.randperm(len(self)) if shuffle else torch.arange(len(self))
        for rows in order.tensor_split(self.n_batches(batch_size)):
            batch = _take(self.columns, rows)
            if self.ragged:
                places = _places(self.starts[rows], batch["counts"])
                batch |= _take(self.ragged, places)
            yield batch


class SideBySide(Dataset):
    """Rows of one sample, each batch of which comes with a batch of another.

    An epoch is one pass over the first sample; the second one begins again when it
    ends.

    Parameters
    ----------
    first, second : RowsDataset
        The samples. In batches, names of the second one have the prefix "other_".
    """

    def __init__(self, first: RowsDataset, second: RowsDataset) -> None:
        self.first = first
        self.second = second

    def __len__(self) -> int:
        return len(self.first)

    def n_batches(self, batch_size: int) -> int:
        """Count the batches of an epoch.

        Parameters
        ----------
        batch_size : int
            Largest number of rows of the first sample in a batch.

        Returns
        -------
        int
            The number of batches.
        """
        return self.first.n_batches(batch_size)

    def batches(self, batch_size: int, shuffle: bool) -> Iterator[dict[str, Tensor]]:
        """Cut an epoch into batches.

        Parameters
        ----------
        batch_size : int
            Largest number of rows of each sample in a batch.
        shuffle : bool
            Draw the rows in random order.

        Yields
        ------
        dict of tensors
            The columns of both samples.
        """
        others = self._repeated(batch_size, shuffle)
        for batch in self.first.batches(batch_size, shuffle):
            other = {f"other_{name}": table for name, table in next(others).items()}
            yield batch | other

    def _repeated(self, batch_size: int, shuffle: bool) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self.second.batches(batch_size, shuffle)


def _take(tables: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: table.index_select(0, rows) for name, table in tables.items()}


# Places of the constituents of jets that begin at `starts`, jet after jet.
def _places(starts: Tensor, counts: Tensor) -> Tensor:
    ends = counts.cumsum(0)
    places = torch.repeat_interleave(starts - ends + counts, counts)
    return places + torch.arange(len(places))


def _require_length(tables: dict[str, Tensor], length: int, source: str) -> None:
    for name, table in tables.items():
        if len(table) != length:
            raise ValueError(f"{name!r} has {len(table)} rows, but {source} {length}.")


def _require_new_names(tables: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    clash = tables.keys() & others.keys()
    if clash:
        raise ValueError(f"Names must differ, but {sorted(clash)} occur twice.")
