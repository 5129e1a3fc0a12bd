import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_hepcal.jets import Jets
from sklearn_hepcal.metrics import (
    asymmetry_score,
    best_resolution,
    closure_score,
    closure_table,
    jer_score,
)

SCORERS = [jer_score, closure_score, asymmetry_score]
each_scorer = pytest.mark.parametrize("scorer", SCORERS, ids=repr)
each_seed = pytest.mark.parametrize("seed", range(3))
WIDTH = 0.1
non_finite = pytest.mark.filterwarnings(
    "ignore:One or more of the test scores are non-finite",
    "ignore:invalid value encountered in subtract",
)


class Power(RegressorMixin, BaseEstimator):
    """Takes a column for the momentum, shrinks it, and ignores what it is fitted to."""

    def __init__(self, column=0, slope=1.0, scale=1.0):
        self.column = column
        self.slope = slope
        self.scale = scale

    def fit(self, X, y, sample_weight=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        if isinstance(X, Jets):
            pt = X.features[:, self.column]
        elif isinstance(X, pd.DataFrame):
            pt = X.iloc[:, self.column].to_numpy()
        else:
            pt = np.asarray(X)[:, self.column]
        return self.scale * 300 * (pt / 300) ** self.slope


class InSitu(Power):
    """Corrects by a factor of two what was not asked to be as in simulation."""

    def predict(self, X, insitu=True):
        return super().predict(X) * (2.0 if insitu else 1.0)


class Returns(Power):
    def predict(self, X):
        return np.resize(np.array(self.column), len(X))


# Pairs of jets with an imbalance of 12 %; columns are measured twice as badly each.
def dijets(seed, n_events=2000):
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.uniform(np.log(80), np.log(2000), n_events))
    true = np.repeat(mean, 2) * np.exp(0.12 * rng.normal(size=2 * n_events))
    noise = WIDTH * rng.normal(size=(2 * n_events, 2)) * [1, 2]
    X = true[:, None] * np.exp(noise - WIDTH**2 / 2 * np.array([1, 4]))
    order = rng.permutation(2 * n_events)
    return X[order], true[order], np.repeat(np.arange(n_events), 2)[order]


def score(scorer, estimator, X, y, event_id, **options):
    if scorer is asymmetry_score:
        options["event_id"] = event_id
    return scorer(estimator, X, y, **options)


@each_seed
def test_honest_calibration(seed):
    rows = dijets(seed, 10_000)
    n_rows = 20_000 / 9
    jer = score(jer_score, Power(), *rows)
    assert jer == pytest.approx(-np.sinh(WIDTH), rel=4 * 0.9 / np.sqrt(20_000))
    closure = score(closure_score, Power(), *rows)
    assert -4.5 * WIDTH / np.sqrt(n_rows / 2) < closure < 0
    asymmetry = score(asymmetry_score, Power(), *rows)
    assert asymmetry == pytest.approx(np.hypot(0.12, WIDTH) / 0.12, rel=0.04)


@each_seed
def test_wider_is_worse(seed):
    rows = dijets(seed)
    narrow, wide = (score(jer_score, Power(column), *rows) for column in (0, 1))
    assert wide / narrow == pytest.approx(2, rel=0.1)


@each_seed
@pytest.mark.parametrize("slope", [0.3, 0.7, 0.9])
def test_shrinkage_gains_nothing(seed, slope):
    rows = dijets(seed)
    honest, shrunk = Power(), Power(slope=slope)
    assert score(jer_score, shrunk, *rows) == pytest.approx(
        score(jer_score, honest, *rows), rel=0.01
    )
    assert score(closure_score, shrunk, *rows) < -(1 - slope)
    ratio = score(asymmetry_score, shrunk, *rows) / score(
        asymmetry_score, honest, *rows
    )
    assert ratio == pytest.approx(slope)


def test_scale_is_the_matter_of_the_closure_alone():
    rows = dijets(0)
    for scorer in (jer_score, asymmetry_score):
        assert score(scorer, Power(scale=2.0), *rows) == pytest.approx(
            score(scorer, Power(), *rows)
        )
    assert score(closure_score, Power(scale=2.0), *rows) == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize("constant", [1.0, 300.0, 1e5])
