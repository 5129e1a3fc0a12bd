import pickle
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_hepcal.calibration import OTCalibrator, ScaleFactorCalibrator
from sklearn_hepcal.metrics import efficiency, efficiency_ratio

CUTS = np.array([1.0, -0.3, 0.4])
EDGES = np.array([20.0, 40.0, 60.0, 100.0])


# Scores and pT of jets; their event weights depend on the score.
def jets(n, shift, seed):
    rng = np.random.default_rng(seed)
    pt = rng.uniform(20, 100, n)
    X = np.column_stack([rng.normal(shift + pt / 200), pt])
    return X, rng.uniform(0.2, 1.8, n) * np.exp(0.3 * X[:, 0])


def in_bins(X):
    return [(X[:, 1] >= low) & (X[:, 1] < high) for low, high in pairwise(EDGES)]


@pytest.fixture
def samples():
    return jets(4000, 0.0, 0), jets(3000, 0.2, 1)


# Simulated jets, simulated jets of another flavour, and data that hold both.
def mixture(seed, n=3000):
    parts = [jets(n, 0.0, seed), jets(n, -1.0, seed + 100)]
    data = [jets(n, 0.2, seed + 200), jets(n, -1.0, seed + 300)]
    X = np.concatenate([part[0] for part in parts + data])
    weight = np.concatenate([part[1] for part in parts + data])
    return X, np.repeat([0, -1, 1, 1], n), weight


@pytest.mark.parametrize("weighted", [False, True])
def test_scale_factors_are_the_ratios_of_efficiencies(samples, weighted):
    (X_sim, w_sim), (X_data, w_data) = samples
    if not weighted:
        w_sim, w_data = np.ones(len(w_sim)), np.ones(len(w_data))
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES).fit_samples(
        X_sim, X_data, sample_weight_sim=w_sim, sample_weight_data=w_data
    )
    for k, (sim, data) in enumerate(zip(in_bins(X_sim), in_bins(X_data), strict=True)):
        scores = X_sim[sim, 0], X_data[data, 0]
        weights = w_sim[sim], w_data[data]
        expected = [
            (calibrator.efficiency_sim_, efficiency(scores[0], CUTS, weights[0])),
            (calibrator.efficiency_data_, efficiency(scores[1], CUTS, weights[1])),
            (
                calibrator.scale_factors_,
                efficiency_ratio(
                    *scores[::-1],
                    CUTS,
                    sample_weight_num=weights[1],
                    sample_weight_den=weights[0],
                ),
            ),
        ]
        for estimate, truth in expected:
            np.testing.assert_allclose(estimate.value[:, k], truth.value)
            np.testing.assert_allclose(estimate.error[:, k], truth.error)


def test_one_cut_and_no_bins(samples):
    (X_sim, _), (X_data, _) = samples
    calibrator = ScaleFactorCalibrator(0.4).fit_samples(X_sim[:, :1], X_data[:, :1])
    expected = efficiency_ratio(X_data[:, 0], X_sim[:, 0], [0.4])
    np.testing.assert_allclose(calibrator.scale_factors_.value, [expected.value])
    np.testing.assert_allclose(calibrator.scale_factors_.error, [expected.error])
    np.testing.assert_array_equal(calibrator.bin_edges_, [-np.inf, np.inf])


def test_subtraction_is_exact_for_its_own_background():
    # data are the flavour with a known efficiency, and the simulated background itself
    X, _, _ = mixture(0)
    sim, other, pure = X[:3000], X[3000:6000], X[6000:9000]
    # the part of the background in data is the simulated one, bin by bin
    weight = np.ones(3000)
    for in_sim, in_data in zip(in_bins(sim), in_bins(pure), strict=True):
        weight[in_data] = in_sim.sum() / in_data.sum()
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES).fit_samples(
        sim,
        np.concatenate([pure, other]),
        X_background=other,
        sample_weight_data=np.concatenate([weight, np.ones(3000)]),
    )
    for k, inside in enumerate(in_bins(pure)):
        np.testing.assert_allclose(
            calibrator.efficiency_data_.value[:, k],
            efficiency(pure[inside, 0], CUTS).value,
        )


