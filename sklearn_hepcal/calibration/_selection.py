"""Choice between maps by rows that they were not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..metrics import ClosureAUC, closure_auc
from ._conditions import rebalance
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
    """

    name: str
    map: GradientMap
    gains: dict[str, tuple[float, float]]


def select_map(
    fitters: dict[str, Fitter],
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
    maps are fitted to the rest. Fewer rows are cross-validated, and the map is then
    fitted to all.

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
        splits = list(_folds(source, target, min(_N_FOLDS, size), rng))
    else:
        splits = [hold_out(source, target, validation_fraction, rng)]
    terms: dict[str, list[DualTerms]] = {name: [] for name in fitters}
    moved: dict[str, list[Sample]] = {name: [] for name in fitters}
    maps: dict[str, GradientMap] = {}
    failures: dict[str, np.linalg.LinAlgError] = {}
    for part_x, part_y, held_out in splits:
        for name, fitter in fitters.items():
            try:
                maps[name] = fitter(part_x, part_y, held_out)
            except np.linalg.LinAlgError as error:
                failures[name] = error
                terms[name].append(_undetermined(*held_out))
            else:
                terms[name].append(dual_terms(maps[name], *held_out))
                moved[name].append(_move(maps[name], *held_out))
    for name, failure in failures.items():
        if name not in maps:
            raise failure
    gains = compare_gains({name: _pool(parts) for name, parts in terms.items()})
    tied = within_error(gains)
    data = [held_out[1] for _, _, held_out in splits]
    chosen = simplest_that_closes({name: moved[name] for name in tied}, data, rng)
    if refit:
        maps[chosen] = fitters[chosen](source, target, None)
    return Selection(chosen, maps[chosen], gains)


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


def _pool(parts: list[DualTerms]) -> DualTerms:
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


def within_error(gains: dict[str, tuple[float, float]]) -> list[str]:
    """Find the maps that are not significantly worse than the best.

    Parameters
    ----------
    gains : dict of (float, float)
        What `compare_gains` returned, the simplest map first.

    Returns
    -------
    list of str
        Names of the maps whose gain is within one standard error of the largest.
    """
    largest = max(gain for gain, _ in gains.values() if np.isfinite(gain))
    return [n for n, (gain, error) in gains.items() if largest - gain <= error]


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
    if len(moved) == 1 or not _can_judge(moved[simplest]) or not _can_judge(data):
        return simplest
    seed = rng.randint(np.iinfo(np.int32).max)
    closures = {name: _closure(parts, data, seed) for name, parts in moved.items()}
    best = min(closures.values())
    return next(
        name
        for name, (auc, error) in closures.items()
        if auc - best.auc <= _CLOSURE_ERRORS * np.hypot(error, best.error)
    )


def _move(candidate: GradientMap, source: Sample, target: Sample) -> Sample:
    source = rebalance(source, target)
    return source._replace(x=candidate.forward(source.x, source.h))


# A classifier needs rows, and no weights below zero.
def _can_judge(parts: list[Sample]) -> bool:
    weights = np.concatenate([part.w for part in parts])
    return len(weights) >= _CLOSURE_ROWS and bool((weights >= 0).all())


def _closure(moved: list[Sample], data: list[Sample], seed: int) -> ClosureAUC:
    (sim, sim_weight), (real, real_weight) = (
        (
            np.concatenate([np.hstack([part.x, part.h]) for part in parts]),
            np.concatenate([part.w for part in parts]),
        )
        for parts in (moved, data)
    )
    return closure_auc(
        sim,
        real,
        sample_weight_sim=sim_weight,
        sample_weight_data=real_weight,
        random_state=seed,
    )
