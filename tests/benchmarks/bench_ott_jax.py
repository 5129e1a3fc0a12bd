"""ott-jax's ExpectileNeuralDual on a problem that bench_transport.py has written.

    python tests/benchmarks/bench_transport.py --problems icnn-8 --seeds 0 --dump FILE
    PEER/bin/python tests/benchmarks/bench_ott_jax.py FILE

PEER is an environment of its own with ott-jax (0.6.0 with jax 0.10.2 was used). The
networks are its defaults; they train for as many CPU seconds as the fit of `picnn`
took, and compilation is not counted. They are not convex, and the map not monotone.
"""

from _timing import Table

# isort: split
import argparse
import itertools
import os
import time

import jax
import numpy as np
import optax
from _standardise import Standardiser
from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual

LEARNING_RATES = {"default": None, "1e-3": 1e-3, "3e-3": 3e-3}
N_COMPILING_STEPS = 2  # one for each direction


class Stopwatch:
    """CPU seconds of the compilation and of the training after it."""

    def __init__(self, budget):
        self.budget = budget
        self.start = time.process_time()
        self.n_steps = 0

    def step(self, *_):
        self.n_steps += 1
        if self.n_steps == N_COMPILING_STEPS:
            now = time.process_time()
            self.compilation, self.start = now - self.start, now

    @property
    def training(self):
        return time.process_time() - self.start

    @property
    def running(self):
        return self.n_steps < N_COMPILING_STEPS or self.training < self.budget


def batches(rows, batch_size, rng, watch):
    # The library has no other way to end by time: it stops with the loader.
    while watch.running:
        yield rows[rng.integers(len(rows), size=batch_size)]


def fit(x, y, learning_rate, budget, batch_size, seed):
    rng = np.random.default_rng(seed)
    watch = Stopwatch(budget)
    optimisers = {}
    if learning_rate is not None:
        adam = optax.adam(learning_rate, b1=0.9, b2=0.9)
        optimisers = {"optimizer_f": adam, "optimizer_g": adam}
    solver = ExpectileNeuralDual(
        x.shape[1], num_train_iters=10**9, rng=jax.random.PRNGKey(seed), **optimisers
    )
    loaders = [batches(rows, batch_size, rng, watch) for rows in (x, y)]
    try:
        solver(*loaders, *itertools.repeat(iter(()), 2), callback=watch.step)
    except StopIteration:
        training = watch.training
    return solver.to_dual_potentials(), watch, training


def uvp(predicted, truth):
    return 100 * np.square(predicted - truth).sum(1).mean() / truth.var(axis=0).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", help="npz file")
    parser.add_argument("--cpu-seconds", type=float, help="default: as picnn's fit")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    arrays = dict(np.load(args.problem))
    own_uvp, own_cpu = float(arrays["uvp"]), float(arrays["cpu_seconds"])
    budget = args.cpu_seconds or own_cpu
    scaler = Standardiser.fit(arrays["X_sim"], arrays["X_data"])
    x = scaler.source(arrays["X_sim"]).astype(np.float32)
    y = scaler.target(arrays["X_data"]).astype(np.float32)
    x_test = scaler.source(arrays["X_test"]).astype(np.float32)

    table = Table(
        f"UVP [%]; picnn: {own_uvp:.3f} in {own_cpu:.1f} CPU s (target: ratio >= 5)",
        "ott-jax, learning rate|UVP|ratio|training s|compiling s|iterations",
    )
    for name, rate in LEARNING_RATES.items():
        potentials, watch, training = fit(
            x, y, rate, budget, args.batch_size, args.seed
        )
        moved = scaler.from_target(np.asarray(potentials.transport(x_test), float))
        score = uvp(moved, arrays["truth"])
        table.row(
            name,
            f"{score:.3f}",
            f"{score / own_uvp:.1f}",
            f"{training:.1f}",
            f"{watch.compilation:.1f}",
            str(watch.n_steps),
        )


if __name__ == "__main__":
    main()
