"""The one container for jets with a variable number of constituents."""

from ._axis import RelativeConstituents, relative_constituents
from ._check import check_jets, validate_jets
from ._ftag_h5 import iterate_ftag_h5, read_ftag_h5
from ._ftag_h5_write import write_ftag_h5
from ._ftag_scores import write_ftag_scores
from ._jets import Jets
from ._nanoaod import iterate_nanoaod, read_nanoaod
from ._parquet import iterate_parquet, read_parquet, read_parquet_metadata
from ._parquet_write import write_parquet
from ._physlite import iterate_physlite, read_physlite

__all__ = [
    "Jets",
    "RelativeConstituents",
    "check_jets",
    "iterate_ftag_h5",
    "iterate_nanoaod",
    "iterate_parquet",
    "iterate_physlite",
    "read_ftag_h5",
    "read_nanoaod",
    "read_parquet",
    "read_parquet_metadata",
    "read_physlite",
    "relative_constituents",
    "validate_jets",
    "write_ftag_h5",
    "write_ftag_scores",
    "write_parquet",
]
