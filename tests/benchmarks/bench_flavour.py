"""Calibration of real tagger scores: light and b jets, given pT.

    SKLEARN_HEPCAL_DATA=FOLDER python tests/benchmarks/bench_flavour.py --splits 3

Reads FOLDER/flavour_scores.npz, or the smaller sample of the package if the variable
is not set. The maps act on the ILR coordinates of the scores, given log(pT), and are
fitted to one half of either sample. Judged is the other half, with the simulation
weighted to the data's pT spectrum. Cuts are those of all simulated b jets.

A map inherits the fluctuations of the halves it was fitted to. An efficiency ratio
data/simulation therefore has two errors: that of the judged halves alone, and the
total, with the equal-size fitted halves in quadrature. With --two-fold every jet is
moved by the map of the other half, and the two halves are judged together: these
fluctuations then cancel to first order, so that the ratio shows what the method
leaves beyond statistics, and the errors overestimate its scatter.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklearn_hepcal.calibration import (
    DensityRatioReweighter,
    OTCalibrator,
    SimplexTransformer,
)
from sklearn_hepcal.datasets import load_flavour_scores
from sklearn_hepcal.metrics import (
    closure_auc,
    discriminant,
    effective_sample_size,
    efficiency_ratio,
    wasserstein_1d,
    working_point_cuts,
)

WORKING_POINTS = np.array([0.60, 0.70, 0.77, 0.85, 0.90])
LOG_PT = 2  # column, after the two coordinates
METHODS = ("none", "bures", "picnn", "reweighting")
# Zeros are rare, and a larger floor would pile up the purest b jets at one point.
SIMPLEX = SimplexTransformer([0, 1, 2], eps=1e-30)


@dataclass(frozen=True)
class Sample:
    """Rows (coordinates, log pT) and the weights with which they count."""

    Z: NDArray
    weight: NDArray

    def __getitem__(self, rows):
        return Sample(self.Z[rows], self.weight[rows])

    def __add__(self, other):
        return Sample(
            np.concatenate([self.Z, other.Z]),
            np.concatenate([self.weight, other.weight]),
        )

    @property
    def d_b(self):
        return discriminant(SIMPLEX.inverse_transform(self.Z)[:, :3])


@dataclass(frozen=True)
class Outcome:
    """What a method made of simulated jets it has not seen, beside such data."""

    sim: Sample
    data: Sample
    # The same for the jets of the fit; None where they do not add to the errors.
    fitted: tuple[Sample, Sample] | None
    selected: str
    cpu_seconds: float

    def ratio(self, cuts, in_bin=lambda sample: slice(None)):
        """Efficiency ratio data/simulation, error of the judged jets, total error."""
        ratio, error = _ratio(self.sim, self.data, cuts, in_bin)
        if self.fitted is None:
            return ratio, error, error
        return ratio, error, np.hypot(error, _ratio(*self.fitted, cuts, in_bin)[1])


def _ratio(sim, data, cuts, in_bin):
    sim, data = sim[in_bin(sim)], data[in_bin(data)]
    return efficiency_ratio(
        data.d_b,
        sim.d_b,
        cuts,
        sample_weight_num=data.weight,
        sample_weight_den=sim.weight,
    )


def load(flavour):
    """Simulation and data, as coordinates and log pT."""
    folder = os.environ.get("SKLEARN_HEPCAL_DATA")
    path = None if folder is None else Path(folder) / "flavour_scores.npz"
    X, y = load_flavour_scores(path=path, flavour=flavour, return_X_y=True)
    Z = SIMPLEX.fit_transform(np.column_stack([X[:, :3], np.log(X[:, 3])]))
    return Z[y == 0], Z[y == 1]


def weight_to_spectrum(Z_sim, Z_data):
    """Weights that give the simulation the pT spectrum of the data."""
    smooth = make_pipeline(
        SplineTransformer(n_knots=8, knots="quantile"), LogisticRegression(C=100.0)
    )
    ratio = DensityRatioReweighter(smooth, calibration=None)
    c_sim, c_data = Z_sim[:, [LOG_PT]], Z_data[:, [LOG_PT]]
    return Sample(Z_sim, ratio.fit_samples(c_sim, c_data).predict(c_sim))


def fit(method, sim, data, seed):
    """Return what acts on a simulated sample, learnt from both, and its name."""
    if method == "none":
        return lambda sample: sample, "identity"
    if method == "reweighting":
        reweighter = DensityRatioReweighter(random_state=seed)
        reweighter.fit_samples(sim.Z, data.Z)
        return lambda sample: Sample(sample.Z, reweighter.predict(sample.Z)), "weights"
    calibrator = OTCalibrator(
        solver=method, conditions=[LOG_PT], max_epochs=80, random_state=seed
    )
    calibrator.fit_samples(sim.Z, data.Z)
    return (
        lambda sample: Sample(calibrator.transform(sample.Z), sample.weight),
        calibrator.selection_,
    )


def judge(method, sims, datas, seed, two_fold):
    """Fit to the first half and judge the second, or also the other way round."""
    (act, selected), cpu = cpu_seconds(lambda: fit(method, sims[0], datas[0], seed))
    sim, data, fitted = act(sims[1]), datas[1], None
    if two_fold:
        (act, other), more = cpu_seconds(lambda: fit(method, sims[1], datas[1], seed))
        sim, data = sim + act(sims[0]), data + datas[0]
        selected, cpu = f"{selected}, {other}", (cpu + more) / 2
    elif selected != "identity":
        fitted = act(sims[0]), datas[0]
    return Outcome(sim, data, fitted, selected, cpu)


def halves(Z_sim, Z_data, split):
    """Random halves of both samples, the simulation at the data's spectrum."""
    rng = np.random.default_rng(split)
    sides = []
    for Z in (Z_sim, Z_data):
        rows = rng.permutation(len(Z))
        sides.append([Z[part] for part in np.array_split(rows, 2)])
    sims = [weight_to_spectrum(*parts) for parts in zip(*sides, strict=True)]
    return sims, [Sample(Z, np.ones(len(Z))) for Z in sides[1]]


