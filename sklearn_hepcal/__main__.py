"""Run the command line, see ``python -m sklearn_hepcal --help``."""

import signal
import sys

from ._command_line import main

if __name__ == "__main__":
    # unfinished files are removed on the way out, as they are after Ctrl-C
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