def test_background_is_calibrated_first():
    X_sim, X_other, X_data, X_other_data = (
        jets(3000, shift, seed)[0] for seed, shift in enumerate([0.0, -1.0, 0.2, -0.7])
    )
    for_other = ScaleFactorCalibrator(CUTS).fit_samples(X_other, X_other_data)
    biased, exact = (
        ScaleFactorCalibrator(CUTS).fit_samples(
            X_sim,
            np.concatenate([X_data, X_other_data]),
            X_background=X_other,
            sample_weight_background=weight,
        )
        for weight in (None, for_other.predict(X_other))
    )
    truth = efficiency(X_data[:, 0], CUTS)
    np.testing.assert_allclose(exact.efficiency_data_.value[:, 0], truth.value)
    assert np.all(biased.efficiency_data_.value[:, 0] > truth.value + 2 * truth.error)


def test_the_unit_of_the_simulated_weights_does_not_matter():
    X, y, weight = mixture(0)
    calibrators = [
        ScaleFactorCalibrator(CUTS, bins=EDGES).fit(
            X, y, np.where(y == 1, 1, unit) * weight
        )
        for unit in (1.0, 1e-3)
    ]
    for name in ("efficiency_sim_", "efficiency_data_", "scale_factors_"):
        first, second = (getattr(calibrator, name) for calibrator in calibrators)
        np.testing.assert_allclose(first, second)


def resampled(columns, rng):
    rows = rng.integers(0, len(columns[0]), len(columns[0]))
    return [column[rows] for column in columns]


# A replica of few jets can leave [0, 1].
@pytest.mark.filterwarnings("ignore:In the bins .* the background does not fit")
def test_errors_are_those_of_a_bootstrap():
    rng = np.random.default_rng(0)
    sample = mixture(5, n=600)
    calibrator = ScaleFactorCalibrator(CUTS, bins=[20, 60, 100])
    replicas = []
    sides = [[column[sample[1] == label] for column in sample] for label in (-1, 0, 1)]
    for _ in range(600):
        parts = [resampled(side, rng) for side in sides]
        calibrator.fit(
            *(np.concatenate(columns) for columns in zip(*parts, strict=True))
        )
        replicas.append([calibrator.efficiency_data_[0], calibrator.scale_factors_[0]])
    calibrator.fit(*sample)
    errors = [calibrator.efficiency_data_.error, calibrator.scale_factors_.error]
    # 600 replicas know a width to 3 %, and the propagation is of first order
    np.testing.assert_allclose(np.std(replicas, axis=0), errors, rtol=0.12)


def test_signed_weights_of_pairs_that_cancel(samples):
    (X_sim, w_sim), (X_data, w_data) = samples
    pairs, _ = jets(500, 2.0, 7)
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES)
    plain = clone(calibrator).fit_samples(
        X_sim, X_data, sample_weight_sim=w_sim, sample_weight_data=w_data
    )
    signed = calibrator.fit_samples(
        np.concatenate([X_sim, pairs, pairs]),
        X_data,
        sample_weight_sim=np.concatenate([w_sim, np.ones(500), -np.ones(500)]),
        sample_weight_data=w_data,
    )
    np.testing.assert_allclose(signed.scale_factors_.value, plain.scale_factors_.value)
    assert np.all(signed.scale_factors_.error > plain.scale_factors_.error)


@pytest.mark.parametrize("variation", [-1, 0, 1])
@pytest.mark.parametrize("working_point", [0, 1, 2])
def test_weights_of_one_working_point(samples, working_point, variation):
    (X_sim, w_sim), (X_data, w_data) = samples
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES).fit_samples(
        X_sim, X_data, sample_weight_sim=w_sim, sample_weight_data=w_data
    )
    weights = calibrator.predict(
        X_sim, working_point=working_point, variation=variation
    )
    value, error = calibrator.scale_factors_
    factors = (value + variation * error)[working_point]
    part = calibrator.efficiency_sim_.value[working_point]
    tagged = X_sim[:, 0] >= CUTS[working_point]
    for k, inside in enumerate(in_bins(X_sim)):
        np.testing.assert_allclose(weights[inside & tagged], factors[k])
        np.testing.assert_allclose(
            weights[inside & ~tagged], (1 - factors[k] * part[k]) / (1 - part[k])
        )
        assert np.sum((weights * w_sim)[inside]) == pytest.approx(w_sim[inside].sum())


