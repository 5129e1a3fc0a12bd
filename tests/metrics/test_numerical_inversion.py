import pickle

import numpy as np
import pytest

from sklearn_hepcal.metrics import (
    NumericalInversion,
    closure_table,
    numerical_inversion,
    resolution,
)

LOCATIONS = ["mean", "median", "mode"]
each_location = pytest.mark.parametrize("location", LOCATIONS)
each_seed = pytest.mark.parametrize("seed", range(3))
LOW, HIGH = 80.0, 3000.0


def momenta(rng, n_rows):
    return np.exp(rng.uniform(np.log(LOW), np.log(HIGH), n_rows))


def linear(true):
    return 0.7 + 0.022 * np.log(true)


# Rises by a factor of three, fastest at low momenta.
def curved(true):
    return 1 - 0.9 * (true / 40) ** -0.4


# Noise of a log-normal law with a mean of one.
def measured(rng, true, response, width):
    smear = width * rng.normal(size=len(true)) - width**2 / 2
    return true * response(true) * np.exp(smear)


def largest_deviation(true, calibrated, location, edges):
    table = closure_table(true, calibrated, bins=edges, n_bootstrap=2)
    return np.abs(table[location] - 1).max()


@pytest.mark.parametrize("location", ["mean", "median"])
@pytest.mark.parametrize("bins", [5, 12, 30])
def test_response_linear_in_the_logarithm_is_inverted_exactly(location, bins):
    true = np.geomspace(LOW, HIGH, 6001)
    predicted = true * linear(true)
    inversion = numerical_inversion(
        true, predicted, bins=bins, location=location, n_iter=0
    )
    np.testing.assert_allclose(inversion.response, linear(inversion.true), rtol=1e-12)
    inner = (true > inversion.true[0]) & (true < inversion.true[-1])
    calibrated = inversion(predicted)
    np.testing.assert_allclose(calibrated[inner], true[inner], rtol=1e-7)
    np.testing.assert_allclose(calibrated, true, rtol=0.004 / bins**2)


@each_location
def test_constant_response_is_divided_out(location):
    true = np.geomspace(LOW, HIGH, 2000)
    inversion = numerical_inversion(true, 0.6 * true, location=location)
    far = np.array([1e-3, 1.0, 1e6])
    np.testing.assert_allclose(inversion(0.6 * far), far, rtol=1e-12)


def test_smooth_response_is_interpolated_better_with_more_bins():
    true = np.geomspace(LOW, HIGH, 20_001)
    predicted = true * curved(true)
    errors = []
    for bins in (6, 12, 24):
        inversion = numerical_inversion(true, predicted, bins=bins)
        inner = (true > inversion.true[0]) & (true < inversion.true[-1])
        errors.append(np.abs(inversion(predicted) / true - 1)[inner].max())
    assert errors[0] < 0.02
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3


@each_seed
@each_location
@pytest.mark.parametrize("response", [linear, curved])
def test_true_response_is_found(seed, location, response):
    rng = np.random.default_rng(seed)
    true = momenta(rng, 30_000)
    predicted = measured(rng, true, response, 0.1)
    inversion = numerical_inversion(true, predicted, location=location, n_iter=0)
    shift = {"mean": 0.0, "median": -0.005, "mode": -0.015}[location]
    expected = np.exp(shift) * response(inversion.true)
    error = {"mean": 0.1, "median": 0.125, "mode": 0.3}[location] / np.sqrt(2500)
    # the first bin averages over a curved response
    assert np.abs(inversion.response / expected - 1).max() < 4.5 * error + 0.004


@each_seed
@pytest.mark.parametrize("response", [linear, curved])
@pytest.mark.parametrize("location", ["mean", "median"])
def test_training_sample_closes_at_every_knot(seed, response, location):
    rng = np.random.default_rng(seed)
    true = momenta(rng, 40_000)
    # 25 % at low and 5 % at high momenta
    width = np.hypot(2.2 / np.sqrt(true), 0.03)
    predicted = measured(rng, true, response, width)
    plain, iterated = (
        numerical_inversion(true, predicted, location=location, n_iter=n)
        for n in (0, 3)
    )
    before, after = (
        largest_deviation(true, inversion(predicted), location, inversion.edges)
        for inversion in (plain, iterated)
    )
    assert after < 1e-3
    assert after < before / 2


