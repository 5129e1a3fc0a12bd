"""Parameters and steps that estimators with a network share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

if TYPE_CHECKING:
    from .nn import TrainingSettings

# What the parameters of a training may be; they mean the same in every estimator.
TRAINING_CONSTRAINTS: dict[str, list[Any]] = {
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "early_stopping": ["boolean"],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "device": [str],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}

# Small samples are cut into several batches a pass, but not into smaller ones.
_N_BATCHES = 32
_MIN_BATCH = 32
# Part of the steps over which the learning rate rises, before it falls as a cosine.
_WARMUP = 0.05
# Jets of a batch of the validation loss.
_VALIDATION_BATCH = 2000


def supervised_settings(estimator: Any, n_rows: int) -> TrainingSettings:
    """Collect how a network is trained to predict a target.

    Parameters
    ----------
    estimator : estimator
        Has the parameters of `TRAINING_CONSTRAINTS`.
    n_rows : int
        Number of rows that are trained on.

    Returns
    -------
    TrainingSettings
        The settings.
    """
    from . import nn

    return nn.TrainingSettings(
        max_epochs=estimator.max_epochs,
        batch_size=min(estimator.batch_size, max(_MIN_BATCH, n_rows // _N_BATCHES)),
        validation_batch_size=_VALIDATION_BATCH,
        learning_rate=estimator.learning_rate,
        early_stopping=estimator.early_stopping,
        n_iter_no_change=estimator.n_iter_no_change,
        device=nn.resolve_device(estimator.device),
        verbose=estimator.verbose,
        warmup=_WARMUP,
        hold=_WARMUP,
    )


def final_loss(curve: NDArray[np.floating], early_stopping: bool) -> float:
    """Tell how good a training ended.

    Parameters
    ----------
    curve : array of shape (n_epochs, 2)
        Training and validation loss, which is NaN without held-out rows.
    early_stopping : bool
        Whether the best epoch was kept, and not the last one.

    Returns
    -------
    float
        The loss; infinity if the training diverged, with a loss that is not finite or
        below zero.
    """
    training, validation = curve.T
    if not np.isfinite(training).all() or training.min() < 0:
        return np.inf
    if np.isnan(validation).all():
        return float(training[-1])
    last = validation.min() if early_stopping else validation[-1]
    return float(last) if np.isfinite(last) else np.inf


def check_converged(loss: float, learning_rate: float) -> None:
    """Refuse a training that diverged.

    Parameters
    ----------
    loss : float
        What `final_loss` returned.
    learning_rate : float
        Learning rate to name in the error.

    Raises
    ------
    ValueError
        If the loss is infinite.
    """
    if np.isinf(loss):
        raise ValueError(
            "the training diverged, with a loss of NaN or infinity, or one below "
            "zero, which single jets of negative weight can cause: scale down very "
            f"large values, lower learning_rate={learning_rate}, or train on more jets."
        )
