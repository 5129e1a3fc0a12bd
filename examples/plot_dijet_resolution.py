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


_, X, y, event_id, physical = make_slice(100_000, 2 * SEED)
problem, X_test, y_test, *_ = make_slice(160_000, 2 * SEED + 1)

# %%
# The tempting loss
# -----------------
# A network gives a pT in TeV and the logarithm of its error. The loss is the Gaussian
# negative log-likelihood plus f times the standard deviation of A in the batch. The
# first output is the pT as it is ("linear"), or after a softplus, which makes it
# positive, or it is a factor of the measured pT between 0.86 and 1.57 ("bounded"). The
# network reads the measured pT and eta, or all observables.
HEADS = {
    "linear": lambda out, measured: out,
    "softplus": lambda out, measured: nn.functional.softplus(out),
    "bounded": lambda out, measured: measured * torch.exp(0.15 + 0.3 * torch.tanh(out)),
}
PT_ETA, ALL = slice(0, 2), slice(None)
TEV, BATCH, EPOCHS, LEARNING_RATE = 1000.0, 512, 16, 6e-3


def asymmetry(pt):
    """Compute the asymmetry, of an array or tensor of shape (n_events, 2)."""
    return 2 * (pt[:, 0] - pt[:, 1]) / (pt[:, 0] + pt[:, 1])


def tempting(head, columns, f, weight=None, start=0):
    """Train on the slice, and calibrate the test jets."""
    torch.manual_seed(SEED + start)
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
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
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
#    one; with all observables a larger f does it.
# 2. Without the softplus, jets get numbers of any scale: a wrong scale costs the
#    likelihood little, as the network may also say that its error is large. Where they
#    end depends on the start of the training: often at negative momenta.
# 3. Where the output is bounded the network cannot give a constant. It pulls jets
#    towards each other: the width of calibrated over true pT falls, and the asymmetry
#    even falls below that of the true jets. But the jets are not known better. The
#    width divided by the slope, by which the calibrated pT follows the true one, rises.
# 4. True jets are not balanced. The loss rewards errors that undo the imbalance: the
#    two become correlated. And even for f = 0, the network learns the spectrum of its
#    training sample: with a physical one it does not close at fixed true pT.
#
# None of this says that f = 10 always fails: with all observables and a bounded output
# it does no harm here that the JER would show. It gains nothing either.
FACTORS = (0, 10, 50)
settings = {
    "linear, f = 0": ("linear", PT_ETA, 0),
    "softplus, f = 10": ("softplus", PT_ETA, 10),
    "softplus, all, f = 50": ("softplus", ALL, 50),
    **{f"bounded, all, f = {f}": ("bounded", ALL, f) for f in FACTORS},
    "bounded, flat spectrum": ("bounded", PT_ETA, 0, flatten_spectrum(y).weight),
    "bounded, physical spectrum": ("bounded", PT_ETA, 0, physical),
}
calibrated = {"measured": X_test[:, 0]}
calibrated |= {name: tempting(*setting) for name, setting in settings.items()}
calibrated |= {
    f"linear, f = 10, start {start}": tempting("linear", PT_ETA, 10, start=start)
    for start in range(3)
}

# %%
# What works
# ----------
# The regressor learns the response of labelled jets at fixed true pT, and inverts it:
# this depends on no spectrum. For one network with both terms of the tempting loss,
# ``method="joint"`` demands closure in bins of true pT as a constraint, and balances
# logarithms of a bounded factor, in units of their width. That leaves little room to f,
# and nothing to gain: true momenta tell more than balanced jets.
ours = {
    "supervised": AsymmetryJERRegressor("supervised", max_epochs=8, random_state=SEED),
    "joint, f = 10": AsymmetryJERRegressor(
        "joint", asymmetry_weight=10, max_epochs=8, random_state=SEED
    ),
}
for name, regressor in ours.items():
    regressor.fit(X, y, event_id=event_id)
    calibrated[name] = regressor.predict(X_test, insitu=False)
calibrated["exact"] = problem.oracle(X_test)

# %%
# Jets with a true pT of 1 to 2.4 TeV; all numbers but the last three columns are per
# cent. The closure is the largest deviation of the mean of calibrated over true pT from
# one in five bins. The width is that of calibrated over true pT in narrow bins. The JER
# divides the width in a bin by the slope: it is what an inversion would leave, and it
# is infinite unless the calibrated pT rises with the true one, in all replicas of the
# bootstrap. The correlation is that of the true asymmetry and its error.
BINS, NARROW = np.geomspace(1000, 2400, 6), np.geomspace(1000, 2400, 31)
SQRT2 = np.sqrt(2)
true_asymmetry = asymmetry(y_test.reshape(-1, 2))


def with_error(value, error, digits=2):
    """Format a number with its error."""
    return f"{value:.{digits}f} ± {error:.{digits}f}" if np.isfinite(error) else "inf"