def test_weights_have_the_efficiency_of_data_where_it_was_measured_and_not_elsewhere():
    # data are wider than the simulation, so that the ratio changes from cut to cut
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.normal(0, 1, (20_000, 1)), rng.normal(0, 1.3, (20_000, 1))
    calibrator = ScaleFactorCalibrator(CUTS).fit_samples(X_sim, X_data)
    scores, cuts = X_sim[:, 0], np.append(CUTS, 2.0)
    data = efficiency(X_data[:, 0], cuts)
    both = efficiency(scores, cuts, calibrator.predict(X_sim))
    np.testing.assert_allclose(both.value[:3], data.value[:3])
    one = efficiency(scores, cuts, calibrator.predict(X_sim, working_point=0))
    assert one.value[0] == pytest.approx(data.value[0])
    for estimate, others in [(both, [3]), (one, [1, 3])]:
        distance = (estimate.value - data.value) / np.hypot(estimate.error, data.error)
        assert np.all(np.abs(distance[others]) > 10)


@pytest.mark.parametrize("variation", [-1.0, 0.0, 0.5, 1.0])
def test_weights_between_the_cuts_keep_the_number_of_jets(variation):
    X, y, weight = mixture(3)
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES).fit(X, y, weight)
    X_sim, w_sim = X[y == 0], weight[y == 0]
    weights = w_sim * calibrator.predict(X_sim, variation=variation)
    value, error = calibrator.scale_factors_
    expected = calibrator.efficiency_sim_.value * (value + variation * error)
    for k, inside in enumerate(in_bins(X_sim)):
        assert weights[inside].sum() == pytest.approx(w_sim[inside].sum())
        np.testing.assert_allclose(
            efficiency(X_sim[inside, 0], CUTS, weights[inside]).value, expected[:, k]
        )


def test_equal_samples_need_no_weights(samples):
    (X_sim, w_sim), _ = samples
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES).fit_samples(
        X_sim, X_sim, sample_weight_sim=w_sim, sample_weight_data=3 * w_sim
    )
    np.testing.assert_allclose(calibrator.scale_factors_.value, 1)
    np.testing.assert_allclose(calibrator.predict(X_sim), 1)


def test_jets_on_the_cuts_and_on_the_edges():
    X = np.array([[1.0, 20.0], [0.9, 40.0], [1.0, 39.9], [0.0, 20.0], [1.0, 40.0]])
    calibrator = ScaleFactorCalibrator([1.0], bins=[20, 40, np.inf]).fit_samples(X, X)
    np.testing.assert_allclose(calibrator.efficiency_sim_.value, [[2 / 3, 1 / 2]])


def test_jets_outside_the_bins_are_left_alone(samples):
    (X_sim, _), (X_data, _) = samples
    inner = ScaleFactorCalibrator(CUTS, bins=EDGES[1:3])
    inner.fit_samples(X_sim, X_data)
    only = clone(inner).fit_samples(X_sim[in_bins(X_sim)[1]], X_data)
    np.testing.assert_array_equal(only.scale_factors_, inner.scale_factors_)
    weights = inner.predict(X_sim)
    np.testing.assert_array_equal(weights != 1, in_bins(X_sim)[1])


def test_more_background_than_data_is_clipped():
    X_sim = np.array([[0.0], [1.0], [1.0], [2.0]])
    X_background = np.array([[1.0], [1.0], [2.0], [2.0]])
    X_data = np.array([[0.0], [0.0], [0.0], [1.0]])
    calibrator = ScaleFactorCalibrator([1.0, 2.0])
    with pytest.warns(UserWarning, match=r"In the bins \[-inf, inf\) the background"):
        calibrator.fit_samples(X_sim, X_data, X_background=X_background)
    # a quarter of the data passes, but half of it is background that always passes
    np.testing.assert_allclose(calibrator.efficiency_data_.value, [[-0.5], [-0.5]])
    np.testing.assert_allclose(calibrator.predict([[0.0], [1.0], [2.0]]), [4, 0, 0])


def test_large_variations_are_clipped(samples):
    (X_sim, _), (X_data, _) = samples
    calibrator = ScaleFactorCalibrator(CUTS).fit_samples(X_sim, X_data)
    tagged = X_sim[:, 0] >= CUTS[0]
    for variation, part in [(1e3, 1), (-1e3, 0)]:
        weights = calibrator.predict(X_sim, working_point=0, variation=variation)
        assert weights.min() == 0
        assert weights.mean() == pytest.approx(1)
        assert weights[tagged].sum() == pytest.approx(part * len(weights))


