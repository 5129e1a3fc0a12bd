"""The names of jet flavours."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, column_or_1d

_SPELLINGS: dict[str, tuple[Hashable, ...]] = {
    "u": ("u", "light", "ujets", 0),
    "c": ("c", "cjets", 4),
    "b": ("b", "bjets", 5),
    "tau": ("tau", "taujets", 15),
}
_FLAVOURS = {label: name for name, labels in _SPELLINGS.items() for label in labels}

# Usual parts of the backgrounds in a discriminant; light jets are the rest.
_USUAL_FRACTIONS = {"b": {"c": 0.2, "tau": 0.05}, "c": {"b": 0.2, "tau": 0.05}}


# The short name of a flavour, whatever its spelling; any other label is its own.
def flavour(label: Hashable) -> Hashable:
    return _FLAVOURS.get(label, label)


# Labels of columns, without numpy's types.
def label_list(order: Sequence[Any] | NDArray[Any]) -> list[Any]:
    return order.tolist() if isinstance(order, np.ndarray) else list(order)


# The long name of a flavour, as in files of ATLAS.
def long_name(name: str) -> str:
    return f"{name}jets" if name in _SPELLINGS else name


def check_labels(y: ArrayLike, name: str) -> NDArray[Any]:
    return column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name=name))


# Whether each jet has the flavour of a label.
def has_flavour(y: ArrayLike, label: Hashable, name: str) -> NDArray[np.bool_]:
    classes, index = np.unique(check_labels(y, name), return_inverse=True)
    wanted = flavour(label)
    matches: NDArray[np.bool_] = np.array(
        [flavour(other) == wanted for other in classes.tolist()]
    )
    return matches[index]


# Whether all labels are names of flavours.
def are_flavours(labels: list[Any]) -> bool:
    return all(flavour(label) in _SPELLINGS for label in labels)


# Fractions where nobody gives them: the usual ones of b and c tagging, else equal ones.
def default_fractions(
    signal: Hashable, background: list[Hashable]
) -> dict[Hashable, float]:
    if are_flavours(background) and "u" in background and signal in _USUAL_FRACTIONS:
        usual = _USUAL_FRACTIONS[str(signal)]
        fractions = {name: usual[str(name)] for name in background if name != "u"}
        return fractions | {"u": 1 - sum(fractions.values())}
    return dict.fromkeys(background, 1 / max(len(background), 1))
