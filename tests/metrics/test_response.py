import numpy as np
import pytest
from scipy.stats import norm

from sklearn_hepcal.metrics import resolution, response_closure

METHODS = ["quantile", "std", "fit"]
each_method = pytest.mark.parametrize("method", METHODS)
each_seed = pytest.mark.parametrize("seed", range(3))


def jets(rng, n_rows, scale=0.95, width=0.1):
    true = rng.uniform(20.0, 100.0, n_rows)
    return true, true * rng.normal(scale, width, n_rows)


def log_normal(rng, n_rows, width=0.1):
    return np.ones(n_rows), np.exp(width * rng.normal(size=n_rows))


def two_peaks(rng, n_rows, width):
    centres = np.where(rng.random(n_rows) < 0.6, 1.0, 0.6)
    return np.ones(n_rows), rng.normal(centres, width)


def low_tail(rng, n_rows):
    """A tenth of the rows loses a part of its energy."""
    lost = rng.exponential(0.3, n_rows) * (rng.random(n_rows) < 0.1)
    return np.ones(n_rows), rng.normal(1.0, 0.1, n_rows) - lost


@each_seed
def test_mean_and_mode_of_gaussian_responses(seed):
    true, predicted = jets(np.random.default_rng(seed), 8000)
    closure = response_closure(true, predicted, bins=4, random_state=0)
    assert np.all(np.abs(closure.mean - 0.95) < 4 * closure.mean_error)
    assert np.all(np.abs(closure.mode - 0.95) < 4 * closure.mode_error)
    np.testing.assert_allclose(closure.mean_error, 0.1 / np.sqrt(2000), rtol=0.07)
    assert np.all(closure.mode_error < 4 * closure.mean_error)
    np.testing.assert_array_equal(closure.n_rows, 2000)


@each_seed
def test_response_changes_with_the_true_value(seed):
    rng = np.random.default_rng(seed)
    true = rng.uniform(20.0, 100.0, 10_000)
    predicted = 0.9 * true + 3.0 + rng.normal(size=10_000)
    closure = response_closure(true, predicted, bins=[20, 50, 100], kind="difference")
    expected = 3.0 - 0.1 * closure.mean_true
    np.testing.assert_allclose(closure.mean_true, [35, 75], atol=1.2)
    assert np.all(np.abs(closure.mean - expected) < 4 * closure.mean_error)


@each_seed
def test_mode_of_a_skewed_law_is_not_its_mean(seed):
    rows = log_normal(np.random.default_rng(seed), 12_000)
    closure = response_closure(*rows, random_state=0)
    residual_bias = 0.0015
    assert abs(closure.mode[0] - np.exp(-0.01)) < (
        4 * closure.mode_error[0] + residual_bias
    )
    assert abs(closure.mean[0] - np.exp(0.005)) < 4 * closure.mean_error[0]
    assert closure.mean[0] - closure.mode[0] > 3 * closure.mode_error[0]


@each_seed
def test_mode_ignores_a_tail(seed):
    rows = low_tail(np.random.default_rng(seed), 12_000)
    closure = response_closure(*rows, random_state=0)
    assert abs(closure.mode[0] - 1.0) < 4 * closure.mode_error[0] + 0.01
    assert abs(closure.mean[0] - 0.97) < 4 * closure.mean_error[0]


@each_seed
@pytest.mark.parametrize("width", [0.05, 0.1])
def test_mode_is_that_of_the_higher_peak(seed, width):
    rows = two_peaks(np.random.default_rng(seed), 8000, width)
    closure = response_closure(*rows, random_state=0)
    assert abs(closure.mode[0] - 1.0) < 4 * closure.mode_error[0]
    assert closure.mode_error[0] < 0.01


@pytest.mark.parametrize(("width", "bias"), [(0.1, 0.001), (0.3, 0.007)])
def test_bias_of_the_mode_of_a_log_normal_law(width, bias):
    # The quantiles of the law, rather than a sample.
    levels = (np.arange(100_000) + 0.5) / 100_000
    response = np.exp(width * norm.ppf(levels))
    closure = response_closure(np.ones(100_000), response, n_bootstrap=2)
    assert closure.mode[0] / np.exp(-(width**2)) - 1 == pytest.approx(bias, abs=4e-4)


