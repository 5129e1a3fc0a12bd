import subprocess
import sys

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_hepcal.jets import Jets, check_jets, validate_jets


class SumClassifier(ClassifierMixin, BaseEstimator):
    """Logistic regression on the sums of the constituents of a jet."""

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y, sample_weight=None):
        validate_data(self, y=y)
        jets = validate_jets(self, X, reset=True, require="constituents")
        self.model_ = LogisticRegression(C=self.C).fit(
            self._sums(jets), y, sample_weight
        )
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        jets = validate_jets(self, X, reset=False, require="constituents")
        return self.model_.predict_proba(self._sums(jets))

    def predict(self, X):
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _sums(self, jets):
        return np.add.reduceat(jets.constituents, jets.offsets[:-1])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class FeatureRegressor(RegressorMixin, BaseEstimator):
    """Least squares on the features of a jet."""

    def __init__(self, require="features"):
        self.require = require

    def fit(self, X, y):
        y = validate_data(self, y=y, y_numeric=True)
        jets = validate_jets(self, X, reset=True, require=self.require)
        self.model_ = LinearRegression().fit(jets.features, y)
        return self

    def predict(self, X):
        check_is_fitted(self)
        jets = validate_jets(self, X, reset=False, require=self.require)
        return self.model_.predict(jets.features)


@parametrize_with_checks(
    [SumClassifier(), FeatureRegressor(), FeatureRegressor("either")]
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def sample():
    """Jets whose class is the sign of the sum of eta, with an index as a feature."""
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 8, 120)
    table = rng.normal(size=(counts.sum(), 3))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    y = (np.add.reduceat(table[:, 1], offsets[:-1]) > 0).astype(int)
    index = np.arange(120)
    jets = Jets(index[:, np.newaxis], table, offsets, labels={"y": y, "index": index})
    return jets, y


def test_train_test_split(sample):
    jets, y = sample
    train, test, y_train, y_test = train_test_split(jets, y, stratify=y, random_state=0)
    assert isinstance(train, Jets)
    assert (len(train), len(test)) == (90, 30)
    assert_array_equal(train.labels["y"], y_train)
    assert_array_equal(test.labels["y"], y_test)
    assert jets[train.labels["index"]] == train
    everything = Jets.concatenate([train, test])
    assert everything[np.argsort(everything.feature("x0"))] == jets


@pytest.mark.parametrize(
    "splitter",
    [
        StratifiedKFold(4),
        RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0),
        ShuffleSplit(3, random_state=0),
        GroupKFold(4),
    ],
    ids=lambda splitter: type(splitter).__name__,
)
def test_cross_validation(sample, splitter):
    jets, y = sample
    grouped = isinstance(splitter, GroupKFold)
    groups = np.arange(len(jets)) // 10 if grouped else None
    by_jets = cross_val_score(SumClassifier(), jets, y, cv=splitter, groups=groups)
    sums = np.add.reduceat(jets.constituents, jets.offsets[:-1])
    by_array = cross_val_score(
        LogisticRegression(), sums, y, cv=splitter, groups=groups
    )
    assert_array_equal(by_jets, by_array)
    assert by_jets.mean() > 0.9


