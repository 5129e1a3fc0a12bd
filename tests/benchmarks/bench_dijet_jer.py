"""AsymmetryJERRegressor on dijets whose exact calibration is known.

    python tests/benchmarks/bench_dijet_jer.py [--n-sim 200000] [--n-data 15000 200000]

Each row is one fit to simulated events and to mis-modelled data: CPU seconds of one
thread, those of a prediction of 400,000 fresh jets, the largest resident memory of the
process so far, and resolutions in per cent (half width of 68 % over median and slope,
mean of nine bins of the true momentum from 120 to 2400 GeV) beside those of the exact
inversion of the true response. No package does this job: there is no peer.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import resource

import numpy as np
import torch

from sklearn_hepcal.datasets import make_dijets
from sklearn_hepcal.metrics import closure_table
from sklearn_hepcal.regression import AsymmetryJERRegressor

EDGES = np.geomspace(120, 2400, 10)
N_TEST = 200_000


def figures(true, pt):
    """Largest lack of closure, and mean resolution, in per cent."""
    table = closure_table(true, pt, bins=EDGES, n_bootstrap=2, random_state=0)
    return 100 * np.abs(table["mean"] - 1).max(), 100 * table["jer"].mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-sim", type=int, default=200_000)
    parser.add_argument("--n-data", type=int, nargs="+", default=[15_000, 200_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sim_test, data_test = (
        make_dijets(N_TEST, side=side, random_state=1000) for side in ("sim", "data")
    )
    limits = [figures(p.y, p.oracle(p.X))[1] for p in (sim_test, data_test)]
    print(f"limits: simulation {limits[0]:.2f} %, data {limits[1]:.2f} %")
    table = Table(
        f"{arguments.n_sim} simulated events",
        "data events | seed | fit [s] | predict [s] | GB    | closure | JER sim |"
        " data before | in situ",
    )
    for n_data in arguments.n_data:
        for seed in arguments.seeds:
            sim = make_dijets(arguments.n_sim, side="sim", random_state=seed)
            data = make_dijets(n_data, side="data", random_state=seed)
            X = np.concatenate([sim.X, data.X])
            y = np.concatenate([sim.y, np.full(len(data.y), np.nan)])
            event_id = np.concatenate([sim.event_id, data.event_id])
            regressor = AsymmetryJERRegressor(random_state=seed)
            _, fit = cpu_seconds(
                lambda r=regressor, args=(X, y), e=event_id: r.fit(*args, event_id=e)
            )
            pt, predict = cpu_seconds(
                lambda r=regressor: r.predict(sim_test.X, insitu=False)
            )
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            closure, jer = figures(sim_test.y, pt)
            _, before = figures(
                data_test.y, regressor.predict(data_test.X, insitu=False)
            )
            _, after = figures(data_test.y, regressor.predict(data_test.X))
            cells = (fit, predict, memory, closure, jer, before, after)
            table.row(str(n_data), str(seed), *(f"{cell:.2f}" for cell in cells))


if __name__ == "__main__":
    main()
