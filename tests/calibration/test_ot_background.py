"""Background in data, signed weights, and fractions that float."""

import numpy as np
import pytest

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.calibration._conditions import background_scale
from sklearn_hepcal.calibration._domains import split_sides
from sklearn_hepcal.calibration._hats import HatBasis
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import l2_uvp

SEEDS = [0, 1, 2]


def background(rng, n, dim=2):
    return rng.normal(0.7, 0.8, (n, dim))


def mixture(problem, n, fraction, seed):
    """Signal and background in data, and as much background as data in simulation."""
    rng = np.random.default_rng(seed)
    n_background = round(fraction * n)
    signal = problem.sample_data(n - n_background, random_state=seed)
    dim = signal.shape[1]
    X_data = np.concatenate([signal, background(rng, n_background, dim)])
    return {
        "X_sim": problem.sample_sim(n, random_state=seed),
        "X_data": X_data,
        "X_background": background(rng, n, dim),
        "sample_weight_background": np.full(n, fraction),
    }


def uvp(calibrator, problem, seed):
    X = problem.sample_sim(20_000, random_state=seed + 50)
    return l2_uvp(calibrator.transform(X), problem.true_map(X))


# Few modes of the map make up its error, whose ratio varies from sample to sample: the
# mean over samples tells.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "n_seeds", "target"),
    [
        pytest.param(
            *(2, 6, 0.10),
            marks=pytest.mark.xfail(
                reason="1.29 times: signal and background overlap more in two columns"
            ),
        ),
        (8, 3, 0.35),
    ],
)
def test_signal_map_under_background(dim, n_seeds, target):
    scores = []
    for seed in range(n_seeds):
        problem = make_transport_problem(50_000, dim=dim, random_state=seed)
        samples = mixture(problem, 50_000, 0.3, seed)
        alone = OTCalibrator(random_state=seed).fit_samples(
            samples["X_sim"], samples["X_data"][:35_000]
        )
        mixed = OTCalibrator(random_state=seed).fit_samples(**samples)
        assert alone.selection_ == mixed.selection_ == "picnn"
        scores.append((uvp(alone, problem, seed), uvp(mixed, problem, seed)))
        print(f"D = {dim}, seed {seed}: {np.round(scores[-1], 4)} alone, mixed")
    without, mixed = np.transpose(scores)
    # What a signal without background is to reach.
    assert (mixed <= target).all()
    assert mixed.mean() <= 1.2 * without.mean()


# Rows of weight -1 that cancel rows of the same law; a tenth of the simulation.
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_negative_weights_of_simulation(seed):
    problem = make_transport_problem(50_000, dim=2, random_state=seed)
    X_sim = problem.sample_sim(50_000, random_state=seed)
    X_data = problem.sample_data(50_000, random_state=seed)
    weight = np.ones(50_000)
    weight[np.random.default_rng(seed).permutation(50_000)[:5000]] = -1.0
    plain = OTCalibrator(random_state=seed).fit_samples(X_sim, X_data)
    signed = OTCalibrator(random_state=seed).fit_samples(
        X_sim, X_data, sample_weight_sim=weight
    )
    assert signed.selection_ == "picnn"
    scores = uvp(plain, problem, seed), uvp(signed, problem, seed)
    print(f"seed {seed}: {scores[0]:.3f} without, {scores[1]:.3f} with signed weights")
    # Of 50,000 rows 40,000 count, with the noise of 50,000: (50 / 40)^2.
    assert scores[1] <= 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_gaussian_signal_under_background(seed):
    problem = make_transport_problem(10, dim=2, kind="gaussian", random_state=seed)
    samples = mixture(problem, 40_000, 0.3, seed)
    subtracted = OTCalibrator("bures").fit_samples(**samples)
    ignored = OTCalibrator("bures").fit_samples(samples["X_sim"], samples["X_data"])
    assert uvp(subtracted, problem, seed) < 0.2
    assert uvp(ignored, problem, seed) > 3.0


def falling(rng, n, slope):
    return rng.exponential(1 / slope, n)