@pytest.mark.parametrize("n_rows", [2, 3, 5, 10])
def test_mode_is_inside_of_the_sample(n_rows):
    rng = np.random.default_rng(n_rows)
    for _ in range(100):
        true, predicted = jets(rng, n_rows)
        response = predicted / true
        mode = response_closure(true, predicted, n_bootstrap=2).mode[0]
        assert response.min() <= mode <= response.max()


def test_errors_cover_with_weights():
    rng, n_experiments = np.random.default_rng(0), 120
    pulls = []
    for seed in range(n_experiments):
        true, predicted = jets(rng, 300)
        weights = rng.exponential(size=300)
        options = {"sample_weight": weights, "n_bootstrap": 30, "random_state": seed}
        closure = response_closure(true, predicted, **options)
        width = resolution(true, predicted, **options)
        pulls.append(
            [
                (closure.mean[0] - 0.95) / closure.mean_error[0],
                (closure.mode[0] - 0.95) / closure.mode_error[0],
                (width.value[0] - 0.1 / 0.95) / width.error[0],
            ]
        )
    covered = np.mean(np.abs(pulls) < 1, axis=0)
    np.testing.assert_allclose(covered, 0.683, atol=4 * np.sqrt(0.217 / n_experiments))


@each_method
@each_seed
def test_relative_width_does_not_depend_on_the_scale(method, seed):
    rows = jets(np.random.default_rng(seed), 10_000, scale=0.8, width=0.08)
    jer = resolution(*rows, bins=2, method=method, random_state=0)
    assert np.all(np.abs(jer.value - 0.1) < 4 * jer.error)


@each_method
def test_width_of_a_difference_is_absolute(method):
    rng = np.random.default_rng(0)
    true = rng.normal(size=20_000)
    predicted = true + rng.normal(-7.0, 0.5, size=20_000)
    width = resolution(true, predicted, kind="difference", method=method)
    assert abs(width.value[0] - 0.5) < 4 * width.error[0]


@each_seed
def test_widths_of_a_log_normal_response(seed):
    rows = log_normal(np.random.default_rng(seed), 20_000, width=0.3)
    for method, expected in [
        ("quantile", np.sinh(0.3)),
        ("std", np.sqrt(np.expm1(0.09))),
    ]:
        width = resolution(*rows, method=method, random_state=0)
        assert abs(width.value[0] - expected) < 4 * width.error[0]


@each_seed
def test_fit_measures_the_core_and_std_the_tail(seed):
    rows = low_tail(np.random.default_rng(seed), 12_000)
    quantile, std, fit = (
        resolution(*rows, method=m, n_bootstrap=2).value[0] for m in METHODS
    )
    exact_std = np.sqrt(0.01 + 0.1 * 2 * 0.3**2 - 0.03**2) / 0.97
    assert 0.1 < fit < 0.11 < quantile < std
    assert std == pytest.approx(exact_std, rel=0.08)


def test_bootstrap_errors_are_the_asymptotic_ones():
    n_rows, p = 5000, norm.cdf(-1)
    rng = np.random.default_rng(0)
    rows = np.zeros(n_rows), rng.normal(size=n_rows)
    exact = {
        "quantile": np.sqrt(p * (1 - 2 * p) / 2) / norm.pdf(1),
        "std": np.sqrt(1 / 2),
    }
    for method, error in exact.items():
        width = resolution(
            *rows, kind="difference", method=method, n_bootstrap=400, random_state=0
        )
        assert width.error[0] == pytest.approx(error / np.sqrt(n_rows), rel=0.15)


