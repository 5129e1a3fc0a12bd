"""Choice between maps by rows that they were not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..metrics import ClosureAUC, closure_auc
from ._conditions import rebalance
from ._convex_map import ConvexMap
from ._maps import Array, GradientMap, IdentityMap, Sample

# Rows of each side from which one held-out part is precise enough; fewer are
# cross-validated.
HOLD_OUT_ROWS = 10_000
_N_FOLDS = 5
_MIN_ROWS = 3
# Held-out rows of each side from which a classifier has a say, and the standard errors
# by which it must tell a map worse.
_CLOSURE_ROWS = 1_000
_CLOSURE_ERRORS = 3.0

# Parts of a network's way from the Gaussian map that a small sample may keep.
_STRENGTHS = (0.25, 0.5, 0.75, 1.0)
# Standard errors by which a simpler map may be worse than the best; the Gaussian one if
# the best is a part of a network's, which is no leap from it.
_ERRORS = 1.0
_ERRORS_OF_PARTS = 0.5

# Fits a map to simulation and data; a third argument brings held-out rows of both.
Fitter = Callable[[Sample, Sample, tuple[Sample, Sample] | None], GradientMap]


class Selection(NamedTuple):
    """A map and how it did on rows that it was not fitted to.

    Attributes
    ----------
    name : str
        Name of the map.
    map : GradientMap
        The map.
    gains : dict of (float, float)
        Gain of every map over the identity, and the standard error of its difference
        to the best map's.
    strength : float
        Part that was kept of the way from the Gaussian map to a network's.
    """

    name: str
    map: GradientMap
    gains: dict[str, tuple[float, float]]
    strength: float = 1.0


def select_map(
    fitters: Mapping[str, Fitter],
    source: Sample,
    target: Sample,
    *,
    validation_fraction: float,
    rng: np.random.RandomState,
) -> Selection:
    """Fit several maps and keep the simplest that is not significantly worse.

    Worse is a lower gain of the semi-dual. It hardly feels what happens across narrow
    ridges of the data; so of maps with the same gain within its error, one is worse too
    if a classifier tells what it moves from data significantly better than what another
    one moves.

    With at least `HOLD_OUT_ROWS` rows a side, one part of them is held out and the
    maps are fitted to the rest. Fewer rows are cross-validated, networks at several
    strengths, and the map is then fitted to all.

    Parameters
    ----------
    fitters : dict of callables
        What fits each map, the simplest first.
    source, target : Sample
        Simulation and data.
    validation_fraction : float
        Part to hold out.
    rng : RandomState
        Draws the folds.

    Returns
    -------
    Selection
        The map kept.

    Raises
    ------
    ValueError
        If a side has fewer than three rows, or no part of the rows determines a map.
    """
    size = min(len(source.x), len(target.x))
    if size < _MIN_ROWS:
        raise ValueError(
            f"too few rows to compare maps: simulation and data need {_MIN_ROWS} each, "
            f"but got n_samples = {len(source.x)} and {len(target.x)}."
        )
    refit = size < HOLD_OUT_ROWS
    if refit:
        splits = _folds(source, target, min(_N_FOLDS, size), rng)
    else:
        splits = iter([hold_out(source, target, validation_fraction, rng)])
    trials: dict[str, list[_Trial]] = {name: [] for name in fitters}
    parts: list[tuple[Sample, Sample]] = []
    for part_x, part_y, held_out in splits:
        parts.append((held_out[0].load(), held_out[1].load()))
        for name, fitter in fitters.items():
            trials[name].append(_try(fitter, part_x, part_y, parts[-1], refit))
    for tried in trials.values():
        failures = [trial.failure for trial in tried if trial.failure]
        if len(failures) == len(tried):
            raise failures[-1]
    strengths = {name: _best_strength(tried) for name, tried in trials.items()}
    terms = {name: _pool(tried, strengths[name]) for name, tried in trials.items()}
    gains = compare_gains(terms)
    eligible = within_error(gains, parts=refit)
    moved = {
        name: [
            _move(trial.versions[strengths[name]], *held_out)
            for trial, held_out in zip(trials[name], parts, strict=True)
        ]
        for name in eligible
    }
    chosen = simplest_that_closes(moved, [data for _, data in parts], rng)
    strength = strengths[chosen]
    if refit:
        fitted = shrunk(fitters[chosen](source, target, None), strength)
    else:
        fitted = trials[chosen][-1].versions[strength]
    return Selection(chosen, fitted, gains, strength)


# A map, at one or more strengths, and its terms of the semi-dual on held-out rows; or
# why the rows did not determine it.
class _Trial(NamedTuple):
    versions: dict[float, GradientMap]
    terms: dict[float, DualTerms]
    failure: np.linalg.LinAlgError | None = None


def _try(
    fitter: Fitter,
    source: Sample,
    target: Sample,
    held_out: tuple[Sample, Sample],
    shrink: bool,
) -> _Trial:
    try:
        fitted = fitter(source, target, held_out)
    except np.linalg.LinAlgError as error:
        return _Trial({}, {1.0: _undetermined(*held_out)}, error)
    strengths = _STRENGTHS if shrink and isinstance(fitted, ConvexMap) else (1.0,)
    versions = {s: shrunk(fitted, s) for s in strengths}
    return _Trial(versions, {s: dual_terms(m, *held_out) for s, m in versions.items()})


def shrunk(fitted: Any, strength: float) -> Any:
    """Go a part of the way from the Gaussian map to a network's; other maps stay.

    Parameters
    ----------
    fitted : map
        Any map.
    strength : float
        The part.

    Returns
    -------
    map
        The map.
    """
    if isinstance(fitted, ConvexMap) and strength < 1.0:
        return fitted.shrunk(strength)
    return fitted


def _best_strength(tried: list[_Trial]) -> float:
    common = set.intersection(*(set(trial.terms) for trial in tried))
    return max(
        sorted(common),
        key=lambda s: np.nan_to_num(_pool(tried, s).gain()[0], nan=-1e300),
    )


def hold_out(
    source: Sample, target: Sample, fraction: float, rng: np.random.RandomState
) -> tuple[Sample, Sample, tuple[Sample, Sample]]:
    """Set rows of both samples aside.

    Parameters
    ----------
    source, target : Sample
        Simulation and data.
    fraction : float
        Part of the rows to set aside.
    rng : RandomState
        Draws them.

    Returns
    -------
    source, target : Sample
        The rows that remain.
    held_out : tuple of Sample
        The others.
    """
    test = [
        rng.permutation(len(sample.x))[: max(1, round(fraction * len(sample.x)))]
        for sample in (source, target)
    ]
    return _set_aside(source, target, *test)


# The parts of a cross-validation, as `hold_out` gives one.
def _folds(
    source: Sample, target: Sample, n_folds: int, rng: np.random.RandomState
) -> Iterator[tuple[Sample, Sample, tuple[Sample, Sample]]]:
    parts = [
        np.array_split(rng.permutation(len(sample.x)), n_folds)
        for sample in (source, target)
    ]
    for test in zip(*parts, strict=True):
        yield _set_aside(source, target, *test)


def _set_aside(
    source: Sample, target: Sample, test_x: NDArray[np.intp], test_y: NDArray[np.intp]
) -> tuple[Sample, Sample, tuple[Sample, Sample]]:
    fit_x = np.setdiff1d(np.arange(len(source.x)), test_x)
    fit_y = np.setdiff1d(np.arange(len(target.x)), test_y)
    return (
        source.take(fit_x),
        target.take(fit_y),
        (
            source.take(np.sort(test_x)),
            target.take(np.sort(test_y)),
        ),
    )


class DualTerms(NamedTuple):
    """Terms of the semi-dual, less those of the identity, row by row.

    Attributes
    ----------
    source, target : arrays of shape (n_source,), (n_target,)
        ``psi(x) - |x|^2 / 2`` and ``psi*(y) - |y|^2 / 2``.
    source_weight, target_weight : arrays of shape (n_source,), (n_target,)
        Weights of the rows.
    """

    source: Array
    target: Array
    source_weight: Array
    target_weight: Array

    def gain(self) -> tuple[float, float]:
        """How much lower than the identity's the semi-dual is, and its error."""
        mean, variance = 0.0, 0.0
        for value, weight in (
            (self.source, self.source_weight),
            (self.target, self.target_weight),
        ):
            average = weight @ value / weight.sum()
            mean -= average
            variance += (weight**2 @ (value - average) ** 2) / weight.sum() ** 2
        return float(mean), float(np.sqrt(variance))

    def minus(self, other: DualTerms) -> DualTerms:
        """Terms of the difference to another map, on the same rows."""
        return self._replace(
            source=self.source - other.source, target=self.target - other.target
        )


