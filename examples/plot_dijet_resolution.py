r"""
Why loss + f sigma_A fails, and what works
==========================================

Two jets that recoil against each other have almost the same transverse momentum. The
width :math:`\sigma_A` of their asymmetry :math:`A = 2 (p_1 - p_2) / (p_1 + p_2)` shows
the jet energy resolution (JER) in data, where nobody knows the true momenta. It is
tempting to train a calibration with :math:`\text{loss} + f \sigma_A`, as L. Boggia
reported at the Journées de Rencontre des Jeunes Chercheurs ("Simultaneous jet
calibration with ML including in situ JER measurement"). Momenta came out negative, and
when that was repaired the resolution was worse than before.

This page shows how such a loss fails, on jets whose best calibration is known exactly.
Then :class:`~sklearn_hepcal.regression.AsymmetryJERRegressor` calibrates the same jets,
and improves others in data by their asymmetries.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from sklearn_hepcal.datasets import make_dijets
from sklearn_hepcal.metrics import (
    closure_table,
    dijet_activity,
    flatten_spectrum,
    resolution,
)
from sklearn_hepcal.regression import AsymmetryJERRegressor

SEED = 0

# %%
# Jets
# ----
# Simulated events in a slice of the spectrum, as in the talk: with a mean true pT of
# 850 to 3,200 GeV. Two neighbouring rows are an event. The columns are the measured pT,
# eta and seven observables, which explain a part of the response.


def make_slice(n_events, seed):
    """Make events and keep those of the slice: X, true pT, event, physical weight."""
    events = make_dijets(n_events, random_state=seed)
    mean_pt = np.repeat(events.y.reshape(-1, 2).mean(axis=1), 2)
    kept = (mean_pt > 850) & (mean_pt < 3200)
    columns = events.X, events.y, events.event_id, events.sample_weight
    return events, *(column[kept] for column in columns)


_, X, y, event_id, physical = make_slice(150_000, 2 * SEED)
problem, X_test, y_test, *_ = make_slice(300_000, 2 * SEED + 1)

# %%
# The tempting loss
# -----------------
# A network gives a pT in TeV and the logarithm of its error. The loss is the Gaussian
# negative log-likelihood plus f times the standard deviation of A in the batch. The
# first output is the pT as it is ("linear"), or after a softplus, which makes it
# positive, or it is a factor of the measured pT between 0.86 and 1.57 ("bounded").
HEADS = {
    "linear": lambda out, measured: out,
    "softplus": lambda out, measured: nn.functional.softplus(out),
    "bounded": lambda out, measured: measured * torch.exp(0.15 + 0.3 * torch.tanh(out)),
}
PT_ETA, ALL = slice(0, 2), slice(None)
TEV, BATCH, EPOCHS, LEARNING_RATE = 1000.0, 512, 20, 3e-3


def asymmetry(pt):
    """Compute the asymmetry, of an array or tensor of shape (n_events, 2)."""
    return 2 * (pt[:, 0] - pt[:, 1]) / (pt[:, 0] + pt[:, 1])


def tempting(head, columns, f, weight=None):
    """Train on the slice, and calibrate the test jets."""
    torch.manual_seed(SEED)
    mean, std = X[:, columns].mean(axis=0), X[:, columns].std(axis=0)
    hidden = (nn.Linear(len(mean), 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
    network = nn.Sequential(*hidden, nn.Linear(64, 2))

    def by_event(values):
        values = torch.as_tensor(values, dtype=torch.float32)
        return values.reshape(-1, 2, *values.shape[1:])

    def predict(inputs, measured):
        out, log_error = network(inputs).unbind(dim=-1)
        return HEADS[head](out, measured), log_error

    def read(X):
        return by_event((X[:, columns] - mean) / std), by_event(X[:, 0] / TEV)

    inputs, measured = read(X)
    true = by_event(y / TEV)
    weight = by_event(np.ones_like(y) if weight is None else weight / weight.mean())
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, epochs=EPOCHS, steps_per_epoch=-(-len(true) // BATCH)
    )
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(true)).split(BATCH):
            pt, log_error = predict(inputs[batch], measured[batch])
            pull = (pt - true[batch]) * torch.exp(-log_error)
            likelihood = (weight[batch] * (pull**2 / 2 + log_error)).mean()
            loss = likelihood + f * asymmetry(pt).std()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        pt, _ = predict(*read(X_test))
    return TEV * pt.numpy().astype(np.float64).ravel()


# %%
# Four failures
# -------------
# 1. A constant has no asymmetry. With f = 10 and a positive pT all jets get the same
#    one; with more observables it takes a larger f.
# 2. Without the softplus, a constant that is far off costs the likelihood little, as
#    the network may also say that its error is large. Hence momenta are negative.
# 3. Where the output is bounded the network cannot give a constant. It pulls jets
#    towards each other: the width of calibrated over true pT falls, and the asymmetry
#    even falls below that of the true jets. But the jets are not known better. The
#    width divided by the slope, by which the calibrated pT follows the true one, rises.
# 4. True jets are not balanced. The loss rewards errors that undo the imbalance: the
#    two become correlated. And even for f = 0, the network learns the spectrum of its
#    training sample: with a physical one it does not close at fixed true pT.
settings = {
    "linear, f = 0": ("linear", PT_ETA, 0),
    "linear, f = 10": ("linear", PT_ETA, 10),
    "softplus, f = 10": ("softplus", PT_ETA, 10),
    "softplus, all, f = 0": ("softplus", ALL, 0),
    "softplus, all, f = 10": ("softplus", ALL, 10),
    "softplus, all, f = 50": ("softplus", ALL, 50),
    **{f"bounded, all, f = {f}": ("bounded", ALL, f) for f in (0, 10, 20, 50, 100)},
    "bounded, flat": ("bounded", PT_ETA, 0, flatten_spectrum(y).weight),
    "bounded, physical": ("bounded", PT_ETA, 0, physical),
}
calibrated = {"measured": X_test[:, 0]}
calibrated |= {name: tempting(*setting) for name, setting in settings.items()}

# %%
# What works
# ----------
# The regressor learns the response of labelled jets at fixed true pT, and inverts it:
# this depends on no spectrum. For one network with both terms of the tempting loss,
# ``method="joint"`` demands closure in bins of true pT as a constraint, and balances
# logarithms of a bounded factor. That leaves little room to f.
ours = {
    "supervised": AsymmetryJERRegressor("supervised", random_state=SEED),
    "joint, f = 1": AsymmetryJERRegressor("joint", random_state=SEED),
    "joint, f = 10": AsymmetryJERRegressor(
        "joint", asymmetry_weight=10, random_state=SEED
    ),
}
for name, regressor in ours.items():
    regressor.fit(X, y, event_id=event_id)
    calibrated[name] = regressor.predict(X_test, insitu=False)
calibrated["exact"] = problem.oracle(X_test)

# %%
# Jets with a true pT of 1 to 2.4 TeV; all numbers but the last three columns are per
# cent. The closure is the largest deviation of the mean of calibrated over true pT from
# one in five bins. The width is that of calibrated over true pT in narrow bins, and the
# JER divides it by the slope: it is what is left after an inversion.
BINS, NARROW = np.geomspace(1000, 2400, 6), np.geomspace(1000, 2400, 31)
true_asymmetry = asymmetry(y_test.reshape(-1, 2))


def with_error(value, error, digits=2):
    """Format a number and its error, if there is one."""
    if not np.isfinite(value):
        return f"{value}"
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def judge(pt):
    """Measure a calibration of the test jets."""
    table = closure_table(y_test, pt, bins=BINS, random_state=0)
    worst = table.loc[(table["mean"] - 1).abs().idxmax()]
    width = resolution(y_test, pt, bins=NARROW, n_bootstrap=20, random_state=0)
    balance = asymmetry(pt.reshape(-1, 2))
    jer_error = np.hypot.reduce(table["jer_error"]) / len(table)
    return {
        "closure": with_error(100 * abs(worst["mean"] - 1), 100 * worst["mean_error"]),
        "width": f"{100 * width.value.mean():.2f}",
        "JER": with_error(100 * table["jer"].mean(), 100 * jer_error),
        "sigma_A/sqrt2": f"{100 * balance.std() / np.sqrt(2):.2f}",
        "correlation": f"{np.corrcoef(true_asymmetry, balance - true_asymmetry)[0, 1]:.3f}",
        "least pT": f"{pt.min():.0f}",
        "largest pT": f"{pt.max():.0f}",
    }


rows = {name: judge(pt) for name, pt in calibrated.items()}
rows["true"] = dict.fromkeys(rows["exact"], "-") | {
    "sigma_A/sqrt2": f"{100 * true_asymmetry.std() / np.sqrt(2):.2f}"
}
print(f"Slice, {len(y_test)} held-out jets, in per cent and GeV")
print(pd.DataFrame(rows).T.to_string(), end="\n\n")
