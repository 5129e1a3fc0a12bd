import pickle

import numpy as np
import pytest

from sklearn_hepcal.calibration import OTCalibrator, ScaleFactorCalibrator
from sklearn_hepcal.datasets import make_transport_problem


def toy_samples(kind, n_rows, toy, **kwargs):
    """A problem, and samples of it that differ from toy to toy."""
    problem = make_transport_problem(10, kind=kind, random_state=0, **kwargs)
    sim = problem.sample_sim(n_rows, random_state=1000 + toy)
    return problem, sim, problem.sample_data(n_rows, random_state=1000 + toy)


def covered(calibrator, problem, n_errors=1.0):
    """Part of the moved values within so many errors of the truth."""
    X = problem.sample_sim(2000, random_state=7)
    moved = calibrator.moved_
    distance = np.abs(calibrator.transform(X) - problem.true_map(X))[:, moved]
    return (distance < n_errors * calibrator.transform_std(X)[:, moved]).mean()


@pytest.mark.parametrize(
    ("solver", "n_toys", "kwargs"),
    [
        ("bures", 20, {"kind": "gaussian", "dim": 3}),
        ("bures", 10, {"kind": "gaussian", "dim": 2, "conditional": True}),
        ("quantile", 20, {"kind": "monotone", "dim": 1}),
    ],
)
def test_bands_of_exact_solvers_cover(solver, n_toys, kwargs):
    fractions = []
    for toy in range(n_toys):
        problem, sim, data = toy_samples(n_rows=2000, toy=toy, **kwargs)
        calibrator = OTCalibrator(
            solver,
            conditions=problem.conditions or None,
            n_knots=7,
            n_quantiles=100,
            n_bootstrap=30,
            random_state=toy,
        ).fit_samples(sim, data)
        fractions.append(covered(calibrator, problem))
    error = np.std(fractions) / np.sqrt(n_toys)
    assert 0.63 - 2 * error < np.mean(fractions) < 0.73 + 2 * error


# The rows of one toy go up and down together: the mean over toys is known to some 3 %.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "conditional", "n_rows"),
    [
        (2, False, 10_000),
        pytest.param(
            *(3, True, 10_000),
            marks=pytest.mark.xfail(
                reason="0.58: what a short training leaves out where data are few is "
                "common to all replicas, and they do not follow a longer one"
            ),
        ),
    ],
)
def test_bands_of_networks_cover(dim, conditional, n_rows):
    fractions = []
    for toy in range(10):
        problem, sim, data = toy_samples(
            "icnn", n_rows, toy, dim=dim, conditional=conditional
        )
        calibrator = OTCalibrator(
            conditions=problem.conditions or None, n_bootstrap=15, random_state=toy
        ).fit_samples(sim, data)
        assert calibrator.selection_ == "picnn"
        fractions.append(covered(calibrator, problem))
    print(f"{dim} columns, conditional {conditional}: {np.round(fractions, 3)}")
    assert 0.63 < np.mean(fractions) < 0.73


@pytest.fixture(scope="module")
def network():
    problem, sim, data = toy_samples("icnn", 3000, 0, dim=2, conditional=True)
    calibrator = OTCalibrator(
        conditions=[2],
        selection=False,
        max_epochs=20,
        n_bootstrap=3,
        random_state=0,
    )
    return problem, calibrator.fit_samples(sim, data)


def test_replicas_are_gradient_maps(network):
    problem, calibrator = network
    X = problem.sample_sim(200, random_state=3)
    for replica in range(3):
        moved = calibrator.transform(X, replica=replica)
        back = calibrator.inverse_transform(moved, replica=replica)
        np.testing.assert_allclose(back, X, atol=1e-6)
        same = X.copy()
        same[:, 2] = 0.5
        image = calibrator.transform(same, replica=replica)
        products = np.einsum(
            "ijk,ijk->ij",
            same[:, None, :2] - same[None, :, :2],
            image[:, None, :2] - image[None, :, :2],
        )
        assert (products[~np.eye(200, dtype=bool)] > 0).all()


