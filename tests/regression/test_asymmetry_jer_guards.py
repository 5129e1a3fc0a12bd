"""What a calibration must not be able to do, and inputs that nobody means to give."""

import warnings

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from small_dijets import OF_EVENTS, OF_JETS, QUICK, fit, make_sample

from sklearn_hepcal.metrics import (
    asymmetry_score,
    best_resolution,
    closure_score,
    jer_score,
)
from sklearn_hepcal.regression import AsymmetryJERRegressor
from sklearn_hepcal.regression._log_bins import LogBins


@pytest.fixture(scope="module")
def sample():
    return make_sample()


@pytest.fixture(scope="module")
def fitted(sample):
    return fit(sample)


def imbalance(sample, noise=0.05, seed=0):
    """A feature that tells which jet of an event radiated more, in data too."""
    log_true = np.log(sample.true).reshape(-1, 2)
    radiated = (log_true - log_true.mean(axis=1, keepdims=True)).ravel()
    return radiated + noise * np.random.default_rng(seed).normal(size=len(radiated))


def spread(regressor, sample):
    """Width of the response of data in the middle of the spectrum."""
    data = sample.rows(~sample.labelled)
    log_response = np.log(regressor.predict(data.X) / data.true)
    return np.diff(np.quantile(log_response, [0.16, 0.84]))[0] / 2


def test_correction_does_not_see_the_momentum_of_its_jet(sample, fitted):
    X, pair_pt = sample.X, np.exp(np.linspace(4, 7, len(sample.X)))
    expected = fitted.insitu_correction(X, pair_pt)
    assert np.std(expected) > 0.01
    for factor in (0.3, 2.0, np.random.default_rng(0).uniform(0.1, 10, len(X))):
        other = X.copy()
        other[:, 0] *= factor
        np.testing.assert_array_equal(
            fitted.insitu_correction(other, pair_pt), expected
        )
    assert not np.allclose(fitted.insitu_correction(X, 2 * pair_pt), expected)


def test_correction_does_not_see_the_momentum_of_its_jet_by_its_energy(sample):
    energy = sample.X[:, 0] * np.cosh(sample.X[:, 1])
    regressor = fit(sample.with_columns(energy), energy_columns=[9])
    pair_pt = np.full(len(energy), 100.0)
    X = np.column_stack([sample.X, energy])
    np.testing.assert_array_equal(
        regressor.insitu_correction(X * [3, *[1] * 8, 3], pair_pt),
        regressor.insitu_correction(X, pair_pt),
    )
    np.testing.assert_array_equal(
        regressor.insitu_correction(X * [3, *[1] * 8, 1], pair_pt),
        regressor.insitu_correction(X, pair_pt),
    )


@pytest.mark.parametrize("max_correction", [0.3, 0.03])
def test_correction_is_bounded(sample, max_correction):
    regressor = fit(sample, max_correction=max_correction)
    rng = np.random.default_rng(0)
    wild = rng.normal(size=sample.X.shape) * 10.0 ** rng.uniform(-3, 12, 9)
    for X in (sample.X, wild):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* below pt_floor")
            correction = regressor.insitu_correction(X, np.abs(wild[:, 0]) + 1e-3)
        assert np.abs(correction).max() <= max_correction * (1 + 1e-9)
    assert np.abs(correction).max() > 0.1 * max_correction


@pytest.mark.parametrize("seed", range(3))
def test_correction_leaves_the_energy_scale_alone(seed):
    sample = make_sample(600, 600, seed=seed)
    regressor = fit(sample)
    data = sample.rows(~sample.labelled)
    pt = regressor.predict(data.X, insitu=False)
    correction = regressor.insitu_correction(data.X, pt)
    assert np.std(correction) > 0.02
    means = LogBins(np.log(pt)).means(np.log(pt), correction, np.ones(len(pt)))
    assert np.abs(means).max() < 5e-4


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_corrected_in_simulation(seed):
    fresh = make_sample(500, 500, seed=50 + seed)
    pair_pt = np.full(len(fresh.X), 150.0)
    # Other events of the same law, and of that of data.
    tiny, large = (
        np.std(
            fit(make_sample(1500, 1500, seed=seed, side=side)).insitu_correction(
                fresh.X, pair_pt
            )
        )
        for side in ("sim", "data")
    )
    # The difference of two fits of 1500 pairs, each with the error
    # 0.12 / sqrt(1500) of some ten coefficients.
    assert tiny < 0.02
    assert large > 2.5 * tiny


