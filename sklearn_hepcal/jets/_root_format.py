"""What formats of ROOT files call the jets and what belongs to them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._files import suggest
from ._ftag_columns import is_truth
from ._root_events import Events, Link
from ._root_file import Tree

BASIC = ("pt", "eta", "phi", "mass", "event")
TRUTH = "_truth"
# Tables whose rows are those of the jets; the number of an event is in none.
OWN_TABLES = ("jets", "event", "")

# What only simulation knows, besides what `is_truth` finds.
_GENERATED = re.compile(r"(^|_)(gen|lhe)|^pileup_", re.IGNORECASE)


# Where a column is: a branch of a table, such as that of the jets or of true jets.
class Place(NamedTuple):
    table: str
    branch: str


# The columns to read: names in `Jets` to places in the file.
class Layout(NamedTuple):
    features: dict[str, Place]
    labels: dict[str, Place]
    constituents: dict[str, Place]
    constituent_labels: dict[str, Place]


# Tables of a file, and the prefixes that the names of their branches may have.
Tables = Mapping[str, tuple[str, ...]]


# What a format calls its trees, tables and branches. Rows of the tables "jets" and
# "event" are those of the jets; the rows of others are found by `link`.
@dataclass(frozen=True)
class Format(ABC):
    jets: str
    truth_jets: str
    match_radius: float | None

    trees: ClassVar[tuple[str, ...]]
    # what stands between the names of a table and of its branch
    separator: ClassVar[str]
    # other names of branches
    aliases: ClassVar[Mapping[str, str]]
    # the true jets that are looked for if the user names none
    usual_truth: ClassVar[str]
    # what tells events from one another
    numbers: ClassVar[tuple[str, ...]]
    # distance within which jets match true ones if the file does not tell
    radius: ClassVar[float]

    def __post_init__(self) -> None:
        if self.match_radius is not None and not self.match_radius > 0:
            raise ValueError(f"match_radius must be positive, got {self.match_radius}.")

    # Return one name for what trees and RNTuples spell differently.
    @staticmethod
    @abstractmethod
    def spell(key: str) -> str: ...

    # Return the tables of jets and the prefixes of their branches.
    @abstractmethod
    def tables(self, branches: Iterable[str]) -> Tables: ...

    # Return the tables of constituents and the prefixes of their branches.
    def parts(self, branches: Iterable[str]) -> Tables:
        return {}

    # Tell whether a column is the score of a tagger.
    @abstractmethod
    def is_score(self, name: str) -> bool: ...

    # Return the rows that belong to the jets in the table of a place.
    @abstractmethod
    def link(self, place: Place, events: Events) -> Link: ...

    # Return the jets of constituents, -1 for none, and their rows in the tables.
    def find_parts(self, events: Events) -> tuple[NDArray[np.int64], dict[str, Link]]:
        return np.empty(0, dtype=np.int64), {}

    # Return which jets pass the criteria of quality.
    def passes(self, events: Events) -> NDArray[np.bool_]:
        return np.ones(events.jet_event.size, dtype=bool)

    def convert(self, values: NDArray, branch: str) -> NDArray:
        return values

    # Return the true jets that match the jets by Delta R.
    def match(self, events: Events) -> Link:
        tables = self.tables(events.branches)
        jets, truth = (
            [_first(name, tables[table], events.branches) for name in ("eta", "phi")]
            for table in ("jets", "truth")
        )
        radius = self.radius if self.match_radius is None else self.match_radius
        return events.match(jets, truth, radius)


# Return the first branch that is there, or else the first of all.
def _first(name: str, prefixes: Sequence[str], branches: Iterable[str]) -> str:
    names = [prefix + name for prefix in prefixes]
    return next((branch for branch in names if branch in branches), names[0])


# Return the names to read, those by default as the file suggests.
def choose_names(
    tree: Tree,
    form: Format,
    features: list[str] | None,
    labels: list[str] | None,
    constituents: list[str] | None,
    constituent_labels: list[str] | None,
) -> dict[str, list[str]]:
    inputs = [*BASIC, *(name for name in features or () if name not in BASIC)]
    if labels is None:
        labels = [name for name in _usual_labels(tree, form) if name not in inputs]
    if constituents is None:
        parts = form.parts(tree.branches)
        constituents = [n for n in BASIC[:4] if _locate(n, tree, parts, form)]
    asked = (inputs, labels, constituents, constituent_labels or [])
    names = dict(zip(Layout._fields, asked, strict=True))
    for argument, chosen in names.items():
        repeated = sorted({name for name in chosen if chosen.count(name) > 1})
        if repeated:
            raise ValueError(f"The names of {argument} must differ, got {repeated}.")
    _refuse_truth(inputs, "features", "labels")
    # the type of a reconstructed particle is no truth
    measured = [name for name in constituents if name != "pdgId"]
    _refuse_truth(measured, "constituents", "constituent_labels")
    return names


def _refuse_truth(names: list[str], argument: str, other: str) -> None:
    truth = [name for name in names if is_truth(name) or _GENERATED.search(name)]
    if truth:
        raise ValueError(
            f"{argument} must not hold the truth, got {truth}; read such columns by "
            f"{other}."
        )


# Return the truth, scores of taggers and numbers of events that a file has.
def _usual_labels(tree: Tree, form: Format) -> list[str]:
    tables = form.tables(tree.branches)
    own = [
        branch.removeprefix(prefix)
        for table in tables.keys() - {"event", "truth"}
        for prefix in tables[table]
        for branch in tree.branches
        if branch.startswith(prefix)
    ]
    names = [
        *(f"{name}{TRUTH}" for name in BASIC[:4]),
        *sorted(name for name in own if is_truth(name) or form.is_score(name)),
        *form.numbers,
    ]
    places = {name: _locate(name, tree, tables, form) for name in names}
    return [
        name
        for name, place in places.items()
        if place is not None and tree.depth(place.branch) == _depth(place)
    ]


def find_layout(tree: Tree, form: Format, names: dict[str, list[str]]) -> Layout:
    tables, parts = form.tables(tree.branches), form.parts(tree.branches)
    _require_jets(tree, form, tables)
    where = (tables, tables, parts, parts)
    found = [
        {name: _require(name, tree, places, form, argument) for name in names[argument]}
        for argument, places in zip(names, where, strict=True)
    ]
    return Layout(*found)


# Data have no true jets, so that those of the usual name may be missing.
def _require_jets(tree: Tree, form: Format, tables: Tables) -> None:
    wanted = {"jets": form.jets}
    if form.truth_jets != form.usual_truth:
        wanted["truth"] = form.truth_jets
    for table, name in wanted.items():
        if _locate("pt", tree, {"jets": tables[table]}, form) is None:
            end = f"{form.separator}pt"
            known = [
                branch.removesuffix(end)
                for branch in tree.branches
                if branch.endswith(end)
            ]
            raise ValueError(
                f"{tree.where} has no jets {name!r}; {suggest(name, known)}."
            )


def _require(
    name: str, tree: Tree, tables: Tables, form: Format, argument: str
) -> Place:
    place = _locate(name, tree, tables, form)
    if place is None:
        if not tables:
            raise ValueError(f"{argument}: {tree.where} has no constituents of jets.")
        raise ValueError(
            f"{argument}: {tree.where} has no {name!r}; "
            f"{suggest(name, _known(tree, tables))}."
        )
    if place.table and tree.depth(place.branch) != _depth(place):
        row = "event" if place.table == "event" else "object"
        raise ValueError(
            f"{argument}: {place.branch!r} of {tree.where} is not one number an {row}."
        )
    return place


# Return how deep the numbers of a place must be nested.
def _depth(place: Place) -> int:
    return 1 if place.table == "event" else 2


# Return where a name is to be found.
def _locate(name: str, tree: Tree, tables: Tables, form: Format) -> Place | None:
    if name == "event":
        return Place("", name)
    own = {table: tables[table] for table in tables if table != "truth"}
    tries = [(own, name)]
    if name.endswith(TRUTH) and "truth" in tables:
        tries.append(({"truth": tables["truth"]}, name.removesuffix(TRUTH)))
    for places, wanted in tries:
        branch = form.aliases.get(wanted, wanted)
        for table, prefixes in places.items():
            for prefix in prefixes:
                full = prefix + branch.removeprefix(prefix)
                if full in tree.branches:
                    return Place(table, full)
    return None


# Return all names that `_locate` finds, but aliases.
def _known(tree: Tree, tables: Tables) -> list[str]:
    return [
        branch.removeprefix(prefix) + (TRUTH if table == "truth" else "")
        for table, prefixes in tables.items()
        for prefix in prefixes
        for branch in tree.branches
        if branch.startswith(prefix)
    ]
