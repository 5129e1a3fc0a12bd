"""Regression of true quantities from measured ones, whatever the training spectrum."""

from ._gaussian_ansatz import GaussianAnsatzRegressor

__all__ = ["GaussianAnsatzRegressor"]