def test_bins_without_jets_are_named_and_left_alone(samples):
    (X_sim, _), (X_data, _) = samples
    calibrator = ScaleFactorCalibrator(CUTS, bins=[10, 15, 20, 60, 100, 200])
    X_data = X_data[X_data[:, 1] < 60]
    with pytest.warns(UserWarning) as record:
        calibrator.fit_samples(X_sim, X_data)
    (warning,) = record
    assert "In the bins [10, 15), [15, 20), [60, 100), [100, 200) there are no" in str(
        warning.message
    )
    for values in calibrator.scale_factors_:
        np.testing.assert_array_equal(
            np.isnan(values), [[True, True, False, True, True]] * 3
        )
    weights = calibrator.predict(X_sim, variation=1)
    np.testing.assert_array_equal(weights != 1, X_sim[:, 1] < 60)


def test_cut_that_no_simulated_jet_passes():
    X_sim, X_data = np.array([[0.0], [0.5], [0.6]]), np.array([[0.0], [0.55], [2.0]])
    calibrator = ScaleFactorCalibrator([0.5, 1.0])
    with pytest.warns(UserWarning, match="no simulated jet passes some"):
        calibrator.fit_samples(X_sim, X_data)
    np.testing.assert_array_equal(
        np.isnan(calibrator.scale_factors_.value.ravel()), [False, True]
    )
    np.testing.assert_allclose(
        calibrator.efficiency_data_.value.ravel(), [2 / 3, 1 / 3]
    )
    weights = calibrator.predict(X_sim)
    # 1/3 of the data is below the cuts and 1/3 between them; the rest is out of reach
    np.testing.assert_allclose(weights, [1.5, 0.75, 0.75])
    assert calibrator.predict([[3.0]], variation=1) > 0


def test_data_only_where_there_is_no_simulation():
    calibrator = ScaleFactorCalibrator([1.0])
    with pytest.warns(UserWarning, match="no simulated jet passes"):
        calibrator.fit_samples([[0.0], [0.5]], [[2.0], [3.0]])
    np.testing.assert_array_equal(calibrator.predict([[0.0], [2.0]]), 1)


def test_cut_that_every_jet_passes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrator = ScaleFactorCalibrator([-9.0]).fit_samples([[0.0]], [[1.0], [2.0]])
    assert calibrator.scale_factors_ == (1.0, 0.0)
    np.testing.assert_array_equal(calibrator.predict([[0.0], [-10.0]]), 1)


def test_columns_by_name(samples):
    (X_sim, _), (X_data, _) = samples
    expected = ScaleFactorCalibrator(CUTS, bins=EDGES).fit_samples(X_sim, X_data)
    frames = [
        pd.DataFrame({"pt": X[:, 1], "eta": 0.0, "D_b": X[:, 0]})
        for X in (X_sim, X_data)
    ]
    for columns in [("D_b", "pt"), (2, 0), (-1, -3)]:
        score_column, bin_column = columns
        named = ScaleFactorCalibrator(
            CUTS, bins=EDGES, score_column=score_column, bin_column=bin_column
        ).fit_samples(*frames)
        np.testing.assert_array_equal(named.scale_factors_, expected.scale_factors_)
        np.testing.assert_array_equal(named.predict(frames[0]), expected.predict(X_sim))
        assert named.feature_names_in_.tolist() == ["pt", "eta", "D_b"]


def test_labels_by_order(samples):
    (X_sim, _), (X_data, _) = samples
    X = np.concatenate([X_sim, X_data])
    y = np.repeat([9, 7], [len(X_sim), len(X_data)])
    calibrator = ScaleFactorCalibrator(CUTS).fit(X, y)
    assert (calibrator.source_label_, calibrator.target_label_) == (7, 9)
    swapped = ScaleFactorCalibrator(CUTS).fit_samples(X_data, X_sim)
    np.testing.assert_array_equal(calibrator.scale_factors_, swapped.scale_factors_)


@pytest.mark.parametrize(
    "calibrator",
    [ScaleFactorCalibrator(CUTS, bins=EDGES), OTCalibrator("bures", conditions=[1])],
)
def test_labels_of_both_methods_are_the_same(calibrator):
    X, y, weight = mixture(0)
    calibrator.fit(X, np.select([y == 0, y == 1], [7, 9], -1), weight)
    assert (calibrator.source_label_, calibrator.target_label_) == (7, 9)
    parts = [y == label for label in (0, 1, -1)]
    sim, data, other = ((X[part], weight[part]) for part in parts)
    separate = clone(calibrator).fit_samples(
        sim[0],
        data[0],
        X_background=other[0],
        sample_weight_sim=sim[1],
        sample_weight_data=data[1],
        sample_weight_background=other[1],
    )
    act = "predict" if hasattr(calibrator, "predict") else "transform"
    np.testing.assert_allclose(getattr(separate, act)(X), getattr(calibrator, act)(X))
    with pytest.raises(ValueError, match="beside -1"):
        clone(calibrator).fit(X[y != 0], y[y != 0])


