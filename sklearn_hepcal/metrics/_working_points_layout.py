"""Working points as ATLAS's software arranges them in YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np

from .._flavours import long_name

if TYPE_CHECKING:
    from ._working_points import WorkingPoints


# Measured are, for each sample and class, the efficiencies of the points.
def to_layout(
    points: WorkingPoints, measured: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if points.signal is not None:
        entry["signal"] = long_name(points.signal)
    for name, part in (points.fractions or {}).items():
        entry[f"f{name}"] = part
    for row, cut in enumerate(points.cuts):
        entry[_percent(points.efficiencies[row])] = {"cut_value": cut} | {
            sample: _efficiency_and_rejection(by_class, row)
            for sample, by_class in measured.items()
        }
    return {points.tagger: entry}


# Arguments of WorkingPoints.
def from_layout(content: object, tagger: str | None) -> dict[str, Any]:
    tagger, entry = _one_tagger(content, tagger)
    cuts, fractions = {}, {}
    for key, value in entry.items():
        efficiency = _part(key)
        if efficiency is not None:
            cuts[efficiency] = _cut_value(value, tagger, key)
        elif str(key).startswith("f"):
            fractions[str(key)[1:]] = _number(value, f"{key} of {tagger}")
    if not cuts:
        raise ValueError(
            f"{tagger} has no working points, which are named by percents such as "
            f"'70'; got the keys {list(entry)}."
        )
    return {
        "cuts": list(cuts.values()),
        "efficiencies": list(cuts),
        "tagger": tagger,
        "signal": entry.get("signal"),
        "fractions": fractions or None,
    }


def _efficiency_and_rejection(
    by_class: Mapping[str, list[float]], row: int
) -> dict[str, dict[str, float]]:
    parts = {name: values[row] for name, values in by_class.items()}
    rejections = {
        name: 1 / part if part > 0 else np.inf for name, part in parts.items()
    }
    return {"eff": parts, "rej": rejections}


# An efficiency in percent and back, without rounding.
def _percent(part: float) -> str:
    return format(Decimal(repr(part)).scaleb(2).normalize(), "f")


def _part(key: object) -> float | None:
    try:
        return float(Decimal(str(key)).scaleb(-2))
    except InvalidOperation:
        return None


def _one_tagger(content: object, tagger: str | None) -> tuple[str, Mapping[Any, Any]]:
    if not isinstance(content, Mapping) or not content:
        raise ValueError(
            f"source must map taggers to their working points, got {content!r}."
        )
    if tagger is None and len(content) > 1:
        raise ValueError(f"tagger must be one of {list(content)}; source has several.")
    name = next(iter(content)) if tagger is None else tagger
    if name not in content:
        raise ValueError(
            f"tagger {name!r} is missing in source; it has {list(content)}."
        )
    entry = content[name]
    if not isinstance(entry, Mapping):
        raise ValueError(f"{name} must hold working points, got {entry!r}.")
    return str(name), entry


def _cut_value(point: object, tagger: str, key: object) -> float:
    name = f"working point {key} of {tagger}"
    if not isinstance(point, Mapping) or "cut_value" not in point:
        raise ValueError(f"cut_value is missing in {name}, got {point!r}.")
    return _number(point["cut_value"], f"cut_value in {name}")


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {value!r}.") from None
