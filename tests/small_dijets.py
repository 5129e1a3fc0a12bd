"""Dijets of the toy, and what makes fits to them short."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_hepcal.datasets import make_dijets
from sklearn_hepcal.regression import AsymmetryJERRegressor

# What follows needs networks that depend on their inputs, not good ones.
QUICK = {"max_epochs": 2, "hidden_layer_sizes": (16,), "random_state": 0}
NAMES = (
    *("pt", "eta", "f_em", "f_charged", "n_track", "w_track", "n_segments"),
    *("mu", "npv"),
)
# Those of the jet, and those that its event has only one of.
OF_JETS, OF_EVENTS = [1, 2, 3, 4, 5, 6], [7, 8]


class Sample(NamedTuple):
    """Simulated events, and then data; `true` is known of both, `y` of simulation."""

    X: np.ndarray
    y: np.ndarray
    event_id: np.ndarray
    true: np.ndarray

    @property
    def labelled(self):
        return ~np.isnan(self.y)

    def rows(self, rows):
        return Sample(*(array[rows] for array in self))

    def with_columns(self, *columns):
        return self._replace(X=np.column_stack([self.X, *columns]))


def make_sample(n_sim=300, n_data=300, seed=0, side="data"):
    """Events of simulation, and of a side of the toy as data."""
    sim = make_dijets(n_sim, side="sim", random_state=seed)
    # Another seed: a side of simulation must not be the same events.
    data = make_dijets(n_data, side=side, random_state=1000 + seed)
    return Sample(
        np.concatenate([sim.X, data.X]),
        np.concatenate([sim.y, np.full(len(data.y), np.nan)]),
        # Even in simulation, odd in data of any side.
        np.concatenate([sim.event_id, data.event_id // 2 * 2 + 1]),
        np.concatenate([sim.y, data.y]),
    )


def fit(sample, method="residual", **arguments: Any):
    """Fit quickly; parameters of the fit are told by their names."""
    options = {
        name: arguments.pop(name)
        for name in ("activity", "sample_weight")
        if name in arguments
    }
    regressor = AsymmetryJERRegressor(method, **{**QUICK, **arguments})
    return regressor.fit(sample.X, sample.y, event_id=sample.event_id, **options)
