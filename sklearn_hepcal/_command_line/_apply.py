"""The command `apply`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..jets._chunks import CHUNK_SIZE
from ._arguments import add_common, check_target
from ._calibration import Calibration
from ._rewrite import rewrite_ftag_h5, rewrite_parquet
from ._sample import file_format

_DESCRIPTION = """\
Move the columns of a file as a calibration tells. All other columns stay as they are,
and so does their order. The file is parquet, or HDF5 of ATLAS's flavour tagging, and
OUT is of the same format. OUT appears when it is complete. A calibration is a pickle:
load only those that you trust."""


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "apply", help="apply a calibration to a file", description=_DESCRIPTION
    )
    add = parser.add_argument
    add("calibration", metavar="CALIBRATION", help="what `calibrate` wrote")
    add("source", metavar="IN", help="the file to read")
    add("target", metavar="OUT", help="the file to write")
    add(
        "--chunk-size",
        type=int,
        default=CHUNK_SIZE,
        metavar="N",
        help="jets in memory at a time (default: %(default)s)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    inputs = [arguments.calibration, arguments.source]
    target = check_target(arguments.target, inputs, arguments.overwrite)
    size = arguments.chunk_size
    if size < 1:
        raise ValueError(f"--chunk-size must be at least 1, got {size}.")
    calibration = Calibration.load(Path(arguments.calibration))
    source = Path(arguments.source)
    match file_format(source):
        case "parquet":
            rewrite = rewrite_parquet
        case "HDF5":
            rewrite = rewrite_ftag_h5
        case "ROOT":
            raise ValueError(
                f"{source} is ROOT, which is not written; read it, and write parquet "
                "by sklearn_hepcal.jets.write_parquet."
            )
    rewrite(source, target, calibration, size, arguments.verbose)
