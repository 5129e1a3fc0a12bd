import numpy as np
import pytest
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

from sklearn_hepcal.metrics import closure_auc, closure_auc_by_bin
from sklearn_hepcal.metrics._closure import _bootstrap_auc


def delong_error(scores, y):
    """Error of the area from the placements of either sample in the other."""
    positive, negative = scores[y == 1], scores[y == 0]
    n, m = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:n] - rankdata(positive)) / m
    below = 1 - (ranks[n:] - rankdata(negative)) / n
    return np.sqrt(np.var(above, ddof=1) / n + np.var(below, ddof=1) / m)


def gaussian_scores(rng, n, distance=1.0):
    y = np.repeat([0.0, 1.0], n)
    return rng.normal(size=2 * n) + distance * y, y


@pytest.mark.parametrize("seed", range(4))
def test_same_law_gives_one_half(seed):
    sim, data = np.random.default_rng(seed).normal(size=(2, 3000, 3))
    auc, error = closure_auc(sim, data, random_state=seed)
    assert abs(auc - 0.5) < 3.5 * error
    assert error == pytest.approx(np.sqrt(1 / (6 * 1500)), rel=0.3)


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_shifted_gaussians_reach_the_best_possible_area(distance):
    rng = np.random.default_rng(0)
    sim, data = rng.normal(size=(2, 6000, 2))
    data[:, 0] += distance
    auc, error = closure_auc(sim, data, random_state=0)
    best = norm.cdf(distance / np.sqrt(2))
    assert best - 0.02 - 3 * error < auc < best + 3 * error


def test_few_hundred_rows_are_enough():
    rng = np.random.default_rng(0)
    auc, error = closure_auc(
        rng.normal(size=(300, 1)), rng.normal(1.5, size=(240, 1)), random_state=0
    )
    assert auc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.1)
    assert 0.01 < error < 0.06


@pytest.mark.parametrize("seed", range(2))
def test_right_weights_close_and_no_weights_do_not(seed):
    rng = np.random.default_rng(seed)
    sim, data = rng.uniform(size=(2, 4000, 2))
    data[:, 0] = np.sqrt(data[:, 0])
    plain, _ = closure_auc(sim, data, n_train=1000, random_state=0)
    auc, error = closure_auc(sim, data, sample_weight_sim=2 * sim[:, 0], random_state=0)
    back, back_error = closure_auc(
        sim, data, sample_weight_data=0.5 / data[:, 0], random_state=0
    )
    assert plain > 0.6
    assert abs(auc - 0.5) < 3.5 * error
    assert abs(back - 0.5) < 3.5 * back_error


def test_same_seed_same_result():
    sim, data = np.random.default_rng(0).normal(size=(2, 200, 2))
    first = closure_auc(sim, data, random_state=7)
    assert first == closure_auc(sim, data, random_state=7)
    assert first != closure_auc(sim, data, random_state=8)


def test_rows_of_weight_zero_are_absent():
    sim, data = np.random.default_rng(0).normal(size=(2, 200, 2))
    kept = np.arange(200) < 120
    junk = np.where(kept[:, None], sim, 99.0)
    weighted = closure_auc(junk, data, sample_weight_sim=kept, random_state=0)
    assert weighted == closure_auc(sim[kept], data, random_state=0)


def test_training_size_limits_the_test_too():
    sim, data = np.random.default_rng(0).normal(size=(2, 4000, 1))
    _, error = closure_auc(sim, data, n_train=100, n_bootstrap=300, random_state=0)
    assert error == pytest.approx(np.sqrt(1 / 600), rel=0.25)


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("digits", [1, 12])
def test_bootstrap_agrees_with_delong(distance, digits):
    scores, y = gaussian_scores(np.random.default_rng(0), 400, distance)
    scores = scores.round(digits)
    rng = np.random.RandomState(0)
    auc, error = _bootstrap_auc(scores, y, np.ones(800), 1000, rng)
    assert auc == pytest.approx(roc_auc_score(y, scores))
    assert error == pytest.approx(delong_error(scores, y), rel=0.1)


