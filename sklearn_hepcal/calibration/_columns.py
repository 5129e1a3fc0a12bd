"""Which columns are moved, and which condition the map."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._find_column import find_column
from ._atoms import ATOM_FRACTION, Atoms, AtomSplitter, find_atoms
from ._domains import Sides
from ._frame import reference_rows

# Rows that are read together.
_BLOCK = 8192
# Columns with atoms that a message names.
_N_SHOWN = 5


def find_conditions(
    conditions: Sequence[int | str] | None, names: Sequence[Any]
) -> NDArray[np.intp]:
    """Translate the parameter `conditions` to indices.

    Parameters
    ----------
    conditions : sequence of int or str, or None
        The parameter.
    names : sequence
        Names of all columns.

    Returns
    -------
    array of int
        The indices.

    Raises
    ------
    ValueError
        If a column does not exist or is named twice, or if all are named.
    """
    given = () if conditions is None else conditions
    indices = [find_column(key, tuple(names), "conditions") for key in given]
    if len(set(indices)) < len(indices):
        raise ValueError(f"conditions names a column twice: {conditions}.")
    if len(indices) == len(names):
        raise ValueError("conditions names every column: nothing is left to move.")
    return np.array(indices, dtype=np.intp)


def varying_columns(
    rows: NDArray,
    sides: Sides,
    columns: NDArray[np.intp],
    names: Sequence[Any],
    *,
    split_atoms: bool,
) -> NDArray[np.intp]:
    """Find the columns that can be moved.

    Parameters
    ----------
    rows : array of shape (n_samples, n_columns)
        Rows of X.
    sides : Sides
        Rows of either side.
    columns : array of int
        Columns that are not conditions.
    names : sequence
        Names of all columns.
    split_atoms : bool
        Whether a single value will be spread.

    Returns
    -------
    array of int
        Those of the columns that are not one and the same number everywhere.

    Raises
    ------
    ValueError
        If a side has fewer than two rows, if a column is constant on one side only, or
        if no column is left.
    """
    ranges = []
    for index, name in ((sides.source, "simulation"), (sides.target, "data")):
        if len(index) < 2:
            raise ValueError(
                f"the {name} has n_samples = {len(index)} row of non-zero weight: a "
                "map needs at least two."
            )
        ranges.append(_range(rows, index, columns))
    (low, high), (data_low, data_high) = ranges
    same = (low == high) & (data_low == data_high) & (low == data_low)
    for side, constant in (
        ("simulation", (low == high) & ~same),
        ("data", (data_low == data_high) & ~same),
    ):
        if constant.any() and not split_atoms:
            column = columns[np.argmax(constant)]
            raise ValueError(
                f"column {names[column]} is constant in the {side}: there is no map "
                "from or to a single value. Leave the column out, or pass "
                'atoms="dequantise".'
            )
    if same.all():
        raise ValueError(
            "every column that is not a condition is constant: nothing is left to move."
        )
    return columns[~same]


def treat_atoms(
    rows: NDArray,
    sides: Sides,
    moved: NDArray[np.intp],
    names: Sequence[Any],
    *,
    how: str,
) -> tuple[NDArray[np.intp], AtomSplitter | None]:
    """Report or spread the values that many rows share.

    Parameters
    ----------
    rows : array of shape (n_samples, n_columns)
        Rows of X.
    sides : Sides
        Rows of either side.
    moved : array of int
        The moved columns.
    names : sequence
        Names of all columns.
    how : {"warn", "error", "dequantise"}
        What to do.

    Returns
    -------
    moved : array of int
        The moved columns. Of those whose atoms are spread, columns with hardly any
        other rows are left out.
    splitter : AtomSplitter or None
        What spreads the atoms, if there are any and if it is told to.

    Raises
    ------
    ValueError
        If there are atoms and `how` is "error", or if no column is left.
    """
    samples = [
        reference_rows(rows, index, moved) for index in (sides.source, sides.target)
    ]
    atoms = find_atoms(*samples)
    if not atoms:
        return moved, None
    if how == "dequantise":
        single = [a.column for a in atoms if a.fractions.max() > 1.0 - ATOM_FRACTION]
        kept = np.setdiff1d(np.arange(len(moved)), single)
        if len(kept) == 0:
            raise ValueError(
                f"in every moved column less than {ATOM_FRACTION:.0%} of the rows "
                "differ from a single value: nothing is left to move."
            )
        splitter = AtomSplitter.from_atoms(find_atoms(*(s[:, kept] for s in samples)))
        return moved[kept], splitter
    message = _describe(atoms, [names[column] for column in moved])
    if how == "error":
        raise ValueError(message)
    warnings.warn(message, stacklevel=4)
    return moved, None


def _range(
    rows: NDArray, index: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[NDArray, NDArray]:
    low, high = [], []
    for start in range(0, len(index), _BLOCK):
        block = rows[index[start : start + _BLOCK]][:, columns]
        low.append(block.min(axis=0))
        high.append(block.max(axis=0))
    return np.min(low, axis=0), np.max(high, axis=0)


def _describe(atoms: list[Atoms], names: list[Any]) -> str:
    worst = sorted(atoms, key=lambda part: -part.fractions.max())
    shown = ", ".join(
        f"{names[part.column]} ({part.values[np.argmax(part.fractions)]:g} in "
        f"{part.fractions.max():.0%})"
        for part in worst[:_N_SHOWN]
    )
    more = f" and {len(atoms) - _N_SHOWN} more" if len(atoms) > _N_SHOWN else ""
    return (
        f"columns in which more than {ATOM_FRACTION:.0%} of the rows share a value: "
        f"{shown}{more}. A smooth map tears such rows apart, and a classifier can tell "
        'them from data. Pass atoms="dequantise" to spread them, or leave the columns '
        "out."
    )
