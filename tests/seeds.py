"""Seeds of tests that are repeated."""

import pytest

# Where one run takes long.
FIRST_SEED_ELSE_SLOW = [
    0,
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)),
]
