"""N-subjettiness with the best axes against FastJet's contribution.

    python tests/benchmarks/bench_nsubjettiness.py --peer-python PEER/bin/python

100 jets of FOLDER/qg_jets.npz if SKLEARN_HEPCAL_DATA=FOLDER is set, or of the bundled
ones; beta 1, R = 0.4, CPU seconds of one thread. Where definitions coincide FastJet
minimises the same sum from one or many starts, so that its value divided by ours is
never below one. "equal" counts values that agree to a per mille.

PEER is an environment with:

    pip install fastjet==3.5.2.0 awkward vector
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.shapes import ShapinessTransformer

R = 0.4
AXES = ("KT_Axes", "OnePass_KT_Axes", "MultiPass_Axes")


def load_events(n_jets):
    folder = os.environ.get("SKLEARN_HEPCAL_DATA")
    return load_quark_gluon_jets(path=folder, return_X_y=True)[0][:n_jets]


def run_peer(python, jets, n_points, axes):
    script = Path(__file__).with_name("_peer_fastjet.py")
    with tempfile.TemporaryDirectory() as folder:
        events, values = Path(folder) / "events.npz", Path(folder) / "values.npz"
        pt, y, phi = jets.constituents[:, :3].T
        np.savez(events, pt=pt, y=y, phi=phi, offsets=jets.offsets)
        command = [python, script, events, values, R, n_points, axes]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        with np.load(values) as found:
            return found["value"], float(found["cpu"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--n-jets", type=int, default=100)
    args = parser.parse_args()
    jets = load_events(args.n_jets)
    ShapinessTransformer("point", R=R).fit_transform(jets[:2])  # imports
    table = Table(
        f"N-subjettiness of {len(jets)} jets: FastJet divided by ours",
        "N|axes of the peer  |least |median|largest|equal|ours [ms]|peer [ms]",
    )
    for n_points in (1, 2, 3):
        transformer = ShapinessTransformer("point", n_points, R=R)
        rows, cpu = cpu_seconds(lambda t=transformer: t.fit_transform(jets))
        for axes in AXES:
            value, peer_cpu = run_peer(args.peer_python, jets, n_points, axes)
            ratio = value / rows[:, 0]
            table.row(
                str(n_points),
                axes,
                f"{ratio.min():.6f}",
                f"{np.median(ratio):.4f}",
                f"{ratio.max():.3f}",
                f"{np.mean(np.abs(ratio - 1) < 1e-3):.2f}",
                f"{1e3 * cpu / len(jets):.1f}",
                f"{1e3 * peer_cpu:.2f}",
            )


if __name__ == "__main__":
    main()