def rearranged(sample):
    """The two jets of every event swapped, and all rows permuted."""
    rows = np.arange(len(sample.y))
    return [
        sample.rows(rows ^ 1),
        sample.rows(np.random.default_rng(0).permutation(rows)),
    ]


@pytest.mark.parametrize(
    ("method", "first_column"), [("residual", 0), ("residual", 8), ("joint", 0)]
)
def test_order_of_rows_does_not_matter(sample, method, first_column):
    # With the momentum first, or behind a column that is one of the event.
    order = [first_column, *(k for k in range(9) if k != first_column)]
    sample = sample._replace(X=sample.X[:, order])
    settings = {"method": method, "pt_column": order.index(0)}
    expected = fit(sample, **settings)
    for other in rearranged(sample):
        regressor = fit(other, **settings)
        for insitu in (False, True):
            for one, another in zip(
                regressor.predict(sample.X, return_std=True, insitu=insitu),
                expected.predict(sample.X, return_std=True, insitu=insitu),
                strict=True,
            ):
                np.testing.assert_array_equal(one, another)
        np.testing.assert_array_equal(
            regressor.jer_insitu_.value, expected.jer_insitu_.value
        )


def test_order_of_weights_is_that_of_the_rows(sample):
    weight = np.random.default_rng(0).uniform(0.5, 2, len(sample.y))
    mixed = np.random.default_rng(1).permutation(len(sample.y))
    activity = np.where(sample.event_id % 3 == 0, 0.3, 0.0)
    one = fit(sample, sample_weight=weight, activity=activity)
    other = fit(
        sample.rows(mixed), sample_weight=weight[mixed], activity=activity[mixed]
    )
    np.testing.assert_array_equal(other.predict(sample.X), one.predict(sample.X))
    np.testing.assert_array_equal(other.jer_insitu_.error, one.jer_insitu_.error)


def test_features_of_the_event_are_not_chosen(fitted):
    assert fitted.pair_features_ == OF_JETS
    assert all(fitted.feature_leakage_[column] == 0 for column in OF_EVENTS)


def test_features_of_the_true_imbalance_are_not_chosen(sample):
    leaking = sample.with_columns(imbalance(sample))
    regressor = fit(leaking)
    assert regressor.pair_features_ == OF_JETS
    assert regressor.feature_leakage_[9] > 0.3
    assert regressor.pair_leakage_ <= 0.01
    # It is used in simulation all the same, where it does no harm.
    assert not np.allclose(
        regressor.predict(leaking.X), fit(sample).predict(sample.X), rtol=1e-4
    )


def test_leaking_features_warn_and_are_subtracted():
    sample = make_sample(600, 600)
    leaking = sample.with_columns(imbalance(sample))
    with pytest.warns(UserWarning, match="more than max_leakage = 0.01: they tell whi"):
        named = fit(leaking, pair_features=[*OF_JETS, 9], max_epochs=3)
    assert named.pair_features_ == [*OF_JETS, 9]
    assert named.pair_leakage_ > 0.3
    automatic = fit(leaking, max_epochs=3)
    before = fit(leaking, "supervised", max_epochs=3)
    assert spread(named, leaking) < 1.05 * spread(automatic, leaking)
    assert spread(automatic, leaking) < spread(before, leaking)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pair_features explain")
        # The negative control: as if it were not leaking.
        naive = fit(
            leaking,
            pair_features=[*OF_JETS, 9],
            subtract_simulation=False,
            max_leakage=1.0,
            max_epochs=3,
        )
    assert spread(naive, leaking) > 1.1 * spread(automatic, leaking)


def test_leaking_features_are_refused_without_simulation_to_subtract(sample):
    leaking = sample.with_columns(imbalance(sample))
    with pytest.raises(ValueError, match="subtract_simulation=False the correction wo"):
        fit(leaking, pair_features=[9], subtract_simulation=False)
    harmless = fit(leaking, pair_features=[1], subtract_simulation=False)
    assert harmless.pair_features_ == [1]


@pytest.mark.parametrize(
    "momentum",
    [
        lambda X: X[:, 0],
        lambda X: np.log(X[:, 0]),
        lambda X: X[:, 0] * np.cosh(X[:, 1]),
        lambda X: X[:, 0] * np.random.default_rng(0).normal(1.0, 0.03, len(X)),
    ],
    ids=["pt", "log pt", "energy", "other scale"],
)
def test_a_second_momentum_warns(sample, momentum):
    cheating = sample.with_columns(momentum(sample.X))
    with pytest.warns(UserWarning, match="seems to tell the measured pt"):
        regressor = fit(cheating)
    # And is not used to balance jets, with or without a name.
    assert regressor.pair_features_ == OF_JETS
    assert regressor.feature_leakage_[9] > 0.1


