import pickle

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_hepcal.metrics import background_rejection, make_log_rejection_scorer


# Signal N(mean, width) over background N(0, 1).
def sample(n_signal, n_background, mean, width, rng):
    y = np.repeat([1, 0], [n_signal, n_background])
    return y, np.where(y == 1, mean, 0) + np.where(y == 1, width, 1) * rng.normal(
        size=len(y)
    )


# Jets of both classes have the law of the background. Weights make the signal N(1, 1),
# and a part of the background is negative.
def weighted_sample(rng):
    y = np.repeat([1, 0], [800, 2000])
    scores = rng.normal(size=2800)
    signs = rng.choice([1.0, 1.0, 1.0, -0.3], 2800)
    return y, scores, np.where(y == 1, np.exp(scores), signs)


# Part of the background that passes, the inverse of the rejection, is nearly Gaussian.
def assert_error_is_the_scatter(experiments, passing):
    rejection, error = np.swapaxes(experiments, 0, 1)
    scatter = np.std(1 / rejection, axis=0)
    bias = np.mean(1 / rejection, axis=0) - passing
    # The quantile of a small sample is a little biased.
    np.testing.assert_allclose(bias / scatter, 0, atol=0.3)
    size = np.sqrt(np.mean((error / rejection**2) ** 2, axis=0))
    np.testing.assert_allclose(size, scatter, rtol=0.12)
    covered = np.mean(np.abs(rejection - 1 / passing) < error, axis=0)
    np.testing.assert_allclose(covered, 0.683, atol=0.07)


def test_counts():
    y = np.repeat([1, 0], [4, 10])
    scores = np.concatenate([[1.0, 2.0, 3.0, 4.0], np.arange(10) - 5.5])
    # the cuts are at 3, 2 and 1: of the background -5.5 ... 3.5 pass 1, 2 and 3
    value, _ = background_rejection(y, scores, [0.5, 0.75, 1.0])
    np.testing.assert_allclose(value, [10.0, 5.0, 10 / 3])


def test_known_cut_leaves_the_binomial_error():
    y = np.repeat([1, 0], [50, 400])
    scores = np.append(np.zeros(50), np.random.default_rng(0).normal(size=400))
    value, error = background_rejection(y, scores, [0.3, 0.9])
    passing = np.mean(scores[50:] >= 0)
    np.testing.assert_allclose(value, 1 / passing)
    np.testing.assert_allclose(
        error, np.sqrt(passing * (1 - passing) / 400) / passing**2
    )


# Errors from few signal jets, few background jets and both; narrow and wide signal.
@pytest.mark.parametrize(
    ("n_signal", "n_background", "mean", "width"),
    [
        (300, 6000, 1.0, 1.0),
        (1000, 1000, 1.0, 1.0),
        (4000, 500, 1.0, 1.0),
        (500, 2000, 1.0, 0.5),
        (500, 2000, 0.7, 1.5),
    ],
)
def test_error_is_the_scatter_around_the_exact_rejection(
    n_signal, n_background, mean, width
):
    rng = np.random.default_rng(0)
    wanted = np.array([0.3, 0.5, 0.8, 0.95])
    experiments = [
        background_rejection(*sample(n_signal, n_background, mean, width, rng), wanted)
        for _ in range(400)
    ]
    assert_error_is_the_scatter(experiments, norm.sf(mean + width * norm.isf(wanted)))


def test_weighted_error_is_the_scatter_around_the_exact_rejection():
    rng = np.random.default_rng(1)
    wanted = np.array([0.4, 0.6, 0.8])
    experiments = []
    for _ in range(400):
        y, scores, weights = weighted_sample(rng)
        experiments.append(background_rejection(y, scores, wanted, weights))
    assert_error_is_the_scatter(experiments, norm.sf(1 + norm.isf(wanted)))


def test_a_weight_of_two_has_the_value_of_two_jets_but_the_error_of_one():
    y, scores = sample(2000, 3000, 1.0, 1.0, np.random.default_rng(0))
    wanted = [0.3, 0.6, 0.9]
    single = background_rejection(y, scores, wanted)
    double = background_rejection(np.repeat(y, 2), np.repeat(scores, 2), wanted)
    weighted = background_rejection(y, scores, wanted, np.full(5000, 2.0))
    np.testing.assert_allclose(weighted, single, rtol=1e-12)
    np.testing.assert_allclose(double.value, single.value, rtol=1e-12)
    np.testing.assert_allclose(double.error, single.error / np.sqrt(2), rtol=0.05)


def test_only_the_order_of_the_scores_matters():
    rng = np.random.default_rng(0)
    y, scores = sample(300, 500, 1.0, 1.0, rng)
    weights = rng.exponential(size=800)
    expected = background_rejection(y, scores, [0.3, 0.6], weights)
    rows = rng.permutation(800)
    shuffled = background_rejection(
        np.array(["gluon", "quark"])[y[rows]],
        np.exp(scores[rows]),
        [0.3, 0.6],
        7 * weights[rows],
    )
    np.testing.assert_allclose(shuffled, expected, rtol=1e-12)


def test_rejection_is_infinite_if_no_background_passes():
    y, scores = [0, 0, 0, 1, 1, 1], [0.0, 1.0, 2.5, 2.0, 3.0, 4.0]
    value, error = background_rejection(y, scores, [0.6, 1.0])
    np.testing.assert_allclose(value, [np.inf, 3.0])
    np.testing.assert_array_equal(np.isfinite(error), [False, True])
    value, error = background_rejection(y, scores, [1.0], [1, 1, -0.5, 1, 1, 1])
    assert (value[0], error[0]) == (np.inf, np.inf)


