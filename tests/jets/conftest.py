import numpy as np
import pytest

from sklearn_hepcal.jets import Jets


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
