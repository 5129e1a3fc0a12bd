import pytest
from small_fits import QUICK

from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.datasets import load_quark_gluon_jets


@pytest.fixture(scope="module")
def sample():
    """Quark and gluon jets, and whether they are quarks'."""
    jets, is_quark = load_quark_gluon_jets(n_jets=600, return_X_y=True)
    return jets.replace(labels={}), is_quark


@pytest.fixture(scope="module")
def unsafe(sample):
    return MomentEFNClassifier(2, 2, weighting="count", **QUICK).fit(*sample)


@pytest.fixture(scope="module")
def fitted_quickly(sample):
    return MomentEFNClassifier(2, 2, **QUICK).fit(*sample)