def test_closure_does_not_depend_on_the_spectrum():
    rng = np.random.default_rng(0)
    true = momenta(rng, 60_000)
    predicted = measured(rng, true, linear, 0.1)
    flat = numerical_inversion(true, predicted)
    falling = numerical_inversion(true, predicted, sample_weight=(true / LOW) ** -2.0)
    error = 0.1 / np.sqrt(5000)
    np.testing.assert_allclose(
        falling.response / linear(falling.true),
        flat.response / linear(flat.true),
        atol=4 * error,
    )
    # the mean of a prediction would differ: by 2 times the variance of the response
    other = momenta(rng, 60_000)
    calibrated = falling(measured(rng, other, linear, 0.1))
    assert largest_deviation(other, calibrated, "mean", flat.edges[[0, 6, 12]]) < 0.004


@pytest.mark.parametrize("exponent", [0.2, 0.5, 0.8, 1.4])
def test_shrinkage_is_undone(exponent):
    rng = np.random.default_rng(1)
    true = momenta(rng, 50_000)
    honest = true * np.exp(0.1 * rng.normal(size=len(true)))
    shrunk = 300 * (honest / 300) ** exponent
    inversion = numerical_inversion(true, shrunk, location="median")
    table = closure_table(true, inversion(shrunk), bins=inversion.edges, n_bootstrap=2)
    assert np.abs(table["median"] - 1).max() < 1e-3
    assert np.abs(table["jer"] / np.sinh(0.1) - 1).max() < 0.08


@each_seed
@each_location
def test_map_is_positive_continuous_and_strictly_increasing(seed, location):
    rng = np.random.default_rng(seed)
    # few rows and steep responses, up and down
    true = momenta(rng, 1500)
    predicted = measured(
        rng, true, lambda p: (p / LOW) ** -0.5 + 3 * (p / HIGH) ** 4, 0.1
    )
    inversion = numerical_inversion(true, predicted, location=location)
    grid = np.geomspace(1e-4 * predicted.min(), 1e4 * predicted.max(), 40_001)
    calibrated = inversion(grid)
    steps = np.diff(np.log(calibrated)) / np.diff(np.log(grid))
    assert calibrated.min() > 0
    assert steps.min() > 0
    assert steps.max() < 1 / 0.05


def test_response_is_frozen_far_outside():
    true = np.geomspace(LOW, HIGH, 5000)
    inversion = numerical_inversion(true, true * linear(true))
    for ends in ([1e-3, 1.0, 30.0], [5e3, 1e5, 1e9]):
        response = ends / inversion(ends)
        np.testing.assert_allclose(response, response[0], rtol=1e-12)
    low, high = linear(np.array([LOW, HIGH]))
    assert 1.0 / inversion([1.0])[0] == pytest.approx(low, rel=1e-3)
    assert 1e9 / inversion([1e9])[0] == pytest.approx(high, rel=1e-3)


def test_bins_of_few_rows_are_merged_and_the_ends_are_kept():
    rng = np.random.default_rng(0)
    true = np.concatenate([[10.0], momenta(rng, 2000), [20_000.0]])
    inversion = numerical_inversion(true, 0.8 * true, bins=20)
    counts = np.histogram(true, inversion.edges)[0]
    assert counts.min() >= 50
    assert inversion.edges[[0, -1]].tolist() == [10.0, 20_000.0]
    assert 2 < len(inversion.true) < 20
    assert len(inversion.response) == len(inversion.true) == len(inversion.edges) - 1


def test_few_rows_have_one_response():
    rng = np.random.default_rng(0)
    true = momenta(rng, 40)
    predicted = measured(rng, true, linear, 0.1)
    inversion = numerical_inversion(true, predicted)
    assert len(inversion.true) == 1
    np.testing.assert_allclose(inversion(predicted), predicted / inversion.response)
    assert np.mean(inversion(predicted) / true) == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.1])
def test_constant_prediction_cannot_be_inverted(noise):
    rng = np.random.default_rng(0)
    true = momenta(rng, 5000)
    predicted = 500 * np.exp(noise * rng.normal(size=5000))
    with pytest.warns(UserWarning, match="y_pred does not rise with y_true everywhere"):
        inversion = numerical_inversion(true, predicted)
    # rescaled, at worst twentyfold magnified
    spread = np.ptp(np.log(inversion(predicted))) / max(np.ptp(np.log(predicted)), 1e-3)
    assert spread < 20


