"""The one container for jets with a variable number of constituents."""

from ._axis import RelativeConstituents, relative_constituents
from ._check import check_jets, validate_jets
from ._jets import Jets

__all__ = [
    "Jets",
    "RelativeConstituents",
    "check_jets",
    "relative_constituents",
    "validate_jets",
]
