import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from jet_changes import with_constituents
from seeds import FIRST_SEED_ELSE_SLOW
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from small_fits import QUICK, make_rings

from sklearn_hepcal._hold_out import hold_out
from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets, relative_constituents


def test_every_form_of_jets_is_the_same(tagged_jets):
    jets, y = tagged_jets
    jets = jets.replace(
        constituents=jets.constituents[:, :3], constituent_names=["pt", "eta", "phi"]
    )
    classifier = MomentEFNClassifier(2, 2, **QUICK).fit(jets, y)
    expected = classifier.decision_function(jets)
    forms = [jets.to_padded()[0], jets.to_list(), jets.to_awkward()]
    for form in forms:
        np.testing.assert_array_equal(classifier.decision_function(form), expected)
        again = clone(classifier).fit(form, y)
        np.testing.assert_array_equal(again.decision_function(form), expected)


def test_probabilities_follow_from_the_log_odds(tagged_jets):
    jets, is_quark = tagged_jets
    classifier = MomentEFNClassifier(2, 2, **QUICK)
    names = np.array(["gluon", "quark"])[is_quark]
    classifier.fit(jets, names)
    assert list(classifier.classes_) == ["gluon", "quark"]
    odds = classifier.decision_function(jets)
    proba = classifier.predict_proba(jets)
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-odds)), 1e-12)
    np.testing.assert_array_equal(
        classifier.predict(jets), np.where(odds > 0, "quark", "gluon")
    )


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_more_than_two_classes(seed):
    jets, y = make_rings(900, np.random.default_rng(seed))
    classifier = MomentEFNClassifier(
        2, 2, phi_layer_sizes=(32,), f_layer_sizes=(32,), random_state=seed
    ).fit(jets[:600], y[:600])
    assert classifier.score(jets[600:], y[600:]) > 0.9
    logits = classifier.decision_function(jets)
    np.testing.assert_allclose(logits.sum(axis=1), 0, atol=1e-12)
    proba = classifier.predict_proba(jets)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, expected, 1e-10)


# A label that only the identifiers tell, and one that only the number of constituents.
@pytest.mark.parametrize("what", ["identifiers", "multiplicity"])
def test_what_a_particle_flow_network_sees(what):
    rng = np.random.default_rng(0)
    jets, _ = make_rings(600, rng)
    ids = rng.choice([22.0, 211.0, -211.0], size=len(jets.constituents))
    if what == "identifiers":
        is_photon = np.bincount(jets.jet_index, ids == 22)
        y = (is_photon / jets.counts > 1 / 3).astype(int)
    else:
        y = (jets.counts > 20).astype(int)
    jets = jets.replace(
        constituents=np.column_stack([jets.constituents, ids]),
        constituent_names=["pt", "y", "phi", "pdgid"],
    )
    settings = {"phi_layer_sizes": (16,), "f_layer_sizes": (16,), "random_state": 0}

    def auc(weighting):
        classifier = MomentEFNClassifier(2, 2, weighting=weighting, **settings)
        classifier.fit(jets[:400], y[:400])
        return roc_auc_score(y[400:], classifier.decision_function(jets[400:]))

    assert auc("count") > 0.9
    assert auc("energy") < 0.75


def test_unknown_identifiers_are_alike(counting_classifier, tagged_jets):
    jets, _ = tagged_jets

    def relabelled(pdgid):
        constituents = jets.constituents.copy()
        constituents[:, 3] = pdgid
        return counting_classifier.decision_function(
            jets.replace(constituents=constituents)
        )

    np.testing.assert_array_equal(relabelled(9999), relabelled(-13579))
    assert np.abs(relabelled(9999) - relabelled(22)).max() > 1e-4