def test_clone_and_pickle(samples):
    (X_sim, _), (X_data, _) = samples
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES).fit_samples(X_sim, X_data)
    copy = pickle.loads(pickle.dumps(calibrator))
    np.testing.assert_array_equal(copy.predict(X_sim), calibrator.predict(X_sim))
    assert copy.scale_factors_._fields == ("value", "error")
    fresh = clone(calibrator)
    with pytest.raises(NotFittedError):
        fresh.predict(X_sim)
    fresh.set_params(cuts=[0.0]).fit_samples(X_sim, X_data)
    assert fresh.scale_factors_.value.shape == (1, 3)


def test_metadata_reaches_a_calibrator_in_a_pipeline():
    X, y, weight = mixture(0)
    expected = ScaleFactorCalibrator(CUTS, bins=EDGES).fit(X, y, weight)
    with config_context(enable_metadata_routing=True):
        last = (
            ScaleFactorCalibrator(CUTS, bins=EDGES)
            .set_fit_request(sample_weight=True)
            .set_predict_request(working_point=True, variation=True)
        )
        pipeline = make_pipeline(FunctionTransformer(), last)
        pipeline.fit(X, y, sample_weight=weight)
        weights = pipeline.predict(X, working_point=1, variation=-1)
    np.testing.assert_array_equal(
        weights, expected.predict(X, working_point=1, variation=-1)
    )


def test_a_failed_fit_changes_nothing(samples):
    (X_sim, _), (X_data, _) = samples
    calibrator = ScaleFactorCalibrator(CUTS, bins=EDGES)
    with pytest.raises(ValueError, match="no bin holds both"):
        calibrator.set_params(bins=[-2, -1]).fit_samples(X_sim, X_data)
    assert vars(calibrator).keys() == calibrator.get_params().keys()
    calibrator.set_params(bins=EDGES).fit_samples(X_sim, X_data)
    before = calibrator.predict(X_sim)
    with pytest.raises(ValueError, match="two domain labels"):
        calibrator.fit(np.zeros((4, 3)), np.ones(4))
    np.testing.assert_array_equal(calibrator.predict(X_sim), before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cuts": "loose"}, "'cuts' parameter"),
        ({"cuts": [0.0, 0.0]}, "cuts must be one or more different numbers"),
        ({"cuts": []}, "cuts must be one or more different numbers"),
        ({"cuts": [[0.0], [1.0]]}, "cuts must be one or more different numbers"),
        ({"cuts": [0.0, np.nan]}, "cuts contains NaN"),
        ({"bins": [20, 20, 30]}, "bins must give two or more increasing edges"),
        ({"bins": [20]}, "bins must give two or more increasing edges"),
        ({"bins": [20, np.nan]}, "bins must give two or more increasing edges"),
        ({"bins": EDGES, "bin_column": 2}, "bin_column: no column 2 among 2"),
        ({"score_column": "D_b"}, r"score_column: no column 'D_b' in"),
        ({"score_column": 1.5}, "'score_column' parameter"),
    ],
)
def test_bad_parameters(samples, parameters, message):
    (X_sim, _), (X_data, _) = samples
    with pytest.raises(ValueError, match=message):
        ScaleFactorCalibrator(**({"cuts": CUTS} | parameters)).fit_samples(
            X_sim, X_data
        )


def test_bad_samples():
    X, y, _ = mixture(0)
    calibrator = ScaleFactorCalibrator(CUTS)
    with pytest.raises(ValueError, match="must not be negative for data"):
        calibrator.fit(X, y, np.where(y == 1, -1, 1))
    with pytest.raises(ValueError, match="no bin holds both"):
        calibrator.fit(X, y, np.where(y == 1, 1, 0))
    with pytest.raises(ValueError, match="NaN"):
        calibrator.fit(np.where(X > 99, np.nan, X), y)


@pytest.mark.parametrize("working_point", [3, -1, 0.5])
def test_unknown_working_points(samples, working_point):
    (X_sim, _), (X_data, _) = samples
    calibrator = ScaleFactorCalibrator(CUTS).fit_samples(X_sim, X_data)
    with pytest.raises(ValueError, match="index of one of the 3 cuts"):
        calibrator.predict(X_sim, working_point=working_point)
    with pytest.raises(ValueError, match="variation must be finite"):
        calibrator.predict(X_sim, variation=np.nan)
