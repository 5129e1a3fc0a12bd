"""One thread, CPU seconds and tables for the benchmarks.

Import it before numpy: the libraries read the number of threads only once.
"""

import os
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)


def cpu_seconds(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of a call and the CPU seconds of this process it took."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


class Table:
    """Aligned rows, each printed as soon as it is known.

    Names of the columns are separated by bars; spaces around them give the width.
    """

    def __init__(self, title: str, columns: str) -> None:
        names = columns.split("|")
        self.widths = [max(len(name), 7) for name in names]
        print(f"\n{title}")
        self.row(*(name.strip() for name in names))
        print("-" * (sum(self.widths) + 2 * len(self.widths) - 2))

    def row(self, first: str, *others: str) -> None:
        cells = [first.ljust(self.widths[0])]
        cells += [c.rjust(w) for c, w in zip(others, self.widths[1:], strict=True)]
        print("  ".join(cells), flush=True)