def test_rows_of_weight_zero_are_left_out(tagged_jets):
    jets, y = tagged_jets
    weight = np.ones(len(y))
    weight[::7] = 0
    labels = np.where(weight > 0, y, 1 - y)
    classifier = MomentEFNClassifier(2, 2, **QUICK)
    weighted = clone(classifier).fit(jets, labels, sample_weight=weight)
    without = clone(classifier).fit(jets[weight > 0], y[weight > 0])
    np.testing.assert_array_equal(
        weighted.decision_function(jets), without.decision_function(jets)
    )


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_negative_weights_subtract(seed):
    rng = np.random.default_rng(seed)
    jets, y = make_rings(750, rng, radii=(0.1, 0.2))
    # Rings of the second radius that pass for the first are subtracted again.
    wrong, _ = make_rings(300, rng, radii=(0.2,))
    everything = Jets.concatenate([jets, wrong])
    label = np.concatenate([y, np.zeros(300, dtype=int)])
    weight = np.concatenate([np.ones(750), np.tile([1.0, -1.0], 150)])
    classifier = MomentEFNClassifier(
        2, 1, phi_layer_sizes=(16,), f_layer_sizes=(16,), random_state=seed
    )
    test, truth = make_rings(500, rng, radii=(0.1, 0.2))

    def mean_probability(**weights):
        classifier.fit(everything, label, **weights)
        return classifier.predict_proba(test[truth == 1])[:, 1].mean()

    # 375 jets of this class beside 300 that pass for the other one.
    assert abs(mean_probability() - 375 / 675) < 0.15
    assert mean_probability(sample_weight=weight) > 0.85


def test_weights_are_relative(tagged_jets):
    jets, y = tagged_jets
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    classifier = MomentEFNClassifier(2, 2, **QUICK)
    answers = [
        clone(classifier).fit(jets, y, factor * weight).decision_function(jets)
        for factor in (1, 1024)
    ]
    np.testing.assert_array_equal(*answers)


def test_the_same_seed_gives_the_same_bits(tagged_jets):
    jets, y = tagged_jets
    numpy_state = pickle.dumps(check_random_state(None).get_state())
    torch_state = torch.get_rng_state()
    classifier = MomentEFNClassifier(2, 2, **QUICK)
    answers = [clone(classifier).fit(jets, y).decision_function(jets) for _ in range(2)]
    np.testing.assert_array_equal(*answers)
    assert pickle.dumps(check_random_state(None).get_state()) == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)
    other = classifier.set_params(random_state=1).fit(jets, y)
    assert np.abs(other.decision_function(jets) - answers[0]).max() > 1e-3


@pytest.mark.parametrize("early_stopping", [True, False])
def test_restarts_keep_the_lowest_loss(tagged_jets, monkeypatch, early_stopping):
    fits = []
    train = MomentEFNClassifier._train

    def record(self, *args):
        fits.append(train(self, *args))
        return fits[-1]

    monkeypatch.setattr(MomentEFNClassifier, "_train", record)
    classifier = MomentEFNClassifier(
        2, 2, n_restarts=3, early_stopping=early_stopping, **QUICK
    ).fit(*tagged_jets)
    curves = [curve for _, curve in fits]
    losses = [c[:, 1].min() if early_stopping else c[-1, 1] for c in curves]
    assert len(set(losses)) == 4
    best = int(np.argmin(losses))
    assert classifier.loss_curve_ is curves[best]
    assert classifier._model.network is fits[best][0]


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.35])
def test_every_class_is_held_out_in_proportion(fraction):
    rng = np.random.RandomState(0)
    y = rng.permutation(np.repeat([0, 1, 2], [1000, 200, 60]))
    counts = np.bincount(y[hold_out(y, fraction, rng)])
    np.testing.assert_allclose(counts, fraction * np.bincount(y), atol=1)


@pytest.mark.parametrize("fraction", [0.1, 0.9999])
@pytest.mark.parametrize("sizes", [[79, 1], [2, 1], [1, 1, 5]])
def test_every_class_is_trained_on(sizes, fraction):
    y = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(100):
        chosen = hold_out(y, fraction, np.random.RandomState(seed))
        assert chosen.any()
        assert set(y[~chosen]) == set(y)


def test_one_jet_a_class_cannot_be_held_out(tagged_jets):
    jets, y = tagged_jets
    rows = [int(np.argmax(y == 0)), int(np.argmax(y == 1))]
    classifier = MomentEFNClassifier(2, 2, **QUICK)
    with pytest.raises(ValueError, match="no rows can be held out for early stopping"):
        classifier.fit(jets[rows], y[rows])
    classifier.set_params(early_stopping=False).fit(jets[rows], y[rows])
    assert np.isfinite(classifier.decision_function(jets)).all()


