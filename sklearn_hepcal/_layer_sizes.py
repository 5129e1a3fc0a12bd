from collections.abc import Sequence

import numpy as np


def layer_sizes(sizes: int | Sequence[int], name: str) -> tuple[int, ...]:
    """Read the units of hidden layers, where one layer may be a single number.

    Parameters
    ----------
    sizes : int or sequence of int
        What the user gave.
    name : str
        The parameter.

    Returns
    -------
    tuple of int
        Units of the layers.

    Raises
    ------
    ValueError
        If there are none, or if they are not positive integers.
    """
    widths = tuple(np.atleast_1d(sizes).tolist())
    if not widths or not all(type(w) is int and w > 0 for w in widths):
        raise ValueError(f"{name} must hold positive integers, got {sizes!r}.")
    return widths
