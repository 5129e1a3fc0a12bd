"""Map by a conditional normalising flow, after the Gaussian map."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._bures import BuresMap
from ._maps import Array, Sample, TransportMap
from ._network_map import NetworkMap, training_settings

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from ..nn import RowsDataset, TrainingSettings


class FlowMap(NetworkMap, TransportMap):
    """``T = m_data + B A^-1 S^-1(A B (x - m_sim))`` with a normalising flow S.

    Unlike a `GradientMap` it has no potential, and nothing makes it monotone: only
    the penalty of its training keeps it close to the map that moves the least. Rows
    out of the box of the flow's splines in every direction, by default five standard
    deviations from the centre, are moved as the Gaussian map does.

    Parameters
    ----------
    gaussian : BuresMap
        The Gaussian map, which enters by halves, before and behind the flow.
    axes : array of shape (d, d)
        Symmetric matrix A that gives the simulation between these halves the identity
        as covariance.
    network : dict
        The flow S, from data to simulation, from `sklearn_hepcal.nn.export_module`.
    density : dict
        The flow that knows the density of the simulation, likewise.
    """

    def __init__(
        self,
        gaussian: BuresMap,
        axes: Array,
        network: dict[str, Any],
        density: dict[str, Any],
    ) -> None:
        super().__init__(network)
        self.gaussian = gaussian
        self.axes = axes
        self.density = density

    def forward(self, x: Array, h: Array) -> Array:
        round_x = self.gaussian.whiten_source(x, h) @ self.axes
        moved = self._evaluate(self.module.inverse, round_x, h)
        return self.gaussian.unwhiten_target(self._unround(moved), h)

    def inverse(self, y: Array, h: Array) -> Array:
        round_y = self.gaussian.whiten_target(y, h) @ self.axes
        moved = self._evaluate(lambda *rows: self.module(*rows)[0], round_y, h)
        return self.gaussian.unwhiten_source(self._unround(moved), h)

    def log_det(self, x: Array, h: Array) -> Array:
        def inverse_log_det(rows: Any, basis: Any) -> Any:
            return self.module(self.module.inverse(rows, basis), basis)[1]

        round_x = self.gaussian.whiten_source(x, h) @ self.axes
        inner = self._evaluate(inverse_log_det, round_x, h)
        return self.gaussian.log_det(x, h) - inner

    # Undo the rounding of the axes.
    def _unround(self, moved: Array) -> Array:
        white = np.linalg.solve(self.axes, moved.T).T
        return np.asarray(white, dtype=np.float64)


def fit_flow_map(
    gaussian: BuresMap,
    source: Sample,
    target: Sample,
    held_out: tuple[Sample, Sample] | None,
    *,
    architecture: dict[str, Any],
    training: dict[str, Any],
    transport_cost: float,
    seed: int,
    start: FlowMap | None = None,
) -> tuple[FlowMap, Array]:
    """Train a `FlowMap` by maximum likelihood, in two stages.

    A first flow learns the density of the simulation; the flow of the map then
    learns to move data to where this density is high ("flows for flows",
    arXiv:2211.02487 and arXiv:2309.06472). The penalty is the squared distance,
    the cost of optimal transport.

    Parameters
    ----------
    gaussian : BuresMap
        The Gaussian map of the samples.
    source, target : Sample
        Simulation and data, without negative weights.
    held_out : tuple of Sample or None
        Rows of both for the validation losses.
    architecture : dict
        Parameters of both flows.
    training : dict
        What `training_settings` takes, for each stage.
    transport_cost : float
        Weight of the mean squared displacement against the log-likelihood. The
        displacement is the one that is added to the Gaussian map, between its halves
        and in units of the simulation's spread there.
    seed : int
        Seed of weights and batches.
    start : FlowMap or None
        A map whose flows both stages begin with.

    Returns
    -------
    map : FlowMap
        The map.
    curve : array of shape (n_epochs,)
        Gain in the penalised log-likelihood of a held-out data row over the Gaussian
        map after every epoch of the second stage; NaN without held-out rows.

    Raises
    ------
    ImportError
        If zuko is not installed.
    ValueError
        If a weight is negative.
    """
    from .. import nn

    _check_weights(source, target, *(held_out or ()))
    axes = _round_axes(gaussian, source)
    simulation, data = _rows(gaussian, axes, source, target)
    held_simulation, held_data = None, None
    if held_out is not None:
        held_simulation, held_data = _rows(gaussian, axes, *held_out)
    shape = source.x.shape[1], source.h.shape[1]

    def flow(state: dict[str, Any] | None) -> Any:
        if state is None:
            return nn.ConditionalFlow(*shape, **architecture)
        return nn.load_module(state).train()

    settings = training_settings(training, simulation)
    with nn.seeded(seed, settings.device):
        density = nn.DensityObjective(flow(start.density if start else None))
        nn.train(density, simulation, settings, held_simulation)
        settings = training_settings(training, data)
        moving = flow(start.network if start else None)
        objective = nn.TransportObjective(
            moving, density, _metric(axes), transport_cost
        )
        before = _loss(objective, held_data, settings) if held_data else np.nan
        losses = nn.train(objective, data, settings, held_data)
    states = [nn.export_module(part) for part in (moving, density.flow)]
    return FlowMap(gaussian, axes, *states), before - losses[:, 1]


def _check_weights(*samples: Sample) -> None:
    if any((sample.w < 0).any() for sample in samples):
        raise ValueError(
            "a normalising flow is trained by maximum likelihood, which has no maximum "
            "with negative weights (a background that is subtracted from the data has "
            "them, too). Choose another solver."
        )


# Inverse root of the simulation's covariance between the halves of the Gaussian map.
def _round_axes(gaussian: BuresMap, source: Sample) -> Array:
    white = gaussian.whiten_source(source.x[:], source.h)
    covariance = np.atleast_2d(np.cov(white.T, aweights=source.w))
    values, vectors = np.linalg.eigh(covariance)
    return (vectors / np.sqrt(values)) @ vectors.T


# Matrix that measures displacements of rounded rows in units of the spread before.
def _metric(axes: Array) -> Tensor:
    import torch

    metric = np.linalg.inv(axes)
    unit = np.sqrt(np.square(metric).sum() / len(metric))
    return torch.tensor(metric / unit, dtype=torch.float32)


# Rounded rows of simulation and of data, with weights of mean one.
def _rows(
    gaussian: BuresMap, axes: Array, source: Sample, target: Sample
) -> tuple[RowsDataset, RowsDataset]:
    from ..nn import RowsDataset

    def rows(sample: Sample, whiten: Callable[[Array, Array], Array]) -> RowsDataset:
        x = whiten(sample.x[:], sample.h) @ axes
        weight = sample.w / sample.w.mean()
        return RowsDataset.from_numpy({"x": x, "h": sample.h, "w": weight})

    return rows(source, gaussian.whiten_source), rows(target, gaussian.whiten_target)


# Loss as it is before the training.
def _loss(objective: Module, rows: RowsDataset, settings: TrainingSettings) -> float:
    import torch

    device = settings.device
    objective.to(device)
    with torch.no_grad():
        losses = [
            objective(**{name: column.to(device) for name, column in batch.items()})
            for batch in rows.batches(settings.batch_size, shuffle=False)
        ]
    return float(torch.stack(losses).mean())