# Every one of them changes what is learned, or how.
@pytest.mark.parametrize(
    "change",
    [
        {"order": 3},
        {"latent_dim": 3},
        {"phi_layer_sizes": (17,)},
        {"f_layer_sizes": (17,)},
        {"moments": "raw"},
        {"coordinates": "linear"},
        {"warp_scale": 0.02},
        {"weighting": "count"},
        {"activation": "silu"},
        {"augment": False},
        {"max_epochs": 3},
        {"batch_size": 16},
        {"learning_rate": 0.002},
        {"early_stopping": False},
        {"validation_fraction": 0.3},
        {"random_state": 1},
    ],
    ids=str,
)
def test_every_parameter_matters(tagged_jets, quick_classifier, change):
    jets, y = tagged_jets
    changed = clone(quick_classifier).set_params(**change).fit(jets, y)
    before = quick_classifier.decision_function(jets)
    assert np.abs(changed.decision_function(jets) - before).max() > 1e-4


def test_patience_and_progress(tagged_jets, capfd):
    jets, y = tagged_jets
    settings = {**QUICK, "max_epochs": 40, "learning_rate": 0.03, "verbose": 1}
    classifier = MomentEFNClassifier(2, 2, n_iter_no_change=2, **settings)
    classifier.fit(jets, y)
    best = int(classifier.loss_curve_[:, 1].argmin()) + 1
    assert classifier.n_iter_ == best + 2 < 40
    assert "epoch" in capfd.readouterr().err


def test_weights_of_jets_set_the_scale_of_the_points(tagged_jets):
    jets, y = tagged_jets
    wide = relative_constituents(jets)
    width = np.bincount(jets.jet_index, wide.fraction * np.hypot(wide.dy, wide.dphi))
    broad = width > np.median(width)
    scales = [
        MomentEFNClassifier(2, 2, **QUICK)
        .fit(jets, y, sample_weight=weight)
        ._model.inputs.scale[0]
        for weight in (np.where(broad, 10.0, 1.0), np.where(broad, 1.0, 10.0))
    ]
    assert scales[0] > 1.2 * scales[1]


@pytest.mark.parametrize("precision", ["double", "single"])
def test_precision_of_predictions(tagged_jets, quick_classifier, precision):
    jets, _ = tagged_jets
    exact = quick_classifier.decision_function(jets)
    other = pickle.loads(pickle.dumps(quick_classifier)).set_params(precision=precision)
    difference = np.abs(other.decision_function(jets) - exact).max()
    assert difference < 1e-4
    assert (difference == 0) == (precision == "double")


def test_fits_and_predictions_in_threads(tagged_jets):
    jets, y = tagged_jets
    classifier = MomentEFNClassifier(2, 2, **QUICK)
    expected = clone(classifier).fit(jets, y)

    def fit_and_predict(_):
        expected.decision_function(jets[:50])
        return clone(classifier).fit(jets, y).decision_function(jets)

    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(fit_and_predict, range(8)):
            np.testing.assert_array_equal(answers, expected.decision_function(jets))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loss_below_zero_is_no_success():
    jets, y = make_rings(60, np.random.default_rng(0), radii=(0.1, 0.2))
    weight = np.where(np.arange(60) % 5 < 2, -1.0, 1.0)
    classifier = MomentEFNClassifier(
        2,
        2,
        phi_layer_sizes=(32,),
        f_layer_sizes=(32,),
        max_epochs=100,
        learning_rate=0.01,
        early_stopping=False,
        random_state=0,
    )
    with pytest.raises(ValueError, match="training diverged"):
        classifier.fit(jets, y, sample_weight=weight)


def test_columns_without_names_may_be_identifiers(tagged_jets):
    jets, y = tagged_jets
    padded, _ = jets.to_padded()
    classifier = MomentEFNClassifier(2, 2, weighting="count", **QUICK)
    expected = clone(classifier).fit(jets, y).decision_function(jets)
    with pytest.warns(UserWarning, match="have no names, and are read as numbers"):
        clone(classifier).fit(padded, y)
    named = clone(classifier).set_params(particle_id="x3").fit(padded, y)
    np.testing.assert_array_equal(named.decision_function(padded), expected)
    for name in ("phi", "charge"):
        with pytest.raises(ValueError, match="is not one of the columns"):
            clone(classifier).set_params(particle_id=name).fit(jets, y)