def test_constant_wins_nothing(constant):
    X, y, event_id = dijets(0)
    dummy = DummyRegressor(strategy="constant", constant=constant).fit(X, y)
    assert score(jer_score, dummy, X, y, event_id) == -np.inf
    assert score(closure_score, dummy, X, y, event_id) < -0.9
    assert score(asymmetry_score, dummy, X, y, event_id) == 0


@each_scorer
@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
def test_momenta_that_are_none(scorer, bad):
    X, y, event_id = dijets(0)
    X[7, 0] = bad
    assert score(scorer, Power(), X, y, event_id) == -np.inf


def test_bins_are_those_of_a_closure_table():
    X, y, event_id = dijets(0)
    edges = np.geomspace(*np.quantile(y, [0.01, 0.99], method="hazen"), 10)
    table = closure_table(y, X[:, 0], bins=edges, n_bootstrap=2)
    assert score(jer_score, Power(), X, y, event_id) == pytest.approx(-table.jer.mean())
    assert score(closure_score, Power(), X, y, event_id) == pytest.approx(
        -np.abs(table["mean"] - 1).max()
    )


def test_bins_of_few_rows_are_merged():
    X, y, event_id = dijets(0, 60)
    assert -0.2 < score(jer_score, Power(), X, y, event_id) < -0.05
    # a particle gun has no slope around one energy
    y = np.repeat([50.0, 100.0, 200.0, 1000.0], 100)
    X = (y * np.exp(WIDTH * np.random.default_rng(0).normal(size=400)))[:, None]
    assert -0.12 < jer_score(Power(), X, y) < -0.08


@each_scorer
def test_unlabelled_rows_are_ignored(scorer):
    X, y, event_id = dijets(0, 500)
    rng = np.random.default_rng(0)
    unlabelled = np.isin(event_id, rng.permutation(500)[:200])
    kept = ~unlabelled
    expected = score(scorer, Power(), X[kept], y[kept], event_id[kept])
    X[unlabelled], y[unlabelled] = -5.0, np.nan
    assert score(scorer, Power(), X, y, event_id) == expected


@each_scorer
def test_weights_are_repetitions_and_zero_is_absence(scorer):
    X, y, event_id = dijets(0, 1500)
    weights = np.random.default_rng(0).integers(0, 4, 1500)[event_id]
    X[weights == 0] = -1.0
    rows = np.repeat(np.arange(3000), weights)
    # copies of an event are events of their own
    first = np.concatenate([[0], np.cumsum(weights)[:-1]])
    copy = np.arange(len(rows)) - np.repeat(first, weights)
    repeated = score(scorer, Power(), X[rows], y[rows], 10 * event_id[rows] + copy)
    weighted = score(scorer, Power(), X, y, event_id, sample_weight=weights)
    assert weighted == pytest.approx(repeated, rel=1e-9)


@each_scorer
def test_containers_of_rows(scorer):
    X, y, event_id = dijets(0, 500)
    y[event_id < 100] = np.nan
    expected = score(scorer, Power(), X, y, event_id)
    frame = pd.DataFrame(X, columns=["a", "b"], index=np.arange(1000)[::-1])
    jets = Jets.from_padded(X[:, :, None].repeat(3, axis=2), features=X)
    for container in (frame, jets):
        assert score(scorer, Power(), container, y, event_id) == expected
        series = pd.Series(y), pd.Series(event_id)
        assert score(scorer, Power(), container, *series) == expected


@each_scorer
def test_simulation_is_predicted_as_simulation(scorer):
    X, y, event_id = dijets(0, 500)
    y[event_id < 100] = np.nan
    expected = score(scorer, Power(column=1), X, y, event_id)
    swap = FunctionTransformer(lambda X: X[:, ::-1])
    estimators = [
        InSitu(column=1),
        Pipeline([("model", InSitu(column=1))]),
        Pipeline([("swap", swap), ("model", InSitu())]),
        Pipeline([("swap", swap), ("inner", Pipeline([("model", InSitu())]))]),
    ]
    if scorer is not asymmetry_score:
        labelled = ~np.isnan(y)
        search = GridSearchCV(InSitu(), {"column": [1]}, scoring=scorer)
        estimators.append(search.fit(X[labelled], y[labelled]))
    for estimator in estimators:
        assert score(scorer, estimator.fit(X, y), X, y, event_id) == expected


