import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier

from sklearn_hepcal.calibration import DensityRatioReweighter


def gaussians(shift, n_sim=4000, n_data=4000, seed=0, n_features=2):
    rng = np.random.default_rng(seed)
    X_sim = rng.normal(size=(n_sim, n_features))
    X_data = rng.normal(size=(n_data, n_features))
    X_data[:, 0] += shift
    return X_sim, X_data


def log_ratio(X, shift):
    return shift * X[:, 0] - shift**2 / 2


def stack(X_sim, X_data):
    y = np.repeat([0, 1], [len(X_sim), len(X_data)])
    return np.concatenate([X_sim, X_data]), y


def linear(**parameters):
    return DensityRatioReweighter(
        LogisticRegression(C=100), random_state=0, **parameters
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("calibration", ["sigmoid", None])
def test_linear_classifier_learns_the_ratio_of_two_gaussians(seed, calibration):
    shift = 0.8
    reweighter = linear(calibration=calibration)
    reweighter.fit_samples(*gaussians(shift, seed=seed))
    X_test, _ = gaussians(shift, 5000, seed=100 + seed)
    learnt, truth = np.log(reweighter.predict(X_test)), log_ratio(X_test, shift)
    assert np.corrcoef(learnt, truth)[0, 1] > 0.99
    # three coefficients, each known to about 0.03 from 4000 rows a side
    assert np.sqrt(np.mean((learnt - truth) ** 2)) < 0.12


@pytest.mark.parametrize(("calibration", "seed"), [("sigmoid", 0), ("isotonic", 1)])
def test_default_classifier_learns_the_ratio_of_two_gaussians(calibration, seed):
    shift = 0.8
    reweighter = DensityRatioReweighter(calibration=calibration, random_state=seed)
    reweighter.fit_samples(*gaussians(shift, 8000, 8000, seed=seed))
    X_test, X_data = gaussians(shift, 10_000, 10_000, seed=100 + seed)
    weights, truth = reweighter.predict(X_test), log_ratio(X_test, shift)
    inner = np.abs(X_test[:, 0]) < 2
    learnt = np.log(weights[inner])
    assert np.corrcoef(learnt, truth[inner])[0, 1] > 0.98
    assert abs(np.mean(learnt - truth[inner])) < 0.05
    # closure of what was reweighted, where single rows do not carry large weights
    mean = np.average(X_test[inner, 0], weights=weights[inner])
    data_mean = X_data[np.abs(X_data[:, 0]) < 2, 0].mean()
    assert mean == pytest.approx(data_mean, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_identical_samples_get_weights_near_one(seed):
    X_sim, X_data = gaussians(0, 10_000, 10_000, seed=seed)
    reweighter = DensityRatioReweighter(random_state=seed).fit_samples(X_sim, X_data)
    assert np.std(reweighter.predict(X_sim)) < 0.05
    assert reweighter.effective_sample_fraction_ > 0.99
    score = reweighter.score(*stack(*gaussians(0, seed=50 + seed)))
    assert abs(score) < 0.005


@pytest.mark.parametrize("shift", [0.3, 0.7])
def test_effective_sample_size_is_the_analytic_one(shift):
    reweighter = linear().fit_samples(*gaussians(shift, 20_000, 20_000))
    truth = np.exp(-(shift**2))
    assert reweighter.effective_sample_fraction_ == pytest.approx(truth, abs=0.03)
    assert reweighter.effective_sample_size_ == pytest.approx(
        20_000 * reweighter.effective_sample_fraction_
    )


def test_effective_sample_size_is_not_that_of_an_over_trained_classifier():
    X_sim, X_data = gaussians(0, 1000, 1000)
    memory = DensityRatioReweighter(
        KNeighborsClassifier(n_neighbors=1), random_state=0, cv=4
    ).fit_samples(X_sim, X_data)
    # calibrated on unseen rows, the memorised labels turn out to be worthless
    assert memory.effective_sample_fraction_ > 0.95


def test_mean_weight_of_the_simulation_is_one():
    X_sim, X_data = gaussians(0.8, 2000, 700)
    sample_weight = np.random.default_rng(0).uniform(0.1, 3, len(X_sim))
    for reweighter in [linear(), linear(calibration=None)]:
        reweighter.fit_samples(X_sim, X_data, sample_weight_sim=sample_weight)
        weights = reweighter.predict(X_sim)
        assert np.average(weights, weights=sample_weight) == pytest.approx(1)


def test_different_totals_leave_the_ratio_alone():
    X_sim, X_data = gaussians(0.8)
    few = X_data[:1000]
    reference = linear(calibration=None).fit_samples(X_sim, X_data)
    scaled = linear(calibration=None).fit_samples(
        X_sim, X_data, sample_weight_data=np.full(len(X_data), 0.25)
    )
    fewer = linear(calibration=None).fit_samples(X_sim, few)
    expected = np.log(reference.predict(X_sim))
    assert np.mean(np.log(scaled.predict(X_sim)) - expected) == pytest.approx(
        0, abs=0.02
    )
    assert np.mean(np.log(fewer.predict(X_sim)) - expected) == pytest.approx(
        0, abs=0.15
    )


def test_weights_on_both_sides_are_part_of_the_densities():
    # each side is tilted by its event weights, so that the true ratio is known
    shift_sim, shift_data = -0.3, 0.4
    X_sim, X_data = gaussians(0, 10_000, 10_000)
    reweighter = linear().fit_samples(
        X_sim,
        X_data,
        sample_weight_sim=np.exp(log_ratio(X_sim, shift_sim)),
        sample_weight_data=np.exp(log_ratio(X_data, shift_data)),
    )
    truth = log_ratio(X_sim, shift_data) - log_ratio(X_sim, shift_sim)
    error = np.log(reweighter.predict(X_sim)) - truth
    assert np.sqrt(np.mean(error**2)) < 0.08


def test_weights_equal_repetition():
    X_sim, X_data = gaussians(0.5, 300, 300)
    X, y = stack(X_sim, X_data)
    repeats = np.random.default_rng(0).integers(1, 4, len(y))
    # Weights are normalised, which a penalty would notice.
    classifier = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
    weighted = DensityRatioReweighter(classifier, calibration=None, cv=2)
    repeated = clone(weighted).fit(X.repeat(repeats, axis=0), y.repeat(repeats))
    weighted.fit(X, y, sample_weight=repeats)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)


def test_score_is_highest_for_the_right_classifier():
    # variances differ, which a linear classifier cannot see
    rng = np.random.default_rng(0)
    X, y = stack(*(rng.normal(0, scale, (4000, 1)) for scale in (1, 1.5)))
    X_test, y_test = stack(*(rng.normal(0, s, (20_000, 1)) for s in (1, 1.5)))
    blind = linear().fit(X, y).score(X_test, y_test)
    seeing = DensityRatioReweighter(random_state=0).fit(X, y).score(X_test, y_test)
    assert abs(blind) < 0.003
    grid = np.linspace(-12, 12, 20_001)
    p, q = (np.exp(-(grid**2) / 2 / s**2) / s for s in (1, 1.5))
    step = (grid[1] - grid[0]) / np.sqrt(2 * np.pi) / 2
    jensen_shannon = step * np.sum(
        p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))
    )
    assert seeing == pytest.approx(jensen_shannon, abs=0.006)


