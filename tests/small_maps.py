"""Short fits of optimal-transport maps, for what does not depend on their quality."""

import pytest

from sklearn_hepcal.calibration import OTCalibrator

SOLVERS = ["bures", "quantile", "picnn"]
each_solver = pytest.mark.parametrize("solver", SOLVERS)


def make(solver, **kwargs):
    """A calibrator without selection; a short training is enough for its properties."""
    return OTCalibrator(solver, selection=False, max_epochs=5, random_state=0, **kwargs)
