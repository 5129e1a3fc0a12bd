from itertools import pairwise

import numpy as np
import pytest

from sklearn_hepcal._event_pairs import Pairs
from sklearn_hepcal.regression import _balance
from sklearn_hepcal.regression._balance import (
    BalanceFit,
    BalanceSample,
    Leakage,
    fit_balance,
)
from sklearn_hepcal.regression._hinges import Hinges
from sklearn_hepcal.regression._insitu import InsituCorrection
from sklearn_hepcal.regression._log_bins import LogBins, typical_width

DELTA = 1.5
SEEDS = pytest.mark.parametrize("seed", range(3))
# Of the balance, without what features explain.
NOISE = 0.12


def response(log_pt, u):
    """An additive error of jets: straight, bent and rising with momentum."""
    bent = 0.05 * np.abs(u[:, 1])
    return 0.06 * u[:, 0] + bent + 0.03 * u[:, 2] * (log_pt - 5.5)


def make_pairs(n=4000, seed=0, error=response):
    """Jets of four features, the last of which tells nothing, and their pairs."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(2 * n, 4))
    pair_pt = rng.uniform(4, 7, n)
    true = np.repeat(pair_pt, 2) + NOISE / np.sqrt(2) * rng.normal(size=2 * n)
    log_pt = true + error(np.repeat(pair_pt, 2), u)
    return u, log_pt, Pairs(np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2))


def make_balance(n=4000, seed=0, weight=None, **arguments):
    u, log_pt, pairs = make_pairs(n, seed, **arguments)
    weight = np.ones(n) if weight is None else weight
    return BalanceSample.of(u, log_pt, pairs, weight)


def constant(log_pt, u):
    return np.zeros(len(u))


def counts(bins, log_pt):
    return np.bincount(bins.place(log_pt), minlength=bins.n_bins)


@SEEDS
def test_bins_are_equal_until_they_are_joined(seed):
    rng = np.random.default_rng(seed)
    log_pt = rng.uniform(4, 8, 5000)
    bins = LogBins(log_pt)
    np.testing.assert_allclose(np.diff(bins.edges), np.ptp(log_pt) / 12, rtol=1e-6)
    steep = 4 + rng.exponential(0.5, 5000)
    joined = LogBins(steep)
    assert 4 < joined.n_bins < 12
    # Every edge is one of the equal bins.
    steps = (joined.edges - steep.min()) / np.ptp(steep) * 12
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)


@pytest.mark.parametrize("min_rows", [1, 20, 100])
@pytest.mark.parametrize("n", [10, 150, 1000])
def test_every_bin_has_enough_entries(n, min_rows):
    log_pt = 4 + np.random.default_rng(n).exponential(0.5, n)
    bins = LogBins(log_pt, min_rows=min_rows)
    assert bins.n_bins == len(bins.edges) - 1
    assert bins.n_bins == 1 or counts(bins, log_pt).min() >= min_rows
    assert counts(bins, log_pt).sum() == n


@pytest.mark.parametrize("log_pt", [[5.0], [5.0, 5.0], [5.0, 5.0 + 1e-15], [5.0] * 99])
def test_a_single_momentum_is_one_bin(log_pt):
    bins = LogBins(np.array(log_pt))
    assert bins.n_bins == 1
    np.testing.assert_array_equal(bins.place(np.array([0.0, 5.0, 9.0])), 0)


def test_edges_hold_every_momentum_they_are_made_of():
    for seed in range(20):
        pt = np.random.default_rng(seed).uniform(50, 3000, 100)
        edges = np.exp(LogBins(np.log(pt)).edges)
        assert edges[0] <= pt.min()
        assert pt.max() <= edges[-1]
    edges = np.exp(LogBins(np.log([100.0] * 3)).edges)
    assert edges[0] < edges[-1]


def test_outer_bins_have_no_ends():
    log_pt = np.random.default_rng(0).uniform(4, 8, 1000)
    bins = LogBins(log_pt)
    np.testing.assert_array_equal(bins.place(np.array([-9.0, 99.0])), [0, 11])
    for k, (low, high) in enumerate(pairwise(bins.edges)):
        middle = np.array([low + 1e-9, high - 1e-9])
        np.testing.assert_array_equal(bins.place(middle), k)


def test_weighted_means_in_bins():
    rng = np.random.default_rng(0)
    log_pt, values = rng.uniform(4, 8, 500), rng.normal(size=500)
    weight = np.where(log_pt < 5, 0.0, rng.uniform(1, 2, 500))
    bins = LogBins(log_pt)
    means = bins.means(log_pt, values, weight)
    for k, mean in enumerate(means):
        inside = bins.place(log_pt) == k
        if weight[inside].any():
            expected = np.average(values[inside], weights=weight[inside])
            assert mean == pytest.approx(expected)
        else:
            assert np.isnan(mean)
    assert np.isnan(means).sum() == 3


@SEEDS
def test_width_as_a_function_of_momentum(seed):
    rng = np.random.default_rng(seed)
    log_pt = rng.uniform(4, 8, 20_000)
    width = 0.3 - 0.03 * log_pt
    values = width * rng.normal(size=20_000)
    # Less than 20,000 / 12 entries a bin, and half a bin at both ends.
    np.testing.assert_allclose(typical_width(log_pt, values) / width, 1, atol=0.15)
    assert abs(np.mean(typical_width(log_pt, values) / width) - 1) < 0.02
    signs = rng.choice([-1, 1], 20_000)
    np.testing.assert_array_equal(
        typical_width(log_pt, signs * values), typical_width(log_pt, values)
    )


def test_widths_are_positive():
    log_pt = np.linspace(4, 8, 100)
    assert (typical_width(log_pt, np.zeros(100)) > 0).all()
    assert typical_width(np.array([5.0]), np.array([0.1])) == 0.1


def test_hinges_are_piecewise_linear():
    rng = np.random.default_rng(0)
    table, log_pt = rng.normal(size=(3000, 2)), rng.uniform(4, 7, 3000)
    hinges = Hinges(table, log_pt)
    columns = hinges(table, log_pt)
    assert columns.shape == (3000, 2 * 2 * 10)
    np.testing.assert_allclose(columns.std(axis=0), 1, rtol=1e-9)
    # Any function that is straight between the knots is in their span.
    values = rng.normal(size=11)
    target = np.interp(table[:, 0], hinges.knots[0], values)
    target += np.interp(table[:, 1], hinges.knots[1], values) * log_pt
    design = np.column_stack([np.ones(3000), log_pt, columns])
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    np.testing.assert_allclose(design @ solution, target, atol=1e-7)


def test_hinges_beyond_their_outer_knots():
    rng = np.random.default_rng(0)
    table, log_pt = rng.normal(size=(1000, 1)), rng.uniform(4, 7, 1000)
    hinges = Hinges(table, log_pt)
    far = np.array([[-1e9], [hinges.knots[0][0]], [hinges.knots[0][-1]], [1e300]])
    columns = hinges(far, np.full(4, 5.0))
    np.testing.assert_array_equal(columns[0], columns[1])
    np.testing.assert_array_equal(columns[2], columns[3])
    np.testing.assert_array_equal(columns[0], 0)
    beyond = hinges(far, np.full(4, 1e9))
    np.testing.assert_array_equal(beyond, hinges(far, np.full(4, 1e6)))
    assert np.abs(beyond).max() < 100


def test_columns_of_features():
    rng = np.random.default_rng(0)
    table, log_pt = rng.normal(size=(1000, 3)), rng.uniform(4, 7, 1000)
    table[:, 1] = 2.0
    hinges = Hinges(table, log_pt)
    before = hinges(table, log_pt)
    for feature, size in enumerate([20, 0, 20]):
        other = table.copy()
        other[:, feature] += 0.1 * rng.normal(size=1000)
        changed = np.flatnonzero((hinges(other, log_pt) != before).any(axis=0))
        assert len(hinges.columns_of([feature])) == size
        if feature == 1:
            assert len(changed) == 0
        else:
            np.testing.assert_array_equal(changed, hinges.columns_of([feature]))
    assert len(hinges.columns_of([0, 2])) == before.shape[1] == 40
    assert len(hinges.columns_of([])) == 0


@pytest.mark.parametrize("n_values", [1, 2, 3])
def test_features_of_few_values(n_values):
    table = (np.arange(601) % n_values).astype(float)[:, None]
    log_pt = np.linspace(4, 7, 601)
    columns = Hinges(table, log_pt)(table, log_pt)
    assert columns.shape == (601, 2 * (n_values - 1))
    assert np.isfinite(columns).all()


def test_no_features_at_all():
    hinges = Hinges(np.zeros((50, 0)), np.linspace(4, 7, 50))
    assert hinges(np.zeros((5, 0)), np.zeros(5)).shape == (5, 0)


# Errors before and after the correction, but for the average at each momentum, which
# does not change the balance.
def recovered(fit, error=response, n=4000, seed=99):
    u, log_pt, _ = make_pairs(n, seed)
    log_pt = np.clip(log_pt, 4, 7)
    before = error(log_pt, u)
    return [
        values - np.polynomial.Polynomial.fit(log_pt, values, 3)(log_pt)
        for values in (before + fit(log_pt, u), before)
    ]


@SEEDS
def test_balance_tells_the_errors_of_jets(seed):
    fit = fit_balance(make_balance(seed=seed), DELTA)
    left, error = recovered(fit)
    # 0.12 / sqrt(4000) for each of some thirty columns.
    assert np.std(left) < 0.02
    assert np.std(left) < 0.25 * np.std(error)
    # Part of the squares, which is that of Huber's loss at its centre.
    signal = 2 * np.var(error)
    assert fit.explained == pytest.approx(signal / (signal + NOISE**2), abs=0.08)


@SEEDS
def test_nothing_is_corrected_without_errors(seed):
    fit = fit_balance(make_balance(seed=seed, error=constant), DELTA)
    left, _ = recovered(fit, constant)
    assert np.std(left) < 0.012
    assert abs(fit.explained) < 0.01


def test_order_of_the_jets_of_a_pair_does_not_matter():
    sample = make_balance(1000)
    swap = np.random.default_rng(0).random(1000) < 0.5
    table = np.where(swap[:, None, None], sample.table[:, ::-1], sample.table)
    balance = np.where(swap, -sample.balance, sample.balance)
    swapped = BalanceSample(table, sample.log_pt, balance, sample.width, sample.weight)
    one, other = (fit_balance(s, DELTA) for s in (sample, swapped))
    np.testing.assert_allclose(recovered(one)[0], recovered(other)[0], atol=1e-9)


def test_weights_have_no_unit():
    weight = np.random.default_rng(0).uniform(0.5, 2, 1000)
    one, other = (
        fit_balance(make_balance(1000, weight=w), DELTA) for w in (weight, 1e6 * weight)
    )
    np.testing.assert_allclose(recovered(one)[0], recovered(other)[0], atol=1e-9)


# The folds of the cross-validation and the widths aside.
def test_weights_are_repeated_rows():
    u, log_pt, pairs = make_pairs(500)
    weight = np.random.default_rng(0).integers(1, 4, 500).astype(float)
    sample = BalanceSample.of(u, log_pt, pairs, weight)
    often = np.repeat(np.arange(500), weight.astype(int))
    repeated = BalanceSample(
        sample.table[often],
        sample.log_pt[often],
        sample.balance[often],
        sample.width[often],
        np.ones(len(often)),
    )
    hinges = sample.hinges()
    start = np.random.default_rng(1).normal(0, 0.01, len(hinges.feature))
    for one, other in zip(
        _balance._moments(sample, hinges, start, DELTA),
        _balance._moments(repeated, hinges, start, DELTA),
        strict=True,
    ):
        np.testing.assert_allclose(one.sum(axis=0), other.sum(axis=0), rtol=1e-9)


def test_heavy_pairs_decide():
    # The first half has errors of the other sign.
    u, log_pt, pairs = make_pairs(4000)
    shift = response(log_pt, u)
    log_pt[:4000] -= 2 * shift[:4000]
    weight = np.where(np.arange(4000) < 2000, 1e-6, 1.0)
    fit = fit_balance(BalanceSample.of(u, log_pt, pairs, weight), DELTA)
    left, error = recovered(fit)
    assert np.std(left) < 0.3 * np.std(error)


def test_few_pairs_far_out_do_not_matter():
    u, log_pt, pairs = make_pairs(4000)
    rng = np.random.default_rng(0)
    wild = rng.random(8000) < 0.02
    # As if momenta were wrong by factors, where the first feature is large.
    log_pt = log_pt + wild * 3.0 * np.sign(u[:, 0])
    left, error = recovered(fit_balance(make_of(u, log_pt, pairs), DELTA))
    assert np.std(left) < 0.4 * np.std(error)
    squares = fit_balance(make_of(u, log_pt, pairs), 1e6)
    assert np.std(recovered(squares)[0]) > 1.2 * np.std(left)


def make_of(u, log_pt, pairs):
    return BalanceSample.of(u, log_pt, pairs, np.ones(len(pairs.first)))


def test_pairs_are_summed_in_parts(monkeypatch):
    sample = make_balance(1000)
    together = recovered(fit_balance(sample, DELTA))[0]
    monkeypatch.setattr(_balance, "_CHUNK", 70)
    in_parts = recovered(fit_balance(sample, DELTA))[0]
    np.testing.assert_allclose(in_parts, together, atol=1e-9)


def test_correction_of_no_jets():
    fit = fit_balance(make_balance(500), DELTA)
    assert fit(np.zeros(0), np.zeros((0, 4))).shape == (0,)


def test_features_without_spread_correct_nothing():
    u, log_pt, pairs = make_pairs(500)
    fit = fit_balance(make_of(np.ones_like(u), log_pt, pairs), DELTA)
    np.testing.assert_array_equal(fit(log_pt, u), 0)
    assert fit.explained == 0


@SEEDS
def test_leakage_is_the_part_that_features_explain(seed):
    leakage = Leakage(make_balance(seed=seed), DELTA)
    u, log_pt, _ = make_pairs(seed=99)
    total = 2 * np.var(response(log_pt, u)) + NOISE**2
    for feature in range(4):
        alone = np.zeros_like(u)
        alone[:, feature] = u[:, feature]
        part = 2 * np.var(response(log_pt, alone)) / total
        assert leakage.of([feature]) == pytest.approx(part, abs=0.05)
    everything = leakage.of(range(4))
    assert everything == pytest.approx(1 - NOISE**2 / total, abs=0.08)
    assert leakage.of([]) == 0


def test_harmless_features_together_leak_little():
    leakage = Leakage(make_balance(), DELTA)
    single = [leakage.of([feature]) for feature in range(4)]
    assert leakage.harmless(range(4), 1.0) == [0, 1, 2, 3]
    assert leakage.harmless(range(4), 0.005) == [3]
    assert leakage.harmless([0, 1], 0.005) == []
    assert leakage.harmless([], 1.0) == []
    # Both are below the limit, but not together.
    limit = max(single[1], single[2]) + 0.3 * min(single[1], single[2])
    chosen = leakage.harmless([2, 1], limit)
    assert len(chosen) == 1
    assert leakage.of(chosen) <= limit < leakage.of([1, 2])


def make_correction(max_correction=0.3, n=4000, simulation=False, **arguments):
    data = fit_balance(make_balance(n, **arguments), DELTA)
    simulated = None
    if simulation:
        simulated = fit_balance(make_balance(n, seed=50, **arguments), DELTA)
    columns = [3, 1, 0, 2]
    order = np.argsort(columns)
    u, log_pt, _ = make_pairs(n, seed=7)
    table = u[:, order]
    correction = InsituCorrection(columns, max_correction, data, simulated)
    return correction, log_pt, table, u


def test_columns_of_a_correction():
    correction, log_pt, table, u = make_correction()
    expected = np.clip(correction.data(log_pt, u), -0.15, 0.15)
    np.testing.assert_allclose(correction(log_pt, table), expected, atol=1e-15)


def test_the_same_in_simulation_is_no_correction():
    correction, log_pt, table, u = make_correction(simulation=True)
    assert np.std(correction.data(log_pt, u)) > 0.05
    assert np.std(correction(log_pt, table)) < 0.02
    twice = InsituCorrection(correction.columns, 0.3, correction.data, correction.data)
    np.testing.assert_array_equal(twice(log_pt, table), 0)


@pytest.mark.parametrize("max_correction", [0.3, 0.05])
def test_corrections_are_bounded_and_zero_on_average(max_correction):
    # Errors of one sign at low momenta, where the average is far from zero.
    def skewed(log_pt, u):
        return 0.3 * (u[:, 0] > 1) + 0.1 * u[:, 1] * (log_pt - 5)

    correction, log_pt, table, _ = make_correction(max_correction, error=skewed)
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(log_pt))
    centred = correction.centred(log_pt, table, weight)
    values = centred(log_pt, table)
    assert np.std(values) > 0.15 * max_correction
    assert np.abs(values).max() <= max_correction * (1 + 1e-9)
    means = LogBins(log_pt).means(log_pt, values, weight)
    assert np.abs(means).max() < 0.01 * max_correction
    far = np.full(len(table), 1e3), 1e9 * table
    assert np.abs(centred(*far)).max() <= max_correction * (1 + 1e-9)


def test_momentum_of_a_pair_alone_enters():
    correction, log_pt, table, _ = make_correction()
    centred = correction.centred(log_pt, table, np.ones(len(log_pt)))
    one, other = (centred(np.full(len(table), s), table) for s in (4.5, 6.5))
    assert np.abs(one - other).max() > 0.01
    assert isinstance(centred.data, BalanceFit)
