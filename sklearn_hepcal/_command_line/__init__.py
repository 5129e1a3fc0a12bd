"""The command line: generate samples, fit a calibration, apply it to files."""

from ._main import main

__all__ = ["main"]
