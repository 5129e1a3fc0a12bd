from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hold_out(
    strata: NDArray[np.int64], fraction: float, rng: np.random.RandomState
) -> NDArray[np.bool_]:
    """Choose rows to hold out: of every stratum the same part, and never all.

    Parameters
    ----------
    strata : int array of shape (n_rows,)
        Kinds of rows.
    fraction : float
        Part of the rows that is held out.
    rng : RandomState
        Where the choice comes from.

    Returns
    -------
    bool array of shape (n_rows,)
        Whether the row is held out.

    Raises
    ------
    ValueError
        If there is only one row of each kind.
    """
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    passed = np.floor(fraction * np.arange(len(order) + 1) + rng.uniform())
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order] = np.diff(passed) > 0
    kinds, counts = np.unique(strata, return_counts=True)
    for kind in kinds:
        rows = np.flatnonzero(strata == kind)
        if chosen[rows].all():
            chosen[rng.choice(rows)] = False
    if not chosen.any():
        if counts.max() == 1:
            raise ValueError(
                "no rows can be held out for early stopping or restarts: n_samples = "
                f"{len(strata)}."
            )
        chosen[rng.choice(np.flatnonzero(strata == kinds[counts.argmax()]))] = True
    return chosen