def test_cross_val_predict(sample):
    jets, y = sample
    sums = np.add.reduceat(jets.constituents, jets.offsets[:-1])
    for method in ("predict", "predict_proba"):
        assert_array_equal(
            cross_val_predict(SumClassifier(), jets, y, method=method),
            cross_val_predict(LogisticRegression(), sums, y, method=method),
        )


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grid_search_in_a_pipeline(sample, n_jobs):
    jets, y = sample
    pipeline = Pipeline([("classifier", SumClassifier())])
    grid = {"classifier__C": [1e-6, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=n_jobs, error_score="raise")
    search.fit(jets, y, classifier__sample_weight=np.ones(len(jets)))
    assert search.best_params_ == {"classifier__C": 1.0}
    assert search.predict(jets[:5]).shape == (5,)


@pytest.mark.parametrize(
    "ensemble",
    [
        StackingClassifier([("a", SumClassifier()), ("b", SumClassifier(0.1))], cv=3),
        VotingClassifier([("a", SumClassifier()), ("b", SumClassifier(0.1))]),
        CalibratedClassifierCV(SumClassifier(), cv=3),
        CalibratedClassifierCV(SumClassifier(), cv=3, ensemble=False),
        OneVsRestClassifier(SumClassifier()),
    ],
    ids=lambda ensemble: type(ensemble).__name__,
)
def test_ensembles(sample, ensemble):
    jets, y = sample
    train, test, y_train, y_test = train_test_split(jets, y, random_state=0)
    assert ensemble.fit(train, y_train).score(test, y_test) > 0.8


def test_cross_validate_and_learning_curve(sample):
    jets, y = sample
    weights = {"sample_weight": np.ones(len(jets))}
    result = cross_validate(SumClassifier(), jets, y, cv=3, params=weights)
    assert result["test_score"].mean() > 0.9
    sizes, _, scores = learning_curve(
        SumClassifier(), jets, y, cv=3, shuffle=True, random_state=0
    )
    assert scores.shape == (len(sizes), 3)


def accepted_inputs(jets):
    bare = Jets(None, jets.constituents, jets.offsets)
    return {
        "jets": bare,
        "padded": bare.to_padded()[0],
        "padded with NaN": bare.to_padded(fill_value=np.nan)[0],
        "padded lists": bare.to_list(),
        "tuple": tuple(bare.to_list()),
        "nested lists": [table.tolist() for table in bare.to_list()],
        "awkward records": bare.to_awkward(),
        "awkward numbers": ak.Array(bare.to_list()),
    }


def test_every_input_gives_the_same_jets(jets):
    inputs = accepted_inputs(jets)
    for name, X in inputs.items():
        assert check_jets(X, min_constituents=0) == inputs["jets"], name
        assert (
            check_jets(X, min_constituents=0, require="constituents") == inputs["jets"]
        ), name


@pytest.mark.parametrize("empty", [[], (), np.empty(0), np.empty((0, 3))])
def test_the_first_jet_may_be_empty(empty):
    X = [empty, np.ones((2, 3))]
    assert check_jets(X, min_constituents=0).counts.tolist() == [0, 2]


def test_labels_are_kept(jets):
    assert check_jets(jets, min_constituents=0) == jets


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype(jets, dtype):
    for X in accepted_inputs(jets).values():
        assert (
            check_jets(X, min_constituents=0, dtype=dtype).constituents.dtype == dtype
        )
    assert check_jets(jets, min_constituents=0, dtype=dtype).features.dtype == dtype


@pytest.mark.parametrize(
    "X",
    [
        [[1, 2], [3, 4]],
        ((1, 2), (3, 4)),
        [np.array([1, 2]), np.array([3, 4])],
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], dtype=object),
        pd.DataFrame([[1, 2], [3, 4]]),
    ],
)
def test_tables_are_features_or_single_constituents(X):
    jets = check_jets(X)
    assert jets.constituents.shape == (0, 0)
    assert jets.feature_names == ("x0", "x1")
    assert_array_equal(jets.features, [[1.0, 2.0], [3.0, 4.0]])

    jets = check_jets(X, require="constituents")
    assert jets.features.shape == (2, 0)
    assert jets.counts.tolist() == [1, 1]
    assert_array_equal(jets.constituents, [[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]])


def test_single_constituents_of_zero_pt_are_no_padding():
    X = np.zeros((2, 4))
    assert check_jets(X, require="constituents").counts.tolist() == [1, 1]


def test_data_frame_names():
    frame = pd.DataFrame(np.ones((2, 4)), columns=["pt", "y", "phi", "charge"])
    assert check_jets(frame).feature_names == ("pt", "y", "phi", "charge")
    jets = check_jets(frame, require="constituents")
    assert jets.constituent_names == ("pt", "y", "phi", "charge")
    short = check_jets(frame[["pt", "y"]], require="constituents")
    assert short.constituent_names == ("pt", "eta", "phi")


EMPTY = Jets.from_list([[], [[1.0, 0.0, 0.0]], []])
NAN = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.nan]])


