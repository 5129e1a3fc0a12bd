"""From the scores of a tagger to its mis-tag rates: maps against scale factors.

    SKLEARN_HEPCAL_DATA=FOLDER python tests/benchmarks/bench_flavour_chain.py

Reads FOLDER/flavour_scores.npz, or the smaller sample of the package if the variable
is not set. Compared are

- "map": SimplexTransformer and OTCalibrator given log(pT), which know no working point;
- "D_b map": the quantiles of D_b alone, given log(pT); p_c / p_u is kept;
- "SF 77", "SF 85", "SF 90": ScaleFactorCalibrator in bins of pT at one working point,
  judged at all of them, and "SF all" at all three at once.

Both samples are cut into random halves, a and b. A method is fitted to one and judged
on the other: "a to b" and "b to a". The first error of an efficiency ratio is that of
the counts in the judged halves. A method takes over the fluctuations of the halves it
was fitted to; the total error has these in quadrature, from the counts of the corrected
jets of the fit. At the points of other cuts, this overestimates it for scale factors.

"both" judges all jets together, each corrected by what the other half has taught. What
the halves differ by then cancels to first order, so that only the errors of the counts
are left, which are half the variance, and what the method itself leaves.

Simulation has the pT spectrum of the data. Cuts are those of all simulated b jets.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse

import numpy as np
import torch
from bench_flavour import (
    LOG_PT,
    SIMPLEX,
    Outcome,
    Sample,
    closure,
    format_ratio,
    halves,
    load,
)
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_hepcal.calibration import OTCalibrator, ScaleFactorCalibrator
from sklearn_hepcal.metrics import working_point_cuts

# Scale factors are derived at all but the first.
WORKING_POINTS = np.array([0.70, 0.77, 0.85, 0.90])
# GeV; in narrower bins scale factors, ratios of few counts, are too large on average
PT_BINS = [20, 40, 60, 110, np.inf]
DIRECTIONS = {"a to b": (0, 1), "b to a": (1, 0)}


def keep(sim, data, seed):
    return lambda sample: sample, "identity"


def fit_map(sim, data, seed):
    chain = make_pipeline(
        clone(SIMPLEX),
        OTCalibrator(conditions=[LOG_PT], max_epochs=80, random_state=seed),
    )
    rows = [SIMPLEX.inverse_transform(sample.Z) for sample in (sim, data)]
    chain.fit(np.concatenate(rows), np.repeat([0, 1], [len(part) for part in rows]))

    def move(sample):
        moved = chain.transform(SIMPLEX.inverse_transform(sample.Z))
        return Sample(moved, sample.weight)

    return move, chain[-1].selection_


def fit_d_b_map(sim, data, seed):
    def columns(sample):
        return np.column_stack([sample.d_b, sample.Z[:, LOG_PT]])

    calibrator = OTCalibrator("quantile", conditions=[1], random_state=seed)
    calibrator.fit_samples(columns(sim), columns(data))

    def move(sample):
        before = columns(sample)
        proba = SIMPLEX.inverse_transform(sample.Z)
        proba[:, 2] *= np.exp((calibrator.transform(before) - before)[:, 0])
        return Sample(SIMPLEX.transform(proba), sample.weight)

    return move, calibrator.selection_


def scale_factors(cuts):
    def columns(sample):
        return np.column_stack([sample.d_b, np.exp(sample.Z[:, LOG_PT])])

    def fit(sim, data, seed):
        calibrator = ScaleFactorCalibrator(cuts, bins=PT_BINS).fit_samples(
            columns(sim), columns(data), sample_weight_sim=sim.weight
        )

        def reweight(sample):
            return Sample(sample.Z, sample.weight * calibrator.predict(columns(sample)))

        return reweight, "weights"

    return fit


def judge(fit, sims, datas, seed):
    """Fit to each of the halves and judge the other, and both together."""
    outcomes = {}
    for direction, (fitted, judged) in DIRECTIONS.items():
        sim, data = sims[fitted], datas[fitted]
        (act, selected), cpu = cpu_seconds(lambda s=sim, d=data: fit(s, d, seed))
        seen = None if selected == "identity" else (act(sim), data)
        outcomes[direction] = Outcome(
            act(sims[judged]), datas[judged], seen, selected, cpu
        )
    first, second = outcomes.values()
    both = Outcome(
        first.sim + second.sim,
        first.data + second.data,
        None,
        f"{first.selected}, {second.selected}",
        (first.cpu_seconds + second.cpu_seconds) / 2,
    )
    return outcomes | {"both": both}


def print_closure(flavour, results):
    table = Table(
        f"{flavour} jets: closure AUC of the coordinates and log(pT)",
        f"{'method, split':16}|{'a to b':>16}|{'b to a':>16}|fit CPU s|{'kept':>18}",
    )
    for (method, split), outcomes in results.items():
        aucs = [closure(outcomes[direction], split) for direction in DIRECTIONS]
        table.row(
            f"{method}, {split}",
            *(f"{auc.auc:.4f}±{auc.error:.4f}" for auc in aucs),
            f"{outcomes['both'].cpu_seconds:.1f}",
            outcomes["both"].selected,
        )


def print_ratios(flavour, results, cuts, direction):
    width = len(format_ratio(2.0, 0.1, 0.1))
    points = "|".join(f"{100 * point:.0f} %".rjust(width) for point in WORKING_POINTS)
    table = Table(
        f"{flavour} jets, {direction}: efficiency data/simulation ± error of the "
        "judged jets / total error (pulls from 1)",
        f"{'method, split':16}|{points}",
    )
    for (method, split), outcomes in results.items():
        cells = zip(*outcomes[direction].ratio(cuts), strict=True)
        table.row(f"{method}, {split}", *(format_ratio(*cell) for cell in cells))


def run(flavour, cuts, splits):
    Z_sim, Z_data = load(flavour)
    points = zip(WORKING_POINTS[1:], cuts[1:], strict=True)
    methods = {
        "before": keep,
        "map": fit_map,
        "D_b map": fit_d_b_map,
        **{f"SF {100 * point:.0f}": scale_factors([cut]) for point, cut in points},
        "SF all": scale_factors(cuts[1:]),
    }
    samples = [halves(Z_sim, Z_data, split) for split in range(splits)]
    results = {
        (method, split): judge(fit, *samples[split], split)
        for method, fit in methods.items()
        for split in range(splits)
    }
    print_closure(flavour, results)
    for direction in (*DIRECTIONS, "both"):
        print_ratios(flavour, results, cuts, direction)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flavours", nargs="+", default=["light", "b"])
    parser.add_argument("--splits", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    b_sim = load("b")[0]
    cuts = working_point_cuts(Sample(b_sim, np.ones(len(b_sim))).d_b, WORKING_POINTS)
    for flavour in args.flavours:
        run(flavour, cuts, args.splits)


if __name__ == "__main__":
    main()
