"""Maps of known problems: accuracy, closure and cost, against Makkuva's minimax game.

    python tests/benchmarks/bench_transport.py
    python tests/benchmarks/bench_transport.py --problems icnn-8 --flow --peers
    python tests/benchmarks/bench_transport.py --problems icnn-8 --seeds 0 --dump FILE

UVP is the unexplained variance of the map in per cent, on fresh rows. The closure AUC
is that of boosted trees on fresh simulation, drawn at the conditions' spectrum of the
data, against fresh data; the truth map's own is its floor. The peer plays for as many
CPU seconds as the fit of `picnn` took. Times are CPU seconds of one thread.
`--flow` adds the solver "flow", which needs zuko.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
from dataclasses import dataclass

import numpy as np
import torch
from _makkuva import SETTINGS, MakkuvaMap
from scipy.stats import beta

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import closure_auc, l2_uvp, monotonicity_violations

N_TEST = 50_000
N_CLOSURE = 40_000
# Spectra of the condition, as make_transport_problem documents them.
SPECTRUM_SIM, SPECTRUM_DATA = beta(1.2, 1.8), beta(1.8, 1.3)
LARGEST_RATIO = 30.0


@dataclass(frozen=True)
class Case:
    """Arguments of a problem, and what a fit should reach on it."""

    kind: str
    dim: int
    conditional: bool
    uvp: float
    auc: float | str | None  # "truth": the truth map's own + 0.015; None: no target
    n_samples: int = 50_000  # of each side

    def problem(self, n_samples, seed):
        return make_transport_problem(
            n_samples or self.n_samples,
            dim=self.dim,
            kind=self.kind,
            conditional=self.conditional,
            random_state=seed,
        )

    def auc_target(self, truth_auc):
        return truth_auc + 0.015 if self.auc == "truth" else self.auc


CASES = {
    "icnn-2": Case("icnn", 2, False, 0.1, "truth"),
    "icnn-8": Case("icnn", 8, False, 0.35, 0.53),
    "icnn-16": Case("icnn", 16, False, 1.0, 0.53),
    "icnn-32": Case("icnn", 32, False, 1.5, 0.53),
    "icnn-64": Case("icnn", 64, False, 3.0, None, n_samples=20_000),
    "icnn-3-given-c": Case("icnn", 3, True, 0.45, 0.55),
    "monotone-2": Case("monotone", 2, False, 0.1, "truth"),
    "monotone-8": Case("monotone", 8, False, 0.35, 0.54),
}


def spectrum_ratio(problem, X):
    c = X[:, problem.conditions[0]]
    return SPECTRUM_DATA.pdf(c) / SPECTRUM_SIM.pdf(c)


def sample_matched(problem, n_samples, seed):
    """Fresh simulation with the conditions' spectrum of the data, by rejection."""
    if not problem.conditions:
        return problem.sample_sim(n_samples, random_state=seed)
    X = problem.sample_sim(int(1.3 * LARGEST_RATIO * n_samples), random_state=seed)
    uniform = np.random.default_rng(seed).random(len(X))
    return X[uniform * LARGEST_RATIO < spectrum_ratio(problem, X)][:n_samples]


class Judge:
    """Scores of maps on fresh rows of one problem."""

    def __init__(self, problem, dim, seed):
        self.dim = dim
        self.seed = seed
        self.X = problem.sample_sim(N_TEST, random_state=seed)
        self.truth = problem.true_map(self.X)
        self.X_matched = sample_matched(problem, N_CLOSURE, seed + 1)
        self.X_data = problem.sample_data(N_CLOSURE, random_state=seed + 2)

    def uvp(self, transform):
        return l2_uvp(transform(self.X)[:, : self.dim], self.truth[:, : self.dim])

    def auc(self, transform):
        moved = transform(self.X_matched)
        return closure_auc(moved, self.X_data, random_state=self.seed).auc

    def violations(self, transform, conditions):
        return monotonicity_violations(
            transform, self.X, conditions=conditions, random_state=self.seed
        )


def fit_peer(problem, settings, cpu_budget, seed):
    weight = None
    if problem.conditions:
        weight = spectrum_ratio(problem, problem.X_sim)
    peer = MakkuvaMap(settings, problem.conditions, seed)
    return peer.fit(problem.X_sim, problem.X_data, cpu_budget, weight)


