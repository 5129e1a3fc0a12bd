"""pairwise_emd against loops of POT's ot.emd2, wasserstein and EnergyFlow.

    python tests/benchmarks/bench_pairwise_emd.py --peer-python PEER/bin/python

Takes the quark and gluon jets of FOLDER/qg_jets.npz if SKLEARN_HEPCAL_DATA=FOLDER is
set, or the bundled ones, relative to their axes, and computes the distances of all
pairs once. Times are CPU seconds of one thread, the smallest of repetitions that
alternate between the packages; they include the costs, but not the reading of files.
Differences are the largest from ot.emd2, relative to the largest distance.

PEER is an environment with wasserstein 1.1.0 and EnergyFlow 1.4.0; where their distance
has no factor 1 / beta, neither has ours.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
import subprocess
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

R = 0.4
SETTINGS = [(1.0, True), (1.0, False), (2.0, True)]  # beta, norm
TARGETS = {"ot.emd2": 1.5, "wasserstein": 1.0}


def load_events(n_jets):
    from sklearn_hepcal.datasets import load_quark_gluon_jets
    from sklearn_hepcal.jets import relative_constituents

    path = os.environ.get("SKLEARN_HEPCAL_DATA")
    jets, _ = load_quark_gluon_jets(n_jets=n_jets, path=path, return_X_y=True)
    relative = relative_constituents(jets)
    table = np.column_stack([jets.constituents[:, 0], relative.dy, relative.dphi])
    return np.split(table, jets.offsets[1:-1])


def run_own(events, beta, norm):
    from sklearn_hepcal.shapes import pairwise_emd

    return pairwise_emd(events, R=R, beta=beta, norm=norm, convention="energyflow")


def run_pot(events, beta, norm):
    distances = np.zeros((len(events), len(events)))
    for i, k in combinations(range(len(events)), 2):
        distances[i, k] = distances[k, i] = pot_distance(
            events[i], events[k], beta, norm
        )
    return distances


def pot_distance(x, y, beta, norm):
    import ot

    a, b = x[:, 0], y[:, 0]
    cost = (cdist(x[:, 1:], y[:, 1:]) / R) ** beta
    if norm:
        return ot.emd2(a / a.sum(), b / b.sum(), cost)
    missing = a.sum() - b.sum()
    if missing > 0:
        b, cost = np.append(b, missing), np.pad(cost, [(0, 0), (0, 1)])
    else:
        a, cost = np.append(a, -missing), np.pad(cost, [(0, 1), (0, 0)])
    return a.sum() * ot.emd2(a / a.sum(), b / b.sum(), cost) + abs(missing)


def run_wasserstein(events, beta, norm):
    import wasserstein

    pairwise = wasserstein.PairwiseEMD(
        R=R, beta=beta, norm=norm, num_threads=1, print_every=0, verbose=0
    )
    pairwise(events)
    return pairwise.emds()


def run_energyflow(events, beta, norm):
    from energyflow.emd import emds

    return emds(events, R=R, beta=beta, norm=norm, n_jobs=1)


OWN = {"sklearn_hepcal": run_own, "ot.emd2": run_pot}
PEERS = {"wasserstein": run_wasserstein, "energyflow": run_energyflow}


def time_runs(runs, events, beta, norm):
    """CPU seconds and distances of each package."""
    timings = {}
    for name, run in runs.items():
        run(events[:2], beta, norm)  # imports
        distances, cpu = cpu_seconds(lambda run=run: run(events, beta, norm))
        timings[name] = cpu, distances
    return timings


def time_peers(peer_python, events, beta, norm):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.npz"
        counts = [len(event) for event in events]
        table = np.concatenate(events)
        np.savez(file, table=table, counts=counts, beta=beta, norm=norm)
        subprocess.run([peer_python, __file__, "--as-peer", file], check=True)
        with np.load(file) as results:
            return {
                name: (float(results[f"{name}_cpu"]), results[f"{name}_distances"])
                for name in PEERS
            }


def run_as_peer(file):
    with np.load(file) as problem:
        events = np.split(problem["table"], np.cumsum(problem["counts"])[:-1])
        beta, norm = float(problem["beta"]), bool(problem["norm"])
    results = {}
    for name, (cpu, distances) in time_runs(PEERS, events, beta, norm).items():
        results |= {f"{name}_cpu": cpu, f"{name}_distances": distances}
    np.savez(file, **results)


def best_timings(events, beta, norm, args):
    best = {}
    for _ in range(args.repetitions):
        timings = time_runs(OWN, events, beta, norm)
        if args.peer_python:
            timings |= time_peers(args.peer_python, events, beta, norm)
        for name, timing in timings.items():
            best[name] = min(best.get(name, timing), timing, key=lambda pair: pair[0])
    return best


def print_timings(table, best, n_pairs, setting):
    own, _ = best["sklearn_hepcal"]
    _, exact = best["ot.emd2"]
    for name, (cpu, distances) in best.items():
        difference = np.abs(distances - exact).max() / exact.max()
        table.row(
            f"{setting} {name}",
            f"{cpu:.2f}",
            f"{n_pairs / cpu:.0f}",
            f"{cpu / own:.2f}",
            str(TARGETS.get(name, "")),
            f"{difference:.0e}",
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-jets", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--peer-python", help="interpreter of PEER")
    parser.add_argument("--as-peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_peer:
        return run_as_peer(args.as_peer)
    events = load_events(args.n_jets)
    n_pairs = len(events) * (len(events) - 1) // 2
    counts = [len(event) for event in events]
    table = Table(
        f"{n_pairs} pairs of {len(events)} jets, {np.mean(counts):.1f} particles a "
        f"jet; ratio: CPU seconds over those of sklearn_hepcal",
        f"{'beta, norm':36}|CPU s|pairs/s|ratio|target|difference",
    )
    for beta, norm in SETTINGS:
        best = best_timings(events, beta, norm, args)
        print_timings(table, best, n_pairs, f"{beta:.0f}, {norm}:")


if __name__ == "__main__":
    main()
