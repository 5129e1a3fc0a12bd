"""The one container for jets with a variable number of constituents."""

from ._axis import RelativeConstituents, relative_constituents
from ._check import check_jets, validate_jets
from ._ftag_h5 import iterate_ftag_h5, read_ftag_h5
from ._ftag_h5_write import write_ftag_h5
from ._ftag_scores import write_ftag_scores
from ._jets import Jets

__all__ = [
    "Jets",
    "RelativeConstituents",
    "check_jets",
    "iterate_ftag_h5",
    "read_ftag_h5",
    "relative_constituents",
    "validate_jets",
    "write_ftag_h5",
    "write_ftag_scores",
]
