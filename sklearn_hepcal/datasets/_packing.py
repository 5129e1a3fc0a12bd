"""How samples are stored, in the package and in folders of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


# Return the named arrays of an npz file in a folder of the user.
def read_arrays(path: Path, names: Iterable[str]) -> dict[str, NDArray]:
    if path.parent.is_file():
        raise ValueError(
            f"path must be the folder that holds {path.name}, got the file "
            f"{path.parent}."
        )
    with np.load(path) as arrays:
        missing = set(names) - set(arrays)
        if missing:
            raise ValueError(f"{path} in path must hold the arrays {sorted(missing)}.")
        return {name: arrays[name] for name in names}


def read_bundled(file_name: str, prefix: str = "") -> dict[str, NDArray[np.float64]]:
    bundled = resources.files(__package__).joinpath("data", file_name)
    with bundled.open("rb") as file, np.load(file) as arrays:
        return unpack(arrays, prefix)


# Bundled files count integer steps: low bytes in the first row of an array, high bytes
# in the next ones, if any.
def unpack(
    arrays: Mapping[str, NDArray], prefix: str = ""
) -> dict[str, NDArray[np.float64]]:
    columns = {}
    scales = zip(arrays["names"], arrays["offset"], arrays["step"], strict=True)
    for name, offset, step in scales:
        planes = arrays[f"{prefix}{name}"]
        codes = 256.0 ** np.arange(len(planes)) @ planes
        columns[str(name)] = offset + step * codes
    return columns


# Constituents are bundled rank by rank: the leading ones of all jets, the second ones,
# ... Return them in the filled places of an array (n_jets, n_ranks).
def unpack_ranks(values: NDArray, filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    padded = np.zeros(filled.T.shape)
    padded[filled.T] = values
    return padded.T


def wrap_angle(angle: NDArray) -> NDArray:
    return (angle + np.pi) % (2 * np.pi) - np.pi
