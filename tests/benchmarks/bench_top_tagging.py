"""How well single shapinesses tell top jets from QCD jets, beside published figures.

    python tests/benchmarks/bench_top_tagging.py jets.parquet --n-jets 800

The jets are generated, unless the file is there from an earlier run. Published areas
under the ROC curve are those in the stored outputs of the notebook of SHAPER's
repository (arXiv:2302.12266), from 5,000 jets a class of the same kind and selection.
R = 0.8, beta = 1; errors are those of the sample.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse

from sklearn_hepcal.datasets import generate_top_qcd_jets
from sklearn_hepcal.jets import read_parquet
from sklearn_hepcal.metrics import roc_auc
from sklearn_hepcal.shapes import ShapinessTransformer

PUBLISHED = {
    "point": (0.654, 0.678, 0.568, 0.825),
    "ring": (0.514, 0.731, 0.552, 0.792),
    "disk": (0.548, 0.760, 0.532, 0.791),
    "ellipse": (0.554, 0.687, 0.559, 0.760),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jets", help="parquet file")
    parser.add_argument(
        "--n-jets", type=int, default=800, help="of both kinds together"
    )
    parser.add_argument("--shapes", nargs="+", choices=PUBLISHED, default=["point"])
    parser.add_argument("--n-max", type=int, choices=(1, 2, 3), default=3)
    args = parser.parse_args()
    path = generate_top_qcd_jets(args.n_jets, path=args.jets, random_state=1, verbose=1)
    jets = read_parquet(path)
    label = jets.labels["top"]
    jets = jets.select(constituents=["pt", "y", "phi"])
    table = Table(
        f"Top against QCD, {len(jets)} jets of {jets.counts.mean():.0f} particles",
        "observable      |  AUC|error|published|CPU ms an event",
    )

    def row(name, score, published, cpu=""):
        auc, error = roc_auc(label, score)
        auc = max(auc, 1 - auc)  # whichever way it points
        table.row(name, f"{auc:.3f}", f"{error:.3f}", f"{published:.3f}", cpu)

    for shape in args.shapes:
        values = []
        for n_shapes in range(1, args.n_max + 1):
            transformer = ShapinessTransformer(shape, n_shapes)
            rows, cpu = cpu_seconds(lambda t=transformer: t.fit_transform(jets))
            values.append(rows[:, 0])
            per_event = f"{1e3 * cpu / len(jets):.0f}"
            published = PUBLISHED[shape][n_shapes - 1]
            row(f"{n_shapes}-{shape}", rows[:, 0], published, per_event)
        if args.n_max == 3:
            row(f"3 over 2 {shape}s", values[2] / values[1], PUBLISHED[shape][3])


if __name__ == "__main__":
    main()
