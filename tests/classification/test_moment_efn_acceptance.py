"""Long runs on quark and gluon jets, the bundled ones and the whole sample."""

import numpy as np
import pytest

from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.metrics import roc_auc

pytestmark = pytest.mark.slow

SEEDS = [0, 1, 2]
N_TEST = 20_000
# The network of the paper.
PLAIN = {"moments": "raw", "coordinates": "linear", "augment": False}


@pytest.fixture(scope="module")
def sample(data_dir):
    """Jets to test on, the others, and their labels."""
    jets, y = load_quark_gluon_jets(path=data_dir, return_X_y=True)
    rows = np.random.RandomState(0).permutation(len(y))
    test, train = np.split(rows, [N_TEST])
    return jets, y, test, train


def auc(sample, order, latent_dim, seed, n_train=None, **settings):
    """Area under the ROC curve of a fit to the first or all training jets."""
    jets, y, test, train = sample
    if n_train is not None:
        train = np.random.RandomState(seed).permutation(train)[:n_train]
    classifier = MomentEFNClassifier(
        order, latent_dim, random_state=seed, **settings
    ).fit(jets[train], y[train])
    return roc_auc(y[test], classifier.decision_function(jets[test]))


# The published code ends at 0.5 for some.
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("settings", [{}, PLAIN], ids=["default", "plain"])
def test_no_start_is_dead(order, seed, settings):
    jets, y = load_quark_gluon_jets(return_X_y=True)
    classifier = MomentEFNClassifier(
        order, 1, max_epochs=10, random_state=seed, **settings
    ).fit(jets[3000:], y[3000:])
    area = roc_auc(y[:3000], classifier.decision_function(jets[:3000]))
    assert area.value > 0.7


def test_few_jets(sample):
    ours, plain = (
        [auc(sample, 2, 8, seed, 5000, **settings).value for seed in SEEDS]
        for settings in ({}, PLAIN)
    )
    assert np.mean(np.subtract(ours, plain)) > 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_one_function_with_moments_does_the_work_of_four(sample, seed):
    one = auc(sample, 4, 1, seed, **PLAIN)
    four = auc(sample, 1, 4, seed, **PLAIN)
    assert one.value > four.value - 0.015