def microseconds_per_event(transform, X):
    times = [cpu_seconds(lambda: transform(X))[1] for _ in range(3)]
    return 1e6 * min(times) / len(X)


def fit_own(solver, problem, seed):
    """The fitted calibrator and its CPU seconds."""
    model = OTCalibrator(
        solver=solver, conditions=problem.conditions or None, random_state=seed
    )
    return cpu_seconds(lambda: model.fit_samples(problem.X_sim, problem.X_data))


def run(name, seed, tables, args):
    case = CASES[name]
    first = f"{name} seed {seed}"
    problem = case.problem(args.n_samples, seed)
    judge = Judge(problem, case.dim, seed + 1000)
    bures, _ = fit_own("bures", problem, seed)
    picnn, fit_cpu = fit_own("picnn", problem, seed)
    maps = [np.copy, bures.transform, picnn.transform]
    uvps = [judge.uvp(transform) for transform in maps]
    aucs = [judge.auc(transform) for transform in [*maps, problem.true_map]]
    auc_target = case.auc_target(aucs[-1])
    accuracy, cost, flows = tables
    accuracy.row(
        first,
        str(len(problem.X_sim)),
        *(f"{value:.3f}" for value in uvps),
        f"<= {case.uvp:.2f}",
        *(f"{value:.3f}" for value in aucs),
        "none" if auc_target is None else f"<= {auc_target:.3f}",
    )
    cells = [
        f"{fit_cpu:.1f}",
        f"{microseconds_per_event(picnn.transform, judge.X):.2f}",
        str(judge.violations(picnn.transform, problem.conditions)),
        str(picnn.selection_),
    ]
    for peer_name in args.peers:
        peer = fit_peer(problem, SETTINGS[peer_name], fit_cpu, seed)
        uvp = judge.uvp(peer.transform)
        cells += [f"{uvp:.3f}", f"{uvp / uvps[-1]:.1f}"]
    cost.append((first, cells))
    if args.flow:
        flows.append((first, flow_cells(problem, judge, seed)))
    if args.dump:
        np.savez(
            args.dump,
            X_sim=problem.X_sim,
            X_data=problem.X_data,
            X_test=judge.X,
            truth=judge.truth,
            cpu_seconds=fit_cpu,
            uvp=uvps[-1],
        )


def flow_cells(problem, judge, seed):
    flow, flow_cpu = fit_own("flow", problem, seed)
    return [
        f"{judge.uvp(flow.transform):.3f}",
        f"{judge.auc(flow.transform):.3f}",
        f"{flow_cpu:.1f}",
        str(judge.violations(flow.transform, problem.conditions)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--n-samples", type=int, help="default: the problem's own")
    parser.add_argument("--peers", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--flow", action="store_true", help='add the solver "flow"')
    parser.add_argument(
        "--dump", help="npz file for bench_ott_jax.py and bench_sampled_maps.py"
    )
    args = parser.parse_args()
    if args.dump and (
        len(args.problems) * len(args.seeds) > 1 or CASES[args.problems[0]].conditional
    ):
        parser.error("--dump takes one problem without condition and one seed")
    torch.set_num_threads(1)

    accuracy = Table(
        "Accuracy: UVP [%] and closure AUC",
        f"{'problem':22}|rows a side|identity|Bures|picnn|target|AUC id.|Bures|picnn"
        "|truth| target",
    )
    costs, flows = [], []
    for name in args.problems:
        for seed in args.seeds:
            run(name, seed, (accuracy, costs, flows), args)
    cost = Table(
        "Cost of picnn (targets: 30 s, 5 us, 0), and UVP [%] of Makkuva's game in the "
        "same time, with its ratio to picnn's (target: >= 5)",
        f"{'problem':22}|fit CPU s|us/event|violations|selected"
        + "".join(f"|Makkuva {name}|ratio" for name in args.peers),
    )
    for first, cells in costs:
        cost.row(first, *cells)
    if flows:
        table = Table(
            "The flow, which nothing makes monotone",
            f"{'problem':22}|UVP [%]|AUC|fit CPU s|violations",
        )
        for first, cells in flows:
            table.row(first, *cells)


if __name__ == "__main__":
    main()