def dual_terms(candidate: GradientMap, source: Sample, target: Sample) -> DualTerms:
    """Evaluate the terms of the semi-dual of a map.

    Parameters
    ----------
    candidate : GradientMap
        The map.
    source, target : Sample
        Rows of simulation and data.

    Returns
    -------
    DualTerms
        The terms, less those of the identity.
    """
    identity = IdentityMap()
    source = rebalance(source, target)
    return DualTerms(
        candidate.potential(source.x, source.h)
        - identity.potential(source.x, source.h),
        candidate.conjugate(target.x, target.h)
        - identity.conjugate(target.x, target.h),
        source.w,
        target.w,
    )


# Terms of a map that a part of few rows could not determine: it is not selected.
def _undetermined(source: Sample, target: Sample) -> DualTerms:
    return DualTerms(
        np.full(len(source.x), np.nan),
        np.full(len(target.x), np.nan),
        source.w,
        target.w,
    )


def _pool(tried: list[_Trial], strength: float) -> DualTerms:
    parts = [trial.terms[strength] for trial in tried]
    return DualTerms(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def compare_gains(terms: dict[str, DualTerms]) -> dict[str, tuple[float, float]]:
    """Gain of every map over the identity, with the error that decides.

    Parameters
    ----------
    terms : dict of DualTerms
        Held-out terms of every map, on the same rows.

    Returns
    -------
    dict of (float, float)
        The gain, and the standard error of its difference to the largest one.
    """
    gains = {name: part.gain()[0] for name, part in terms.items()}
    # A map that diverged has no finite gain, and must not be the measure of others.
    best = terms[max(gains, key=lambda name: np.nan_to_num(gains[name], nan=-np.inf))]
    return {
        name: (gains[name], best.minus(part).gain()[1]) for name, part in terms.items()
    }


def within_error(
    gains: dict[str, tuple[float, float]], *, parts: bool = False
) -> list[str]:
    """Find the maps that are not significantly worse than the best.

    Parameters
    ----------
    gains : dict of (float, float)
        What `compare_gains` returned, the simplest map first.
    parts : bool
        Whether a network's map may be kept in part.

    Returns
    -------
    list of str
        Names of the maps whose gain is within one standard error of the largest. Half
        of it, for the Gaussian map beside parts of a network's.
    """
    largest = max(gain for gain, _ in gains.values() if np.isfinite(gain))
    continuous = parts and "picnn" in gains
    return [
        name
        for name, (gain, error) in gains.items()
        if largest - gain
        <= error * (_ERRORS_OF_PARTS if continuous and name == "bures" else _ERRORS)
    ]


def simplest_that_closes(
    moved: dict[str, list[Sample]], data: list[Sample], rng: np.random.RandomState
) -> str:
    """Choose the simplest map that classifiers do not find worse than another.

    Parameters
    ----------
    moved : dict of lists of Sample
        Held-out simulation as each map moves it, in parts; the simplest map first.
    data : list of Sample
        Held-out data of the same parts.
    rng : RandomState
        Seeds the classifiers.

    Returns
    -------
    str
        Name of the map.
    """
    simplest = next(iter(moved))
    if len(moved) == 1 or min(_n_rows(data), _n_rows(moved[simplest])) < _CLOSURE_ROWS:
        return simplest
    seed = rng.randint(np.iinfo(np.int32).max)
    closures = {name: _closure(parts, data, seed) for name, parts in moved.items()}
    best = min(closures.values())
    return next(
        name
        for name, (auc, error) in closures.items()
        if auc - best.auc <= _CLOSURE_ERRORS * np.hypot(error, best.error)
    )


def closure_of(candidate: Any, source: Sample, target: Sample) -> ClosureAUC:
    """Tell what a map makes of simulation from data, by a classifier.

    Parameters
    ----------
    candidate : map
        Anything with the method ``forward(x, h)``.
    source, target : Sample
        Rows of both that it was not fitted to.

    Returns
    -------
    ClosureAUC
        The area under the ROC curve, and its error.
    """
    return _closure([_move(candidate, source, target)], [target], 0)


def _move(candidate: Any, source: Sample, target: Sample) -> Sample:
    source = rebalance(source, target)
    return source._replace(x=candidate.forward(source.x, source.h))


def _n_rows(parts: list[Sample]) -> int:
    return sum(len(part.w) for part in parts)


# Rows of negative weight go to the other side, with positive weight: moved simulation
# and background together are to look like data.
def _closure(moved: list[Sample], data: list[Sample], seed: int) -> ClosureAUC:
    first, second = _table(moved), _table(data)
    rows, weight = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    is_data = np.arange(len(rows)) >= len(first[0])
    is_data ^= weight < 0
    return closure_auc(
        rows[~is_data],
        rows[is_data],
        sample_weight_sim=np.abs(weight[~is_data]),
        sample_weight_data=np.abs(weight[is_data]),
        random_state=seed,
    )


# Coordinates and basis functions in one table, and weights with a sum of one.
def _table(parts: list[Sample]) -> tuple[Array, Array]:
    rows = np.concatenate([np.hstack([part.x, part.h]) for part in parts])
    weight = np.concatenate([part.w for part in parts])
    return rows, weight / weight.sum()
