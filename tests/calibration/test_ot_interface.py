"""OTCalibrator in scikit-learn, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from small_maps import make

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.datasets import load_flavour_scores
from sklearn_hepcal.metrics import l2_uvp

# In scikit-learn


def test_data_frames_and_condition_names():
    X, y = load_flavour_scores(flavour="light", return_X_y=True, as_frame=True)
    X = X[["p_u", "p_c", "p_b", "pt"]].groupby(y.to_numpy()).head(500)
    y = y.loc[X.index]
    calibrator = OTCalibrator("bures", conditions=["pt"]).fit(X, y)
    assert calibrator.conditions_.tolist() == [3]
    moved = calibrator.set_output(transform="pandas").transform(X)
    assert isinstance(moved, pd.DataFrame)
    assert list(moved.columns) == list(X.columns)
    with pytest.raises(ValueError, match=r"no column 'pT' in .*'pt'"):
        OTCalibrator("bures", conditions=["pT"]).fit(X, y)


def test_grid_search_in_a_pipeline_of_probabilities():
    data = load_flavour_scores(flavour="light")
    rows = np.random.default_rng(0).permutation(len(data.data))[:4000]
    X, y = data.data[rows, :4], data.target[rows]
    pipeline = make_pipeline(
        SimplexTransformer([0, 1, 2]),
        OTCalibrator("bures", conditions=[2], selection=False, max_epochs=3),
        SimplexTransformer([0, 1, 2], inverse=True),
    )
    calibrated = pipeline.fit(X, y).transform(X)
    np.testing.assert_allclose(calibrated[:, :3].sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(calibrated[:, 3], X[:, 3])

    search = GridSearchCV(
        pipeline[:2],
        {
            "otcalibrator__solver": ["bures", "picnn"],
            "otcalibrator__learning_rate": [0.01, 0.05],
        },
        cv=StratifiedKFold(2),
        n_jobs=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0


def test_score_ranks_maps_as_the_distance_to_the_truth(transport_problem):
    X = transport_problem.sample_sim(5000, random_state=4)
    truth = transport_problem.true_map(X)[:, :2]
    rows = np.concatenate([X, transport_problem.sample_data(5000, random_state=5)])
    y = np.repeat([0, 1], 5000)
    calibrators = [
        make("bures", conditions=[2], shrinkage=1.0),
        make("bures", conditions=[2]),
        make("picnn", conditions=[2]).set_params(max_epochs=60),
    ]
    scores, distances = [], []
    for calibrator in calibrators:
        calibrator.fit(transport_problem.X, transport_problem.y)
        scores.append(calibrator.score(rows, y))
        distances.append(l2_uvp(calibrator.transform(X)[:, :2], truth))
    assert scores == sorted(scores)
    assert distances == sorted(distances, reverse=True)


def test_early_stopping_and_progress(transport_problem, capsys):
    calibrator = OTCalibrator(
        conditions=[2],
        max_epochs=50,
        early_stopping=True,
        n_iter_no_change=2,
        selection=True,
        verbose=1,
        random_state=0,
    )
    assert capsys.readouterr().err == ""
    few = np.random.default_rng(0).permutation(len(transport_problem.X))[:800]
    calibrator.fit(transport_problem.X[few], transport_problem.y[few])
    assert "epoch" in capsys.readouterr().err
    assert len(calibrator.dual_curve_) < 50


# Bad input


def bad(change):
    rng = np.random.default_rng(0)
    arrays = {
        "X": rng.normal(size=(400, 3)),
        "y": np.repeat([0, 1], 200),
        "w": np.ones(400),
    }
    change(arrays)
    return arrays["X"], arrays["y"], arrays["w"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(y=np.zeros(400)), "two domain labels"),
        (lambda a: a.update(y=np.repeat([0, 1, 2, 3], 100)), "two domain labels"),
        (lambda a: a["X"].__setitem__((3, 1), np.nan), "NaN"),
        (lambda a: a["X"].__setitem__((3, 1), np.inf), "infinity"),
        (lambda a: a["w"].__setitem__(300, -1.0), "negative for data"),
        (lambda a: a["w"].__setitem__(slice(200), -1.0), "positive sum"),
        (lambda a: a["X"].__setitem__((slice(200), 0), 2.0), "column 0 is constant"),
        (
            lambda a: a["X"].__setitem__((slice(200, None), 2), np.arange(10, 210)),
            "too few simulated events near the condition",
        ),
        (
            lambda a: (
                a["X"].__setitem__(
                    (slice(200), 2), np.where(np.arange(200) < 3, 5.0, a["X"][:200, 2])
                )
                or a["X"].__setitem__((slice(200, None), 2), 5 + a["X"][200:, 2])
            ),
            "too few simulated events near the condition",
        ),
    ],
)
def test_bad_samples(change, message):
    with pytest.raises(ValueError, match=message):
        OTCalibrator("bures", conditions=[2]).fit(*bad(change))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "ot"}, "'solver' parameter"),
        ({"selection": "yes"}, "'selection' parameter"),
        ({"n_knots": "7"}, "'n_knots' parameter"),
        ({"conditions": "pt"}, "'conditions' parameter"),
        ({"conditions": [1.5]}, "1.5 is neither a number nor a name"),
        ({"conditions": [7]}, "no column 7 among 3"),
        ({"conditions": ["pt"]}, "no column 'pt'"),
        ({"conditions": [1, -2]}, "twice"),
        ({"conditions": [0, 1, 2]}, "nothing is left to move"),
        ({"n_knots": 1}, "'n_knots' parameter"),
        ({"learning_rate": -1.0}, "'learning_rate' parameter"),
        ({"max_epochs": 0}, "'max_epochs' parameter"),
        ({"device": "abacus", "max_epochs": 1}, "device='abacus'"),
    ],
)
def test_bad_parameters(parameters, message):
    X, y, _ = bad(lambda a: None)
    with pytest.raises(ValueError, match=message):
        OTCalibrator(**{"selection": False, **parameters}).fit(X, y)


def test_score_needs_both_samples(transport_problem):
    X_sim = transport_problem.X_sim
    calibrator = make("bures", conditions=[2])
    calibrator.fit_samples(X_sim, transport_problem.X_data)
    with pytest.raises(ValueError, match="must hold the labels"):
        calibrator.score(X_sim, np.zeros(len(X_sim)))
