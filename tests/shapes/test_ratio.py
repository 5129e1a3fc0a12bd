import pickle

import numpy as np
import pytest
from jet_changes import permute, radiate, split, turn
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.shapes import (
    ShapinessRatioTransformer,
    ShapinessTransformer,
    make_observable,
)

EMPTY = np.empty((0, 3))
PRONGS = np.array([[50.0, 0, 0], [30.0, 0.2, 0], [20.0, 0, -0.3], [1.0, 0.1, 0.1]])
TAU_21 = {"numerator": 2, "denominator": 1}


@pytest.fixture(scope="module")
def jets():
    jets, is_quark = load_quark_gluon_jets(n_jets=40, return_X_y=True)
    jets = jets.select(constituents=["pt", "y", "phi"]).replace(labels={})
    return jets.replace(constituent_labels={}), is_quark


def distances(X, transformer, n_shapes):
    return clone(transformer).set_params(n_shapes=n_shapes).fit_transform(X)[:, 0]


@pytest.mark.parametrize(
    "transformer",
    [
        ShapinessTransformer("point"),
        ShapinessTransformer("point", beta=2.0, R=0.4),
        make_observable("n_jettiness", R=0.1),
        ShapinessTransformer("ring", n_nodes=32, n_init=2, certificate=True),
    ],
    ids=["N-subjettiness", "beta of two", "N-jettiness", "rings"],
)
def test_it_is_the_ratio_of_the_distances(jets, transformer):
    X = jets[0][:4]
    for above, below in [(2, 1), (3, 2)]:
        ratio = ShapinessRatioTransformer(
            transformer, numerator=above, denominator=below
        ).fit_transform(X)
        assert ratio.shape == (len(X), 1)
        quotient = distances(X, transformer, above) / distances(X, transformer, below)
        np.testing.assert_array_equal(ratio[:, 0], quotient)


def test_default_is_tau_32_of_n_subjettiness(jets):
    X, _ = jets
    tau_32 = ShapinessRatioTransformer().fit_transform(X)
    tau = make_observable("n_subjettiness")
    np.testing.assert_array_equal(
        tau_32[:, 0], distances(X, tau, 3) / distances(X, tau, 2)
    )
    assert ((tau_32 > 0) & (tau_32 < 1)).all()


@pytest.mark.parametrize("seed", range(5))
def test_three_prongs_have_a_small_tau_32(seed):
    rng = np.random.default_rng(seed)
    prongs = np.repeat(PRONGS[:3], 10, axis=0)
    prongs[:, 0] /= 10
    narrow, wide = (
        ShapinessRatioTransformer().fit_transform(
            [prongs + np.column_stack([np.zeros(30), rng.normal(0, width, (30, 2))])]
        )
        for width in (0.01, 0.5)
    )
    assert narrow < 0.25
    assert wide > 0.5


def test_ratio_where_it_is_known():
    # from the middle of all, and from the middles of two sides
    square = [[1.0, 0, 0], [1.0, 0, 0.1], [1.0, 0.1, 0], [1.0, 0.1, 0.1]]
    tau_21 = ShapinessRatioTransformer(ShapinessTransformer("point", beta=2), **TAU_21)
    np.testing.assert_allclose(tau_21.fit_transform([square]), 0.5, 1e-9)


def test_it_is_not_defined_without_a_denominator(jets):
    events = [EMPTY, PRONGS[:1], PRONGS[:2], PRONGS[:3], PRONGS]
    ratio = ShapinessRatioTransformer().fit_transform(events)[:, 0]
    np.testing.assert_array_equal(np.isnan(ratio), [True, True, True, False, False])
    assert ratio[3] == 0
    upside_down = ShapinessRatioTransformer(numerator=1, denominator=2)
    ratio = upside_down.fit_transform(events)[:, 0]
    np.testing.assert_array_equal(np.isnan(ratio), [True, True, True, False, False])
    assert (ratio[3:] > 1).all()


def test_safe_changes_do_not_matter(jets):
    X = jets[0][:10]
    tau_32 = ShapinessRatioTransformer().fit(X)
    ratio = tau_32.transform(X)
    np.testing.assert_allclose(tau_32.transform(permute(X)), ratio, 1e-12)
    np.testing.assert_allclose(tau_32.transform(split(X)), ratio, 1e-8)
    np.testing.assert_allclose(tau_32.transform(turn(X, 1.0)), ratio, 1e-6)
    np.testing.assert_allclose(tau_32.transform(radiate(X, 1e-9)), ratio, 1e-6)


