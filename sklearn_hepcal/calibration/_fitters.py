"""How each map is fitted, first and to replicas of the samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ._bures import BuresMap
from ._convex_map import fit_convex_map
from ._flow_map import fit_flow_map
from ._maps import Array, IdentityMap, Sample, TransportMap
from ._quantile import QuantileMap
from ._selection import HOLD_OUT_ROWS, hold_out


class TrainingDefaults(NamedTuple):
    """What a training does where the user did not say.

    Attributes
    ----------
    n_steps : int
        Number of steps for large samples.
    n_steps_small : int
        Number of steps for small ones, which are fitted six times.
    learning_rate : float
        Peak learning rate.
    """

    n_steps: int
    n_steps_small: int
    learning_rate: float


_CONVEX_TRAINING = TrainingDefaults(1500, 600, 0.05)
# Steps of either stage.
_FLOW_TRAINING = TrainingDefaults(450, 450, 0.01)
# Parameters of the estimator that a training takes.
_TRAINING = (
    "max_epochs",
    "batch_size",
    "learning_rate",
    "early_stopping",
    "n_iter_no_change",
    "device",
    "verbose",
)
# Size of a flow.
_FLOW_ARCHITECTURE = {"hidden_width": 64, "n_transforms": 4}
# Steps of a replica's training, as a part of those of the first.
_REPLICA_STEPS = 0.2
# Batches of a pass over the smaller sample, at least.
_MIN_BATCHES = 8


class MapFitter:
    """Fits a map in one go.

    Parameters
    ----------
    fit : callable
        Makes the map of simulation and data.
    """

    def __init__(self, fit: Callable[[Sample, Sample], TransportMap]) -> None:
        self.fit = fit

    def __call__(
        self,
        source: Sample,
        target: Sample,
        held_out: tuple[Sample, Sample] | None = None,
    ) -> Any:
        """Fit the map to simulation and data."""
        return self.fit(source, target)

    def again(self, fitted: Any, source: Sample, target: Sample, seed: int) -> Any:
        """Fit the map to a replica of the samples that `fitted` was fitted to."""
        return self.fit(source, target)


class TrainedFitter(MapFitter):
    """Trains a network after the Gaussian map.

    Parameters
    ----------
    gaussian : callable
        Makes the Gaussian map of simulation and data.
    train : callable
        `fit_convex_map` or `fit_flow_map`, with the parameters of the network.
    defaults : TrainingDefaults
        What the training does where the user did not say.
    training : dict
        Fields of `sklearn_hepcal.nn.TrainingSettings`.
    validation_fraction : float
        Part of the rows to hold out for early stopping, where none are given.
    seed : int
        Seed of weights and batches.

    Attributes
    ----------
    curves : list of arrays
        Held-out gain after every epoch of every fit.
    """

    def __init__(
        self,
        gaussian: Callable[[Sample, Sample], BuresMap],
        train: Callable[..., tuple[TransportMap, Array]],
        defaults: TrainingDefaults,
        *,
        training: dict[str, Any],
        validation_fraction: float,
        seed: int,
    ) -> None:
        self.gaussian = gaussian
        self.train = train
        self.defaults = defaults
        self.training = training
        self.validation_fraction = validation_fraction
        self.seed = seed
        self.curves: list[Array] = []

    def __call__(
        self,
        source: Sample,
        target: Sample,
        held_out: tuple[Sample, Sample] | None = None,
    ) -> Any:
        if self.training["early_stopping"] and held_out is None:
            rng = np.random.RandomState(self.seed)
            source, target, held_out = hold_out(
                source, target, self.validation_fraction, rng
            )
        fitted, curve = self.train(
            self.gaussian(source, target),
            source,
            target,
            held_out,
            training=self._training(source, target),
            seed=self.seed,
        )
        self.curves.append(curve)
        return fitted

    def again(self, fitted: Any, source: Sample, target: Sample, seed: int) -> Any:
        # The Gaussian map is fitted anew, and the network goes on from where it was.
        training = self._training(source, target)
        training |= {
            "n_steps": math.ceil(_REPLICA_STEPS * training["n_steps"]),
            "max_epochs": None,
            "early_stopping": False,
            "verbose": 0,
        }
        return self.train(
            self.gaussian(source, target),
            source,
            target,
            None,
            training=training,
            seed=seed,
            start=fitted,
        )[0]

    # A small sample is cut into several batches.
    def _training(self, source: Sample, target: Sample) -> dict[str, Any]:
        sizes = len(source.w), len(target.w)
        batch_size = min(
            self.training["batch_size"], max(1, min(sizes) // _MIN_BATCHES)
        )
        large = min(sizes) >= HOLD_OUT_ROWS
        n_steps = self.defaults.n_steps if large else self.defaults.n_steps_small
        rate = self.training["learning_rate"]
        if self.training["max_epochs"] is not None:
            n_batches = math.ceil(max(sizes) / batch_size)
            n_steps = self.training["max_epochs"] * n_batches
        return self.training | {
            "batch_size": batch_size,
            "n_steps": n_steps,
            "learning_rate": self.defaults.learning_rate if rate == "auto" else rate,
        }


def make_fitters(
    estimator: Any, n_moved: int, rng: np.random.RandomState
) -> dict[str, MapFitter]:
    """Collect what fits the maps that a solver is compared with.

    Parameters
    ----------
    estimator : OTCalibrator
        Has the parameters.
    n_moved : int
        Number of moved columns.
    rng : RandomState
        Draws the seed of a network.

    Returns
    -------
    dict of MapFitter
        The simplest map first, that of the solver last.
    """
    gaussian = partial(BuresMap.fit, shrinkage=estimator.shrinkage)
    fitters = {
        "identity": MapFitter(lambda source, target: IdentityMap()),
        "bures": MapFitter(gaussian),
    }
    common: dict[str, Any] = {
        "training": {name: getattr(estimator, name) for name in _TRAINING},
        "validation_fraction": estimator.validation_fraction,
        "seed": rng.randint(np.iinfo(np.int32).max),
    }
    width, n_layers = estimator.hidden_width, estimator.n_layers
    if estimator.solver == "quantile":
        quantile = partial(QuantileMap.fit, n_quantiles=estimator.n_quantiles)
        fitters["quantile"] = MapFitter(quantile)
    train: Callable[..., tuple[TransportMap, Array]]
    if estimator.solver == "picnn":
        size = {"hidden_width": width, "n_layers": n_layers}
        architecture = _fill(size, _convex_architecture(n_moved))
        architecture["min_curvature"] = estimator.min_curvature
        train = partial(fit_convex_map, architecture=architecture)
        fitters["picnn"] = TrainedFitter(gaussian, train, _CONVEX_TRAINING, **common)
    if estimator.solver == "flow":
        size = {"hidden_width": width, "n_transforms": n_layers}
        train = partial(
            fit_flow_map,
            architecture=_fill(size, _FLOW_ARCHITECTURE),
            transport_cost=estimator.transport_cost,
        )
        fitters["flow"] = TrainedFitter(gaussian, train, _FLOW_TRAINING, **common)
    return fitters


def _convex_architecture(n_moved: int) -> dict[str, int]:
    return {"hidden_width": 64 if n_moved < 8 else 128, "n_layers": 2}


# Parameters, with numbers in place of "auto".
def _fill(parameters: dict[str, Any], defaults: dict[str, int]) -> dict[str, Any]:
    return {k: defaults[k] if v == "auto" else v for k, v in parameters.items()}
