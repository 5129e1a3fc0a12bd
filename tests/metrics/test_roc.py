import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from sklearn_hepcal.metrics import roc_auc


def sample(n_signal, n_background, rng, decimals=9):
    y = rng.permutation(np.repeat([1, 0], [n_signal, n_background]))
    return y, rng.normal(y).round(decimals)


# Every pair of jets, as DeLong, DeLong and Clarke-Pearson (1988) write it.
def delong(y, scores):
    signal, background = scores[y == 1], scores[y == 0]
    gap = signal[:, None] - background
    wins = (gap > 0) + 0.5 * (gap == 0)
    variances = [
        np.var(wins.mean(axis), ddof=1) / wins.shape[1 - axis] for axis in (0, 1)
    ]
    return wins.mean(), np.sqrt(sum(variances))


@pytest.mark.parametrize("decimals", [9, 1, 0])
@pytest.mark.parametrize(("n_signal", "n_background"), [(2, 2), (7, 40), (60, 25)])
def test_all_pairs(n_signal, n_background, decimals):
    y, scores = sample(n_signal, n_background, np.random.default_rng(3), decimals)
    np.testing.assert_allclose(roc_auc(y, scores), delong(y, scores), rtol=1e-12)


@pytest.mark.parametrize("decimals", [9, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_is_that_of_scikit_learn(decimals, weighted):
    rng = np.random.default_rng(0)
    y, scores = sample(700, 1300, rng, decimals)
    weights = rng.exponential(size=2000) if weighted else None
    expected = roc_auc_score(y, scores, sample_weight=weights)
    assert roc_auc(y, scores, weights).value == pytest.approx(expected, abs=1e-12)


def test_error_is_the_scatter_around_the_exact_area():
    rng = np.random.default_rng(0)
    areas, errors = np.transpose([roc_auc(*sample(40, 90, rng)) for _ in range(1000)])
    exact = norm.cdf(1 / np.sqrt(2))
    assert areas.mean() == pytest.approx(exact, abs=4 * areas.std() / np.sqrt(1000))
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(areas.std(), rel=0.06)


# Weights turn jets that all have the law of the background into signal of mean one;
# some of them, of both classes, are negative.
def weighted_sample(rng):
    y = np.repeat([1, 0], [300, 200])
    scores = rng.normal(size=500)
    return y, scores, np.exp(y * scores) * rng.choice([1.0, 1.0, 1.0, -0.3], 500)


def test_error_with_signed_weights_is_the_scatter_around_the_exact_area():
    rng = np.random.default_rng(1)
    areas, errors = np.transpose([roc_auc(*weighted_sample(rng)) for _ in range(1000)])
    exact = norm.cdf(1 / np.sqrt(2))
    assert areas.mean() == pytest.approx(exact, abs=0.1 * areas.std())
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(areas.std(), rel=0.06)


def test_a_weight_of_two_has_the_value_of_two_jets_but_the_error_of_one():
    y, scores = sample(50, 50, np.random.default_rng(0), decimals=1)
    single = roc_auc(y, scores)
    double = roc_auc(np.repeat(y, 2), np.repeat(scores, 2))
    weighted = roc_auc(y, scores, np.full(100, 2.0))
    np.testing.assert_allclose(weighted, single, rtol=1e-12)
    assert double.value == pytest.approx(single.value, rel=1e-12)
    assert double.error == pytest.approx(single.error * np.sqrt(49 / 99), rel=1e-12)


def test_counts_as_weights():
    rng = np.random.default_rng(0)
    y, scores = sample(150, 150, rng, decimals=1)
    counts = rng.integers(0, 4, 300)
    value, error = roc_auc(y, scores, counts)
    repeated = roc_auc(np.repeat(y, counts), np.repeat(scores, counts))
    assert value == pytest.approx(repeated.value, rel=1e-12)
    assert error > repeated.error
    kept = counts > 0
    np.testing.assert_allclose(
        roc_auc(y[kept], scores[kept], counts[kept]), (value, error), rtol=1e-12
    )


def test_only_the_order_of_the_scores_matters():
    rng = np.random.default_rng(0)
    y, scores = sample(100, 150, rng, decimals=1)
    weights = rng.normal(1.0, 1.0, 250)
    expected = roc_auc(y, scores, weights)
    rows = rng.permutation(250)
    shuffled = roc_auc(y[rows], np.exp(scores[rows]), 7 * weights[rows])
    np.testing.assert_allclose(shuffled, expected, rtol=1e-12)


def test_the_larger_label_is_the_signal():
    y, scores = sample(100, 150, np.random.default_rng(0), decimals=1)
    value, error = roc_auc(y, scores)
    assert roc_auc(np.array(["gluon", "quark"])[y], scores) == (value, error)
    np.testing.assert_allclose(roc_auc(-y, scores), (1 - value, error), rtol=1e-12)


def test_separated_classes():
    assert roc_auc([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0]) == (1.0, 0.0)


def test_one_jet_of_a_class_has_no_error():
    value, error = roc_auc([0, 0, 1], [1.0, 3.0, 2.0])
    assert value == 0.5
    assert np.isnan(error)


@pytest.mark.parametrize(
    ("y", "scores", "weights", "message"),
    [
        ([1, 1, 1], [1.0, 2.0, 3.0], None, r"y_true must hold two classes, got \[1\]"),
        ([0, 1, 2], [1.0, 2.0, 3.0], None, "y_true must hold two classes"),
        ([0, 1, np.nan], [1.0, 2.0, 3.0], None, "y_true contains NaN"),
        ([0, 1, 1], [1.0, 2.0], None, "inconsistent numbers of samples"),
        ([0, 1, 1], [1.0, np.nan, 2.0], None, "scores must be"),
        ([0, 1, 1], [1.0, 2.0, 3.0], [1.0, 1.0], "sample_weight has 2 entries for 3"),
        (
            [0, 1, 1],
            [1.0, 2.0, 3.0],
            [3.0, 1.0, -1.5],
            "sample_weight of the signal must have a positive sum, got -0.5",
        ),
        (
            [0, 1, 1],
            [1.0, 2.0, 3.0],
            [0.0, 1.0, 1.0],
            "sample_weight of the background must have a positive sum, got 0",
        ),
    ],
)
def test_unusable_input(y, scores, weights, message):
    with pytest.raises(ValueError, match=message):
        roc_auc(y, scores, weights)


def test_scale_of_the_weights_does_not_matter():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 50)
    scores, weight = rng.normal(y), rng.uniform(0.5, 2, 100)
    expected = roc_auc(y, scores, weight)
    for factor in (1e-200, 1e200):
        np.testing.assert_allclose(roc_auc(y, scores, factor * weight), expected)


def test_shapes_are_named():
    y = [0, 0, 1, 1]
    with pytest.raises(ValueError, match="scores must be one-dimensional"):
        roc_auc(y, np.ones((4, 2)))
    with pytest.raises(ValueError, match="sample_weight must be one-dimensional"):
        roc_auc(y, y, 1.0)
