r"""
A calibration that does not depend on the training spectrum
===========================================================

A regression that minimises squared errors learns the mean of :math:`p(z|x)`. By Bayes'
theorem that contains the spectrum of the truth :math:`z` in the training sample: the
same measured :math:`x` is calibrated differently by networks trained on a falling
spectrum, on a flat one or on a search region. The Gaussian Ansatz of `arXiv:2205.03413
<https://arxiv.org/abs/2205.03413>`_ learns :math:`p(x|z)/p(x)` instead, whose maximum
in :math:`z` knows nothing of the spectrum.

Here the detector is the simplest one, :math:`x = z + N(0, 1)`, so that everything is
known exactly: the best unbiased estimate is :math:`x` itself, its resolution is 1.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.datasets import make_resolution_problem
from sklearn_hepcal.metrics import response_closure
from sklearn_hepcal.regression import GaussianAnsatzRegressor

# %%
# One detector, two spectra
# -------------------------
# The truth is normal with a standard deviation of 2.5, or uniform between -5 and 5. The
# Gaussian Ansatz is trained for a quarter of the usual steps, which loses little here.
PRIORS = ("normal", "uniform")
N_EVENTS = 15_000
problems = {
    prior: make_resolution_problem(N_EVENTS, prior=prior, random_state=0)
    for prior in PRIORS
}
ours = {
    prior: GaussianAnsatzRegressor(
        n_shuffles=4, n_mi_shuffles=8, max_epochs=12, random_state=0
    ).fit(problem.X, problem.y)
    for prior, problem in problems.items()
}
squared_error = {
    prior: make_pipeline(
        StandardScaler(),
        MLPRegressor(
            hidden_layer_sizes=(32, 32, 32),
            batch_size=500,
            learning_rate_init=0.003,
            early_stopping=True,
            random_state=0,
        ),
    ).fit(problem.X, problem.y)
    for prior, problem in problems.items()
}

# %%
# The same measurement, calibrated by both
# ----------------------------------------
x = np.linspace(-4, 4, 81)[:, None]
spread = {
    name: np.abs(fits["normal"].predict(x) - fits["uniform"].predict(x)).max()
    for name, fits in [("squared error", squared_error), ("Gaussian Ansatz", ours)]
}
for name, value in spread.items():
    print(f"{name}: calibrations differ by up to {value:.3f} for |x| < 4")

figure, axes = plt.subplots(ncols=3, figsize=(12, 3.8), layout="constrained")
STYLE = {"normal": "-", "uniform": "--"}
for prior in PRIORS:
    mean, std = ours[prior].predict(x, return_std=True)
    label = f"Gaussian Ansatz, {prior}"
    axes[0].plot(x, mean - x[:, 0], "C0" + STYLE[prior], label=label)
    axes[1].plot(x, std, "C0" + STYLE[prior], label=label)
    biased = squared_error[prior].predict(x)
    axes[0].plot(
        x, biased - x[:, 0], "C1" + STYLE[prior], label=f"squared error, {prior}"
    )
axes[0].set(xlabel="x", ylabel="calibrated minus x")
axes[0].legend(fontsize="small")
axes[1].axhline(1, color="grey", lw=0.8)
axes[1].set(xlabel="x", ylabel="resolution", ylim=(0.8, 1.2))

# %%
# Closure
# -------
# Each network was trained on one spectrum. On fresh events, the mean of the calibrated
# value at a fixed truth is the truth for the Gaussian Ansatz; the squared error pulls
# it towards the middle of its spectrum. (At a fixed truth, not at a fixed measurement:
# only the first is a property of the detector.)
X_new, z_new = problems["uniform"].sample(50_000, random_state=1)
edges = np.linspace(-4, 4, 17)
for name, fits, colour in [
    ("Gaussian Ansatz", ours, "C0"),
    ("squared error", squared_error, "C1"),
]:
    for prior in PRIORS:
        closure = response_closure(
            z_new,
            fits[prior].predict(X_new),
            bins=edges,
            kind="difference",
            n_bootstrap=2,  # for the errors of modes, which are not shown
            random_state=0,
        )
        axes[2].errorbar(
            closure.mean_true,
            closure.mean,
            closure.mean_error,
            fmt=colour + STYLE[prior],
            label=f"{name}, {prior}",
        )
axes[2].set(xlabel="z", ylabel="mean of calibrated minus true")
axes[2].axhline(0, color="grey", lw=0.8)
outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "prior_dependence.png", dpi=150)
print(f"Saved {outputs.resolve() / 'prior_dependence.png'}")

# %%
# How much does x tell about z?
# -----------------------------
# The same training gives the mutual information, which is known exactly here. It is
# evaluated on fresh events: a lower bound, up to its statistical error.
rows = {}
for prior, problem in problems.items():
    fresh = problem.sample(50_000, random_state=2)
    value, error = ours[prior].mutual_information(*fresh)
    rows[prior] = {
        "estimate [nats]": value,
        "error": error,
        "exact": problem.mutual_information,
    }
print(pd.DataFrame(rows).T.round(4).to_string())