def test_bootstrap_error_covers():
    rng, n_experiments = np.random.default_rng(0), 300
    truth = norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(n_experiments):
        scores, y = gaussian_scores(rng, 150)
        weights = rng.exponential(size=300)
        auc, error = _bootstrap_auc(scores, y, weights, 60, np.random.RandomState(seed))
        covered += abs(auc - truth) < error
    assert covered / n_experiments == pytest.approx(0.683, abs=0.1)


def test_weighted_area_is_that_of_sklearn():
    rng = np.random.default_rng(0)
    scores, y = gaussian_scores(rng, 200)
    weights = rng.exponential(size=400)
    auc, _ = _bootstrap_auc(scores.round(1), y, weights, 2, np.random.RandomState(0))
    expected = roc_auc_score(y, scores.round(1), sample_weight=weights)
    assert auc == pytest.approx(expected)


def test_bins_see_local_differences():
    rng = np.random.default_rng(0)
    sim, data = rng.uniform(size=(2, 6000, 2))
    data[:, 0] += data[:, 1] > 0.5
    edges, auc, error = closure_auc_by_bin(
        sim, data, 1, bins=[0, 0.5, 1], random_state=0
    )
    np.testing.assert_array_equal(edges, [0, 0.5, 1])
    assert abs(auc[0] - 0.5) < 4 * error[0]
    assert auc[1] > 0.99


def test_bins_use_the_weights():
    rng = np.random.default_rng(1)
    sim, data = rng.uniform(size=(2, 8000, 2))
    data[:, 0] = np.sqrt(data[:, 0])
    _, auc, error = closure_auc_by_bin(
        sim, data, 1, bins=2, sample_weight_sim=sim[:, 0], random_state=0
    )
    assert np.all(np.abs(auc - 0.5) < 4 * error)


def test_equal_bins_hold_all_the_data():
    rng = np.random.default_rng(0)
    sim, data = rng.normal(size=(2, 200, 1))
    edges = closure_auc_by_bin(sim, data, 0, bins=4, random_state=0).edges
    assert edges[0] == data.min()
    assert edges[-1] == data.max()
    np.testing.assert_array_equal(np.histogram(data, edges)[0], 50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 5}, "n_train must be at least 10, got 5"),
        ({"n_bootstrap": 1}, "n_bootstrap must be at least 2, got 1"),
        ({"sample_weight_sim": -np.ones(100)}, "sample_weight_sim must not be neg"),
        ({"sample_weight_data": np.ones(3)}, "sample_weight_data has 3 entries"),
    ],
)
def test_bad_options(options, message):
    X = np.zeros((100, 1))
    with pytest.raises(ValueError, match=message):
        closure_auc(X, X, **options)


def test_bad_samples():
    X = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(ValueError, match="X_sim and X_data must have the same columns"):
        closure_auc(X, X[:, :1])
    with pytest.raises(ValueError, match=r"X_data must have at least 20 rows .*got 10"):
        closure_auc(X, X[:10])
    with pytest.raises(ValueError, match="Input X_sim contains NaN"):
        closure_auc(np.full((30, 2), np.nan), X)


@pytest.mark.parametrize(
    ("condition", "bins", "message"),
    [
        (2, 4, "condition must be a column, 0 to 1, got 2"),
        (0, 0, "bins must give two or more increasing edges"),
        (0, [0.0, 1.0, 1.0], "bins must give two or more increasing edges"),
        (0, [0.0, 0.01, 1.0], r"bin from 0 to 0.01 holds \d+ rows of X_sim"),
    ],
)
def test_bad_bins(condition, bins, message):
    X = np.random.default_rng(0).uniform(size=(100, 2))
    with pytest.raises(ValueError, match=message):
        closure_auc_by_bin(X, X, condition, bins)
