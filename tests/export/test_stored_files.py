"""Files of all releases load, and give what they gave."""

import numpy as np
import pytest
from make_files import FILES, apply

from sklearn_hepcal import export

STORED = sorted(FILES.glob("*/*.hepcal"))
IDS = [f"{file.parent.name}-{file.stem}" for file in STORED]


def test_there_are_files():
    assert len(STORED) >= 14
    assert sum(file.stat().st_size for file in FILES.rglob("*")) < 200_000


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("file", STORED, ids=IDS)
def test_stored_file(file):
    estimator = export.load(file)
    with np.load(file.parent / "results.npz") as results:
        X, expected = (results[f"{file.stem}_{part}"] for part in ("X", "result"))
    np.testing.assert_allclose(apply(estimator, X), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_stored_replicas():
    for file in FILES.glob("*/convex.hepcal"):
        calibrator = export.load(file)
        with np.load(file.parent / "results.npz") as results:
            X, expected = results["convex_X"], results["convex_result"]
        moved = [calibrator.transform(X, replica=i) for i in range(2)]
        assert 0 < np.abs(moved[0] - moved[1]).max() < 1
        np.testing.assert_allclose(moved[0], expected, atol=1)