def pt_bins(data):
    """Functions that choose the jets of a sample in the quartiles of the data's pT."""
    edges = np.quantile(data.Z[:, LOG_PT], [0.25, 0.5, 0.75])
    return [
        lambda sample, k=k: np.searchsorted(edges, sample.Z[:, LOG_PT]) == k
        for k in range(4)
    ]


def closure(outcome, seed):
    return closure_auc(
        outcome.sim.Z,
        outcome.data.Z,
        sample_weight_sim=outcome.sim.weight,
        random_state=seed,
    )


def distances(outcome):
    """Wasserstein distances of both coordinates and of D_b, in the data's sigma."""
    sim, data = outcome.sim, outcome.data
    columns = [(sim.Z[:, k], data.Z[:, k]) for k in range(LOG_PT)]
    return [
        wasserstein_1d(u, v, sim.weight, standardise=True)
        for u, v in [*columns, (sim.d_b, data.d_b)]
    ]


def format_ratio(ratio, error, total):
    pulls = f"({(ratio - 1) / error:+.1f}, {(ratio - 1) / total:+.1f})"
    return f"{ratio:.3f}±{error:.3f}/{total:.3f} {pulls}"


def print_closure(flavour, outcomes, splits):
    table = Table(
        f"{flavour} jets: closure (target: AUC <= 0.52 for light jets, not worse for b "
        "jets; fit <= 60 CPU s), Wasserstein distances [sigma], ESS fraction",
        f"{'method, split':18}|AUC|error|W ilr_u|W ilr_c|W D_b|ESS|fit CPU s|x rewt.|"
        f"{'selected':>18}",
    )
    for method in METHODS:
        for split in range(splits):
            outcome = outcomes[method, split]
            auc = closure(outcome, split)
            peer = outcomes["reweighting", split].cpu_seconds
            weight = outcome.sim.weight
            table.row(
                f"{method}, {split}",
                f"{auc.auc:.4f}",
                f"{auc.error:.4f}",
                *(f"{distance:.4f}" for distance in distances(outcome)),
                f"{effective_sample_size(weight) / len(weight):.3f}",
                f"{outcome.cpu_seconds:.1f}",
                f"{outcome.cpu_seconds / peer:.2f}",
                outcome.selected,
            )


def print_ratios(title, names, ratios, splits):
    """Print `ratios[method, split]`, arrays (3, n) of ratio, error, total error."""
    width = len(format_ratio(2.0, 0.1, 0.1))
    columns = [f"{'method, split':18}", *(name.rjust(width) for name in names)]
    table = Table(title, "|".join(columns))
    for method in METHODS:
        rows = [ratios[method, split] for split in range(splits)]
        for split, row in enumerate(rows):
            table.row(f"{method}, {split}", *(format_ratio(*cell) for cell in row.T))
        if splits > 1:
            # Splits share their jets: the mean has the error of one of them.
            mean = np.mean(rows, axis=0)
            table.row(f"{method}, mean", *(format_ratio(*cell) for cell in mean.T))


def run(flavour, cuts, splits, two_fold):
    Z_sim, Z_data = load(flavour)
    outcomes, ratios, binned = {}, {}, {}
    for split in range(splits):
        sims, datas = halves(Z_sim, Z_data, split)
        bins = pt_bins(datas[1])
        for method in METHODS:
            outcome = judge(method, sims, datas, split, two_fold)
            outcomes[method, split] = outcome
            ratios[method, split] = np.array(outcome.ratio(cuts))
            binned[method, split] = np.concatenate(
                [outcome.ratio(cuts[-1:], in_bin) for in_bin in bins], axis=1
            )
    print_closure(flavour, outcomes, splits)
    explanation = "ratio ± error of the judged jets / total error (pulls from 1)"
    print_ratios(
        f"{flavour} jets: efficiency data/simulation at the working points (target: "
        f"77, 85, 90 % within 2 sigma of 1): {explanation}",
        [f"{100 * point:.0f} %" for point in WORKING_POINTS],
        ratios,
        splits,
    )
    print_ratios(
        f"{flavour} jets: the 90 % working point in quartiles of pT: {explanation}",
        [f"pT quartile {k}" for k in range(1, 5)],
        binned,
        splits,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flavours", nargs="+", default=["light", "b"])
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--two-fold", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    b_sim = load("b")[0]
    cuts = working_point_cuts(Sample(b_sim, np.ones(len(b_sim))).d_b, WORKING_POINTS)
    for flavour in args.flavours:
        run(flavour, cuts, args.splits, args.two_fold)


if __name__ == "__main__":
    main()
