"""Latents of flavour taggers: what classifiers still tell of simulation and data.

    SKLEARN_HEPCAL_DATA=FOLDER python tests/benchmarks/bench_latents.py
    SKLEARN_HEPCAL_DATA=FOLDER python tests/benchmarks/bench_latents.py \
        --file flavour_latents_light.npz --atoms dequantise

Reads FOLDER/flavour_latents64_light.npz, latents of a transformer; the other file has
128 columns of a deep set, sums of rectified units with many exact zeros. The maps are
fitted to the first rows of either sample, shuffled, and judged on the others, by
boosted trees (metrics.closure_auc) and by a logistic regression. Both are trained on a
half of these rows and measured on the other half, which the errors are of. Times are
CPU seconds of one thread.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.metrics import closure_auc, roc_auc


def load(path):
    with np.load(path) as file:
        return [file[name].astype(np.float64) for name in ("sim", "data")]


def split(X, n_fit, seed):
    """Rows for the fit and the others."""
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order[:n_fit]], X[order[n_fit:]]


def logistic_auc(X_sim, X_data, seed):
    X = np.concatenate([X_sim, X_data])
    y = np.repeat([0, 1], [len(X_sim), len(X_data)])
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(X_train, y_train)
    return roc_auc(y_test, classifier.decision_function(X_test))


def aucs(X_sim, X_data, seed):
    trees = closure_auc(X_sim, X_data, random_state=seed)
    linear = logistic_auc(X_sim, X_data, seed)
    return [f"{auc:.4f}±{error:.4f}" for auc, error in (trees, linear)]


def run(sim, data, seed, table, args):
    sim_fit, sim_test = split(sim, args.n_fit, [seed, 0])
    data_fit, data_test = split(data, args.n_fit, [seed, 1])
    table.row(f"{seed}, before", *aucs(sim_test, data_test, seed), "", "")
    for solver in args.solvers:
        model = OTCalibrator(solver, atoms=args.atoms, random_state=seed)
        _, cpu = cpu_seconds(lambda m=model: m.fit_samples(sim_fit, data_fit))
        table.row(
            f"{seed}, {solver}",
            *aucs(model.transform(sim_test), data_test, seed),
            f"{cpu:.1f}",
            model.selection_,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", default="flavour_latents64_light.npz")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--n-fit", type=int, default=20_000, help="rows of each side")
    parser.add_argument("--solvers", nargs="+", default=["bures", "picnn"])
    parser.add_argument("--atoms", default="warn")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sim, data = load(Path(os.environ["SKLEARN_HEPCAL_DATA"]) / args.file)
    table = Table(
        f"{args.file}, {sim.shape[1]} columns, {args.n_fit} rows a side to fit: AUC on "
        "the others (targets: trees <= 0.53, logistic <= 0.51, fit <= 60 CPU s)",
        f"{'seed, map':16}|{'trees':>14}|{'logistic':>14}|fit CPU s|{'kept':>8}",
    )
    for seed in args.seeds:
        run(sim, data, seed, table, args)


if __name__ == "__main__":
    main()
