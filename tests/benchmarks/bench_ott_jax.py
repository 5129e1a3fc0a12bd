"""ott-jax's neural duals on a problem that bench_transport.py has written.

    python tests/benchmarks/bench_transport.py --problems icnn-8 --seeds 0 --dump FILE
    PEER/bin/python tests/benchmarks/bench_ott_jax.py FILE
    PEER/bin/python tests/benchmarks/bench_ott_jax.py FILE --solvers expectile \
        --learning-rates 1e-3 --cpu-factors 1 10

PEER is an environment of its own with ott-jax (0.6.0 with jax 0.10.2 was used).
"expectile" is ExpectileNeuralDual, whose networks are not convex, and its map not
monotone; "w2" is W2NeuralDual, two input-convex networks with exact conjugates. Both
have their default networks. Budgets are in units of the CPU seconds that the fit of
`picnn` took; compilation is not counted. One training passes all budgets: its learning
rate is constant, and where it is at a budget, a training to that budget would end.
"""

from _timing import Table

# isort: split
import argparse
import os
import time
from typing import NamedTuple

import jax
import numpy as np
import optax
from _standardise import Standardiser
from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual
from ott.neural.methods.neuraldual import W2NeuralDual
from ott.problems.linear.potentials import DualPotentials

# With the first decay rate of their own Adam; the second is 0.9 in both.
SOLVERS = {"expectile": (ExpectileNeuralDual, 0.9), "w2": (W2NeuralDual, 0.5)}
LEARNING_RATES = {"default": None, "1e-3": 1e-3, "3e-3": 3e-3}
N_COMPILING_STEPS = 2  # one for each direction
NEVER = 10**9


class Snapshot(NamedTuple):
    """What a training has reached when it has used up a budget."""

    potentials: DualPotentials
    training: float
    n_steps: int


class Stopwatch:
    """Takes a snapshot whenever the training has used up one of its budgets."""

    def __init__(self, solver, budgets):
        self.solver = solver
        self.budgets = sorted(budgets)
        self.snapshots = []
        self.start = time.process_time()
        self.n_steps = 0

    def step(self, _, potentials):
        # The calls of jax return before the work is done.
        jax.block_until_ready((self.solver.state_f.params, self.solver.state_g.params))
        now = time.process_time()
        self.n_steps += 1
        if self.n_steps < N_COMPILING_STEPS:
            return
        if self.n_steps == N_COMPILING_STEPS:
            self.compilation, self.start = now - self.start, now
        training = now - self.start
        while self.running and training >= self.budgets[len(self.snapshots)]:
            self.snapshots.append(Snapshot(potentials, training, self.n_steps))

    @property
    def running(self):
        return len(self.snapshots) < len(self.budgets)


def batches(rows, batch_size, rng, watch):
    # The library has no other way to end by time: it stops with the loader.
    while watch.running:
        yield rows[rng.integers(len(rows), size=batch_size)]


def fit(name, x, y, learning_rate, budgets, batch_size, seed):
    """Train to the largest budget."""
    method, beta = SOLVERS[name]
    optimisers = {}
    if learning_rate is not None:
        adam = optax.adam(learning_rate, b1=beta, b2=0.9)
        optimisers = {"optimizer_f": adam, "optimizer_g": adam}
    solver = method(
        x.shape[1],
        num_train_iters=NEVER,
        valid_freq=NEVER,
        rng=jax.random.PRNGKey(seed),
        **optimisers,
    )
    rng = np.random.default_rng(seed)
    watch = Stopwatch(solver, budgets)
    loaders = [batches(rows, batch_size, rng, watch) for rows in (x, y)]
    try:
        solver(*loaders, None, None, callback=watch.step)
    except StopIteration:
        return watch


def uvp(predicted, truth):
    return 100 * np.square(predicted - truth).sum(1).mean() / truth.var(axis=0).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", help="npz file")
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS))
    parser.add_argument(
        "--learning-rates",
        nargs="+",
        choices=LEARNING_RATES,
        default=list(LEARNING_RATES),
    )
    parser.add_argument("--cpu-factors", nargs="+", type=float, default=[1.0, 10.0])
    parser.add_argument(
        "--cpu-seconds", type=float, help="unit of the budgets; default: picnn's fit"
    )
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    arrays = dict(np.load(args.problem))
    own_uvp, own_cpu = float(arrays["uvp"]), float(arrays["cpu_seconds"])
    factors = sorted(args.cpu_factors)
    budgets = [factor * (args.cpu_seconds or own_cpu) for factor in factors]
    scaler = Standardiser.fit(arrays["X_sim"], arrays["X_data"])
    x = scaler.source(arrays["X_sim"]).astype(np.float32)
    y = scaler.target(arrays["X_data"]).astype(np.float32)
    x_test = scaler.source(arrays["X_test"]).astype(np.float32)

    table = Table(
        f"UVP [%]; picnn: {own_uvp:.3f} in {own_cpu:.1f} CPU s (target: ratio >= 5 at "
        "1 x, or >= 1 at 10 x)",
        "ott-jax, learning rate|budget|UVP|ratio|training s|compiling s|iterations",
    )
    for name in args.solvers:
        for rate in args.learning_rates:
            watch = fit(
                name, x, y, LEARNING_RATES[rate], budgets, args.batch_size, args.seed
            )
            for factor, snapshot in zip(factors, watch.snapshots, strict=True):
                moved = np.asarray(snapshot.potentials.transport(x_test), float)
                score = uvp(scaler.from_target(moved), arrays["truth"])
                table.row(
                    f"{name}, {rate}",
                    f"{factor:g} x",
                    f"{score:.3f}",
                    f"{score / own_uvp:.1f}",
                    f"{snapshot.training:.1f}",
                    f"{watch.compilation:.1f}",
                    str(snapshot.n_steps),
                )


if __name__ == "__main__":
    main()