def mean_jer(table):
    """Average the resolution of bins, with its error, in per cent."""
    error = np.hypot.reduce(table["jer_error"]) / len(table)
    return 100 * table["jer"].mean(), 100 * error


def judge(pt):
    """Measure a calibration of the test jets."""
    table = closure_table(y_test, pt, bins=BINS, n_bootstrap=10, random_state=0)
    worst = table.loc[(table["mean"] - 1).abs().idxmax()]
    width = resolution(y_test, pt, bins=NARROW, n_bootstrap=2, random_state=0)
    measured = asymmetry(pt.reshape(-1, 2))
    correlation = np.corrcoef(true_asymmetry, measured - true_asymmetry)[0, 1]
    return {
        "closure": with_error(100 * abs(worst["mean"] - 1), 100 * worst["mean_error"]),
        # without a positive median in every bin there is none
        "width": f"{100 * width.value.mean():.2f}".replace("nan", "-"),
        "JER": with_error(*mean_jer(table)),
        "sigma_A / sqrt 2": f"{100 * measured.std() / SQRT2:.2f}",
        "correlation": f"{correlation:.3f}",
        "lowest pT": f"{pt.min():.0f}",
        "highest pT": f"{pt.max():.0f}",
    }


judged = {name: judge(pt) for name, pt in calibrated.items()}
judged["true"] = dict.fromkeys(judged["exact"], "-") | {
    "sigma_A / sqrt 2": f"{100 * true_asymmetry.std() / SQRT2:.2f}"
}
print(f"Slice, {len(y_test)} held-out jets, in per cent and GeV")
print(pd.DataFrame(judged).T.to_string(), end="\n\n")

# %%
# Data
# ----
# What are asymmetries good for, then? In data the detector is another one: the same
# observables act differently there, and a calibration learnt in simulation leaves their
# effects. They widen the asymmetry, and the regressor finds functions of the
# observables that narrow it, as far as they do not narrow it in simulation. They cannot
# shrink momenta, as they depend on the mean pT of the two jets alone. Now the spectrum
# is the whole one, and no true pT of data is used (they are NaN in y). In-situ
# resolutions are measured in events of little radiation.
sim = make_dijets(20_000, side="sim", random_state=SEED)
data = make_dijets(15_000, side="data", random_state=SEED)
jets = data.sample(20_000, random_state=SEED)


def activity(events):
    """Measure the radiation in events, for each of their jets."""
    pt = events.X[:, 0].reshape(-1, 2).T
    values = dijet_activity(*pt, events.dphi12[::2], events.jet3_pt[::2])
    return np.repeat(values, 2)


regressor = AsymmetryJERRegressor(max_epochs=8, random_state=SEED).fit(
    np.concatenate([sim.X, data.X]),
    np.concatenate([sim.y, np.full(len(data.y), np.nan)]),
    event_id=np.concatenate([sim.event_id, data.event_id]),
    activity=np.concatenate([activity(sim), activity(data)]),
)
in_data = {
    "measured": jets.X[:, 0],
    "simulation only": regressor.predict(jets.X, insitu=False),
    "in situ": regressor.predict(jets.X),
    "exact": jets.oracle(jets.X),
}

# %%
# The energy scale of data is lower by 2 per cent. Asymmetries cannot tell it, and the
# regressor does not touch it: it has to be measured by jets that recoil against
# something well known. The last column is the closure after a line in the logarithms,
# which stands for such a measurement (here it comes from the true pT).
DATA_BINS = np.geomspace(120, 2400, 10)
tables = {
    name: closure_table(jets.y, pt, bins=DATA_BINS, n_bootstrap=10, random_state=0)
    for name, pt in in_data.items()
}


def closures(table):
    """Measure the closure as it is, and after a scale."""
    log_pt, log_mean = np.log(table["mean_true"]), np.log(table["mean"])
    line = np.polyval(np.polyfit(log_pt, log_mean, 1), log_pt)
    return [100 * np.abs(np.expm1(x)).max() for x in (log_mean, log_mean - line)]


rows = {}
for name, table in tables.items():
    as_it_is, scaled = closures(table)
    rows[name] = {
        "JER": with_error(*mean_jer(table)),
        "closure": f"{as_it_is:.2f}",
        "closure, scaled": f"{scaled:.2f}",
    }
print(f"Data, {len(jets.y)} held-out jets of 120 to 2400 GeV, in per cent")
print(pd.DataFrame(rows).T.to_string(), end="\n\n")

# %%
# What is left of the effects of the observables: the spread of the mean response over
# six equal parts of the jets in each of them, in jets of a true pT above 300 GeV. The
# pile-up (mu, npv) is common to both jets of an event, which no balance shows.
PARTS = 6
high = jets.y > 300


