"""Map by the gradient of a trained convex network, after the Gaussian map."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._bures import BuresMap
from ._conditions import rebalance
from ._maps import Array, GradientMap, Sample, StoredRows
from ._network_map import NetworkMap, training_settings

if TYPE_CHECKING:
    from torch import Tensor

    from ..nn import TwoSampleDataset

# Residual of the inverse, relative to one standard deviation of the data.
_INVERSE_TOL = 1e-10
# Steps of a first, cheap descent before Newton's method takes over.
_DESCENT_STEPS = 10
# Spreads of the moved columns that differ by more are beyond the training.
_MAX_SPREAD_RATIO = 30.0
# Rows from which the unit of the coordinates follows, and those on which the random
# initial weights are scaled.
_SCALE_ROWS = 10_000
_REFERENCE_ROWS = 2000


class ConvexMap(NetworkMap, GradientMap):
    """``T = m_data + B s grad psi(B (x - m_sim) / s)`` with a convex network psi.

    The Gaussian map enters by halves, before and behind the network, so that the
    whole is still the gradient of a convex function, and the network only has to
    learn what differs from a Gaussian. Outside the training sample the network's
    units saturate, and the map continues affinely.

    Parameters
    ----------
    gaussian : BuresMap
        The Gaussian map.
    scale : float
        Common unit s of the coordinates between its halves.
    network : dict
        The network psi in numpy, from `sklearn_hepcal.nn.export_module`.
    """

    def __init__(
        self, gaussian: BuresMap, scale: float, network: dict[str, Any]
    ) -> None:
        super().__init__(network)
        self.gaussian = gaussian
        self.scale = scale

    def forward(self, x: Array, h: Array) -> Array:
        white = self.gaussian.whiten_source(x, h) / self.scale
        weights = self.module.coefficients()
        moved = self._evaluate(
            lambda rows, basis: self.module.gradient(rows, basis, weights), white, h
        )
        return self.gaussian.unwhiten_target(moved * self.scale, h)

    def inverse(self, y: Array, h: Array) -> Array:
        from ..nn import polish_conjugate, solve_conjugate

        def solve(rows: Any, basis: Any) -> Any:
            guess = solve_conjugate(
                self.module,
                rows,
                basis,
                rows,
                max_iter=_DESCENT_STEPS,
                tol=_INVERSE_TOL,
            )
            return polish_conjugate(self.module, rows, basis, guess, tol=_INVERSE_TOL)

        white = self.gaussian.whiten_target(y, h) / self.scale
        moved = self._evaluate(solve, white, h)
        return self.gaussian.unwhiten_source(moved * self.scale, h)

    def log_det(self, x: Array, h: Array) -> Array:
        white = self.gaussian.whiten_source(x, h) / self.scale
        inner = self._evaluate(
            lambda rows, basis: self.module.hessian(rows, basis).logdet(), white, h
        )
        return self.gaussian.log_det(x, h) + inner

    def potential(self, x: Array, h: Array) -> Array:
        white = self.gaussian.whiten_source(x, h) / self.scale
        centre = np.zeros_like(white)
        psi = self._evaluate(self.module, white, h) - self._evaluate(
            self.module, centre, h
        )
        return self.gaussian.lift(self.scale**2 * psi, x, h)

    def shrunk(self, strength: float) -> ConvexMap:
        """Go only a part of the way from the Gaussian map.

        Parameters
        ----------
        strength : float
            The part, from 0 (the Gaussian map) to 1 (this map).

        Returns
        -------
        ConvexMap
            The map of the potential ``(1 - strength) |x|^2 / 2 + strength psi``.
        """
        import torch

        from .. import nn

        module: Any = nn.load_module(self.network, dtype=torch.float64)
        module.shrink(strength)
        return ConvexMap(self.gaussian, self.scale, nn.export_module(module))

    def min_curvature(self) -> float:
        quadratic = self.module.coefficients().quadratic.min().item()
        return self.gaussian.min_curvature() * quadratic


def fit_convex_map(
    gaussian: BuresMap,
    source: Sample,
    target: Sample,
    held_out: tuple[Sample, Sample] | None,
    *,
    architecture: dict[str, Any],
    training: dict[str, Any],
    seed: int,
    start: ConvexMap | None = None,
) -> tuple[ConvexMap, Array]:
    """Train a `ConvexMap` on the semi-dual.

    Parameters
    ----------
    gaussian : BuresMap
        The Gaussian map of the samples.
    source, target : Sample
        Simulation and data.
    held_out : tuple of Sample or None
        Rows of both for the validation loss.
    architecture : dict
        Parameters of the network.
    training : dict
        What `training_settings` takes.
    seed : int
        Seed of weights and batches.
    start : ConvexMap or None
        A map whose network to begin with; else the training begins at the Gaussian map.

    Returns
    -------
    map : ConvexMap
        The map.
    curve : array of shape (n_epochs,)
        Gain of the held-out semi-dual over the Gaussian map after every epoch, in
        squared units of x; NaN without held-out rows.
    """
    import torch

    from .. import nn

    source = rebalance(source, target)
    reference = source.take(_spread_out(len(source.w))).load()
    white = gaussian.whiten_source(reference.x, reference.h)
    _check_spreads(white)
    power = np.square(white).mean(axis=1)
    scale = float(np.sqrt(reference.w @ power / reference.w.sum()))

    rows = _dataset(gaussian, scale, source, target)
    validation = None
    if held_out is not None:
        balanced = rebalance(*held_out), held_out[1]
        validation = _dataset(gaussian, scale, *balanced, first_row=len(target.x))
    if training["max_epochs"] is None:
        rows.limit(training["n_steps"] * training["batch_size"])
    settings = training_settings(training, rows)
    with nn.seeded(seed, settings.device):
        potential: Any
        if start is None:
            potential = nn.ConvexPotential(
                white.shape[1], source.h.shape[1], **architecture
            )
            first = torch.randperm(len(white))[:_REFERENCE_ROWS]
            x, h = (_tensor(part[first]) for part in (white / scale, reference.h))
            potential.initialise(x, h)
        else:
            potential = nn.load_module(start.network).train()
        balance = (
            nn.BatchBalance(_white_blocks(source, gaussian.whiten_source, scale)),
            nn.BatchBalance(_white_blocks(target, gaussian.whiten_target, scale)),
        )
        objective = nn.SemiDual(potential, _cache(rows, validation), balance=balance)
        losses = nn.train(objective, rows, settings, validation)
    identity = _identity_loss(validation, settings.batch_size) if validation else np.nan
    curve = scale**2 * (identity - losses[:, 1])
    return ConvexMap(gaussian, scale, nn.export_module(potential)), curve


def _check_spreads(white: Array) -> None:
    spread = np.sqrt(np.linalg.eigvalsh(np.atleast_2d(np.cov(white.T))))
    if spread[0] * _MAX_SPREAD_RATIO < spread[-1]:
        warnings.warn(
            "the spreads of the moved columns, or of combinations of them, differ by a "
            f"factor of {spread[-1] / spread[0]:.0f}: the network cannot resolve the "
            "narrow ones. Scaling a column changes the cost of moving it.",
            stacklevel=2,
        )


# Evenly spaced rows, enough of them to scale the network.
def _spread_out(n_rows: int) -> NDArray[np.intp]:
    return np.arange(0, n_rows, math.ceil(n_rows / _SCALE_ROWS))


# The samples in the coordinates of the network, with weights of mean one. The rows of
# the data are numbered from `first_row`.
def _dataset(
    gaussian: BuresMap, scale: float, source: Sample, target: Sample, first_row: int = 0
) -> TwoSampleDataset:
    import torch

    from ..nn import TwoSampleDataset

    def columns(sample: Sample, whiten: Callable[..., Array], side: str) -> dict:
        x = _WhiteRows(sample, lambda x, h: whiten(x, h) / scale)
        weight = sample.w * (len(sample.w) / sample.w.sum())
        stored = isinstance(sample.x, StoredRows)
        return {
            side: x if stored else x[torch.arange(len(x))],
            f"h{side}": _tensor(sample.h),
            f"w{side}": _tensor(weight),
        }

    row = torch.arange(first_row, first_row + len(target.w))
    return TwoSampleDataset(
        columns(source, gaussian.whiten_source, "x"),
        columns(target, gaussian.whiten_target, "y") | {"row": row},
    )


class _WhiteRows:
    # A column of a dataset that is read and whitened batch by batch.

    def __init__(self, sample: Sample, whiten: Callable[[Array, Array], Array]) -> None:
        self.sample = sample
        self.whiten = whiten

    def __len__(self) -> int:
        return len(self.sample.w)

    def __getitem__(self, rows: Tensor) -> Tensor:
        x, h, _ = self.sample.take(rows.numpy()).load()
        return _tensor(self.whiten(x, h))


# What goes through a sample in the coordinates of the network.
def _white_blocks(
    sample: Sample, whiten: Callable[..., Array], scale: float
) -> Callable[[], Iterator[tuple[Tensor, Tensor, Tensor]]]:
    factor = len(sample.w) / sample.w.sum()

    def blocks() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x, h, w in sample.blocks():
            yield _tensor(whiten(x, h) / scale), _tensor(h), _tensor(w * factor)

    return blocks


def _tensor(column: Array) -> Tensor:
    import torch

    return torch.tensor(column, dtype=torch.float32)


# First guesses of the conjugate's maximisers of all rows of data; none where these stay
# in their file, which a training hardly visits twice.
def _cache(*datasets: TwoSampleDataset | None) -> Tensor | None:
    import torch

    columns = [dataset.samples[1]["y"] for dataset in datasets if dataset]
    if all(isinstance(column, torch.Tensor) for column in columns):
        return torch.cat(columns)
    return None


# Semi-dual of the identity, on the same batches as the network's.
def _identity_loss(dataset: TwoSampleDataset, batch_size: int) -> float:
    losses = [
        (batch[f"w{side}"] * batch[side].square().sum(1)).mean().item() / 2
        for batch in dataset.batches(batch_size, shuffle=False)
        for side in "xy"
    ]
    return 2.0 * float(np.mean(losses))
