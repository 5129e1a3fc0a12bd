import pickle

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import beta, ks_2samp, kstest, kurtosis

from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import (
    closure_auc,
    l2_uvp,
    monotonicity_violations,
    transport_cost,
)

KINDS = ["icnn", "gaussian", "monotone"]
each_kind = pytest.mark.parametrize("kind", KINDS)
with_and_without_condition = pytest.mark.parametrize("conditional", [False, True])


def bures_map(X, Y):
    root = np.real(sqrtm(np.cov(X.T)))
    inverse = np.linalg.inv(root)
    matrix = inverse @ np.real(sqrtm(root @ np.cov(Y.T) @ root)) @ inverse
    return Y.mean(axis=0) + (X - X.mean(axis=0)) @ matrix


def conditional_bures_map(X, Y, c, n_bins=20):
    moved = np.empty_like(Y)
    bins = np.searchsorted(np.quantile(c, np.linspace(0, 1, n_bins + 1)[1:-1]), c)
    for k in range(n_bins):
        moved[bins == k] = bures_map(X[bins == k], Y[bins == k])
    return moved


@each_kind
@with_and_without_condition
@pytest.mark.parametrize("dim", [1, 2, 9])
def test_shapes_and_names(kind, conditional, dim):
    problem = make_transport_problem(
        60, dim=dim, kind=kind, conditional=conditional, random_state=0
    )
    n_columns = dim + conditional
    assert problem.X_sim.shape == problem.X_data.shape == (60, n_columns)
    assert problem.conditions == [dim] * conditional
    assert len(problem.feature_names) == n_columns
    np.testing.assert_array_equal(problem.X[problem.y == 0], problem.X_sim)
    np.testing.assert_array_equal(problem.X[problem.y == 1], problem.X_data)
    moved = problem.true_map(problem.X_sim)
    assert moved.shape == problem.X_sim.shape
    np.testing.assert_array_equal(moved[:, dim:], problem.X_sim[:, dim:])


@each_kind
@with_and_without_condition
def test_true_map_is_monotone_also_far_outside(kind, conditional):
    problem = make_transport_problem(
        2000, dim=3, kind=kind, conditional=conditional, random_state=1
    )
    X = problem.X_sim.copy()
    X[::2, :3] *= 10
    violations = monotonicity_violations(
        problem.true_map, X, 20_000, conditions=problem.conditions, random_state=0
    )
    assert violations == 0


@each_kind
@with_and_without_condition
@pytest.mark.parametrize("dim", [2, 9])
def test_jacobian_is_symmetric_and_positive(kind, conditional, dim):
    problem = make_transport_problem(
        30, dim=dim, kind=kind, conditional=conditional, random_state=2
    )
    X, step = problem.X_sim, 1e-5
    columns = []
    for k in range(dim):
        shift = step * np.eye(X.shape[1])[k]
        difference = problem.true_map(X + shift) - problem.true_map(X - shift)
        columns.append(difference[:, :dim] / (2 * step))
    jacobian = np.stack(columns, axis=2)
    np.testing.assert_allclose(jacobian, jacobian.transpose(0, 2, 1), atol=1e-7)
    assert np.linalg.eigvalsh(jacobian).min() > 0.05


@each_kind
@with_and_without_condition
@pytest.mark.parametrize("seed", [0, 1])
def test_true_map_pushes_simulation_to_data(kind, conditional, seed):
    problem = make_transport_problem(
        5000, kind=kind, conditional=conditional, random_state=seed
    )
    weights = None
    if conditional:
        c = problem.X_sim[:, 2]
        weights = beta.pdf(c, 1.8, 1.3) / beta.pdf(c, 1.2, 1.8)
    moved = problem.true_map(problem.X_sim)
    auc, error = closure_auc(
        moved, problem.X_data, sample_weight_sim=weights, random_state=0
    )
    assert abs(auc - 0.5) < 4 * error


@each_kind
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_dimension_is_the_quantile_map(kind, seed):
    problem = make_transport_problem(20_000, dim=1, kind=kind, random_state=seed)
    x = np.sort(problem.X_sim, axis=0)
    moved = problem.true_map(x)
    assert np.all(np.diff(moved[:, 0]) > 0)
    assert ks_2samp(moved[:, 0], problem.X_data[:, 0]).pvalue > 1e-3
    assert ks_2samp(x[:, 0], problem.X_data[:, 0]).pvalue < 1e-6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gaussian_map_attains_the_bures_distance(seed):
    problem = make_transport_problem(1000, dim=4, kind="gaussian", random_state=seed)
    moved = problem.true_map(problem.X_sim)
    first, second = (np.cov(rows.T, ddof=0) for rows in (problem.X_sim, moved))
    root = sqrtm(first)
    shift = moved.mean(axis=0) - problem.X_sim.mean(axis=0)
    bures = np.trace(first + second - 2 * np.real(sqrtm(root @ second @ root)))
    assert transport_cost(problem.X_sim, moved) == pytest.approx(shift @ shift + bures)


