"""What the commands share: options, and checks of the files to write."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that exist"
    )
    add_verbose(parser)


def add_verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="show a progress bar"
    )


# Refuse a file that cannot or must not be written, before anything is done.
def check_target(path: str, inputs: Sequence[str], overwrite: bool) -> Path:
    target = Path(path).expanduser().resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(target.parent)!r}.")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder.")
    if target in [Path(other).expanduser().resolve() for other in inputs]:
        raise ValueError(f"{target} is named twice; choose another file to write.")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; --overwrite replaces it.")
    return target
