r"""
Why loss + f sigma_A fails, and what works
==========================================

Two jets that recoil against each other have almost the same transverse momentum. The
width :math:`\sigma_A` of their asymmetry :math:`A = 2 (p_1 - p_2) / (p_1 + p_2)` shows
the jet energy resolution (JER) in data, where nobody knows the true momenta. It is
tempting to calibrate by a network that minimises :math:`\text{loss} + f \sigma_A`, as
in `L. Boggia's talk <https://indico.in2p3.fr/event/30430/>`_ at the Journées de
Rencontre des Jeunes Chercheurs of 2023. There, negative momenta came out, and after a
repair a resolution that was worse than before.

This page reproduces how such a loss fails, on jets whose best calibration is known
exactly. Then it calibrates the same jets by
:class:`~sklearn_hepcal.regression.AsymmetryJERRegressor`, which uses asymmetries in a
way that cannot fail like this.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch.nn.functional import softplus

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
# As in the talk, a slice of the spectrum: simulated events with a mean true pT of 850
# to 3,200 GeV. Two neighbouring rows are an event. The columns are the measured pT, eta
# and seven observables that explain a part of the response.


def jets_of_slice(n_events, seed):
    """Make events, and keep those of the slice: jets, true pT, event, weight."""
    events = make_dijets(n_events, random_state=seed)
    mean_pt = np.repeat(events.y.reshape(-1, 2).mean(axis=1), 2)
    kept = (mean_pt > 850) & (mean_pt < 3200)
    columns = (events.X, events.y, events.event_id, events.sample_weight)
    return [column[kept] for column in columns]


X, true_pt, event_id, physical_weight = jets_of_slice(150_000, 2 * SEED)
X_test, true_test, *_ = jets_of_slice(300_000, 2 * SEED + 1)

# %%
# The tempting loss
# -----------------
# A network gives the pT in TeV and the logarithm of its error. The loss is the Gaussian
# negative log-likelihood plus f times the standard deviation of A in the batch. Three
# heads make a pT of what the network gives: nothing ("linear"), a softplus, which is
# positive, and a bounded factor of the measured pT, which cannot even be far off.
HEADS = {
    "linear": lambda out, measured: out,
    "softplus": lambda out, measured: softplus(out),
    "bounded": lambda out, measured: measured * torch.exp(0.15 + 0.3 * torch.tanh(out)),
}
PT_ETA, ALL = slice(0, 2), slice(None)
BATCH, EPOCHS, LEARNING_RATE, TEV = 512, 20, 3e-3, 1000.0


class TemptingCalibration(torch.nn.Module):
    """Calibrate jets by a likelihood plus f times the width of their asymmetry."""

    def __init__(self, head, columns, f):
        super().__init__()
        self.head, self.columns, self.f = HEADS[head], columns, f

    def fit(self, X, y, weight):
        """Train on pairs of neighbouring rows."""
        torch.manual_seed(SEED)
        X = X[:, self.columns]
        self.mean, self.std = X.mean(axis=0), X.std(axis=0)
        sizes = [X.shape[1], 64, 64]
        layers = [torch.nn.Linear(*size) for size in zip(sizes, sizes[1:])]
        activations = [torch.nn.SiLU() for _ in layers]
        hidden = [part for pair in zip(layers, activations) for part in pair]
        self.network = torch.nn.Sequential(*hidden, torch.nn.Linear(64, 2))
        return self
