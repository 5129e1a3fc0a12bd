r"""
What one latent function looks like
===================================

A network with moment pooling (`arXiv:2403.08854 <https://arxiv.org/abs/2403.08854>`_)
can tell quark from gluon jets by the first four moments of a *single* function
:math:`\Phi` of the direction of a particle, weighted by the particles' momenta. One
function of two coordinates can be drawn. For a network trained on a million jets the
authors found a log angularity, a function of the distance r to the jet axis alone:

.. math:: \Phi(r) = c_1 + c_2 \log(c_3 + r), \quad c_3 \approx 0.005

Here four networks learn from 4,000 jets. They differ in the coordinates that they are
given, and in the seed. What they find is drawn and compared with this formula: not to
confirm it, but to see what such a fit can and cannot tell.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import relative_constituents
from sklearn_hepcal.metrics import roc_auc

# %%
# Four networks
# -------------
# The first one has raw moments, and directions as they are, as in the paper. The others
# have the defaults of `MomentEFNClassifier`: central moments, and log coordinates,
# which replace r by :math:`\log(1 + r / r_0) / 2` and keep the angle around the axis.
# The second and the third differ in the seed only, the fourth has
# :math:`r_0 = 0.05` instead of 0.005. All are trained on jets that are turned around
# their axes at random, so that no direction is preferred.
jets, is_quark = load_quark_gluon_jets(return_X_y=True)
jets = jets.select(constituents=["pt", "y", "phi"])
train, test = slice(0, 4000), slice(4000, None)
SETTINGS = {
    "linear, raw": {"coordinates": "linear", "moments": "raw"},
    "log, central": {},
    "another seed": {"random_state": 2},
    "r0 = 0.05": {"warp_scale": 0.05},
}
COMMON = {
    "order": 4,
    "latent_dim": 1,
    "phi_layer_sizes": (50, 50),
    "max_epochs": 8,
    "random_state": 0,
}
networks = {
    name: MomentEFNClassifier(**COMMON | settings).fit(jets[train], is_quark[train])
    for name, settings in SETTINGS.items()
}

# %%
# The latent functions
# --------------------
# On rings around the axis, up to the jet radius. An offset and a factor of
# :math:`\Phi` mean nothing, as the network behind it can undo them. They are chosen as
# in `fit_log_angularity`: the largest absolute value is one, and the function falls
# from the axis on.
N_DIRECTIONS = 128
r = np.linspace(0, 0.4, 400)
angle = np.linspace(0, 2 * np.pi, N_DIRECTIONS + 1)[:, None]
y, phi = r * np.cos(angle), r * np.sin(angle)
LINES = slice(0, N_DIRECTIONS, N_DIRECTIONS // 16)  # those of the fit


def on_rings(network):
    """Evaluate the latent function; return an array of directions times distances."""
    points = np.column_stack([y.ravel(), phi.ravel()])
    values = network.latent_function(points).reshape(y.shape)
    lines = values[LINES]
    sign = 1 if lines[:, 0].mean() > lines.mean() else -1
    return values * sign / np.abs(lines).max()


latent = {name: on_rings(network) for name, network in networks.items()}
fits = {name: network.fit_log_angularity() for name, network in networks.items()}

# %%
# Four views of a jet
# -------------------
# A network with a function of r alone gives the same answer however a jet is turned. A
# function of both coordinates can tell more about the shape of a jet, but then the
# answer depends on how the jet happens to lie. The mean of the answers to four quarter
# turns does not, nearly, and shows how much more there is to tell.


def quarter_turns(jets):
    """Yield the jets in four orientations about their axes."""
    pt, axis = jets.constituent("pt"), relative_constituents(jets)
    y, phi = axis.dy, axis.dphi
    for _ in range(4):
        yield jets.replace(constituents=np.column_stack([pt, y, phi]))
        y, phi = -phi, y


turned = list(quarter_turns(jets[test]))
scores = {
    name: np.array([network.decision_function(view) for view in turned])
    for name, network in networks.items()
}

# %%
# In numbers
# ----------
# The area under the ROC curve of held-out jets, as they lie and for the mean over the
# turns; the errors are mostly common to all. Then the part of the variance of
# :math:`\Phi`, over directions and distances, that a function of r can describe at
# best, and the part that the log angularity does describe (R2), with its parameters.
# Their errors are standard deviations over fits of single directions, or not defined if
# one of these fits has no best :math:`c_3`.


def with_error(value, error, digits=3):
    """Format a number."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


