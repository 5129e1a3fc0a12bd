"""Values that many rows share, which no smooth map can carry."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ._maps import Array

# A value in more than this part of the rows of a side, and in so many, is an atom.
ATOM_FRACTION = 0.02
_MIN_COUNT = 50
# Part of the other rows that lie beside an atom, and the largest width of its gap in
# their standard deviations.
_NEAR = 0.05
_MAX_WIDTH = 4.0
# Constants of the generator splitmix64 (Steele, Lea and Flood 2014,
# doi:10.1145/2660193.2660195).
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


class Atoms(NamedTuple):
    """Repeated values of one column.

    Attributes
    ----------
    column : int
        The column.
    values : array of shape (n_atoms,)
        The values, increasing.
    fractions : array of shape (n_atoms,)
        Part of the rows that share each, the mean over simulation and data.
    widths : array of shape (n_atoms,)
        Widths over which the rows at each are as dense as those beside them.
    support : array of shape (2,)
        Lowest and highest value of the column.
    """

    column: int
    values: Array
    fractions: Array
    widths: Array
    support: Array


def find_atoms(source: Array, target: Array) -> list[Atoms]:
    """Find the values that more than `ATOM_FRACTION` of the rows of a side share.

    Parameters
    ----------
    source, target : arrays of shape (n_source, d), (n_target, d)
        Rows of simulation and data.

    Returns
    -------
    list of Atoms
        The columns that have any.
    """
    found = []
    for column, pair in enumerate(zip(source.T, target.T, strict=True)):
        tables = [np.unique(values, return_counts=True) for values in pair]
        candidates = [
            values[counts >= max(_MIN_COUNT, ATOM_FRACTION * counts.sum())]
            for values, counts in tables
        ]
        atoms = np.unique(np.concatenate(candidates))
        if len(atoms):
            fractions = [(values[:, None] == atoms).mean(axis=0) for values in pair]
            fraction = np.mean(fractions, axis=0)
            both = np.concatenate(pair)
            others = both[~np.isin(both, atoms)]
            widths = [
                _width(value, part, others, both)
                for value, part in zip(atoms, fraction, strict=True)
            ]
            support = np.array([both.min(), both.max()])
            found.append(Atoms(column, atoms, fraction, np.array(widths), support))
    return found


# Width over which the rows at an atom are as dense as those beside it; at most a few
# standard deviations of these, and in proportion to the rows where there are none.
def _width(atom: float, fraction: float, others: Array, values: Array) -> float:
    if len(others) < _MIN_COUNT:
        return fraction * np.sqrt(12.0) * float(values.std())
    n_near = max(_MIN_COUNT, round(_NEAR * len(others)))
    near = np.append(others[np.argsort(np.abs(others - atom))[:n_near]], atom)
    density = n_near / len(values) / np.ptp(near)
    return min(fraction / density, _MAX_WIDTH * float(others.std()))


class AtomSplitter:
    """Spread atoms over gaps of finite width, and put them together again.

    Every value above an atom moves up by the width of its gap, and the rows at the atom
    are spread evenly over the gap. Where in the gap a row lies follows from all its
    values, so that the same row is always spread in the same way.

    Parameters
    ----------
    columns : array of int of shape (n_split,)
        Columns with atoms.
    values, widths : lists of arrays of shape (n_atoms,)
        The atoms of each and the widths of their gaps.
    limits : list of arrays of shape (2,)
        Lowest and highest value after the spread, of columns where this is an end of a
        gap: nothing is to be moved beyond. Infinite for other columns.
    """

    def __init__(
        self,
        columns: NDArray[np.intp],
        values: list[Array],
        widths: list[Array],
        limits: list[Array],
    ) -> None:
        self.columns = columns
        self.values = values
        self.widths = widths
        self.limits = limits

    @classmethod
    def from_atoms(cls, atoms: list[Atoms]) -> Self:
        """Give every atom a gap.

        Parameters
        ----------
        atoms : list of Atoms
            What `find_atoms` returned.

        Returns
        -------
        AtomSplitter
            The splitter.
        """
        return cls(
            np.array([part.column for part in atoms], dtype=np.intp),
            [part.values for part in atoms],
            [part.widths for part in atoms],
            [_limits(part) for part in atoms],
        )

    def split(self, x: Array) -> Array:
        """Spread the atoms of rows of shape (n, d)."""
        out = x.copy()
        seed = _hash_rows(x)
        for column, values, widths, _ in self.parts():
            known = x[:, column]
            below = np.searchsorted(values, known)
            at = np.minimum(below, len(values) - 1)
            place = np.where(known == values[at], _uniform(seed, column), 0.0)
            out[:, column] += _cumulative(widths)[below] + place * widths[at]
        return out

    def merge(self, y: Array) -> Array:
        """Undo `split`: values in a gap become those of its atom."""
        out = y.copy()
        for column, values, widths, limits in self.parts():
            moved = np.clip(y[:, column], *limits)
            above = _cumulative(widths)
            first = values + above[:-1]
            passed = np.searchsorted(first, moved, side="right")
            at = np.maximum(passed - 1, 0)
            inside = (passed > 0) & (moved <= first[at] + widths[at])
            out[:, column] = np.where(inside, values[at], moved - above[passed])
        return out

    def parts(self) -> zip[tuple[int, Array, Array, Array]]:
        """Go through the columns: their values, widths and limits."""
        columns = self.columns.tolist()
        return zip(columns, self.values, self.widths, self.limits, strict=True)


def _limits(atoms: Atoms) -> Array:
    lowest, highest = atoms.support
    return np.array(
        [
            lowest if lowest == atoms.values[0] else -np.inf,
            highest + atoms.widths.sum() if highest == atoms.values[-1] else np.inf,
        ]
    )


def _cumulative(widths: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(widths)])


# A number for every row that depends on all its values.
def _hash_rows(x: Array) -> NDArray[np.uint64]:
    state = np.zeros(len(x), dtype=np.uint64)
    bits = np.ascontiguousarray(x + 0.0, dtype=np.float64).view(np.uint64)
    for column in bits.T:  # of -0.0 and 0.0, the sum above makes one
        state = _mix(state ^ column)
    return state


def _uniform(seed: NDArray[np.uint64], column: int) -> Array:
    mixed = _mix(seed ^ _mix(np.array([column], dtype=np.uint64)))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + GOLDEN
    for shift, factor in zip(SHIFTS[:2], FACTORS, strict=True):
        state = (state ^ (state >> shift)) * factor
    return state ^ (state >> SHIFTS[2])