def test_score_of_separated_domains_is_log_two():
    X, y = stack(*gaussians(50, 500, 200))
    with pytest.warns(UserWarning, match="where there is little simulation"):
        score = linear(calibration=None).fit(X, y).score(X, y)
    assert score == pytest.approx(np.log(2), abs=1e-3)


def test_score_is_used_by_model_selection():
    X, y = stack(*gaussians(0.8, 500, 500))
    scores = cross_val_score(linear(), X, y, cv=StratifiedKFold(3))
    assert np.all(scores > 0.02)
    # sigmoid calibration would repair the slope that a small C shrinks
    search = GridSearchCV(
        linear(calibration=None),
        {"classifier__C": [1e-6, 1.0]},
        cv=StratifiedKFold(3),
    )
    assert search.fit(X, y).best_params_ == {"classifier__C": 1.0}


def test_weights_are_cut():
    X_sim, X_data = gaussians(3.0)
    reweighter = linear(max_weight=5.0, calibration=None)
    with pytest.warns(UserWarning, match="where there is little simulation"):
        weights = reweighter.fit_samples(X_sim, X_data).predict(X_data)
    assert np.mean(np.isclose(weights, weights.max())) > 0.3
    lowest = reweighter.predict([[1.0, 0.0]])[0]
    assert 0 < lowest < weights.max()


def test_same_seed_same_weights():
    X_sim, X_data = gaussians(0.5, 600, 600)
    first, second = (
        DensityRatioReweighter(cv=2, random_state=3).fit_samples(X_sim, X_data)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict(X_sim), second.predict(X_sim))
    copy = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(copy.predict(X_sim), first.predict(X_sim))


def test_labels_by_order():
    X_sim, X_data = gaussians(0.5, 500, 500)
    X, y = stack(X_sim, X_data)
    reference = linear().fit(X, y).predict(X)
    named = linear().fit(X, np.array([7, 9])[y])
    np.testing.assert_allclose(named.predict(X), reference)
    assert (named.source_label_, named.target_label_) == (7, 9)
    with pytest.raises(ValueError, match="y must hold numbers"):
        linear().fit(X, np.array(["mc", "data"])[y])


def test_the_unit_of_the_weights_does_not_matter():
    X, y = stack(*gaussians(0.5, 500, 500))
    one, tiny = (
        DensityRatioReweighter(random_state=0).fit(X, y, np.full(len(y), unit))
        for unit in (1.0, 1e-6)
    )
    np.testing.assert_allclose(one.predict(X), tiny.predict(X), rtol=1e-6)


