"""Corrections of data by the balance of pairs, and what they may depend on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._event_pairs import Pairs
from ._balance import BalanceSample, Leakage, fit_balance
from ._calibration_sample import CalibrationSample
from ._insitu import InsituCorrection
from ._jet_table import JetTable

Array = NDArray[np.float64]

MIN_PAIRS = 20
# Simulated pairs that are enough to measure what features leak.
_LEAKAGE_PAIRS = 20_000
# A feature whose values agree in this part of the pairs is one of the event.
_COMMON = 0.99


@dataclass(frozen=True)
class InsituSettings:
    """Parameters of `AsymmetryJERRegressor` of the same names."""

    pair_features: Sequence[int | str] | str
    max_leakage: float
    subtract_simulation: bool
    max_correction: float
    width_delta: float


class InsituFit(NamedTuple):
    """A correction, and what is known of it.

    Attributes
    ----------
    correction : InsituCorrection or None
        The correction; None if no feature may be used.
    columns : list of int
        Columns of X that it depends on.
    leakage : float
        Part of the true imbalance that they explain.
    feature_leakage : dict of int to float
        That of single columns.
    gain : float
        Part of the imbalance of data that the fit to data explains.
    """

    correction: InsituCorrection | None
    columns: list[int]
    leakage: float
    feature_leakage: dict[int, float]
    gain: float


def fit_insitu(
    sample: CalibrationSample,
    pairs: Pairs,
    table: JetTable,
    log_pt: Array,
    settings: InsituSettings,
) -> InsituFit | None:
    """Fit a correction of data.

    Parameters
    ----------
    sample : CalibrationSample
        Jets of simulation and of data.
    pairs : Pairs
        Rows of their pairs.
    table : JetTable
        What reads features.
    log_pt : array of shape (n_jets,)
        Logarithms of calibrated momenta.
    settings : InsituSettings
        What may be corrected.

    Returns
    -------
    InsituFit or None
        The correction; None if there are no pairs of data.

    Raises
    ------
    ValueError
        If simulated pairs are needed, but there are none, or features leak too much.

    Warns
    -----
    UserWarning
        If there are no pairs of data, or if features leak.
    """
    data = pairs.select(~sample.labelled)
    simulated = pairs.select(sample.labelled)
    if len(data.first) < MIN_PAIRS:
        warnings.warn(
            f"there are unlabelled jets, but only {len(data.first)} pairs of them (of "
            f"{MIN_PAIRS} needed): no correction by asymmetries. Give events as "
            "event_id, or leave unlabelled jets out.",
            UserWarning,
            stacklevel=4,
        )
        return None
    if settings.subtract_simulation and len(simulated.first) < MIN_PAIRS:
        raise ValueError(
            f"there are only {len(simulated.first)} simulated pairs (of {MIN_PAIRS} "
            "needed) to subtract: give their events as event_id, or set "
            "subtract_simulation=False and name pair_features of the detector."
        )
    features = table.table(sample.jets)
    chosen, leakage, single = _choose(
        sample, table, features, simulated, data, settings
    )
    names = [table.columns[column] for column in chosen]
    by_column = {table.columns[k]: value for k, value in single.items()}
    if not chosen:
        return InsituFit(None, names, leakage, by_column, 0.0)

    def balance(chosen_pairs: Pairs) -> BalanceSample:
        weight = sample.pair_weight(chosen_pairs)
        return BalanceSample.of(features[:, chosen], log_pt, chosen_pairs, weight)

    fit = fit_balance(balance(data), settings.width_delta)
    correction = InsituCorrection(chosen, settings.max_correction, fit)
    if settings.subtract_simulation:
        other = fit_balance(balance(simulated), settings.width_delta)
        correction = InsituCorrection(chosen, settings.max_correction, fit, other)
    rows = data.rows
    correction = correction.centred(log_pt[rows], features[rows], sample.weight[rows])
    return InsituFit(correction, names, leakage, by_column, fit.explained)


# Columns of the table to use, what they leak, and what every column leaks.
def _choose(
    sample: CalibrationSample,
    table: JetTable,
    features: Array,
    simulated: Pairs,
    data: Pairs,
    settings: InsituSettings,
) -> tuple[list[int], float, dict[int, float]]:
    automatic = isinstance(settings.pair_features, str)
    if automatic:
        usable = ~_common(features, data) & ~table.is_energy
        candidates = [int(column) for column in np.flatnonzero(usable)]
    else:
        candidates = table.find(list(settings.pair_features), "pair_features")
    if len(simulated.first) < MIN_PAIRS:
        if automatic:
            raise ValueError(
                "pair_features='auto' needs simulated pairs to measure leakage with: "
                "give their events as event_id, or name the features."
            )
        return candidates, np.nan, {}
    part = Pairs(simulated.first[:_LEAKAGE_PAIRS], simulated.second[:_LEAKAGE_PAIRS])
    balance = BalanceSample.of(
        features, np.log(sample.true_pt), part, sample.pair_weight(part)
    )
    leakage = Leakage(balance, settings.width_delta)
    single = {column: leakage.of([column]) for column in range(features.shape[1])}
    if automatic:
        candidates = leakage.harmless(candidates, settings.max_leakage)
    total = leakage.of(candidates)
    if total > settings.max_leakage:
        _object(total, settings)
    return candidates, total, single


# Which features are those of the event: they do not tell its two jets apart.
def _common(features: Array, pairs: Pairs) -> NDArray[np.bool_]:
    equal = features[pairs.first] == features[pairs.second]
    return np.asarray(equal.mean(axis=0) > _COMMON)


def _object(leakage: float, settings: InsituSettings) -> None:
    message = (
        f"pair_features explain {leakage:.3f} of the squared true imbalance of "
        f"simulated events, more than max_leakage = {settings.max_leakage:g}: they "
        "tell which jet of an event radiated more."
    )
    if not settings.subtract_simulation:
        raise ValueError(
            f"{message} With subtract_simulation=False the correction would make jets "
            "worse."
        )
    warnings.warn(message, UserWarning, stacklevel=6)
