"""What fitted networks make of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ._datasets import RowsDataset
from ._state import load_module

# Constituents of a batch: as many as the cache holds.
_BATCH_ROWS = 8000
# Pairs of places in a batch that is padded to its longest jet: as many as fit in memory
# times some heads.
_BATCH_PAIRS = 4_000_000


def evaluate(
    state: dict[str, Any],
    rows: RowsDataset,
    function: Callable[[Any, dict[str, torch.Tensor]], Any],
    dtype: torch.dtype = torch.float64,
) -> list[NDArray]:
    """Apply a function of a network to a sample, a batch at a time.

    Parameters
    ----------
    state : dict
        The network, as `export_module` returned it.
    rows : RowsDataset
        The sample, of the same precision.
    function : callable
        Takes the network and a batch, and returns a tensor or an array.
    dtype : torch dtype
        Precision of the network.

    Returns
    -------
    list of arrays
        What the function returned for the batches, which are in order.
    """
    network = load_module(state, dtype=dtype)
    counts = rows.columns["counts"]
    typical = _BATCH_ROWS * len(rows) // max(int(counts.sum()), len(rows))
    batch_size = max(1, min(typical, _BATCH_PAIRS // (int(counts.max()) + 1) ** 2))
    with torch.inference_mode():
        return [
            np.asarray(function(network, batch))
            for batch in rows.batches(batch_size, shuffle=False)
        ]
