"""Time and memory of a fit of OTCalibrator against the numbers of rows and columns.

    python tests/benchmarks/bench_scale.py --threads 2 --plot scale.png
    python tests/benchmarks/bench_scale.py --rows 1000000 --columns --n-stored 0

Rows are scanned with three columns and a condition, columns with 20,000 rows a side
and no condition. The last problem is a single-precision array that stays in its file.
Every fit has a process of its own. Its memory is the largest resident set, to be
compared with that before the fit, which has the libraries and X. Pages that were read
from a file count as well, though the system may drop them.
"""

from _timing import Table

# isort: split
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

# Nothing large is imported here: the largest resident set of a process is at least that
# of the one that has started it.

WORKER = Path(__file__).with_name("_scale_fit.py")
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ROWS = [10_000, 30_000, 100_000, 300_000, 1_000_000]
COLUMNS = [4, 8, 16, 32, 64, 128, 256]
ROWS_OF_COLUMNS = 20_000
STORED_COLUMNS = 128


class Problem(NamedTuple):
    n_samples: int
    dim: int
    conditional: bool = False
    stored: bool = False

    def __str__(self):
        stored = ", in a file" if self.stored else ""
        return f"{self.n_samples} x {self.dim}{'+1' * self.conditional}{stored}"


def measure(problem, threads):
    environment = os.environ | dict.fromkeys(LIMITS, str(threads))
    specification = json.dumps(problem._asdict())
    with tempfile.TemporaryDirectory() as folder:
        for task in ("write", "fit"):
            command = [sys.executable, WORKER, task, f"{folder}/X.npy", specification]
            done = subprocess.run(
                command, env=environment, check=True, stdout=subprocess.PIPE
            )
    return json.loads(done.stdout)


def measure_all(problems, threads):
    table = Table(
        f"Fits with threads: {threads} (target: 300 s on the wall for 1000000 x 3+1 "
        "with 2)",
        f"{'rows a side x columns':26}|X [MB]|CPU s|wall s|MB before|peak MB|us/row"
        "|inverse|selected",
    )
    results = []
    for problem in problems:
        result = measure(problem, threads)
        results.append(result)
        table.row(
            str(problem),
            f"{result['megabytes_of_X']:.0f}",
            f"{result['cpu']:.1f}",
            f"{result['wall']:.1f}",
            f"{result['memory_before']:.0f}",
            f"{result['memory']:.0f}",
            f"{result['forward']:.2f}",
            f"{result['inverse']:.2f}",
            result["selected"],
        )
    return results


def plot(scans, threads, path):
    """Time above, memory below, against rows and against columns."""
    from matplotlib.figure import Figure

    curves = [
        {"wall": "on the wall", "cpu": "CPU"},
        {"memory": "peak", "memory_before": "before the fit"},
    ]
    fig = Figure(figsize=(8, 6), layout="constrained")
    axes = fig.subplots(2, 2, sharex="col", sharey="row")
    for column, (label, (sizes, results)) in zip(axes.T, scans.items(), strict=True):
        for ax, names in zip(column, curves, strict=True):
            for name, legend in names.items():
                values = [result[name] for result in results]
                ax.plot(sizes, values, marker="o", label=legend)
            ax.set_xscale("log")
            ax.grid(alpha=0.3)
        column[-1].set_xlabel(label)
    axes[0, 0].set(yscale="log", ylabel="time of the fit [s]")
    axes[1, 0].set(ylim=(0, None), ylabel="memory [MB]")
    for ax in axes[:, 0]:
        ax.legend()
    fig.suptitle(f"OTCalibrator, threads: {threads}")
    fig.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="*", type=int, default=ROWS)
    parser.add_argument("--columns", nargs="*", type=int, default=COLUMNS)
    parser.add_argument("--rows-of-columns", type=int, default=ROWS_OF_COLUMNS)
    parser.add_argument(
        "--n-stored", type=int, default=200_000, help="rows a side in the file"
    )
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1)
    parser.add_argument("--plot", help="file of the figure")
    args = parser.parse_args()

    by_rows = [Problem(n, 3, conditional=True) for n in args.rows]
    by_columns = [Problem(args.rows_of_columns, dim) for dim in args.columns]
    stored = (
        [Problem(args.n_stored, STORED_COLUMNS, stored=True)] if args.n_stored else []
    )
    results = measure_all([*by_rows, *by_columns, *stored], args.threads)
    if args.plot:
        n_rows, n_columns = len(by_rows), len(by_columns)
        scans = {
            "rows a side, 3+1 columns": (args.rows, results[:n_rows]),
            f"columns, {args.rows_of_columns} rows a side": (
                args.columns,
                results[n_rows : n_rows + n_columns],
            ),
        }
        plot(scans, args.threads, args.plot)


if __name__ == "__main__":
    main()
