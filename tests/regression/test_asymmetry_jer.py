import pickle
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from jet_changes import permute
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from small_dijets import NAMES, OF_JETS, QUICK, Sample, fit, make_sample

from sklearn_hepcal.datasets import DijetProblem, load_dijets, make_dijets
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.metrics import (
    best_resolution,
    closure_score,
    closure_table,
    flatten_spectrum,
    jer_score,
)
from sklearn_hepcal.regression import AsymmetryJERRegressor

BINS = np.geomspace(60, 1500, 7)
CORE = 0.6827
ATTRIBUTES = {
    "closure_": pd.DataFrame,
    "jer_": tuple,
    "jer_insitu_": tuple,
    "slope_": np.ndarray,
    "truth_asymmetry_": np.ndarray,
    "sigma_scale_": float,
    "pair_features_": list,
    "pair_leakage_": float,
    "feature_leakage_": dict,
    "insitu_gain_": float,
    "n_labelled_": int,
    "n_pairs_": tuple,
    "loss_curve_": np.ndarray,
    "n_iter_": int,
}


def measured(true, pt, bins=BINS):
    table = closure_table(true, pt, bins=bins, n_bootstrap=2, random_state=0)
    return table["mean"].to_numpy(), table["jer"].mean()


def pull_width(true, pt, std):
    """Half width in units of std, apart from the energy scale at each momentum."""
    log_true, error = np.log(true), np.log(pt / true)
    for _ in range(3):
        core = np.abs(error - np.median(error)) < 0.2
        scale = np.polynomial.Polynomial.fit(log_true[core], error[core], 3)
        error = error - scale(log_true)
    return np.quantile(np.abs(error) * pt / std, CORE)


@dataclass
class Trained:
    """A fit to simulation and data, fresh events, and what is predicted for them."""

    sample: Sample
    regressor: AsymmetryJERRegressor
    sim: DijetProblem
    data: DijetProblem

    def __post_init__(self):
        predict = self.regressor.predict
        self.of_sim = predict(self.sim.X, return_std=True, insitu=False)
        self.of_data = predict(self.data.X, return_std=True)
        self.before = predict(self.data.X, insitu=False)


@pytest.fixture(scope="module")
def fresh():
    sides = {"sim": 91, "data": 92}
    return [make_dijets(5000, side=s, random_state=seed) for s, seed in sides.items()]


@pytest.fixture(scope="module", params=range(3))
def trained(request, fresh):
    sample = make_sample(3000, 3000, seed=request.param)
    settings = {"max_epochs": 12, "hidden_layer_sizes": (32, 32)}
    regressor = fit(sample, random_state=request.param, **settings)
    return Trained(sample, regressor, *fresh)


def test_simulation_closes_and_resolution_improves(trained):
    sim = trained.sim
    means, jer = measured(sim.y, trained.of_sim[0])
    # 6000 labelled jets in twelve bins: 0.06 / sqrt(500) each.
    assert np.abs(means - 1).max() < 0.01
    _, reco = measured(sim.y, sim.X[:, 0])
    _, limit = measured(sim.y, sim.oracle(sim.X))
    assert jer < 0.8 * reco
    assert jer < 1.1 * limit


def test_data_improve_in_situ(trained):
    data = trained.data
    scale, jer = measured(data.y, trained.of_data[0])
    scale_before, jer_before = measured(data.y, trained.before)
    _, limit = measured(data.y, data.oracle(data.X))
    assert jer < 0.85 * jer_before
    assert jer < 1.12 * limit
    # The energy scale is that of simulation: it is not touched.
    assert np.abs(scale - scale_before).max() < 0.02


def test_standard_deviations(trained):
    # sigma_scale_ is from 600 jets, and jer_insitu_ has errors of six per cent a bin.
    for problem, predicted, tolerance in [
        (trained.sim, trained.of_sim, 0.1),
        (trained.data, trained.of_data, 0.15),
    ]:
        pt, std = predicted
        assert (std > 0).all()
        assert np.ptp(std / pt) > 0.03
        assert abs(pull_width(problem.y, pt, std) - 1) < tolerance