def test_pairs_need_two_labelled_jets():
    X, y, event_id = dijets(0, 500)
    expected = score(asymmetry_score, Power(), X, y, event_id)
    rng = np.random.default_rng(0)
    # alone, in a crowd, with an unlabelled partner
    more = np.concatenate([[-1] * 30, [900], [901] * 3, [902] * 2])
    other = np.exp(rng.uniform(4, 6, len(more)))
    target = np.append(other[:-1], np.nan)
    rows = (
        np.vstack([X, 3 * np.column_stack([other, other])]),
        np.append(y, target),
        np.append(event_id, more),
    )
    assert score(asymmetry_score, Power(), *rows) == expected


def test_order_and_names_of_events_do_not_matter():
    X, y, event_id = dijets(0, 500)
    expected = score(asymmetry_score, Power(), X, y, event_id)
    order = np.random.default_rng(1).permutation(1000)
    names = np.random.default_rng(2).permutation(500)
    shuffled = score(
        asymmetry_score, Power(), X[order], y[order], names[event_id][order]
    )
    assert shuffled == pytest.approx(expected, rel=1e-12)


def test_undoing_the_imbalance_is_betrayed():
    X, y, event_id = dijets(0)
    mean = np.exp(np.bincount(event_id, np.log(X[:, 0])) / 2)[event_id]
    cheat = np.column_stack([np.sqrt(X[:, 0] * mean)])
    assert score(asymmetry_score, Power(), cheat, y, event_id) < 0.8


@pytest.mark.parametrize("name", ["jer_score", "closure_score"])
def test_cross_validation(name):
    scorer = {"jer_score": jer_score, "closure_score": closure_score}[name]
    X, y, event_id = dijets(0)
    cv = GroupKFold(4)
    scores = cross_val_score(Power(), X, y, scoring=scorer, groups=event_id, cv=cv)
    expected = [
        scorer(Power(), X[rows], y[rows]) for _, rows in cv.split(X, y, event_id)
    ]
    np.testing.assert_array_equal(scores, expected)


@non_finite
@pytest.mark.parametrize("scorer", [jer_score, closure_score], ids=repr)
def test_dummy_never_wins_a_search(scorer):
    X, y, _ = dijets(0)
    models = [DummyRegressor(), DummyRegressor(strategy="median"), Power(1), Power()]
    search = GridSearchCV(
        Pipeline([("model", Power())]), {"model": models}, scoring=scorer
    ).fit(X, y)
    assert search.best_params_["model"].get_params() == Power().get_params()
    assert search.cv_results_["rank_test_score"][:2].min() >= 3


@non_finite
def test_search_with_routing_groups_and_constraints():
    X, y, event_id = dijets(0, 3000)
    y[event_id < 500] = np.nan
    weights = np.random.default_rng(0).uniform(0.5, 1.5, 3000)[event_id]
    models = {
        "constant": Returns(300.0),
        "negative": Returns([-1.0, 300.0]),
        "shrunk": Power(slope=0.5),
        "wide": Power(column=1),
        "honest": Power(),
        "off scale": Power(scale=1.1),
    }
    with config_context(enable_metadata_routing=True):
        scoring = {
            "jer": jer_score.set_score_request(sample_weight=True),
            "closure": closure_score.set_score_request(sample_weight=True),
            "asymmetry": asymmetry_score.set_score_request(
                event_id="groups", sample_weight=False
            ),
        }
        search = GridSearchCV(
            Pipeline([("model", Power().set_fit_request(sample_weight=False))]),
            {
                "model": [
                    m.set_fit_request(sample_weight=False) for m in models.values()
                ]
            },
            scoring=scoring,
            refit=best_resolution(closure_tol=0.05, asymmetry="asymmetry"),
            cv=GroupKFold(3),
        ).fit(X, y, groups=event_id, sample_weight=weights)
    names = list(models)
    results = search.cv_results_
    assert names[search.best_index_] == "honest"
    splits = list(GroupKFold(3).split(X, y, event_id))
    for k, (_, rows) in enumerate(splits):
        part = X[rows], y[rows]
        options = {"sample_weight": weights[rows]}
        expected = {
            "jer": jer_score(Power(), *part, **options),
            "closure": closure_score(Power(), *part, **options),
            "asymmetry": asymmetry_score(Power(), *part, event_id=event_id[rows]),
        }
        for name, value in expected.items():
            column = results[f"split{k}_test_{name}"]
            assert column[names.index("honest")] == value
            assert column[names.index("negative")] == -np.inf
    # the width alone would prefer the shrunk one
    assert results["mean_test_asymmetry"][names.index("shrunk")] < 0.8
    assert results["mean_test_jer"][names.index("constant")] == -np.inf