def test_default_precision_of_torch_does_not_matter(tagged_jets, quick_classifier):
    jets, y = tagged_jets
    torch.set_default_dtype(torch.float64)
    try:
        again = clone(quick_classifier).fit(jets, y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.isfinite(again.decision_function(jets)).all()


def test_grid_search_in_both_forms(tagged_jets):
    jets, y = tagged_jets
    search = GridSearchCV(
        MomentEFNClassifier(**QUICK),
        {"order": [1, 2], "latent_dim": [1, 2]},
        cv=2,
        scoring="roc_auc",
    )
    padded, _ = jets.to_padded()
    results = [clone(search).fit(X, y) for X in (jets, padded)]
    scores = [result.cv_results_["mean_test_score"] for result in results]
    np.testing.assert_array_equal(*scores)
    assert np.isfinite(scores[0]).all()


def test_moments_are_features_for_others(tagged_jets):
    jets, y = tagged_jets
    pipeline = make_pipeline(
        MomentEFNClassifier(2, 2, **QUICK), StandardScaler(), LogisticRegression()
    )
    pipeline.set_output(transform="pandas")
    assert cross_val_score(pipeline, jets, y, cv=2, scoring="roc_auc").min() > 0.6
    assert list(pipeline[:-1].fit(jets, y).transform(jets).columns[:2]) == [
        "phi0",
        "phi1",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": "empty"}, "1 of 600 jets have fewer than 1 constituent"),
        ({"X": "nan"}, "NaN"),
        ({"X": "nothing"}, "pt of zero"),
        ({"y": np.zeros(600)}, "only one class"),
        ({"y": np.linspace(0, 1, 600)}, "Unknown label type"),
        ({"y": np.arange(10) % 2}, "inconsistent"),
        ({"y": None}, "requires y to be passed"),
        (
            {"sample_weight": -np.ones(600)},
            "sum over the training rows of every class",
        ),
        ({"sample_weight": np.full(600, np.nan)}, "sample_weight contains NaN"),
        ({"sample_weight": np.ones(5)}, "sample_weight"),
        ({"phi_layer_sizes": ()}, "phi_layer_sizes must hold positive"),
        ({"f_layer_sizes": (3, 0)}, "f_layer_sizes must hold positive"),
        ({"f_layer_sizes": (True,)}, "f_layer_sizes must hold positive"),
        ({"learning_rate": 1e30, "n_restarts": 1}, "training diverged"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
    ],
)
def test_what_is_refused(tagged_jets, change, message):
    jets, y = tagged_jets
    change = dict(change)
    X = change.pop("X", None)
    if X == "nothing":
        jets = jets.replace(constituents=jets.constituents * [0, 1, 1, 1])
    if X == "empty":
        others = jets.jet_index > 0
        jets = with_constituents(
            jets, jets.constituents[others], jets.jet_index[others]
        )
    if X == "nan":
        constituents = jets.constituents.copy()
        constituents[5, 1] = np.nan
        jets = jets.replace(constituents=constituents)
    y = change.pop("y", y)
    weight = change.pop("sample_weight", None)
    classifier = MomentEFNClassifier(2, 1, **QUICK).fit(*tagged_jets)
    classifier.set_params(**change)
    with pytest.raises(ValueError, match=message):
        classifier.fit(jets, y, sample_weight=weight)
    assert not hasattr(classifier, "loss_curve_")


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_quarks_and_gluons(seed):
    jets, y = load_quark_gluon_jets(return_X_y=True)
    test, train = slice(0, 3000), slice(3000, 5000)
    classifier = MomentEFNClassifier(2, 4, max_epochs=6, random_state=seed)
    classifier.fit(jets[train], y[train])
    # The error of 3,000 jets is 0.007.
    assert roc_auc_score(y[test], classifier.decision_function(jets[test])) > 0.79
