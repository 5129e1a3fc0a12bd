import pickle
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import expon, ks_2samp, kstest, norm

from sklearn_hepcal.datasets import make_dijets
from sklearn_hepcal.metrics import resolution

SIDES = ["sim", "data"]
each_side = pytest.mark.parametrize("side", SIDES)
NAMES = (
    *("pt", "eta", "f_em", "f_charged", "n_track", "w_track", "n_segments"),
    *("mu", "npv"),
)
OF_JETS = NAMES[1:7]
COUNTS = ("n_track", "n_segments", "npv")
BINS = np.geomspace(120, 2400, 10)
ARRAYS = ("X", "y", "event_id", "sample_weight", "flavour", "dphi12", "jet3_pt")
# Mean resolution in per cent: measured, by the oracle and by that of the other side.
RESOLUTIONS = {"sim": (6.7, 3.8, 5.4), "data": (9.2, 4.0, 5.8)}
IMBALANCE = {"sim": 0.063, "data": 0.064}


@pytest.fixture(scope="module")
def problems():
    return {side: make_dijets(60_000, side=side, random_state=0) for side in SIDES}


def column(problem, name):
    return problem.X[:, problem.feature_names.index(name)]


def mean_pt(problem):
    return problem.y.reshape(-1, 2).mean(axis=1)


def asymmetry(problem):
    first, second = problem.y.reshape(-1, 2).T
    return (first - second) / mean_pt(problem)


def pulls(problem):
    residual = np.log(column(problem, "pt") / problem.y)
    residual -= problem.response(problem.y, problem.X)
    return residual / problem.sigma(problem.y)


def mean_resolution(problem, pt):
    widths = resolution(problem.y, pt, bins=BINS, n_bootstrap=2, random_state=0)
    return 100 * widths.value.mean()


def mean_responses(y, pt, bins=BINS):
    """Mean of pt / y in bins of y, and its error."""
    responses = [(pt / y)[(y > a) & (y < b)] for a, b in pairwise(bins)]
    means = np.array([r.mean() for r in responses])
    return means, np.array([r.std() / np.sqrt(len(r)) for r in responses])


def assert_closes(y, pt, bins=BINS):
    means, errors = mean_responses(y, pt, bins)
    assert errors.max() < 0.004
    # the oracle is exact to 0.04 per cent
    assert (np.abs(means - 1) < 4 * errors + 4e-4).all()


@each_side
@pytest.mark.parametrize("n_events", [1, 7, 1000])
@pytest.mark.parametrize("selection", [True, False])
def test_shapes(side, n_events, selection):
    problem = make_dijets(n_events, side=side, selection=selection, random_state=0)
    assert problem.feature_names == list(NAMES)
    assert (problem.side, problem.selection) == (side, selection)
    assert problem.X.shape == (2 * n_events, len(NAMES))
    assert problem.X.dtype == problem.y.dtype == np.float64
    for name in ARRAYS[1:]:
        assert getattr(problem, name).shape == (2 * n_events,)
    for name in ("event_id", "sample_weight", "dphi12", "jet3_pt"):
        first, second = getattr(problem, name).reshape(-1, 2).T
        np.testing.assert_array_equal(first, second)
    first_ids = problem.event_id[::2]
    np.testing.assert_array_equal(
        first_ids, 2 * np.arange(n_events) + SIDES.index(side)
    )


def test_all_fields_are_tested():
    names = {field.name for field in fields(make_dijets(1, random_state=0))}
    assert names == {*ARRAYS, "feature_names", "side", "selection"}


@each_side
def test_values_are_physical(problems, side):
    problem = problems[side]
    assert np.isfinite(problem.X).all()
    assert (problem.y > 50).all()
    assert set(np.unique(problem.flavour)) == {1, 21}
    for name in ("pt", "w_track", "mu"):
        assert column(problem, name).min() > 0
    for name in ("f_em", "f_charged"):
        assert 0 < column(problem, name).min() < column(problem, name).max() < 1
    for name in COUNTS:
        counts = column(problem, name)
        assert counts.min() >= 0
        np.testing.assert_array_equal(counts, counts.round())
    eta = np.abs(column(problem, "eta"))
    assert 0.2 <= eta.min() < eta.max() <= 0.7


