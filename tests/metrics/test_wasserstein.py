import numpy as np
import ot
import pytest
from scipy.stats import norm, wasserstein_distance

from sklearn_hepcal.metrics import sliced_wasserstein, wasserstein_1d


def weighted_samples(seed):
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=80), rng.exponential(size=55)
    return u, v, rng.exponential(size=80), rng.exponential(size=55)


@pytest.mark.parametrize("order", [1, 1.5, 2, 4])
def test_shift_costs_its_length(order):
    u = np.random.default_rng(0).standard_cauchy(100)
    assert wasserstein_1d(u, u + 3, order=order) == pytest.approx(3)
    assert wasserstein_1d(u, u[::-1], order=order) == 0


def test_second_order_between_gaussians():
    levels = (np.arange(200_000) + 0.5) / 200_000
    u, v = norm.ppf(levels[::2]), norm(1, 3).ppf(levels)
    assert wasserstein_1d(u, v, order=2) == pytest.approx(np.sqrt(5), rel=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_first_order_is_that_of_scipy(seed):
    u, v, wu, wv = weighted_samples(seed)
    expected = wasserstein_distance(u, v, wu, wv)
    assert wasserstein_1d(u, v, wu, wv) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", [1, 2, 3])
def test_any_order_is_the_exact_transport(seed, order):
    u, v, wu, wv = weighted_samples(seed)
    cost = np.abs(u[:, None] - v) ** order
    expected = ot.emd2(wu / wu.sum(), wv / wv.sum(), cost) ** (1 / order)
    assert wasserstein_1d(u, v, wu, wv, order=order) == pytest.approx(expected)


@pytest.mark.parametrize("order", [1, 2])
def test_weights_are_repetitions(order):
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 40))
    counts = rng.integers(0, 4, 40)
    assert wasserstein_1d(u, v, counts, order=order) == pytest.approx(
        wasserstein_1d(np.repeat(u, counts), v, order=order), rel=1e-12
    )


def test_standardised_distance_has_no_unit():
    u, v, wu, wv = weighted_samples(0)
    plain = wasserstein_1d(u, v, wu, wv, standardise=True)
    scaled = wasserstein_1d(40 * u + 7, 40 * v + 7, wu, wv, standardise=True)
    assert scaled == pytest.approx(plain)
    deviation = np.sqrt(np.cov(v, aweights=wv, ddof=0))
    assert wasserstein_1d(u, v, wu, wv) / deviation == pytest.approx(plain)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_sliced_distance_is_that_of_pot(order, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(60, 3)), rng.exponential(size=(45, 3))
    a, b = rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(45))
    directions = np.random.RandomState(seed).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = ot.sliced_wasserstein_distance(
        X, Y, a, b, projections=directions.T, p=order
    )
    distance = sliced_wasserstein(
        X, Y, a, b, n_projections=20, order=order, random_state=seed
    )
    assert distance == pytest.approx(expected)


@pytest.mark.parametrize("dim", [1, 3])
def test_sliced_distance_of_a_shift(dim):
    X = np.random.default_rng(0).normal(size=(50, dim))
    shift = np.full(dim, 2.0)
    distance = sliced_wasserstein(X, X + shift, n_projections=4000, random_state=0)
    # E (shift . direction)^2 = |shift|^2 / dim
    assert distance == pytest.approx(2.0, rel=0.05 if dim > 1 else 1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [1.0]), "u must be a non-empty array"),
        (([1.0], [np.inf]), "v must be a non-empty array of finite"),
        (([1.0], [1.0], [-1.0]), "u_weights must not be negative"),
        (([1.0], [1.0], None, [1.0, 2.0]), "v_weights has 2 entries for 1 rows"),
        (([1.0], [1.0], [0.0]), "u_weights must have a positive sum"),
    ],
)
def test_unusable_samples(arguments, message):
    with pytest.raises(ValueError, match=message):
        wasserstein_1d(*arguments)


def test_unusable_options():
    with pytest.raises(ValueError, match="order must be at least 1"):
        wasserstein_1d([0.0], [1.0], order=0.5)
    with pytest.raises(ValueError, match="v is constant"):
        wasserstein_1d([0.0], [1.0], standardise=True)
    with pytest.raises(ValueError, match="n_projections must be at least 1"):
        sliced_wasserstein([[0.0]], [[1.0]], n_projections=0)
    with pytest.raises(ValueError, match="X and Y must have the same columns"):
        sliced_wasserstein([[0.0]], [[1.0, 2.0]])
