import warnings

import numpy as np
import pytest

from sklearn_hepcal.datasets import load_dijets
from sklearn_hepcal.metrics import dijet_asymmetry, jer_from_asymmetry

METHODS = ["template", "laplace_gauss", "quadrature", "halfwidth"]
# Those that are right for true asymmetries of exponential tails.
EXACT = ["template", "laplace_gauss", "quadrature"]
each_method = pytest.mark.parametrize("method", METHODS)
each_exact_method = pytest.mark.parametrize("method", EXACT)
each_seed = pytest.mark.parametrize("seed", range(3))


def gaussian(rng, n_events):
    return 0.08 * rng.normal(size=n_events)


def laplace_gauss(rng, n_events):
    return rng.laplace(scale=0.06, size=n_events) + 0.03 * rng.normal(size=n_events)


# A recoil at any angle to the jets.
def recoil(rng, n_events):
    size = rng.exponential(0.08, n_events)
    return size * np.cos(rng.uniform(0, 2 * np.pi, n_events))


def samples(seed, jer, n_events=8000, true=laplace_gauss):
    """Measured asymmetries, and true ones of other events."""
    rng = np.random.default_rng(seed)
    errors = jer * rng.normal(size=(2, n_events))
    return true(rng, n_events) + errors[0] - errors[1], true(rng, n_events)


def value(*args, **kwargs):
    return jer_from_asymmetry(*args, n_bootstrap=2, random_state=0, **kwargs).value


@each_seed
@each_method
@pytest.mark.parametrize("jer", [0.05, 0.1])
def test_known_resolution_with_gaussian_truth(method, jer, seed):
    asymmetries = samples(seed, jer, true=gaussian)
    found = jer_from_asymmetry(
        *asymmetries, method=method, n_bootstrap=15, random_state=0
    )
    assert abs(found.value - jer) < 4 * found.error
    assert 0 < found.error < 0.1 * jer


@each_seed
@each_exact_method
def test_known_resolution_with_exponential_tails(method, seed):
    asymmetries = samples(seed, 0.06)
    found = jer_from_asymmetry(
        *asymmetries, method=method, n_bootstrap=15, random_state=0
    )
    assert abs(found.value - 0.06) < 4 * found.error
    assert found.error < 0.004


@pytest.mark.parametrize("method", ["template", "quadrature"])
def test_known_resolution_with_true_jets(method):
    """Jets of a generator, measured with an error of 6 %."""
    truth_pt = load_dijets().data.labels["truth_pt"].reshape(-1, 2)
    half = len(truth_pt) // 2
    errors = np.random.default_rng(0).normal(0.0, 0.06, size=(half, 2))
    measured = truth_pt[:half] * np.exp(errors)
    asymmetries = [
        dijet_asymmetry(*pt.T, kind="log") for pt in (measured, truth_pt[half:])
    ]
    found = jer_from_asymmetry(*asymmetries, method=method, random_state=0)
    assert abs(found.value - 0.06) < 3 * found.error
    assert found.error < (0.01 if method == "template" else 0.02)


# Nodes and weights of a Gaussian quadrature stand for all errors there can be.
@pytest.mark.parametrize("true", [gaussian, laplace_gauss, recoil])
@pytest.mark.parametrize("jer", [0.04, 0.1])
@pytest.mark.parametrize("method", ["template", "quadrature"])
def test_exact_for_the_convolution_of_any_sample(method, jer, true):
    truth = true(np.random.default_rng(0), 200)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    measured = truth[:, None] + np.sqrt(2) * jer * nodes
    found = value(
        measured.ravel(), truth, method=method, sample_weight=np.tile(weights, 200)
    )
    assert found == pytest.approx(jer, rel=1e-6)


@each_method
def test_without_truth_nothing_is_subtracted(method):
    rng = np.random.default_rng(0)
    measured = np.sqrt(2) * 0.1 * rng.normal(size=20_000)
    found = jer_from_asymmetry(measured, method=method, n_bootstrap=15, random_state=0)
    assert abs(found.value - 0.1) < 4 * found.error
    assert found.error < 0.002
    rms = np.sqrt(np.mean(measured**2) / 2)
    if method in ("quadrature", "laplace_gauss"):
        assert found.value == pytest.approx(rms, rel=1e-3)


def test_half_widths_do_not_add_in_quadrature():
    asymmetries = samples(0, 0.06, n_events=100_000)
    assert value(*asymmetries, method="halfwidth") > 1.04 * 0.06
    assert value(*asymmetries, method="template") == pytest.approx(0.06, rel=0.02)


@each_seed
def test_template_is_robust(seed):
    measured, truth = samples(seed, 0.06)
    far = measured.copy()
    far[:80] = 1.0
    before, after = (value(sample, truth) for sample in (measured, far))
    assert abs(after / before - 1) < 0.05
    assert value(far, truth, method="quadrature") > 1.5 * before


@pytest.mark.parametrize("method", ["template", "quadrature"])
def test_errors_are_those_of_repeated_measurements(method):
    n_repeated = 60
    found = np.array(
        [
            jer_from_asymmetry(
                *samples(seed, 0.08, n_events=800),
                method=method,
                n_bootstrap=40,
                random_state=0,
            )
            for seed in range(n_repeated)
        ]
    )
    pulls = (found[:, 0] - 0.08) / found[:, 1]
    assert abs(pulls.mean()) < 4 / np.sqrt(n_repeated)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * n_repeated)


