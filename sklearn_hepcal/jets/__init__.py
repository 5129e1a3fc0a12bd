"""The one container for jets with a variable number of constituents."""

from ._check import check_jets, validate_jets
from ._jets import Jets

__all__ = ["Jets", "check_jets", "validate_jets"]