def test_unusable_rejection():
    y, scores = [0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(ValueError, match="efficiencies must be above 0 and up to 1"):
        background_rejection(y, scores, [0.5, 1.1])
    with pytest.raises(ValueError, match="y_true must hold two classes"):
        background_rejection([1, 1, 1, 1], scores, [0.5])
    with pytest.raises(
        ValueError, match="sample_weight of the signal must not be negative"
    ):
        background_rejection(y, scores, [0.5], [1, 1, 2, -1])


class Score(ClassifierMixin, BaseEstimator):
    """Takes a column as the score."""

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X[:, self.column]


@pytest.fixture
def jets():
    y, scores = sample(400, 1000, 1.0, 1.0, np.random.default_rng(0))
    return scores[:, None], y


def test_score_is_the_logarithm_of_the_rejection(jets):
    X, y = jets
    score = make_log_rejection_scorer(0.7)(Score().fit(X, y), X, y)
    passing = 1000 / background_rejection(y, X[:, 0], [0.7]).value[0]
    assert score == pytest.approx(np.log(1001 / (passing + 0.5)))


def test_score_is_finite_and_rises_with_every_rejected_jet():
    y = np.repeat([1, 0], [10, 8])
    scorer = make_log_rejection_scorer(1.0)
    scores = []
    for n_passing in range(9):
        X = np.where(y == 1, 1.0, -1.0)[:, None]
        X[10 : 10 + n_passing] = 2.0
        scores.append(scorer(Score().fit(X, y), X, y))
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()
    assert scores[0] == pytest.approx(np.log(18))


def test_score_counts_the_effective_number_of_jets(jets):
    X, y = jets
    scorer, classifier = make_log_rejection_scorer(), Score().fit(X, y)
    tripled = scorer(classifier, X, y, sample_weight=np.full(1400, 3.0))
    assert tripled == pytest.approx(scorer(classifier, X, y))
    separated = np.where(y == 1, 9.0, -9.0)[:, None]
    weights = np.append(np.ones(400), np.tile([1.0, 3.0], 500))
    # sum(w)^2 / sum(w^2) = 2000^2 / 5000
    score = scorer(classifier, separated, y, sample_weight=weights)
    assert score == pytest.approx(np.log(2 * 801))


@pytest.mark.parametrize(
    "classifier",
    [LogisticRegression(), RandomForestClassifier(n_estimators=5, random_state=0)],
)
def test_decision_function_or_probabilities(classifier):
    X, y = make_classification(400, random_state=0)
    classifier.fit(X, y)
    if hasattr(classifier, "decision_function"):
        output = classifier.decision_function(X)
    else:
        output = classifier.predict_proba(X)[:, 1]
    expected = make_log_rejection_scorer()(Score().fit(X, y), output[:, None], y)
    assert make_log_rejection_scorer()(classifier, X, y) == expected


@pytest.fixture
def two_columns():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 300)
    return np.column_stack([rng.normal(size=600), rng.normal(6.0 * y)]), y


def test_grid_search_when_no_background_passes(two_columns):
    search = GridSearchCV(
        Score(), {"column": [0, 1]}, scoring=make_log_rejection_scorer()
    ).fit(*two_columns)
    assert search.best_params_ == {"column": 1}
    useless, perfect = search.cv_results_["mean_test_score"]
    assert useless == pytest.approx(np.log(2), abs=0.2)
    # 60 background jets in each of the five folds
    assert perfect == pytest.approx(np.log(2 * 61))


def test_weights_are_routed(two_columns):
    X, y = two_columns
    weights = np.random.default_rng(1).exponential(size=600)
    scorer = make_log_rejection_scorer(0.3)
    folds = list(KFold(3).split(X))
    expected = [
        scorer(Score().fit(X, y), X[rows], y[rows], sample_weight=weights[rows])
        for _, rows in folds
    ]
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            Score().set_fit_request(sample_weight=False),
            {"column": [0]},
            scoring=scorer.set_score_request(sample_weight=True),
            cv=folds,
        ).fit(X, y, sample_weight=weights)
    scores = [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)]
    np.testing.assert_allclose(scores, expected)


def test_scorer_survives_a_pickle(jets):
    X, y = jets
    scorer = make_log_rejection_scorer(0.3)
    restored = pickle.loads(pickle.dumps(scorer))
    assert restored(Score().fit(X, y), X, y) == scorer(Score().fit(X, y), X, y)


@pytest.mark.parametrize("efficiency", [0.0, -0.1, 1.1, np.nan])
def test_unusable_efficiency_of_a_scorer(efficiency):
    with pytest.raises(ValueError, match="efficiency must be above 0 and up to 1"):
        make_log_rejection_scorer(efficiency)


def test_scorer_of_three_classes():
    X, y = np.arange(6.0)[:, None], np.arange(6) % 3
    with pytest.raises(ValueError, match="y_true must hold two classes"):
        make_log_rejection_scorer()(LogisticRegression().fit(X, y), X, y)


def test_a_single_efficiency():
    y = np.repeat([0, 1], 100)
    scores = np.random.default_rng(0).normal(y)
    one, several = (background_rejection(y, scores, e) for e in (0.5, [0.5]))
    np.testing.assert_array_equal(one, several)