def test_the_given_classifier_is_not_fitted():
    classifier = LogisticRegression()
    DensityRatioReweighter(classifier).fit_samples(*gaussians(0.5, 100, 100))
    assert not hasattr(classifier, "coef_")


def test_frames_keep_their_names():
    X_sim, X_data = (
        pd.DataFrame(X, columns=["pt", "eta"]) for X in gaussians(0.5, 200, 200)
    )
    reweighter = linear().fit_samples(X_sim, X_data)
    assert reweighter.feature_names_in_.tolist() == ["pt", "eta"]
    assert reweighter.predict(X_sim).shape == (200,)


def test_metadata_routing_serves_the_default_classifier():
    X, y = stack(*gaussians(0.8, 300, 300))
    weight = np.ones(len(y))
    reweighter = DensityRatioReweighter(cv=2, random_state=0)
    expected = reweighter.fit(X, y, weight).predict(X)
    assert np.ptp(expected) > 0.1
    with config_context(enable_metadata_routing=True):
        routed = reweighter.fit(X, y, weight).predict(X)
    np.testing.assert_array_equal(routed, expected)


@pytest.mark.parametrize("label", [0, 1])
def test_one_domain_is_an_error(label):
    X, _ = gaussians(0)
    with pytest.raises(ValueError, match=rf"two domain labels.* holds \[{label}\]"):
        linear().fit(X, np.full(len(X), label))


def test_background_is_an_error():
    X, y = stack(*gaussians(0))
    with pytest.raises(ValueError, match=r"neither of them -1 .* holds \[-1, 1\]"):
        linear().fit(X, np.where(y == 0, -1, 1))


def test_four_domains_are_an_error():
    X, _ = gaussians(0)
    with pytest.raises(ValueError, match=r"two domain labels.* holds \[0, 1, 2, 3\]"):
        linear().fit(X, np.arange(len(X)) % 4)


def test_continuous_labels_are_an_error():
    X, _ = gaussians(0)
    with pytest.raises(ValueError, match="Unknown label type"):
        linear().fit(X, X[:, 0])


def test_negative_weights_of_data_are_an_error():
    X, y = stack(*gaussians(0.5))
    weight = np.ones(len(y))
    weight[-1] = -1
    with pytest.raises(ValueError, match=r"must not be negative for data \(label 1\)"):
        linear().fit(X, y, sample_weight=weight)


def test_negative_weights_of_simulation_reach_the_classifier():
    X_sim, X_data = gaussians(0.5)
    # pairs of rows that cancel leave the ratio where it was
    extra = np.random.default_rng(1).normal(3, 1, (200, 2))
    weight = np.concatenate([np.ones(len(X_sim)), np.ones(200), -np.ones(200)])
    X_signed = np.concatenate([X_sim, extra, extra])
    signed = linear(calibration=None).fit_samples(
        X_signed, X_data, sample_weight_sim=weight
    )
    plain = linear(calibration=None).fit_samples(X_sim, X_data)
    np.testing.assert_allclose(signed.predict(X_sim), plain.predict(X_sim), rtol=1e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_a_domain_without_weight_is_an_error(label):
    X, y = stack(*gaussians(0.5))
    with pytest.raises(ValueError, match="positive sum in each domain"):
        linear().fit(X, y, sample_weight=(y != label).astype(float))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_values_are_an_error(bad):
    X, y = stack(*gaussians(0.5))
    reweighter = linear().fit(X, y)
    X[3, 1] = bad
    for method in [lambda X: linear().fit(X, y), reweighter.predict]:
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            method(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"calibration": "spline"}, "calibration must be one of"),
        ({"max_weight": 0.5}, "max_weight must be"),
        ({"max_weight": np.inf}, "max_weight must be"),
        ({"cv": 1}, "at least two folds"),
        ({"cv": ShuffleSplit(2)}, "every row in one test fold"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        linear(**parameters).fit(*stack(*gaussians(0, 50, 50)))


def test_one_row_of_a_domain_is_an_error():
    X_sim, X_data = gaussians(0, 50, 1)
    with pytest.raises(ValueError, match="two rows of each domain"):
        linear().fit_samples(X_sim, X_data)


def test_weights_of_a_wrong_length_are_an_error():
    X_sim, X_data = gaussians(0, 50, 50)
    with pytest.raises(ValueError, match=r"shape \(3,\) were given for 50 rows"):
        linear().fit_samples(X_sim, X_data, sample_weight_sim=np.ones(3))


def test_score_needs_every_domain():
    X, y = stack(*gaussians(0, 50, 50))
    with pytest.raises(ValueError, match="no rows of the domain 1"):
        linear().fit(X, y).score(X[y == 0], y[y == 0])
