import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from jet_changes import permute
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state
from small_taggers import (
    BACKBONES,
    LEARNING,
    READERS,
    SMALL,
    make_jets,
    pad,
    with_tracks,
    without_labels,
)

from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.metrics import discriminant, make_tagging_scorer
from sklearn_hepcal.regression import JetPtRegressor


@pytest.fixture(scope="module")
def sample():
    """Jets, some of them without tracks, and their flavours."""
    return make_jets(200, np.random.default_rng(0), min_tracks=0)


@pytest.fixture(scope="module", params=BACKBONES)
def tagger(request, sample):
    return FlavourTaggerClassifier(request.param, **SMALL).fit(*sample)


@pytest.fixture(scope="module", params=READERS)
def reader(request, sample):
    return FlavourTaggerClassifier(request.param, **SMALL).fit(*sample)


@pytest.fixture(scope="module", params=READERS)
def learned(request):
    """A tagger that has learned, other jets, and their flavours."""
    fits = []
    for seed in (0, 1):
        jets, y = make_jets(900, np.random.default_rng(seed))
        settings = LEARNING | {"random_state": seed}
        fits.append(
            (
                FlavourTaggerClassifier(request.param, **settings).fit(
                    jets[:600], y[:600]
                ),
                jets[600:],
                y[600:],
            )
        )
    return fits


def answers(tagger, jets):
    return np.column_stack([tagger.predict_proba(jets), tagger.transform(jets)])


def assert_same_answers(tagger, jets, others, tolerance):
    expected = answers(tagger, jets)
    assert np.ptp(expected, axis=0).max() > 1e-2
    np.testing.assert_allclose(answers(tagger, others), expected, 0, tolerance)


def in_single_precision(tagger):
    return pickle.loads(pickle.dumps(tagger)).set_params(precision="single")


# A memory reads tracks by the sizes of their significances, which differ.
def test_the_order_of_tracks_does_not_matter(tagger, sample):
    jets = without_labels(sample[0])
    assert_same_answers(tagger, jets, permute(jets), 1e-12)
    assert_same_answers(in_single_precision(tagger), jets, permute(jets), 1e-5)


