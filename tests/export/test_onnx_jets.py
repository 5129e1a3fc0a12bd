"""Exported estimators that read jets give what Python gives."""

import functools

import numpy as np
import pytest
import small_dijets
from onnx_runs import OnnxFile, check_close, pad, single
from small_fits import QUICK, make_rings
from small_taggers import BACKBONES, SMALL, make_jets

from sklearn_hepcal.classification import FlavourTaggerClassifier, MomentEFNClassifier
from sklearn_hepcal.datasets import (
    load_dijets,
    load_quark_gluon_jets,
    make_dijets,
)
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.regression import (
    AsymmetryJERRegressor,
    GaussianAnsatzRegressor,
    JetPtRegressor,
    MomentEFNRegressor,
)

SIZES = [1500, pytest.param(100_000, marks=pytest.mark.slow)]


def compare(estimator, path, jets, unit=None, **references):
    """Every output of the file is what a method makes of the same jets."""
    unit = unit or {}
    file = OnnxFile(estimator, path)
    assert set(file.outputs) == set(references)
    jets = single(jets)
    feeds = pad(jets, np.random.default_rng(0))
    found = file(feeds)
    for name, method in references.items():
        expected = method(jets)
        check_close(
            found[name], expected, unit[name](expected) if name in unit else None
        )
    for name, table in file({key: table[:0] for key, table in feeds.items()}).items():
        assert table.shape == (0, *found[name].shape[1:])
    few = file({key: table[-3:] for key, table in feeds.items()})
    for name, table in few.items():
        np.testing.assert_allclose(table, found[name][-3:], rtol=1e-4, atol=1e-5)


def add_edges(jets):
    """Jets of no energy, of one constituent and of one far away, of their columns."""
    n_columns = jets.constituents.shape[1]
    rest = np.zeros(n_columns - 3)
    edges = [
        [[0.0, 0.3, 1.0, *rest]] * 3,
        [[25.0, -1.0, 3.0, *rest]],
        [[1e-6, 2.0, -3.1, *rest]],
        # Around the cut in azimuth, on both sides of the detector, in one direction.
        [[10.0, 4.5, 3.14, *rest], [20.0, 4.4, -3.14, *rest], [0.0, 4.0, 3.0, *rest]],
        [[30.0, 0.5, 0.1, *rest], [5.0, -4.0, 2.5, *rest]],
        [[30.0, 0.5, 7.0, *rest], [5.0, 0.5, 7.0, *rest]],
        [[3e4, 0.0, -2.0, *rest], [1e-3, 1e-7, -2.0, *rest]],
    ]
    constituents = [jets.constituents, *(np.array(edge) for edge in edges)]
    counts = [*jets.counts, *map(len, edges)]
    return Jets(
        constituents=np.concatenate(constituents),
        constituent_names=jets.constituent_names,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
    )


EFN = {
    "sum": {"order": 1, "latent_dim": 4},
    "central": {"order": 3, "latent_dim": 2},
    "raw": {"order": 4, "moments": "raw", "coordinates": "linear"},
    "count": {"order": 2, "latent_dim": 2, "weighting": "count", "activation": "relu"},
}


@functools.cache
def fit_efn(name):
    jets, y = make_rings(300, np.random.default_rng(0))
    return MomentEFNClassifier(**{**QUICK, **EFN[name]}).fit(jets, y)


@pytest.mark.parametrize("n_jets", SIZES)
@pytest.mark.parametrize("name", EFN)
def test_moment_efn(tmp_path, name, n_jets):
    classifier = fit_efn(name)
    jets, _ = make_rings(n_jets, np.random.default_rng(1))
    compare(
        classifier,
        tmp_path / "efn.onnx",
        add_edges(jets),
        probabilities=classifier.predict_proba,
        decision=classifier.decision_function,
    )


def test_particles_with_identities_of_two_classes(tmp_path):
    jets, is_quark = load_quark_gluon_jets(n_jets=400, return_X_y=True)
    jets = jets.replace(labels={})
    classifier = MomentEFNClassifier(
        2, 2, weighting="count", activation="gelu", **QUICK
    ).fit(jets[:200], is_quark[:200])
    known = classifier._model.inputs.ids
    assert len(known) > 5
    column = jets.constituent_names.index("pdgid")
    # some that the training has not seen
    values = jets.constituents.copy()
    values[::50, column] = 3122
    jets = jets.replace(constituents=values)
    assert 3122 not in known
    compare(
        classifier,
        tmp_path / "efn.onnx",
        jets,
        probabilities=classifier.predict_proba,
        decision=classifier.decision_function,
    )