def test_resolution_of_held_out_jets(trained):
    regressor, jer = trained.regressor, trained.regressor.jer_
    assert regressor.closure_["n_rows"].sum() == 600
    fresh = trained.sim.y, trained.of_sim[0]
    table = closure_table(*fresh, bins=jer.edges, n_bootstrap=2, random_state=0)
    pulls = (jer.value - table["jer"]) / np.hypot(jer.error, 0.02 * jer.value)
    assert np.abs(pulls).max() < 3.5
    np.testing.assert_array_equal(regressor.slope_, regressor.closure_["slope"])
    np.testing.assert_array_equal(jer.value, regressor.closure_["jer"])
    assert (jer.pt > jer.edges[:-1]).all()
    assert (jer.pt < jer.edges[1:]).all()
    assert jer.nsc is not None


def test_resolution_of_data_from_asymmetries(trained):
    sample, jer = trained.sample, trained.regressor.jer_insitu_
    data = sample.rows(~sample.labelled)
    pt = trained.regressor.predict(data.X)
    mean = np.exp(np.log(pt).reshape(-1, 2).mean(axis=1))
    place = np.searchsorted(jer.edges, np.repeat(mean, 2)) - 1
    assert len(jer.value) >= 5
    checked = 0
    for k, (value, error) in enumerate(zip(jer.value, jer.error, strict=True)):
        inside = place == k
        if np.isnan(value) or inside.sum() < 800:
            continue
        log_response = np.log(pt[inside] / data.true[inside])
        width = np.quantile(np.abs(log_response - np.median(log_response)), CORE)
        # Radiation differs in data, and templates are broader than cores.
        assert abs(value - width) < 3 * np.hypot(error, 0.05 * width)
        checked += 1
    assert checked >= 3
    truth = trained.regressor.truth_asymmetry_
    # Of the toy: 6.3 per cent, at any momentum.
    np.testing.assert_allclose(truth[np.isfinite(jer.value)], 0.063, atol=0.012)


def test_attributes(trained):
    regressor = trained.regressor
    for name, kind in ATTRIBUTES.items():
        assert isinstance(getattr(regressor, name), kind), name
    assert regressor.n_labelled_ == 6000
    assert regressor.n_pairs_ == (3000, 3000)
    assert regressor.n_features_in_ == 9
    assert regressor.pair_features_ == OF_JETS
    assert regressor.feature_leakage_.keys() == set(range(1, 9))
    assert max(regressor.feature_leakage_.values()) < 0.01
    assert 0 <= regressor.pair_leakage_ <= 0.01
    assert 0.05 < regressor.insitu_gain_ < 0.25
    assert regressor.loss_curve_.shape == (regressor.n_iter_, 2)
    assert regressor.n_iter_ == 12
    assert regressor.loss_curve_[-1, 0] < regressor.loss_curve_[0, 0]
    assert np.isnan(regressor.loss_curve_[:, 1]).all()


def test_correction_of_data_is_that_of_their_own_momentum(trained):
    before = trained.before
    correction = trained.regressor.insitu_correction(trained.data.X, before)
    assert np.std(correction) > 0.02
    np.testing.assert_allclose(trained.of_data[0], before * np.exp(correction), 1e-12)