@each_method
@pytest.mark.parametrize("bins", [None, 3, [30.0, 50.0, 90.0]])
def test_weights_are_repetitions(method, bins):
    rng = np.random.default_rng(0)
    true, predicted = jets(rng, 200)
    weights = rng.integers(0, 4, 200)
    predicted[weights == 0] = 1e6
    weighted = {"bins": bins, "sample_weight": weights, "n_bootstrap": 2}
    rows = np.repeat(true, weights), np.repeat(predicted, weights)
    first = response_closure(true, predicted, **weighted)
    second = response_closure(*rows, bins=bins, n_bootstrap=2)
    for name in ("edges", "mean_true", "mean", "mode"):
        np.testing.assert_allclose(
            getattr(first, name), getattr(second, name), rtol=1e-9
        )
    one = resolution(true, predicted, method=method, **weighted).value
    two = resolution(*rows, bins=bins, method=method, n_bootstrap=2).value
    np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.parametrize("n_rows", [2, 3, 50])
def test_std_and_error_of_the_mean_agree(n_rows):
    rows = jets(np.random.default_rng(0), n_rows)
    error = response_closure(*rows, n_bootstrap=2).mean_error[0]
    response = rows[1] / rows[0]
    std = resolution(*rows, method="std", n_bootstrap=2).value[0] * response.mean()
    assert std == pytest.approx(response.std())
    assert error == pytest.approx(std / np.sqrt(n_rows - 1))


@pytest.mark.parametrize("small", [1e-20, 1e-300])
@pytest.mark.parametrize("response", [[1.0, 2.0], [1.0, 2.0, 2.1, 2.2]])
def test_one_row_of_all_the_weight(small, response):
    weights = np.full(len(response), small)
    weights[0] = 1.0
    rows = {"y_true": np.ones(len(response)), "y_pred": response}
    options = {"sample_weight": weights, "random_state": 0}
    closure = response_closure(**rows, **options)
    assert closure.mean[0] == 1.0
    assert closure.mode[0] == pytest.approx(1.0)
    assert np.isnan(closure.mean_error[0])
    for method in METHODS:
        assert np.isfinite(resolution(**rows, method=method, **options).error[0])


def test_weights_move_the_law():
    rng = np.random.default_rng(1)
    true, predicted = jets(rng, 20_000, scale=1.0)
    # Tilted by exp(a r), a Gaussian keeps its width and moves by a times its variance.
    weights = np.exp(3.0 * predicted / true)
    closure = response_closure(true, predicted, sample_weight=weights)
    width = resolution(true, predicted, sample_weight=weights)
    assert abs(closure.mean[0] - 1.03) < 4 * closure.mean_error[0]
    assert abs(closure.mode[0] - 1.03) < 4 * closure.mode_error[0]
    assert abs(width.value[0] - 0.1 / 1.03) < 4 * width.error[0]


def test_units_of_the_weights_and_order_of_the_rows_do_not_matter():
    rng = np.random.default_rng(0)
    true, predicted = jets(rng, 500)
    weights, order = rng.exponential(size=500), rng.permutation(500)
    first = response_closure(
        true, predicted, sample_weight=weights, bins=2, random_state=0
    )
    scaled = response_closure(
        true, predicted, sample_weight=1e6 * weights, bins=2, random_state=0
    )
    np.testing.assert_allclose(np.hstack(scaled), np.hstack(first), rtol=1e-6)
    shuffled = response_closure(
        true[order], predicted[order], sample_weight=weights[order], bins=2
    )
    np.testing.assert_allclose(shuffled.mode, first.mode, rtol=1e-9)


def test_a_large_offset_costs_no_digits():
    true = np.random.default_rng(0).normal(size=1000)
    noise = np.random.default_rng(1).normal(size=1000)
    near, far = (
        resolution(true, true + noise + shift, kind="difference", method="fit").value
        for shift in (0.0, 1e6)
    )
    np.testing.assert_allclose(far, near, rtol=1e-8)