def test_routing_in_a_cross_validation():
    X, y, event_id = dijets(0)
    with config_context(enable_metadata_routing=True):
        scores = cross_validate(
            Power(),
            X,
            y,
            scoring=asymmetry_score.set_score_request(event_id=True),
            cv=GroupKFold(3).set_split_request(groups="event_id"),
            params={"event_id": event_id},
        )["test_score"]
        with pytest.raises(ValueError, match=r"event_id.*not explicitly set"):
            cross_val_score(
                Power(), X, y, scoring=asymmetry_score, params={"event_id": event_id}
            )
    expected = [
        asymmetry_score(Power(), X[rows], y[rows], event_id=event_id[rows])
        for _, rows in GroupKFold(3).split(X, y, event_id)
    ]
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
    reason="earlier scikit-learn passes weights to scorers by routing only",
)
@pytest.mark.parametrize("several", [False, True])
def test_weights_reach_the_scorers_without_routing(several):
    X, y, _ = dijets(0, 300)
    weights = np.where(np.arange(600) % 2, 1.0, 3.0)
    scoring = {"score": jer_score, "closure": closure_score} if several else jer_score
    search = GridSearchCV(Power(), {"column": [0]}, scoring=scoring, refit=False, cv=2)
    search.fit(X, y, sample_weight=weights)
    rows = slice(0, 300)
    expected = jer_score(Power(), X[rows], y[rows], sample_weight=weights[rows])
    assert search.cv_results_["split0_test_score"][0] == expected


@each_scorer
def test_requests_make_a_copy(scorer):
    with config_context(enable_metadata_routing=True):
        copy = scorer.set_score_request(sample_weight=True)
        again = copy.set_score_request(sample_weight="w")
        assert scorer.get_metadata_routing().score.requests["sample_weight"] is None
        assert copy.get_metadata_routing().score.requests["sample_weight"] is True
        assert again.get_metadata_routing().score.requests["sample_weight"] == "w"
        with pytest.raises(TypeError, match=rf"{scorer} takes .* not \['colour'\]"):
            scorer.set_score_request(colour=True)
    with pytest.raises(RuntimeError, match="Requests need metadata routing; enable it"):
        scorer.set_score_request(sample_weight=True)


def test_only_the_asymmetry_takes_events():
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(TypeError, match=r"jer_score takes .* not .*event_id"),
    ):
        jer_score.set_score_request(event_id=True)


@each_scorer
def test_scorers_survive_pickles_and_clones(scorer):
    rows = dijets(0, 200)
    search = clone(GridSearchCV(Power(), {}, scoring=scorer))
    copies = [pickle.loads(pickle.dumps(scorer)), search.scoring]
    with config_context(enable_metadata_routing=True):
        requesting = scorer.set_score_request(sample_weight=True)
        restored = pickle.loads(pickle.dumps(requesting))
        assert restored.get_metadata_routing().score.requests["sample_weight"] is True
    for copy in copies:
        options = {"event_id": rows[2]} if scorer is asymmetry_score else {}
        assert repr(copy) == repr(scorer)
        assert copy(Power(), *rows[:2], **options) == score(scorer, Power(), *rows)


@each_scorer
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.full(400, np.nan)}, "y must have labelled rows .* none of 400"),
        ({"y": np.full(400, -2.0)}, "y must be positive .* got -2"),
        ({"y": np.full(400, np.inf)}, "y must be a non-empty array of finite"),
        ({"sample_weight": np.ones(3)}, "sample_weight has 3 entries for 400 rows"),
        ({"sample_weight": -np.ones(400)}, "sample_weight must not be negative"),
    ],
)
def test_rows_that_cannot_be_scored(scorer, change, message):
    X, y, event_id = dijets(0, 200)
    rows = {"X": X, "y": y} | change
    with pytest.raises(ValueError, match=message):
        score(scorer, Power(), event_id=event_id, **rows)


