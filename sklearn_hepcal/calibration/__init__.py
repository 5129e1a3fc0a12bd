"""Calibration of simulation to data: transport maps, weights, coordinates."""

from ._ot import OTCalibrator
from ._reweight import DensityRatioReweighter
from ._scale_factors import ScaleFactorCalibrator
from ._simplex import SimplexTransformer

__all__ = [
    "DensityRatioReweighter",
    "OTCalibrator",
    "ScaleFactorCalibrator",
    "SimplexTransformer",
]