@pytest.mark.parametrize(
    ("X", "kwargs", "error", "message"),
    [
        (NAN, {}, ValueError, "NaN in feature 'x1' for 2 jets"),
        (pd.DataFrame(NAN, columns=["pt", "m"]), {}, ValueError, "NaN in feature 'm'"),
        (np.array([[np.inf]]), {}, ValueError, "infinity in feature 'x0' for 1 jets"),
        (
            [NAN, NAN[:1]],
            {},
            ValueError,
            "NaN in constituent column 'eta' for 3 constituents of 2 jets",
        ),
        (EMPTY, {"estimator_name": "Tagger"}, ValueError, "2 of 3 jets .* by Tagger"),
        (EMPTY[1:2], {"min_constituents": 2}, ValueError, "fewer than 2 constituent"),
        (EMPTY, {"require": "features"}, ValueError, "with features are required"),
        (
            Jets([[1.0]]),
            {"require": "constituents"},
            ValueError,
            r"with constituents are required.*features=\['x0'\]",
        ),
        (
            Jets(np.ones((1, 0))),
            {},
            ValueError,
            "features or constituents are required",
        ),
        (EMPTY[:0], {}, ValueError, r"0 sample\(s\).*minimum of 1"),
        (EMPTY, {"min_samples": 4}, ValueError, r"3 sample\(s\).*minimum of 4"),
        (np.ones((0, 2)), {}, ValueError, r"0 sample\(s\) \(shape=\(0, 2\)\)"),
        ([], {}, ValueError, "Reshape your data"),
        (np.ones((3, 0)), {}, ValueError, r"0 feature\(s\) \(shape=\(3, 0\)\) while"),
        (np.ones(3), {}, ValueError, "Reshape your data"),
        (3.0, {}, ValueError, "Reshape your data"),
        (np.ma.masked_equal([[1, 2]], 2), {}, ValueError, "NaN in feature 'x1'"),
        (np.ones((2, 2, 2, 2)), {}, ValueError, "array with dim 4"),
        (csr_array(np.eye(3)), {}, TypeError, "Sparse data was passed"),
        (np.ones((2, 2)) * 1j, {}, ValueError, "Complex data not supported"),
        (np.ones((2, 2, 3)) * 1j, {}, ValueError, "Complex data not supported"),
        ([["a", "b"]], {}, ValueError, "could not convert string"),
        (
            np.array([np.ones((1, 3)), np.ones((2, 3))], dtype=object),
            {},
            ValueError,
            "1-D array of objects.*give a list",
        ),
        (np.ones((2, 2)), {"require": "both"}, ValueError, "require must be"),
    ],
)
def test_bad_inputs(X, kwargs, error, message):
    with pytest.raises(error, match=message):
        check_jets(X, **kwargs)


def test_only_what_is_required_is_checked():
    nan = Jets([[np.nan]], [[np.nan, 0, 0]], [0, 1])
    features = nan.replace(features=[[1.0]])
    constituents = nan.replace(constituents=[[1.0, 0, 0]])
    check_jets(features, require="features")
    check_jets(constituents, require="constituents")
    for jets in (features, constituents):
        with pytest.raises(ValueError, match="NaN"):
            check_jets(jets, require="either")
    check_jets(nan, ensure_all_finite=False)


def test_only_what_is_required_is_converted(jets):
    single = jets.replace(constituents=jets.constituents.astype(np.float32))
    checked = check_jets(single, require="features")
    assert np.shares_memory(checked.constituents, single.constituents)


def test_number_of_columns_is_checked(sample):
    jets, y = sample
    model = SumClassifier().fit(jets, y)
    assert model.n_features_in_ == 3
    for wrong in (
        [np.ones((2, 4))],
        np.ones((1, 2, 4)),
        np.ones((2, 4)),
        Jets.from_list([np.ones((2, 4))]),
        ak.Array([np.ones((2, 4))]),
    ):
        with pytest.raises(
            ValueError,
            match="X has 4 features, but SumClassifier is expecting 3 features",
        ):
            model.predict(wrong)
    for right in (jets.to_padded()[0], jets.to_list(), jets.select(features=[])):
        assert_array_equal(model.predict(right), model.predict(jets))
    assert not hasattr(model, "feature_names_in_")


def test_chosen_names_are_checked(sample):
    jets, y = sample
    named = jets.replace(constituent_names=["pt", "y", "phi"])
    model = SumClassifier().fit(named, y)
    assert model.feature_names_in_.tolist() == ["pt", "y", "phi"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(named.select(constituents=["pt", "phi", "y"]))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(jets)
    frame = pd.DataFrame(np.ones((2, 3)), columns=["pt", "y", "phi"])
    assert model.predict(frame).shape == (2,)


def test_constituents_are_checked_beside_features(sample):
    jets, y = sample
    model = FeatureRegressor("either").fit(jets, y)
    assert model.n_features_in_ == 1
    assert model.constituent_names_in_ == ("pt", "eta", "phi")
    with pytest.raises(ValueError, match=r"columns \['pt'\], but FeatureRegressor was"):
        model.predict(jets.select(constituents=["pt"]))
    with pytest.raises(ValueError, match=r"columns \[\], but FeatureRegressor was"):
        model.predict(jets.features)


def test_import_is_light():
    heavy = "{'torch', 'matplotlib', 'awkward', 'ot', 'pandas'}"
    code = (
        "import sys, sklearn; before = set(sys.modules); import sklearn_hepcal.jets;"
        f"sys.exit(' '.join({heavy} & (set(sys.modules) - before)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
