"""Weights, conditions, units and tails of the samples of OTCalibrator."""

import numpy as np
import pytest
from seeds import FIRST_SEED_ELSE_SLOW
from small_maps import each_solver, make

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.calibration._conditions import rebalance
from sklearn_hepcal.calibration._maps import Sample
from sklearn_hepcal.metrics import l2_uvp


@pytest.mark.parametrize("solver", ["bures", "quantile"])
def test_weights_are_repeated_rows(transport_problem, solver):
    rng = np.random.default_rng(0)
    repeats = rng.integers(0, 4, len(transport_problem.X))
    weighted = make(solver, conditions=[2]).fit(
        transport_problem.X, transport_problem.y, repeats
    )
    repeated = make(solver, conditions=[2]).fit(
        transport_problem.X.repeat(repeats, axis=0), transport_problem.y.repeat(repeats)
    )
    X = transport_problem.X_sim
    np.testing.assert_allclose(
        weighted.transform(X), repeated.transform(X), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_weights_of_the_network(seed):
    # Weighting one half of a mixture to zero is leaving it out, in expectation.
    rng = np.random.default_rng(seed)
    X_sim = np.concatenate([rng.normal(-2, 1, (3000, 2)), rng.normal(2, 1, (3000, 2))])
    X_data = rng.normal(3, 1, (6000, 2))
    weight = np.repeat([1e-9, 1.0], 3000)
    calibrator = OTCalibrator(selection=False, max_epochs=30, random_state=seed)
    calibrator.fit_samples(X_sim, X_data, sample_weight_sim=weight)
    moved = calibrator.transform(X_sim[3000:])
    assert np.abs(moved.mean(axis=0) - 3).max() < 0.1
    assert np.abs(moved.std(axis=0) - 1).max() < 0.1


def test_signed_simulation_weights():
    # Events of weight -1 cancel others of the same law: the rest is a Gaussian at 0.
    rng = np.random.default_rng(0)
    extra = rng.normal(4, 1, (2, 20_000, 2))
    X_sim = np.concatenate([rng.normal(0, 1, (20_000, 2)), *extra])
    weight = np.repeat([1.0, 1.0, -1.0], 20_000)
    X_data = rng.normal(1, 1, (20_000, 2))
    calibrator = OTCalibrator("bures").fit_samples(
        X_sim, X_data, sample_weight_sim=weight
    )
    X = rng.normal(0, 1, (1000, 2))
    assert np.abs(calibrator.transform(X) - X - 1).max() < 0.25


@each_solver
def test_background_is_subtracted_and_not_moved(solver):
    # Data are 70 % signal at 1 and 30 % background at -3.
    rng = np.random.default_rng(0)
    n = 20_000
    X_sim = rng.normal(0, 1, (n, 2))
    X_data = np.concatenate(
        [rng.normal(1, 1, (7 * n // 10, 2)), rng.normal(-3, 0.5, (3 * n // 10, 2))]
    )
    X_background = rng.normal(-3, 0.5, (n, 2))
    calibrator = make(solver, learning_rate=0.01).fit_samples(
        X_sim,
        X_data,
        X_background=X_background,
        sample_weight_background=np.full(n, 0.3),
    )
    X = rng.normal(0, 1, (5000, 2))
    shift = (calibrator.transform(X) - X).mean(axis=0)
    np.testing.assert_allclose(shift, 1.0, atol=0.1)


# Noise of five numbers at each of seven knots is 0.1 to 0.2 %, and as much comes from
# the per cent of rows beyond the last knot. The network's short training adds its own.
@pytest.mark.parametrize(("solver", "limit"), [("bures", 0.5), ("picnn", 1.0)])
@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW[:2])
def test_different_spectra_give_the_same_map(solver, limit, seed):
    # A falling spectrum five times steeper in data, at the same map given c.
    rng = np.random.default_rng(seed)
    n = 20_000

    def sample(rate):
        c = np.minimum(rng.exponential(1 / rate, n), 3.0)
        c += rng.uniform(0, 1e-3, n)
        return np.column_stack([rng.normal(size=(n, 2)) + c[:, None], c])

    def push(X):
        return np.column_stack([1.5 * X[:, :2] + X[:, 2:], X[:, 2]])

    X = sample(5.0)
    truth = push(X)[:, :2]
    for rate in (1.0, 5.0):
        calibrator = OTCalibrator(
            solver, conditions=[2], selection=False, max_epochs=5, random_state=seed
        )
        calibrator.fit_samples(sample(1.0), push(sample(rate)))
        assert l2_uvp(calibrator.transform(X)[:, :2], truth) < limit


def test_condition_weights_match_the_spectra(transport_problem):
    calibrator = make("bures", conditions=[2]).fit(
        transport_problem.X, transport_problem.y
    )
    weight = calibrator.condition_weights(transport_problem.X_sim)
    for power in (1, 2):
        matched = np.average(transport_problem.X_sim[:, 2] ** power, weights=weight)
        expected = np.mean(transport_problem.X_data[:, 2] ** power)
        assert matched == pytest.approx(expected, abs=2e-3)
    unmatched = make("bures", conditions=[2], match_conditions=False)
    unmatched.fit(transport_problem.X, transport_problem.y)
    assert (unmatched.condition_weights(transport_problem.X_sim) == 1).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parts_of_samples_are_balanced(seed):
    rng = np.random.default_rng(seed)
    source, target = (
        Sample(
            rng.normal(size=(n, 2)), rng.dirichlet(np.ones(6), n), rng.uniform(1, 2, n)
        )
        for n in (300, 200)
    )
    assert np.abs(means(source) - means(target)).max() > 1e-3
    balanced = rebalance(source, target)
    np.testing.assert_allclose(means(balanced), means(target), atol=1e-8)
    np.testing.assert_array_equal(balanced.x, source.x)


def means(sample):
    """Weighted means of the basis functions."""
    return sample.w @ sample.h / sample.w.sum()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_parts_of_the_samples_stay_balanced(seed):
    # A held-out split unbalances the spectra by chance, which a long training of many
    # knots would turn into a potential of the condition alone.
    rng = np.random.default_rng(seed)
    X_sim, X_data = rng.normal(size=(2, 1500, 2))
    X_data[:, 0] += 0.3
    calibrator = OTCalibrator(
        conditions=[1], n_knots=12, max_epochs=80, random_state=seed
    ).fit_samples(X_sim, X_data)
    assert calibrator.dual_curve_.min() > -0.1
    gains = {name: gain for name, (gain, _) in calibrator.held_out_gain_.items()}
    assert gains["picnn"] > gains["bures"] - 0.02


def test_two_conditions():
    rng = np.random.default_rng(0)

    def sample(n):
        c = rng.uniform(0, 1, (n, 2))
        return np.column_stack([rng.normal(size=n), c])

    X_sim, X_data, X = (sample(20_000) for _ in range(3))

    def push(X):
        return X[:, 0] * (1 + X[:, 1]) + X[:, 2]

    X_data[:, 0] = push(X_data)
    calibrator = OTCalibrator("bures", conditions=[1, 2], n_knots=4)
    moved = calibrator.fit_samples(X_sim, X_data).transform(X)
    assert l2_uvp(moved[:, :1], push(X)[:, None]) < 0.3


@each_solver
def test_rows_of_weight_zero_are_absent(transport_problem, solver):
    strange = transport_problem.X[:200] + 1000.0
    X, y = (
        np.vstack([transport_problem.X, strange]),
        np.append(transport_problem.y, np.arange(200) % 2),
    )
    weight = np.append(np.ones(len(transport_problem.y)), np.zeros(200))
    with_them = make(solver, conditions=[2]).fit(X, y, weight)
    without = make(solver, conditions=[2]).fit(transport_problem.X, transport_problem.y)
    np.testing.assert_array_equal(
        with_them.transform(transport_problem.X_sim),
        without.transform(transport_problem.X_sim),
    )


@pytest.mark.parametrize("scales", [(1.0, 1e6), (1e6, 1e-3), (1e-12, 1e-12)])
def test_units_of_the_columns_do_not_break_the_gaussian_map(scales):
    X_sim, X_data = np.random.default_rng(0).normal(size=(2, 3000, 2))
    X_data = 0.5 + 1.5 * X_data @ [[1.0, 0.3], [0.0, 1.0]]
    for selection in (False, True):
        calibrator = OTCalibrator("bures", selection=selection, random_state=0)
        calibrator.fit_samples(X_sim * scales, X_data * scales)
        moved = calibrator.transform(X_sim * scales) / scales
        np.testing.assert_allclose(moved.mean(axis=0), X_data.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(
            np.cov(moved.T), np.cov(X_data.T), rtol=1e-3, atol=1e-3
        )


def test_a_large_offset_does_not_matter():
    X_sim, X_data = np.random.default_rng(0).normal(size=(2, 3000, 2)) + 0.2
    X_data *= 1.3
    gains = []
    for offset in (0.0, 1e9):
        calibrator = OTCalibrator("bures", selection=True, random_state=0)
        calibrator.fit_samples(X_sim + offset, X_data + offset)
        gains.append(calibrator.held_out_gain_["bures"][0])
    assert gains[0] == pytest.approx(gains[1], rel=1e-4)


def test_discrete_conditions_have_maps_of_their_own():
    rng = np.random.default_rng(0)
    c = rng.integers(0, 3, (2, 6000)).astype(float)
    X_sim = np.column_stack([rng.normal(size=6000), c[0]])
    X_data = np.column_stack([rng.normal(size=6000) + c[1] ** 2, c[1]])
    calibrator = OTCalibrator("bures", conditions=[1]).fit_samples(X_sim, X_data)
    shift = (calibrator.transform(X_sim) - X_sim)[:, 0]
    for value in range(3):
        rows = X_sim[:, 1] == value
        assert shift[rows].mean() == pytest.approx(value**2, abs=0.15)


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_training_on_heavy_tails_is_stable(seed):
    # Conjugate points that have not converged would let the loss fall without bound.
    rng = np.random.default_rng(5)
    c_sim, c_data = rng.uniform(0, 1, 1000) * 0.3, rng.uniform(0, 0.3, 3000)
    X_sim = np.column_stack([rng.normal(size=(1000, 2)), c_sim])
    X_data = np.column_stack([np.exp(0.7 * rng.normal(size=(3000, 2))), c_data])
    kwargs = {"conditions": [2], "selection": False, "random_state": seed}
    network = OTCalibrator(max_epochs=60, **kwargs).fit_samples(X_sim, X_data)
    gaussian = OTCalibrator("bures", **kwargs).fit_samples(X_sim, X_data)
    X, y = np.vstack([X_sim, X_data]), np.repeat([0, 1], [1000, 3000])
    assert network.score(X, y) > gaussian.score(X, y)
    assert np.abs(network.transform(X_sim)).max() < 2 * np.abs(X_data).max()


def test_columns_of_very_different_spread_are_reported():
    X_sim, X_data = np.random.default_rng(0).normal(size=(2, 500, 2)) * [1.0, 1e-3]
    with pytest.warns(UserWarning, match="spreads of the moved columns"):
        make("picnn").fit_samples(X_sim, X_data)