rows = {}
for name, fit in fits.items():
    lines = latent[name][LINES]
    rows[name] = {
        "AUC": with_error(*roc_auc(is_quark[test], scores[name][0])),
        "AUC of 4 turns": with_error(*roc_auc(is_quark[test], scores[name].mean(0))),
        "any f(r)": f"{lines.mean(axis=0).var() / lines.var():.3f}",
        "R2": f"{fit.r2:.3f}",
        "c1": with_error(fit.c1, fit.c1_error, 2),
        "c2": with_error(fit.c2, fit.c2_error, 2),
        "c3 [rad]": with_error(fit.c3, fit.c3_error, 4),
    }
print(f"{len(turned[0])} held-out jets")
print(pd.DataFrame(rows).T.to_string(), end="\n\n")

# %%
# Above, the functions over rapidity and azimuth; below, along 16 directions, with their
# mean and the fit to it. In the logarithmic scale of r a log angularity is flat up to
# :math:`c_3`, and a straight line from there on.
figure, axes = plt.subplots(
    2, 4, figsize=(14, 6.8), sharey="row", layout="constrained", height_ratios=[1.15, 1]
)
EVERY, TICKS = slice(None, None, 7), (-0.3, 0, 0.3)
lowest, highest = (f([f(a) for a in latent.values()]) for f in (np.min, np.max))
for (name, values), (image, profile) in zip(latent.items(), axes.T, strict=True):
    mesh = image.pcolormesh(
        y[:, EVERY],
        phi[:, EVERY],
        values[:, EVERY],
        shading="gouraud",
        vmin=lowest,
        vmax=highest,
        rasterized=True,
    )
    image.set(title=name, xlabel=r"$\Delta y$", xticks=TICKS, yticks=TICKS)
    image.set_aspect("equal")
    fit, lines = fits[name], values[LINES]
    profile.plot(r[1:], lines[:, 1:].T, color="0.7", linewidth=0.8)
    profile.plot([], [], color="0.7", label="single directions")
    profile.plot(r[1:], lines.mean(axis=0)[1:], "k", label="mean")
    profile.plot(r[1:], fit(r[1:]), "C3--", label="log angularity")
    profile.set(title=f"$R^2 = {fit.r2:.2f}$", xscale="log", xlabel="$r$ [rad]")
axes[0, 0].set_ylabel(r"$\Delta\phi$ [rad]")
axes[1, 0].set_ylabel(r"$\Phi$, normalised")
axes[1, 0].legend(loc="lower left", fontsize="small")
figure.colorbar(mesh, ax=axes[0], pad=0.01, label=r"$\Phi$, normalised")

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "latent_function.png", dpi=150)
print(f"Saved {outputs.resolve() / 'latent_function.png'}")

# %%
# What this does and does not show
# --------------------------------
# Given directions as they are, the network does not find the published formula from
# these jets. Much of its function is not one of r, and what is one is close to a
# straight line: :math:`c_3` is not small against the jet radius, and its error is
# large, or not defined.
#
# Given log coordinates, the fit returns a :math:`c_3` near 0.005, as published. This is
# no discovery: 0.005 is the scale of the coordinates, in which the simplest function, a
# straight line, is a logarithm of r already. With a scale of 0.05 the network tells
# quarks from gluons about as well, and :math:`c_3` follows the scale. Nor need the
# function be one of r: another seed finds another one, more or less symmetric, and the
# fit only describes its mean over the directions. Three parameters fit almost any
# function that falls smoothly: R2 is as high as a function of r can make it.
#
# R2 counts all distances up to the jet radius alike, while most of the momentum of a
# jet is close to the axis. For four moments of a fixed log angularity, and no network,
# see the example on moment pooling.