@each_side
def test_selection(side):
    def passes(problem):
        cut = np.maximum(25, mean_pt(problem) / 4)
        return (problem.dphi12[::2] > 2.7) & (problem.jet3_pt[::2] < cut)

    assert passes(make_dijets(5000, side=side, random_state=0)).all()
    everything = make_dijets(5000, side=side, selection=False, random_state=0)
    assert 0.85 < passes(everything).mean() < 0.95


@each_side
def test_spectrum_and_weights(side):
    problem = make_dijets(50_000, side=side, selection=False, random_state=1)
    pt = mean_pt(problem)
    assert 70 < pt.min() < 71
    assert 3000 < pt.max() < 3600
    # uniform in 1 / pT
    assert kstest((1 / pt - 1 / 3600) / (1 / 70 - 1 / 3600), "uniform").pvalue > 1e-3
    weight = problem.sample_weight[::2]
    np.testing.assert_allclose(weight, (pt / 100) ** -3.5)
    total = 70**-4.5 - 3600**-4.5
    for edge in (85, 120, 200, 400):
        expected = (edge**-4.5 - 3600**-4.5) / total
        share = weight * ((pt > edge) - expected)
        assert abs(share.sum()) < 4 * np.sqrt(np.sum(share**2))


@each_side
def test_imbalance(side):
    problem = make_dijets(50_000, side=side, selection=False, random_state=2)
    radiation = {"sim": 0.10, "data": 0.108}[side]
    z = problem.jet3_pt[::2] / mean_pt(problem)
    assert z.max() <= 1
    assert kstest(z, expon(scale=radiation).cdf).pvalue > 1e-3
    a = asymmetry(problem)
    # cos^2 averages to one half
    variance = (z**2).mean() / 2 + 0.05**2
    assert np.mean(a**2) == pytest.approx(variance, rel=4 * np.sqrt(5 / len(a)))
    # of those without radiation nothing is left but the Gaussian
    quiet = a[z < 0.005]
    assert kstest(quiet, norm(scale=0.05).cdf).pvalue > 1e-3
    across = np.tan(np.pi - problem.dphi12[::2])
    assert ks_2samp(across, np.abs(a)).pvalue > 1e-3


@each_side
def test_order_is_random(problems, side):
    first, second = column(problems[side], "pt").reshape(-1, 2).T
    n = len(first)
    assert abs(np.mean(first > second) - 0.5) < 4 * 0.5 / np.sqrt(n)
    a = asymmetry(problems[side])
    assert abs(a.mean()) < 4 * a.std() / np.sqrt(n)
    assert ks_2samp(a, -a).pvalue > 1e-3
    assert a.std() / np.sqrt(2) == pytest.approx(IMBALANCE[side], abs=0.001)


@each_side
def test_observables_do_not_know_the_imbalance(problems, side):
    problem = problems[side]
    a = asymmetry(problem)
    values = [column(problem, name) for name in OF_JETS] + [problem.flavour]
    for value in values:
        difference = value[::2] - value[1::2]
        product = difference / difference.std() * a / a.std()
        assert abs(product.mean()) < 4 * product.std() / np.sqrt(len(a))


@each_side
def test_measured_pt_does_know_the_imbalance(problems, side):
    first, second = column(problems[side], "pt").reshape(-1, 2).T
    assert np.corrcoef(np.log(first / second), asymmetry(problems[side]))[0, 1] > 0.5


@each_side
def test_observables_change_with_pt_as_documented(problems, side):
    problem = problems[side]
    low, high = problem.y < 120, problem.y > 800
    ratio = {
        name: column(problem, name)[high].mean() / column(problem, name)[low].mean()
        for name in NAMES
    }
    assert ratio["n_track"] > 1.5
    assert ratio["w_track"] < 0.7
    assert ratio["n_segments"] > 3
    for name in ("f_em", "f_charged", "mu", "npv"):
        assert ratio[name] == pytest.approx(1, abs=0.02)
    gluon = problem.flavour == 21
    assert gluon[high].mean() < 0.4 < 0.6 < gluon[low].mean()
    for name in ("n_track", "w_track"):
        value = column(problem, name)[low]
        assert value[gluon[low]].mean() > 1.3 * value[~gluon[low]].mean()


