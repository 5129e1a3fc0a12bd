import json
from importlib import metadata, resources

import numpy as np
import pytest

DATA = resources.files("sklearn_hepcal.datasets") / "data"


def require_generator_of(file_name):
    """Skip a test unless Pythia and FastJet are those that made a bundled file."""
    with np.load(DATA / file_name) as arrays:
        (made, *_) = json.loads(str(arrays["production"]))
    for package in ("pythia8mc", "fastjet"):
        pytest.importorskip(package)
        recorded = made["production"]["versions"][package]
        if metadata.version(package) != recorded:
            pytest.skip(f"{file_name} was made with {package} {recorded}")
