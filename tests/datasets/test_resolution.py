import pickle

import numpy as np
import pytest
from scipy.stats import kstest, multivariate_normal, norm, uniform

from sklearn_hepcal.datasets import make_resolution_problem

KINDS, PRIORS = ["gaussian", "gaussian_2d"], ["uniform", "normal"]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_prior = pytest.mark.parametrize("prior", PRIORS)
CORRELATION = np.array([[1.0, 0.6], [0.6, 1.0]])


def columns(y):
    return y.reshape(len(y), -1)


def as_y(problem, z):
    return z.reshape(-1, *problem.y.shape[1:])


def evidence(x, scale, prior):
    """Density of one measurement at one scale, by the functions of scipy."""
    dim = len(x)
    noise = scale**2 * CORRELATION[:dim, :dim]
    if prior == "normal":
        return multivariate_normal(cov=noise + 6.25 * np.eye(dim)).pdf(x)
    box = multivariate_normal(x, noise).cdf(
        np.full(dim, 5.0), lower_limit=np.full(dim, -5.0)
    )
    return box / 10**dim


@each_kind
@each_prior
def test_sample_has_the_documented_law(kind, prior):
    problem = make_resolution_problem(20_000, kind=kind, prior=prior, random_state=0)
    z = columns(problem.y)
    law = uniform(-5, 10) if prior == "uniform" else norm(0, 2.5)
    for column in z.T:
        assert kstest(column, law.cdf).pvalue > 1e-3
    dim = z.shape[1]
    scale = np.ones((20_000, 1))
    if kind == "gaussian_2d":
        scale = problem.X[:, 2:]
        assert kstest(scale[:, 0], uniform(0.5, 1.0).cdf).pvalue > 1e-3
    pulls = (problem.X[:, :dim] - z) / scale
    for pull in pulls.T:
        assert kstest(pull, norm.cdf).pvalue > 1e-3
    expected = CORRELATION[:dim, :dim]
    np.testing.assert_allclose(pulls.T @ pulls / 20_000, expected, atol=0.04)
    assert np.abs(np.corrcoef(pulls.T, z.T)[:dim, dim:]).max() < 0.03


@each_kind
@each_prior
def test_log_ratio_is_that_of_the_densities(kind, prior):
    problem = make_resolution_problem(100, kind=kind, prior=prior, random_state=1)
    X, z = problem.X, columns(problem.y)
    dim = z.shape[1]
    X[::4, :dim] += np.sign(X[::4, :dim]) * 3
    scales = X[:, 2] if dim == 2 else np.ones(100)
    expected = [
        multivariate_normal(zi, s**2 * CORRELATION[:dim, :dim]).pdf(xi)
        / evidence(xi, s, prior)
        for xi, zi, s in zip(X[:, :dim], z, scales, strict=True)
    ]
    np.testing.assert_allclose(
        np.exp(problem.log_ratio(X, problem.y)), expected, rtol=1e-6
    )


@each_kind
@each_prior
def test_ratio_integrates_to_one_over_the_prior(kind, prior):
    problem = make_resolution_problem(30, kind=kind, prior=prior, random_state=0)
    axis = np.linspace(-5, 5, 201)[:-1] + 0.025
    weight = np.full(200, 1 / 200)
    if prior == "normal":
        axis, step = np.linspace(-12.5, 12.5, 251, retstep=True)
        weight = norm(0, 2.5).pdf(axis) * step
    dim = columns(problem.y).shape[1]
    grid = np.stack(np.meshgrid(*[axis] * dim), axis=-1).reshape(-1, dim)
    weights = np.prod(np.stack(np.meshgrid(*[weight] * dim)), axis=0).ravel()
    for row in problem.X[:4]:
        ratio = problem.log_ratio(np.tile(row, (len(grid), 1)), as_y(problem, grid))
        assert weights @ np.exp(ratio) == pytest.approx(1, abs=1e-3)


@each_kind
@each_prior
def test_log_ratio_is_finite_far_outside(kind, prior):
    problem = make_resolution_problem(4, kind=kind, prior=prior, random_state=0)
    far = np.array([[40.0], [-40.0], [1e3], [-1e3]])
    X = far if kind == "gaussian" else np.hstack([far, far[::-1], np.ones((4, 1))])
    ratios = problem.log_ratio(X, problem.y)
    assert np.isfinite(ratios).all()
    if prior == "uniform":
        # Beside the box, the law of the mirror image.
        mirrored = X * np.array([-1.0] if kind == "gaussian" else [-1.0, -1.0, 1.0])
        np.testing.assert_allclose(problem.log_ratio(mirrored, -problem.y), ratios)


