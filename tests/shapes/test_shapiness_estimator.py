"""Inputs that are taken or refused, and the transformer among others."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from small_shapes import (
    QUICK,
    R,
    circle,
    event_at,
    make_events,
)

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.shapes import (
    Fixed,
    Point,
    Ring,
    ShapinessTransformer,
    Uniform,
    WithCentre,
)


@pytest.fixture(scope="module")
def jets():
    jets, _ = load_quark_gluon_jets(n_jets=6, return_X_y=True)
    jets = jets.replace(labels={}).select(constituents=["pt", "y", "phi"])
    return jets.replace(constituents=jets.constituents.astype(np.float64))


# Events


def test_containers_give_the_same(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    expected = transformer.fit_transform(jets)
    for X in (
        jets.to_list(),
        jets.to_padded()[0],
        jets.to_padded(fill_value=np.nan)[0],
        jets.to_awkward(),
    ):
        np.testing.assert_array_equal(transformer.fit_transform(X), expected)


def test_further_columns_do_not_count(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    more = [np.column_stack([event, event[:, 0]]) for event in jets.to_list()]
    np.testing.assert_array_equal(
        transformer.fit_transform(more), transformer.fit_transform(jets)
    )


@pytest.mark.parametrize("shape", [Ring(), 2 * Point(), Ring() + Uniform()], ids=str)
def test_events_without_energy(shape):
    (event,) = make_events(7, [5])
    events = [np.empty((0, 3)), event, np.zeros((2, 3)), event]
    transformer = ShapinessTransformer(shape, certificate=True, **QUICK)
    rows = transformer.fit_transform(events)
    assert np.isnan(rows[[0, 2]]).all()
    assert np.isfinite(rows[[1, 3]]).all()
    np.testing.assert_array_equal(rows[1], rows[3])
    shares = transformer.shares(events, rows)
    assert (shares[5:7] == 0).all()
    np.testing.assert_allclose(shares[[0, 7]].sum(axis=1), 1)
    closest = transformer.closest_shapes(events, rows)
    assert (closest.counts > 0).tolist() == [False, True, False, True]


def test_nothing_but_empty_events():
    transformer = ShapinessTransformer("ring").fit([[[1.0, 0, 0]]])
    empty = [np.empty((0, 3))] * 2
    assert np.isnan(transformer.transform(empty)).all()
    assert transformer.shares(empty).shape == (0, 1)
    assert len(transformer.closest_shapes(empty)) == 2


def test_particles_without_momentum(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    ghosts = [np.vstack([event, [[0, 9, 2]] * 3]) for event in jets.to_list()]
    np.testing.assert_allclose(
        transformer.fit_transform(ghosts), transformer.fit_transform(jets), rtol=1e-9
    )


def test_events_of_more_than_half_a_turn():
    event = [[1.0, 0.0, -1.6], [1.0, 0.0, 0.0], [1.0, 0.0, 1.6]]
    with pytest.warns(UserWarning, match="1 events span more than half a turn"):
        ShapinessTransformer("ring").fit_transform([event, event[:2]])


def test_azimuth_is_periodic():
    transformer = ShapinessTransformer("ring", R=R)
    places = circle(30, 0.2, (0.0, np.pi - 0.05))
    wrapped = places.copy()
    wrapped[:, 1] = np.mod(wrapped[:, 1] + np.pi, 2 * np.pi) - np.pi
    many = np.add(places, [0, 6 * np.pi])
    rows = transformer.fit_transform([event_at(p) for p in (places, wrapped, many)])
    np.testing.assert_allclose(rows[1:], rows[:1].repeat(2, axis=0), atol=1e-9)
    np.testing.assert_allclose(rows[0, 1:], [0, np.pi - 0.05, 0.2], atol=1e-3)


def test_rows_are_events_of_one_particle():
    X = np.array([[3.0, 0.1, 0.2], [1.0, -0.3, 3.0]])
    rows = ShapinessTransformer("ring").fit_transform(X)
    np.testing.assert_allclose(rows, [[0, 0.1, 0.2, 0], [0, -0.3, 3.0, 0]], atol=1e-15)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[[-1.0, 0, 0], [2.0, 0, 0]]], "Negative values in data"),
        ([[[1.0, np.nan, 0]]], "NaN in constituent column"),
        ([[[np.inf, 0, 0]]], "infinity in constituent column 'pt'"),
        ([np.ones((2, 2))], "first columns of the constituents must be"),
    ],
)
def test_refused_events(X, message):
    for method in ("fit", "fit_transform"):
        with pytest.raises(ValueError, match=message):
            getattr(ShapinessTransformer("ring"), method)(X)


def test_other_columns_than_in_fit():
    transformer = ShapinessTransformer("ring").fit([np.ones((2, 4))])
    with pytest.raises(ValueError, match="features"):
        transformer.transform([np.ones((2, 3))])


@pytest.mark.parametrize("method", ["shares", "closest_shapes"])
def test_rows_that_are_none_of_these_events(jets, method):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32).fit(jets)
    rows = transformer.transform(jets)
    function = getattr(transformer, method)
    for Z in (rows[:2], rows[:, :2], np.column_stack([rows, rows])):
        with pytest.raises(ValueError, match="Z must be what transform returns"):
            function(jets, Z)
    with pytest.raises(ValueError, match="Z"):
        function(jets, np.full_like(rows, np.nan))
    with pytest.raises(ValueError, match="Z contains infinity"):
        function(jets, np.full_like(rows, np.inf))


# The transformer among others


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shape", "square"),
        ("shape", Ring),
        ("shape", None),
        ("shape", [Ring()]),
        ("n_shapes", 0),
        ("n_shapes", 1.0),
        ("beta", 0.99),
        ("beta", np.nan),
        ("beta", np.inf),
        ("R", 0.0),
        ("R", np.inf),
        ("R", "0.4"),
        ("norm", "yes"),
        ("certificate", 1),
        ("n_nodes", 0),
        ("n_init", 0),
        ("max_iter", -1),
        ("tol", -1e-3),
        ("random_state", "zero"),
        ("n_jobs", 1.5),
        ("verbose", -1),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        ShapinessTransformer(**{name: value}).fit([[[1.0, 0, 0]]])
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        ShapinessTransformer(**{name: value}).transform([[[1.0, 0, 0]]])


def test_least_parameters(jets):
    transformer = ShapinessTransformer(
        2 * Ring(), n_nodes=1, n_init=1, max_iter=0, tol=0.0, R=R
    )
    rows = transformer.fit_transform(jets[:2])
    assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    "shape", ["ring", 2 * WithCentre(Ring()) + Uniform(), Fixed([[0, 0.1]])], ids=str
)
def test_copies(jets, shape):
    transformer = ShapinessTransformer(shape, **QUICK)
    expected = transformer.fit_transform(jets[:1])
    for other in (
        clone(transformer),
        pickle.loads(pickle.dumps(transformer)),
        pickle.loads(pickle.dumps(clone(transformer).fit(jets))),
    ):
        assert other.get_params() == transformer.get_params()
        np.testing.assert_array_equal(other.fit_transform(jets[:1]), expected)
    assert f"shape={shape!r}" in repr(transformer) or shape == "ring"
    assert "ShapinessTransformer" in transformer._repr_html_()


def test_fit_learns_nothing(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    arrays = jets.to_list()  # without names, which would have to be those of fit
    expected = transformer.transform(arrays)
    np.testing.assert_array_equal(transformer.fit(jets[:2]).transform(jets), expected)
    names = ShapinessTransformer("ring", 2).get_feature_names_out()
    assert ShapinessTransformer(2 * Ring()).get_feature_names_out().tolist() == (
        names.tolist()
    )


def test_data_frames(jets):
    transformer = ShapinessTransformer(Ring() + Point(), certificate=True, **QUICK)
    expected = transformer.fit_transform(jets[3:4])
    shares = transformer.shares(jets[3:4])
    transformer.set_output(transform="pandas")
    frame = transformer.fit_transform(jets[3:4])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == transformer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    # what comes out goes in again
    np.testing.assert_array_equal(transformer.shares(jets[3:4], frame), shares)
    np.testing.assert_array_equal(transformer.shares(jets[3:4]), shares)


def test_progress_bar_on_demand(jets, capsys):
    transformer = ShapinessTransformer("point", R=R)
    transformer.fit_transform(jets)
    assert capsys.readouterr().err == ""
    transformer.set_params(verbose=1).transform(jets)
    assert "6/6" in capsys.readouterr().err


def test_names_through_a_pipeline(jets):
    pipeline = make_pipeline(ShapinessTransformer("ring", R=R), StandardScaler())
    pipeline.fit(jets)
    names = ["emd", "ring0_y", "ring0_phi", "ring0_radius"]
    assert pipeline.get_feature_names_out().tolist() == names


def test_grid_search_over_shapes():
    jets, y = load_quark_gluon_jets(n_jets=40, return_X_y=True)
    trees = HistGradientBoostingClassifier(
        max_iter=5, min_samples_leaf=2, random_state=0
    )
    pipeline = Pipeline(
        [
            ("shape", ShapinessTransformer(R=R, n_nodes=16, n_init=1, max_iter=3)),
            ("trees", trees),
        ]
    )
    shapes = ["point", Ring(), 2 * Point()]
    search = GridSearchCV(
        pipeline, {"shape__shape": shapes}, cv=2, error_score="raise", refit=True
    )
    search.fit(jets, y)
    assert search.best_params_["shape__shape"] in shapes
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.predict(jets[:7]).shape == (7,)
    assert "Ring()" in str(search.cv_results_["params"])
