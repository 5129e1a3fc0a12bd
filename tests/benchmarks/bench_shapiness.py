"""ShapinessTransformer against pyshaper, and against exact values.

    python tests/benchmarks/bench_shapiness.py --peer-python PEER/bin/python \
        --cache FOLDER

Two samples: the first quark and gluon jets of FOLDER/qg_jets.npz if
SKLEARN_HEPCAL_DATA=FOLDER is set, or the bundled ones, with R = 0.4; and synthetic jets
of 30 to 50 particles in one to three Gaussian prongs, see `synthetic_jets`, with R =
0.8. Positions are relative to an axis, momenta are divided by their sum, beta is 1.

Times are CPU seconds of one thread for an event: of ours the smallest of repetitions;
of the peer one run in batches of a size that is fast, without its imports. The peer has
its default settings, and, for fewer jets, more accurate ones (epsilon 0.001, scaling
0.9) like those of its paper.

Errors are relative to the smallest value that an exact search from many starts finds,
see _exact_shapes.py. It takes seconds for an event; what it finds is kept in the folder
--cache. Values below it are wrong, or minima that the search has missed.

PEER is an environment with Python 3.11 and pyshaper 1.2.0, which neither runs with a
newer numpy nor with a newer matplotlib:

    pip install pyshaper==1.2.0 numpy==1.26.4 matplotlib==3.7.5 torch==2.13.0 \
        scipy==1.13.1
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from _exact_shapes import Family, reference

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import relative_constituents
from sklearn_hepcal.shapes import ShapinessTransformer

PEER_SCRIPT = Path(__file__).with_name("_peer_pyshaper.py")
SHAPES = ["ring", "disk", "ellipse", "point", "2-point", "3-point"]
SHAPES += ["2-ring", "3-ring", "2-disk", "2-ellipse"]


def quark_gluon_jets(n_jets):
    """Return events of pt, y and phi, relative to the axes."""
    path = os.environ.get("SKLEARN_HEPCAL_DATA")
    jets, _ = load_quark_gluon_jets(n_jets=n_jets, path=path, return_X_y=True)
    relative = relative_constituents(jets)
    columns = np.column_stack([jets.constituents[:, 0], relative.dy, relative.dphi])
    return np.split(columns, jets.offsets[1:-1])


def synthetic_jets(n_jets, seed=0):
    """Draw events of pt, y and phi around one to three prongs.

    A prong lies anywhere within 0.5 of the axis, has a Gaussian width of 0.03 to 0.2,
    and a share of the momentum which its particles split unevenly.
    """
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(n_jets):
        n_particles, n_prongs = rng.integers(30, 51), rng.integers(1, 4)
        radius, angle = 0.5 * np.sqrt(rng.random(n_prongs)), rng.random(n_prongs)
        angle *= 2 * np.pi
        centres = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        widths = rng.uniform(0.03, 0.2, n_prongs)
        shares = rng.dirichlet(np.full(n_prongs, 2.0))
        prong = rng.integers(n_prongs, size=n_particles)
        noise = rng.standard_normal((n_particles, 2))
        pt = 500 * shares[prong] * rng.dirichlet(np.full(n_particles, 0.7))
        positions = centres[prong] + widths[prong, None] * noise
        events.append(np.column_stack([pt, positions]))
    return events


@dataclass(frozen=True)
class Sample:
    """Events and their radius."""

    name: str
    events: list
    R: float

    @cached_property
    def arrays(self):
        pt, y, phi = np.concatenate(self.events).T
        offsets = np.cumsum([0, *map(len, self.events)])
        return {"pt": pt, "y": y, "phi": phi, "offsets": offsets}

    def __str__(self):
        counts = [len(event) for event in self.events]
        return (
            f"{len(counts)} {self.name} jets of {np.mean(counts):.0f} particles, at "
            f"most {max(counts)}, R = {self.R}"
        )


SAMPLES = {"qg": (quark_gluon_jets, 0.4), "synthetic": (synthetic_jets, 0.8)}


def draw(name, n_jets):
    events, R = SAMPLES[name]
    return Sample(name, events(n_jets), R)


@dataclass(frozen=True)
class Run:
    """Values of the first events, and CPU milliseconds for an event."""

    values: np.ndarray
    milliseconds: float


def run_own(sample, shape, args):
    family = Family.parse(shape)
    options = {} if args.n_init is None else {"n_init": args.n_init}
    transformer = ShapinessTransformer(
        family.kind, family.n_components, R=sample.R, random_state=0, **options
    ).fit(sample.events)
    transformer.transform(sample.events[:1])  # imports the solver
    runs = [
        cpu_seconds(lambda: transformer.transform(sample.events))
        for _ in range(args.repetitions)
    ]
    columns = np.asarray(runs[0][0])
    seconds = min(seconds for _, seconds in runs)
    return Run(columns[:, 0], 1e3 * seconds / len(sample.events))


def run_peer(sample, shape, settings, n_jets, args):
    with tempfile.TemporaryDirectory() as folder:
        events, result = Path(folder, "events.npz"), Path(folder, "result.npz")
        np.savez(events, **sample.arrays)
        command = [args.peer_python, PEER_SCRIPT, events, result]
        command += ["--shape", shape, "--R", str(sample.R), "--settings", settings]
        command += ["--batch-size", str(args.peer_batch_size), "--n-jets", str(n_jets)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with np.load(result) as arrays:
            return Run(arrays["value"], 1e3 * float(arrays["cpu"]))


def run_all(sample, shape, args):
    """Return the runs by name."""
    runs = {"ours": run_own(sample, shape, args)}
    if args.peer_python:
        n_jets = len(sample.events)
        runs["peer"] = run_peer(sample, shape, "default", n_jets, args)
        if args.n_paper:
            n_paper = min(args.n_paper, n_jets)
            runs["paper-like peer"] = run_peer(sample, shape, "paper", n_paper, args)
    return runs


def print_times(times, shape, runs):
    ours = runs["ours"].milliseconds
    cells = [f"{ours:.1f}"]
    for name in ("peer", "paper-like peer"):
        if name in runs:
            peer = runs[name].milliseconds
            cells += [f"{peer:.0f}", f"{peer / ours:.1f}"]
        else:
            cells += ["", ""]
    times.row(shape, *cells)


def print_errors(errors, shape, runs, exact):
    for name, run in runs.items():
        error = run.values / exact[: len(run.values)] - 1
        figures = np.sqrt(np.mean(error**2)), error.mean(), error.min(), error.max()
        share = np.mean(abs(error) < 0.01)
        errors.row(
            shape,
            name,
            str(len(error)),
            *(f"{100 * figure:.3f}" for figure in figures),
            f"{100 * share:.0f}",
        )


def compare(sample, args, cache):
    found = {}
    times = Table(
        f"CPU ms an event. {sample}. The peer's batches: {args.peer_batch_size}",
        f"{'shape':10}|ours|peer|ratio|paper-like|ratio",
    )
    for shape in args.shapes:
        found[shape] = run_all(sample, shape, args)
        print_times(times, shape, found[shape])
    if args.skip_reference:
        return
    errors = Table(
        f"Error of the value, per cent of the exact one. {sample}",
        f"{'shape':10}|{'values of':15}|jets|rms|mean|lowest|highest|within 1 %",
    )
    for shape, runs in found.items():
        path = cache / f"{sample.name}_{shape}.npz"
        columns = [event.T for event in sample.events]
        exact = reference(columns, shape, sample.R, path).value
        print_errors(errors, shape, runs, exact)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--shapes", nargs="+", default=SHAPES, help="such as ring, 2-disk or 3-point")
    add("--samples", nargs="+", choices=SAMPLES, default=list(SAMPLES))
    add("--n-jets", type=int, default=100)
    add("--n-init", type=int, help="starts of ours, if not its default")
    add("--repetitions", type=int, default=3)
    add("--peer-python", help="interpreter of the peer's environment")
    add("--peer-batch-size", type=int, default=10)
    add("--n-paper", type=int, default=20, help="jets of the paper-like settings")
    add("--skip-reference", action="store_true", help="times only")
    add("--cache", type=Path, help="folder of the exact values")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = args.cache or Path(folder)
        cache.mkdir(parents=True, exist_ok=True)
        for name in args.samples:
            compare(draw(name, args.n_jets), args, cache)


if __name__ == "__main__":
    main()