@pytest.mark.parametrize("several", [False, True])
def test_moment_efn_regressor(tmp_path, several):
    rng = np.random.default_rng(0)
    jets, y = make_rings(300, rng)
    y = 50.0 + 3.0 * y
    y = np.column_stack([y, rng.normal(size=len(y))]) if several else y
    regressor = MomentEFNRegressor(2, 2, activation="silu", **QUICK).fit(jets, y)
    compare(regressor, tmp_path / "efn.onnx", jets, prediction=regressor.predict)


# Jets with missing values, without features for one in two networks.
def make_tracks(n, rng):
    jets, y = make_jets(n, rng, min_tracks=0)
    tracks, features = jets.constituents.copy(), jets.features.copy()
    tracks[rng.random(len(tracks)) < 0.1, 1] = np.nan
    features[rng.random(n) < 0.1, 1] = np.nan
    features[:, 0] += 3.0
    jets = jets.replace(labels={}, constituents=tracks, features=features)
    return jets, y


@functools.cache
def fit_tagger(backbone, kind):
    jets, y = make_tracks(300, np.random.default_rng(0))
    if kind is FlavourTaggerClassifier:
        # Latent vectors of dropout; one of the networks tells no flavours.
        y = y if backbone != "gnn" else np.array(["x", "y", "z"])[y % 3]
        return kind(backbone, **{**SMALL, "dropout": 0.1}).fit(jets, y)
    options = {**SMALL, "activation": "silu" if backbone != "rnn" else "gelu"}
    return kind(backbone, pt_column="eta", **options).fit(
        jets, 1.0 + 1.2 * np.abs(jets.features[:, 0])
    )


