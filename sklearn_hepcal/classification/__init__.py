"""Classifiers of jets."""

from .._log_angularity import LogAngularity
from ._flavour_tagger import FlavourTaggerClassifier
from ._moment_efn import MomentEFNClassifier

__all__ = ["FlavourTaggerClassifier", "LogAngularity", "MomentEFNClassifier"]
