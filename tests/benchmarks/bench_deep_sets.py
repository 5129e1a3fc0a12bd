"""Deep sets on flat tables against the padded form: CPU seconds of training steps.

    SKLEARN_HEPCAL_DATA=FOLDER python tests/benchmarks/bench_deep_sets.py

Takes the quark and gluon jets of FOLDER/qg_jets.npz, or jets with the same spread of
multiplicities if the variable is not set. One epoch cuts the jets into batches and
runs each forward and backward. Padded arrays are as long as the longest jet of the
sample; "pooled first" gives them the package's order, in which the last linear layer
acts once a jet. Errors are the largest differences of the latents from those of the
package in float64, relative to the largest latent. Times are CPU seconds of one
thread, the smallest of the repetitions.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
from pathlib import Path

import numpy as np
import torch

from sklearn_hepcal.nn import seeded
from sklearn_hepcal.nn._datasets import RowsDataset
from sklearn_hepcal.nn._deep_sets import DeepSets

HIDDEN, N_LATENT = (100, 100), 128
N_CATEGORIES = 14
# Mean and variance of the multiplicity of gluon and quark jets.
MULTIPLICITIES = ((52.9, 238.8), (33.2, 169.0))
TARGET = 2.0


def read_jets(path, n_jets):
    with np.load(path) as data:
        offsets = data["offsets"][: n_jets + 1]
        rows = slice(offsets[-1])
        pt = np.exp(data["pt_log"][rows] / 4000) * 1e-4
        angles = np.stack([data["dy"][rows], data["dphi"][rows]], axis=1) / 5e4
        categories = data["pid"][rows] + 1
    return np.diff(offsets), pt, angles, categories


def generate_jets(n_jets, rng):
    """Negative binomial multiplicities; the values do not matter for the time."""
    counts = np.concatenate(
        [
            rng.negative_binomial(mean**2 / (variance - mean), mean / variance, size)
            for (mean, variance), size in zip(
                MULTIPLICITIES, (n_jets // 2, n_jets - n_jets // 2), strict=True
            )
        ]
    )
    counts = rng.permutation(np.maximum(counts, 1))
    n = counts.sum()
    angles = rng.normal(scale=0.1, size=(n, 2))
    return counts, rng.exponential(size=n), angles, rng.integers(1, 15, size=n)


def flat_dataset(counts, pt, angles, categories, kind):
    """Rows with the tables that this kind of network takes."""
    counts = torch.from_numpy(counts)
    jet = torch.repeat_interleave(counts)
    pt = torch.from_numpy(pt)
    z = pt / torch.zeros(len(counts), dtype=pt.dtype).index_add(0, jet, pt)[jet]
    angles = torch.from_numpy(angles) / 0.1
    if kind == "EFN":
        tables = {"points": angles.float(), "energies": z.float()}
    else:
        points = torch.cat([z.log()[:, None] / 4, angles], dim=1)
        tables = {"points": points.float()}
    if kind == "PFN-ID":
        tables["categories"] = torch.from_numpy(categories).long()
    return RowsDataset({}, tables, counts)


def padded_dataset(flat, network):
    """Write the same rows to arrays as long as the longest jet, and their weights."""
    counts = flat.columns["counts"]
    mask = torch.arange(int(counts.max())) < counts[:, None]
    points = flat.ragged["points"]
    if "categories" in flat.ragged:
        n_columns = network.config["n_categories"] + 1
        one_hot = torch.nn.functional.one_hot(flat.ragged["categories"], n_columns)
        points = torch.cat([points, one_hot[:, 1:]], dim=1)
    padded = torch.zeros(*mask.shape, points.shape[1])
    padded[mask] = points
    weights = mask.float()
    if "energies" in flat.ragged:
        weights[mask] = flat.ragged["energies"]
    return RowsDataset({"points": padded, "weights": weights})


def forms(network):
    """Name the three ways to the same latents."""

    def padded(points, weights):
        return (weights[:, None] @ network.phi(points))[:, 0]

    def padded_pooled_first(points, weights):
        pooled = (weights[:, None] @ network.phi.hidden(points))[:, 0]
        last = network.phi.last
        return pooled @ last.weight.T + weights.sum(1, keepdim=True) * last.bias

    return {"flat": network, "padded": padded, "pooled first": padded_pooled_first}


def epoch(form, dataset, batch_size):
    with seeded(0):
        for batch in dataset.batches(batch_size, shuffle=True):
            form(**batch).square().mean().backward()


def latents(form, dataset, batch_size):
    with torch.no_grad():
        batches = dataset.batches(batch_size, shuffle=False)
        return torch.cat([form(**batch) for batch in batches])


def exact_latents(network, dataset, batch_size):
    double = DeepSets(**network.config).double()
    double.load_state_dict(network.state_dict())
    tables = {
        name: table.double() if table.is_floating_point() else table
        for name, table in dataset.ragged.items()
    }
    exact = RowsDataset({}, tables, dataset.columns["counts"])
    return latents(double, exact, batch_size)


def build(kind):
    with seeded(0):
        if kind == "EFN":
            return DeepSets(2, HIDDEN, N_LATENT, "energy")
        n_categories = N_CATEGORIES if kind == "PFN-ID" else 0
        return DeepSets(3, HIDDEN, N_LATENT, "count", n_categories=n_categories)


def run(kind, jets, table, args):
    network = build(kind)
    flat = flat_dataset(*jets, kind)
    padded = padded_dataset(flat, network)
    datasets = {"flat": flat, "padded": padded, "pooled first": padded}
    ways = forms(network)
    exact = exact_latents(network, flat, args.batch_size)
    seconds = {name: [] for name in ways}
    for _ in range(args.repetitions):
        for name, form in ways.items():
            _, cpu = cpu_seconds(
                lambda form=form, name=name: epoch(
                    form, datasets[name], args.batch_size
                )
            )
            seconds[name].append(cpu)
    best = {name: min(values) for name, values in seconds.items()}
    for name, form in ways.items():
        error = (latents(form, datasets[name], args.batch_size) - exact).abs().max()
        table.row(
            f"{kind} {name}",
            f"{1e3 * best[name]:.0f}",
            f"{1e6 * best[name] / len(flat):.1f}",
            f"{best[name] / best['flat']:.2f}",
            f"{error / exact.abs().max():.0e}",
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ("EFN", "PFN", "PFN-ID")
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=list(kinds))
    parser.add_argument("--n-jets", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)

    folder = os.environ.get("SKLEARN_HEPCAL_DATA")
    if folder is None:
        jets = generate_jets(args.n_jets, np.random.default_rng(0))
    else:
        jets = read_jets(Path(folder) / "qg_jets.npz", args.n_jets)
    counts = jets[0]
    table = Table(
        f"{len(counts)} {'generated' if folder is None else 'quark and gluon'} jets of "
        f"{counts.mean():.1f} constituents, at most {counts.max()}; batches of "
        f"{args.batch_size}; ratio to flat (target: >= {TARGET})",
        f"{'form':20}|CPU ms|us a jet|ratio|  error",
    )
    for kind in args.kinds:
        run(kind, jets, table, args)


if __name__ == "__main__":
    main()