@pytest.mark.parametrize(
    ("dim", "conditional", "identity", "bures"),
    [
        (2, False, (40, 120), (1.5, 3)),
        (8, False, (40, 120), (4, 8)),
        (3, True, (20, 80), (1.5, 3.5)),
    ],
)
def test_difficulty_of_the_icnn_problem(dim, conditional, identity, bures):
    figures = []
    for seed in range(5):
        problem = make_transport_problem(
            5000, dim=dim, conditional=conditional, random_state=seed
        )
        X, c = problem.X_sim[:, :dim], problem.X_sim[:, -1]
        truth = problem.true_map(problem.X_sim)[:, :dim]
        best_affine = (
            conditional_bures_map(X, truth, c) if conditional else bures_map(X, truth)
        )
        figures.append([l2_uvp(X, truth), l2_uvp(best_affine, truth)])
    mean = np.mean(figures, axis=0)
    assert identity[0] < mean[0] < identity[1]
    assert bures[0] < mean[1] < bures[1]


@pytest.mark.parametrize("seed", range(3))
def test_monotone_problem_has_heavy_tails(seed):
    problem = make_transport_problem(20_000, kind="monotone", random_state=seed)
    assert kurtosis(problem.X_sim).min() > 1.5
    assert kurtosis(problem.X_data).min() > 1.5


def test_condition_spectra():
    problem = make_transport_problem(10_000, conditional=True, random_state=0)
    assert kstest(problem.X_sim[:, 2], beta(1.2, 1.8).cdf).pvalue > 1e-3
    assert kstest(problem.X_data[:, 2], beta(1.8, 1.3).cdf).pvalue > 1e-3


@each_kind
def test_map_depends_on_the_seed_only(kind):
    first = make_transport_problem(50, kind=kind, random_state=3)
    second = make_transport_problem(80, kind=kind, random_state=3)
    other = make_transport_problem(50, kind=kind, random_state=4)
    X = first.sample_sim(20, random_state=0)
    np.testing.assert_array_equal(first.true_map(X), second.true_map(X))
    np.testing.assert_array_equal(X, second.sample_sim(20, random_state=0))
    assert not np.allclose(first.true_map(X), other.true_map(X))


@each_kind
def test_samples_are_independent_draws(kind):
    problem = make_transport_problem(2000, dim=3, kind=kind, random_state=5)
    draws = [
        problem.true_map(problem.X_sim),
        problem.X_data,
        problem.sample_data(2000, random_state=5),
        problem.true_map(problem.sample_sim(2000, random_state=5)),
    ]
    ranks = np.stack([np.argsort(np.argsort(draw[:, 0])) for draw in draws])
    correlation = np.corrcoef(ranks)[np.triu_indices(4, k=1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(2000)
    for draw in draws[2:]:
        assert ks_2samp(draw[:, 0], problem.X_data[:, 0]).pvalue > 1e-3


@with_and_without_condition
def test_map_pickles_and_keeps_its_input(conditional):
    problem = make_transport_problem(20, conditional=conditional, random_state=0)
    before = problem.X_sim.copy()
    expected = problem.true_map(problem.X_sim)
    np.testing.assert_array_equal(problem.X_sim, before)
    again = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(again.true_map(before), expected)


def test_rows_are_moved_one_by_one():
    problem = make_transport_problem(9000, dim=2, random_state=0)
    together = problem.true_map(problem.X_sim)
    apart = problem.true_map(problem.X_sim[8190:8200])
    np.testing.assert_allclose(apart, together[8190:8200], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer >= 1, got 0"),
        ({"n_samples": 2.5}, "n_samples must be an integer"),
        ({"dim": 0}, "dim must be an integer >= 1, got 0"),
        ({"kind": "sinkhorn"}, r"kind must be one of .*'monotone'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_transport_problem(**arguments)


def test_wrong_number_of_columns():
    problem = make_transport_problem(10, conditional=True, random_state=0)
    with pytest.raises(ValueError, match=r"X has 2 columns.*takes 3"):
        problem.true_map(problem.X_sim[:, :2])
