"""The writing half of `sklearn_hepcal.datasets._packing`: numbers as integer steps."""

from typing import NamedTuple

import numpy as np

from sklearn_hepcal.jets import Jets


# What the values of a column are rounded to: multiples of a step, or the places between
# them, so that no value becomes zero and signs are kept.
class Grid(NamedTuple):
    step: float
    between: bool = False

    @property
    def shift(self):
        return 0.5 if self.between else 0.0

    def count(self, values):
        return np.round(np.asarray(values) / self.step - self.shift).astype(np.int64)

    def round(self, values):
        return self.step * (self.count(values) + self.shift)


# Return the arrays of a file. Samples are named by prefixes of their columns, and share
# the grids.
def pack(grids, samples):
    arrays, offsets = {}, []
    for name, grid in grids.items():
        counts = {prefix: grid.count(c[name]) for prefix, c in samples.items()}
        lowest = min(count.min() for count in counts.values())
        highest = max(count.max() for count in counts.values())
        offsets.append((lowest + grid.shift) * grid.step)
        for prefix, count in counts.items():
            arrays[f"{prefix}{name}"] = _split_bytes(count - lowest, highest - lowest)
    return {
        **arrays,
        "names": np.array(list(grids)),
        "offset": np.array(offsets),
        "step": np.array([grid.step for grid in grids.values()]),
    }


# Bytes that do not vary much are next to each other, so that they compress well.
def _split_bytes(count, highest):
    n_planes = max(1, -(-int(highest).bit_length() // 8))
    return np.stack([count >> 8 * i & 0xFF for i in range(n_planes)]).astype(np.uint8)


# Sort what belongs to constituents by rank: the first ones of all jets, the second ...
def by_rank(jets: Jets, values):
    rank = np.arange(jets.offsets[-1]) - jets.offsets[jets.jet_index]
    return np.asarray(values)[np.lexsort([jets.jet_index, rank])]


# Return how far the logarithm falls from one constituent to the next, from that of the
# jet on, so that rounding errors do not add up.
def log_drop(jets: Jets, log_jet_pt, step):
    below = log_jet_pt[jets.jet_index] - np.log(jets.constituent("pt"))
    steps = np.round(below / step)
    before = np.roll(steps, 1)
    before[jets.offsets[:-1][jets.counts > 0]] = 0
    return step * (steps - before)


# Return one number for several small integers, as np.unravel_index takes it apart.
def join(values, sizes):
    columns = tuple(np.asarray(values[name], dtype=np.int64) for name in sizes)
    return np.ravel_multi_index(columns, tuple(sizes.values()))
