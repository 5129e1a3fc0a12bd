"""Fitted estimators for other programs and other times."""

from ._container import FileError
from ._correctionlib import to_correctionlib
from ._load import load
from ._save import save
from ._to_onnx import to_onnx

__all__ = ["FileError", "load", "save", "to_correctionlib", "to_onnx"]
