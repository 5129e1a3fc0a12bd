"""Labels of tracks: where they come from, and which vertex they belong to."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .jets import Jets

Labels = NDArray[np.int64]

# Names under which readers keep these labels.
_NAMES = {
    "origin": ("origin", "ftagTruthOriginLabel", "truthOriginLabel"),
    "vertex": ("vertex", "ftagTruthVertexIndex", "truthVertexIndex"),
}
# Origins of tracks from b and c hadrons in ATLAS's numbering.
_HEAVY = (3, 4, 5)
# What stands where there is no track.
_PADDING = -1


def add_labels(jets: Jets, given: Mapping[str, ArrayLike | None]) -> Jets:
    """Add labels to those that jets bring along.

    Parameters
    ----------
    jets : Jets
        The jets.
    given : mapping of arrays of shape (n_jets, n_places) or None
        The labels "origin" and "vertex" that the user gave, which come first.

    Returns
    -------
    Jets
        The jets, with these labels of their constituents too.

    Raises
    ------
    ValueError
        If labels do not fit the jets, are not integers, or all unknown.
    """
    labels = dict(jets.constituent_labels)
    for name, padded in given.items():
        if padded is not None:
            labels[name] = _flatten(jets, _table(padded, name), name)
            _require_known(labels[name], name)
    return jets.replace(constituent_labels=labels)


def label_tracks(jets: Jets, tasks: Collection[str] | None) -> tuple[Jets, Labels]:
    """Collect the labels that a network is trained with.

    Parameters
    ----------
    jets : Jets
        The jets, which bring the labels along.
    tasks : collection of {"origin", "vertex"}, or None
        Which of them are trained with; None for those that are known.

    Returns
    -------
    jets : Jets
        The jets, with these labels of their constituents and no others: "origin", as
        the place of the label among the known ones, negative where there is none;
        "vertex", negative for none; "heavy", whether a track is from heavy flavour,
        which only pairs of tracks need.
    origins : int64 array of shape (n_origins,)
        The known origins.

    Raises
    ------
    ValueError
        If labels are not integers, or are asked for and missing or all unknown.
    """
    found = {name: _find(jets, name) for name in _NAMES}
    known = {name: labels for name, labels in found.items() if labels is not None}
    if tasks is None:
        tasks = [name for name, labels in known.items() if (labels >= 0).any()]
    chosen: dict[str, NDArray] = {
        name: labels for name, labels in known.items() if name in tasks
    }
    missing = sorted(set(tasks) - set(chosen))
    if missing:
        raise ValueError(
            f"aux needs labels of tracks, but {missing} are neither given to fit nor "
            f"among the constituent_labels {sorted(jets.constituent_labels)}."
        )
    for name, labels in chosen.items():
        _require_known(labels, name)
    if "vertex" in chosen and "origin" in known:
        chosen["heavy"] = np.isin(known["origin"], _HEAVY)
    origins = np.arange(0)
    if "origin" in chosen:
        origins, chosen["origin"] = _number(chosen["origin"])
    return jets.replace(constituent_labels=chosen), origins


def pad_labels(jets: Jets, labels: NDArray) -> NDArray:
    """Write labels of tracks to a padded array.

    Parameters
    ----------
    jets : Jets
        The jets.
    labels : array of shape (n_tracks,)
        The labels, jet after jet.

    Returns
    -------
    array of shape (n_jets, max_tracks)
        The labels, with -1 where there is no track.
    """
    padded = np.full((len(jets), jets.counts.max()), _PADDING, labels.dtype)
    padded[_places(jets, padded.shape[1])] = labels
    return padded


def _find(jets: Jets, label: str) -> Labels | None:
    for name in _NAMES[label]:
        if name in jets.constituent_labels:
            labels = _integers(jets.constituent_labels[name], name)
            if labels.ndim != 1:
                raise ValueError(
                    f"{name} must hold one integer a track, got {labels.shape[1:]}."
                )
            return labels
    return None


def _table(given: ArrayLike, argument: str) -> Labels:
    try:
        table = np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"{argument} must be one array, with negative numbers behind the last "
            f"track of each jet: {error}"
        ) from error
    return _integers(table, argument)


def _flatten(jets: Jets, padded: NDArray, argument: str) -> NDArray:
    longest = jets.counts.max()
    if padded.ndim != 2 or len(padded) != len(jets) or padded.shape[1] < longest:
        raise ValueError(
            f"{argument} must have the shape ({len(jets)}, {longest}) or more columns, "
            f"one row a jet and one column a track; got {padded.shape}."
        )
    filled = _places(jets, padded.shape[1])
    if not (padded[~filled] < 0).all():
        raise ValueError(
            f"{argument} must be negative behind the last track of each jet. If tracks "
            "are padded in between, give both to Jets.from_padded."
        )
    return padded[filled]


def _places(jets: Jets, n_places: int) -> NDArray[np.bool_]:
    return np.arange(n_places) < jets.counts[:, None]


def _integers(labels: NDArray, name: str) -> Labels:
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold integers, got {labels.dtype}.")
    if not np.isfinite(labels).all() or (labels != np.rint(labels)).any():
        raise ValueError(f"{name} must hold integers, got NaN, infinity or fractions.")
    return labels.astype(np.int64)


def _require_known(labels: Labels, name: str) -> None:
    if not (labels >= 0).any():
        raise ValueError(f"{name} is negative, which means unknown, for all tracks.")


def _number(labels: Labels) -> tuple[Labels, Labels]:
    known = np.unique(labels[labels >= 0])
    return known, np.where(labels >= 0, np.searchsorted(known, labels), -1)


def linked_tracks(
    first: Labels, second: Labels, counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find the groups of linked tracks in every jet.

    Parameters
    ----------
    first, second : int64 arrays of shape (n_links,)
        Pairs of tracks of the same jet that are linked.
    counts : int64 array of shape (n_jets,)
        Number of tracks of each jet.

    Returns
    -------
    int64 array of shape (n_tracks,)
        Number of the group of each track.
    """
    n_tracks = counts.sum()
    links = coo_array((np.ones(len(first)), (first, second)), (n_tracks, n_tracks))
    return connected_components(links, directed=False)[1].astype(np.int64)


def number_groups(jets: Jets, group: Labels) -> Labels:
    """Give the groups of tracks in every jet new numbers.

    Parameters
    ----------
    jets : Jets
        The jets.
    group : int64 array of shape (n_tracks,)
        Group of each track, with different numbers within a jet.

    Returns
    -------
    int64 array of shape (n_tracks,)
        Groups 0, 1, ... of each jet, in the order of their first tracks.
    """
    pairs = np.stack([jets.jet_index, group])
    _, first, inverse = np.unique(pairs, axis=1, return_index=True, return_inverse=True)
    _, number = np.unique(first[inverse.ravel()], return_inverse=True)
    # The first track of a jet is that of its first group.
    return number - number[jets.offsets[:-1].repeat(jets.counts)]