def test_pickle_keeps_every_bit(trained):
    X = trained.data.X[:500]
    copy = pickle.loads(pickle.dumps(trained.regressor))
    for arguments in ({"return_std": True}, {"return_std": True, "insitu": False}):
        for one, other in zip(
            copy.predict(X, **arguments),
            trained.regressor.predict(X, **arguments),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    assert copy.closure_.equals(trained.regressor.closure_)
    np.testing.assert_array_equal(
        copy.jer_insitu_.value, trained.regressor.jer_insitu_.value
    )


@pytest.fixture(scope="module")
def sample():
    return make_sample()


@pytest.fixture(scope="module")
def fitted(sample):
    return fit(sample)


def test_supervised_ignores_data(sample, fitted):
    both = fit(sample, "supervised")
    simulation = fit(sample.rows(sample.labelled), "supervised")
    expected = simulation.predict(sample.X)
    np.testing.assert_allclose(both.predict(sample.X), expected, rtol=1e-9)
    np.testing.assert_array_equal(
        both.predict(sample.X), both.predict(sample.X, insitu=False)
    )
    assert both.pair_features_ == []
    assert np.isnan(both.pair_leakage_)
    assert both.feature_leakage_ == {}
    assert both.insitu_gain_ == 0.0
    np.testing.assert_array_equal(both.insitu_correction(sample.X, expected), 0)
    assert simulation.jer_insitu_ is None
    assert simulation.truth_asymmetry_ is None
    # The first step of the other method is the same.
    residual = fitted.predict(sample.X, insitu=False)
    np.testing.assert_array_equal(residual, both.predict(sample.X))


@pytest.mark.parametrize("seed", range(2))
def test_joint_training(fresh, seed):
    sim, data = fresh
    sample = make_sample(1500, 1500, seed=seed)
    settings = {"max_epochs": 5, "hidden_layer_sizes": (32, 32), "random_state": seed}
    jer = []
    for weight in (0.0, 1.0):
        regressor = fit(sample, "joint", asymmetry_weight=weight, **settings)
        pt, std = regressor.predict(sim.X, return_std=True, insitu=False)
        means, _ = measured(sim.y, pt)
        assert np.abs(means - 1).max() < 0.015
        assert (pt > 0).all()
        assert abs(pull_width(sim.y, pt, std) - 1) < 0.1
        pt = regressor.predict(data.X)
        jer.append(measured(data.y, pt)[1])
        assert regressor.pair_features_ == []
        np.testing.assert_array_equal(regressor.predict(data.X, insitu=False), pt)
    assert jer[1] < 0.95 * jer[0]


def test_joint_training_with_simulated_pairs(sample):
    simulation = sample.rows(sample.labelled)
    regressor = fit(simulation, "joint")
    assert (regressor.predict(sample.X) > 0).all()
    assert regressor.n_pairs_ == (300, 0)
    assert not np.allclose(
        regressor.predict(sample.X),
        fit(simulation, "joint", asymmetry_weight=100.0).predict(sample.X),
        rtol=1e-3,
    )


def test_names_of_columns(sample, fitted):
    table = pd.DataFrame(sample.X, columns=NAMES)
    named = fit(sample._replace(X=table), pt_column="pt")
    expected = fitted.predict(sample.X)
    np.testing.assert_array_equal(named.predict(table), expected)
    assert list(named.feature_names_in_) == list(NAMES)
    assert not hasattr(fitted, "feature_names_in_")
    jets = Jets(sample.X, feature_names=NAMES)
    np.testing.assert_array_equal(named.predict(jets), expected)
    np.testing.assert_array_equal(fit(sample._replace(X=jets)).predict(jets), expected)
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(table[list(NAMES[::-1])])
    with pytest.raises(ValueError, match="expecting 9 features"):
        fitted.predict(sample.X[:, :8])


def test_columns_by_name_or_number(sample):
    table = pd.DataFrame(sample.X, columns=NAMES)
    chosen = {"features": ["eta", "f_em", "n_track"], "pair_features": ["f_em"]}
    by_name = fit(sample._replace(X=table), pt_column="pt", **chosen)
    by_number = fit(sample, features=[1, 2, 4], pair_features=[2])
    expected = by_number.predict(sample.X)
    np.testing.assert_array_equal(by_name.predict(table), expected)
    assert by_name.pair_features_ == by_number.pair_features_ == [2]
    # What is not named is not looked at.
    other = sample.X.copy()
    other[:, [3, 5, 6, 7, 8]] = 1.0
    np.testing.assert_array_equal(by_number.predict(other), expected)
    pair_pt = np.full(len(other), 100.0)
    other[:, [1, 4]] += 1.0
    np.testing.assert_array_equal(
        by_number.insitu_correction(other, pair_pt),
        by_number.insitu_correction(sample.X, pair_pt),
    )


def test_momentum_in_another_column(sample, fitted):
    order = [1, 2, 3, 0, 4, 5, 6, 7, 8]
    moved = fit(sample._replace(X=sample.X[:, order]), pt_column=3)
    np.testing.assert_allclose(
        moved.predict(sample.X[:, order]), fitted.predict(sample.X), rtol=0.2
    )
    # Its other features are in the same order, as are the jets of an event.
    np.testing.assert_array_equal(
        moved.predict(sample.X[:, order], insitu=False),
        fitted.predict(sample.X, insitu=False),
    )


@pytest.mark.parametrize("arguments", [{}, {"energy_columns": ["share"]}])
def test_energies_are_divided_by_the_momentum(sample, arguments):
    pt, eta = sample.X[:, 0], sample.X[:, 1]
    name = "share" if arguments else "E"
    energy = pd.DataFrame(
        np.column_stack([sample.X, pt * np.cosh(eta)]), columns=[*NAMES, name]
    )
    ratio = energy.assign(**{name: np.cosh(eta)})
    expected = fit(sample._replace(X=ratio), energy_columns=[], pt_column="pt")
    result = fit(sample._replace(X=energy), pt_column="pt", **arguments)
    # Not in corrections of data, however little it leaks.
    assert 9 not in result.pair_features_
    np.testing.assert_allclose(
        result.predict(energy, insitu=False),
        expected.predict(ratio, insitu=False),
        rtol=1e-5,
    )


@pytest.mark.parametrize("n_features", [0, 1])
def test_few_features(sample, n_features):
    columns = list(range(n_features + 1))
    regressor = fit(sample._replace(X=sample.X[:, columns]))
    pt = regressor.predict(sample.X[:, columns])
    assert (pt > 0).all()
    assert regressor.pair_features_ == columns[1:]
    # Without features a calibration is a function of the momentum, which rises.
    if n_features == 0:
        order = np.argsort(sample.X[:, 0])
        assert (np.diff(pt[order]) >= 0).all()


@pytest.fixture(scope="module")
def towers():
    bunch = load_dijets(side="both")
    rows = np.r_[0:300, 10_800:11_000]
    jets = bunch.data[rows].replace(labels={})
    return jets, bunch.target[rows], bunch.event_id[rows]


def fit_towers(jets, y, event_id, **arguments):
    settings = {**QUICK, "phi_layer_sizes": (8,), "latent_dim": 4, **arguments}
    regressor = AsymmetryJERRegressor(use_constituents=True, **settings)
    return regressor.fit(jets, y, event_id=event_id)


@pytest.fixture(scope="module")
def fitted_towers(towers):
    return fit_towers(*towers)


def test_constituents_count_in_any_order(towers, fitted_towers):
    jets, y, event_id = towers
    expected = fitted_towers.predict(jets)
    mixed = fitted_towers.predict(permute(jets))
    np.testing.assert_allclose(mixed, expected, rtol=1e-9)
    others = jets[::-1]
    exchanged = jets.replace(constituents=others.constituents, offsets=others.offsets)
    changed = fitted_towers.predict(exchanged)
    assert np.median(np.abs(changed / expected - 1)) > 1e-4
    # Corrections of data do not see them.
    pair_pt = np.full(len(jets), 200.0)
    np.testing.assert_array_equal(
        fitted_towers.insitu_correction(exchanged, pair_pt),
        fitted_towers.insitu_correction(jets, pair_pt),
    )
    # Without the constituents, it is another calibration.
    plain = AsymmetryJERRegressor(**QUICK).fit(jets, y, event_id=event_id)
    assert not np.allclose(plain.predict(jets), expected, rtol=1e-4)


def test_padding_of_any_value(towers, fitted_towers):
    jets, y, event_id = towers
    padded, mask = jets.to_padded()
    parts = {
        "features": jets.features,
        "feature_names": jets.feature_names,
        "constituent_names": jets.constituent_names,
    }
    expected = fitted_towers.predict(jets)
    forms = [
        Jets.from_padded(np.where(mask[..., None], padded, value), **parts)
        for value in (0.0, np.nan, -10_000.0)
    ]
    forms.append(
        Jets.from_padded(np.where(mask[..., None], padded, 7.0), mask=mask, **parts)
    )
    for form in forms:
        np.testing.assert_array_equal(fitted_towers.predict(form), expected)
    again = fit_towers(forms[2], y, event_id)
    np.testing.assert_array_equal(again.predict(jets), expected)


def test_constituents_alone(towers):
    jets, y, event_id = towers
    jets = jets.select(features=[])
    regressor = fit_towers(jets, y, event_id)
    pt = regressor.predict(jets)
    assert (pt > 0).all()
    assert np.corrcoef(np.log(pt[:300]), np.log(y[:300]))[0, 1] > 0.98
    assert regressor.pair_features_ == []
    copy = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(copy.predict(jets), pt)
    unnamed = jets.replace(constituent_names=None)
    again = fit_towers(unnamed, y, event_id, particle_id=None)
    np.testing.assert_array_equal(again.predict(unnamed.to_list()), pt)


def test_identifiers_of_constituents_are_categories(towers):
    jets, y, event_id = towers
    kind = np.random.default_rng(0).integers(3, size=len(jets.constituents))

    def of_kinds(*names):
        table = np.column_stack([jets.constituents[:, :3], np.array(names)[kind]])
        names = ["pt", "eta", "phi", "pdgid"]
        return jets.replace(constituents=table, constituent_names=names)

    regressor = fit_towers(of_kinds(22, 130, 211), y, event_id)
    before = regressor.predict(of_kinds(22, 130, 211))
    # Other numbers in the same order are other names of the same categories.
    again = fit_towers(of_kinds(-5, 1000, 2000), y, event_id)
    np.testing.assert_array_equal(again.predict(of_kinds(-5, 1000, 2000)), before)
    assert not np.allclose(regressor.predict(of_kinds(22, 130, 22)), before, rtol=1e-5)
    # Unknown ones are alike.
    unknown = regressor.predict(of_kinds(22, 130, 999))
    np.testing.assert_array_equal(regressor.predict(of_kinds(22, 130, -7)), unknown)
    assert (unknown > 0).all()
    with pytest.raises(ValueError, match="use_constituents=True needs jets with const"):
        fit_towers(jets.features, y, event_id)
    with pytest.raises(ValueError, match="Jets with features are required"):
        AsymmetryJERRegressor(**QUICK).fit(jets.select(features=[]), y)


def skewed(n=3000, seed=0):
    """Jets without features, of a skewed response that falls with the momentum."""
    rng = np.random.default_rng(seed)
    true = np.exp(rng.uniform(np.log(50), np.log(2000), n))
    response = 0.6 * (true / 300) ** 0.1 * np.exp(0.2 * rng.normal(size=n))
    return (true * response)[:, None], true


@pytest.mark.parametrize(
    ("location", "tolerance"), [("mean", 0.005), ("median", 0.005), ("mode", 0.04)]
)
def test_locations(location, tolerance):
    X, y = skewed()
    regressor = AsymmetryJERRegressor(location=location, n_closure_bins=4, **QUICK)
    edges = np.geomspace(y.min(), y.max() * (1 + 1e-9), 5)
    pt = regressor.fit(X, y).predict(X)
    table = closure_table(y, pt, bins=edges, n_bootstrap=2, random_state=0)
    # Two per cent from the mean to the median, and two more to the mode.
    for name in ("mean", "median", "mode"):
        distance = np.abs(table[name] - 1).max()
        assert distance < tolerance if name == location else distance > 0.01


def test_closure_in_bins():
    X, y = skewed()
    lack = []
    for n_closure_bins in (1, 12):
        regressor = AsymmetryJERRegressor(n_closure_bins=n_closure_bins, **QUICK)
        pt = regressor.fit(X, y).predict(X)
        bins = np.geomspace(y.min(), y.max() * (1 + 1e-9), 13)
        lack.append(np.abs(measured(y, pt, bins)[0] - 1).max())
    assert lack[0] > 0.03
    assert lack[1] < 0.015


def test_flat_spectrum(sample):
    simulation = sample.rows(sample.labelled)
    weight = flatten_spectrum(simulation.y, max_weight=3.0).weight
    flat = fit(simulation, max_weight=3.0)
    by_hand = fit(simulation, flatten=None, sample_weight=weight)
    expected = flat.predict(sample.X)
    np.testing.assert_allclose(by_hand.predict(sample.X), expected, rtol=1e-9)
    steep = fit(simulation, flatten=None).predict(sample.X)
    assert not np.allclose(steep, expected, rtol=1e-3)


def test_momenta_without_logarithm(sample, fitted):
    pt = fit(sample, log_pt=False).predict(sample.X, insitu=False)
    rows = sample.labelled
    means, _ = measured(sample.y[rows], pt[rows])
    assert np.abs(means - 1).max() < 0.03
    assert not np.allclose(pt, fitted.predict(sample.X, insitu=False), rtol=1e-4)


def test_dropout(sample, fitted):
    regressor = fit(sample, dropout=0.3)
    pt = regressor.predict(sample.X)
    np.testing.assert_array_equal(regressor.predict(sample.X), pt)
    assert (pt > 0).all()
    assert not np.allclose(pt, fitted.predict(sample.X), rtol=1e-4)


def test_early_stopping(sample):
    settings = {"max_epochs": 60, "learning_rate": 0.05, "n_iter_no_change": 2}
    regressor = fit(sample, early_stopping=True, **settings)
    assert 3 <= regressor.n_iter_ < 60
    losses = regressor.loss_curve_
    assert losses.shape == (regressor.n_iter_, 2)
    assert np.isfinite(losses).all()
    assert losses[-3, 1] == losses[:, 1].min()


def test_activity(sample, fitted):
    activity = np.where(sample.event_id % 3 == 0, 0.05, 0.3)
    quiet = fit(sample, activity=activity)
    # Corrections are from all events.
    np.testing.assert_array_equal(quiet.predict(sample.X), fitted.predict(sample.X))
    assert np.isnan(quiet.jer_insitu_.value).all()
    assert np.isfinite(fitted.jer_insitu_.value).any()
    louder = fit(sample, activity=activity, max_activity=0.3)
    np.testing.assert_array_equal(louder.jer_insitu_.value, fitted.jer_insitu_.value)
    assert fit(sample, activity=np.full(1200, 0.3)).jer_insitu_ is None


def test_score_is_that_of_the_logarithm(sample, fitted):
    rows = sample.labelled
    log_pt = np.log(fitted.predict(sample.X[rows], insitu=False))
    log_true = np.log(sample.y[rows])
    expected = r2_score(log_true, log_pt)
    assert fitted.score(sample.X, sample.y) == pytest.approx(expected, rel=1e-12)
    weight = np.random.default_rng(0).uniform(size=len(rows))
    expected = r2_score(log_true, log_pt, sample_weight=weight[rows])
    result = fitted.score(sample.X, sample.y, sample_weight=weight)
    assert result == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "change",
    [lambda y: -y, lambda y: 0 * y, lambda y: y[:-1], lambda y: y * np.nan],
    ids=["negative", "zero", "too few", "unlabelled"],
)
def test_scores_of_no_momenta(sample, fitted, change):
    with pytest.raises(ValueError, match=r"y |samples"):
        fitted.score(sample.X, change(sample.y))


