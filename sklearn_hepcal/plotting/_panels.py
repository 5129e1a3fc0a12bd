"""What the displays of taggers share: panels, colours, samples and ratios."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
)

from .._optional import import_optional
from ..metrics import Estimate

Array = NDArray[np.float64]

# The palette of Okabe and Ito, which colour-blind people can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


# The main panel, and that of the ratio below it or None.
def make_panels(ax: Any, *, ratio: bool) -> tuple[Any, Any]:
    n_panels = 2 if ratio else 1
    if ax is None:
        pyplot = import_optional("matplotlib.pyplot", "plot")
        _, axes = pyplot.subplots(
            nrows=n_panels,
            sharex=True,
            squeeze=False,
            height_ratios=[3, 1][:n_panels],
            layout="constrained",
        )
        panels = axes[:, 0]
    else:
        panels = np.ravel(np.asarray(ax, dtype=object))
    if len(panels) != n_panels:
        needed = "a pair of Axes, for the ratio" if ratio else "one Axes"
        raise ValueError(f"ax must be {needed}, but got {len(panels)}.")
    return panels[0], panels[1] if ratio else None


# A panel is labelled with the ratio's axis; the main panel shares its horizontal one.
def label_panels(
    ax: Any, ratio_ax: Any, *, xlabel: str, ylabel: str, reference_name: str
) -> None:
    ax.set_ylabel(ylabel)
    (ax if ratio_ax is None else ratio_ax).set_xlabel(xlabel)
    if ratio_ax is not None:
        ratio_ax.set_ylabel(f"ratio to {reference_name}")
        ratio_ax.axhline(1.0, color="0.5", linewidth=0.8, zorder=0)
    ax.legend(fontsize="small")


def pick_colors(
    names: Iterable[str], colors: Mapping[str, str] | None
) -> dict[str, str]:
    chosen = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    unknown = set(colors or {}) - set(chosen)
    if unknown:
        raise ValueError(
            f"colors must be for some of {list(chosen)}, but got {sorted(unknown)}."
        )
    return chosen | dict(colors or {})


def check_jets(
    y_true: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[NDArray[Any], Array, Array]:
    labels = column_or_1d(
        check_array(y_true, ensure_2d=False, dtype=None, input_name="y_true")
    )
    values = check_numbers(scores, "scores", len(labels))
    weight = _check_sample_weight(sample_weight, values, dtype=np.float64)
    return labels, values, weight


# One finite number for each jet.
def check_numbers(values: ArrayLike, name: str, n_jets: int | None = None) -> Array:
    shape = np.shape(values)
    if len(shape) != 1:
        raise ValueError(f"{name} must be one-dimensional, but its shape is {shape}.")
    numbers: Array = check_array(
        values, ensure_2d=False, dtype=np.float64, input_name=name
    )
    if n_jets is not None and len(numbers) != n_jets:
        raise ValueError(f"{name} has {len(numbers)} entries for {n_jets} jets.")
    return numbers


def check_edges(bins: ArrayLike) -> Array:
    edges = check_numbers(bins, "bins")
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(
            f"bins must give two or more increasing edges, but got {bins!r}."
        )
    return edges


# The rows of each flavour, by its name in the legend.
def split_flavours(
    labels: NDArray[Any],
    flavours: Sequence[Hashable],
    names: Mapping[Any, str] | None,
) -> dict[str, NDArray[np.bool_]]:
    masks: dict[str, NDArray[np.bool_]] = {}
    for flavour in flavours:
        name = name_of(flavour, names)
        if name in masks:
            raise ValueError(f"the name {name!r} stands for more than one flavour.")
        masks[name] = labels == flavour
        if not masks[name].any():
            raise ValueError(
                f"y_true holds no jets of the flavour {flavour!r}, only "
                f"{np.unique(labels).tolist()}."
            )
    return masks


def name_of(flavour: Hashable, names: Mapping[Any, str] | None) -> str:
    return (names or {}).get(flavour, str(flavour))


# Scores of a fitted classifier, higher for the signal. A single one of many classes is
# the tagger's own discriminant, and taken to be that of the signal.
def score_jets(estimator: Any, X: Any, signal: Hashable) -> Array:
    check_is_fitted(estimator)
    classes = np.asarray(getattr(estimator, "classes_", ())).tolist()
    if signal not in classes:
        raise ValueError(
            f"signal must be one of the estimator's classes {classes}, but got "
            f"{signal!r}."
        )
    for method in ("decision_function", "predict_proba"):
        if hasattr(estimator, method):
            scores = np.asarray(getattr(estimator, method)(X), dtype=np.float64)
            break
    else:
        raise TypeError(
            f"{type(estimator).__name__} has neither decision_function nor "
            "predict_proba to score jets by."
        )
    if scores.ndim == 1:
        return -scores if signal == classes[0] and len(classes) == 2 else scores
    if scores.shape[1] != len(classes):
        raise ValueError(
            f"the {method} of {type(estimator).__name__} has {scores.shape[1]} columns "
            f"for {len(classes)} classes."
        )
    return scores[:, classes.index(signal)]


# The error is that of the numerator alone: both are measured on the same jets.
def ratio_to(estimate: Estimate[Array], reference: Estimate[Array]) -> Estimate[Array]:
    value, other = finite(estimate), finite(reference)
    scale = np.where(other.value == 0, np.nan, other.value)
    return Estimate(value.value / scale, value.error / scale)


# Infinities have no place in a figure.
def finite(estimate: Estimate[Array]) -> Estimate[Array]:
    keep = np.isfinite(estimate.value) & np.isfinite(estimate.error)
    return Estimate(*(np.where(keep, part, np.nan) for part in estimate))