# The difference of squared widths is negative for one half, and less than one standard
# deviation above zero for 84 %.
@pytest.mark.parametrize("method", ["template", "quadrature"])
def test_no_resolution_is_found_where_there_is_none(method):
    n_repeated, found, n_warned = 60, [], 0
    for seed in range(n_repeated):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.append(
                jer_from_asymmetry(
                    *samples(seed, 0.0, n_events=800),
                    method=method,
                    n_bootstrap=40,
                    random_state=0,
                )
            )
        n_warned += len(caught)
        assert (found[-1].value == 0) == bool(caught)
    inside = np.mean([jer.value <= jer.error for jer in found])
    error_of_a_part = 0.5 / np.sqrt(n_repeated)
    assert abs(n_warned / n_repeated - 0.5) < 4 * error_of_a_part
    assert abs(inside - 0.84) < 4 * 0.37 / np.sqrt(n_repeated)
    assert min(jer.error for jer in found) > 0


@each_method
def test_sample_narrower_than_the_truth(method):
    measured, truth = samples(0, 0.0)
    with pytest.warns(UserWarning, match=r"is -0\.00\d+ \+- .* given as 0"):
        found = jer_from_asymmetry(
            0.5 * measured, truth, method=method, n_bootstrap=10, random_state=0
        )
    assert found.value == 0
    assert 0 < found.error < np.inf


def test_template_of_jets_that_never_balance():
    measured, _ = samples(0, 0.05)
    with pytest.warns(UserWarning, match="not wider"):
        assert value(measured, np.full(20, 1e3)) == 0


@each_method
def test_swapped_jets_and_other_orders_change_nothing(method):
    rng = np.random.default_rng(0)
    measured, truth = samples(0, 0.08, n_events=500)
    swapped = rng.choice([-1, 1], size=500)
    expected = value(measured, truth, method=method)
    assert value(swapped * measured, swapped * truth, method=method) == expected
    assert value(np.abs(measured), truth, method=method) == expected
    assert value(rng.permutation(measured), truth, method=method) == pytest.approx(
        expected, rel=1e-9
    )


@each_method
def test_unit_and_slope(method):
    measured, truth = samples(0, 0.08, n_events=500)
    settings = {"method": method, "n_bootstrap": 5, "random_state": 0}
    expected = jer_from_asymmetry(measured, truth, **settings)
    scaled = jer_from_asymmetry(4 * measured, 4 * truth, slope=0.8, **settings)
    np.testing.assert_allclose(scaled, np.multiply(5.0, expected), rtol=1e-5)


@each_method
@pytest.mark.parametrize("side", [0, 1])
def test_weight_two_is_a_repeated_row(method, side):
    pair = list(samples(0, 0.08, n_events=500))
    weights = np.random.default_rng(1).integers(0, 3, 500)
    name = ("sample_weight", "sample_weight_truth")[side]
    weighted = value(*pair, method=method, **{name: weights})
    doubled = value(*pair, method=method, **{name: 2.0 * weights})
    pair[side] = np.repeat(pair[side], weights)
    assert weighted == pytest.approx(value(*pair, method=method), rel=1e-6)
    assert weighted == pytest.approx(doubled, rel=1e-6)


def test_weights_make_up_for_another_spectrum():
    """Two kinds of events, of which the simulation has other parts."""
    rng = np.random.default_rng(0)
    wide = {"measured": rng.random(20_000) < 0.5, "true": rng.random(20_000) < 0.2}
    scale = {side: np.where(rows, 0.12, 0.04) for side, rows in wide.items()}
    measured = scale["measured"] * rng.normal(size=20_000)
    measured += np.sqrt(2) * 0.06 * rng.normal(size=20_000)
    truth = scale["true"] * rng.normal(size=20_000)
    weights = np.where(wide["true"], 0.5 / 0.2, 0.5 / 0.8)
    found = jer_from_asymmetry(
        measured, truth, sample_weight_truth=weights, random_state=0
    )
    assert abs(found.value - 0.06) < 4 * found.error
    assert value(measured, truth) - 0.06 > 4 * found.error


def test_random_state():
    pair = samples(0, 0.08, n_events=500)
    first, again, other = (
        jer_from_asymmetry(*pair, random_state=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.value == other.value
    assert first.error != other.error


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"method": "fit"}, ValueError, "method must be one of .*, got 'fit'"),
        ({"slope": 0.0}, ValueError, "slope must be a positive number, got 0"),
        ({"slope": np.nan}, ValueError, "slope must be a positive number, got nan"),
        ({"asymmetry": []}, ValueError, "asymmetry must be a non-empty"),
        ({"asymmetry": np.ones(9)}, ValueError, "asymmetry must have at least 10 .* 9"),
        ({"asymmetry": np.zeros(20)}, ValueError, "asymmetry is 0 for more than two"),
        ({"asymmetry": np.full(20, np.nan)}, ValueError, "asymmetry must be .* finite"),
        ({"truth_asymmetry": np.ones(9)}, ValueError, "truth_asymmetry must have at"),
        ({"sample_weight": -np.ones(20)}, ValueError, "sample_weight must not be neg"),
        ({"sample_weight": np.eye(20)[0]}, ValueError, "at least 10 events .* got 1"),
        ({"sample_weight_truth": [1.0]}, ValueError, "sample_weight_truth has 1 "),
        ({"n_bootstrap": 1}, ValueError, "n_bootstrap must be"),
        ({"n_bootstrap": 2.5}, TypeError, "n_bootstrap must be an integer"),
    ],
)
def test_unusable_arguments(changed, error, message):
    measured, truth = samples(0, 0.08, n_events=20)
    arguments = {"asymmetry": measured, "truth_asymmetry": truth}
    with pytest.raises(error, match=message):
        jer_from_asymmetry(**{**arguments, **changed})
