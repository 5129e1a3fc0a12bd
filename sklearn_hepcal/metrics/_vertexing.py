"""Efficiency and purity of vertices that a tagger finds among the tracks of jets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._sample_statistics import check_count
from ._tagging import Estimate
from ._validation import Array, check_weights

Integers = NDArray[np.intp]
_PRIMARY = 0


class VertexFinding(NamedTuple):
    """How well the vertices of jets are found.

    Attributes
    ----------
    efficiency : Estimate
        Part of the true vertices that are matched; the error is NaN, as the value, if
        there are none.
    purity : Estimate
        Part of the found vertices that are matched; the rest are fakes.
    track_efficiency : Estimate
        Part of the tracks of matched true vertices that are in the matched found one.
    track_purity : Estimate
        Part of the tracks of matched found vertices that are in the matched true one.
    n_true, n_found, n_matched : ndarray of int, shape (n_jets,)
        Numbers of vertices in each jet.
    """

    efficiency: Estimate[float]
    purity: Estimate[float]
    track_efficiency: Estimate[float]
    track_purity: Estimate[float]
    n_true: Integers
    n_found: Integers
    n_matched: Integers


class _Vertices(NamedTuple):
    """All vertices of a sample, and to which one each track belongs."""

    of_track: Integers  # -1 for tracks of none; shape of the input, flattened
    jet: Integers
    label: Integers
    size: Integers


class _Pairs(NamedTuple):
    """Pairs of a true and a found vertex with tracks in common."""

    true: Integers
    found: Integers
    overlap: Integers

    def take(self, rows: Integers) -> _Pairs:
        return _Pairs(*(column[rows] for column in self))


def vertex_efficiency_purity(
    true: ArrayLike,
    found: ArrayLike,
    *,
    min_tracks: int = 2,
    min_efficiency: float = 0.65,
    min_purity: float = 0.5,
    ignore_primary: bool = False,
    sample_weight: ArrayLike | None = None,
) -> VertexFinding:
    """Match found to true vertices, and measure efficiencies and purities.

    A true and a found vertex may be matched if enough tracks of the true one are in the
    found one (`min_efficiency`) and the other way round (`min_purity`). Matches are
    made one to one, in each jet the pair with the most common tracks first; then the
    one with the smaller true vertex, the smaller found vertex, the smaller true and
    found index. The default requirements and, for them, the matches are those of puma
    [1]_.

    Parameters
    ----------
    true : array-like of int, shape (n_jets, n_tracks)
        Index of the true vertex of each track; negative for none and for padding.
    found : array-like of int, shape (n_jets, n_tracks)
        Index of the found vertex of each track; negative for none and for padding.
    min_tracks : int, default=2
        Number of tracks that make a vertex. Smaller ones do not count.
    min_efficiency : float, default=0.65
        Least part of the tracks of the true vertex that must be common ones.
    min_purity : float, default=0.5
        Least part of the tracks of the found vertex that must be common ones.
    ignore_primary : bool, default=False
        Leave out the true vertex of index 0, and one found vertex in each jet: of those
        that have at least the part `min_purity` of their tracks from it, the one with
        the most. False treats the primary vertex like the others.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Weights of the jets, possibly signed, with a positive sum.

    Returns
    -------
    VertexFinding
        Ratios of weighted sums over jets with their errors, and the numbers of vertices
        in each jet. An error is ``sqrt(sum w^2 (k - e n)^2) / sum w n`` for k of n
        objects in a jet: the binomial one if every jet has one object.

    Raises
    ------
    TypeError
        If indices or `min_tracks` are not integers.
    ValueError
        If the shapes differ, or another argument is out of its range.

    References
    ----------
    .. [1] puma, https://github.com/umami-hep/puma

    Examples
    --------
    >>> from sklearn_hepcal.metrics import vertex_efficiency_purity
    >>> true = [[0, 0, 1, 1, 1, -1], [0, 0, 0, 1, 1, -1]]
    >>> found = [[4, 4, 7, 7, -1, -1], [2, 2, 2, 2, 2, -1]]
    >>> result = vertex_efficiency_purity(true, found)
    >>> result.efficiency.value, result.purity.value
    (0.75, 1.0)
    >>> result.n_matched
    array([2, 1])
    """
    true_index, found_index = _check_indices(true, found)
    n_jets = len(true_index)
    weights = check_weights(sample_weight, n_jets, "sample_weight", signed=True)
    check_count(min_tracks, "min_tracks", 1)
    _check_part(min_efficiency, "min_efficiency")
    _check_part(min_purity, "min_purity")

    truth, reco = _build(true_index, min_tracks), _build(found_index, min_tracks)
    pairs = _pairs(truth, reco)
    efficient = pairs.overlap / truth.size[pairs.true] >= min_efficiency
    pure = pairs.overlap / reco.size[pairs.found] >= min_purity
    keep_true, keep_found = np.ones_like(truth.jet, bool), np.ones_like(reco.jet, bool)
    if ignore_primary:
        keep_true = truth.label != _PRIMARY
        mostly_primary = pairs.take(np.flatnonzero(pure & ~keep_true[pairs.true]))
        keep_found[_first_of_jet(mostly_primary, reco)] = False
    kept = keep_true[pairs.true] & keep_found[pairs.found]
    matched = _match(pairs.take(np.flatnonzero(efficient & pure & kept)))

    jets = truth.jet[matched.true]
    n_true = np.bincount(truth.jet[keep_true], minlength=n_jets)
    n_found = np.bincount(reco.jet[keep_found], minlength=n_jets)
    n_matched = np.bincount(jets, minlength=n_jets)
    common, of_true, of_found = (
        np.bincount(jets, counts, n_jets)
        for counts in (
            matched.overlap,
            truth.size[matched.true],
            reco.size[matched.found],
        )
    )
    return VertexFinding(
        _ratio(n_matched, n_true, weights),
        _ratio(n_matched, n_found, weights),
        _ratio(common, of_true, weights),
        _ratio(common, of_found, weights),
        n_true,
        n_found,
        n_matched,
    )


def _check_indices(true: ArrayLike, found: ArrayLike) -> tuple[Integers, Integers]:
    arrays = []
    for name, values in (("true", true), ("found", found)):
        array = np.asarray(values)
        if array.ndim != 2 or len(array) == 0:
            raise ValueError(
                f"{name} must have the shape (n_jets, n_tracks), got {array.shape}."
            )
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"{name} must hold integers, got {array.dtype}.")
        arrays.append(array)
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(
            "true and found must have the same shape, got "
            f"{arrays[0].shape} and {arrays[1].shape}."
        )
    return arrays[0], arrays[1]


def _check_part(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}.")


# Vertices in the order of jets and indices.
def _build(indices: Integers, min_tracks: int) -> _Vertices:
    jet, track = np.nonzero(indices >= 0)
    # Dense numbers of the indices, which may be any integers.
    names, number = np.unique(indices[jet, track], return_inverse=True)
    keys, vertex, size = np.unique(
        jet * len(names) + number, return_inverse=True, return_counts=True
    )
    large = size >= min_tracks
    position = np.where(large, np.cumsum(large) - 1, -1)
    of_track = np.full(indices.shape, -1)
    of_track[jet, track] = position[vertex]
    keys = keys[large]
    return _Vertices(
        of_track.ravel(),
        keys // max(len(names), 1),
        names[keys % max(len(names), 1)],
        size[large],
    )


# Pairs in the order in which they are matched.
def _pairs(truth: _Vertices, reco: _Vertices) -> _Pairs:
    both = (truth.of_track >= 0) & (reco.of_track >= 0)
    n_reco = max(len(reco.size), 1)
    keys, overlap = np.unique(
        truth.of_track[both] * n_reco + reco.of_track[both], return_counts=True
    )
    pairs = _Pairs(keys // n_reco, keys % n_reco, overlap)
    order = np.lexsort((reco.size[pairs.found], truth.size[pairs.true], -pairs.overlap))
    return pairs.take(order)


# The found vertex of the first pair in each jet, the one with the most common tracks.
def _first_of_jet(pairs: _Pairs, reco: _Vertices) -> Integers:
    _, first = np.unique(reco.jet[pairs.found], return_index=True)
    return pairs.found[first]


# Take the first pair, drop those that share a vertex with it, and so on. A pair that is
# the first one of both its vertices can be taken before its turn.
def _match(pairs: _Pairs) -> _Pairs:
    taken = [pairs.take(np.arange(0))]
    while len(pairs.overlap):
        first = np.full((2, len(pairs.overlap)), False)
        for side, vertices in enumerate((pairs.true, pairs.found)):
            first[side, np.unique(vertices, return_index=True)[1]] = True
        taken.append(pairs.take(np.flatnonzero(first.all(axis=0))))
        used = np.isin(pairs.true, taken[-1].true)
        used |= np.isin(pairs.found, taken[-1].found)
        pairs = pairs.take(np.flatnonzero(~used))
    return _Pairs(*(np.concatenate(columns) for columns in zip(*taken, strict=True)))


# Part of the objects of all jets that count, and its error for independent jets.
def _ratio(
    counted: Array | Integers, objects: Array | Integers, weights: Array
) -> Estimate[float]:
    total = float(weights @ objects)
    if total <= 0:
        return Estimate(np.nan, np.nan)
    value = float(weights @ counted) / total
    error = np.sqrt(np.sum(weights**2 * (counted - value * objects) ** 2)) / total
    return Estimate(value, float(error))
