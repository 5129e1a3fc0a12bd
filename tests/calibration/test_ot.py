import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.datasets import load_flavour_scores, make_transport_problem
from sklearn_hepcal.metrics import l2_uvp, monotonicity_violations

SOLVERS = ["bures", "quantile", "picnn"]
# Where a fit takes long.
FIRST_SEED_ELSE_SLOW = [
    0,
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)),
]
each_solver = pytest.mark.parametrize("solver", SOLVERS)


def make(solver, **kwargs):
    """A calibrator without selection; a short training is enough for its properties."""
    return OTCalibrator(solver, selection=False, max_epochs=5, random_state=0, **kwargs)


@pytest.fixture(scope="module")
def problem():
    return make_transport_problem(3000, dim=2, conditional=True, random_state=0)


@pytest.fixture(scope="module")
def fitted(problem):
    return {
        solver: make(solver, conditions=[2]).fit(problem.X, problem.y)
        for solver in SOLVERS
    }


# Guarantees of every solver


@each_solver
def test_inverse_undoes_the_map(fitted, problem, solver):
    calibrator = fitted[solver]
    moved = calibrator.transform(problem.X_sim)
    np.testing.assert_allclose(
        calibrator.inverse_transform(moved), problem.X_sim, atol=1e-6
    )
    back = calibrator.inverse_transform(problem.X_data)
    np.testing.assert_allclose(calibrator.transform(back), problem.X_data, atol=1e-6)


@each_solver
def test_conditions_pass_through(fitted, problem, solver):
    moved = fitted[solver].transform(problem.X_sim)
    np.testing.assert_array_equal(moved[:, 2], problem.X_sim[:, 2])
    assert (moved[:, :2] != problem.X_sim[:, :2]).all()


@each_solver
@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_no_pair_violates_monotonicity(fitted, problem, solver, stretch):
    X = problem.sample_sim(20_000, random_state=1)
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
def test_jacobian(fitted, problem, solver):
    calibrator = fitted[solver]
    X = problem.sample_sim(300, random_state=2)
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
def test_map_is_affine_far_outside(fitted, problem, solver):
    X = problem.sample_sim(200, random_state=3)
    direction = np.append(np.random.default_rng(0).normal(size=2), 0.0)
    along = [fitted[solver].transform(X + t * direction) for t in (1e6, 2e6, 3e6)]
    first, second = along[1] - along[0], along[2] - along[1]
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)


@each_solver
def test_common_rescaling(problem, solver):
    scaled = problem.X * [1000.0, 1000.0, 1.0]
    ours = make(solver, conditions=[2]).fit(problem.X, problem.y)
    theirs = make(solver, conditions=[2]).fit(scaled, problem.y)
    X = problem.X_sim[:500]
    np.testing.assert_allclose(
        theirs.transform(X * [1000.0, 1000.0, 1.0]) / [1000.0, 1000.0, 1.0],
        ours.transform(X),
        rtol=2e-3,
        atol=2e-3,
    )


@each_solver
def test_same_seed_is_bit_identical_and_touches_no_global_generator(problem, solver):
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    one, two = (
        make(solver, conditions=[2]).fit(problem.X, problem.y).transform(problem.X_sim)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    assert torch.equal(torch.get_rng_state(), before[0])
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before[1])


@each_solver
def test_pickle_and_clone(fitted, problem, solver):
    calibrator = fitted[solver]
    moved = calibrator.transform(problem.X_sim)
    state = pickle.dumps(calibrator)
    assert b"torch" not in state
    np.testing.assert_array_equal(pickle.loads(state).transform(problem.X_sim), moved)
    again = clone(calibrator).fit(problem.X, problem.y)
    np.testing.assert_array_equal(again.transform(problem.X_sim), moved)


@each_solver
def test_parameters_set_after_the_fit_do_not_change_it(fitted, problem, solver):
    calibrator = pickle.loads(pickle.dumps(fitted[solver]))
    calibrator.set_params(hidden_width=3, n_layers=1, n_knots=2, solver="bures")
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(calibrator)).transform(problem.X_sim),
        fitted[solver].transform(problem.X_sim),
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


