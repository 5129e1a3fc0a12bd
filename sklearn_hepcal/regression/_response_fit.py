"""Numerical inversion of a learned response, jet by jet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._inputs import Inputs

if TYPE_CHECKING:
    from torch import Tensor

    from ..nn import RowsDataset, TrainingSettings

    _Columns = tuple[Tensor, Tensor, Tensor]

Array = NDArray[np.float64]

# Constituents or jets that are evaluated at once.
_PREDICTION_ROWS = 65_536
# Newton steps, and where they end.
MAX_STEPS = 60
TOLERANCE = 1e-10
# Least slope of the measured in the true logarithm that an error is divided by.
MIN_SLOPE = 0.1
# The centre may lie this much further from the middle than the tails of the sample.
_MARGIN = 1.5
_MIN_HALF_RANGE = 0.5
_TAILS = (0.001, 0.5, 0.999)
_CORE = (0.15865, 0.84135)
MIN_WIDTH = 1e-4


@dataclass(frozen=True)
class LogScale:
    """Momenta in the units of networks; constant outside of their range.

    Parameters
    ----------
    low, high : float
        Ends of the range of the logarithm.
    logarithmic : bool
        Whether networks read the logarithm of the momentum, or the momentum.
    """

    low: float
    high: float
    logarithmic: bool = True

    @classmethod
    def of(cls, log_pt: Array, logarithmic: bool) -> LogScale:
        """Take the range of a sample.

        Parameters
        ----------
        log_pt : array of shape (n_rows,)
            Logarithms.
        logarithmic : bool
            Whether networks read the logarithm.

        Returns
        -------
        LogScale
            The scale.
        """
        return cls(float(log_pt.min()), float(log_pt.max()), logarithmic)

    def __call__(self, log_pt: Any) -> Any:
        inside = log_pt.clip(self.low, self.high)
        if not self.logarithmic:
            # In units of the highest momentum.
            return 3.4 * np.e ** (inside - self.high) - 1.7
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        # A range of rounding errors is none.
        return 1.7 * (inside - middle) / (half if half > MIN_WIDTH else 1.0)


@dataclass(frozen=True)
class ResponseRows:
    """Jets that a response is learned from.

    Parameters
    ----------
    log_pt : array of shape (n_jets,)
        Logarithm of the momentum that it is a function of.
    target : array of shape (n_jets,)
        Logarithm of the response.
    weight : array of shape (n_jets,)
        Weights.
    inputs : Inputs
        What else is known of the jets.
    """

    log_pt: Array
    target: Array
    weight: Array
    inputs: Inputs

    def dataset(self, scale: LogScale, **columns: NDArray) -> RowsDataset:
        """Give the jets to the training core.

        Parameters
        ----------
        scale : LogScale
            Units of the momentum.
        **columns : arrays of shape (n_jets, ...)
            What else there is one of a jet.

        Returns
        -------
        RowsDataset
            The jets.
        """
        return self.inputs.dataset(
            log_pt=scale(self.log_pt),
            target=self.target,
            weight=self.weight / self.weight.mean(),
            **columns,
        )


@dataclass(frozen=True)
class ResponseModel:
    """A response as a function of the true momentum and of features.

    Parameters
    ----------
    network : dict
        Weights of a `ResponseNetwork`.
    scale : LogScale
        Units of its first input.
    """

    network: dict[str, Any]
    scale: LogScale

    def invert(self, log_reco: Array, inputs: Inputs) -> tuple[Array, Array, Array]:
        """Find the true momenta for which the measured ones are typical.

        Parameters
        ----------
        log_reco : array of shape (n_jets,)
            Logarithms of the measured momenta.
        inputs : Inputs
            What else is known of the jets.

        Returns
        -------
        log_true, sigma, slope : arrays of shape (n_jets,)
            Logarithms of the true momenta, their standard deviations, and the
            derivatives of the measured logarithms.
        """
        return self._evaluate(log_reco, inputs, self._invert)

    def correct(self, log_reco: Array, inputs: Inputs) -> tuple[Array, Array, Array]:
        """Add the predicted logarithm to the measured one.

        Parameters
        ----------
        log_reco : array of shape (n_jets,)
            Logarithms of the measured momenta.
        inputs : Inputs
            What else is known of the jets.

        Returns
        -------
        log_pt, sigma, slope : arrays of shape (n_jets,)
            Corrected logarithms, their standard deviations, and their derivatives.
        """
        return self._evaluate(log_reco, inputs, self._correct)

    def _evaluate(
        self, log_reco: Array, inputs: Inputs, function: Any
    ) -> tuple[Array, Array, Array]:
        import torch

        from ..nn import load_module

        network: Any = load_module(self.network, dtype=torch.float64)
        rows = inputs.dataset(torch.float64, log_reco=log_reco)
        n_constituents = int(inputs.counts.sum()) if inputs.counts is not None else 0
        mean_rows = max(1, n_constituents // len(log_reco))
        batches = rows.batches(max(1, _PREDICTION_ROWS // mean_rows), shuffle=False)
        columns = []
        with torch.no_grad():
            for batch in batches:
                measured = batch.pop("log_reco")
                jet = network.describe(**batch)
                results = function(network, measured, jet)
                columns.append(np.stack([column.numpy() for column in results]))
        log_pt, sigma, slope = np.concatenate(columns, axis=1)
        return log_pt, sigma, slope

    # The centre, its derivative, and the width at a momentum.
    def _at(self, network: Any, log_pt: Tensor, jet: Tensor) -> _Columns:
        import torch

        with torch.enable_grad():
            log_pt = log_pt.detach().requires_grad_()
            centre, log_width = network(self.scale(log_pt), jet)
            (slope,) = torch.autograd.grad(centre.sum(), log_pt)
        return centre.detach(), slope, log_width.detach().exp()

    # Newton steps inside of a bracket, which the bounds of the network give, for those
    # jets that are not there yet.
    def _invert(self, network: Any, log_reco: Tensor, jet: Tensor) -> _Columns:
        import torch

        middle = log_reco - network.config["centre"]
        low = middle - network.config["half_range"]
        high = middle + network.config["half_range"]
        result = torch.stack(
            [middle, torch.zeros_like(middle), torch.ones_like(middle)]
        )
        rows = torch.arange(len(middle))
        s = middle
        for _ in range(MAX_STEPS):
            centre, slope, width = self._at(network, s, jet[rows])
            slope = 1.0 + slope
            result[:, rows] = torch.stack([s, width, slope])
            residual = s + centre - log_reco[rows]
            low[rows] = torch.where(residual < 0, s, low[rows])
            high[rows] = torch.where(residual > 0, s, high[rows])
            step = s - residual / slope
            inside = (step > low[rows]) & (step < high[rows])
            step = torch.where(inside, step, (low[rows] + high[rows]) / 2)
            left = residual.abs() > TOLERANCE
            rows, s = rows[left], step[left]
            if len(rows) == 0:
                break
        s, width, slope = result
        return s, width / slope.clamp(min=MIN_SLOPE), slope

    def _correct(self, network: Any, log_reco: Tensor, jet: Tensor) -> _Columns:
        centre, slope, width = self._at(network, log_reco, jet)
        return log_reco + centre, width, 1.0 / (1.0 + slope)


def architecture(target: Array, n_features: int, **settings: Any) -> dict[str, Any]:
    """Choose the bounds of a `ResponseNetwork`.

    Parameters
    ----------
    target : array of shape (n_rows,)
        Logarithms that it will predict.
    n_features : int
        Number of features.
    **settings : dict
        Other arguments of the network.

    Returns
    -------
    dict
        The arguments of the network.
    """
    low, centre, high = np.quantile(target, _TAILS)
    half_range = _MARGIN * max(high - centre, centre - low)
    width = np.ptp(np.quantile(target, _CORE)) / 2
    return {
        "n_features": n_features,
        "centre": float(centre),
        "half_range": float(max(half_range, _MIN_HALF_RANGE)),
        "log_width": float(np.log(max(width, MIN_WIDTH))),
        **settings,
    }


def fit_response(
    train: ResponseRows,
    held_out: ResponseRows | None,
    *,
    network: dict[str, Any],
    logarithmic: bool,
    width_delta: float,
    settings: TrainingSettings,
    seed: int,
) -> tuple[ResponseModel, Array]:
    """Learn the logarithm of a response.

    Parameters
    ----------
    train : ResponseRows
        Jets to learn from.
    held_out : ResponseRows or None
        Jets for early stopping.
    network : dict
        Arguments of `ResponseNetwork`, from `architecture`.
    logarithmic : bool
        Whether the network reads the logarithm of the momentum.
    width_delta : float
        Number of widths from which on a residual counts linearly.
    settings : TrainingSettings
        How to train.
    seed : int
        Seed of the training.

    Returns
    -------
    ResponseModel
        The response.
    curve : array of shape (n_epochs, 2)
        Losses of the training and of the held-out rows.
    """
    from .. import nn

    scale = LogScale.of(train.log_pt, logarithmic)
    validation = None if held_out is None else held_out.dataset(scale)
    with nn.seeded(seed, settings.device):
        module = nn.ResponseNetwork(**network)
        objective = nn.ResponseObjective(module, width_delta)
        curve = nn.train(objective, train.dataset(scale), settings, validation)
    return ResponseModel(nn.export_module(module), scale), curve
