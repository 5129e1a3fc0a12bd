import numpy as np
import pandas as pd
import pytest

from sklearn_hepcal.metrics import closure_table, resolution, response_closure

each_seed = pytest.mark.parametrize("seed", range(3))
COLUMNS = [
    *("low", "high", "mean_true", "n_rows", "mean", "mean_error"),
    *("median", "mode", "mode_error", "slope", "jer", "jer_error"),
]
MEASURED = [name for name in COLUMNS if name not in ("low", "high", "n_rows")]


def jets(rng, n_rows, width=0.1):
    true = np.exp(rng.uniform(np.log(50), np.log(2000), n_rows))
    return true, true * np.exp(width * rng.normal(size=n_rows))


def shrink(predicted, slope, towards=300.0):
    return towards * (predicted / towards) ** slope


@each_seed
@pytest.mark.parametrize("width", [0.05, 0.25])
def test_log_normal_response(seed, width):
    rows = jets(np.random.default_rng(seed), 9_000, width)
    table = closure_table(*rows, n_bootstrap=40, random_state=0)
    exact = {"mean": width**2 / 2, "median": 0.0, "mode": -(width**2)}
    error = width / np.sqrt(1000)
    assert np.all(np.abs(table["mean"] - np.exp(exact["mean"])) < 4 * table.mean_error)
    np.testing.assert_allclose(table.mean_error, error, rtol=0.2)
    assert np.all(np.abs(table["median"] - 1) < 4 * 1.26 * error)
    assert np.all(
        np.abs(table["mode"] - np.exp(exact["mode"])) < 4 * table.mode_error + width**2
    )
    spread = np.log(2000 / 50) / 9 / np.sqrt(12)
    assert np.all(np.abs(table.slope - 1) < 4 * error / spread)
    assert np.all(np.abs(table.jer - np.sinh(width)) < 5 * table.jer_error)


def test_error_of_the_resolution_is_its_scatter():
    rng = np.random.default_rng(0)
    tables = [
        closure_table(*jets(rng, 600), bins=3, n_bootstrap=20, random_state=seed)
        for seed in range(50)
    ]
    jer = np.array([table.jer for table in tables])
    error = np.mean([table.jer_error for table in tables])
    assert error == pytest.approx(np.std(jer), rel=0.25)
    assert np.mean(jer) == pytest.approx(np.sinh(0.1), rel=0.02)


def test_bins_are_equal_in_the_logarithm_between_the_extremes():
    true, predicted = jets(np.random.default_rng(0), 5000)
    table = closure_table(true, predicted, bins=7, n_bootstrap=2)
    assert list(table.columns) == COLUMNS
    assert table.low[0] == true.min()
    assert table.high[6] == true.max()
    np.testing.assert_array_equal(table.low[1:], table.high[:-1])
    np.testing.assert_allclose(
        np.diff(np.log(table.low)), np.log(table.high / table.low)[:-1]
    )
    assert table.n_rows.sum() == 5000


def test_columns_agree_with_the_other_metrics():
    rows = jets(np.random.default_rng(0), 3000)
    edges = [50, 200, 2000]
    table = closure_table(*rows, bins=edges, random_state=0)
    closure = response_closure(*rows, bins=edges, random_state=0)
    for name in ("mean_true", "mean", "mean_error", "mode", "mode_error", "n_rows"):
        np.testing.assert_array_equal(table[name], getattr(closure, name))
    # where the slope is one
    width = resolution(*rows, bins=edges).value
    np.testing.assert_allclose(table.jer * table.slope, width, rtol=0.02)


@each_seed
@pytest.mark.parametrize("slope", [0.1, 0.5, 0.9, 1.3])
def test_shrinkage_changes_the_width_but_not_the_resolution(seed, slope):
    true, honest = jets(np.random.default_rng(seed), 9000)
    table, shrunk = (
        closure_table(true, predicted, n_bootstrap=2)
        for predicted in (honest, shrink(honest, slope))
    )
    np.testing.assert_allclose(shrunk.slope, slope * table.slope, rtol=1e-9)
    # the two halves of the width are a little different
    np.testing.assert_allclose(shrunk.jer, table.jer, rtol=0.012)
    deviation = np.abs(shrunk["mean"] - 1).max()
    assert deviation > 1.2 * abs(1 - slope)


def test_inclusive_closure_hides_shrinkage():
    true, honest = jets(np.random.default_rng(0), 9000)
    shrunk = shrink(honest, 0.7)
    shrunk /= np.mean(shrunk / true)
    one = closure_table(true, shrunk, bins=1, n_bootstrap=2)
    assert one["mean"][0] == pytest.approx(1)
    several = closure_table(true, shrunk, n_bootstrap=2)
    assert np.abs(several["mean"] - 1).max() > 0.3
    np.testing.assert_allclose(several.slope, 0.7, atol=0.05)


