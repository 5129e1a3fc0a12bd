"""MomentEFNClassifier against the energy flow network of EnergyFlow.

    python tests/benchmarks/bench_moment_efn.py --speed --peer-python PEER/bin/python
    python tests/benchmarks/bench_moment_efn.py --auc --peer-python PEER/bin/python
    python tests/benchmarks/bench_moment_efn.py --memory

Takes the quark and gluon jets of FOLDER/qg_jets.npz if SKLEARN_HEPCAL_DATA=FOLDER is
set, or the bundled ones, which are repeated for speed and memory. Networks are named
(order, latent_dim) and have layers Phi (100, 100, latent_dim) and F (100, 100, 100);
the peer has order 1 only.

The peer is as its package has it: ReLU behind every layer, the last one of Phi too; two
outputs with softmax and cross-entropy; Adam with a rate of 0.001; no dropout, no
penalty. It reads float32 arrays padded to the longest jet, of momentum fractions and
distances to the axis in radians, which the times do not include. Ours has leaky slopes
and a linear last layer of Phi, which for order 1 acts on the sums over the
constituents; its times include the fractions and distances. A trailing "turned" names
fits that augment.

Speed: CPU seconds of one thread, scaled to 50,000 jets, the smallest of repetitions
that alternate between the two. An epoch of the peer is the fastest after the first one,
which compiles; an epoch of ours is the difference of two fits. The peer predicts in
batches of the size that is fastest.

AUC: a seed draws the test jets, the training jets from the rest, and the initial
weights. The peer stops early and takes back its best epoch. Of its fits with several
batch sizes the one with the lowest validation loss counts, and the CPU seconds of it,
which include the compilation.

Memory: of one epoch of the largest network, in a process of its own; on Linux only.

PEER is an environment with Python 3.11 and EnergyFlow 1.4.0, which does not declare
tf_keras:

    pip install energyflow==1.4.0 tensorflow-cpu==2.15.1 tf_keras==2.15.1 \
        numpy==1.26.4 scikit-learn==1.9.1 wasserstein==1.1.0
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import multiprocessing
import os
import re
import subprocess
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets, relative_constituents
from sklearn_hepcal.metrics import roc_auc

PEER_SCRIPT = Path(__file__).with_name("_peer_energyflow.py")
SPEED_NETWORKS = [(1, 128), (1, 4), (4, 1), (2, 8)]
LARGEST_NETWORK = (4, 16)
BATCH_SIZE = 500
# Fits of fewer jets make smaller batches of them.
MIN_JETS = 32 * BATCH_SIZE
PREDICTION_BATCH_SIZES = [100, 250, 500, 1000, 2000]
N_TIMED_EPOCHS = 2
SCALED_TO = 50_000
PEER_LATENT_DIM = 128
PEER_EPOCHS, PEER_PATIENCE = 50, 8
VALIDATION_FRACTION = 0.1


class Configuration(NamedTuple):
    """A network of ours."""

    order: int
    latent_dim: int
    moments: str = "raw"
    coordinates: str = "linear"
    augment: bool = False

    @classmethod
    def parse(cls, text):
        order, latent_dim, *others = text.split(",")
        augment = "turned" in others
        names = [name for name in others if name != "turned"]
        return cls(int(order), int(latent_dim), *names, augment=augment)

    def __str__(self):
        turned = " turned" if self.augment else ""
        network = f"({self.order}, {self.latent_dim})"
        return f"{network} {self.moments} {self.coordinates}{turned}"


CONFIGURATIONS = [
    Configuration(2, 8, "central", "log", augment=True),
    Configuration(2, 8, "central", "log"),
    Configuration(2, 8, augment=True),
    Configuration(2, 8),
    Configuration(1, 128),
    Configuration(1, 4),
    Configuration(4, 1),
]


def load_jets():
    path = os.environ.get("SKLEARN_HEPCAL_DATA")
    jets, y = load_quark_gluon_jets(path=path, return_X_y=True)
    # Without names of columns, as padded arrays are.
    return Jets(constituents=jets.constituents[:, :3], offsets=jets.offsets), y


def load_many_jets(n_jets):
    jets, y = load_jets()
    rows = np.resize(np.arange(len(jets)), n_jets)
    return jets[rows], y[rows]


def fit(jets, y, max_epochs, order, latent_dim):
    """Fit in the batches of the peer, without validation rows."""
    classifier = MomentEFNClassifier(
        **Configuration(order, latent_dim)._asdict(),
        max_epochs=max_epochs,
        batch_size=BATCH_SIZE,
        early_stopping=False,
        random_state=0,
    )
    return classifier.fit(jets, y)


def peer_inputs(jets):
    """Pad momentum fractions and distances to the axis."""
    relative = relative_constituents(jets)
    columns = np.column_stack([relative.fraction, relative.dy, relative.dphi])
    return jets.replace(constituents=columns.astype(np.float32)).to_padded()[0]


def run_peer(python, mode, arrays, **options):
    arguments = []
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", *map(str, np.atleast_1d(value))]
    with tempfile.TemporaryDirectory() as folder:
        samples, result = Path(folder, "samples.npz"), Path(folder, "result.npz")
        np.savez(samples, **arrays)
        subprocess.run(
            [python, PEER_SCRIPT, mode, samples, result, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        return dict(np.load(result))


@dataclass(frozen=True)
class OwnTimes:
    """CPU seconds."""

    epoch: float
    double: float
    single: float
    padded: float


@dataclass(frozen=True)
class PeerTimes:
    """CPU seconds; `compilation` is what the first epoch takes more."""

    epoch: float
    compilation: float
    prediction: float
    batch_size: int


def run_own(network, jets, y, padded):
    """CPU seconds of a short and a longer fit, and of predictions.

    In double and single precision, and in single from a padded array.
    """
    _, short = cpu_seconds(lambda: fit(jets, y, 1, *network))
    model, longer = cpu_seconds(lambda: fit(jets, y, 1 + N_TIMED_EPOCHS, *network))
    _, double = cpu_seconds(lambda: model.decision_function(jets))
    model.set_params(precision="single")
    _, single = cpu_seconds(lambda: model.decision_function(jets))
    _, from_padded = cpu_seconds(lambda: model.decision_function(padded))
    return short, longer, double, single, from_padded


def run_peer_epochs(network, y, inputs, python):
    """CPU seconds of the epochs, and of the predictions by batch size."""
    found = run_peer(
        python,
        "speed",
        {"X_train": inputs, "y_train": y},
        latent_dim=network[1],
        epochs=1 + N_TIMED_EPOCHS,
        batch_sizes=BATCH_SIZE,
        prediction_batch_sizes=PREDICTION_BATCH_SIZES,
    )
    return *found["epochs"], *found["predictions"]


def smallest_own(runs):
    short, longer, *predictions = np.min(runs, axis=0)
    return OwnTimes((longer - short) / N_TIMED_EPOCHS, *predictions)


def smallest_peer(runs):
    first, *others = np.min(runs, axis=0)
    epoch, predictions = min(others[:N_TIMED_EPOCHS]), others[N_TIMED_EPOCHS:]
    fastest = int(np.argmin(predictions))
    batch_size = PREDICTION_BATCH_SIZES[fastest]
    return PeerTimes(epoch, first - epoch, predictions[fastest], batch_size)


def time_both(network, jets, y, args):
    """Alternate: the machine may be slower at times."""
    padded, _ = jets.to_padded()
    inputs = peer_inputs(jets)
    own, peer = [], []
    for _ in range(args.repetitions):
        if network[0] == 1 and args.peer_python:
            peer.append(run_peer_epochs(network, y, inputs, args.peer_python))
        own.append(run_own(network, jets, y, padded))
    return smallest_own(own), smallest_peer(peer) if peer else None


def print_epochs(timings, sample, scale):
    table = Table(
        f"An epoch in batches of {BATCH_SIZE}. {sample}. Target of the ratio: 2",
        f"{'network':9}|ours|peer|ratio|peer compiles, not scaled",
    )
    for network, (own, peer) in timings.items():
        cells = [""] * 3
        if peer:
            cells = [
                f"{scale * peer.epoch:.2f}",
                f"{peer.epoch / own.epoch:.2f}",
                f"{peer.compilation:.1f}",
            ]
        table.row(str(network), f"{scale * own.epoch:.2f}", *cells)


def print_predictions(timings, sample, scale):
    table = Table(
        f"Prediction in double and single precision, and in single from a padded "
        f"array. {sample}. Target of the ratios: 3",
        f"{'network':9}|double|single|padded|peer|its batch|ratios",
    )
    for network, (own, peer) in timings.items():
        cells = [""] * 3
        seconds = (own.double, own.single, own.padded)
        if peer:
            cells = [
                f"{scale * peer.prediction:.2f}",
                str(peer.batch_size),
                ", ".join(f"{peer.prediction / s:.2f}" for s in seconds),
            ]
        table.row(str(network), *(f"{scale * s:.2f}" for s in seconds), *cells)


def speed(args):
    jets, y = load_many_jets(args.n_jets)
    fit(jets[:BATCH_SIZE], y[:BATCH_SIZE], 1, 1, 1)  # imports skorch
    timings = {network: time_both(network, jets, y, args) for network in SPEED_NETWORKS}
    sample = (
        f"CPU s for {SCALED_TO} jets, from {len(jets)} of {jets.counts.mean():.1f} "
        f"constituents, at most {jets.counts.max()}"
    )
    print_epochs(timings, sample, SCALED_TO / len(jets))
    print_predictions(timings, sample, SCALED_TO / len(jets))


def resident_gigabytes():
    """Largest resident memory up to now; `getrusage` would begin with the parent's."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1e9