def test_the_order_matters_to_a_memory_that_does_not_sort(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier("rnn", order_by=None, **SMALL).fit(jets, y)
    change = answers(tagger, permute(jets)) - answers(tagger, jets)
    assert np.abs(change).max() > 1e-3


@pytest.mark.parametrize("fill", [0.0, np.nan, -999.0])
def test_padding_does_not_matter(reader, sample, fill):
    jets = without_labels(sample[0]).select(features=[])
    bare = clone(reader).fit(jets, sample[1])
    padded = np.full((len(jets), 50, 4), fill)
    filled = np.arange(50) < jets.counts[:, None]
    padded[filled] = jets.constituents
    wide = Jets.from_padded(padded, constituent_names=jets.constituent_names)
    assert_same_answers(bare, jets, wide, 1e-12)
    assert_same_answers(in_single_precision(bare), jets, wide, 1e-5)


def test_jets_are_tagged_one_by_one(tagger, sample):
    jets, _ = sample
    alone = np.concatenate([answers(tagger, jet) for jet in jets[:20]])
    np.testing.assert_allclose(alone, answers(tagger, jets)[:20], 0, 1e-12)
    single = in_single_precision(tagger)
    alone = np.concatenate([answers(single, jet) for jet in jets[:20]])
    np.testing.assert_allclose(alone, answers(tagger, jets)[:20], 0, 1e-5)


def test_truth_is_no_input(tagger, sample):
    jets, _ = sample
    expected = answers(tagger, jets)
    assert (answers(tagger, without_labels(jets)) == expected).all()
    nonsense = jets.replace(
        labels={"flavour": np.full(len(jets), -1.5)},
        constituent_labels={"vertex": np.full(len(jets.constituents), "b")},
    )
    assert (answers(tagger, nonsense) == expected).all()


def test_truth_that_is_not_trained_with_does_not_change_the_network(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier(aux=None, **SMALL)
    expected = clone(tagger).fit(without_labels(jets), y).predict_proba(jets)
    assert (clone(tagger).fit(jets, y).predict_proba(jets) == expected).all()
    dense = FlavourTaggerClassifier("dense", **SMALL)
    expected = clone(dense).fit(without_labels(jets), y).predict_proba(jets)
    assert (clone(dense).fit(jets, y).predict_proba(jets) == expected).all()


def test_jets_without_tracks(reader, sample):
    jets, _ = sample
    empty = with_tracks(jets, np.zeros(len(jets.constituents), dtype=bool))
    probabilities = reader.predict_proba(empty)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    # Their features still tell them apart.
    assert np.ptp(probabilities, axis=0).min() > 1e-3
    assert reader.predict_origin(empty).shape == (len(jets), 0)
    assert reader.predict_vertices(empty[:1]).shape == (1, 0)


@pytest.mark.parametrize("backbone", READERS)
def test_no_tracks_in_training(backbone, sample):
    jets, y = sample
    empty = with_tracks(jets, np.zeros(len(jets.constituents), dtype=bool))
    tagger = FlavourTaggerClassifier(backbone, **SMALL).fit(empty, y)
    assert np.isfinite(tagger.predict_proba(jets)).all()


def test_200_tracks_in_one_jet(reader, sample):
    jets, y = sample
    rng = np.random.default_rng(1)
    large, _ = make_jets(1, rng, min_tracks=200, max_tracks=200)
    both = Jets.concatenate([jets, large])
    expected = np.concatenate([answers(reader, jets), answers(reader, large)])
    np.testing.assert_allclose(answers(reader, both), expected, 0, 1e-11)
    assert reader.predict_vertices(both).shape == (201, 200)
    single = in_single_precision(reader).predict_proba(large)
    np.testing.assert_allclose(single, reader.predict_proba(large), 0, 1e-5)
    again = clone(reader).fit(both, np.append(y, 5))
    assert np.isfinite(answers(again, both)).all()


def test_every_form_of_jets_is_the_same(sample):
    jets, y = sample
    jets = jets[jets.counts > 0]
    y = y[sample[0].counts > 0]
    jets = Jets(constituents=jets.constituents, offsets=jets.offsets)
    tagger = FlavourTaggerClassifier(**SMALL).fit(jets, y)
    expected = tagger.predict_proba(jets)
    assert tagger.n_features_in_ == 4
    for form in [jets.to_padded()[0], jets.to_list(), jets.to_awkward()]:
        np.testing.assert_array_equal(tagger.predict_proba(form), expected)
        again = clone(tagger).fit(form, y)
        np.testing.assert_array_equal(again.predict_proba(jets), expected)


def test_data_frames_are_features_of_dense(sample):
    jets, y = sample
    frame = pd.DataFrame(jets.features, columns=jets.feature_names)
    tagger = FlavourTaggerClassifier("dense", **SMALL).fit(frame, y)
    assert tagger.feature_names_in_.tolist() == ["eta", "mass"]
    expected = tagger.predict_proba(frame)
    assert (tagger.predict_proba(jets) == expected).all()
    with pytest.raises(ValueError, match="feature names should match"):
        tagger.predict(frame.rename(columns={"mass": "m"}))


@pytest.mark.parametrize("where", ["features", "constituents"])
def test_missing_values(reader, sample, where):
    jets, y = sample
    table = getattr(jets, where).copy()
    table[::5, 1] = np.nan
    missing = jets.replace(**{where: table})
    # Missing in the prediction, and in the training too.
    assert np.isfinite(answers(reader, missing)).all()
    tagger = clone(reader).fit(missing, y)
    marked = answers(tagger, missing)
    assert np.isfinite(marked).all()
    # A mark is not the same as the mean.
    table[np.isnan(table)] = np.nanmedian(table[:, 1])
    assert np.abs(answers(tagger, jets.replace(**{where: table})) - marked).max() > 1e-4


def test_probabilities_follow_from_the_discriminants(tagger, sample):
    jets, _ = sample
    proba = tagger.predict_proba(jets)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    order = tagger.classes_
    np.testing.assert_array_equal(tagger.predict(jets), order[proba.argmax(axis=1)])
    np.testing.assert_allclose(
        tagger.decision_function(jets), discriminant(proba, order=order), 1e-12
    )
    np.testing.assert_allclose(
        tagger.discriminant(jets, signal=4),
        np.log(proba[:, 1] / (0.2 * proba[:, 2] + 0.8 * proba[:, 0])),
        rtol=1e-10,
        atol=1e-12,
    )
    fractions = {"b": 0.5, "u": 0.5}
    np.testing.assert_allclose(
        tagger.discriminant(jets, "c", fractions),
        discriminant(proba, signal="c", fractions=fractions, order=order),
    )


@pytest.mark.parametrize(
    ("names", "signal"),
    [
        (["u", "c", "b"], "b"),
        (["light", "cjets", "bjets"], "bjets"),
        ([0, 15, 5], 5),
        ([0.0, 4.0, 5.0], 5),
        ([0, 1, 2], None),
        (["qcd", "c", "b"], None),
    ],
)
def test_automatic_signal(sample, names, signal):
    jets, y = sample
    labels = np.array(names)[np.searchsorted([0, 4, 5], y)]
    tagger = FlavourTaggerClassifier("dense", **SMALL).fit(jets, labels)
    decision = tagger.decision_function(jets)
    proba = tagger.predict_proba(jets)
    if signal is None:
        logs = np.log(proba)
        expected = logs - logs.mean(axis=1, keepdims=True)
    else:
        expected = discriminant(proba, signal=signal, order=tagger.classes_)
    np.testing.assert_allclose(decision, expected, 1e-9, 1e-12)
    assert set(tagger.predict(jets)) <= set(names)


@pytest.mark.parametrize(
    "names", [(0, 5), ("u", "b"), ("c", "b"), (4, 5), (False, True)]
)
def test_two_classes_are_those_of_scikit_learn(sample, names):
    jets, y = sample
    labels = np.where(y == 5, names[1], names[0])
    tagger = FlavourTaggerClassifier("dense", **SMALL).fit(jets, labels)
    proba = tagger.predict_proba(jets)
    expected = np.log(proba[:, 1] / proba[:, 0])
    np.testing.assert_allclose(tagger.decision_function(jets), expected, 1e-9, 1e-12)
    wanted = clone(tagger).set_params(signal=names[1]).fit(jets, labels)
    sign = 1 if tagger.classes_[1] == names[1] else -1
    np.testing.assert_allclose(wanted.decision_function(jets), sign * expected)


def test_signal_and_fractions(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier(
        "dense", signal="c", fractions={0: 0.4, "b": 0.6}, **SMALL
    ).fit(jets, y)
    decision = tagger.decision_function(jets)
    proba = tagger.predict_proba(jets)
    expected = np.log(proba[:, 1] / (0.4 * proba[:, 0] + 0.6 * proba[:, 2]))
    np.testing.assert_allclose(decision, expected, 1e-9, 1e-12)
    log_odds = clone(tagger).set_params(signal=None, fractions=None).fit(jets, y)
    assert log_odds.decision_function(jets).shape == (len(jets), 3)
    # Tools that want a column a class find it there.
    calibrated = CalibratedClassifierCV(FrozenEstimator(log_odds)).fit(jets, y)
    assert calibrated.predict_proba(jets).shape == (len(jets), 3)


def test_one_track_tells_the_flavour(learned):
    for tagger, jets, y in learned:
        assert tagger.score(jets, y) > (0.8 if tagger.backbone == "deepsets" else 0.9)
        # No other track does: without those far out, all jets look light.
        kept = np.abs(jets.constituent("signed_d0_significance")) < 3
        rest = with_tracks(jets, kept)
        assert np.mean(tagger.predict(rest[rest.counts > 0]) == 0) > 0.75


def test_a_column_tells_the_origin(learned):
    for tagger, jets, _ in learned:
        origin = tagger.predict_origin(jets)
        expected = pad(jets, "origin")
        assert np.mean((origin == expected)[expected >= 0]) > 0.97
        np.testing.assert_array_equal(origin == -1, expected == -1)


def same_vertex(labels):
    return (labels[:, :, None] == labels[:, None]) & (labels[:, :, None] >= 0)


def test_a_column_tells_the_vertex(learned):
    for tagger, jets, _ in learned:
        vertex = tagger.predict_vertices(jets)
        expected = pad(jets, "vertex")
        both = (expected[:, :, None] >= 0) & (expected[:, None] >= 0)
        right = same_vertex(vertex) == same_vertex(expected)
        assert right[both].mean() > 0.98
        assert np.mean([r[b].all() for r, b in zip(right, both, strict=True)]) > 0.95
        np.testing.assert_array_equal(vertex == -1, expected == -1)


def test_thresholds_of_vertices(reader, sample):
    jets, _ = sample
    places = np.arange(jets.counts.max())
    filled = places < jets.counts[:, None]
    # All tracks are linked, or none.
    for tagger in (reader, in_single_precision(reader)):
        np.testing.assert_array_equal(
            tagger.predict_vertices(jets, threshold=0), np.where(filled, 0, -1)
        )
        np.testing.assert_array_equal(
            tagger.predict_vertices(jets, threshold=1), np.where(filled, places, -1)
        )
    # A lower threshold links more.
    loose, tight = (
        same_vertex(reader.predict_vertices(jets, threshold=t)) for t in (0.3, 0.5)
    )
    assert (loose >= tight).all()


def test_labels_of_tracks_come_back_in_their_order(reader, sample):
    jets, _ = sample
    rng = np.random.default_rng(0)
    # Tracks in another order: what belongs to them is the same.
    order = rng.permutation(len(jets.constituents))
    order = order[np.argsort(jets.jet_index[order], kind="stable")]
    turned = without_labels(jets).replace(constituents=jets.constituents[order])
    filled = np.arange(jets.counts.max()) < jets.counts[:, None]
    expected = reader.predict_origin(jets)[filled][order]
    np.testing.assert_array_equal(reader.predict_origin(turned)[filled], expected)


def test_labels_given_to_fit_are_those_of_the_jets(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier("gnn", **SMALL)
    expected = clone(tagger).fit(jets, y).predict_proba(jets)
    given = {name: pad(jets, name) for name in ("origin", "vertex")}
    again = clone(tagger).fit(without_labels(jets), y, **given)
    assert (again.predict_proba(jets) == expected).all()
    without = clone(tagger).fit(without_labels(jets), y)
    assert np.abs(without.predict_proba(jets) - expected).max() > 1e-4


def test_auxiliary_labels_may_be_unknown(sample):
    jets, y = sample
    unknown = np.full(len(jets.constituents), -1)
    data = jets.replace(constituent_labels={"origin": unknown, "vertex": unknown})
    tagger = FlavourTaggerClassifier(**SMALL)
    expected = clone(tagger).fit(without_labels(jets), y).predict_proba(jets)
    assert (clone(tagger).fit(data, y).predict_proba(jets) == expected).all()


@pytest.mark.parametrize("weights", ["gls", (0.0, 0.0), np.array([1.0, 0.1])])
def test_weights_of_the_auxiliary_losses(sample, weights):
    jets, y = sample
    settings = SMALL | {"vertex_normalisation": "mean"}
    tagger = FlavourTaggerClassifier(aux_weights=weights, **settings).fit(jets, y)
    usual = FlavourTaggerClassifier(**settings).fit(jets, y)
    assert np.isfinite(tagger.loss_curve_).all()
    change = tagger.predict_proba(jets) - usual.predict_proba(jets)
    assert np.abs(change).max() > 1e-5


def test_class_weights(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier("dense", early_stopping=False, **SMALL)

    def fit(class_weight=None, sample_weight=None):
        tagger.set_params(class_weight=class_weight)
        return clone(tagger).fit(jets, y, sample_weight).predict_proba(jets)

    _, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    close = {"rtol": 1e-5, "atol": 1e-7}
    balanced = fit(sample_weight=1 / counts[index])
    np.testing.assert_allclose(fit("balanced"), balanced, **close)
    named = fit(sample_weight=np.where(y == 5, 3.0, 1.0))
    np.testing.assert_allclose(fit({5: 3.0}), named, **close)
    every = {0: 1, 4: 1, 5: 3, 15: 7}
    np.testing.assert_allclose(fit(every), named, **close)
    assert np.abs(named - fit()).max() > 1e-3


@pytest.mark.parametrize("backbone", ["deepsets", "dense"])
def test_rows_of_weight_zero_are_left_out(sample, backbone):
    jets, y = sample
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 1.5, len(y))
    absent = np.arange(len(y)) % 3 == 0
    weight[absent] = 0
    # Neither their scales, nor their classes, nor their origins are learned.
    features = jets.features.copy()
    features[absent] *= 1e6
    origin = pad(jets, "origin")
    origin[absent] += 10 * (origin[absent] >= 0)
    jets = jets.replace(features=features)
    labels = np.where(absent, 15, y)
    tagger = FlavourTaggerClassifier(backbone, **SMALL)
    weighted = clone(tagger).fit(jets, labels, weight, origin=origin)
    kept = ~absent
    without = clone(tagger).fit(jets[kept], y[kept], weight[kept], origin=origin[kept])
    assert weighted.classes_.tolist() == [0, 4, 5]
    np.testing.assert_array_equal(answers(weighted, jets), answers(without, jets))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_negative_weights_subtract(seed):
    rng = np.random.default_rng(seed)
    jets, y = make_jets(800, rng, flavours=(0, 5))
    # Jets of b that pass for light ones are subtracted again.
    wrong, _ = make_jets(300, rng, flavours=(5,))
    everything = Jets.concatenate([jets, wrong])
    label = np.concatenate([y, np.zeros(300, dtype=int)])
    weight = np.concatenate([np.ones(800), np.tile([1.0, -1.0], 150)])
    settings = SMALL | {"aux": None, "max_epochs": 8, "random_state": seed}
    tagger = FlavourTaggerClassifier(**settings)
    test, _ = make_jets(300, rng, flavours=(5,))

    def mean_probability(**weights):
        tagger.fit(everything, label, **weights)
        return tagger.predict_proba(test)[:, 1].mean()

    # The wrong labels are believed, or not.
    assert mean_probability(sample_weight=weight) > mean_probability() + 0.2


def test_the_same_seed_gives_the_same_bits(tagger, sample):
    jets, y = sample
    numpy_state = pickle.dumps(check_random_state(None).get_state())
    torch_state = torch.get_rng_state()
    again = clone(tagger).fit(jets, y)
    np.testing.assert_array_equal(answers(again, jets), answers(tagger, jets))
    assert pickle.dumps(check_random_state(None).get_state()) == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)
    other = again.set_params(random_state=1).fit(jets, y)
    assert np.abs(answers(other, jets) - answers(tagger, jets)).max() > 1e-3


def test_parameters_that_are_set_after_fit_wait_for_the_next_one(tagger, sample):
    jets, _ = sample
    copy = pickle.loads(pickle.dumps(tagger))
    other = "deepsets" if tagger.backbone == "dense" else "dense"
    copy.set_params(backbone=other, order_by=None, signal=4, fractions={0: 0.5, 5: 0.5})
    copy.set_params(latent_dim=3, n_heads=7, aux=None, embed_dim=5)
    np.testing.assert_array_equal(answers(copy, jets), answers(tagger, jets))
    expected = tagger.decision_function(jets)
    np.testing.assert_array_equal(copy.decision_function(jets), expected)


def test_pickle_keeps_every_bit(tagger, sample):
    jets, _ = sample
    copy = pickle.loads(pickle.dumps(tagger))
    np.testing.assert_array_equal(answers(copy, jets), answers(tagger, jets))
    assert b"torch" not in pickle.dumps(tagger)


def test_pickle_in_another_process(sample, tmp_path):
    jets, y = sample
    tagger = FlavourTaggerClassifier("transformer", **SMALL).fit(jets, y)
    path = tmp_path / "tagger.pkl"
    path.write_bytes(pickle.dumps((tagger, jets, tagger.predict_proba(jets))))
    code = f"""
import pickle, sys
with open({str(path)!r}, "rb") as file:
    tagger, jets, expected = pickle.load(file)
assert "torch" not in sys.modules
assert (tagger.predict_proba(jets) == expected).all()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_latent_vectors_in_a_pipeline(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier("gnn", **SMALL).fit(jets, y)
    pipeline = make_pipeline(FrozenEstimator(tagger), LogisticRegression())
    proba = pipeline.fit(jets, y).predict_proba(jets)
    expected = LogisticRegression().fit(tagger.transform(jets), y)
    np.testing.assert_array_equal(proba, expected.predict_proba(tagger.transform(jets)))
    names = [f"flavourtaggerclassifier{k}" for k in range(8)]
    assert tagger.get_feature_names_out().tolist() == names
    assert pipeline[:-1].get_feature_names_out().tolist() == names
    table = pickle.loads(pickle.dumps(tagger)).set_output(transform="pandas")
    table = table.transform(jets)
    assert isinstance(table, pd.DataFrame)
    assert table.columns.tolist() == names
    np.testing.assert_array_equal(table, tagger.transform(jets))


def search_backbones(sample, tagger, **given):
    jets, y = sample
    search = GridSearchCV(
        tagger,
        {"backbone": ["deepsets", "dense"], "aux": [None, "auto"]},
        scoring=make_tagging_scorer("b", "u", 0.5),
        cv=2,
        error_score="raise",
    )
    return search.fit(without_labels(jets), y, **given).cv_results_


def test_a_search_over_backbones(sample):
    jets, _ = sample
    settings = SMALL | {"max_epochs": 1}
    given = {name: pad(jets, name) for name in ("origin", "vertex")}
    tagger = FlavourTaggerClassifier(**settings)
    plain = search_backbones(sample, tagger, **given)
    assert np.isfinite(plain["mean_test_score"]).all()
    with config_context(enable_metadata_routing=True):
        tagger = clone(tagger).set_fit_request(origin=True, vertex=True)
        routed = search_backbones(sample, tagger, **given)
    for results in (plain, routed):
        np.testing.assert_array_equal(
            results["mean_test_score"], plain["mean_test_score"]
        )


def test_cross_validation_learns(sample):
    jets, y = make_jets(600, np.random.default_rng(0))
    tagger = FlavourTaggerClassifier(aux=None, **LEARNING)
    scores = cross_val_score(tagger, jets, y, scoring=make_tagging_scorer("b"), cv=2)
    assert (scores > np.log(5)).all()


def test_large_jets_of_two_bottom_quarks():
    rng = np.random.default_rng(0)
    jets, flavour = make_jets(900, rng)
    # Higgs bosons to bottom or charm, and jets of top quarks or without heavy hadrons.
    top = (flavour == 0) & (jets.feature("mass") > 0)
    y = np.where(top, 1, np.array([10, 12, 11])[np.searchsorted([0, 4, 5], flavour)])
    fractions = {12: 0.02, 1: 0.25, 10: 0.73}
    tagger = FlavourTaggerClassifier(signal=11, fractions=fractions, **LEARNING)
    tagger.fit(jets[:600], y[:600])
    assert tagger.classes_.tolist() == [1, 10, 11, 12]
    test, truth = jets[600:], y[600:]
    assert tagger.score(test, truth) > 0.75
    proba = tagger.predict_proba(test)
    mix = 0.02 * proba[:, 3] + 0.25 * proba[:, 0] + 0.73 * proba[:, 1]
    scores = tagger.decision_function(test)
    np.testing.assert_allclose(scores, np.log(proba[:, 2] / mix), 1e-9, 1e-12)
    cut = np.quantile(scores[truth == 11], 0.5)
    assert np.mean(scores[truth != 11] > cut) < 0.02


# As good as unchanged: what is asked for is the network that was taken over.
STILL = {"max_epochs": 1, "learning_rate": 1e-12}


def test_a_warm_start_begins_where_the_other_fit_ended(tagger, sample):
    jets, y = sample
    again = clone(tagger).set_params(random_state=1, **STILL)
    again.fit(jets[50:], y[50:], warm_start_from=tagger)
    np.testing.assert_allclose(answers(again, jets), answers(tagger, jets), 0, 1e-6)
    if tagger.backbone != "dense":
        np.testing.assert_array_equal(
            again.predict_origin(jets), tagger.predict_origin(jets)
        )
        np.testing.assert_array_equal(
            again.predict_vertices(jets), tagger.predict_vertices(jets)
        )


def test_a_warm_start_from_the_tagger_itself(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier(**SMALL).fit(jets, y)
    expected = answers(tagger, jets)
    tagger.set_params(**STILL).fit(jets, y, warm_start_from=tagger)
    np.testing.assert_allclose(answers(tagger, jets), expected, 0, 1e-6)


def test_heads_of_other_classes_are_not_taken_over(sample):
    jets, y = sample
    tagger = FlavourTaggerClassifier(**SMALL).fit(jets, y)
    again = clone(tagger).set_params(random_state=1, **STILL)
    again.fit(jets, np.array(["u", "b"])[(y == 5).astype(int)], warm_start_from=tagger)
    assert again.predict_proba(jets).shape == (len(jets), 2)
    np.testing.assert_allclose(again.transform(jets), tagger.transform(jets), 0, 1e-6)
    other = clone(tagger).set_params(random_state=1, **STILL)
    other.fit(jets, np.where(y == 4, 15, y), warm_start_from=tagger)
    change = other.predict_proba(jets) - tagger.predict_proba(jets)
    assert np.abs(change).max() > 1e-3


def test_a_warm_start_from_a_regressor(sample):
    jets, y = sample
    jets = jets.replace(features=np.exp(jets.features))
    regressor = JetPtRegressor(**SMALL).fit(jets, 1.1 * jets.features[:, 0])
    tagger = FlavourTaggerClassifier(**SMALL | STILL)
    tagger.fit(jets, y, warm_start_from=regressor)
    expected = regressor._evaluate(jets, lambda net, batch: net.encode(**batch)[1])
    np.testing.assert_allclose(tagger.transform(jets), expected, 0, 1e-6)


def test_a_warm_start_helps_when_there_are_few_jets():
    gains = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        settings = LEARNING | {"random_state": seed, "aux": None}
        tagger = FlavourTaggerClassifier(**settings).fit(*make_jets(500, rng))
        few, test = make_jets(60, rng), make_jets(500, rng)
        cold = clone(tagger).fit(*few).score(*test)
        warm = clone(tagger).fit(*few, warm_start_from=tagger).score(*test)
        gains.append(warm - cold)
    assert min(gains) > 0.1
