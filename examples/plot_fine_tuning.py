r"""
Does the latent vector carry more than the scores?
==================================================

A flavour tagger sums up a jet in three probabilities. Before them its network has 128
numbers, the latent vector. An analysis that asks something else of the same jets may
use either, or go on training the network itself. Here the question is whether more than
a sixth of the momentum of a b jet is missing, most often for neutrinos and muons of
semileptonic decays, which are not measured, otherwise for the resolution. The mass of a
Higgs boson that decays to b quarks depends on it.

The tagger was never told. Which is best: its scores, its frozen latent vector, its
network as a start, or a network from scratch? And with how many jets?
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import RocCurveDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    StandardScaler,
)

from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.datasets import load_flavour_jets
from sklearn_hepcal.metrics import kinematic_weights, roc_auc

# %%
# A tagger
# --------
# For b, c and light jets, trained on half of the events. The weights give all flavours
# the same spectrum. All networks have half of the default width, to be fast.
jets, flavour = load_flavour_jets(return_X_y=True)
part = jets.labels["eventNumber"] % 4
first = part < 2
momentum = np.column_stack([jets.feature("pt"), np.abs(jets.feature("eta"))])
NETWORK = {"backbone": "deepsets", "aux": None, "embed_dim": 64, "max_epochs": 6}
tagger = FlavourTaggerClassifier(**NETWORK, random_state=0)
tagger.fit(
    jets[first],
    flavour[first],
    sample_weight=kinematic_weights(momentum[first], flavour[first]),
)

# %%
# The question
# ------------
# Of the b jets in the other events.
lost = jets.labels["pt_truth"] > 1.2 * jets.feature("pt")
train, test = ((flavour == 5) & (part == k) for k in (2, 3))
X, y, X_test, y_test = jets[train], lost[train], jets[test], lost[test]


# %%
# The scores come with the momentum and direction, which the network knows too, and with
# squares and products of all of them.
def scores(jets):
    """Return the logarithms of the probabilities and of pT, and eta."""
    pt, eta = jets.features.T
    return np.column_stack([np.log(tagger.predict_proba(jets)), np.log(pt), eta])


# %%
# The question is asked in few lines, the same for all four.
scale, head = StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
from_scores = make_pipeline(
    FunctionTransformer(scores), scale, PolynomialFeatures(2), head
)
from_latent = make_pipeline(FrozenEstimator(tagger), scale, head)


def ask(X, y, seed):
    """Learn in four ways; yield what they make of the jets of the test."""
    yield "scores", from_scores.fit(X, y).decision_function(X_test)
    yield "latent", from_latent.fit(X, y).decision_function(X_test)
    net = FlavourTaggerClassifier(**NETWORK, random_state=seed)
    yield "fine-tuned", net.fit(X, y, warm_start_from=tagger).decision_function(X_test)
    yield "from scratch", net.fit(X, y).decision_function(X_test)


# %%
# The answers
# -----------
# With few and with all b jets to learn from, twice each: other jets where they are few,
# and other random numbers of the networks.
SIZES, SEEDS = (250, len(y)), (0, 1)
answers = {}
for size in SIZES:
    for seed in SEEDS:
        rows = np.random.default_rng(seed).permutation(len(y))[:size]
        for way, answer in ask(X[rows], y[rows], seed):
            answers.setdefault(way, {}).setdefault(size, []).append(answer)


# %%
# The areas under the ROC curve, as means of the two. The error of an area is that of
# the jets of the test. They are the same for all, and the error of a gain, from draws
# of these jets with replacement, is smaller.
def area(size, way, rows=slice(None)):
    """Return the mean area and its error."""
    areas = [roc_auc(y_test[rows], answer[rows]) for answer in answers[way][size]]
    return np.mean(areas, axis=0)


rng = np.random.default_rng(0)
draws = [rng.integers(len(y_test), size=len(y_test)) for _ in range(30)]


def gain(size, way):
    """Return what a way gains over the scores, and its error."""
    gains = [
        area(size, way, rows)[0] - area(size, "scores", rows)[0]
        for rows in (slice(None), *draws)
    ]
    return gains[0], np.std(gains[1:])


table = {}
for way in answers:
    columns = {f"{size} jets": area(size, way) for size in SIZES}
    if way != "scores":
        columns |= {f"gain, {size} jets": gain(size, way) for size in SIZES}
    table[way] = {
        name: f"{value:.3f} ± {error:.3f}" for name, (value, error) in columns.items()
    }
print(f"Area under the ROC curve, {len(y_test)} b jets, {y_test.mean():.0%} lost much")
print(pd.DataFrame(table).T.fillna("-").to_string(), end="\n\n")

# %%
# Right: the curves of one of the fits to all jets. Left: the areas, in their colours.
figure, (left, right) = plt.subplots(ncols=2, figsize=(11, 4.8), layout="constrained")
for k, way in enumerate(answers):
    areas, errors = np.transpose([area(size, way) for size in SIZES])
    shift = 1.04 ** (k - 1.5)  # bars side by side
    left.errorbar(shift * np.array(SIZES), areas, errors, fmt="o-", capsize=2)
    RocCurveDisplay.from_predictions(
        y_test, answers[way][SIZES[-1]][0], name=way, ax=right
    )
left.set(xlabel="b jets to learn from", ylabel="area under the ROC curve")
left.set_xscale("log")
left.set_xticks(SIZES, labels=map(str, SIZES))
left.minorticks_off()
right.set(xlabel="part of the other jets", ylabel="part of the jets that lost much")

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "fine_tuning.png", dpi=150)
print(f"Saved {outputs.resolve() / 'fine_tuning.png'}")

# %%
# What it shows
# -------------
# The latent vector carries much that the scores do not: a logistic regression of it,
# learned from 250 jets, answers better than the scores do with all jets. Leptons and
# the part of the momentum that is in tracks tell flavours apart, and the network still
# has them when it sums up a jet. Networks come as far with all jets, but not further;
# with few, the frozen latent vector is ahead of one from scratch. Whether networks of
# the question itself win with millions of jets, these few thousand cannot tell.