def memory_of_fit(jets, y):
    torch.set_num_threads(1)
    before = resident_gigabytes()
    _, cpu = cpu_seconds(lambda: fit(jets, y, 1, *LARGEST_NETWORK))
    return before, resident_gigabytes(), cpu


def memory(args):
    jets, y = load_many_jets(args.n_jets)
    # In a process of its own: the largest memory never falls.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        before, peak, cpu = pool.submit(memory_of_fit, jets, y).result()
    table = Table(
        f"One epoch over {args.n_jets} jets in batches of {BATCH_SIZE}. Target: 4 GB",
        f"{'network':9}|GB before|GB, peak|  CPU s",
    )
    table.row(str(LARGEST_NETWORK), f"{before:.2f}", f"{peak:.2f}", f"{cpu:.0f}")


@dataclass(frozen=True)
class Case:
    """Training and test jets of a seed."""

    jets: Jets
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    seed: int

    @classmethod
    def draw(cls, jets, y, n_train, n_test, seed):
        """Leave the same test jets for every number of training jets."""
        rows = np.random.default_rng(seed).permutation(len(jets))
        test, rest = rows[:n_test], rows[n_test:]
        n_train = len(rest) if n_train == "all" else int(n_train)
        if n_train > len(rest):
            raise ValueError(f"--n-train {n_train} is more than {len(rest)}.")
        return cls(jets, y, rest[:n_train], test, seed)

    def own(self, configuration, max_epochs):
        """Fit; return the scores and the last three cells of the table."""
        model = MomentEFNClassifier(
            **configuration._asdict(), max_epochs=max_epochs, random_state=self.seed
        )
        train = self.jets[self.train], self.y[self.train]
        model, cpu = cpu_seconds(lambda: model.fit(*train))
        scores = model.decision_function(self.jets[self.test])
        return scores, [str(model.n_iter_), "", f"{cpu:.0f}"]

    def peer(self, python, batch_sizes):
        """Fit; return the scores and the last three cells of the table."""
        found = run_peer(
            python,
            "auc",
            {
                "X_train": peer_inputs(self.jets[self.train]),
                "y_train": self.y[self.train],
                "X_test": peer_inputs(self.jets[self.test]),
            },
            latent_dim=PEER_LATENT_DIM,
            epochs=PEER_EPOCHS,
            patience=PEER_PATIENCE,
            validation_fraction=VALIDATION_FRACTION,
            batch_sizes=batch_sizes,
            seed=self.seed,
        )
        cells = [f"{found[name]:.0f}" for name in ("n_epochs", "batch_size", "cpu")]
        return found["scores"], cells


