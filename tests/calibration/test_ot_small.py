"""Small samples: a calibration must not be worse than none, beyond noise."""

import numpy as np
import pytest

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.calibration._bures import BuresMap
from sklearn_hepcal.calibration._convex_map import ConvexMap
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import l2_uvp
from sklearn_hepcal.nn import ConvexPotential, export_module

N_SEEDS = 10


def scores(calibrators, problem):
    """Unexplained variances on fresh rows, in per cent."""
    X = problem.sample_sim(10_000, random_state=99)
    truth = problem.true_map(X)
    moved = (calibrator.transform(X) for calibrator in calibrators)
    return [l2_uvp(rows, truth) for rows in moved]


# Where both samples have one law, the identity is the truth.
@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [300, 1000, 3000])
def test_nothing_is_moved_where_nothing_differs(n_rows):
    displacements = []
    for seed in range(N_SEEDS):
        problem = make_transport_problem(n_rows, dim=3, random_state=seed)
        other = problem.sample_sim(n_rows, random_state=seed + 1)
        calibrator = OTCalibrator(random_state=seed).fit_samples(problem.X_sim, other)
        X = problem.sample_sim(5000, random_state=99)
        displacements.append(l2_uvp(calibrator.transform(X), X))
    # The Gaussian map of three columns has some 3 + 6 parameters, each known to 1 / n.
    noise = 100 * 9 / 3 / n_rows
    print(f"{n_rows} rows: {np.round(displacements, 3)} %, noise {noise:.3f}")
    assert np.mean(displacements) < noise


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [300, 1000, 3000])
@pytest.mark.parametrize("dim", [2, 8])
def test_never_worse_than_simpler_maps(dim, n_rows):
    rows = []
    for seed in range(N_SEEDS):
        problem = make_transport_problem(n_rows, dim=dim, random_state=seed)
        chosen, gaussian, network = (
            OTCalibrator(random_state=seed, **kwargs).fit(problem.X, problem.y)
            for kwargs in ({}, {"solver": "bures"}, {"selection": False})
        )
        rows.append([*scores([chosen, gaussian, network], problem), chosen.strength_])
    chosen, gaussian, network, strength = np.transpose(rows)
    print(f"D = {dim}, {n_rows} rows: chosen {chosen.mean():.2f}, Gaussian map ")
    print(f"{gaussian.mean():.2f}, network {network.mean():.2f}, strengths {strength}")
    error = np.std(chosen - gaussian) / np.sqrt(N_SEEDS)
    assert np.mean(chosen - gaussian) < 2 * error
    assert chosen.mean() < 1.05 * network.mean()


def test_shrunk_maps_are_means_of_maps():
    rng = np.random.default_rng(0)
    potential = ConvexPotential(2, 3)
    for parameter in potential.parameters():
        parameter.data.normal_(std=0.3)
    x, mean = rng.normal(size=(50, 2)), np.zeros((3, 2))
    h = rng.dirichlet(np.ones(3), size=50)
    gaussian = BuresMap(mean, mean + 1.0, np.stack([np.diag([1.0, 2.0])] * 3))
    full = ConvexMap(gaussian, 1.5, export_module(potential))
    for strength in (0.0, 0.3, 1.0):
        shrunk = full.shrunk(strength)
        mixed = strength * full.forward(x, h)
        mixed += (1 - strength) * gaussian.forward(x, h)
        np.testing.assert_allclose(shrunk.forward(x, h), mixed, atol=1e-12)
        assert shrunk.min_curvature() > 0
        np.testing.assert_allclose(shrunk.inverse(mixed, h), x, atol=1e-8)


# Few rows: all of the network's map would be noise in part.
@pytest.mark.slow
def test_less_than_all_is_best_for_few_rows():
    strengths = []
    for seed in range(3):
        problem = make_transport_problem(600, dim=2, random_state=seed)
        calibrator = OTCalibrator(random_state=seed).fit(problem.X, problem.y)
        strengths.append(calibrator.strength_)
    assert min(strengths) < 1.0


def test_the_strength_is_cross_validated():
    problem = make_transport_problem(400, dim=2, random_state=0)
    calibrator = OTCalibrator(max_epochs=4, random_state=0).fit(problem.X, problem.y)
    assert calibrator.strength_ in (0.25, 0.5, 0.75, 1.0)
    assert set(calibrator.held_out_gain_) == {"identity", "bures", "picnn"}