def test_a_second_momentum_of_jets_of_one_momentum_warns():
    rng = np.random.default_rng(0)
    true = rng.uniform(300, 320, 2000)
    pt = true * np.exp(0.1 * rng.normal(size=2000))
    X = np.column_stack([pt, pt])
    regressor = AsymmetryJERRegressor(hidden_layer_sizes=(32,), random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regressor.fit(X, true)
    assert any("seems to tell the measured pt" in str(w.message) for w in caught)


def test_a_constant_wins_no_scorer(sample):
    simulation = sample.rows(sample.labelled)
    X, y, event_id = simulation.X, simulation.y, simulation.event_id
    models = {
        "constant": DummyRegressor().fit(X, y),
        "honest": fit(simulation, max_epochs=10),
    }
    scores = {
        name: {
            "jer": jer_score(model, X, y),
            "closure": closure_score(model, X, y),
            "asymmetry": asymmetry_score(model, X, y, event_id=event_id),
        }
        for name, model in models.items()
    }
    constant, honest = scores["constant"], scores["honest"]
    assert constant["jer"] == -np.inf
    assert honest["jer"] > -0.1
    assert constant["closure"] < honest["closure"] - 1
    assert honest["closure"] > -0.03
    # Honest calibrations widen the imbalance of true jets.
    assert constant["asymmetry"] < 1 < honest["asymmetry"]
    choose = best_resolution(closure_tol=0.03, asymmetry="asymmetry")
    results = {f"mean_test_{k}": [constant[k], honest[k]] for k in constant}
    assert choose({**results, "params": [{}, {}]}) == 1


@pytest.mark.filterwarnings("ignore:.* below pt_floor")
@pytest.mark.parametrize("method", ["residual", "joint", "supervised"])
def test_predictions_are_positive_whatever_comes(sample, method):
    regressor = fit(sample, method)
    rng = np.random.default_rng(0)
    wild = rng.normal(size=(2000, 9)) * 10.0 ** rng.uniform(-30, 30, (2000, 9))
    wild[:10, 0] = [0.0, -1.0, 1e-300, 1e300, -1e300, 7e4, 1e-3, 1e-4, 1.0, 5e-324]
    for insitu in (True, False):
        pt, std = regressor.predict(wild, return_std=True, insitu=insitu)
        for values in (pt, std):
            assert np.isfinite(values).all()
            assert (values > 0).all()
        # Never further from what was measured than the response can be.
        measured = np.maximum(wild[:, 0], 1e-3)
        assert np.abs(np.log(pt / measured)).max() < 3


@pytest.mark.parametrize("pt", [0.0, -20.0, 1e-4])
def test_momenta_that_are_not_positive(sample, pt):
    X = sample.X.copy()
    rows = [5, 700]
    X[rows, 0] = pt
    with pytest.warns(
        UserWarning, match=r"pt below pt_floor = 0\.001 GeV, which is ta"
    ):
        regressor = fit(sample._replace(X=X))
    with pytest.warns(UserWarning, match="2 jets have a pt below pt_floor"):
        low = regressor.predict(X)
    floor = X.copy()
    floor[rows, 0] = 1e-3
    np.testing.assert_array_equal(regressor.predict(floor), low)
    with pytest.warns(UserWarning, match=r"below pt_floor = 5 GeV"):
        higher = fit(sample._replace(X=X), pt_floor=5.0)
    floor[rows, 0] = 5.0
    assert (higher.predict(floor)[rows] > 1.0).all()


@pytest.mark.filterwarnings("ignore:.* below pt_floor")
def test_few_broken_jets_do_not_spoil_the_others(sample):
    X = sample.X.copy()
    X[::100, 0] = -1.0
    regressor = fit(sample._replace(X=X), max_epochs=20)
    rest = np.arange(1200) % 100 > 0
    rows = rest & sample.labelled
    response = regressor.predict(X[rows], insitu=False) / sample.y[rows]
    assert abs(np.median(response) - 1) < 0.03
    assert np.std(np.log(response)) < 0.12


def test_no_pairs_of_data_warn(sample):
    with pytest.warns(UserWarning, match="there are unlabelled jets, but only 0 pairs"):
        regressor = AsymmetryJERRegressor(**QUICK).fit(sample.X, sample.y)
    assert regressor.n_pairs_ == (0, 0)
    assert regressor.pair_features_ == []
    assert regressor.jer_insitu_ is None
    np.testing.assert_array_equal(
        regressor.predict(sample.X), regressor.predict(sample.X, insitu=False)
    )


def test_few_pairs_of_data_warn(sample):
    few = np.where(np.arange(1200) < 638, sample.event_id, -1)
    with pytest.warns(UserWarning, match="only 19 pairs of them"):
        assert fit(sample._replace(event_id=few)).pair_features_ == []
    enough = np.where(np.arange(1200) < 640, sample.event_id, -1)
    assert fit(sample._replace(event_id=enough)).pair_features_


def test_labelled_jets_alone_need_no_events(sample):
    simulation = sample.rows(sample.labelled)
    regressor = AsymmetryJERRegressor(**QUICK).fit(simulation.X, simulation.y)
    assert regressor.n_pairs_ == (0, 0)
    assert regressor.n_labelled_ == 600


def test_no_simulated_pairs_are_an_error(sample):
    alone = sample._replace(event_id=np.where(sample.labelled, -1, sample.event_id))
    with pytest.raises(ValueError, match="only 0 simulated pairs"):
        fit(alone)
    with pytest.raises(ValueError, match="pair_features='auto' needs simulated pairs"):
        fit(alone, subtract_simulation=False)
    regressor = fit(alone, subtract_simulation=False, pair_features=[1])
    assert regressor.pair_features_ == [1]
    assert np.isnan(regressor.pair_leakage_)


def test_joint_training_needs_pairs(sample):
    with pytest.raises(ValueError, match="method='joint' needs pairs of jets"):
        AsymmetryJERRegressor("joint", **QUICK).fit(sample.X, sample.y)


def test_events_of_three_jets_warn(sample):
    event_id = sample.event_id.copy()
    event_id[4] = event_id[0]
    with pytest.warns(UserWarning, match="2 of 600 events do not have two jets"):
        regressor = fit(sample._replace(event_id=event_id))
    assert regressor.n_pairs_ == (298, 300)
    assert regressor.n_labelled_ == 600


def test_numbers_shared_by_simulation_and_data(sample):
    # Four jets an event: no pairs at all.
    with pytest.warns(UserWarning) as caught:
        regressor = fit(sample._replace(event_id=sample.event_id // 2))
    messages = "".join(str(warning.message) for warning in caught)
    assert "Do the event numbers of simulation and data overlap?" in messages
    assert regressor.n_pairs_ == (0, 0)
    # One jet of each: this cannot be meant.
    single = sample.rows(np.arange(0, 1200, 2))
    with pytest.raises(ValueError, match="300 events have one jet with a true pt"):
        fit(single._replace(event_id=single.event_id // 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_id": np.arange(1199)}, "event_id must have one entry a row"),
        ({"event_id": np.arange(1200) + 0.5}, "whole numbers"),
        ({"event_id": np.full(1200, "a")}, "whole numbers"),
        ({"event_id": np.full(1200, np.nan)}, "whole numbers"),
        ({"activity": np.zeros(1199)}, "inconsistent numbers of samples"),
        ({"activity": np.zeros((1200, 2))}, "1d array"),
        ({"sample_weight": np.full(1200, -1.0)}, "sample_weight must not be negative"),
        ({"sample_weight": np.ones(1199)}, "sample_weight"),
        ({"sample_weight": np.full(1200, np.nan)}, "sample_weight contains NaN"),
        ({"sample_weight": np.full(1200, np.inf)}, "sample_weight contains inf"),
        ({"sample_weight": np.arange(1200) // 600}, "0 for every labelled jet"),
    ],
)
def test_wrong_arguments_of_a_fit(sample, arguments, message):
    regressor = AsymmetryJERRegressor(**QUICK)
    with pytest.raises(ValueError, match=message):
        regressor.fit(sample.X, sample.y, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y * np.nan, "y holds NaN only"),
        (lambda y: np.where(np.arange(1200) == 3, np.inf, y), "y contains infinity"),
        (lambda y: np.where(np.arange(1200) == 3, -np.inf, y), "y contains infinity"),
        (lambda y: np.where(np.arange(1200) == 3, 0.0, y), "positive true momenta"),
        (lambda y: np.where(np.arange(1200) == 3, -5.0, y), "got -5"),
        (lambda y: y[:-1], "inconsistent numbers of samples"),
        (lambda y: np.column_stack([y, y]), "1d array"),
        (lambda y: None, "requires y to be passed"),
    ],
)
def test_labels_that_are_refused(sample, change, message):
    regressor = AsymmetryJERRegressor(**QUICK)
    with pytest.raises(ValueError, match=message):
        regressor.fit(sample.X, change(sample.y), event_id=sample.event_id)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 3])
def test_features_that_are_refused(sample, fitted, value, column):
    X = sample.X.copy()
    X[7, column] = value
    with pytest.raises(ValueError, match=r"X contains (NaN|infinity) in feature"):
        fit(sample._replace(X=X))
    with pytest.raises(ValueError, match=r"X contains (NaN|infinity) in feature"):
        fitted.predict(X)


@pytest.mark.filterwarnings("ignore:y_pred does not rise")
@pytest.mark.filterwarnings("ignore:at fixed features")
def test_a_single_bin_of_labels(sample):
    true = 200.0 * np.exp(np.random.default_rng(0).uniform(0, 0.01, 1200))
    X = sample.X.copy()
    X[:, 0] *= true / sample.true
    single = sample._replace(X=X, y=np.where(sample.labelled, true, np.nan), true=true)
    regressor = fit(single, max_epochs=10)
    assert len(regressor.closure_) == len(regressor.jer_.value) == 1
    assert regressor.jer_.nsc is None
    pt = regressor.predict(X, insitu=False)
    assert abs(np.mean(pt[single.labelled] / true[single.labelled]) - 1) < 0.01
    # Elsewhere it is the same response.
    far = X * [10, *[1] * 8]
    assert (regressor.predict(far) > 3 * regressor.predict(X)).all()


def test_a_single_true_momentum_is_refused(sample):
    y = np.where(sample.labelled, 100.0, np.nan)
    with pytest.raises(ValueError, match="true values must differ"):
        fit(sample._replace(y=y))


@pytest.mark.filterwarnings("ignore:y_pred does not rise")
@pytest.mark.filterwarnings("ignore:at fixed features")
@pytest.mark.parametrize("n", [2, 5, 12])
def test_few_labelled_jets(sample, n):
    regressor = AsymmetryJERRegressor(**QUICK).fit(sample.X[:n], sample.y[:n])
    assert (regressor.predict(sample.X) > 0).all()
    assert regressor.closure_["n_rows"].sum() >= 1


def test_one_labelled_jet_is_too_few(sample):
    with pytest.raises(ValueError, match=r"two events.* n_samples = 1 of one"):
        AsymmetryJERRegressor(**QUICK).fit(sample.X[:1], sample.y[:1])


def test_weights_have_no_unit(sample, fitted):
    for unit in (1e-6, 1e6):
        regressor = fit(sample, sample_weight=np.full(1200, unit))
        np.testing.assert_allclose(
            regressor.predict(sample.X), fitted.predict(sample.X), rtol=1e-6
        )


def test_weight_zero_is_no_row(sample):
    # Whole events of both sides.
    kept = sample.event_id % 7 != 0
    assert (~kept & sample.labelled).sum() > 50 < (~kept & ~sample.labelled).sum()
    X = sample.X.copy()
    X[~kept, 1:] *= 5.0
    removed = fit(sample.rows(kept))
    zero = fit(sample._replace(X=X), sample_weight=kept.astype(float))
    assert zero.n_pairs_ == removed.n_pairs_
    for insitu in (False, True):
        np.testing.assert_allclose(
            zero.predict(sample.X, insitu=insitu),
            removed.predict(sample.X, insitu=insitu),
            rtol=1e-6,
        )
    np.testing.assert_allclose(
        zero.jer_insitu_.value, removed.jer_insitu_.value, rtol=1e-6
    )
    assert zero.n_labelled_ == removed.n_labelled_


def test_physical_weights_do_not_decide(sample):
    # Six orders of magnitude.
    weight = (np.repeat(sample.true.reshape(-1, 2).mean(axis=1), 2) / 100) ** -5.5
    regressor = fit(sample, sample_weight=weight, max_epochs=20)
    rows = sample.labelled & (sample.true > 300)
    response = regressor.predict(sample.X[rows], insitu=False) / sample.y[rows]
    # A flat spectrum: high momenta are calibrated, too.
    assert abs(np.median(response) - 1) < 0.03


@pytest.mark.filterwarnings("ignore:1 of 1 events")
@pytest.mark.parametrize("n_rows", [1, 2])
def test_one_event_cannot_be_held_out(sample, n_rows):
    with pytest.raises(ValueError, match=f"two events.* n_samples = {n_rows} of one"):
        fit(sample.rows(np.arange(n_rows)))


def test_activity_without_values(sample):
    with pytest.raises(ValueError, match="activity contains NaN"):
        fit(sample, activity=np.full(len(sample.y), np.nan))