def test_replicas_differ_by_about_their_errors(network):
    problem, calibrator = network
    X = problem.sample_sim(1000, random_state=3)
    images = np.array([calibrator.transform(X, replica=i) for i in range(3)])
    std = calibrator.transform_std(X)
    np.testing.assert_allclose(std, images.std(axis=0, ddof=1), atol=1e-12)
    assert (std[:, :2] > 0).all()
    assert (std[:, 2] == 0).all()
    # The first map is one of them, as far as errors can tell.
    distance = (calibrator.transform(X) - images.mean(axis=0))[:, :2]
    assert np.sqrt(np.square(distance).mean()) < 2 * np.sqrt(np.square(std).mean())


def test_replicas_are_reproducible_and_kept(network):
    problem, calibrator = network
    X = problem.sample_sim(100, random_state=3)
    again = pickle.loads(pickle.dumps(calibrator))
    np.testing.assert_array_equal(again.transform(X, 1), calibrator.transform(X, 1))
    _, sim, data = toy_samples("icnn", 3000, 0, dim=2, conditional=True)
    refitted = OTCalibrator(**calibrator.get_params()).fit_samples(sim, data)
    np.testing.assert_array_equal(
        refitted.transform_std(X), calibrator.transform_std(X)
    )


def test_errors_of_identical_samples_are_not_zero():
    # The identity is kept, and the Gaussian map says how well it is known.
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.normal(size=(2, 4000, 2))
    calibrator = OTCalibrator(
        "bures", selection=True, n_bootstrap=50, random_state=0
    ).fit_samples(X_sim, X_data)
    assert calibrator.selection_ == "identity"
    # Of the difference between two means of 4,000 rows, at the centre.
    std = calibrator.transform_std(np.zeros((1, 2)))
    np.testing.assert_allclose(std, np.sqrt(2 / 4000), rtol=0.4)


def test_more_rows_have_smaller_errors():
    widths = []
    for n in (1000, 16_000):
        problem, sim, data = toy_samples("gaussian", n, 0, dim=2)
        calibrator = OTCalibrator("bures", n_bootstrap=50, random_state=0)
        calibrator.fit_samples(sim, data)
        X = problem.sample_sim(500, random_state=1)
        widths.append(calibrator.transform_std(X).mean())
    assert widths[0] / widths[1] == pytest.approx(4.0, rel=0.3)


# 60 replicas know a spread to 9 %, and replicas include the simulation's fluctuations
# as the scale factor does.
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scale_factors_have_the_errors_of_counting(seed):
    rng = np.random.default_rng(seed)
    sim, data = rng.normal(0.0, 1.0, (4000, 1)), rng.normal(0.1, 1.0, (3000, 1))
    calibrator = OTCalibrator("quantile", n_bootstrap=60, random_state=seed)
    calibrator.fit_samples(sim, data)
    cuts = np.array([0.0, 0.8])
    before = (sim >= cuts).mean(axis=0)
    replicas = [
        (calibrator.transform(sim, replica=i) >= cuts).mean(axis=0) / before
        for i in range(60)
    ]
    counted = ScaleFactorCalibrator(cuts=cuts).fit_samples(sim, data).scale_factors_
    np.testing.assert_allclose(
        np.std(replicas, axis=0, ddof=1), counted.error[:, 0], rtol=0.3
    )


@pytest.mark.parametrize("replica", [3, -1, 1.5, "first"])
def test_wrong_replicas(network, replica):
    problem, calibrator = network
    X = problem.sample_sim(10, random_state=3)
    with pytest.raises(ValueError, match=f"replica={replica!r} does not exist"):
        calibrator.transform(X, replica=replica)


def test_no_replicas(network):
    problem, _ = network
    with pytest.raises(ValueError, match="n_bootstrap=0"):
        OTCalibrator("bures").fit(problem.X, problem.y).transform_std(problem.X)


def test_rows_too_few_for_replicas():
    X_sim, X_data = np.random.default_rng(0).normal(size=(2, 2, 1))
    calibrator = OTCalibrator("bures", n_bootstrap=20, random_state=0)
    with pytest.raises(
        ValueError, match="n_bootstrap=20: a replica does not determine"
    ):
        calibrator.fit_samples(X_sim, X_data)
