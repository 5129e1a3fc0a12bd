"""The processes of bench_scale.py: one writes a problem, the other fits a map to it.

    python tests/benchmarks/_scale_fit.py write FILE SPECIFICATION
    python tests/benchmarks/_scale_fit.py fit FILE SPECIFICATION

SPECIFICATION is a JSON object with n_samples, dim, conditional and stored. "fit" prints
what it has measured as another one. The samples are made elsewhere because the peak of
the memory is that of a process' whole life.
"""

import json
import resource
import sys
import time

import numpy as np
import torch  # noqa: F401 - here, to be part of the memory before the fit

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.datasets import make_transport_problem

SEED = 0
N_MOVED = 50_000


def write(path, n_samples, dim, conditional, stored):
    problem = make_transport_problem(
        n_samples, dim=dim, conditional=conditional, random_state=SEED
    )
    np.save(path, problem.X.astype(np.float32 if stored else np.float64))


def fit(path, n_samples, dim, conditional, stored):
    X = np.load(path, mmap_mode="r" if stored else None)
    y = np.repeat([0, 1], n_samples)
    model = OTCalibrator(conditions=[dim] if conditional else None, random_state=SEED)
    memory_before = peak_megabytes()
    cpu, wall = time.process_time(), time.perf_counter()
    model.fit(X, y)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = peak_megabytes()
    rows = np.array(X[: min(n_samples, N_MOVED)], dtype=np.float64)
    moved = model.transform(rows)
    measured = {
        "megabytes_of_X": X.nbytes / 1e6,
        "cpu": cpu,
        "wall": wall,
        "memory_before": memory_before,
        "memory": memory,
        "forward": microseconds_per_row(model.transform, rows),
        "inverse": microseconds_per_row(model.inverse_transform, moved),
        "selected": model.selection_,
    }
    print(json.dumps(measured))


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


# Of the clock on the wall: two threads are to be faster than one.
def microseconds_per_row(move, rows):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        move(rows)
        times.append(time.perf_counter() - start)
    return 1e6 * min(times) / len(rows)


if __name__ == "__main__":
    task, path, specification = sys.argv[1:]
    {"write": write, "fit": fit}[task](path, **json.loads(specification))
