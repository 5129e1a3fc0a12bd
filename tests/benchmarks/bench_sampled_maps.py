"""POT's maps of samples on a problem that bench_transport.py has written.

    python tests/benchmarks/bench_transport.py --problems icnn-8 --seeds 0 --dump FILE
    python tests/benchmarks/bench_sampled_maps.py FILE

"EMD" is ot.da.EMDTransport, whose map of new rows is the displacement of the nearest
row of the fit, "Sinkhorn" is ot.da.SinkhornTransport with its entropic map, both fitted
to the first n rows of either side. "semi-discrete" is ot.semidiscrete with n rows of
the data and all of the simulation. Regularisations are given relative to the variance
of the data. A method gets more rows until its fit takes longer than that of `picnn`.
POT 0.9.7 was used. Times are CPU seconds of one thread.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import warnings
from functools import partial

import numpy as np
import ot
from _standardise import Standardiser
from ot.semidiscrete import semidiscrete_ot_map, solve_semidiscrete

from sklearn_hepcal.metrics import l2_uvp

REGULARISATIONS = (0.03, 0.1, 0.3)
# Rows moved at once. With its own 128, POT computes the barycentres of all rows of the
# fit anew for as many.
BATCH_SIZE = 2048
MANY = 10**7  # iterations of the exact solver, which needs more than its own limit
# Of the marginals. POT's own 1e-8 takes up to four times as long, for UVPs that differ
# by less than 1 %.
TOLERANCE = 1e-4


def fit_emd(x, y, n_rows):
    model = ot.da.EMDTransport(max_iter=MANY).fit(Xs=x[:n_rows], Xt=y[:n_rows])
    return partial(model.transform, batch_size=BATCH_SIZE)


def fit_sinkhorn(x, y, n_rows, regularisation):
    reg = regularisation * y.var(axis=0).sum()
    model = ot.da.SinkhornTransport(reg_e=reg, tol=TOLERANCE)
    model.fit(Xs=x[:n_rows], Xt=y[:n_rows])
    return partial(model.transform, batch_size=BATCH_SIZE)


def fit_semidiscrete(x, y, n_rows, regularisation, seed=0):
    rng = np.random.default_rng(seed)
    atoms, reg = y[:n_rows], regularisation * y.var(axis=0).sum()
    potential = solve_semidiscrete(
        atoms, lambda size: x[rng.integers(len(x), size=size)], reg=reg
    )

    def transform(rows):
        batches = np.array_split(rows, -(-len(rows) // BATCH_SIZE))
        return np.concatenate(
            [semidiscrete_ot_map(atoms, rows, potential, reg=reg) for rows in batches]
        )

    return transform


def methods(regularisations):
    fits = {"EMD": fit_emd}
    for name, fit in (("Sinkhorn", fit_sinkhorn), ("semi-discrete", fit_semidiscrete)):
        for value in regularisations:
            fits[f"{name} {value:g}"] = partial(fit, regularisation=value)
    return fits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", help="npz file")
    parser.add_argument(
        "--n-rows", nargs="+", type=int, default=[500, 1000, 2000, 4000]
    )
    parser.add_argument(
        "--regularisations", nargs="+", type=float, default=REGULARISATIONS
    )
    args = parser.parse_args()
    arrays = dict(np.load(args.problem))
    own_uvp, own_cpu = float(arrays["uvp"]), float(arrays["cpu_seconds"])
    scaler = Standardiser.fit(arrays["X_sim"], arrays["X_data"])
    x, y = scaler.source(arrays["X_sim"]), scaler.target(arrays["X_data"])
    x_test = scaler.source(arrays["X_test"])
    # Weak regularisations end at POT's limit of iterations.
    warnings.filterwarnings("ignore", message="Sinkhorn did not converge")

    table = Table(
        f"UVP [%]; picnn: {own_uvp:.3f} in {own_cpu:.1f} CPU s (target: ratio >= 5)",
        f"{'method':20}|n rows|UVP|ratio|fit CPU s|us/event",
    )
    for name, fit in methods(args.regularisations).items():
        for n_rows in sorted(args.n_rows):
            transform, fit_cpu = cpu_seconds(
                lambda fit=fit, n_rows=n_rows: fit(x, y, n_rows)
            )
            moved, cpu = cpu_seconds(lambda transform=transform: transform(x_test))
            score = l2_uvp(scaler.from_target(moved), arrays["truth"])
            table.row(
                name,
                str(n_rows),
                f"{score:.2f}",
                f"{score / own_uvp:.1f}",
                f"{fit_cpu:.1f}",
                f"{1e6 * cpu / len(x_test):.1f}",
            )
            if fit_cpu > own_cpu:
                break


if __name__ == "__main__":
    main()
