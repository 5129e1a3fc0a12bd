import functools
import os
from pathlib import Path

# One thread, set before numpy and torch start theirs: results are then the same on
# every machine, and parallel tests do not fight over the cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402
from example_runs import run_example  # noqa: E402
from small_fits import QUICK  # noqa: E402

from sklearn_hepcal.classification import MomentEFNClassifier  # noqa: E402
from sklearn_hepcal.datasets import (  # noqa: E402
    load_quark_gluon_jets,
    make_transport_problem,
)


@pytest.fixture(scope="session")
def data_dir():
    """Folder of the larger samples, which are not part of the package."""
    path = os.environ.get("SKLEARN_HEPCAL_DATA")
    if path is None:
        pytest.skip("SKLEARN_HEPCAL_DATA does not name the folder of the samples")
    if not Path(path).is_dir():
        pytest.fail(f"SKLEARN_HEPCAL_DATA={path} is not a folder")
    return Path(path)


@pytest.fixture(scope="module")
def tagged_jets():
    """Quark and gluon jets, and whether they are quarks'."""
    jets, is_quark = load_quark_gluon_jets(n_jets=600, return_X_y=True)
    return jets.replace(labels={}), is_quark


@pytest.fixture(scope="module")
def counting_classifier(tagged_jets):
    return MomentEFNClassifier(2, 2, weighting="count", **QUICK).fit(*tagged_jets)


@pytest.fixture(scope="module")
def quick_classifier(tagged_jets):
    return MomentEFNClassifier(2, 2, **QUICK).fit(*tagged_jets)


@pytest.fixture(scope="module")
def transport_problem():
    """Simulation and data of two features that are moved and one condition."""
    return make_transport_problem(3000, dim=2, conditional=True, random_state=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run an example once, in a folder of its own; return its output and the folder."""

    @functools.cache
    def run_once(name):
        folder = tmp_path_factory.mktemp(name)
        return run_example(name, folder), folder

    return run_once
