import numpy as np
import pytest

from sklearn_hepcal.calibration import OTCalibrator


@pytest.mark.parametrize("seed", [2, 3, 6, 7])
def test_folds_that_leave_a_constant_column(seed):
    # Only two rows of the simulation differ in the first column: with these seeds one
    # fold takes both.
    X = np.array([[i, j] for i in (1, 2, 3) for j in (1, 2, 3, 4)], dtype=float)
    y = [0] * 4 + [1] * 4 + [0, 0, 1, 1]
    calibrator = OTCalibrator(random_state=seed).fit(X, y)
    assert calibrator.selection_ == "identity"
    assert np.isnan(calibrator.held_out_gain_["bures"][0])


def test_rows_too_few_in_every_fold():
    X = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.raises(ValueError, match="not positive"):
        OTCalibrator(shrinkage=0, random_state=0).fit(X, np.arange(6) % 2)
