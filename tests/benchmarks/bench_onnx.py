"""Exported graphs against Python: a map of three columns and a condition.

Both use one thread. Rows go to onnxruntime in batches, as events do in C++; Python cuts
them itself. Times are CPU seconds of the process, the best of some rounds.
"""

import argparse
import tempfile
from pathlib import Path

from _timing import Table, cpu_seconds  # first: sets the number of threads

# isort: split
import numpy as np
import onnxruntime
import torch

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.export import to_onnx

BATCHES = (256, 2048, 16_384, None)


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )


def run(session, rows, batch):
    starts = range(0, len(rows), batch or len(rows))
    parts = [
        session.run(None, {"features": rows[k : k + (batch or len(rows))]})[0]
        for k in starts
    ]
    return np.concatenate(parts)


def best(call, n_rounds):
    results = [cpu_seconds(call) for _ in range(n_rounds)]
    return results[0][0], min(seconds for _, seconds in results)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-jets", type=int, default=1_000_000)
    parser.add_argument("--n-fit", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    problem = make_transport_problem(
        arguments.n_fit, dim=3, conditional=True, random_state=0
    )
    rows = problem.sample_sim(arguments.n_jets, random_state=1).astype(np.float32)
    table = Table(
        f"{arguments.n_jets} jets, 3 columns and a condition",
        "solver    | Python s | batch | ONNX s | ratio | largest difference",
    )
    for solver in ("picnn", "bures", "quantile"):
        calibrator = OTCalibrator(
            solver, conditions=[3], selection=False, random_state=0
        ).fit_samples(problem.X_sim, problem.X_data)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "map.onnx"
            to_onnx(calibrator, path)
            session = open_session(path)
        expected, python = best(
            lambda c=calibrator: c.transform(rows), arguments.rounds
        )
        unit = np.maximum(np.abs(expected), expected.std(axis=0))
        for batch in BATCHES:
            moved, graph = best(
                lambda s=session, b=batch: run(s, rows, b), arguments.rounds
            )
            table.row(
                solver,
                f"{python:.2f}",
                str(batch or "all"),
                f"{graph:.2f}",
                f"{python / graph:.2f}",
                f"{np.max(np.abs(moved - expected) / unit):.1e}",
            )


if __name__ == "__main__":
    main()
