"""Files that are whole, or not there."""

from __future__ import annotations

import os
from pathlib import Path

PathLike = str | os.PathLike[str]


def write_whole(path: PathLike, content: bytes) -> None:
    """Write a file under its name only when it is complete.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is replaced.
    content : bytes
        What it holds.
    """
    target = Path(path).expanduser()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
