"""What the columns of ATLAS's flavour-tagging files mean, as told by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._files import suggest

Names = Iterable[str] | None

# Names that stand for the first of these columns that a file has.
ALIASES = {
    "pt": ("pt", "pt_btagJes"),
    "eta": ("eta", "eta_btagJes"),
    "abs_eta": ("abs_eta", "absEta", "absEta_btagJes"),
    "mass": ("mass", "m"),
    "energy": ("energy", "e"),
    "event": ("event", "eventNumber"),
    "flavour": ("flavour", "HadronConeExclTruthLabelID"),
    "origin": (
        "origin",
        "ftagTruthOriginLabel",
        "truthOriginLabel",
        "trackOrigin",
    ),
    "vertex": (
        "vertex",
        "ftagTruthVertexIndex",
        "truthVertexIndex",
        "vertexIndex",
    ),
}

# What only simulation knows.
_TRUTH = re.compile(
    r"truth|label|hadron|parton|boson|flavou?r|pdg_?id|barcode|^mc[a-z]"
    r"|^(track_?)?origin|^(track_?)?vertex(_?index)?$|^taudecay"
    r"|^is_?(jvt|hs|pu|pile_?up|fake)",
    re.IGNORECASE,
)
# What is known in data too, but is no measurement of a constituent.
_DERIVED = re.compile(
    r"_aux_|vertex_?index|^(event|run)_?number$|weight|^(gn\d|dl1|dips|rnnip)",
    re.IGNORECASE,
)

_MOMENTUM = re.compile(
    r"(^|_)(pt|px|py|pz|energy|mass)(_|$)|^p$|(^|_)(e|et|m)$|^(pt|[Ee]nergy)[A-Z]"
    r"|(Pt|Mass|Energy)(_|$|Uncertainty)|pTrel$|masssvx$"
)
_INVERSE_MOMENTUM = re.compile(r"(^|_)qOverP(_|$|Uncertainty)")
_NO_MOMENTUM = re.compile(
    r"frac|ratio|rank|significance|resolution|^log|_log|response", re.IGNORECASE
)


# The columns to read: names in `Jets` to names in the file.
class Layout(NamedTuple):
    features: dict[str, str]
    labels: dict[str, str]
    constituents: dict[str, str]
    constituent_labels: dict[str, str]


def is_truth(column: str) -> bool:
    return _TRUTH.search(column) is not None


def is_derived(column: str) -> bool:
    return _DERIVED.search(column) is not None


# Convert a column from MeV to GeV if its name says that it has a dimension of energy.
def to_gev(values: NDArray, column: str) -> NDArray:
    if values.dtype.kind not in "iuf" or _NO_MOMENTUM.search(column):
        return values
    if _MOMENTUM.search(column):
        return values / 1000
    if _INVERSE_MOMENTUM.search(column):
        return values * 1000
    return values


# Return the columns that some names stand for.
def find_columns(
    names: Iterable[str], columns: Iterable[str], argument: str, where: str
) -> dict[str, str]:
    names, columns = list(names), list(columns)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"The names of {argument} must differ, got {repeated} twice.")
    found = {}
    for name in names:
        known = [column for column in ALIASES.get(name, (name,)) if column in columns]
        if not known:
            raise _missing(name, columns, argument, where)
        found[name] = known[0]
    return found


def _missing(
    name: str, columns: Iterable[str], argument: str, where: str
) -> ValueError:
    return ValueError(
        f"{argument}: {where} has no column {name!r}; {suggest(name, columns)}."
    )


# Return the columns of numbers that are known in data and no output of a tagger.
def measured(columns: Mapping[str, np.dtype]) -> list[str]:
    return [
        name
        for name, dtype in columns.items()
        if is_number(dtype) and not is_truth(name) and not is_derived(name)
    ]


def as_list(names: Names) -> list[str] | None:
    if names is None:
        return None
    return [names] if isinstance(names, str) else list(names)


# Return the columns that are inputs: the names asked for, or the usual ones.
def find_inputs(
    names: list[str] | None,
    columns: Iterable[str],
    usual: list[str],
    arguments: tuple[str, str],
    where: str,
) -> dict[str, str]:
    chosen = usual if names is None else names
    inputs = find_columns(chosen, columns, arguments[0], where)
    if names is not None:
        _refuse_truth(set(inputs.values()) - set(usual), arguments)
    return inputs


# Return the columns that are labels: the names asked for, or all that are no inputs.
def find_others(
    names: list[str] | None,
    columns: Iterable[str],
    usual: list[str],
    inputs: dict[str, str],
    argument: str,
    where: str,
) -> dict[str, str]:
    if names is None:
        names = [n for n in columns if n not in usual and n not in inputs.values()]
        return dict(zip(names, names, strict=True))
    return find_columns(names, columns, argument, where)


# Refuse inputs that only simulation knows.
def _refuse_truth(columns: Iterable[str], arguments: tuple[str, str]) -> None:
    truth = sorted(filter(is_truth, columns))
    if truth:
        raise ValueError(
            f"{arguments[0]} must not hold the truth, got {truth}; read such columns "
            f"by {arguments[1]}."
        )


# Check that a file has the chosen columns, and that inputs are one number a row.
def check_columns(
    chosen: Mapping[str, str],
    dtypes: Mapping[str, np.dtype],
    argument: str,
    where: str,
    inputs: bool,
) -> None:
    for column in chosen.values():
        if column not in dtypes:
            raise _missing(column, dtypes, argument, where)
        if inputs and not is_number(dtypes[column]):
            raise ValueError(
                f"{argument}: {column!r} in {where} is of type {dtypes[column]}, "
                "inputs are one number a row; read it as a label."
            )


def is_number(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf" and dtype.subdtype is None
