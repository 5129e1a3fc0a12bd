"""A lock on a file between processes, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    from fcntl import LOCK_EX, flock
except ImportError:  # Windows, where two downloads of one file at once would mix
    flock = None  # type: ignore[assignment]


# Hold a file, which is made if it is missing, and removed if nothing was written to it.
# Others wait until it is released.
@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    if flock is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(open(path, "ab"))
            # some file systems of computing centres have no locks
            with contextlib.suppress(OSError):
                flock(file, LOCK_EX)
            if _is_at(file, path):
                break
        try:
            yield
        finally:
            if path.exists() and path.stat().st_size == 0:
                path.unlink()


# A file that another process held may have been renamed or removed in the meantime.
def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
