"""Labels of tracks: where they come from, and which vertex they belong to."""

from __future__ import annotations

from collections.abc import Collection

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


def label_tracks(
    jets: Jets,
    given: dict[str, ArrayLike | None],
    tasks: Collection[str] | None,
) -> tuple[Jets, Labels]:
    """Collect the labels that a network is trained with.

    Parameters
    ----------
    jets : Jets
        The jets, which may bring the labels along.
    given : dict of arrays of shape (n_jets, n_places) or None
        The labels "origin" and "vertex" that the user gave, which come first.
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
        If labels do not fit the jets, are not integers, or are asked for and missing.
    """
    known = {name: _find(jets, given[name], name) for name in _NAMES}
    chosen: dict[str, NDArray] = {
        name: labels
        for name, labels in known.items()
        if labels is not None and (tasks is None or name in tasks)
    }
    missing = sorted(set(tasks or ()) - set(chosen))
    if missing:
        raise ValueError(
            f"aux needs labels of tracks, but {missing} are neither given to fit nor "
            f"among the constituent_labels {sorted(jets.constituent_labels)}."
        )
    if "vertex" in chosen and known["origin"] is not None:
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


def _find(jets: Jets, given: ArrayLike | None, argument: str) -> Labels | None:
    if given is not None:
        return _integers(_flatten(jets, np.asarray(given), argument), argument)
    for name in _NAMES[argument]:
        if name in jets.constituent_labels:
            return _integers(jets.constituent_labels[name], name)
    return None


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
    if labels.ndim != 1 or labels.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold one integer a track, got {labels.dtype}.")
    if not np.array_equal(labels, np.rint(labels)):
        raise ValueError(f"{name} must hold integers, got NaN or fractions.")
    return labels.astype(np.int64)


def _number(labels: Labels) -> tuple[Labels, Labels]:
    known = np.unique(labels[labels >= 0])
    if not len(known):
        raise ValueError("origin is negative, which means unknown, for all tracks.")
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
        Groups 0, 1, ... of each jet, in the order of their first tracks.
    """
    n_tracks = counts.sum()
    links = coo_array((np.ones(len(first)), (first, second)), (n_tracks, n_tracks))
    # Groups are numbered as they are met, from the first track to the last one.
    _, group = connected_components(links, directed=False)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return (group - group[starts]).astype(np.int64)
