"""Fitted estimators for other programs and other times."""

from ._container import FileError
from ._correctionlib import to_correctionlib
from ._load import load
from ._save import save

__all__ = ["FileError", "load", "save", "to_correctionlib"]
