import pickle

import numpy as np
import pandas as pd
import pytest
from jet_changes import permute
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict
from small_taggers import BACKBONES, SMALL, make_jets

from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.regression import JetPtRegressor

LEARNING = SMALL | {"embed_dim": 32, "max_epochs": 12, "learning_rate": 0.005}


def make_lost(n, rng, noise=0.05):
    """Jets, their true momenta, and the response: two tracks in three lose a part.

    A third of the jets has no tracks. The true median of the response is
    exp(-0.1 times the number of tracks with hits = 2 - 0.2 where tagged).
    """
    jets, _ = make_jets(n, rng, min_tracks=0, max_tracks=4)
    true_pt = rng.uniform(30, 300, n)
    tagged = rng.choice([0.0, 1.0], n)
    lossy = jets.constituent("hits") == 2
    response = np.exp(-0.1 * np.bincount(jets.jet_index, lossy, n) - 0.2 * tagged)
    measured = true_pt * response * np.exp(noise * rng.laplace(size=n))
    features = np.stack([tagged, measured], axis=1)
    return jets.replace(features=features, feature_names=["tagged", "pt"]), (
        true_pt,
        response,
    )


@pytest.fixture(scope="module")
def sample():
    jets, (true_pt, _) = make_lost(300, np.random.default_rng(0))
    return jets, true_pt


@pytest.fixture(scope="module", params=BACKBONES)
def regressor(request, sample):
    return JetPtRegressor(request.param, pt_column="pt", **SMALL).fit(*sample)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_median_of_the_truth_is_learned(seed):
    jets, (true_pt, response) = make_lost(1500, np.random.default_rng(seed))
    settings = LEARNING | {"random_state": seed}
    regressor = JetPtRegressor(pt_column="pt", **settings)
    regressor.fit(jets[:1000], true_pt[:1000])
    test, measured = jets[1000:], jets[1000:].feature("pt")
    pt = regressor.predict(test)
    # The spectrum is flat, and tells as good as nothing: the median is known.
    assert np.std(np.log(pt / measured * response[1000:])) < 0.04
    for tagged in (0, 1):
        chosen = test.feature("tagged") == tagged
        closure = np.median(pt[chosen] / true_pt[1000:][chosen])
        assert abs(closure - 1) < 0.02
    spread = np.std(np.log(pt / true_pt[1000:]))
    assert spread < 0.75 * np.std(np.log(measured / true_pt[1000:]))


@pytest.mark.parametrize("key", ["pt", 1, -1, np.int64(1)])
def test_columns_of_momenta(sample, key):
    jets, true_pt = sample
    pt = JetPtRegressor(pt_column=key, **SMALL).fit(jets, true_pt).predict(jets)
    expected = JetPtRegressor(pt_column="pt", **SMALL).fit(jets, true_pt)
    np.testing.assert_array_equal(pt, expected.predict(jets))


def test_what_is_learned_is_a_ratio(sample):
    jets, true_pt = sample
    regressor = JetPtRegressor("dense", pt_column="pt", **SMALL).fit(jets, true_pt)
    pulls = regressor._evaluate(jets, lambda net, batch: net(**batch))[:, 0]
    ratio = regressor.predict(jets) / jets.feature("pt")
    (scale,) = regressor._model.outputs
    np.testing.assert_allclose(np.log(ratio), scale.centre + scale.width * pulls)
    log_ratio = np.log(true_pt / jets.feature("pt"))
    low, centre, high = np.percentile(log_ratio, [25, 50, 75])
    np.testing.assert_allclose([scale.centre, scale.width], [centre, high - low])


def test_momenta_of_constituents(sample):
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 6, 200)
    tracks = np.column_stack(
        [rng.exponential(20, counts.sum()), rng.normal(0, 0.1, (counts.sum(), 2))]
    )
    jets = Jets(
        constituents=tracks,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        constituent_names=["pt", "eta", "phi"],
    )
    measured = np.bincount(jets.jet_index, tracks[:, 0])
    regressor = JetPtRegressor(**SMALL).fit(jets, 1.3 * measured)
    # All ratios are the same, and have no spread to be scaled by.
    pulls = regressor._evaluate(jets, lambda net, batch: net(**batch))[:, 0]
    expected = 1.3 * measured * np.exp(pulls)
    np.testing.assert_allclose(regressor.predict(jets), expected)
    unnamed = jets.replace(constituent_names=["d0", "eta", "phi"])
    with pytest.raises(ValueError, match="first columns of the constituents must be"):
        clone(regressor).fit(unnamed, measured)


def test_low_momenta(sample):
    jets, true_pt = sample
    features = jets.features.copy()
    features[:3, 1] = [-5.0, 0.0, 0.5]
    low = jets.replace(features=features.copy())
    regressor = JetPtRegressor(pt_column="pt", pt_floor=1.0, **SMALL)
    with pytest.warns(UserWarning, match="3 jets have a pt below pt_floor = 1 GeV"):
        regressor.fit(low, true_pt)
    features[:3, 1] = 1.0
    expected = regressor.predict(jets.replace(features=features))
    with pytest.warns(UserWarning, match="3 jets have a pt below") as caught:
        pt = regressor.predict(low)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(pt[3:], expected[3:])
    assert (pt > 0).all()