@pytest.mark.parametrize("seed", SEEDS)
def test_background_that_floats(seed):
    # 25 % background where 10 % was expected; its spectrum is steeper.
    rng = np.random.default_rng(seed)
    n, n_background = 20_000, 5_000
    condition = [falling(rng, n, 1.0), falling(rng, n - n_background, 1.0)]
    fake = [falling(rng, n_background, 3.0), falling(rng, n, 3.0)]
    X_sim = np.column_stack([rng.normal(size=(n, 2)), condition[0]])
    signal = np.column_stack([rng.normal(1, 1, (n - n_background, 2)), condition[1]])
    X_data = np.concatenate(
        [signal, np.column_stack([rng.normal(-2, 1, (n_background, 2)), fake[0]])]
    )
    samples = {
        "X_sim": X_sim,
        "X_data": X_data,
        "X_background": np.column_stack([rng.normal(-2, 1, (n, 2)), fake[1]]),
        "sample_weight_background": np.full(n, 0.1),
    }
    X = np.column_stack([rng.normal(size=(2000, 2)), falling(rng, 2000, 1.0)])
    shifts = {}
    for floating in (False, True):
        calibrator = OTCalibrator(
            "bures", conditions=[2], n_knots=4, float_background=floating
        ).fit_samples(**samples)
        shifts[floating] = (calibrator.transform(X) - X)[:, :2].mean()
    scale, error = calibrator.background_scale_, calibrator.background_scale_error_
    assert 0.01 < error < 0.2
    assert abs(scale - 2.5) < 3 * error
    assert shifts[True] == pytest.approx(1.0, abs=0.1)
    assert shifts[False] < 0.8


# Pulls of the scale over toys: a standard deviation of one.
def test_error_of_the_floating_scale():
    basis, pulls = HatBasis([np.array([0.05, 0.5, 1.5])]), []
    for toy in range(100):
        rng = np.random.default_rng(toy)
        rows = [(2000, 1.0), (1500, 1.0), (500, 3.0), (2000, 3.0)]
        c = np.concatenate([falling(rng, *row) for row in rows])[:, None]
        domains = np.repeat([0, 1, -1], [2000, 2000, 2000])
        sides = split_sides(domains, [0, 1], np.where(domains < 0, 0.25, 1.0))
        scale, error = background_scale(basis, c, sides)
        pulls.append((scale - 1.0) / error)
    assert abs(np.mean(pulls)) < 3 / np.sqrt(100)
    assert np.std(pulls) == pytest.approx(1.0, abs=3 / np.sqrt(200))


def test_a_scale_that_nothing_tells():
    # Background with the spectrum of the simulation.
    rng = np.random.default_rng(0)
    X_sim, X_data, X_background = rng.normal(size=(3, 400, 3))
    calibrator = OTCalibrator("bures", conditions=[2], n_knots=3, float_background=True)
    given = {
        "X_background": X_background,
        "sample_weight_background": np.full(400, 0.2),
    }
    with pytest.warns(UserWarning, match="hardly tell background from simulation"):
        try:
            calibrator.fit_samples(X_sim, X_data, **given)
        except ValueError as error:
            assert "outweigh" in str(error)


def test_a_scale_below_zero_subtracts_nothing():
    sides = split_sides(np.array([0, 1, 1, -1]), [0, 1], np.ones(4))
    np.testing.assert_array_equal(
        sides.with_background(-0.5).target_weight[sides.background], 0.0
    )
    assert sides.with_background(0.5).target_weight.sum() == 1.5


def test_what_cannot_float():
    rng = np.random.default_rng(0)
    X_sim, X_data, X_background = rng.normal(size=(3, 500, 3))
    given = {
        "X_background": X_background,
        "sample_weight_background": np.full(500, 0.1),
    }
    calibrator = OTCalibrator("bures", float_background=True)
    with pytest.raises(ValueError, match="needs conditions"):
        calibrator.fit_samples(X_sim, X_data, **given)
    with pytest.raises(ValueError, match="with the label -1"):
        calibrator.set_params(conditions=[2]).fit_samples(X_sim, X_data)
