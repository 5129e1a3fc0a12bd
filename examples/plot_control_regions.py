r"""
Calibrate three flavours that come mixed
========================================

Simulated jets have a flavour, jets in data do not. A flavour tagger is calibrated in
control regions that are rich in one flavour, such as b jets of top pairs, but hold the
others as well. If their fractions are known, jets of the other flavours can be taken
from the simulation, as background. They are mis-modelled themselves: to subtract them,
one needs their calibration, which needs that of the first. This example goes round
until nothing changes any more, and shows when this fails.

To know the truth, the "data" are made of simulated jets: those of each flavour are
moved by a known map.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.datasets import load_flavour_scores
from sklearn_hepcal.metrics import closure_auc

# %%
# The jets
# --------
# The three probabilities of a tagger have two degrees of freedom. One half of the jets
# is the simulation, the other half becomes data; of either, up to 12,000 a flavour.
SCORES = ["p_u", "p_c", "p_b"]
FLAVOURS = ["light", "c", "b"]

sample = load_flavour_scores(as_frame=True)
X = SimplexTransformer().fit_transform(np.asarray(sample.data[SCORES]))
rng = np.random.default_rng(0)
first = rng.random(len(X)) < 0.5
sim, other = (
    {
        name: rng.permutation(X[part & (sample.flavour == k)])[:12_000]
        for k, name in enumerate(FLAVOURS)
    }
    for part in (first, ~first)
)

# %%
# The true maps stretch and shift the coordinates of each flavour. Affine maps with a
# symmetric, positive matrix are optimal, and of the kind that ``solver="bures"`` finds:
# all that remains is the background.
STRETCH = {
    "light": [[1.06, 0], [0, 0.95]],
    "c": [[0.95, 0], [0, 1.05]],
    "b": [[1, 0.05], [0.05, 1.1]],
}
SHIFT = {"light": [-0.4, -0.2], "c": [0.3, -0.2], "b": [0.3, 0.2]}


def true_map(name, jets):
    """Move simulated jets of a flavour as the data want it."""
    centre = sim[name].mean(axis=0)
    return centre + (jets - centre) @ STRETCH[name] + SHIFT[name]


# %%
# Control regions
# ---------------
# One a flavour, with 10,000 jets. The rest of each is shared by the two other flavours:
# a row of the matrix of fractions is a region, a column a flavour.
N_JETS = 10_000


def fractions(purity):
    """Return the fractions of the flavours in the three regions."""
    return np.full((3, 3), (1 - purity) / 2) + np.eye(3) * (1.5 * purity - 0.5)


def draw_regions(matrix, seed):
    """Draw data in all regions, without putting jets back."""
    rng = np.random.default_rng(seed)
    parts = [[] for _ in matrix]
    for name, column in zip(FLAVOURS, matrix.T, strict=True):
        jets = rng.permutation(other[name])
        ends = np.cumsum(np.rint(N_JETS * column).astype(int))
        drawn = np.split(true_map(name, jets[: ends[-1]]), ends[:-1])
        for part, moved in zip(parts, drawn, strict=True):
            part.append(moved)
    return [np.concatenate(part) for part in parts]


# %%
# Round and round
# ---------------
# A flavour is calibrated in its region. The other flavours are background: simulated
# jets, moved by the maps that are known so far, and weighted to the number of jets that
# are expected. (If the fractions are known up to a common factor only,
# ``float_background=True`` fits it.)
def fit_map(name, data, X_background=None, weight=None):
    """Fit the map of a flavour."""
    return OTCalibrator("bures").fit_samples(
        sim[name],
        data,
        X_background=X_background,
        sample_weight_background=weight,
    )


def background(name, row, maps):
    """Return the jets of the other flavours in a region, and their weights."""
    jets, weights = [], []
    for share, flavour in zip(row, FLAVOURS, strict=True):
        if flavour != name:
            calibrator, simulated = maps.get(flavour), sim[flavour]
            moved = calibrator.transform(simulated) if calibrator else simulated
            jets.append(moved)
            weights.append(np.full(len(moved), N_JETS * share / len(moved)))
    return np.concatenate(jets), np.concatenate(weights)


def calibrate(matrix, regions, n_rounds):
    """Yield the maps of all flavours after every round."""
    maps = {}
    for _ in range(n_rounds):
        for name in ("b", "c", "light"):
            k = FLAVOURS.index(name)
            maps[name] = fit_map(name, regions[k], *background(name, matrix[k], maps))
        yield dict(maps)


# %%
# The measure of a map is the root of the mean squared distance to the true one, over
# that of the simulation: what it leaves of the mis-modelling. It is 1 without a map.
def left(maps):
    """Return what the maps of all flavours leave, on the jets of the other half."""
    errors = []
    for name, calibrator in maps.items():
        jets = other[name]
        truth, moved = true_map(name, jets), calibrator.transform(jets)
        errors.append(
            np.sqrt(np.sum((moved - truth) ** 2) / np.sum((jets - truth) ** 2))
        )
    return dict(zip(maps, errors, strict=True))


# %%
# At a purity of 80 %, with three sets of data. The last row is the best that can be
# done: 8,000 jets of a flavour and no others.
SEEDS, N_ROUNDS, PURE = range(3), 3, 0.8
matrix = fractions(PURE)
rows = {}
for seed in SEEDS:
    regions = draw_regions(matrix, seed)
    ignored = {name: fit_map(name, regions[k]) for k, name in enumerate(FLAVOURS)}
    rows.setdefault("background ignored", []).append(left(ignored))
    for k, maps in enumerate(calibrate(matrix, regions, N_ROUNDS)):
        rows.setdefault(f"round {k + 1}", []).append(left(maps))
    rng = np.random.default_rng(seed)
    pure = {
        name: fit_map(name, true_map(name, rng.permutation(other[name])[:8000]))
        for name in FLAVOURS
    }
    rows.setdefault("no background", []).append(left(pure))


def mean_and_error(values):
    """Summarise several sets of data."""
    return np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))


summary = {
    way: {
        name: mean_and_error([errors[name] for errors in of_way]) for name in FLAVOURS
    }
    for way, of_way in rows.items()
}
print(f"Part of the mis-modelling that is left, purity {PURE:.0%}")
print(
    pd.DataFrame(summary)
    .T.map(lambda cell: "{:.2f} ± {:.2f}".format(*cell))
    .to_string()
)


# %%
# In the first round, b jets are calibrated with a background as the simulation has it.
# The second round halves what is left of theirs, which is then about what pure samples
# leave, and the third changes nothing. Half of the background of c jets and all of that
# of light jets is calibrated from the start: c jets improve by less than the errors,
# light jets not at all. They stay far above what pure samples give, by an amount that
# depends on the set of data: jets of other flavours lie far from the narrow peak of
# light jets, so that their fluctuations, which no calibration removes, weigh heavily in
# the covariance after the subtraction.
# Ignoring the background is worse than no calibration: the map then makes jets of the
# other flavours out of those of the one.
#
# With the true flavours in data, which no analysis has, closure is tested directly. Of
# this set of data, b and c jets close, and light jets do not.
table = {}
for name in FLAVOURS:
    jets, data = sim[name][:6000], true_map(name, other[name][:6000])
    images = {
        "before": jets,
        "calibrated": maps[name].transform(jets),
    }
    areas = {
        way: closure_auc(image, data, random_state=0) for way, image in images.items()
    }
    table[name] = {
        way: f"{auc:.3f} ± {error:.3f}" for way, (auc, error) in areas.items()
    }
print(
    "\nClosure AUC of jets of one flavour", pd.DataFrame(table).T.to_string(), sep="\n"
)

# %%
# Regions that are too alike
# --------------------------
# The regions are equations, and the flavours the unknowns. The less they differ, the
# larger is the condition number of the matrix of fractions, by which what is wrong in
# one flavour, or fluctuates in the data, is amplified in the others.
PURITIES = (0.9, 0.7, 0.6, 0.5, 0.4)
scan, table = {}, {}
for purity in PURITIES:
    matrix, outcomes, refused = fractions(purity), [], 0
    for seed in SEEDS:
        try:
            *_, maps = calibrate(matrix, draw_regions(matrix, seed), N_ROUNDS)
            outcomes.append(max(left(maps).values()))
        except np.linalg.LinAlgError:
            refused += 1
    scan[purity] = outcomes
    worst = f"{np.median(outcomes):.2f}" if outcomes else "-"
    table[f"{purity:.0%}"] = {
        "condition number": f"{np.linalg.cond(matrix):.1f}",
        "worst flavour": worst,
        "refused": str(refused),
    }
print(f"\nPart of the mis-modelling that is left, median of {len(SEEDS)} sets of data")
print(pd.DataFrame(table).T.to_string())

# %%
# The errors grow with the condition number, and in the least pure regions calibration
# is worse than none. Some sets of data have no calibration at all: where the variance
# that is left after the subtraction is not positive in every direction, the calibrator
# refuses with a ``numpy.linalg.LinAlgError``. A single region is the limit: one
# equation for three unknowns. Whichever flavour is calibrated first takes all that is
# wrong upon it, and no closure test in that region would tell.
figure, (rounds, regions) = plt.subplots(ncols=2, figsize=(10, 4), layout="constrained")
steps = [way for way in summary if way.startswith("round")]
for name, color in zip(FLAVOURS, ["tab:blue", "tab:orange", "tab:green"], strict=True):
    values, errors = np.transpose([(1, 0), *(summary[way][name] for way in steps)])
    rounds.errorbar(
        range(len(values)), values, errors, fmt="o-", color=color, label=name
    )
    rounds.axhline(summary["no background"][name][0], color=color, linestyle=":")
rounds.set(xlabel="round", ylabel="part of the mis-modelling left", yscale="log")
rounds.set_xticks(range(len(steps) + 1))
rounds.legend(title="dotted: pure samples")
for purity, outcomes in scan.items():
    condition = np.full(len(outcomes), np.linalg.cond(fractions(purity)))
    regions.plot(condition, outcomes, "k.")
    refused = len(SEEDS) - len(outcomes)
    if refused:
        label = f"{refused} of {len(SEEDS)}\nrefused"
        regions.annotate(label, (np.linalg.cond(fractions(purity)), 0.06), ha="center")
regions.axhline(1, color="gray", linestyle="--")
regions.set(
    xlabel="condition number of the fractions",
    ylabel="left of the worst flavour",
    xscale="log",
    yscale="log",
    xlim=(1, 14),
    ylim=(0.05, 5),
)
regions.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
regions.tick_params(axis="x", which="minor", labelbottom=False)

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "control_regions.png", dpi=150)
print(f"\nSaved {outputs.resolve() / 'control_regions.png'}")
