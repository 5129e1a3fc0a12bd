"""Some events of a tree, with the objects of all of them in a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._delta_r import match_delta_r
from ._root_file import Column, Tree


# Rows of a table, -1 for none, and the offsets that cut the table into events.
class Link(NamedTuple):
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Events:
    def __init__(self, tree: Tree, start: int, stop: int, jet_branch: str):
        self._tree = tree
        self._range = (start, stop)
        self._columns: dict[str, Column] = {}
        self._offsets = self.offsets(jet_branch)
        self.jet_event = self.event_of(self._offsets)

    @property
    def branches(self) -> Iterable[str]:
        return self._tree.branches

    # Each branch is read once.
    def _read(self, branch: str) -> Column:
        if branch not in self._columns:
            self._columns[branch] = self._tree.read(branch, *self._range)
        return self._columns[branch]

    # Return the offsets that cut a branch into events.
    def offsets(self, branch: str) -> NDArray[np.int64]:
        offsets = self._read(branch).offsets
        if offsets is None:
            raise ValueError(
                f"{branch!r} of {self._tree.where} must be a list of numbers an event."
            )
        return offsets

    # Return the event of each row of a table, 0 for the first of these events.
    @staticmethod
    def event_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.repeat(np.arange(offsets.size - 1), np.diff(offsets))

    # Return all numbers of a branch that belongs to a table.
    def column(self, branch: str, offsets: NDArray[np.int64]) -> NDArray:
        if not np.array_equal(self.offsets(branch), offsets):
            raise ValueError(
                f"{self._tree.where} is inconsistent: the lists of {branch!r} are not "
                "as long as those it belongs to."
            )
        return self._read(branch).values

    # Return one number a jet: those of events are repeated.
    def per_jet(self, branch: str) -> NDArray:
        values, offsets = self._read(branch)
        if offsets is None:
            return values[self.jet_event]
        return self.column(branch, self._offsets)

    # Follow places in the lists of a branch; those out of range lead nowhere.
    def link(self, places: NDArray, event: NDArray[np.int64], branch: str) -> Link:
        offsets = self.offsets(branch)
        local = places.astype(np.int64)
        inside = (local >= 0) & (local < np.diff(offsets)[event])
        return Link(np.where(inside, offsets[event] + local, -1), offsets)

    # Match jets to the rows of another table, given eta and phi of both.
    def match(self, jets: list[str], targets: list[str], radius: float) -> Link:
        offsets = self.offsets(targets[0])
        angles = [self.per_jet(branch) for branch in jets]
        others = [self.column(branch, offsets) for branch in targets]
        rows = match_delta_r(angles, others, self.jet_event, offsets, radius)
        return Link(rows, offsets)
