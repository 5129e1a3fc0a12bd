"""Pairs of the jets of events."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import column_or_1d

UNPAIRED = -1


class Pairs(NamedTuple):
    """Rows of the two jets of each event.

    Attributes
    ----------
    first, second : int arrays of shape (n_pairs,)
        The rows.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def select(self, mask: NDArray[np.bool_]) -> Pairs:
        """Take the pairs whose first jet has a property.

        Parameters
        ----------
        mask : bool array of shape (n_rows,)
            The property, which is that of events.

        Returns
        -------
        Pairs
            The pairs.
        """
        chosen = mask[self.first]
        return Pairs(self.first[chosen], self.second[chosen])

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of all jets, the first ones before the second ones."""
        return np.concatenate(self)


def check_event_id(event_id: ArrayLike | None, n_rows: int) -> NDArray[np.int64]:
    """Read the events of the rows.

    Parameters
    ----------
    event_id : array-like of int of shape (n_rows,) or None
        Numbers of the events; -1 for a jet that is in no pair.
    n_rows : int
        Number of rows.

    Returns
    -------
    int array of shape (n_rows,)
        The numbers; -1 without any.

    Raises
    ------
    ValueError
        If they are no whole numbers, or not one a row.
    """
    if event_id is None:
        return np.full(n_rows, UNPAIRED)
    ids = column_or_1d(event_id)
    if len(ids) != n_rows:
        raise ValueError(
            f"event_id must have one entry a row ({n_rows}), got {len(ids)}."
        )
    whole = ids.dtype.kind in "iuf" and np.isfinite(ids).all()
    if not whole or not np.array_equal(ids, np.round(ids)):
        raise ValueError("event_id must hold whole numbers, -1 for a jet in no pair.")
    return ids.astype(np.int64)


def find_pairs(event_id: NDArray[np.int64], used: NDArray[np.bool_]) -> Pairs:
    """Find the events of two jets.

    Parameters
    ----------
    event_id : int array of shape (n_rows,)
        Numbers of the events, -1 for none.
    used : bool array of shape (n_rows,)
        Rows to look at.

    Returns
    -------
    Pairs
        The pairs, sorted by event. Events of one jet, or of more than two, make none.
    """
    rows = np.flatnonzero((event_id != UNPAIRED) & used)
    rows = rows[np.argsort(event_id[rows], kind="stable")]
    _, start, count = np.unique(event_id[rows], return_index=True, return_counts=True)
    start = start[count == 2]
    return Pairs(rows[start], rows[start + 1])