def fits(case, args):
    """Yield names, scores and cells, one fit after the other."""
    if args.peer_python and not args.skip_peer:
        peer = case.peer(args.peer_python, args.peer_batch_sizes)
        yield f"peer (1, {PEER_LATENT_DIM})", *peer
    if not args.only_peer:
        for configuration in args.configurations:
            yield str(configuration), *case.own(configuration, args.max_epochs)


def auc(args):
    jets, y = load_jets()
    n_test = min(args.n_test, len(jets) // 4)
    table = Table(
        f"{n_test} test jets of {len(jets)}. Errors: of the test sample; behind means, "
        "of the mean over the seeds",
        f"{'network':22}|training jets|seed|   AUC|  error|epochs|batch|  CPU s",
    )
    areas = defaultdict(list)
    for n_train, seed in product(args.n_train, args.seeds):
        case = Case.draw(jets, y, n_train, n_test, seed)
        for name, scores, cells in fits(case, args):
            area, error = roc_auc(y[case.test], scores)
            areas[name, len(case.train)].append(area)
            figures = f"{area:.4f}", f"{error:.4f}"
            table.row(name, str(len(case.train)), str(seed), *figures, *cells)
    for (name, n_train), found in areas.items():
        error = (
            np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        )
        figures = f"{np.mean(found):.4f}", f"{error:.4f}"
        table.row(name, str(n_train), "mean", *figures, *[""] * 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--speed", action="store_true", help="time epochs and predictions")
    add("--memory", action="store_true", help="measure the largest network")
    add("--auc", action="store_true", help="train and compare on test jets")
    add("--peer-python", help="interpreter of the peer's environment")
    add("--n-jets", type=int, default=MIN_JETS, help="for speed and memory")
    add("--repetitions", type=int, default=3)
    add("--n-train", nargs="+", default=["5000"], help='numbers, or "all"')
    add("--n-test", type=int, default=20_000)
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add(
        "--configurations",
        nargs="+",
        type=Configuration.parse,
        default=CONFIGURATIONS,
        help="such as 2,8,central,log",
    )
    add("--max-epochs", type=int, default=MomentEFNClassifier().max_epochs)
    add("--peer-batch-sizes", nargs="+", type=int, default=[100, 500])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--skip-peer", action="store_true")
    which.add_argument("--only-peer", action="store_true")
    args = parser.parse_args()
    modes = [mode for mode in (speed, memory, auc) if getattr(args, mode.__name__)]
    if not modes:
        parser.error("give --speed, --memory or --auc")
    if args.only_peer and not args.peer_python:
        parser.error("--only-peer needs --peer-python")
    if args.n_jets < MIN_JETS:
        parser.error(
            f"--n-jets must be at least {MIN_JETS} for batches of {BATCH_SIZE}"
        )
    torch.set_num_threads(1)
    for mode in modes:
        mode(args)


if __name__ == "__main__":
    main()
