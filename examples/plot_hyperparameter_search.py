r"""
A search that cannot select a cheat
===================================

How should hyperparameters of a jet calibration be searched? By the width of the dijet
asymmetry, or of calibrated over true pT, a search finds calibrations that pull all jets
together: the example on the loss with f sigma_A shows them. Here is the search space of
the study that is reproduced there: whether the network reads the logarithm of pT,
dropout in the network of the constituents and in that of the jet, the learning rate,
and the weight f of the asymmetry. `Optuna <https://optuna.org>`_ searches it by
resolution over slope, among calibrations that close and that balance jets no better
than true jets are balanced.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.model_selection import GroupKFold, cross_validate

from sklearn_hepcal.datasets import load_dijets
from sklearn_hepcal.metrics import (
    asymmetry_score,
    best_resolution,
    closure_score,
    jer_score,
)
from sklearn_hepcal.regression import AsymmetryJERRegressor

try:
    import optuna
except ImportError as error:
    raise ImportError(
        "This example needs Optuna; install it with `pip install 'optuna>=5'`."
    ) from error

SEED = 0

# %%
# Jets
# ----
# Simulated dijet events and "data", whose true pT is not used in fits or for a
# selection: it is NaN in `target`. The regressor trains one network for the likelihood
# of the true pT in simulation and for the balance of jets in data, with closure as a
# constraint. Its networks are small, and trained for a few epochs.
dijets = load_dijets(side="both")
in_data = dijets.domain == 1
hidden_truth = dijets.data.labels["truth_pt"][in_data]

# %%
# Scores
# ------
# From two folds by event. `event_id` tells the regressor and one scorer which jets are
# pairs. The folds leave about 200 jets in the lowest of nine bins of true pT, where the
# mean response is known to 0.6 per cent: the limit of 1 per cent for a larger sample is
# 2 per cent here.
CLOSURE_TOL, ASYMMETRY_TOL = 0.02, 0.02
sklearn.set_config(enable_metadata_routing=True)
scoring = {
    "jer": jer_score,
    "closure": closure_score,
    "asymmetry": asymmetry_score.set_score_request(event_id=True),
}


def score(**params):
    """Fit and score a regressor in folds: means and errors of the scores."""
    regressor = AsymmetryJERRegressor(
        "joint",
        use_constituents=True,
        phi_layer_sizes=(32,),
        latent_dim=16,
        max_epochs=4,
        random_state=SEED,
        **params,
    ).set_fit_request(event_id=True)
    folds = cross_validate(
        regressor,
        dijets.data,
        dijets.target,
        cv=GroupKFold(2, shuffle=True, random_state=SEED),
        scoring=scoring,
        params={"groups": dijets.event_id, "event_id": dijets.event_id},
        return_estimator=True,
    )
    scores = {name: folds[f"test_{name}"] for name in scoring}
    scores["jer_data"] = [
        jer_score(fitted, dijets.data[in_data], hidden_truth)
        for fitted in folds["estimator"]
    ]
    return {name: (np.mean(s), np.ptp(s) / 2) for name, s in scores.items()}


# %%
# Search
# ------
# Three trials are given: the default settings with f = 0, 1 and 10. They differ in
# nothing else. The other ones are Optuna's choice, which maximises the first score, and
# avoids what breaks the limits.
GIVEN_FACTORS = (0.0, 1.0, 10.0)
N_TRIALS = 5


def objective(trial):
    """Score what a trial suggests."""
    scores = score(
        log_pt=trial.suggest_categorical("log_pt", [False, True]),
        phi_dropout=trial.suggest_float("phi_dropout", 0, 0.5, step=0.1),
        dropout=trial.suggest_float("dropout", 0, 0.5, step=0.1),
        learning_rate=trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        asymmetry_weight=trial.suggest_float("asymmetry_weight", 0, 10),
    )
    trial.set_user_attr("scores", scores)
    trial.set_constraint("closure", -scores["closure"][0] - CLOSURE_TOL)
    trial.set_constraint("asymmetry", 1 - ASYMMETRY_TOL - scores["asymmetry"][0])
    return scores["jer"][0]


optuna.logging.set_verbosity(optuna.logging.WARNING)
sampler = optuna.samplers.TPESampler(seed=SEED, n_startup_trials=4)
study = optuna.create_study(direction="maximize", sampler=sampler)
default = AsymmetryJERRegressor()
for factor in GIVEN_FACTORS:
    start = {
        "log_pt": default.log_pt,
        "phi_dropout": default.phi_dropout,
        "dropout": default.dropout,
        "learning_rate": default.learning_rate,
        "asymmetry_weight": factor,
    }
    study.enqueue_trial(start)
study.optimize(objective, n_trials=N_TRIALS)

# %%
# Selection
# ---------
# The rule for scikit-learn's own searches selects from the trials, too: it takes
# their scores in the form of ``cv_results_``.
scores = pd.DataFrame([trial.user_attrs["scores"] for trial in study.trials])
means = scores.map(lambda pair: pair[0])
results = {"params": [trial.params for trial in study.trials]}
results |= {f"mean_test_{name}": means[name] for name in scoring}
select = best_resolution(
    closure_tol=CLOSURE_TOL, asymmetry_tol=ASYMMETRY_TOL, asymmetry="asymmetry"
)
best = select(results)

# %%
# Closure and resolutions are in per cent, with half the difference between the two
# folds as the error; much of it is common to all trials. The asymmetry is relative to
# that of true jets. The last column is the resolution in data, whose true pT only the
# author of a simulation knows.


def per_cent(score):
    """Format a score that is minus a resolution or a lack of closure."""
    value, error = score
    return f"{-100 * value:.2f} ± {100 * error:.2f}"


rows = {}
for number, trial in enumerate(study.trials):
    params = trial.params
    given = ", given" if number < len(GIVEN_FACTORS) else ""
    rows[f"trial {number}{given}"] = {
        "log pT": int(params["log_pt"]),
        "dropout of constituents": f"{params['phi_dropout']:.1f}",
        "of jet": f"{params['dropout']:.1f}",
        "learning rate": f"{params['learning_rate']:.4f}",
        "f": f"{params['asymmetry_weight']:.1f}",
        "closure": per_cent(scores["closure"][number]),
        "asymmetry": f"{means['asymmetry'][number]:.2f}",
        "JER": per_cent(scores["jer"][number]),
        "JER, data": per_cent(scores["jer_data"][number]),
    }
print(f"{N_TRIALS} trials, of which the rule selects trial {best}")
print(pd.DataFrame(rows).T.to_string(), end="\n\n")

# %%
# The constraint keeps what f could break: closure does not depend on it, and no trial
# balances jets better than true ones. It does not make a large f good, as the network
# then serves the asymmetry instead of the likelihood. And a small f gains little or
# nothing in simulation, where true momenta tell more than balanced jets. What it is for
# shows in data, which no search can see, and in this sample it is a small part of the
# resolution. This is why the default method is another one: it fits data separately,
# beyond what simulation explains.
factors = np.array([trial.params["asymmetry_weight"] for trial in study.trials])
given = np.arange(N_TRIALS) < len(GIVEN_FACTORS)
figure, axes = plt.subplots(ncols=3, figsize=(13, 4), layout="constrained")
PANELS = {
    "jer": "JER in simulation [%]",
    "jer_data": "JER in data [%]",
    "closure": "lack of closure [%]",
}
for axis, (name, label) in zip(axes, PANELS.items(), strict=True):
    values = -100 * means[name]
    axis.plot(factors[given], values[given], "C0o-", label="defaults")
    axis.plot(factors[~given], values[~given], "C1s", label="Optuna's choice")
    axis.plot(factors[best], values[best], "ko", ms=14, mfc="none", label="selected")
    axis.set(xlabel="f", ylabel=label)
axes[2].axhline(100 * CLOSURE_TOL, color="black", linestyle="--", label="limit")
axes[2].set_ylim(bottom=0)
axes[2].legend()

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "hyperparameter_search.png", dpi=150)
print(f"Saved {outputs.resolve() / 'hyperparameter_search.png'}")
