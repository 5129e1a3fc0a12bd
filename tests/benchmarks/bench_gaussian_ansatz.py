"""GaussianAnsatzRegressor on a known resolution, against the published package.

    python tests/benchmarks/bench_gaussian_ansatz.py --peer-python PEER/bin/python

x = z + N(0, 1), with z uniform between -5 and 5 or normal of standard deviation 2.5.
The bias is E[z_hat | z] - z for |z| <= 4, by quadrature over x; sigma is compared with
1 for |x| <= 4; the mutual information with the mean of the exact log ratios of the same
fresh rows. Times are CPU seconds of one thread.

PEER is an environment with Python 3.11 and GaussianAnsatz 0.0.1, which declares too few
of its requirements:

    pip install tensorflow-cpu==2.15.1 keras==2.15.0 tf_keras==2.15.1 "numpy<2" \
        scikit-learn matplotlib tqdm h5py "wasserstein<2" igraph wurlitzer
    pip install --no-deps energyflow==1.4.0 GaussianAnsatz==0.0.1
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.datasets import make_resolution_problem
from sklearn_hepcal.regression import GaussianAnsatzRegressor

PRIORS = ("uniform", "normal")
N_TEST = 50_000
PEER_SCRIPT = Path(__file__).with_name("_peer_gaussian_ansatz.py")
X_GRID = np.linspace(-4, 4, 161)
Z_GRID = np.linspace(-4, 4, 81)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
# Everything a fit is asked for: x itself, and the nodes of x around each z.
X = np.concatenate([X_GRID, np.ravel(Z_GRID[:, None] + NODES)])[:, None]


@dataclass(frozen=True)
class Figures:
    """What the tables show of a fit."""

    information: float
    max_bias: float
    rms_bias: float
    sigma: float
    cpu: float


def figures(z, std, information, cpu):
    """Judge the answers to X; the mutual information is relative to the oracle."""
    n_grid = len(X_GRID)
    bias = z[n_grid:].reshape(len(Z_GRID), -1) @ WEIGHTS - Z_GRID
    return Figures(
        information=information,
        max_bias=np.abs(bias).max(),
        rms_bias=np.sqrt(np.mean(bias**2)),
        sigma=np.abs(std[:n_grid] - 1).max(),
        cpu=cpu,
    )


class Case:
    """Training rows and fresh rows of one prior and seed."""

    def __init__(self, prior, n_samples, seed):
        self.seed = seed
        problem = make_resolution_problem(n_samples, prior=prior, random_state=seed)
        self.train = problem.X, problem.y
        self.test = problem.sample(N_TEST, random_state=seed + 1000)
        self.oracle, _ = problem.estimate_information(*self.test)

    def own(self, n_ensemble):
        model = GaussianAnsatzRegressor(n_ensemble=n_ensemble, random_state=self.seed)
        model, cpu = cpu_seconds(lambda: model.fit(*self.train))
        z, std = model.predict(X, return_std=True)
        information, _ = model.mutual_information(*self.test)
        return z, figures(z, std, information - self.oracle, cpu)

    def squared_error(self):
        """Return the answers of a regression that minimises the squared error."""
        network = MLPRegressor(
            hidden_layer_sizes=(32,) * 4, early_stopping=True, random_state=self.seed
        )
        return make_pipeline(StandardScaler(), network).fit(*self.train).predict(X)

    def peer(self, python):
        with tempfile.TemporaryDirectory() as folder:
            samples, result = Path(folder, "samples.npz"), Path(folder, "result.npz")
            arrays = zip(("X_train", "y_train"), self.train, strict=True)
            fresh = zip(("X_test", "y_test"), self.test, strict=True)
            np.savez(samples, seed=self.seed, X=X, **dict(arrays), **dict(fresh))
            subprocess.run(
                [python, PEER_SCRIPT, samples, result],
                check=True,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            answers = dict(np.load(result))
        return figures(
            answers["z"],
            answers["std"],
            answers["information"] - self.oracle,
            float(answers["cpu_seconds"]),
        )


def row(table, name, found, own=None):
    """Print a row; with the figures of `own`, their ratios too."""
    ratios = ["", ""]
    if own is not None:
        ratios = [
            f"{found.max_bias / own.max_bias:.1f}",
            f"{found.cpu / own.cpu:.1f}",
        ]
    table.row(
        name,
        f"{found.information:+.4f}",
        f"{found.max_bias:.3f}",
        f"{found.rms_bias:.3f}",
        f"{found.sigma:.3f}",
        f"{found.cpu:.1f}",
        *ratios,
    )


def median(fits):
    return Figures(*np.median([astuple(found) for found in fits], axis=0))


def accuracy(prior, args):
    """Print the table of one prior; return the predictions of X, and MSE's, by seed."""
    table = Table(
        f"z {prior}, {args.n_samples} rows. Targets of the median: MI within 0.006, "
        "max bias 0.06 (5 fits: 0.035), sigma 0.04, 15 s, ratios 5 and 8",
        f"{'fit':22}|MI - oracle|max bias|rms bias|max err sigma|CPU s"
        "|bias ratio|CPU ratio",
    )
    fits = defaultdict(list)
    curves = []
    for seed in args.seeds:
        case = Case(prior, args.n_samples, seed)
        for n_ensemble in dict.fromkeys([1, args.ensemble]):
            z, found = case.own(n_ensemble)
            fits[f"{n_ensemble} fit(s)"].append(found)
            row(table, f"{n_ensemble} fit(s), seed {seed}", found)
            if n_ensemble == 1:
                curves.append((z, case.squared_error()))
        if args.peer_python and seed in args.peer_seeds:
            found = case.peer(args.peer_python)
            fits["peer"].append(found)
            row(table, f"peer, seed {seed}", found, fits["1 fit(s)"][-1])
    own = median(fits["1 fit(s)"])
    for name, found in fits.items():
        row(table, f"{name}, median", median(found), own if name == "peer" else None)
    return curves


def prior_dependence(uniform, normal, seeds):
    """Print the largest difference between fits under the two priors."""
    table = Table(
        "max |z_uniform - z_normal| for |x| <= 4 (target: 0.1; posterior means: 0.36)",
        f"{'':22}|GaussianAnsatzRegressor|MLPRegressor, MSE",
    )
    inside = slice(len(X_GRID))
    rows = []
    for seed, pair in zip(seeds, zip(uniform, normal, strict=True), strict=True):
        first, second = np.array(pair)[:, :, inside]
        rows.append(np.abs(first - second).max(axis=1))
        table.row(f"seed {seed}", *(f"{value:.3f}" for value in rows[-1]))
    table.row("median", *(f"{value:.3f}" for value in np.median(rows, axis=0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--n-samples", type=int, default=100_000)
    parser.add_argument("--ensemble", type=int, default=5, help="1: single fits only")
    parser.add_argument("--peer-python", help="interpreter of the peer's environment")
    parser.add_argument("--peer-seeds", nargs="+", type=int, default=[0])
    args = parser.parse_args()
    torch.set_num_threads(1)
    curves = [accuracy(prior, args) for prior in PRIORS]
    prior_dependence(*curves, args.seeds)


if __name__ == "__main__":
    main()
