"""What readers and writers of files share: paths, atomic writing, missing columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from glob import glob, has_magic
from pathlib import Path
from uuid import uuid4

PathLike = str | os.PathLike[str]


# Return the files that a path, a pattern or a list of both names, in order.
def find_files(path: PathLike | Iterable[PathLike]) -> list[Path]:
    if isinstance(path, (str, os.PathLike)):
        return _expand(os.fspath(path))
    files = [file for entry in path for file in _expand(os.fspath(entry))]
    if not files:
        raise ValueError("path must name at least one file, got an empty list.")
    return files


def _expand(path: str) -> list[Path]:
    path = os.path.expanduser(path)
    if os.path.exists(path):
        return [Path(path)]
    files = [Path(match) for match in sorted(glob(path))] if has_magic(path) else []
    if not files:
        raise FileNotFoundError(f"There is no file {path!r}.")
    return files


# Yield a name beside the target to write to. The target appears, or changes, only when
# the block ends well; a block that fails leaves no trace.
@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    part = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


# Tell which of the known names a wrong one may have meant.
def suggest(name: str, known: Iterable[str]) -> str:
    spelling = {other.lower(): other for other in known}
    close = get_close_matches(name.lower(), spelling, n=3, cutoff=0.4)
    if close:
        return f"the nearest are {[spelling[other] for other in close]}"
    return f"there are {list(spelling.values())}"
