"""From the scores of a tagger to mis-tag rates like those of data: minutes of training.

Either half of the simulated jets is corrected by what the other halves of simulation
and data have taught, so that no jet is judged that a fit has seen. All are then judged
together: what the halves differ by cancels to first order, so that the errors are those
of the counts and need no part for the fit.
"""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from sklearn_hepcal.calibration import (
    OTCalibrator,
    ScaleFactorCalibrator,
    SimplexTransformer,
)
from sklearn_hepcal.datasets import load_flavour_scores
from sklearn_hepcal.metrics import (
    closure_auc,
    discriminant,
    efficiency_ratio,
    kinematic_weights,
    working_point_cuts,
)

pytestmark = pytest.mark.slow

WORKING_POINTS = [0.77, 0.85, 0.90]
# GeV; in narrower bins scale factors, ratios of few counts, are too large on average
PT_BINS = [20, 40, 60, 110, np.inf]
SCORES, LOG_PT = [0, 1, 2], 3
SEEDS = [0, 1, 2]


# Scores and log pT, domain labels, and weights that give both domains one spectrum.
def load(data_dir, flavour):
    path = data_dir / "flavour_scores.npz"
    X, y = load_flavour_scores(flavour=flavour, path=path, return_X_y=True)
    X = np.column_stack([X[:, SCORES], np.log(X[:, 3])])
    return X, y, kinematic_weights(X[:, LOG_PT], y, target=1, bins=40)


@pytest.fixture(scope="module")
def light(data_dir):
    return load(data_dir, "light")


@pytest.fixture(scope="module")
def b(data_dir):
    return load(data_dir, "b")


@pytest.fixture(scope="module")
def cuts(b):
    X, y, _ = b
    return working_point_cuts(discriminant(X[y == 0][:, SCORES]), WORKING_POINTS)


def with_d_b(X):
    return np.column_stack([discriminant(X[:, SCORES]), X[:, LOG_PT]])


# Each of these returns what acts on simulated jets and their weights.
def learn_map(X, y, weight, seed):
    chain = make_pipeline(
        SimplexTransformer(SCORES),
        OTCalibrator(conditions=[2], max_epochs=80, random_state=seed),
        SimplexTransformer(SCORES, inverse=True),
    ).fit(X, y)
    return lambda X, weight: (chain.transform(X), weight)


def learn_map_of_d_b(X, y, weight, seed):
    calibrator = OTCalibrator("quantile", conditions=[1]).fit(with_d_b(X), y)

    def move(X, weight):
        before = with_d_b(X)
        step = (calibrator.transform(before) - before)[:, 0]
        odds = np.column_stack([X[:, :2], X[:, 2] * np.exp(step)])
        return np.column_stack([odds / odds.sum(axis=1)[:, None], X[:, LOG_PT]]), weight

    return move


def learn_scale_factors(cuts):
    def learn(X, y, weight, seed):
        calibrator = ScaleFactorCalibrator(cuts, bins=np.log(PT_BINS))
        calibrator.fit(with_d_b(X), y, weight)
        return lambda X, weight: (X, weight * calibrator.predict(with_d_b(X)))

    return learn


# Corrected simulation with its weights, and data.
def correct(learn, sample, seed):
    X, y, weight = (column.copy() for column in sample)
    folds = StratifiedKFold(2, shuffle=True, random_state=seed)
    for fit, held_out in folds.split(X, y):
        act = learn(*(column[fit] for column in sample), seed)
        rows = held_out[y[held_out] == 0]
        X[rows], weight[rows] = act(X[rows], weight[rows])
    return X[y == 0], weight[y == 0], X[y == 1]


def before(sample):
    X, y, weight = sample
    return X[y == 0], weight[y == 0], X[y == 1]


def ratios(sim, weight, data, cuts):
    """Efficiencies in data over those in simulation."""
    return efficiency_ratio(
        discriminant(data[:, SCORES]),
        discriminant(sim[:, SCORES]),
        cuts,
        sample_weight_den=weight,
    )


def closure(sim, weight, data):
    simplex = SimplexTransformer(SCORES).fit(sim)
    return closure_auc(
        simplex.transform(sim),
        simplex.transform(data),
        sample_weight_sim=weight,
        random_state=0,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_map_closes_at_working_points_that_it_never_knew(light, cuts, seed):
    ratio, error = ratios(*before(light), cuts)
    assert (ratio - 1 > 5 * error).all()
    after = correct(learn_map, light, seed)
    ratio, error = ratios(*after, cuts)
    assert (np.abs(ratio - 1) < 2 * error).all()
    auc, error = closure(*after)
    assert auc < closure(*before(light)).auc - 10 * error


@pytest.mark.parametrize("seed", SEEDS)
def test_scale_factors_close_at_their_own_working_points(light, cuts, seed):
    ratio, error = ratios(*correct(learn_scale_factors(cuts), light, seed), cuts)
    assert (np.abs(ratio - 1) < 2 * error).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_scale_factors_do_not_carry_over_to_looser_points(light, cuts, seed):
    for k, cut in enumerate(cuts[:-1]):
        ratio, error = ratios(*correct(learn_scale_factors([cut]), light, seed), cuts)
        assert np.abs(ratio - 1)[k] < 2 * error[k]
        assert (ratio - 1 > 5 * error)[k + 1 :].all()


@pytest.mark.parametrize("seed", SEEDS)
def test_map_of_the_discriminant_alone_breaks_the_other_score(light, cuts, seed):
    after = correct(learn_map_of_d_b, light, seed)
    ratio, error = ratios(*after, cuts)
    assert (np.abs(ratio - 1) < 2 * error).all()
    assert closure(*after).auc > closure(*before(light)).auc + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_b_jets_are_not_made_worse(b, cuts, seed):
    after = correct(learn_map, b, seed)
    old, (new, error) = ratios(*before(b), cuts).value, ratios(*after, cuts)
    assert (np.abs(new - 1) < np.abs(old - 1) + error).all()
    auc, error = closure(*after)
    assert auc < closure(*before(b)).auc + 2 * error
