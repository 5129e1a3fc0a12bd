"""calibration."""

from ._reweight import DensityRatioReweighter
from ._simplex import SimplexTransformer

__all__ = ["DensityRatioReweighter", "SimplexTransformer"]