@each_side
def test_event_observables_are_shared_and_flavours_are_not(problems, side):
    problem = problems[side]
    for name in ("mu", "npv"):
        first, second = column(problem, name).reshape(-1, 2).T
        np.testing.assert_array_equal(first, second)
    narrow = (mean_pt(problem) > 100) & (mean_pt(problem) < 110)
    first, second = (problem.flavour == 21).reshape(-1, 2)[narrow].T
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(narrow.sum())


@each_side
def test_noise_has_the_documented_law(problems, side):
    problem = problems[side]
    constant = {"sim": 0.025, "data": 0.030}[side]
    y = problem.y
    expected = np.sqrt((2.5 / y) ** 2 + 0.36 / y + constant**2)
    np.testing.assert_allclose(problem.sigma(y), expected)
    noise = pulls(problem)
    rng = np.random.default_rng(0)
    tail = (rng.random(len(y)) < 0.03) * rng.exponential(0.08, len(y))
    drawn = rng.normal(size=len(y)) + (0.03 * 0.08 - tail) / expected
    assert ks_2samp(noise, drawn).pvalue > 1e-3
    # kstest knows little of tails
    assert np.mean(noise < -4) == pytest.approx(np.mean(drawn < -4), rel=0.2)


@each_side
def test_noise_is_independent_of_everything(problems, side):
    problem = problems[side]
    noise = pulls(problem)
    n = len(noise)
    assert abs(noise.mean()) < 4 * noise.std() / np.sqrt(n)
    others = [*problem.X[:, 1:].T, problem.flavour, np.log(problem.jet3_pt)]
    for value in [*others, np.repeat(asymmetry(problem), 2)]:
        assert abs(np.corrcoef(noise, value)[0, 1]) < 4 / np.sqrt(n)
    first, second = noise.reshape(-1, 2).T
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(n / 2)


@each_side
@pytest.mark.parametrize("seed", [0, 1])
def test_oracle_closes(problems, side, seed):
    problem = problems[side].sample(60_000, random_state=seed)
    calibrated = problem.oracle(problem.X)
    assert_closes(problem.y, calibrated)
    for name in OF_JETS:
        value = column(problem, name)
        high = value > np.median(value)
        assert_closes(problem.y[high], calibrated[high], bins=[120, 2400])
    for flavour in (1, 21):
        rows = problem.flavour == flavour
        assert_closes(problem.y[rows], calibrated[rows])


@each_side
def test_oracle_inverts_the_response(problems, side):
    problem = problems[side]
    y, X = problem.y, problem.X.copy()
    # the logarithm of the mean of exp(noise), Gaussian and centred tail
    sigma = problem.sigma(y)
    tail = np.log1p(0.03 * (1 / 1.08 - 1)) + 0.03 * 0.08
    X[:, 0] = y * np.exp(problem.response(y, X) + sigma**2 / 2 + tail)
    np.testing.assert_allclose(problem.oracle(X), y, rtol=1e-9)


@each_side
def test_oracle_has_the_documented_resolution(problems, side):
    problem, other = problems[side], problems[SIDES[side == "sim"]]
    measured = mean_resolution(problem, column(problem, "pt"))
    own = mean_resolution(problem, problem.oracle(problem.X))
    others = mean_resolution(problem, other.oracle(problem.X))
    found = [measured, own, others]
    np.testing.assert_allclose(found, RESOLUTIONS[side], atol=0.2)


def test_calibration_of_simulation_does_not_close_in_data(problems):
    data = problems["data"]
    calibrated = problems["sim"].oracle(data.X)
    means, _ = mean_responses(data.y, calibrated)
    assert (means < 0.995).all()
    assert (means > 0.965).all()