@pytest.mark.parametrize("value", [1e-3, 300.0, 1 / 3, 1e7])
def test_a_constant_has_no_resolution(value):
    true, _ = jets(np.random.default_rng(0), 2000)
    table = closure_table(true, np.full(2000, value), n_bootstrap=10)
    np.testing.assert_allclose(table.slope, 0, atol=1e-12)
    np.testing.assert_array_equal(table.jer, np.inf)
    assert table.jer_error.isna().all()


def test_rounding_of_a_constant_is_not_a_resolution():
    true, measured = jets(np.random.default_rng(0), 2000)
    predicted = np.float32(300) + np.float32(1e-4) * np.log(measured / 300)
    table = closure_table(true, predicted.astype(np.float32), n_bootstrap=2)
    assert (table.jer > 0.05).all()


def test_prediction_that_falls_has_no_resolution():
    true, measured = jets(np.random.default_rng(0), 2000)
    table = closure_table(true, 1e5 / measured, n_bootstrap=2)
    assert (table.slope < -0.5).all()
    np.testing.assert_array_equal(table.jer, np.inf)


def test_random_prediction_is_never_better_than_an_honest_one():
    rng = np.random.default_rng(0)
    true, _ = jets(rng, 900)
    table = closure_table(
        true, 300 * np.exp(0.01 * rng.normal(size=900)), n_bootstrap=2
    )
    assert table.jer.min() > 0.3


@pytest.mark.parametrize("bad", [-5.0, 0.0])
def test_predictions_that_are_not_positive(bad):
    true, predicted = jets(np.random.default_rng(0), 2000)
    predicted[np.argmin(true)] = bad
    table = closure_table(true, predicted, n_bootstrap=2)
    assert np.isnan(table.slope[0])
    assert table.jer[0] == np.inf
    assert np.isfinite(table.loc[0, ["mean", "median", "mode"]].to_numpy(float)).all()
    assert np.isfinite(table.loc[1:, MEASURED].to_numpy(float)).all()


def test_bins_of_few_rows():
    true = [1.5, 2.5, 2.6, 3.1, 3.5, 3.6, 5.5, 5.5, 5.5, 5.5]
    predicted = [1.4, 2.4, 2.9, 3.2, 3.3, 3.9, 5.4, 5.5, 5.6, 5.9]
    table = closure_table(true, predicted, bins=[1, 2, 3, 4, 5, 6], random_state=0)
    assert table.n_rows.tolist() == [1, 2, 3, 0, 4]
    finite = {
        "mean_true": [True, True, True, False, True],
        "mean": [True, True, True, False, True],
        "mean_error": [False, True, True, False, True],
        "median": [True, True, True, False, True],
        # two rows are always on a line, one true value makes none
        "slope": [False, False, True, False, False],
        "jer": [False, False, True, False, False],
    }
    for name, expected in finite.items():
        assert np.isfinite(table[name]).tolist() == expected, name


def test_weights_are_repetitions_and_zero_is_absence():
    rng = np.random.default_rng(0)
    true, predicted = jets(rng, 2000)
    weights = rng.integers(0, 3, 2000)
    true[weights == 0] *= 100
    weighted = closure_table(true, predicted, sample_weight=weights, n_bootstrap=2)
    repeated = closure_table(
        np.repeat(true, weights), np.repeat(predicted, weights), n_bootstrap=2
    )
    names = ["low", "high", "mean_true", "mean", "median", "mode", "slope", "jer"]
    pd.testing.assert_frame_equal(weighted[names], repeated[names], rtol=1e-7)


def test_same_seed_same_errors():
    rows = jets(np.random.default_rng(0), 500)
    first, second, other = (
        closure_table(*rows, bins=2, random_state=seed) for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, second)
    assert (first.jer_error != other.jer_error).all()
    assert (first.jer == other.jer).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins must be an integer of at least 1, got 0"),
        ({"bins": [2.0, 1.0]}, "bins must give two or more increasing edges"),
        ({"n_bootstrap": 1}, "n_bootstrap must be an integer of at least 2, got 1"),
        ({"y_true": [1.0, 0.0, 3.0]}, "y_true must be positive .* got 0"),
        ({"y_true": [2.0, 2.0, 2.0]}, "The true values must differ"),
        ({"y_pred": [1.0, np.nan, 3.0]}, "y_pred must be a non-empty array of finite"),
        ({"y_pred": [1.0]}, "must have the same rows, got 3 and 1"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, "sample_weight must not be negative"),
    ],
)
def test_bad_input(options, message):
    rows = {"y_true": [1.0, 2.0, 3.0], "y_pred": [1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match=message):
        closure_table(**(rows | options))


@pytest.mark.parametrize("name", ["bins", "n_bootstrap"])
def test_counts_are_integers(name):
    with pytest.raises(TypeError, match=f"{name} must be an integer"):
        closure_table([1.0, 2.0], [1.0, 2.0], **{name: 2.0})
