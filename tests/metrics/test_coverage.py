import numpy as np
import pytest
from scipy.stats import chi2

from sklearn_hepcal.metrics import coverage

each_seed = pytest.mark.parametrize("seed", range(4))


def random_covariances(rng, n_rows, dim):
    factors = rng.normal(size=(n_rows, dim, dim)) + 2 * np.eye(dim)
    return factors, factors @ np.swapaxes(factors, 1, 2)


@each_seed
@pytest.mark.parametrize("level", [0.1, 0.6827, 0.9])
@pytest.mark.parametrize("inflation", [0.5, 1.0, 1.5])
def test_gaussian_interval(seed, level, inflation):
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.1, 10.0, 5000)
    true = rng.normal(5.0, std)
    value, error = coverage(true, np.full(5000, 5.0), std=inflation * std, level=level)
    expected = chi2.cdf(inflation**2 * chi2.ppf(level, 1), 1)
    assert abs(value - expected) < 4 * error
    assert error == pytest.approx(np.sqrt(value * (1 - value) / 5000))


@each_seed
@pytest.mark.parametrize("dim", [2, 3])
def test_gaussian_ellipse_with_a_covariance_of_each_row(seed, dim):
    rng = np.random.default_rng(seed)
    factors, cov = random_covariances(rng, 5000, dim)
    predicted = rng.normal(size=(5000, dim))
    true = predicted + np.einsum("nij,nj->ni", factors, rng.normal(size=(5000, dim)))
    value, error = coverage(true, predicted, cov=cov)
    assert abs(value - 0.6827) < 4 * error
    for scale in (0.8, 1.3):
        value, error = coverage(true, predicted, cov=scale * cov)
        assert abs(value - chi2.cdf(scale * chi2.ppf(0.6827, dim), dim)) < 4 * error


def test_ellipse_by_hand():
    cov = np.array([[[2.0, 1.0], [1.0, 2.0]]] * 2)
    radius = np.sqrt(chi2.ppf(0.5, 2))
    long_axis, short_axis = (
        np.array([1, 1]) / np.sqrt(2),
        np.array([1, -1]) / np.sqrt(2),
    )
    for axis, width in [(long_axis, np.sqrt(3)), (short_axis, 1.0)]:
        true = radius * width * np.outer([0.999, 1.001], axis)
        assert coverage(true, np.zeros((2, 2)), cov=cov, level=0.5).value == 0.5


def test_std_and_cov_agree():
    rng = np.random.default_rng(0)
    true, std = rng.normal(size=300), rng.uniform(0.5, 2.0, 300)
    expected = coverage(true, np.zeros(300), std=std)
    assert coverage(true[:, None], np.zeros((300, 1)), std=std) == expected
    assert coverage(true, np.zeros(300), cov=std[:, None, None] ** 2) == expected


def test_weights_are_repetitions():
    rng = np.random.default_rng(0)
    true, weights = rng.normal(size=100), rng.integers(0, 4, 100)
    zeros, ones = np.zeros(100), np.ones(100)
    value, error = coverage(true, zeros, std=ones, sample_weight=weights)
    repeated = np.repeat(true, weights)
    n_rows = len(repeated)
    expected = coverage(repeated, np.zeros(n_rows), std=np.ones(n_rows))
    assert value == pytest.approx(expected.value)
    assert error > expected.error


def test_error_covers_with_weights():
    rng, n_experiments = np.random.default_rng(0), 400
    covered = 0
    for _ in range(n_experiments):
        value, error = coverage(
            rng.normal(size=200),
            np.zeros(200),
            std=np.ones(200),
            sample_weight=rng.exponential(size=200),
        )
        covered += abs(value - 0.6827) < error
    assert covered / n_experiments == pytest.approx(0.683, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give either std or cov"),
        ({"std": np.ones(3), "cov": np.ones((3, 1, 1))}, "Give either std or cov"),
        ({"std": np.ones(2)}, r"std must have shape \(3,\), got \(2,\)"),
        ({"std": np.ones((3, 2))}, r"std must have shape \(3,\), got \(3, 2\)"),
        ({"std": [1.0, 0.0, 1.0]}, "std must be positive, got 0"),
        ({"std": [1.0, np.nan, 1.0]}, "std must be a non-empty array of finite"),
        ({"cov": np.ones(3)}, r"cov must have shape \(3, 1, 1\), got \(3,\)"),
        ({"cov": -np.ones((3, 1, 1))}, "cov must be finite, symmetric and positive"),
        ({"cov": np.full((3, 1, 1), np.nan)}, "cov must be finite, symmetric"),
        ({"std": np.ones(3), "level": 68.27}, "level must be between 0 and 1, got 68"),
        ({"std": np.ones(3), "sample_weight": np.zeros(3)}, "positive sum"),
        ({"std": np.ones(3), "y_pred": np.zeros(2)}, "must have the same rows"),
        ({"std": np.ones(3), "y_pred": np.full(3, np.inf)}, "y_pred contains infinity"),
    ],
)
def test_bad_input(options, message):
    rows = {"y_true": np.zeros(3), "y_pred": np.zeros(3)}
    with pytest.raises(ValueError, match=message):
        coverage(**(rows | options))


def test_std_is_for_one_column():
    rows = np.zeros((3, 2))
    with pytest.raises(ValueError, match="std is for one column, got 2; give cov"):
        coverage(rows, rows, std=np.ones(3))


@pytest.mark.parametrize("level", ["0.6", None, [0.6]])
def test_level_is_a_number(level):
    message = "level must be a number between 0 and 1, got "
    with pytest.raises(TypeError, match=message):
        coverage(np.zeros(3), np.zeros(3), std=np.ones(3), level=level)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_asymmetric_covariance(unit):
    rows, scale = np.zeros((1, 2)), np.outer([unit, 1.0], [unit, 1.0])
    for rounding in (
        [[1.0, 1e-17], [2e-17, 1.0]],
        [[1.0, 0.0], [1e-9, 1.0]],
        [[1.0, 0.9], [0.9 + 1e-7, 1.0]],
    ):
        assert coverage(rows, rows, cov=[rounding * scale]).value == 1.0
    for wrong in (
        [[1.0, 0.5], [0.0, 1.0]],
        [[1.0, 0.5], [0.501, 1.0]],
        [[1.0, np.nan], [0.5, 1.0]],
    ):
        with pytest.raises(ValueError, match="symmetric"):
            coverage(rows, rows, cov=[wrong * scale])