def test_a_dip_is_merged_away():
    true = np.geomspace(LOW, HIGH, 5000)
    # the prediction falls between 300 and 600 only
    predicted = np.interp(
        np.log(true), np.log([80, 300, 600, 3000]), np.log([80, 300, 250, 3000])
    )
    with pytest.warns(UserWarning, match=r"\(around [3-6]\d\d"):
        inversion = numerical_inversion(true, np.exp(predicted))
    assert 3 < len(inversion.true) < 12
    calibrated = inversion(np.exp(predicted))
    outside = (true < 200) | (true > 1000)
    np.testing.assert_allclose(calibrated[outside], true[outside], rtol=0.08)
    assert np.all(np.diff(inversion(np.geomspace(50, 5000, 1000))) > 0)


@each_location
def test_weights_are_repetitions_and_zero_is_absence(location):
    rng = np.random.default_rng(3)
    true = momenta(rng, 3000)
    predicted = measured(rng, true, linear, 0.1)
    weights = rng.integers(0, 3, 3000)
    true[weights == 0] *= 100
    options = {"bins": 4, "location": location}
    weighted = numerical_inversion(true, predicted, sample_weight=weights, **options)
    repeated = numerical_inversion(
        np.repeat(true, weights), np.repeat(predicted, weights), **options
    )
    for name in ("true", "response", "edges"):
        np.testing.assert_allclose(
            getattr(weighted, name), getattr(repeated, name), rtol=1e-6
        )


def test_units_do_not_matter():
    rng = np.random.default_rng(4)
    true = momenta(rng, 3000)
    predicted = measured(rng, true, linear, 0.1)
    gev, mev = (numerical_inversion(s * true, s * predicted) for s in (1.0, 1e3))
    np.testing.assert_allclose(mev(1e3 * predicted), 1e3 * gev(predicted), rtol=1e-9)


def test_calibration_divides_the_resolution_by_the_slope_of_the_response():
    rng = np.random.default_rng(5)
    true = momenta(rng, 30_000)
    predicted = measured(rng, true, linear, 0.1)
    calibrated = numerical_inversion(true, predicted)(predicted)
    # R(p) p rises a little faster than p
    before, after = (
        resolution(true, values, bins=4, random_state=0).value
        for values in (predicted, calibrated)
    )
    slope = 1 + 0.022 / linear(np.exp(np.linspace(np.log(LOW), np.log(HIGH), 9)))[1::2]
    np.testing.assert_allclose(after / before, 1 / slope, rtol=0.01)


def test_pickle_holds_arrays_only():
    rng = np.random.default_rng(0)
    true = momenta(rng, 1000)
    inversion = numerical_inversion(true, 0.8 * true)
    restored = pickle.loads(pickle.dumps(inversion))
    assert isinstance(restored, NumericalInversion)
    assert {type(value) for value in vars(restored).values()} == {np.ndarray}
    np.testing.assert_array_equal(restored(true), inversion(true))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"location": "mad"}, r"location must be one of .*'mad'"),
        ({"bins": 0}, "bins must be an integer of at least 1, got 0"),
        ({"n_iter": -1}, "n_iter must be an integer of at least 0, got -1"),
        ({"y_true": [1.0, -2.0, 3.0]}, "y_true must be positive .* got -2"),
        ({"y_pred": [1.0, 0.0, 3.0]}, "y_pred must be positive .* got 0"),
        ({"y_pred": [1.0, np.nan, 3.0]}, "y_pred must be a non-empty array of finite"),
        ({"y_true": [1.0, np.inf, 3.0]}, "y_true must be a non-empty array of finite"),
        ({"y_true": [], "y_pred": []}, "y_true must be a non-empty array"),
        ({"y_pred": [1.0, 2.0]}, "must have the same rows, got 3 and 2"),
        ({"y_true": [2.0, 2.0, 2.0]}, "The true values must differ .* got 2 only"),
        ({"sample_weight": [1.0]}, "sample_weight has 1 entries for 3 rows"),
        ({"sample_weight": [1, -1, 1]}, "sample_weight must not be negative"),
    ],
)
def test_bad_input(options, message):
    rows = {"y_true": [1.0, 2.0, 3.0], "y_pred": [1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match=message):
        numerical_inversion(**(rows | options))


@pytest.mark.parametrize("name", ["bins", "n_iter"])
def test_counts_are_integers(name):
    with pytest.raises(TypeError, match=f"{name} must be an integer"):
        numerical_inversion([1.0, 2.0], [1.0, 2.0], **{name: 2.0})


@pytest.mark.parametrize("values", [[-1.0], [0.0], [np.nan], [np.inf], []])
def test_unusable_predictions(values):
    true = np.geomspace(LOW, HIGH, 100)
    with pytest.raises(ValueError, match="y_pred must be"):
        numerical_inversion(true, true)(values)
