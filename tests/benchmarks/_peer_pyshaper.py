"""The values of pyshaper, timed.

    PEER/bin/python tests/benchmarks/_peer_pyshaper.py EVENTS.npz RESULT.npz \
        --shape 2-ring --R 0.8 --settings default --batch-size 100

It is started by bench_shapiness.py, whose docstring tells how to make PEER. EVENTS.npz
holds pt, y and phi of the particles of all events one after the other, and offsets.

pyshaper needs a device, which it does not find by itself; weights that sum to 1, as it
has no other normalisation; and at least as many particles in the longest event of a
batch as points in the shape. Positions go to float32, so that events should be centred.
"""

from _timing import cpu_seconds

# isort: split
import argparse
from itertools import pairwise

import numpy as np
import torch
from pyshaper.CommonObservables import buildCommmonObservables
from pyshaper.Shaper import Shaper

NAMES = {
    "point": "Subjettiness",
    "ring": "Ringiness",
    "disk": "Diskiness",
    "ellipse": "Ellipsiness",
}
PARAMETERS = {
    "point": ("Points", "Weights"),
    "ring": ("Points", "Radius", "Weights"),
    "disk": ("Points", "Radius", "Weights"),
    "ellipse": ("Points", "Radius1", "Radius2", "Angles", "Weights"),
}
# of the loss; "paper" are those of the stored results of its repository.
SETTINGS = {"default": {}, "paper": {"epsilon": 0.001, "scaling": 0.9}}


def read_events(path):
    """Return positions and normalised weights of each event."""
    with np.load(path) as arrays:
        pt, y, phi, offsets = (arrays[name] for name in ("pt", "y", "phi", "offsets"))
    events = []
    for start, stop in pairwise(offsets):
        rows = slice(start, stop)
        points = np.column_stack([y[rows], phi[rows]])
        events.append((points, pt[rows] / pt[rows].sum()))
    return events


def build(shape, R):
    """Return the kind, the name and the observable of a shape such as 2-ring."""
    number, _, kind = shape.rpartition("-")
    n_components = int(number or 1)
    name = f"{n_components}-{NAMES[kind]}"
    observables, _ = buildCommmonObservables(
        N=n_components, beta=1, R=R, device=torch.device("cpu")
    )
    return kind, name, observables[name]


def columns(parameters, kind):
    """Return the parameters of the components as rows."""
    arrays = [np.atleast_1d(parameters[name]) for name in PARAMETERS[kind]]
    return np.column_stack(arrays)


def evaluate(events, args):
    """Return the values and the parameters, in batches."""
    kind, name, observable = build(args.shape, args.R)
    values, parameters = [], []
    for start in range(0, len(events), args.batch_size):
        shaper = Shaper({name: observable}, device=torch.device("cpu"))
        batch = events[start : start + args.batch_size]
        losses, found = shaper.calculate(batch, **SETTINGS[args.settings])
        values.append(losses[name])
        parameters += [columns(f, kind) for f in found[name]]
    return np.concatenate(values), np.array(parameters)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", help="npz file")
    parser.add_argument("result", help="npz file")
    parser.add_argument("--shape", required=True)
    parser.add_argument("--R", type=float, required=True)
    parser.add_argument("--settings", choices=SETTINGS, default="default")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--n-jets", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    events = read_events(args.events)[: args.n_jets]
    (value, parameters), seconds = cpu_seconds(lambda: evaluate(events, args))
    np.savez(args.result, value=value, parameters=parameters, cpu=seconds / len(events))
    print(f"{seconds / len(events):.3f} CPU s an event")


if __name__ == "__main__":
    main()