def test_invariances(regressor, sample):
    jets, _ = sample
    expected = regressor.predict(jets)
    assert np.ptp(expected / jets.feature("pt")) > 1e-2
    for others in (permute(jets), jets.replace(labels={}, constituent_labels={})):
        np.testing.assert_allclose(regressor.predict(others), expected, rtol=1e-12)
    alone = np.concatenate([regressor.predict(jet) for jet in jets[:10]])
    np.testing.assert_allclose(alone, expected[:10], rtol=1e-12)
    single = pickle.loads(pickle.dumps(regressor)).set_params(precision="single")
    np.testing.assert_allclose(single.predict(permute(jets)), expected, rtol=1e-5)


def test_reproducible_and_pickled(regressor, sample):
    jets, _ = sample
    expected = regressor.predict(jets)
    again = clone(regressor).fit(*sample)
    np.testing.assert_array_equal(again.predict(jets), expected)
    assert b"torch" not in pickle.dumps(regressor)
    copy = pickle.loads(pickle.dumps(regressor))
    other = "deepsets" if regressor.backbone == "dense" else "dense"
    copy.set_params(pt_column="tagged", pt_floor=1e9, backbone=other)
    np.testing.assert_array_equal(copy.predict(jets), expected)


def test_rows_of_weight_zero_are_left_out(sample):
    jets, true_pt = sample
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(jets))
    absent = np.arange(len(jets)) % 3 == 0
    weight[absent] = 0
    regressor = JetPtRegressor(pt_column="pt", **SMALL)
    weighted = clone(regressor).fit(jets, np.where(absent, 1e4, true_pt), weight)
    kept = ~absent
    without = clone(regressor).fit(jets[kept], true_pt[kept], weight[kept])
    np.testing.assert_array_equal(weighted.predict(jets), without.predict(jets))


STILL = {"max_epochs": 1, "learning_rate": 1e-12}


def test_a_warm_start_begins_where_the_other_fit_ended(regressor, sample):
    jets, true_pt = sample
    again = clone(regressor).set_params(random_state=1, **STILL)
    # Another centre and spread of the truth does not change what is predicted.
    again.fit(jets, 1.5 * true_pt**1.1, warm_start_from=regressor)
    np.testing.assert_allclose(again.predict(jets), regressor.predict(jets), rtol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_warm_start_from_a_classifier(sample, dropout):
    jets, true_pt = sample
    tagger = FlavourTaggerClassifier(dropout=dropout, **SMALL)
    tagger.fit(jets, jets.labels["flavour"])
    regressor = JetPtRegressor(pt_column="pt", **SMALL | STILL)
    regressor.fit(jets, true_pt, warm_start_from=tagger)
    latent = regressor._evaluate(jets, lambda net, batch: net.encode(**batch)[1])
    np.testing.assert_allclose(latent, tagger.transform(jets), 0, 1e-6)


def test_missing_features(sample):
    jets, true_pt = sample
    features = jets.features.copy()
    features[::3, 0] = np.nan
    missing = jets.replace(features=features)
    regressor = JetPtRegressor(pt_column="pt", **SMALL).fit(missing, true_pt)
    assert np.isfinite(regressor.predict(missing)).all()
    features[0, 1] = np.nan
    missing = jets.replace(features=features)
    for call in (
        lambda: regressor.predict(missing),
        lambda: regressor.fit(missing, true_pt),
    ):
        with pytest.raises(ValueError, match="the measured pt contains NaN"):
            call()


def test_data_frames_and_cross_validation(sample):
    jets, true_pt = sample
    frame = pd.DataFrame(jets.features, columns=jets.feature_names)
    regressor = JetPtRegressor("dense", pt_column="pt", **SMALL)
    pt = cross_val_predict(regressor, frame, true_pt, cv=2)
    np.testing.assert_array_equal(pt, cross_val_predict(regressor, jets, true_pt, cv=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: np.append(y[1:], -1.0), "positive"),
        (lambda y: np.append(y[1:], 0.0), "positive"),
        (lambda y: np.append(y[1:], np.inf), "infinit"),
        (lambda y: np.append(y[1:], np.nan), "NaN"),
        (lambda y: y[1:], "inconsistent numbers of samples"),
    ],
)
def test_true_momenta_are_checked(sample, change, message):
    jets, true_pt = sample
    regressor = JetPtRegressor(pt_column="pt", **SMALL)
    with pytest.raises(ValueError, match=message):
        regressor.fit(jets, change(true_pt))
    with pytest.raises(NotFittedError):
        regressor.predict(jets)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pt_column": "p"}, "pt_column: no column 'p'"),
        ({"pt_column": 2}, "pt_column: no column 2 among 2"),
        ({"pt_floor": 0.0}, "'pt_floor' parameter"),
        ({"backbone": "efn"}, "'backbone' parameter"),
    ],
)
def test_parameters_are_checked(sample, parameters, message):
    with pytest.raises(ValueError, match=message):
        JetPtRegressor(**SMALL | parameters).fit(*sample)


def test_weights_are_checked(sample):
    for weight in (np.zeros(300), -np.ones(300)):
        with pytest.raises(ValueError, match=r"zero|positive sum"):
            JetPtRegressor(pt_column="pt", **SMALL).fit(*sample, weight)
