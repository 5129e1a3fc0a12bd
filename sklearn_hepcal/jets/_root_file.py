"""Trees and RNTuples of ROOT files: named columns of numbers, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._optional import import_optional
from ._files import suggest
from ._ragged import counts_to_offsets

_KINDS = ("TTree", "ROOT::RNTuple")


# The numbers of some events: one an event if there are no offsets, else a list each.
class Column(NamedTuple):
    values: NDArray
    offsets: NDArray[np.int64] | None


# Turn what uproot raises at broken files into one clear error.
@contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        # broken bytes are misread in many ways: they raise what they happen to
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} cannot be read as ROOT: it is truncated, corrupt or of another "
            f"format ({reason})."
        ) from error


# A tree or RNTuple of an open file. Branches have the names that `spell` makes of
# theirs: the two kinds of storage spell them differently.
class Tree:
    def __init__(self, path: Path, name: str, tree: Any, spell: Callable[[str], str]):
        self.path = path
        self.where = f"{name!r} of {path}"
        self.n_events = int(tree.num_entries)
        self._depths: dict[str, int] = {}
        # trees repeat the name of a branch before those of its branches
        self._branches = {
            spell(key.rpartition("/")[2]): branch for key, branch in tree.items()
        }

    @property
    def branches(self) -> Iterable[str]:
        return self._branches.keys()

    # Return 1 for one number an event, 2 for a list of them, 0 for anything else.
    def depth(self, branch: str) -> int:
        if branch not in self._depths:
            self._depths[branch] = self._find_depth(self._branches[branch])
        return self._depths[branch]

    def _find_depth(self, field: Any) -> int:
        if hasattr(field, "interpretation"):
            return _depth_in_tree(field.interpretation)
        ak = import_optional("awkward", "root")
        with readable(self.path):
            sample = field.array(entry_start=0, entry_stop=0)
            leaves = ak.to_numpy(ak.flatten(sample, axis=None))
        numbers = not sample.fields and leaves.dtype.kind in "biuf"
        return sample.ndim if numbers and sample.ndim <= 2 else 0

    # Read some events of a branch.
    def read(self, branch: str, start: int, stop: int) -> Column:
        ak = import_optional("awkward", "root")
        if branch not in self._branches:
            raise ValueError(
                f"{self.where} has no branch {branch!r}; "
                f"{suggest(branch, self.branches)}."
            )
        with readable(self.path):
            array = self._branches[branch].array(entry_start=start, entry_stop=stop)
            if array.ndim == 1:
                return Column(_native(ak.to_numpy(array)), None)
            offsets = counts_to_offsets(ak.to_numpy(ak.num(array, axis=1)))
            return Column(_native(ak.to_numpy(ak.flatten(array, axis=1))), offsets)


# A tree tells what it holds without being read.
def _depth_in_tree(interpretation: Any) -> int:
    uproot = import_optional("uproot", "root")
    depth = 1
    if isinstance(interpretation, uproot.AsJagged):
        interpretation, depth = interpretation.content, 2
    if not isinstance(interpretation, uproot.interpretation.numerical.Numerical):
        return 0
    return depth if interpretation.numpy_dtype.kind in "biuf" else 0


# ROOT stores numbers in big-endian order.
def _native(values: NDArray) -> NDArray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


# Open the first of some trees that a file has.
@contextmanager
def opened(
    path: Path, names: tuple[str, ...], spell: Callable[[str], str]
) -> Iterator[Tree]:
    uproot = import_optional("uproot", "root")
    with readable(path):
        # as a key, a path may hold the colon that else begins a name in the file
        file = uproot.open({path: None}, array_cache=None)
    with file:
        _refuse_truncated(file, path)
        with readable(path):
            known = file.classnames(cycle=False)
        found = [name for name in names if name in known]
        if not found:
            raise ValueError(f"{path} has no {names[0]!r}: {suggest(names[0], known)}.")
        if known[found[0]] not in _KINDS:
            raise ValueError(
                f"{path}: {found[0]!r} is a {known[found[0]]}, not a tree or RNTuple."
            )
        with readable(path):
            tree = Tree(path, found[0], file[found[0]], spell)
        yield tree


# The list of the contents may be there, but not all of them.
def _refuse_truncated(file: Any, path: Path) -> None:
    size, expected = path.stat().st_size, file.file.fEND
    if size < expected:
        raise ValueError(f"{path} is truncated: it has {size} of its {expected} bytes.")
