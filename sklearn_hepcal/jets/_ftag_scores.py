"""Scores of taggers into HDF5 files of ATLAS's flavour tagging."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.utils import check_array

from .._flavours import flavour
from ._files import PathLike, replacing
from ._ftag_file import opened
from ._ftag_rewrite import rewrite_table


def write_ftag_scores(
    path: PathLike,
    name: str,
    proba: ArrayLike,
    *,
    classes: Iterable[Any],
    overwrite: bool = False,
    dtype: DTypeLike = np.float32,
    jets_group: str = "jets",
    verbose: int = 0,
) -> None:
    """Write the scores of a tagger into a file of ATLAS's flavour tagging.

    The table of jets gets one column a class, named as ATLAS does: ``GN2_pu``,
    ``GN2_pc``, ``GN2_pb`` and ``GN2_ptau`` for a tagger named GN2. All else in the file
    stays as it is.

    Parameters
    ----------
    path : str or path-like
        The file, which is replaced as a whole when the new one is complete: there must
        be space for both.
    name : str
        The name of the tagger.
    proba : array-like of shape (n_jets, n_classes)
        Its class probabilities for all jets of the file, in their order.
    classes : iterable of shape (n_classes,)
        The labels of the columns, such as ``classes_`` of a classifier. 0, "light" and
        "ujets" give ``pu``; 4 and "cjets" ``pc``; 5 and "bjets" ``pb``; 15 and
        "taujets" ``ptau``; any other label gives ``p`` and itself.
    overwrite : bool, default=False
        Whether columns of these names are replaced.
    dtype : dtype, default=numpy.float32
        The floating type of the columns.
    jets_group : str, default="jets"
        The table of jets.
    verbose : int, default=0
        1 shows a progress bar.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is not installed.
    ValueError
        If the file cannot be read, its jets are not as many as the rows of `proba`,
        `proba` does not hold one probability a class, or a column exists and
        `overwrite` is False.

    See Also
    --------
    write_ftag_h5 : Write jets to a new file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal.jets import (
    ...     Jets, read_ftag_h5, write_ftag_h5, write_ftag_scores
    ... )
    >>> jets = Jets([[50.0], [80.0]], feature_names=["pt"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "jets.h5")
    ...     write_ftag_h5(file, jets)
    ...     write_ftag_scores(file, "My", [[0.9, 0.1], [0.2, 0.8]], classes=[0, 5])
    ...     read_ftag_h5(file, tracks_group=None)
    Jets(n=2, features=['pt'], labels=['My_pu', 'My_pb'])
    """
    target = Path(path).expanduser().resolve()
    if not target.is_file():
        raise FileNotFoundError(f"There is no file {target}.")
    columns = _score_columns(name, classes)
    scores = _check_scores(proba, columns, np.dtype(dtype))
    with opened(target, (jets_group, None)) as (jets, _):
        _check_fit(jets, columns, len(scores), overwrite, target)
    types = dict.fromkeys(columns, scores.dtype)

    def add(_: NDArray[np.void], rows: slice) -> dict[str, NDArray]:
        return dict(zip(columns, scores[rows].T, strict=True))

    with replacing(target) as part:
        rewrite_table(target, part, jets_group, types, add, verbose=verbose)
        shutil.copymode(target, part)


# Return the names of the columns, one a class.
def _score_columns(name: str, classes: Iterable[Any]) -> list[str]:
    if not name:
        raise ValueError("name must be the name of a tagger, got an empty string.")
    columns = [f"{name}_p{_suffix(label)}" for label in classes]
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise ValueError(f"classes must differ, but several give {repeated}.")
    return columns


def _suffix(label: Any) -> Any:
    # False equals 0, yet is no light jet
    return label if isinstance(label, (bool, np.bool_)) else flavour(label)


def _check_scores(
    proba: ArrayLike, columns: list[str], dtype: np.dtype
) -> NDArray[np.floating]:
    if dtype.kind != "f":
        raise ValueError(f"dtype must be a floating type, got {dtype}.")
    scores: NDArray[np.floating] = check_array(
        proba,
        dtype=[np.float64, np.float32],
        input_name="proba",
        ensure_min_samples=0,
        ensure_min_features=0,
    )
    if scores.shape[1] != len(columns):
        raise ValueError(
            f"proba has {scores.shape[1]} columns for {len(columns)} classes, "
            f"{columns}."
        )
    low, high = scores.min(initial=0.0), scores.max(initial=1.0)
    # probabilities of single precision may be above one by rounding
    if low < 0 or high > 1 + 1e-5:
        raise ValueError(
            f"proba must be between 0 and 1, got values from {low:g} to {high:g}."
        )
    return scores.astype(dtype)


def _check_fit(
    table: Any, columns: list[str], n_rows: int, overwrite: bool, path: Path
) -> None:
    if len(table) != n_rows:
        raise ValueError(
            f"proba has {n_rows} rows, but {path} has {len(table)} jets; give the "
            "scores of all jets, in their order."
        )
    known = [column for column in columns if column in table.dtype.names]
    if known and not overwrite:
        raise ValueError(f"{path} has columns {known}; overwrite=True replaces them.")
