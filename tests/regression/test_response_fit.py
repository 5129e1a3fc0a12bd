import numpy as np
import pytest
import torch

from sklearn_hepcal.nn import ResponseNetwork, TrainingSettings, export_module, seeded
from sklearn_hepcal.regression import _response_fit
from sklearn_hepcal.regression._inputs import Inputs
from sklearn_hepcal.regression._response_fit import (
    LogScale,
    ResponseModel,
    ResponseRows,
    architecture,
    fit_response,
)

SCALE = LogScale(np.log(50.0), np.log(2000.0))
CENTRE, HALF_RANGE, LOG_WIDTH = -0.3, 0.8, np.log(0.1)


def network(strength=1.0, hidden=(16,), activation="silu", seed=0, **changes):
    settings = {
        "centre": CENTRE,
        "half_range": HALF_RANGE,
        "log_width": LOG_WIDTH,
        "hidden": hidden,
        "activation": activation,
        **changes,
    }
    with seeded(seed):
        module = ResponseNetwork(2, **settings)
        with torch.no_grad():
            module.head.last.weight.mul_(10 * strength)
    return module


def model(scale=SCALE, **changes):
    return ResponseModel(export_module(network(**changes)), scale)


def jets(n=100, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(np.log(30), np.log(3000), n), Inputs(rng.normal(size=(n, 2)))


def centres(module, scale, log_pt, features):
    """Centres at one or more (rows of) logarithms of the jets."""
    log_pt = np.asarray(log_pt)
    jet = torch.tensor(np.broadcast_to(features, (*log_pt.shape, 2)).reshape(-1, 2))
    with torch.no_grad():
        centre = module.double()(torch.tensor(scale(log_pt.ravel())), jet)[0]
    return centre.numpy().reshape(log_pt.shape)


def bisect(function, low, high):
    """Roots of rising functions."""
    for _ in range(60):
        middle = (low + high) / 2
        below = function(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


@pytest.mark.parametrize(
    ("strength", "hidden", "activation"),
    [(1, (16,), "silu"), (1, (16, 16), "gelu"), (1, (16,), "relu"), (0.5, (), "silu")],
)
@pytest.mark.parametrize("logarithmic", [True, False])
def test_inverse_is_the_root(strength, hidden, activation, logarithmic):
    scale = LogScale(SCALE.low, SCALE.high, logarithmic)
    settings = {"strength": strength, "hidden": hidden, "activation": activation}
    log_reco, inputs = jets()
    log_true, _, _ = model(scale, **settings).invert(log_reco, inputs)
    module = network(**settings)

    def residual(s):
        return s + centres(module, scale, s, inputs.features) - log_reco

    # A root in any case, and the only one where the measured momentum rises.
    np.testing.assert_allclose(residual(log_true), 0, atol=1e-9)
    far = abs(CENTRE) + HALF_RANGE + 0.1
    grid = log_reco + np.linspace(-far, far, 201)[:, None]
    rising = (np.diff(residual(grid), axis=0) > 0).all(axis=0)
    root = bisect(residual, log_reco - far, log_reco + far)
    np.testing.assert_allclose(log_true[rising], root[rising], atol=1e-8)
    assert rising.sum() > 60
    assert np.ptp(log_reco - log_true) > 0.2


@pytest.mark.parametrize("steepness", [1.0, 3.0, 100.0])
def test_responses_that_fall(steepness):
    module = network(hidden=(), half_range=2.0)
    with torch.no_grad():
        module.head.last.weight[0, 0] = -steepness
    log_reco, inputs = jets(300)
    response = ResponseModel(export_module(module), SCALE)
    log_true, sigma, _ = response.invert(log_reco, inputs)

    def measured(s):
        return s + centres(module, SCALE, s, inputs.features)

    grid = np.linspace(SCALE.low, SCALE.high, 100)[:, None] + np.zeros(300)
    falling = (np.diff(measured(grid), axis=0) < 0).any(axis=0)
    assert falling.mean() > 0.5
    np.testing.assert_allclose(measured(log_true), log_reco, atol=1e-6)
    assert np.isfinite(sigma).all()
    assert (sigma > 0).all()


# Without hidden layers: c + h tanh(a s + b u), of the weights a and b.
def test_centre_width_and_slope_of_a_linear_network():
    module = network(hidden=(), strength=0.3)
    weights = [p.detach().numpy().astype(np.float64) for p in module.parameters()]
    log_reco, inputs = jets()
    log_true, sigma, slope = model(hidden=(), strength=0.3).invert(log_reco, inputs)
    x = np.column_stack([SCALE(log_true), inputs.features])
    out = x @ weights[0].T + weights[1]
    np.testing.assert_allclose(
        log_true + CENTRE + HALF_RANGE * np.tanh(out[:, 0]), log_reco, atol=1e-9
    )
    inside = (log_true > SCALE.low) & (log_true < SCALE.high)
    rise = 2 * 1.7 / (SCALE.high - SCALE.low) * inside
    expected = 1 + HALF_RANGE / np.cosh(out[:, 0]) ** 2 * weights[0][0, 0] * rise
    np.testing.assert_allclose(slope, expected, rtol=1e-9)
    width = np.exp(LOG_WIDTH + 4 * np.tanh(out[:, 1] / 4))
    np.testing.assert_allclose(sigma, width / slope, rtol=1e-9)
    # Beyond the range of the sample the response is that at its end.
    assert (slope[~inside] == 1).all()
    assert 3 < (~inside).sum() < 90


def test_corrections_are_added():
    response = model()
    log_reco, inputs = jets()
    log_pt, sigma, slope = response.correct(log_reco, inputs)
    expected = log_reco + centres(network(), SCALE, log_reco, inputs.features)
    np.testing.assert_allclose(log_pt, expected, atol=1e-12)
    step = 1e-5
    up, down = (response.correct(log_reco + d, inputs)[0] for d in (step, -step))
    np.testing.assert_allclose(1 / slope, (up - down) / (2 * step), rtol=1e-4)
    # The width is not that of an inverse.
    x = torch.tensor(np.column_stack([SCALE(log_reco), inputs.features]))
    with torch.no_grad():
        out = network().double().head(x)[:, 1].numpy()
    np.testing.assert_allclose(sigma, np.exp(LOG_WIDTH + 4 * np.tanh(out / 4)), 1e-9)


def test_jets_are_inverted_one_by_one(monkeypatch):
    log_reco, inputs = jets(50)
    together = model().invert(log_reco, inputs)
    monkeypatch.setattr(_response_fit, "_PREDICTION_ROWS", 7)
    in_parts = model().invert(log_reco, inputs)
    np.testing.assert_allclose(in_parts, together, rtol=0, atol=1e-9)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_scale(logarithmic):
    log_pt = np.log([20.0, 300.0, 5000.0, 70.0])
    scale = LogScale.of(log_pt, logarithmic)
    assert (scale.low, scale.high) == (log_pt[0], log_pt[2])
    values = scale(log_pt)
    lowest = -1.7 if logarithmic else -1.7 + 3.4 * 20 / 5000
    np.testing.assert_allclose(values[[0, 2]], [lowest, 1.7])
    variable = log_pt if logarithmic else np.exp(log_pt)
    slopes = np.diff(values) / np.diff(variable)
    np.testing.assert_allclose(slopes, slopes[0])
    np.testing.assert_array_equal(scale(np.array([-50.0, 50.0])), values[[0, 2]])
    np.testing.assert_allclose(scale(torch.tensor(log_pt)).numpy(), values, atol=1e-12)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_range_of_a_single_momentum(logarithmic):
    scale = LogScale.of(np.log([100.0, 100.0 * (1 + 1e-12)]), logarithmic)
    values = scale(np.log([1.0, 100.0, 1e5]))
    assert np.ptp(values) < 1e-9
    assert np.abs(values).max() <= 1.7 + 1e-9


def test_bounds_hold_the_sample_and_its_tails():
    rng = np.random.default_rng(0)
    target = rng.normal(-0.3, 0.1, 100_000)
    settings = architecture(target, 5, hidden=(8,), activation="relu")
    assert settings["n_features"] == 5
    assert settings["hidden"] == (8,)
    assert settings["centre"] == np.median(target)
    assert np.exp(settings["log_width"]) == pytest.approx(0.1, rel=0.02)
    # Least half range; then one and a half times the tails (3.1 widths).
    assert settings["half_range"] == 0.5
    wide = architecture(10 * target, 5, hidden=(8,), activation="relu")
    assert wide["half_range"] == pytest.approx(1.5 * 3.09, rel=0.05)
    constant = architecture(np.full(10, 0.2), 5)
    assert constant["centre"] == 0.2
    assert constant["log_width"] == pytest.approx(np.log(1e-4))


@pytest.mark.parametrize("seed", range(2))
def test_learnt_response_is_the_true_one(seed):
    rng = np.random.default_rng(seed)
    n = 10_000
    log_true = rng.uniform(np.log(50), np.log(2000), n)
    u = rng.normal(size=(n, 2))
    response = -0.4 + 0.05 * (log_true - 5) + 0.1 * np.tanh(u[:, 0])
    width = 0.05 * np.exp(0.4 * u[:, 1])
    log_reco = log_true + response + width * rng.normal(size=n)
    rows = ResponseRows(log_true, log_reco - log_true, np.ones(n), Inputs(u))
    fitted, curve = fit_response(
        rows,
        None,
        network=architecture(rows.target, 2, hidden=(32,), activation="silu"),
        logarithmic=True,
        width_delta=1.5,
        settings=TrainingSettings(
            max_epochs=6, batch_size=200, learning_rate=0.01, average=0.25
        ),
        seed=seed,
    )
    assert curve.shape == (6, 2)
    assert np.isnan(curve[:, 1]).all()
    predicted, sigma, slope = fitted.invert(log_true + response, Inputs(u))
    assert np.std(predicted - log_true) < 0.02
    # A Huber loss of Gaussian errors has its minimum at 0.84 of their width or so.
    ratio = sigma / width * 1.05
    assert 0.7 < np.median(ratio) < 1.1
    assert np.std(np.log(ratio)) < 0.1
    assert abs(np.median(slope) - 1.05) < 0.01