# Effects of one observable on the log response, between a low and a high value.
@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("f_em", 1.57),
        ("f_charged", 2),
        ("n_track", 2),
        ("w_track", -1),
        ("n_segments", 1.6),
        ("npv", 1.4),
        ("eta", 0),
        ("mu", 1),
    ],
)
def test_effects_in_data(problems, name, factor):
    sim, data = problems["sim"], problems["data"]
    low, high = sim.X[:100].copy(), sim.X[:100].copy()
    low[:, NAMES.index(name)] = 0.2
    high[:, NAMES.index(name)] = 0.6
    effects = [
        problem.response(sim.y[:100], high) - problem.response(sim.y[:100], low)
        for problem in (sim, data)
    ]
    assert (np.abs(effects[0]) > 1e-6).all()
    np.testing.assert_allclose(effects[1], factor * effects[0], atol=1e-12)


def test_response_ignores_the_measured_pt(problems):
    problem = problems["sim"]
    X = problem.X.copy()
    X[:, 0] = 1.0
    np.testing.assert_array_equal(
        problem.response(problem.y, X), problem.response(problem.y, problem.X)
    )


@each_side
def test_seeds(side):
    first, again, other = (
        make_dijets(50, side=side, random_state=seed) for seed in (3, 3, 4)
    )
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.isin(first.y, other.y).any()
    opposite = make_dijets(50, side=SIDES[side == "sim"], random_state=3)
    assert not np.isin(first.y, opposite.y).any()
    rng = np.random.RandomState(0)
    draws = [make_dijets(50, side=side, random_state=rng).y for _ in range(2)]
    assert not np.isin(*draws).any()


@each_side
@pytest.mark.parametrize("selection", [True, False])
def test_sample_has_the_same_law(side, selection):
    problem = make_dijets(8000, side=side, selection=selection, random_state=5)
    fresh = problem.sample(6000, random_state=5)
    assert (fresh.side, fresh.selection) == (side, selection)
    assert fresh.X.shape == (12_000, len(NAMES))
    assert not np.isin(fresh.y, problem.y).any()
    # one jet an event: the two are not independent
    for a, b in zip(fresh.X[::2].T, problem.X[::2].T, strict=True):
        assert ks_2samp(a, b).pvalue > 1e-3
    for name in ("y", "dphi12", "jet3_pt", "sample_weight"):
        a, b = getattr(fresh, name), getattr(problem, name)
        assert ks_2samp(a[::2], b[::2]).pvalue > 1e-3
    again = problem.sample(6000, random_state=5)
    np.testing.assert_array_equal(fresh.X, again.X)


def test_pickle_and_unchanged_input(problems):
    problem = problems["data"]
    X = problem.X.copy()
    expected = problem.oracle(problem.X)
    np.testing.assert_array_equal(problem.X, X)
    again = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(again.oracle(X), expected)
    np.testing.assert_array_equal(again.oracle(X[7:9]), expected[7:9])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events must be an integer >= 1, got 0"),
        ({"n_events": 2.5}, "n_events must be an integer"),
        ({"side": "mc"}, r"side must be one of .*'mc'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dijets(**arguments)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pt", 0.0, "pt must be positive, got 0"),
        ("w_track", -0.1, "w_track must be positive, got -0.1"),
        ("n_track", -1.0, "n_track must not be negative, got -1"),
        ("n_segments", -2.0, "n_segments must not be negative, got -2"),
        ("mu", np.nan, "X contains NaN"),
    ],
)
def test_bad_jets(name, value, message):
    problem = make_dijets(5, random_state=0)
    X = problem.X.copy()
    X[3, NAMES.index(name)] = value
    with pytest.raises(ValueError, match=message):
        problem.oracle(X)
    with pytest.raises(ValueError, match=message):
        problem.response(problem.y, X)


def test_bad_rows():
    problem = make_dijets(5, random_state=0)
    with pytest.raises(ValueError, match=r"X has 8 columns, but dijets have 9: pt"):
        problem.oracle(problem.X[:, 1:])
    with pytest.raises(ValueError, match=r"y must have shape \(10,\), got \(3,\)"):
        problem.response(problem.y[:3], problem.X)
    with pytest.raises(ValueError, match="y must have one dimension"):
        problem.sigma(problem.y[:, None])
    with pytest.raises(ValueError, match="y must be positive, got -1"):
        problem.sigma(-np.ones(3))
    with pytest.raises(ValueError, match="y contains NaN"):
        problem.response(problem.y * np.nan, problem.X)
    with pytest.raises(ValueError, match="n_events must be an integer"):
        problem.sample(-1)