@pytest.mark.parametrize("scorer", [jer_score, closure_score], ids=repr)
def test_too_few_rows_to_score(scorer):
    X, y, _ = dijets(0, 9)
    with pytest.raises(ValueError, match="y must have at least 20 labelled rows"):
        scorer(Power(), X, y)
    with pytest.raises(ValueError, match="The true values must differ"):
        scorer(Power(), np.ones((50, 1)), np.ones(50))
    y = np.append(np.ones(60), 2.0)
    with pytest.raises(ValueError, match="of different true momenta"):
        scorer(Power(), y[:, None], y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": None}, r"needs event_id.*set_score_request\(event_id=True\)"),
        ({"event_id": np.arange(3)}, r"one entry a row \(400\), got 3"),
        ({"event_id": np.full(400, 0.5)}, "event_id must hold whole numbers"),
        ({"event_id": ["a"] * 400}, "event_id must hold whole numbers"),
        ({"event_id": np.arange(400)}, "must pair .* at least 20 .* got 0; .*GroupK"),
        ({"event_id": np.full(400, -1)}, "event_id must pair the jets"),
        ({"y": np.ones(400)}, "y must differ between the two jets"),
    ],
)
def test_pairs_that_cannot_be_scored(change, message):
    X, y, event_id = dijets(0, 200)
    rows = {"X": X, "y": y, "event_id": event_id} | change
    with pytest.raises(ValueError, match=message):
        asymmetry_score(Power(), **rows)


def results(jer, closure, asymmetry=None):
    columns = {"jer": jer, "closure": closure, "asymmetry": asymmetry}
    scores = {
        f"mean_test_{name}": np.array(values, dtype=float)
        for name, values in columns.items()
        if values is not None
    }
    return {"params": [{"alpha": k} for k in range(len(jer))], **scores}


def test_best_resolution_among_those_that_close():
    jer, closure = [-0.03, -0.05, -0.06, -0.04], [-0.2, -0.002, -0.001, -0.01]
    refit = best_resolution()
    chosen = refit(results(jer, closure))
    assert chosen == 1
    assert type(chosen) is int
    assert best_resolution(closure_tol=0.011)(results(jer, closure)) == 3
    assert best_resolution(closure_tol=0.3)(results(jer, closure)) == 0


def test_best_resolution_leaves_cheats_and_failures_out():
    jer = [-np.inf, np.nan, -0.02, -0.05, -0.06]
    closure = [-0.001, -0.001, -0.001, -0.002, np.nan]
    asymmetry = [1.1, 1.1, 0.97, 0.99, 1.2]
    rows = results(jer, closure, asymmetry)
    assert best_resolution()(rows) == 2
    assert best_resolution(asymmetry="asymmetry")(rows) == 3
    assert best_resolution(asymmetry="asymmetry", asymmetry_tol=0.03)(rows) == 2


def test_best_resolution_takes_names():
    rows = results([-0.1, -0.2], [-0.001, -0.001])
    renamed = {key.replace("test_", "test_my_"): value for key, value in rows.items()}
    assert best_resolution(jer="my_jer", closure="my_closure")(renamed) == 0
    with pytest.raises(ValueError, match="must score 'jer', got no 'mean_test_jer'"):
        best_resolution()(renamed)
    with pytest.raises(ValueError, match="got no 'mean_test_asymmetry'"):
        best_resolution(asymmetry="asymmetry")(rows)


def test_best_resolution_tells_the_nearest_candidates():
    rows = results(
        [-0.05, -0.05, -0.06, -0.04, -0.01],
        [-0.05, -0.001, -0.02, -np.inf, np.nan],
        [1.1, 0.95, 1.1, 1.1, 1.1],
    )
    message = (
        r"No candidate has a finite 'jer' and 'closure' above -0.01 and 'asymmetry' of "
        r"at least 0.98. The nearest are: \{'alpha': 2\} with jer = -0.06, "
        r"closure = -0.02, asymmetry = 1.1; \{'alpha': 1\} .*; \{'alpha': 0\} with"
    )
    with pytest.raises(ValueError, match=message):
        best_resolution(asymmetry="asymmetry")(rows)


def test_best_resolution_survives_a_pickle():
    refit = best_resolution(closure_tol=0.3)
    assert pickle.loads(pickle.dumps(refit)) == refit
    assert clone(GridSearchCV(Power(), {}, refit=refit)).refit == refit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"closure_tol": 0}, "closure_tol must be positive, got 0"),
        ({"closure_tol": np.nan}, "closure_tol must be positive, got nan"),
        ({"asymmetry_tol": -0.1}, "asymmetry_tol must not be negative, got -0.1"),
    ],
)
def test_unusable_limits(options, message):
    with pytest.raises(ValueError, match=message):
        best_resolution(**options)
