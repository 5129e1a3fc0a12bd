"""Regression of true quantities from measured ones."""

from ._asymmetry_jer import AsymmetryJERRegressor
from ._gaussian_ansatz import GaussianAnsatzRegressor
from ._jet_pt import JetPtRegressor
from ._moment_efn import MomentEFNRegressor

__all__ = [
    "AsymmetryJERRegressor",
    "GaussianAnsatzRegressor",
    "JetPtRegressor",
    "MomentEFNRegressor",
]