def test_the_unit_of_distance_drops_out(jets):
    X = jets[0][:5]
    one, other = (
        ShapinessRatioTransformer(ShapinessTransformer("point", R=R)).fit_transform(X)
        for R in (0.4, 0.8)
    )
    np.testing.assert_allclose(one, other, 1e-9)


def test_tables_keep_the_name(jets):
    X = jets[0][:3]
    tau_21 = ShapinessRatioTransformer(**TAU_21)
    assert list(tau_21.get_feature_names_out()) == ["emd_2_over_1"]
    values = tau_21.fit_transform(X)
    table = clone(tau_21).set_output(transform="pandas").fit_transform(X)
    assert list(table.columns) == ["emd_2_over_1"]
    np.testing.assert_array_equal(table, values)
    # those of the distances may be tables, too
    inner = ShapinessTransformer("point").set_output(transform="pandas")
    assert isinstance(
        ShapinessRatioTransformer(inner, **TAU_21).fit_transform(X), np.ndarray
    )
    with config_context(transform_output="pandas"):
        union = make_union(tau_21, ShapinessRatioTransformer()).fit(X)
        np.testing.assert_array_equal(union.transform(X).iloc[:, [0]], values)
    names = [name.rpartition("__")[2] for name in union.get_feature_names_out()]
    assert names == ["emd_2_over_1", "emd_3_over_2"]


def test_search_over_its_parameters_and_those_within(jets):
    X, y = jets
    X, y = X[:12], y[:12]
    pipeline = make_pipeline(
        ShapinessRatioTransformer(ShapinessTransformer("point"), **TAU_21),
        HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2),
    )
    grid = {
        "shapinessratiotransformer__numerator": [2, 3],
        "shapinessratiotransformer__transformer__beta": [1.0, 2.0],
        "shapinessratiotransformer__transformer__R": [0.4],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    ratio = search.best_estimator_[0]
    assert ratio.numerator_.R == ratio.denominator_.R == 0.4
    assert ratio.numerator_.n_shapes == ratio.numerator


def test_trees_take_events_without_a_ratio(jets):
    X, y = jets
    events = [*X[:20].to_list(), *[EMPTY, PRONGS[:2]] * 10]
    labels = [*y[:20], *[2] * 20]
    model = make_pipeline(
        ShapinessRatioTransformer(), HistGradientBoostingClassifier(min_samples_leaf=2)
    ).fit(events, labels)
    assert (model.predict([EMPTY, PRONGS[:1]]) == 2).all()


def test_the_transformer_that_is_given_stays_as_it_is(jets):
    X, _ = jets
    inner = ShapinessTransformer("point", 7)
    ratio = ShapinessRatioTransformer(inner).fit(X[:2])
    assert inner.n_shapes == 7
    assert not hasattr(inner, "n_features_in_")
    assert (ratio.numerator_.n_shapes, ratio.denominator_.n_shapes) == (3, 2)
    loaded = pickle.loads(pickle.dumps(ratio))
    np.testing.assert_array_equal(loaded.transform(X[:2]), ratio.transform(X[:2]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"transformer": HistGradientBoostingClassifier()}, "'transformer' parameter"),
        ({"transformer": "point"}, "'transformer' parameter"),
        ({"numerator": 0}, "'numerator' parameter"),
        ({"denominator": 1.5}, "'denominator' parameter"),
        ({"transformer": ShapinessTransformer("square")}, "'shape' parameter"),
    ],
)
def test_errors_name_the_parameter(parameters, message):
    with pytest.raises(ValueError, match=message):
        ShapinessRatioTransformer(**parameters).fit([PRONGS])


def test_errors_of_the_events():
    ratio = ShapinessRatioTransformer()
    with pytest.raises(NotFittedError):
        ratio.transform([PRONGS])
    with pytest.raises(ValueError, match="Negative values"):
        ratio.fit([PRONGS * [-1, 1, 1]])
    ratio.fit([PRONGS])
    with pytest.raises(ValueError, match="4 features, but ShapinessRatioTransformer"):
        ratio.transform([np.ones((2, 4))])