@pytest.mark.parametrize("n_jets", SIZES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_flavour_tagger(tmp_path, backbone, n_jets):
    tagger = fit_tagger(backbone, FlavourTaggerClassifier)
    jets, _ = make_tracks(n_jets, np.random.default_rng(1))
    compare(
        tagger,
        tmp_path / "tagger.onnx",
        jets.replace(constituent_labels={}),
        probabilities=tagger.predict_proba,
        decision=tagger.decision_function,
        latent=tagger.transform,
    )


@pytest.mark.filterwarnings("ignore:.*below pt_floor")
@pytest.mark.parametrize("n_jets", SIZES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_jet_pt(tmp_path, backbone, n_jets):
    regressor = fit_tagger(backbone, JetPtRegressor)
    jets, _ = make_tracks(n_jets, np.random.default_rng(1))
    compare(
        regressor,
        tmp_path / "pt.onnx",
        jets.replace(constituent_labels={}),
        prediction=regressor.predict,
    )


def test_taggers_of_tracks_alone_and_of_no_tracks(tmp_path):
    jets, y = make_tracks(300, np.random.default_rng(0))
    bare = Jets(
        constituents=jets.constituents,
        offsets=jets.offsets,
        constituent_names=jets.constituent_names,
    )
    for backbone in ("deepsets", "rnn", "transformer"):
        tagger = FlavourTaggerClassifier(
            backbone, **{**SMALL, "order_by": None, "activation": "leaky_relu"}
        ).fit(bare, y == 5)
        path = tmp_path / f"{backbone}.onnx"
        compare(
            tagger,
            path,
            bare,
            probabilities=tagger.predict_proba,
            decision=tagger.decision_function,
            latent=tagger.transform,
        )
        empty = bare[bare.counts == 0]
        file = OnnxFile(tagger, path)
        assert file.inputs == ["constituents", "mask"]
        feeds = {
            "constituents": np.zeros((len(empty), 0, 4), np.float32),
            "mask": np.zeros((len(empty), 0), bool),
        }
        check_close(file(feeds)["probabilities"], tagger.predict_proba(empty), 1.0)


def make_linear(n, seed, n_targets=2):
    """Targets of which the second hardly differs from the first."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, n_targets)) * [10.0, 0.2, 3.0][:n_targets]
    z[:, 1:] += z[:, :1]
    X = z @ rng.normal(size=(n_targets, 4)) + rng.normal(size=(n, 4)) * [0.1, 1, 1, 2]
    return X + np.array([0.0, 1000.0, -30.0, 0.0]), z


# Entries of covariances are small where the product of standard deviations is.
def covariance_unit(covariance):
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    return np.sqrt(variance[:, :, None] * variance[:, None])


@functools.cache
def fit_ansatz(n_targets, **options):
    X, z = make_linear(800, 0, max(n_targets, 2))
    z = z[:, 0] if n_targets == 1 else z
    return GaussianAnsatzRegressor(max_epochs=3, random_state=0, **options).fit(X, z)


def compare_ansatz(regressor, path, jets, read):
    compare(
        regressor,
        path,
        jets,
        {"covariance": covariance_unit},
        prediction=lambda jets: regressor.predict(read(jets)),
        covariance=lambda jets: regressor.predict(read(jets), return_cov=True)[1],
        std=lambda jets: regressor.predict(read(jets), return_std=True)[1],
    )


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize(
    ("n_targets", "options"),
    [
        (1, {"activation": "gelu"}),
        (2, {"n_ensemble": 3}),
        (3, {"activation": "relu", "loss": "bce", "d_schedule": "anneal"}),
    ],
)
def test_gaussian_ansatz(tmp_path, n_targets, options, n_rows):
    regressor = fit_ansatz(n_targets, **options)
    X, _ = make_linear(n_rows, 1, max(n_targets, 2))
    X[:4] *= 30.0
    X[4:6] = [[0.0] * 4, [1e4] * 4]
    compare_ansatz(regressor, tmp_path / "a.onnx", Jets(X), lambda jets: jets.features)


def with_noise(jets, rng):
    noise = rng.normal(size=(len(jets), 1))
    return jets.replace(features=noise, feature_names=["noise"])


@functools.cache
def fit_jet_ansatz(backbone):
    rng = np.random.default_rng(0)
    jets, _ = make_rings(400, rng)
    jets = with_noise(jets, rng) if backbone == "pfn" else jets
    total = np.bincount(jets.jet_index, jets.constituents[:, 0])
    z = total * rng.normal(1.0, 0.2, size=len(jets))
    options = {"max_epochs": 3, "phi_layer_sizes": (32,), "latent_dim": 8}
    return GaussianAnsatzRegressor(backbone, random_state=0, **options).fit(jets, z)


@pytest.mark.parametrize("n_jets", SIZES)
@pytest.mark.parametrize("backbone", ["efn", "pfn"])
def test_gaussian_ansatz_of_jets(tmp_path, backbone, n_jets):
    regressor = fit_jet_ansatz(backbone)
    rng = np.random.default_rng(1)
    jets = add_edges(make_rings(n_jets, rng)[0])
    if backbone == "pfn":
        jets = with_noise(jets, rng)
    compare_ansatz(regressor, tmp_path / "ansatz.onnx", jets, lambda jets: jets)


JER = {
    "residual": {},
    "joint": {"method": "joint"},
    "gelu": {"method": "supervised", "activation": "gelu"},
    "relu": {"log_pt": False, "activation": "relu", "n_closure_bins": 1},
    "leaky": {"activation": "leaky_relu", "subtract_simulation": False},
}


@functools.cache
def fit_jer(name):
    options = dict(JER[name])
    if name == "leaky":
        options["pair_features"] = [1]
        options["max_leakage"] = 1.0
    return small_dijets.fit(small_dijets.make_sample(400, 400), **options)


def compare_jer(regressor, path, jets, read):
    def predict(place, **options):
        def of(jets):
            result = regressor.predict(read(jets), **options)
            return result if place is None else result[place]

        return of

    compare(
        regressor,
        path,
        jets,
        pt=predict(None),
        std=predict(1, return_std=True),
        pt_simulation=predict(None, insitu=False),
        std_simulation=predict(1, return_std=True, insitu=False),
    )


@pytest.mark.filterwarnings("ignore:.*below pt_floor")
@pytest.mark.parametrize(
    "n_events", [700, pytest.param(50_000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", JER)
def test_asymmetry_jer(tmp_path, name, n_events):
    regressor = fit_jer(name)
    assert (regressor._model.correction is None) == (name in ("joint", "gelu"))
    X = make_dijets(n_events, side="data", random_state=5).X
    low, high = X.min(axis=0), X.max(axis=0)
    X[:4] = [low, high, low - (high - low), high + 100 * (high - low)]
    X[:7, 0] = [low[0], high[0], 1e-5, 1e5, 0.0, 1.0, 1e4]
    jets = Jets(X)
    compare_jer(regressor, tmp_path / "jer.onnx", jets, lambda jets: jets.features)


def test_asymmetry_jer_of_towers(tmp_path):
    bunch = load_dijets(side="both")
    rows = np.r_[0:200, 10_800:10_900]
    jets = bunch.data[rows].replace(labels={})
    options = {"phi_layer_sizes": (8,), "latent_dim": 4, "use_constituents": True}
    bare = Jets(
        constituents=jets.constituents,
        offsets=jets.offsets,
        constituent_names=jets.constituent_names,
    )
    for sample in (jets, bare):
        regressor = AsymmetryJERRegressor(**small_dijets.QUICK, **options)
        regressor.fit(sample, bunch.target[rows], event_id=bunch.event_id[rows])
        compare_jer(regressor, tmp_path / "jer.onnx", sample, lambda jets: jets)
