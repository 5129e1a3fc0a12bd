"""Classifiers of jets."""

from .._log_angularity import LogAngularity
from ._moment_efn import MomentEFNClassifier

__all__ = ["LogAngularity", "MomentEFNClassifier"]
