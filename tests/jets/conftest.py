import numpy as np
import pytest
from ftag_tables import random_tables, write_tables

from sklearn_hepcal.jets import Jets, _files


@pytest.fixture(params=[0, 1, 2])
def jets(request):
    """Random jets of 0 to 6 constituents, the first, last and some others empty."""
    rng = np.random.default_rng(request.param)
    n_jets = 40
    counts = rng.integers(0, 7, n_jets)
    counts[[0, 7, 8, -1]] = 0
    n_constituents = counts.sum()
    return Jets(
        features=rng.normal(size=(n_jets, 2)),
        constituents=rng.uniform(0.1, 5.0, size=(n_constituents, 4)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        feature_names=["mass", "width"],
        labels={
            "flavour": rng.choice([0, 4, 5], n_jets),
            "process": rng.choice(["QCD", "top"], n_jets),
        },
        constituent_labels={"origin": rng.integers(0, 3, n_constituents)},
    )


@pytest.fixture
def tables():
    """Jets and tracks in the layout of ATLAS's flavour tagging."""
    return random_tables(60)


@pytest.fixture
def path(tmp_path, tables):
    """A file of these tables."""
    return write_tables(tmp_path / "ttbar.h5", *tables)


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C at the last moment."""

    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(_files.os, "replace", interrupt)
