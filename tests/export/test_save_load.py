"""Estimators that are stored and loaded are the same, bit by bit."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from same_values import assert_same
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from small_dijets import fit as fit_dijets
from small_dijets import make_sample
from small_maps import make
from small_shapes import SHAPES, make_events
from small_taggers import SMALL, make_jets, pad, without_labels
from test_estimator_checks import CASES

import sklearn_hepcal
from sklearn_hepcal import export
from sklearn_hepcal.calibration import (
    DensityRatioReweighter,
    OTCalibrator,
    ScaleFactorCalibrator,
    SimplexTransformer,
)
from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.export._allowed import ALLOWED, find_class, find_name
from sklearn_hepcal.export._values import CODECS
from sklearn_hepcal.metrics import NSC
from sklearn_hepcal.regression import GaussianAnsatzRegressor, JetPtRegressor
from sklearn_hepcal.shapes import Fixed, ShapinessTransformer, make_observable

METHODS = ("transform", "predict", "predict_proba", "decision_function")


def reload(estimator, folder):
    """Store and load; the loaded one gives the same file again."""
    export.save(estimator, folder / "first")
    loaded = export.load(folder / "first")
    export.save(loaded, folder / "second")
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()
    return loaded


def check(estimator, X, folder):
    """Attributes, parameters and results of the loaded one are the same."""
    loaded = reload(estimator, folder)
    assert_same(estimator, loaded)
    assert repr(estimator.get_params()) == repr(loaded.get_params())
    methods = [name for name in METHODS if hasattr(estimator, name)]
    assert methods
    for name in methods:
        assert_same(getattr(estimator, name)(X), getattr(loaded, name)(X))
    return loaded


def rows(n=120, seed=0):
    rng = np.random.default_rng(seed)
    X = np.abs(rng.normal(size=(n, 3))) + 0.5
    return X, np.arange(n) % 2, X[:, 0] * rng.uniform(0.9, 1.1, n)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_estimator(number, tmp_path):
    estimator = clone(CASES[number][0])
    X, labels, momenta = rows()
    y = momenta if sklearn.base.is_regressor(estimator) else labels
    with warnings.catch_warnings():
        # Rows of numbers are no jets, and too few.
        warnings.simplefilter("ignore")
        check(estimator.fit(X, y), X, tmp_path)


def test_every_public_estimator_is_known():
    for folder in ("calibration", "classification", "regression", "shapes"):
        module = getattr(sklearn_hepcal, folder)
        for name in module.__all__:
            public = getattr(module, name)
            concrete = isinstance(public, type) and name not in ("Shape",)
            # What a method returns is no part of an estimator.
            if concrete and name != "LogAngularity":
                assert find_name(public) == name
    cases = {type(estimator).__name__ for estimator, _ in CASES}
    assert cases <= set(ALLOWED)


def test_names_in_files_are_those_of_one_class_each():
    classes = [find_class(name) for name in ALLOWED]
    assert [find_name(cls) for cls in classes] == list(ALLOWED)
    assert not set(CODECS) & set(ALLOWED)
    reserved = {"float", "dict", "items", "array", "scalar", "objects"}
    assert not reserved & (set(CODECS) | set(ALLOWED))


@pytest.mark.parametrize("solver", ["bures", "quantile", "picnn", "flow"])
def test_replicas_and_conditions(solver, transport_problem, tmp_path):
    problem = transport_problem
    options = {"hidden_width": 4, "n_layers": 1} if solver == "flow" else {}
    calibrator = make(solver, conditions=[2], n_bootstrap=2, **options)
    calibrator.set_params(max_epochs=1).fit(problem.X, problem.y)
    X = problem.X_sim[:200]
    expected = [calibrator.transform(X, replica=i) for i in range(2)]
    loaded = check(calibrator, X, tmp_path)
    for i in range(2):
        assert_same(expected[i], loaded.transform(X, replica=i))
    for name in ("inverse_transform", "log_abs_det_jacobian", "transform_std"):
        assert_same(getattr(calibrator, name)(X), getattr(loaded, name)(X))
    assert_same(calibrator.condition_weights(X), loaded.condition_weights(X))


def test_atoms(tmp_path):
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.exponential(size=(2, 2000, 1)) * [[[1.0]], [[1.5]]]
    X_sim[:600], X_data[:500] = 0, 0
    calibrator = OTCalibrator("quantile", atoms="dequantise")
    check(calibrator.fit_samples(X_sim, X_data), X_sim, tmp_path)


def test_pipeline_with_names_of_columns(tmp_path):
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([2, 3, 4], size=400)
    X = pd.DataFrame(scores, columns=["p_b", "p_c", "p_u"])
    X["pt"] = rng.exponential(50, 400) + 20
    y = np.arange(400) % 2
    pipeline = make_pipeline(
        SimplexTransformer([0, 1, 2]),
        OTCalibrator("bures", conditions=[2], n_knots=2),
        SimplexTransformer([0, 1, 2], inverse=True),
    ).set_output(transform="pandas")
    loaded = check(pipeline.fit(X, y), X, tmp_path)
    assert list(loaded.transform(X).columns) == list(pipeline.transform(X).columns)
    with pytest.raises(ValueError, match="feature names"):
        loaded.transform(X.rename(columns={"p_b": "b"}))


def test_transformers_of_scikit_learn(tmp_path):
    X, y, _ = rows()
    steps = [
        SimpleImputer(),
        FunctionTransformer(np.log1p, inverse_func=np.expm1),
        ColumnTransformer(
            [("a", StandardScaler(), [0]), ("b", RobustScaler(), slice(1, 3))],
            remainder="passthrough",
        ),
        FeatureUnion([("same", "passthrough"), ("rotated", PCA(2, random_state=0))]),
        *(MinMaxScaler(), MaxAbsScaler(), Normalizer(), PowerTransformer()),
        QuantileTransformer(n_quantiles=10, random_state=0),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
    ]
    check(make_pipeline(*steps).fit(X, y), X, tmp_path)
    check(make_pipeline(*steps, OTCalibrator("bures")).fit(X, y), X, tmp_path)


def test_transformed_target(tmp_path):
    X, _, y = rows()
    regressor = TransformedTargetRegressor(
        GaussianAnsatzRegressor(max_epochs=2, random_state=0),
        func=np.log,
        inverse_func=np.exp,
    )
    check(regressor.fit(X, y), X, tmp_path)


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic", None])
@pytest.mark.parametrize("cv", [2, StratifiedKFold(2)])
def test_reweighters(calibration, cv, tmp_path):
    X, y, _ = rows(300)
    reweighter = DensityRatioReweighter(
        LogisticRegression(), cv=cv, calibration=calibration
    )
    loaded = check(reweighter.fit(X, y), X, tmp_path)
    assert_same(reweighter.score(X, y), loaded.score(X, y))


def test_boosted_trees(tmp_path):
    X, y, _ = rows(2000)
    X[:1000:2, 0] *= 1.5
    X[::7, 1] = 0.0
    check(DensityRatioReweighter(random_state=0).fit(X, y), X, tmp_path)


def test_calibration_of_jets_with_data(tmp_path):
    sample = make_sample(2000, 800)
    regressor = fit_dijets(sample)
    assert regressor.pair_features_ and regressor.jer_insitu_ is not None
    loaded = check(regressor, sample.X, tmp_path)
    assert isinstance(loaded.jer_.nsc, NSC)
    pair_pt = np.full(len(sample.X), 100.0)
    assert_same(
        *(r.insitu_correction(sample.X, pair_pt=pair_pt) for r in (regressor, loaded))
    )
    assert_same(*(r.predict(sample.X, return_std=True) for r in (regressor, loaded)))


@pytest.mark.filterwarnings("ignore:.* jets have a pt below pt_floor")
def test_taggers_of_jets(tmp_path):
    jets, flavour = make_jets(200, np.random.default_rng(0))
    tagger = FlavourTaggerClassifier("transformer", **SMALL)
    tagger.fit(
        without_labels(jets),
        flavour,
        origin=pad(jets, "origin"),
        vertex=pad(jets, "vertex"),
    )
    jets = without_labels(jets)
    loaded = check(tagger, jets, tmp_path)
    assert_same(tagger.predict_vertices(jets), loaded.predict_vertices(jets))
    # A loaded one can be the start of a training, too.
    started = [
        JetPtRegressor("transformer", **SMALL).fit(
            jets, jets.constituents[jets.offsets[:-1], 0] + 1, warm_start_from=start
        )
        for start in (tagger, loaded)
    ]
    assert_same(*(regressor.predict(jets) for regressor in started))


def test_moments_of_jets(tagged_jets, quick_classifier, counting_classifier, tmp_path):
    for classifier in (quick_classifier, counting_classifier):
        check(classifier, tagged_jets[0][:50], tmp_path)


@pytest.mark.parametrize("shape", [*SHAPES, Fixed([[0, 0.1], [0.1, 0]])], ids=repr)
def test_shapes(shape, tmp_path):
    events = make_events(0, [4, 6])
    transformer = ShapinessTransformer(shape, n_nodes=8, n_init=1, max_iter=1)
    check(transformer.fit(events), events, tmp_path)


def test_observables(tmp_path):
    for name, n in [("n_subjettiness", 2), ("n_ellipsiness", 1)]:
        observable = make_observable(name, n, R=0.4)
        assert_same(observable, reload(observable, tmp_path))


def test_working_points_in_bins(tmp_path):
    X, y, _ = rows(400)
    for bins in ([0.0, 1.0, 9.0], (0.0, 1.0, np.inf), np.array([0.5, 1.0, 2.0])):
        calibrator = ScaleFactorCalibrator([0.7, 1.2], bins=bins).fit(X, y)
        loaded = check(calibrator, X, tmp_path)
        assert_same(
            *(c.predict(X, working_point=1, variation=-1) for c in (calibrator, loaded))
        )


@pytest.mark.parametrize(
    "random_state",
    [
        None,
        7,
        2**31,
        np.int64(3),
        np.random.RandomState(5),
        np.random.default_rng(5),
        np.random.Generator(np.random.PCG64DXSM(3)),
    ],
    ids=lambda state: type(state).__name__,
)
def test_random_states(random_state, tmp_path):
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        random_state.normal(size=3)  # leaves half a pair in the old generator
    estimator = OTCalibrator(random_state=random_state)
    loaded = reload(estimator, tmp_path)
    assert_same(estimator, loaded)
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        expected = random_state.normal(size=1000)
        assert_same(expected, loaded.random_state.normal(size=1000))


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        5e-324,
        np.nan,
        -np.inf,
        10**40,
        "π ≠ \ud800\n",
        True,
        np.True_,
        np.float32(0.1),
        np.str_("pt"),
        np.complex128(1 - 2j),
        (1, (2.5, None), []),
        {"a": 1, (1, 2): "x", None: [np.nan]},
        {},
        slice(1, None, 2),
        np.dtype("<U3"),
        np.dtype(np.float32),
        np.dtype(object),
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6, dtype=np.int8)[::2],
        np.empty((0, 3)),
        np.array(2.5),
        np.array(["b", "ujets"])[:1],
        np.array(["pt", None, 1.5], dtype=object),
        np.array([True, False]),
        np.log,
        pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]}, index=[3, 1]),
        pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_values(value, tmp_path):
    loaded = reload(SimplexTransformer(columns=value), tmp_path)
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = np.array(value, order="K")
    assert_same(value, loaded.columns)


def test_arrays_of_other_byte_order_become_native(tmp_path):
    value = np.arange(3, dtype=">f8")
    loaded = reload(SimplexTransformer(columns=value), tmp_path).columns
    assert loaded.dtype.isnative
    np.testing.assert_array_equal(loaded, value)


def test_an_array_that_is_held_twice_is_one(tmp_path):
    value = np.arange(1000.0)
    export.save(SimplexTransformer(columns=[value, value]), tmp_path / "file")
    assert (tmp_path / "file").stat().st_size < 1.2 * value.nbytes
    first, second = export.load(tmp_path / "file").columns
    assert first is second and first.flags.writeable


def test_requests_of_metadata(tmp_path):
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = OTCalibrator("bures").set_fit_request(sample_weight="weight")
        loaded = reload(estimator, tmp_path)
        routing = loaded.get_metadata_routing()
        assert routing.fit.requests == {"sample_weight": "weight"}
        X, y, _ = rows()
        pipelines = [make_pipeline(part) for part in (estimator, loaded)]
        weight = np.linspace(1, 2, len(y))
        assert_same(*(p.fit(X, y, weight=weight).transform(X) for p in pipelines))


def test_parameters_that_an_older_version_did_not_have(tmp_path):
    estimator = SimplexTransformer(kind="alr")
    del estimator.eps
    export.save(estimator, tmp_path / "file")
    assert repr(export.load(tmp_path / "file")) == "SimplexTransformer(kind='alr')"


def test_another_process_gives_the_same(tmp_path):
    X, y, _ = rows()
    calibrator = OTCalibrator("quantile").fit(X, y)
    export.save(calibrator, tmp_path / "file")
    np.save(tmp_path / "X", X)
    code = """
import sys, numpy as np
from pathlib import Path
from sklearn_hepcal import export
folder = Path(sys.argv[1])
calibrator = export.load(folder / "file")
assert not {"torch", "skorch", "ot"} & set(sys.modules)
np.save(folder / "moved", calibrator.transform(np.load(folder / "X.npy")))
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    subprocess.run(command, check=True)
    assert_same(calibrator.transform(X), np.load(tmp_path / "moved.npy"))


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    export.save(SimplexTransformer(), "~/file")
    assert isinstance(export.load("~/file"), SimplexTransformer)