@pytest.mark.parametrize(
    ("kind", "prior", "expected"),
    [
        ("gaussian", "uniform", 1.06429),
        ("gaussian", "normal", np.log(7.25) / 2),
        ("gaussian_2d", "uniform", 2.43546),
        ("gaussian_2d", "normal", 2.29843),
    ],
)
def test_mutual_information(kind, prior, expected):
    problem = make_resolution_problem(30_000, kind=kind, prior=prior, random_state=0)
    exact = problem.mutual_information
    assert exact == pytest.approx(expected, abs=1e-5)
    for seed in range(3):
        rows = problem.sample(30_000, random_state=seed)
        value, error = problem.estimate_information(*rows)
        assert abs(value - exact) < 4 * error
        assert 0.5 < error * np.sqrt(30_000) < 1.5


def test_information_of_two_dimensions_is_that_of_the_axes_of_the_noise():
    problem = make_resolution_problem(10, kind="gaussian_2d", prior="normal")
    s = np.linspace(0.5, 1.5, 20_001)
    information = (
        sum(np.log1p(6.25 / (s**2 * eigenvalue)) for eigenvalue in (0.4, 1.6)) / 2
    )
    assert problem.mutual_information == pytest.approx(np.mean(information), abs=1e-4)


@each_kind
@each_prior
def test_maximum_likelihood_maximises_the_ratio(kind, prior):
    problem = make_resolution_problem(200, kind=kind, prior=prior, random_state=0)
    z, cov = problem.maximum_likelihood(problem.X)
    assert z.shape == problem.y.shape
    best = problem.log_ratio(problem.X, z)
    dim = columns(z).shape[1]
    assert cov.shape == (200, dim, dim)
    rng = np.random.default_rng(0)
    for _ in range(5):
        shift = rng.normal(size=(200, dim))
        moved = as_y(problem, columns(z) + shift)
        drop = best - problem.log_ratio(problem.X, moved)
        chi2 = np.einsum("ni,nij,nj->n", shift, np.linalg.inv(cov), shift)
        np.testing.assert_allclose(drop, chi2 / 2, rtol=1e-9)


@each_kind
def test_seeds(kind):
    first, again, other = (
        make_resolution_problem(50, kind=kind, random_state=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)
    X, y = first.sample(20, random_state=0)
    assert X.shape == (20, first.X.shape[1])
    assert len(y) == 20
    np.testing.assert_array_equal(X, other.sample(20, random_state=0)[0])
    assert not np.isin(
        y, make_resolution_problem(20, kind=kind, random_state=0).y
    ).any()


@each_kind
def test_pickle_and_unchanged_input(kind):
    problem = make_resolution_problem(20, kind=kind, random_state=0)
    X, y = problem.X.copy(), problem.y.copy()
    expected = problem.log_ratio(problem.X, problem.y)
    np.testing.assert_array_equal(problem.X, X)
    np.testing.assert_array_equal(problem.y, y)
    again = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(again.log_ratio(X, y), expected)


def test_rows_are_judged_one_by_one():
    problem = make_resolution_problem(9000, kind="gaussian_2d", random_state=0)
    together = problem.log_ratio(problem.X, problem.y)
    apart = problem.log_ratio(problem.X[8190:8200], problem.y[8190:8200])
    np.testing.assert_allclose(apart, together[8190:8200], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer >= 1, got 0"),
        ({"n_samples": 2.5}, "n_samples must be an integer"),
        ({"kind": "poisson"}, r"kind must be one of .*'poisson'"),
        ({"prior": "cauchy"}, r"prior must be one of .*'cauchy'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_resolution_problem(**arguments)


def test_bad_rows():
    problem = make_resolution_problem(10, kind="gaussian_2d", random_state=0)
    with pytest.raises(ValueError, match=r"X has 2 columns.*has 3"):
        problem.maximum_likelihood(problem.X[:, :2])
    with pytest.raises(ValueError, match="y must have shape"):
        problem.log_ratio(problem.X, problem.y[:, 0])
    with pytest.raises(ValueError, match="y must have shape"):
        problem.log_ratio(problem.X, problem.y[:3])
    with pytest.raises(ValueError, match="Scales must be positive, got -1"):
        problem.maximum_likelihood([[0.0, 0.0, -1.0]])
    with pytest.raises(ValueError, match="y contains NaN"):
        problem.log_ratio(problem.X, problem.y * np.nan)
