import pickle

import numpy as np
import pytest
from sklearn import clone, config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate

from sklearn_hepcal.metrics import (
    background_rejection,
    discriminant,
    make_log_rejection_scorer,
    make_tagging_scorer,
)

NUMBERS = np.array([0, 4, 5])


class Probabilities(ClassifierMixin, BaseEstimator):
    """Takes the features as probabilities, raised to a power."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        p = X**self.power
        return p / p.sum(axis=1, keepdims=True)


@pytest.fixture
def jets():
    rng = np.random.default_rng(0)
    column = rng.integers(3, size=3000)
    proba = rng.gamma(np.where(np.arange(3) == column[:, None], 2.5, 1.0))
    return proba, NUMBERS[column]


# (k + 1/2) / (n + 1) of n background jets pass
def expected_score(y, scores, is_background, efficiency, signal=5):
    rows = (y == signal) | is_background
    rejection = background_rejection(y[rows] == signal, scores[rows], [efficiency])
    n_jets = is_background.sum()
    return -np.log((n_jets / rejection.value[0] + 0.5) / (n_jets + 1))


@pytest.mark.parametrize("background", [None, 0, 4, "c"])
@pytest.mark.parametrize("fractions", [None, {"c": 0.018, "u": 0.982}])
def test_score_is_the_logarithm_of_the_rejection(jets, background, fractions):
    X, y = jets
    scorer = make_tagging_scorer(5, background, 0.6, fractions)
    number = {"c": 4}.get(background, background)
    is_background = y != 5 if background is None else y == number
    mix = fractions or {"c": 0.2, "u": 0.8}
    scores = discriminant(X, fractions=mix)
    assert scorer(Probabilities().fit(X, y), X, y) == pytest.approx(
        expected_score(y, scores, is_background, 0.6)
    )


def test_defaults_are_a_b_tagger_at_77_percent(jets):
    X, y = jets
    names = np.array(["ujets", "cjets", "bjets"])[np.searchsorted(NUMBERS, y)]
    X_by_name = X[:, [2, 1, 0]]  # in the order of the names
    scorer = make_tagging_scorer("b")
    by_name = scorer(Probabilities().fit(X_by_name, names), X_by_name, names)
    assert by_name == pytest.approx(scorer(Probabilities().fit(X, y), X, y))
    assert by_name == pytest.approx(expected_score(y, discriminant(X), y != 5, 0.77))


def test_two_classes_are_those_of_the_log_rejection_scorer(jets):
    X, y = jets
    rows = y != 4
    X, y = X[rows][:, [0, 2]], y[rows]
    weights = np.random.default_rng(0).exponential(size=len(y))
    classifier = Probabilities().fit(X, y)
    for sample_weight in (None, weights):
        expected = make_log_rejection_scorer(0.5)(
            classifier, X, y, sample_weight=sample_weight
        )
        score = make_tagging_scorer(5, efficiency=0.5)(
            classifier, X, y, sample_weight=sample_weight
        )
        assert score == pytest.approx(expected)


def test_perfect_and_useless_taggers_have_finite_scores(jets):
    _, y = jets
    perfect = np.eye(3)[np.searchsorted(NUMBERS, y)]
    n_light = np.count_nonzero(y == 0)
    scorer = make_tagging_scorer(5, 0)
    score = scorer(Probabilities().fit(perfect, y), perfect, y)
    assert score == pytest.approx(np.log(2 * (n_light + 1)))
    useless = np.ones((len(y), 3))
    score = scorer(Probabilities().fit(useless, y), useless, y)
    assert score == pytest.approx(0, abs=1e-3)


def test_cross_validation_and_grid_search(jets):
    X, y = jets
    scorer = make_tagging_scorer(5, 4)
    folds = KFold(3)
    scores = cross_val_score(Probabilities(), X, y, scoring=scorer, cv=folds)
    expected = [
        scorer(Probabilities().fit(X, y), X[test], y[test])
        for _, test in folds.split(X)
    ]
    np.testing.assert_array_equal(scores, expected)
    several = cross_validate(
        Probabilities(), X, y, scoring={"c": scorer, "light": make_tagging_scorer(5, 0)}
    )
    assert (several["test_light"] != several["test_c"]).all()
    # the inverse of the probabilities rejects the signal
    search = GridSearchCV(Probabilities(), {"power": [-1.0, 1.0]}, scoring=scorer)
    assert search.fit(X, y).best_params_ == {"power": 1.0}


def test_weights_are_routed(jets):
    X, y = jets
    weights = np.random.default_rng(1).exponential(size=3000)
    scorer = make_tagging_scorer("b", "u")
    folds = list(KFold(3).split(X))
    expected = [
        scorer(Probabilities().fit(X, y), X[t], y[t], sample_weight=weights[t])
        for _, t in folds
    ]
    with config_context(enable_metadata_routing=True):
        requested = scorer.set_score_request(sample_weight=True)
        search = GridSearchCV(
            Probabilities().set_fit_request(sample_weight=False),
            {"power": [1.0]},
            scoring=requested,
            cv=folds,
        ).fit(X, y, sample_weight=weights)
        scores = cross_val_score(
            Probabilities().set_fit_request(sample_weight=False),
            X,
            y,
            scoring=requested,
            cv=folds,
            params={"sample_weight": weights},
        )
    np.testing.assert_allclose(scores, expected)
    splits = [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)]
    np.testing.assert_allclose(splits, expected)


def test_other_jets_and_their_weights_do_not_count(jets):
    X, y = jets
    classifier = Probabilities().fit(X, y)
    scorer = make_tagging_scorer(5, 0)
    weights = np.where(y == 4, -0.7, 1.0)
    score = scorer(classifier, X, y, sample_weight=weights)
    assert score == pytest.approx(scorer(classifier, X[y != 4], y[y != 4]))
    # a class that the classifier does not know is background like any other
    unknown = np.where(y == 4, 15, y)
    everything = make_tagging_scorer(5)
    assert everything(classifier, X, unknown) == everything(classifier, X, y)


def test_copies_and_name(jets):
    X, y = jets
    scorer = make_tagging_scorer("b", "c", 0.7, {"c": 0.1, "u": 0.9})
    classifier = Probabilities().fit(X, y)
    for copied in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert copied(classifier, X, y) == scorer(classifier, X, y)
    assert repr(scorer) == "make_tagging_scorer('b', 'c', 0.7, {'c': 0.1, 'u': 0.9})"


@pytest.mark.parametrize("efficiency", [0.0, -0.1, 1.1, np.nan])
def test_unusable_efficiency(efficiency):
    with pytest.raises(ValueError, match="efficiency must be above 0 and up to 1"):
        make_tagging_scorer("b", efficiency=efficiency)


def test_unusable_classes(jets):
    X, y = jets
    classifier = Probabilities().fit(X, y)
    with pytest.raises(ValueError, match="background must differ from signal, got 5"):
        make_tagging_scorer("b", 5)
    with pytest.raises(ValueError, match="y has no jets of the background, 'tau'"):
        make_tagging_scorer("b", "tau")(classifier, X, y)
    with pytest.raises(ValueError, match="y has no jets of the signal, 5"):
        make_tagging_scorer(5)(classifier, X[y != 5], y[y != 5])
    with pytest.raises(ValueError, match="y has no jets of the background, None"):
        make_tagging_scorer(5)(classifier, X[y == 5], y[y == 5])
    with pytest.raises(ValueError, match=r"signal must be one of \[0, 4, 5\], got 15"):
        make_tagging_scorer(15)(classifier, X, np.where(y == 5, 15, y))
