import pickle

import numpy as np
import pytest
from jet_changes import permute, split
from seeds import FIRST_SEED_ELSE_SLOW
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import relative_constituents
from sklearn_hepcal.regression import MomentEFNRegressor

SMALL = {"phi_layer_sizes": (32,), "f_layer_sizes": (32,), "coordinates": "linear"}


@pytest.fixture(scope="module")
def jets():
    return load_quark_gluon_jets(n_jets=3000).data.replace(labels={})


def angularity(jets, power):
    relative = relative_constituents(jets)
    r = np.hypot(relative.dy, relative.dphi)
    return np.bincount(jets.jet_index, relative.fraction * r**power)


# Sums over constituents, which one component of Phi can be.
@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_one_moment_is_enough_for_an_angularity(jets, seed):
    y = angularity(jets, 1.0)
    regressor = MomentEFNRegressor(1, 1, random_state=seed, **SMALL)
    regressor.fit(jets[:2000], y[:2000])
    assert regressor.score(jets[2000:], y[2000:]) > 0.98
    # Phi is the distance to the axis, but for an offset and a factor.
    r = np.linspace(0.01, 0.3, 30)
    phi = regressor.latent_function(np.stack([r, np.zeros(30)], axis=1))[:, 0]
    assert abs(np.corrcoef(phi, r)[0, 1]) > 0.98


def test_targets_of_any_scale_and_number(jets):
    y = np.stack([angularity(jets, 1.0), angularity(jets, 2.0)], axis=1)
    regressor = MomentEFNRegressor(2, 2, random_state=0, max_epochs=3, **SMALL)
    both = clone(regressor).fit(jets, y).predict(jets)
    assert both.shape == (3000, 2)
    scaled = clone(regressor).fit(jets, 1024 * y + [0, 1]).predict(jets)
    np.testing.assert_allclose(scaled, 1024 * both + [0, 1], 1e-4)
    one = clone(regressor).fit(jets, y[:, 0]).predict(jets)
    assert one.shape == (3000,)
    column = clone(regressor).fit(jets, y[:, :1]).predict(jets)
    np.testing.assert_array_equal(column[:, 0], one)


@pytest.mark.parametrize("moments", ["central", "raw"])
def test_infrared_and_collinear_safety(jets, moments):
    y = angularity(jets, 1.0)
    regressor = MomentEFNRegressor(
        3, 2, moments=moments, max_epochs=2, random_state=0, **SMALL
    ).fit(jets, y)
    expected = regressor.predict(jets)
    assert np.ptp(expected) > 0.01
    for change in (permute, split):
        np.testing.assert_allclose(
            regressor.predict(change(jets)), expected, rtol=0, atol=1e-12
        )


def test_weights_decide_which_target_counts(jets):
    r = angularity(jets, 1.0)
    half = np.arange(3000) % 2 == 0
    y = np.where(half, r, 1.0 - r)
    regressor = MomentEFNRegressor(1, 1, random_state=0, **SMALL)
    regressor.fit(jets, y, sample_weight=np.where(half, 1.0, 0.0))
    assert np.corrcoef(regressor.predict(jets), r)[0, 1] > 0.98


def test_cross_validation_and_pickle(jets):
    y = angularity(jets, 1.0)
    regressor = MomentEFNRegressor(1, 1, max_epochs=5, random_state=0, **SMALL)
    assert cross_val_score(regressor, jets, y, cv=3).min() > 0.8
    copy = pickle.loads(pickle.dumps(regressor.fit(jets, y)))
    np.testing.assert_array_equal(copy.predict(jets), regressor.predict(jets))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        (np.full(3000, np.nan), "y contains NaN"),
        (np.zeros(5), "inconsistent"),
    ],
)
def test_what_is_refused(jets, y, message):
    with pytest.raises(ValueError, match=message):
        MomentEFNRegressor().fit(jets, y)


def test_weights_without_a_positive_sum(jets):
    with pytest.raises(ValueError, match="sample_weight must have a positive sum"):
        MomentEFNRegressor().fit(jets, np.arange(3000), sample_weight=-np.ones(3000))
