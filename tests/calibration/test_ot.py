"""Guarantees and exact truths of OTCalibrator."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import norm
from seeds import FIRST_SEED_ELSE_SLOW
from sklearn.base import clone
from small_maps import SOLVERS, each_solver, make

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import l2_uvp, monotonicity_violations


@pytest.fixture(scope="module")
def fitted(transport_problem):
    """A short fit of every solver."""
    X, y = transport_problem.X, transport_problem.y
    return {solver: make(solver, conditions=[2]).fit(X, y) for solver in SOLVERS}


# Guarantees of every solver


@each_solver
def test_inverse_undoes_the_map(fitted, transport_problem, solver):
    calibrator = fitted[solver]
    moved = calibrator.transform(transport_problem.X_sim)
    np.testing.assert_allclose(
        calibrator.inverse_transform(moved), transport_problem.X_sim, atol=1e-6
    )
    back = calibrator.inverse_transform(transport_problem.X_data)
    np.testing.assert_allclose(
        calibrator.transform(back), transport_problem.X_data, atol=1e-6
    )


@each_solver
def test_conditions_pass_through(fitted, transport_problem, solver):
    moved = fitted[solver].transform(transport_problem.X_sim)
    np.testing.assert_array_equal(moved[:, 2], transport_problem.X_sim[:, 2])
    assert (moved[:, :2] != transport_problem.X_sim[:, :2]).all()


@each_solver
@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_no_pair_violates_monotonicity(fitted, transport_problem, solver, stretch):
    X = transport_problem.sample_sim(20_000, random_state=1)
    X[:, :2] *= stretch
    assert (
        monotonicity_violations(
            fitted[solver].transform, X, 100_000, conditions=[2], random_state=0
        )
        == 0
    )


def jacobians(calibrator, X, step=1e-5):
    """Numerical derivatives of the moved columns, shape (n, 2, 2)."""
    columns = []
    for j in range(2):
        shift = step * np.eye(3)[j]
        up, down = calibrator.transform(X + shift), calibrator.transform(X - shift)
        columns.append((up - down)[:, :2] / (2 * step))
    return np.stack(columns, axis=2)


@each_solver
def test_jacobian(fitted, transport_problem, solver):
    calibrator = fitted[solver]
    X = transport_problem.sample_sim(300, random_state=2)
    jacobian = jacobians(calibrator, X)
    # Points within a step of a knot of a piecewise linear map have no derivative.
    far = jacobians(calibrator, X, step=2e-5)
    smooth = np.abs(far - jacobian).max(axis=(1, 2)) < 1e-5
    assert smooth.mean() > 0.9
    X, jacobian = X[smooth], jacobian[smooth]
    np.testing.assert_allclose(
        np.linalg.slogdet(jacobian)[1],
        calibrator.log_abs_det_jacobian(X),
        atol=1e-5,
    )
    # A gradient has a symmetric Jacobian, a convex potential a positive one.
    np.testing.assert_allclose(jacobian, jacobian.swapaxes(1, 2), atol=1e-5)
    assert np.linalg.eigvalsh(jacobian).min() > 0.999 * calibrator.min_curvature_ > 0
    np.testing.assert_allclose(
        calibrator.log_abs_det_jacobian(calibrator.transform(X), inverse=True),
        -calibrator.log_abs_det_jacobian(X),
        atol=1e-6,
    )


@each_solver
def test_map_is_affine_far_outside(fitted, transport_problem, solver):
    X = transport_problem.sample_sim(200, random_state=3)
    direction = np.append(np.random.default_rng(0).normal(size=2), 0.0)
    along = [fitted[solver].transform(X + t * direction) for t in (1e6, 2e6, 3e6)]
    first, second = along[1] - along[0], along[2] - along[1]
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)


@each_solver
def test_common_rescaling(transport_problem, solver):
    scaled = transport_problem.X * [1000.0, 1000.0, 1.0]
    ours = make(solver, conditions=[2]).fit(transport_problem.X, transport_problem.y)
    theirs = make(solver, conditions=[2]).fit(scaled, transport_problem.y)
    X = transport_problem.X_sim[:500]
    np.testing.assert_allclose(
        theirs.transform(X * [1000.0, 1000.0, 1.0]) / [1000.0, 1000.0, 1.0],
        ours.transform(X),
        rtol=2e-3,
        atol=2e-3,
    )


@each_solver
def test_same_seed_is_bit_identical_and_touches_no_global_generator(
    transport_problem, solver
):
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    one, two = (
        make(solver, conditions=[2])
        .fit(transport_problem.X, transport_problem.y)
        .transform(transport_problem.X_sim)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    assert torch.equal(torch.get_rng_state(), before[0])
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before[1])


@each_solver
def test_pickle_and_clone(fitted, transport_problem, solver):
    calibrator = fitted[solver]
    moved = calibrator.transform(transport_problem.X_sim)
    state = pickle.dumps(calibrator)
    assert b"torch" not in state
    np.testing.assert_array_equal(
        pickle.loads(state).transform(transport_problem.X_sim), moved
    )
    again = clone(calibrator).fit(transport_problem.X, transport_problem.y)
    np.testing.assert_array_equal(again.transform(transport_problem.X_sim), moved)


@each_solver
def test_parameters_set_after_the_fit_do_not_change_it(
    fitted, transport_problem, solver
):
    calibrator = pickle.loads(pickle.dumps(fitted[solver]))
    calibrator.set_params(hidden_width=3, n_layers=1, n_knots=2, solver="bures")
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(calibrator)).transform(transport_problem.X_sim),
        fitted[solver].transform(transport_problem.X_sim),
    )


# Exact truths


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bures_finds_the_conditional_gaussian_map(seed):
    problem = make_transport_problem(
        50_000, dim=3, kind="gaussian", conditional=True, random_state=seed
    )
    calibrator = OTCalibrator("bures", conditions=[3]).fit(problem.X, problem.y)
    X = problem.sample_sim(20_000, random_state=seed)
    moved, truth = calibrator.transform(X), problem.true_map(X)
    assert l2_uvp(moved[:, :3], truth[:, :3]) <= 0.1


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_picnn_beats_the_gaussian_map(seed):
    problem = make_transport_problem(10_000, dim=2, random_state=seed)
    X = problem.sample_sim(10_000, random_state=seed)
    truth = problem.true_map(X)
    calibrator = OTCalibrator(max_epochs=30, random_state=seed)
    calibrator.fit(problem.X, problem.y)
    gaussian = OTCalibrator("bures").fit(problem.X, problem.y)
    assert calibrator.selection_ == "picnn"
    uvp = l2_uvp(calibrator.transform(X), truth)
    assert uvp < 0.2 * l2_uvp(gaussian.transform(X), truth)
    assert uvp < 0.4
    assert len(calibrator.dual_curve_) == 30
    assert calibrator.dual_curve_[-1] > 0


def test_quantile_is_numpys_in_one_dimension():
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.gamma(2.0, size=(2000, 1)), rng.normal(3.0, 2.0, (2000, 1))
    calibrator = OTCalibrator("quantile", n_quantiles=2000)
    moved = calibrator.fit_samples(X_sim, X_data).transform(X_sim)
    ranks = (np.argsort(np.argsort(X_sim[:, 0])) + 0.5) / len(X_sim)
    expected = np.quantile(X_data[:, 0], ranks, method="hazen")
    np.testing.assert_allclose(moved[:, 0], expected, atol=1e-4)


def test_data_based_calibration_and_its_failure_on_another_prior():
    # Simulation z + N(0, 1), data z + N(0, 1.5), z ~ N(0, 2.5) give a linear map.
    rng = np.random.default_rng(0)
    z = rng.normal(0.0, 2.5, (2, 100_000))
    X_sim = (z[0] + rng.normal(0.0, 1.0, z[0].shape))[:, None]
    X_data = (z[1] + rng.normal(0.0, 1.5, z[1].shape))[:, None]
    calibrator = OTCalibrator("quantile").fit_samples(X_sim, X_data)
    slope = np.hypot(2.5, 1.5) / np.hypot(2.5, 1.0)
    x = np.linspace(-5.0, 5.0, 101)[:, None]
    assert np.abs(calibrator.transform(x) - slope * x).max() < 0.04
    assert np.abs(calibrator.inverse_transform(x) - x / slope).max() < 0.04
    # Density of the data from that of the simulation; the 1000 levels make its
    # derivative jump, by about a tenth.
    bulk = np.abs(x[:, 0]) < 3.0
    log_p = norm.logpdf(calibrator.inverse_transform(x)[:, 0], scale=np.hypot(2.5, 1.0))
    log_p = log_p + calibrator.log_abs_det_jacobian(x, inverse=True)
    expected = norm.logpdf(x[:, 0], scale=np.hypot(2.5, 1.5))
    assert np.sqrt(np.mean((log_p - expected)[bulk] ** 2)) < 0.3
    assert abs(np.mean((log_p - expected)[bulk])) < 0.05
    # Another prior, z ~ N(5, 0.5), needs no shift of the mean but gets one.
    other = (rng.normal(5.0, 0.5, 100_000) + rng.normal(0.0, 1.0, 100_000))[:, None]
    assert other.mean() == pytest.approx(5.0, abs=0.02)
    bias = calibrator.transform(other).mean() - 5.0
    assert bias == pytest.approx(5.0 * (slope - 1.0), abs=0.03)


@each_solver
@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_identical_laws_give_the_identity(solver, seed):
    rng = np.random.default_rng(seed)
    n = 4000
    X_sim, X_data = rng.normal(size=(2, n, 2))
    calibrator = OTCalibrator(solver, selection=True, max_epochs=4, random_state=seed)
    calibrator.fit_samples(X_sim, X_data)
    X = rng.normal(size=(n, 2))
    # The error of the Gaussian map: mean and variance of both samples, two columns.
    noise = np.sqrt(2 * 2 * (1 + 0.5) / n)
    assert np.sqrt(np.mean((calibrator.transform(X) - X) ** 2)) < 3 * noise
    assert set(calibrator.held_out_gain_) >= {"identity", "bures"}


def test_selection_keeps_the_simplest():
    choices = []
    for seed in range(20):
        X_sim, X_data = np.random.default_rng(seed).normal(size=(2, 1000, 2))
        calibrator = OTCalibrator("bures", selection=True, random_state=seed)
        choices.append(calibrator.fit_samples(X_sim, X_data).selection_)
    assert choices.count("identity") >= 15
    shifted = OTCalibrator("bures", selection=True, random_state=0)
    assert shifted.fit_samples(X_sim, X_data + 0.5).selection_ == "bures"
