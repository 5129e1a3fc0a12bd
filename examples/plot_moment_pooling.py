r"""
Moments do the work of many functions
=====================================

An energy flow network (EFN) sums learned functions of the directions of a jet's
particles, weighted by their momenta, and reads the sums by a second network. With
moment pooling (`arXiv:2403.08854 <https://arxiv.org/abs/2403.08854>`_), the second
network gets the moments of these functions up to some order, besides their means: a few
functions then tell quark from gluon jets as well as many did. The paper shows this with
a million jets. Here are 3,000, and two questions more: what do moments of a fixed
function give without any network, and what does simply counting the particles?
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    StandardScaler,
)

from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import relative_constituents
from sklearn_hepcal.metrics import background_rejection, roc_auc

jets, is_quark = load_quark_gluon_jets(return_X_y=True)
train, test = slice(0, 3000), slice(3000, None)

# %%
# Without a network
# -----------------
# The function is fixed: :math:`\log(0.005 + r)`, with r the distance to the jet axis in
# radians, as the paper found it in a network. Its mean over the momentum of a jet, and
# its central moments up to the fourth, go into a logistic regression with their squares
# and products. The axis, the mean and the moments do not change when a particle is
# split, or when one of vanishing momentum is added: this is infrared and collinear
# (IRC) safe, as the networks are.


def log_angularity_moments(jets):
    """Compute the mean and the central moments of log(0.005 + r), one row a jet."""
    fraction, dy, dphi, *_ = relative_constituents(jets)
    values = np.log(0.005 + np.hypot(dy, dphi))

    def mean(x):
        return np.bincount(jets.jet_index, fraction * x, minlength=len(jets))

    centred = values - mean(values)[jets.jet_index]
    return np.stack([mean(values), *(mean(centred**k) for k in (2, 3, 4))], axis=1)


baseline = make_pipeline(
    FunctionTransformer(log_angularity_moments),
    PolynomialFeatures(2, include_bias=False),
    StandardScaler(),
    LogisticRegression(),
).fit(jets[train], is_quark[train])

# %%
# The number of particles separates well without any fit: gluon jets have more. But it
# is not IRC safe. A calculation in perturbation theory cannot give it, and every soft
# particle that the detector misses changes it.
references = {
    "multiplicity": -jets[test].counts,
    "log angularity": baseline.decision_function(jets[test]),
}

# %%
# Networks
# --------
# With 1, 3 or 8 functions and moments up to order 1 (the EFN), 2 or 4. Each is trained
# once, in a few epochs, with a smaller first network than by default: another seed
# moves the areas by about 0.01, and more for few functions.
ORDERS, LATENT_DIMS = (1, 2, 4), (1, 3, 8)
scores = {}
for order in ORDERS:
    for latent_dim in LATENT_DIMS:
        network = MomentEFNClassifier(
            order, latent_dim, phi_layer_sizes=(32, 32), max_epochs=6, random_state=0
        ).fit(jets[train], is_quark[train])
        scores[order, latent_dim] = network.decision_function(jets[test])

# %%
# Area under the ROC curve
# ------------------------
# On held-out jets, with statistical errors. As the jets are the same for all, the
# errors of differences are smaller.


def with_error(value, error, digits=3):
    """Format a number."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


auc = {network: roc_auc(is_quark[test], s) for network, s in scores.items()}
table = {
    f"order {order}": {
        f"{dim} latent": with_error(*auc[order, dim]) for dim in LATENT_DIMS
    }
    for order in ORDERS
}
print(f"Area under the ROC curve, {len(jets[test])} held-out jets")
print(pd.DataFrame(table).T.to_string(), end="\n\n")

# %%
# An analysis cuts. When half of the quark jets are left, the rejection is one over the
# part of the gluon jets that are left, too. (A cut on a number of particles, an
# integer, leaves somewhat more.) The best network is the one with the largest area on
# these same jets, which flatters it a little.
best = max(scores, key=lambda network: auc[network].value)
compared = references | {
    "order 1, 1 latent": scores[1, 1],
    "order {}, {} latent (best)".format(*best): scores[best],
}
rows = {}
for name, score in compared.items():
    rejection = background_rejection(is_quark[test], score, [0.5])
    rows[name] = {
        "AUC": with_error(*roc_auc(is_quark[test], score)),
        "rejection": with_error(rejection.value[0], rejection.error[0], 1),
    }
print("Gluon rejection at a quark efficiency of 50 %")
print(pd.DataFrame(rows).T.to_string(), end="\n\n")

# %%
# The figure of the paper, with its two comparisons.
figure, axis = plt.subplots(figsize=(7, 4.8), layout="constrained")
for order in ORDERS:
    areas, errors = zip(*(auc[order, dim] for dim in LATENT_DIMS), strict=True)
    shift = 1.03 ** (order - 2.5)  # bars side by side
    axis.errorbar(
        shift * np.array(LATENT_DIMS),
        areas,
        errors,
        fmt="o-",
        ms=4,
        capsize=2,
        label=f"order {order}" + (" (EFN)" if order == 1 else ""),
    )
STYLES = {
    "multiplicity": ("0.4", ":", "number of particles (not IRC safe)"),
    "log angularity": ("black", "--", "moments of a fixed log angularity"),
}
for name, (colour, style, label) in STYLES.items():
    area, error = roc_auc(is_quark[test], references[name])
    axis.axhline(area, color=colour, linestyle=style, label=label)
    axis.axhspan(area - error, area + error, color=colour, alpha=0.1, linewidth=0)
axis.set_xscale("log", base=2)
axis.set_xticks(LATENT_DIMS, labels=map(str, LATENT_DIMS))
axis.set(xlabel="latent dimension", ylabel="area under the ROC curve")
axis.legend(loc="lower right", fontsize="small", ncols=2)

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "moment_pooling.png", dpi=150)
print(f"Saved {outputs.resolve() / 'moment_pooling.png'}")

# %%
# What it shows
# -------------
# From the first to the second order most is gained, at every number of functions; what
# the third and the fourth add is not much more than the scatter of single fits to so
# few jets. Four moments of a formula and a logistic regression are no worse than a
# network of one function, in a fraction of the time: with few jets, a network has to
# earn its place, which it does with more functions. And the best networks, safe by
# construction, come close to the unsafe number of particles.