@pytest.mark.parametrize("seed", [0, 1, 2])
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
@pytest.mark.parametrize("seed", [0, 1, 2])
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


@pytest.mark.parametrize("solver", ["bures", "quantile"])
def test_weights_are_repeated_rows(problem, solver):
    rng = np.random.default_rng(0)
    repeats = rng.integers(0, 4, len(problem.X))
    weighted = make(solver, conditions=[2]).fit(problem.X, problem.y, repeats)
    repeated = make(solver, conditions=[2]).fit(
        problem.X.repeat(repeats, axis=0), problem.y.repeat(repeats)
    )
    X = problem.X_sim
    np.testing.assert_allclose(
        weighted.transform(X), repeated.transform(X), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
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
@pytest.mark.parametrize("seed", [0, 1])
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


def test_condition_weights_match_the_spectra(problem):
    calibrator = make("bures", conditions=[2]).fit(problem.X, problem.y)
    weight = calibrator.condition_weights(problem.X_sim)
    for power in (1, 2):
        matched = np.average(problem.X_sim[:, 2] ** power, weights=weight)
        expected = np.mean(problem.X_data[:, 2] ** power)
        assert matched == pytest.approx(expected, abs=2e-3)
    unmatched = make("bures", conditions=[2], match_conditions=False)
    unmatched.fit(problem.X, problem.y)
    assert (unmatched.condition_weights(problem.X_sim) == 1).all()


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW[:2])
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
def test_rows_of_weight_zero_are_absent(problem, solver):
    strange = problem.X[:200] + 1000.0
    X, y = np.vstack([problem.X, strange]), np.append(problem.y, np.arange(200) % 2)
    weight = np.append(np.ones(len(problem.y)), np.zeros(200))
    with_them = make(solver, conditions=[2]).fit(X, y, weight)
    without = make(solver, conditions=[2]).fit(problem.X, problem.y)
    np.testing.assert_array_equal(
        with_them.transform(problem.X_sim), without.transform(problem.X_sim)
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


# In scikit-learn


def test_data_frames_and_condition_names():
    X, y = load_flavour_scores(flavour="light", return_X_y=True, as_frame=True)
    X = X[["p_u", "p_c", "p_b", "pt"]].groupby(y.to_numpy()).head(500)
    y = y.loc[X.index]
    calibrator = OTCalibrator("bures", conditions=["pt"]).fit(X, y)
    assert calibrator.conditions_.tolist() == [3]
    moved = calibrator.set_output(transform="pandas").transform(X)
    assert isinstance(moved, pd.DataFrame)
    assert list(moved.columns) == list(X.columns)
    with pytest.raises(ValueError, match=r"conditions names the column 'pT'.*'pt'"):
        OTCalibrator("bures", conditions=["pT"]).fit(X, y)


def test_grid_search_in_a_pipeline_of_probabilities():
    data = load_flavour_scores(flavour="light")
    rows = np.random.default_rng(0).permutation(len(data.data))[:4000]
    X, y = data.data[rows, :4], data.target[rows]
    pipeline = make_pipeline(
        SimplexTransformer([0, 1, 2]),
        OTCalibrator("bures", conditions=[2], selection=False, max_epochs=3),
        SimplexTransformer([0, 1, 2], inverse=True),
    )
    calibrated = pipeline.fit(X, y).transform(X)
    np.testing.assert_allclose(calibrated[:, :3].sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(calibrated[:, 3], X[:, 3])

    search = GridSearchCV(
        pipeline[:2],
        {
            "otcalibrator__solver": ["bures", "picnn"],
            "otcalibrator__learning_rate": [0.01, 0.05],
        },
        cv=StratifiedKFold(2),
        n_jobs=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0


def test_score_ranks_maps_as_the_distance_to_the_truth(problem):
    X = problem.sample_sim(5000, random_state=4)
    truth = problem.true_map(X)[:, :2]
    rows = np.concatenate([X, problem.sample_data(5000, random_state=5)])
    y = np.repeat([0, 1], 5000)
    calibrators = [
        make("bures", conditions=[2], shrinkage=1.0),
        make("bures", conditions=[2]),
        make("picnn", conditions=[2]).set_params(max_epochs=60),
    ]
    scores, distances = [], []
    for calibrator in calibrators:
        calibrator.fit(problem.X, problem.y)
        scores.append(calibrator.score(rows, y))
        distances.append(l2_uvp(calibrator.transform(X)[:, :2], truth))
    assert scores == sorted(scores)
    assert distances == sorted(distances, reverse=True)


def test_early_stopping_and_progress(problem, capsys):
    calibrator = OTCalibrator(
        conditions=[2],
        max_epochs=50,
        early_stopping=True,
        n_iter_no_change=2,
        selection=True,
        verbose=1,
        random_state=0,
    )
    assert capsys.readouterr().err == ""
    few = np.random.default_rng(0).permutation(len(problem.X))[:800]
    calibrator.fit(problem.X[few], problem.y[few])
    assert "epoch" in capsys.readouterr().err
    assert len(calibrator.dual_curve_) < 50


# Bad input


def bad(change):
    rng = np.random.default_rng(0)
    arrays = {
        "X": rng.normal(size=(400, 3)),
        "y": np.repeat([0, 1], 200),
        "w": np.ones(400),
    }
    change(arrays)
    return arrays["X"], arrays["y"], arrays["w"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(y=np.zeros(400)), "two domain labels"),
        (lambda a: a.update(y=np.repeat([0, 1, 2, 3], 100)), "two domain labels"),
        (lambda a: a["X"].__setitem__((3, 1), np.nan), "NaN"),
        (lambda a: a["X"].__setitem__((3, 1), np.inf), "infinity"),
        (lambda a: a["w"].__setitem__(300, -1.0), "negative for data"),
        (lambda a: a["w"].__setitem__(slice(200), -1.0), "positive sum"),
        (lambda a: a["X"].__setitem__((slice(None), 0), 2.0), "column 0 is constant"),
        (
            lambda a: a["X"].__setitem__((slice(200, None), 2), np.arange(10, 210)),
            "too few simulated events near the condition",
        ),
        (
            lambda a: (
                a["X"].__setitem__(
                    (slice(200), 2), np.where(np.arange(200) < 3, 5.0, a["X"][:200, 2])
                )
                or a["X"].__setitem__((slice(200, None), 2), 5 + a["X"][200:, 2])
            ),
            "too few simulated events near the condition",
        ),
    ],
)
def test_bad_samples(change, message):
    with pytest.raises(ValueError, match=message):
        OTCalibrator("bures", conditions=[2]).fit(*bad(change))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "ot"}, "'solver' parameter"),
        ({"selection": "yes"}, "'selection' parameter"),
        ({"n_knots": "7"}, "'n_knots' parameter"),
        ({"conditions": "pt"}, "'conditions' parameter"),
        ({"conditions": [1.5]}, "names the column 1.5"),
        ({"conditions": [7]}, "names the column 7"),
        ({"conditions": ["pt"]}, "names the column 'pt'"),
        ({"conditions": [1, -2]}, "twice"),
        ({"conditions": [0, 1, 2]}, "nothing is left to move"),
        ({"n_knots": 1}, "'n_knots' parameter"),
        ({"learning_rate": -1.0}, "'learning_rate' parameter"),
        ({"max_epochs": 0}, "'max_epochs' parameter"),
        ({"device": "abacus", "max_epochs": 1}, "device='abacus'"),
    ],
)
def test_bad_parameters(parameters, message):
    X, y, _ = bad(lambda a: None)
    with pytest.raises(ValueError, match=message):
        OTCalibrator(**{"selection": False, **parameters}).fit(X, y)


def test_score_needs_both_samples(fitted, problem):
    with pytest.raises(ValueError, match="must hold the labels"):
        fitted["bures"].score(problem.X_sim, np.zeros(len(problem.X_sim)))
