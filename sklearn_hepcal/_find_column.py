from __future__ import annotations

from numbers import Integral

import numpy as np


def find_column(key: int | str, names: tuple[str, ...], argument: str) -> int:
    """Find a column by its number or name.

    Parameters
    ----------
    key : int or str
        What the user gave; negative numbers count from the end.
    names : tuple of str
        Names of the columns.
    argument : str
        Argument to name in errors.

    Returns
    -------
    int
        The number of the column.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if isinstance(key, str):
        if key not in names:
            raise ValueError(f"{argument}: no column {key!r} in {list(names)}.")
        return names.index(key)
    if isinstance(key, bool | np.bool_) or not isinstance(key, Integral):
        raise ValueError(f"{argument}: {key!r} is neither a number nor a name.")
    if not -len(names) <= key < len(names):
        raise ValueError(f"{argument}: no column {key} among {len(names)}.")
    return int(key) % len(names)