def spread(values, response):
    """Measure the largest difference of mean responses in parts, and its error."""
    edges = np.quantile(values, np.arange(1, PARTS) / PARTS)
    part = np.searchsorted(edges, values, side="right")
    responses = [response[part == k] for k in np.unique(part)]
    means = np.array([r.mean() for r in responses])
    errors = np.array([r.std() / np.sqrt(len(r)) for r in responses])
    extremes = [means.argmax(), means.argmin()]
    return 100 * np.ptp(means), 100 * np.hypot(*errors[extremes])


observables = jets.feature_names[1:]
spreads = {
    name: {
        observable: spread(values, (pt / jets.y)[high])
        for observable, values in zip(observables, jets.X[high, 1:].T, strict=True)
    }
    for name, pt in in_data.items()
    if name != "measured"
}
cells = pd.DataFrame(spreads).map(lambda cell: with_error(*cell))
print("Spread of the response in data, in per cent")
print(cells.to_string(), end="\n\n")

# %%
# The resolution that the regressor measures in situ, from the asymmetry of data and
# that of true simulated jets, and the one at fixed true pT.
insitu = regressor.jer_insitu_
true_jer = closure_table(
    jets.y, in_data["in situ"], bins=insitu.edges, n_bootstrap=10, random_state=0
)
rows = {
    f"{pt:.0f} GeV": {
        "in situ": with_error(100 * value, 100 * error),
        "true": with_error(100 * true.jer, 100 * true.jer_error),
    }
    for pt, value, error, true in zip(
        insitu.pt, insitu.value, insitu.error, true_jer.itertuples(), strict=True
    )
    if DATA_BINS[0] < pt < DATA_BINS[-1]
}
print("JER in data, in per cent")
print(pd.DataFrame(rows).T.to_string(), end="\n\n")

# %%
# Figure
# ------
figure, ((closing, trap), (widths, left)) = plt.subplots(
    2, 2, figsize=(12, 8.5), layout="constrained"
)
shown = {
    "measured": "C7.-",
    "softplus, f = 10": "C3.-",
    "bounded, all, f = 50": "C1.-",
    "bounded, physical spectrum": "C4.-",
    "supervised": "C0.-",
    "joint, f = 10": "C2.--",
}
for name, style in shown.items():
    table = closure_table(
        y_test, calibrated[name], bins=np.geomspace(900, 2800, 9), n_bootstrap=2
    )
    closing.plot(table["mean_true"], table["mean"], style, label=name)
closing.axhline(1, color="black", linewidth=0.8)
closing.set(
    title="Slice of simulation",
    xlabel="true $p_T$ [GeV]",
    ylabel="mean of calibrated / true $p_T$",
    ylim=(0.6, 1.3),
)
closing.legend(fontsize="small", ncols=2)

scan = [judged[f"bounded, all, f = {f}"] for f in FACTORS]
for key, style in [("sigma_A / sqrt 2", "C1s-"), ("JER", "C0o-"), ("width", "C0o:")]:
    trap.plot(FACTORS, [float(row[key].split()[0]) for row in scan], style, label=key)
trap.axhline(
    100 * true_asymmetry.std() / SQRT2,
    color="C1",
    linestyle="--",
    label="sigma_A / sqrt 2 of true jets",
)
trap.set(title="Bounded output", xlabel="f", ylabel="per cent", ylim=(0, 8))
trap.legend(fontsize="small", loc="lower left")

STYLE = {"measured": "0.5", "simulation only": "C1", "in situ": "C0", "exact": "black"}
for name, table in tables.items():
    widths.errorbar(
        table["mean_true"],
        100 * table["jer"],
        100 * table["jer_error"],
        fmt=".-",
        color=STYLE[name],
        label=name,
    )
widths.errorbar(
    insitu.pt,
    100 * insitu.value,
    100 * insitu.error,
    fmt="C2o",
    ms=5,
    label="from asymmetries",
)
widths.set(
    title="Data",
    xlabel="$p_T$ [GeV]",
    ylabel="JER [%]",
    xscale="log",
    xlim=(110, 2600),
    ylim=(0, 11),
)
widths.set_xticks([], minor=True)
widths.set_xticks(ticks := [150, 300, 600, 1200, 2400], ticks)
widths.legend(fontsize="small", ncols=2)

places = np.arange(len(observables))
for shift, (name, values) in zip((-0.2, 0, 0.2), spreads.items(), strict=True):
    value, error = np.transpose(list(values.values()))
    left.errorbar(places + shift, value, error, fmt="o", color=STYLE[name], label=name)
left.set_xticks(places, observables, rotation=20)
left.set(title="Data above 300 GeV", ylabel="spread of the mean response [%]")
left.set_ylim(bottom=0)
left.legend()

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "dijet_resolution.png", dpi=150)
print(f"Saved {outputs.resolve() / 'dijet_resolution.png'}")

# %%
# What is not shown: the observables of this toy know nothing of the true imbalance.
# Those of real jets do, as a jet that radiated has more tracks and is wider; a fit
# that balances jets then undoes the imbalance even without shrinking anything.
# ``pair_leakage_`` measures this in simulation. Here it is zero.
