"""Samples from files of any format that the package reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from .._optional import import_optional
from ..jets import (
    Jets,
    read_ftag_h5,
    read_nanoaod,
    read_parquet,
    read_physlite,
)
from ..jets._files import find_files
from ..jets._root_file import readable

Format = Literal["parquet", "HDF5", "ROOT"]

# How files begin.
_MAGIC: dict[bytes, Format] = {b"PAR1": "parquet", b"\x89HDF": "HDF5", b"root": "ROOT"}


def file_format(path: Path) -> Format:
    with path.open("rb") as file:
        start = file.read(4)
    if start not in _MAGIC:
        raise ValueError(f"{path} is neither parquet, HDF5 nor ROOT.")
    return _MAGIC[start]


# Rows of named columns, and their weights.
class Sample(NamedTuple):
    table: pd.DataFrame
    weight: NDArray[np.float64]

    # Return a part to fit and a part to test with.
    def split(self, test_size: float, random_state: int | None) -> list[Sample]:
        table, test_table, weight, test_weight = train_test_split(
            *self, test_size=test_size, random_state=random_state
        )
        return [Sample(table, weight), Sample(test_table, test_weight)]


# Read columns of numbers, one a jet, from a file or from all that a pattern names.
def read_sample(path: str, names: Sequence[str], weight: str | None) -> Sample:
    wanted = [*names] if weight is None else [*dict.fromkeys([*names, weight])]
    labels = _read(path, wanted).labels
    for name in wanted:
        if labels[name].ndim != 1 or labels[name].dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name!r} is not one number a jet.")
    table = pd.DataFrame({name: labels[name].astype(float) for name in wanted})
    weights = np.ones(len(table)) if weight is None else table[weight].to_numpy()
    return Sample(table[[*names]], weights)


def _read(path: str, names: list[str]) -> Jets:
    columns: dict[str, Any] = {"features": (), "labels": names}
    first = find_files(path)[0]
    match file_format(first):
        case "parquet":
            return read_parquet(path, **columns, constituents=(), constituent_labels=())
        case "HDF5":
            return read_ftag_h5(path, **columns, tracks_group=None)
        case "ROOT" if _is_nanoaod(first):
            return read_nanoaod(path, **columns, constituents=())
        case "ROOT":
            return read_physlite(path, **columns)


def _is_nanoaod(path: Path) -> bool:
    uproot = import_optional("uproot", "root")
    with readable(path), uproot.open({path: None}) as file:
        return "Events" in file
