from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from . import _apply, _calibrate, _generate

# What users can mend: such errors are told in one line.
_EXPECTED = (OSError, ValueError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments, by default those of the process.

    Returns
    -------
    int
        The exit code: 0, or 1 after an error, or 130 after Ctrl-C. Wrong arguments
        exit with 2.
    """
    arguments = _make_parser().parse_args(argv)
    name = f"sklearn_hepcal {arguments.command}"

    def tell(kind: str, message: object) -> None:
        print(f"{name}: {kind}:", *str(message).split(), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *place: tell("warning", message)
        try:
            arguments.run(arguments)
        except _EXPECTED as error:
            tell("error", error)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_hepcal",
        description="Generate jets, calibrate simulation to data, and apply the "
        "calibration to files.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (_generate, _calibrate, _apply):
        command.add_to(commands)
    return parser
