"""The energy mover's distance between events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from tqdm.auto import tqdm

from ._momenta import read_events
from ._transport import distance_power, transport

Array = NDArray[np.float64]
Convention = Literal["shaper", "energyflow"]

_TURN = 2 * np.pi
# Edge of the squares of pairs, and number of single pairs, that are one task.
_EDGE = 32
_N_PAIRS = 512


# The azimuths of the points lie within `reach` around `middle`, in radians.
class _Event(NamedTuple):
    total: float
    weights: Array
    points: Array
    middle: float
    reach: float


_Measure = Callable[[_Event, _Event], float]


def emd(
    X: Any,
    Y: Any,
    *,
    beta: float = 1.0,
    R: float = 1.0,
    norm: bool = False,
    convention: Convention = "shaper",
    n_jobs: int | None = None,
) -> Array:
    r"""Compute the energy mover's distance of each event to its partner.

    It is the least work that turns one event into the other,

    .. math::
        \min_\pi \sum_{ij} \pi_{ij} \frac{d_{ij}^\beta}{\beta R^\beta}
        + \left|E - E'\right|,

    where d is the distance of particles in the plane of rapidity and azimuth, the
    energies are transverse momenta, and the plan moves the smaller of the two
    energies. The transport is solved exactly.

    Parameters
    ----------
    X, Y : Jets, array-like, awkward.Array or list of arrays
        As many events each, as in `check_jets`. The constituents have the columns pt
        [GeV], y or eta, and phi [radians] first. Those with a pt of zero count for
        nothing.
    beta : float, default=1.0
        Power of the distance, at least 1.
    R : float, default=1.0
        Unit of the distance in radians: for ``beta=1``, to move energy by R costs as
        much as to lose it.
    norm : bool, default=False
        Whether to divide the energies by the total of their event, whereupon the
        distance has no unit.
    convention : {"shaper", "energyflow"}, default="shaper"
        "shaper" is the formula above [1]_. "energyflow" leaves out the factor 1 / beta
        [2]_, as the packages EnergyFlow and wasserstein do.
    n_jobs : int, default=None
        Number of threads; -1 is all processors. The numbers do not depend on it.

    Returns
    -------
    ndarray of shape (n,)
        Distances [GeV]. That to an empty event is the energy of the other one, or NaN
        for ``norm=True``.

    Raises
    ------
    TypeError
        If X or Y does not hold real numbers, or `beta` or `R` is none.
    ValueError
        If X or Y is not a sample of events, has negative transverse momenta, or their
        numbers of events differ, or a parameter is out of range.

    See Also
    --------
    pairwise_emd : Distances of all pairs.

    References
    ----------
    .. [1] D. Ba et al., "SHAPER: can you hear the shape of a jet?", JHEP 06 (2023) 195,
       arXiv:2302.12266.
    .. [2] P. T. Komiske, E. M. Metodiev and J. Thaler, "Metric Space of Collider
       Events", Phys. Rev. Lett. 123 (2019) 041801, arXiv:1902.02346.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import emd
    >>> one_prong = [[[100.0, 0.0, 0.0]]]
    >>> two_prongs = [[[60.0, 0.0, -0.2], [30.0, 0.0, 0.3]]]
    >>> emd(one_prong, two_prongs)
    array([31.])
    """
    measure = _make_measure(beta, R, convention)
    x, y = _read(X, norm), _read(Y, norm)
    if len(x) != len(y):
        raise ValueError(
            f"X has {len(x)} and Y {len(y)} events, but emd takes them in pairs; for "
            "all pairs use pairwise_emd."
        )
    chunks = (slice(i, i + _N_PAIRS) for i in range(0, len(x), _N_PAIRS))
    tasks = (delayed(_measure_partners)(x[c], y[c], measure) for c in chunks)
    return np.concatenate(list(_run(tasks, n_jobs)))


def pairwise_emd(
    X: Any,
    Y: Any | None = None,
    *,
    beta: float = 1.0,
    R: float = 1.0,
    norm: bool = False,
    convention: Convention = "shaper",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Array:
    """Compute the energy mover's distances of all pairs of events.

    Parameters
    ----------
    X : Jets, array-like, awkward.Array or list of arrays
        Events, as in `emd`.
    Y : Jets, array-like, awkward.Array or list of arrays, default=None
        Other events; X by default, whereupon each pair is computed once.
    beta : float, default=1.0
        Power of the distance, at least 1.
    R : float, default=1.0
        Unit of the distance in radians: for ``beta=1``, to move energy by R costs as
        much as to lose it.
    norm : bool, default=False
        Whether to divide the energies by the total of their event.
    convention : {"shaper", "energyflow"}, default="shaper"
        Whether the cost has the factor 1 / beta, see `emd`.
    n_jobs : int, default=None
        Number of threads; -1 is all processors. The numbers do not depend on it.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    ndarray of shape (n_x, n_y)
        Distances [GeV]; symmetric with zeros on the diagonal if Y is None. That to an
        empty event is the energy of the other one, or NaN for ``norm=True``.

    Raises
    ------
    TypeError
        If X or Y does not hold real numbers, or `beta` or `R` is none.
    ValueError
        If X or Y is not a sample of events or has negative transverse momenta, or a
        parameter is out of range.

    See Also
    --------
    emd : Distances of given pairs, with the definition.

    Notes
    -----
    For ``beta=1`` it is a metric if ``norm=True`` or no two particles are more than
    2 R apart. The matrix serves estimators with ``metric="precomputed"``.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import pairwise_emd
    >>> events = [[[10.0, 0.0, 0.0]], [[10.0, 0.3, 0.4]], [[12.0, 0.0, 0.0]]]
    >>> pairwise_emd(events)
    array([[0., 5., 2.],
           [5., 0., 7.],
           [2., 7., 0.]])
    """
    measure = _make_measure(beta, R, convention)
    x = _read(X, norm)
    y = x if Y is None else _read(Y, norm)
    tiles = list(_tiles(len(x), len(y), symmetric=Y is None))
    tasks = (
        delayed(_measure_within)(x[rows], measure)
        if Y is None and rows == columns
        else delayed(_measure_between)(x[rows], y[columns], measure)
        for rows, columns in tiles
    )
    blocks = tqdm(
        _run(tasks, n_jobs), total=len(tiles), unit="block", disable=not verbose
    )
    distances = np.empty((len(x), len(y)))
    for (rows, columns), block in zip(tiles, blocks, strict=True):
        distances[rows, columns] = block
        if Y is None:
            distances[columns, rows] = block.T
    return distances


# Return the distance of two events as a function.
def _make_measure(beta: float, R: float, convention: str) -> _Measure:
    check_scalar(beta, "beta", Real, min_val=1)
    check_scalar(R, "R", Real, min_val=0, include_boundaries="neither")
    for name, value in (("beta", beta), ("R", R)):
        if not np.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}.")
    if convention not in ("shaper", "energyflow"):
        raise ValueError(
            f"convention must be 'shaper' or 'energyflow', got {convention!r}."
        )
    unit = R**beta * (beta if convention == "shaper" else 1.0)
    return partial(_distance, beta=beta, unit=unit)


def _read(X: Any, norm: bool) -> list[_Event]:
    return [_make_event(particles, norm) for particles in read_events(X)]


def _make_event(particles: Array, norm: bool) -> _Event:
    if not len(particles):
        return _Event(np.nan if norm else 0.0, np.empty(0), np.empty((0, 2)), 0.0, 0.0)
    pt, phi = particles[:, 0], particles[:, 2]
    total = float(pt.sum())
    low, high = float(phi.min()), float(phi.max())
    return _Event(
        1.0 if norm else total,
        pt / total,
        np.ascontiguousarray(particles[:, 1:]),
        (low + high) / 2,
        (high - low) / 2,
    )


def _run(tasks: Iterable[Any], n_jobs: int | None) -> Iterator[Array]:
    # threads: the solver works without the lock of the interpreter
    return Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(tasks)


# Squares of pairs that cover the matrix, or its upper triangle.
def _tiles(n_x: int, n_y: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n_x, _EDGE):
        for k in range(i if symmetric else 0, n_y, _EDGE):
            yield slice(i, i + _EDGE), slice(k, k + _EDGE)


def _measure_partners(x: list[_Event], y: list[_Event], measure: _Measure) -> Array:
    return np.array([measure(a, b) for a, b in zip(x, y, strict=True)])


def _measure_between(x: list[_Event], y: list[_Event], measure: _Measure) -> Array:
    return np.array([[measure(a, b) for b in y] for a in x])


def _measure_within(x: list[_Event], measure: _Measure) -> Array:
    block = np.diag([a.total - a.total for a in x])  # NaN without a distribution
    for (i, a), (k, b) in combinations(enumerate(x), 2):
        block[i, k] = block[k, i] = measure(a, b)
    return block


def _distance(x: _Event, y: _Event, beta: float, unit: float) -> float:
    if not (len(x.weights) and len(y.weights)):
        return abs(x.total - y.total)
    heavy, light = (x, y) if x.total >= y.total else (y, x)
    cost = _ground_cost(light, heavy, beta)
    share = light.total / heavy.total
    weights = light.weights
    if share < 1:
        # what the lighter event lacks is moved for nothing
        weights = np.append(share * weights, 1 - share)
        cost = np.vstack([cost, np.zeros(len(heavy.weights))])
    work = _least_work(weights, heavy.weights, cost)
    return heavy.total * work / unit + (heavy.total - light.total)


# Distances to the power of beta, the shorter way round in azimuth.
def _ground_cost(x: _Event, y: _Event, beta: float) -> Array:
    gap = x.middle - y.middle
    turns = round(gap / _TURN)
    points = _turn(y.points, turns) if turns else y.points
    if abs(gap - turns * _TURN) + x.reach + y.reach <= np.pi:
        return distance_power(x.points, points, beta)
    ways = (_turn(points, turns) for turns in (-1, 0, 1))
    return np.minimum.reduce([distance_power(x.points, way, beta) for way in ways])


def _turn(points: Array, turns: int) -> Array:
    return points + np.array([0.0, turns * _TURN])


# The solver is a fifth faster with the longer event, softest particles first, as rows.
def _least_work(x: Array, y: Array, cost: Array) -> float:
    if len(x) < len(y):
        x, y, cost = y, x, cost.T
    return transport(x, y, cost).cost