def test_clone_and_parameters(sample, fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(sample.X)
    other = clone(fitted).set_params(method="supervised", max_correction=0.1)
    assert other.get_params()["max_correction"] == 0.1
    copy.fit(sample.X, sample.y, event_id=sample.event_id)
    np.testing.assert_array_equal(copy.predict(sample.X), fitted.predict(sample.X))


def test_seeds(sample, fitted):
    expected = fitted.predict(sample.X)
    other = fit(sample, random_state=1).predict(sample.X)
    assert not np.allclose(other, expected, rtol=1e-4)
    again = fit(sample, random_state=np.random.RandomState(0)).predict(sample.X)
    np.testing.assert_array_equal(again, expected)


def test_global_generators_are_left_alone(sample):
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    regressor = fit(sample, dropout=0.1)
    regressor.predict(sample.X)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    # What they hold does not matter either.
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    again = fit(sample, dropout=0.1).predict(sample.X)
    np.testing.assert_array_equal(again, regressor.predict(sample.X))


def test_number_of_threads(sample, fitted):
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pt = fit(sample).predict(sample.X)
    finally:
        torch.set_num_threads(n_threads)
    np.testing.assert_allclose(pt, fitted.predict(sample.X), rtol=1e-3)


def test_search_with_groups_and_routing():
    sample = make_sample(300, 210)
    X, y, event_id = sample.X, sample.y, sample.event_id
    # An odd number of folds: the numbers of data are odd, those of simulation even.
    folds = GroupKFold(3)
    with config_context(enable_metadata_routing=True):
        regressor = AsymmetryJERRegressor(**QUICK).set_fit_request(event_id=True)
        pipeline = Pipeline(
            [("same", FunctionTransformer()), ("calibration", regressor)]
        )
        search = GridSearchCV(
            pipeline,
            {"calibration__max_epochs": [1, 2]},
            scoring={"jer": jer_score, "closure": closure_score},
            refit=best_resolution(closure_tol=0.1),
            cv=folds.set_split_request(groups="event_id"),
            error_score="raise",
        ).fit(X, y, event_id=event_id)
        train, test = next(folds.split(X, y, event_id))
        again = clone(pipeline).fit(X[train], y[train], event_id=event_id[train])
    results = search.cv_results_
    assert results["mean_test_closure"].min() > -0.1
    assert search.best_index_ == results["mean_test_jer"].argmax()
    best = search.best_estimator_[-1]
    # Events reached the fits: data are corrected.
    assert best.n_pairs_ == (300, 210)
    assert best.pair_features_ == OF_JETS
    assert sum(again[-1].n_pairs_) == 340
    assert min(again[-1].n_pairs_) > 100
    # Labelled jets are scored as simulation.
    rows = test[sample.labelled[test]]
    pt = again[-1].predict(X[rows], insitu=False)
    assert not np.allclose(again.predict(X[rows]), pt, rtol=1e-4)
    expected = jer_score(Predicted(pt), X[rows], y[rows])
    assert jer_score(again, X[test], y[test]) == expected
    assert results["split0_test_jer"][1] == expected


class Predicted(BaseEstimator):
    def __init__(self, pt):
        self.pt = pt

    def predict(self, X):
        return self.pt


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": lambda y: -y}, "positive"),
        ({"event_id": lambda e: np.where(e % 2, e, -1)}, "simulated pairs"),
        ({"event_id": lambda e: e[:-1]}, "event_id"),
        ({"X": lambda X: X * np.nan}, "NaN"),
    ],
)
def test_failed_fits_leave_nothing(sample, fitted, changes, message):
    regressor = deepcopy(fitted)
    broken = sample._replace(
        **{name: change(getattr(sample, name)) for name, change in changes.items()}
    )
    with pytest.raises(ValueError, match=message):
        regressor.fit(broken.X, broken.y, event_id=broken.event_id)
    with pytest.raises(NotFittedError):
        regressor.predict(sample.X)
    for name in ATTRIBUTES:
        assert not hasattr(regressor, name), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "both"}, "'method' parameter"),
        ({"max_correction": 0.0}, "'max_correction' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"pair_features": "eta"}, "'pair_features' parameter"),
        ({"location": "centre"}, "'location' parameter"),
        ({"pt_column": "pt"}, "pt_column: no column 'pt'"),
        ({"features": [0, 1]}, "must not hold pt_column"),
        ({"pair_features": [9]}, "pair_features: no column 9"),
        ({"features": [1], "pair_features": [2]}, "2 is not among the features"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes"),
        ({"device": "abacus"}, "device='abacus'"),
    ],
)
def test_wrong_parameters(sample, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(sample, **arguments)


def test_progress(sample, capsys):
    fit(sample)
    assert capsys.readouterr().err == ""
    fit(sample, verbose=1)
    assert "2/2" in capsys.readouterr().err