def test_empty_bins_and_bins_of_one_row():
    options = {"bins": [0, 1, 2, 3], "random_state": 0}
    rows = [0.5, 0.5, 1.5, 4.0], [0.5, 0.6, 1.2, 9.0]
    closure = response_closure(*rows, **options)
    np.testing.assert_array_equal(closure.n_rows, [2, 1, 0])
    np.testing.assert_allclose(closure.mean, [1.1, 0.8, np.nan])
    np.testing.assert_allclose(closure.mode, [1.1, 0.8, np.nan])
    np.testing.assert_array_equal(np.isnan(closure.mean_error), [False, True, True])
    np.testing.assert_array_equal(np.isnan(closure.mode_error), [False, True, True])
    for method in METHODS:
        width = resolution(*rows, method=method, **options)
        np.testing.assert_array_equal(np.isnan(width.value), [False, False, True])
        assert width.value[1] == 0
        np.testing.assert_array_equal(np.isnan(width.error), [False, True, True])


def test_equal_responses():
    true = np.linspace(1.0, 2.0, 50)
    closure = response_closure(true, true, bins=2)
    np.testing.assert_array_equal(closure.mode, 1.0)
    np.testing.assert_array_equal(closure.mode_error, 0.0)
    np.testing.assert_array_equal(resolution(true, true, method="fit").value, 0.0)


def test_last_bin_includes_its_upper_edge():
    closure = response_closure([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], bins=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(closure.n_rows, [1, 2])


@each_method
def test_relative_width_needs_a_positive_centre(method):
    width = resolution([1.0, 1.0, 1.0], [-1.0, -2.0, -3.0], method=method)
    assert np.isnan(width.value[0])


def test_same_seed_same_errors():
    rows = jets(np.random.default_rng(0), 100)
    first, second, other = (
        response_closure(*rows, random_state=seed).mode_error for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, second)
    assert first != other


@pytest.mark.parametrize("function", [response_closure, resolution])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "quotient"}, r"kind must be one of .*'quotient'"),
        ({"bins": 0}, "bins must be an integer of at least 1, got 0"),
        ({"bins": -3}, "bins must be an integer of at least 1, got -3"),
        ({"bins": [[1.0, 2.0]]}, r"bins must have one dimension, got .*\(1, 2\)"),
        ({"bins": [1.0, 1.0]}, "bins must give two or more increasing edges"),
        ({"bins": 3}, "bins must give two or more increasing edges"),
        ({"n_bootstrap": 1}, "n_bootstrap must be an integer of at least 2, got 1"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, "sample_weight must not be negative"),
        ({"sample_weight": [1.0]}, "sample_weight has 1 entries for 3 rows"),
        ({"sample_weight": np.ones((3, 2))}, "sample_weight must have one dimension"),
        ({"y_true": np.ones((3, 2))}, r"y_true must have one dimension.*\(3, 2\)"),
        ({"y_pred": np.ones((3, 2))}, "y_pred must have one dimension"),
        ({"y_pred": 1.0}, r"y_pred must have one dimension, got the shape \(\)"),
        ({"y_pred": [1.0]}, "y_true and y_pred must have the same rows, got 3 and 1"),
        ({"y_pred": [1.0, np.nan, 1.0]}, "y_pred must be a non-empty array of finite"),
        ({"y_true": [1.0, 0.0, 1.0]}, "y_true must be positive for kind='ratio', got"),
    ],
)
def test_bad_input(function, options, message):
    rows = {"y_true": np.ones(3), "y_pred": np.ones(3)}
    with pytest.raises(ValueError, match=message):
        function(**(rows | options))


@pytest.mark.parametrize("function", [response_closure, resolution])
@pytest.mark.parametrize("name", ["bins", "n_bootstrap"])
@pytest.mark.parametrize("value", [3.0, 2.5, "3", True])
def test_counts_are_integers(function, name, value):
    message = f"{name} must be an integer of at least [12], got {value!r}"
    with pytest.raises(TypeError, match=message):
        function(np.ones(3), np.ones(3), **{name: value})


def test_numpy_integers_are_counts():
    rows = np.arange(1.0, 5.0), np.ones(4)
    options = {"bins": np.int64(2), "n_bootstrap": np.int32(2)}
    np.testing.assert_array_equal(response_closure(*rows, **options).n_rows, 2)


def test_unknown_method():
    with pytest.raises(ValueError, match=r"method must be one of .*'rms'"):
        resolution([1.0], [1.0], method="rms")
