"""Map by the gradient of a trained convex network, after the Gaussian map."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ._bures import BuresMap
from ._conditions import rebalance
from ._maps import Array, GradientMap, Sample

if TYPE_CHECKING:
    from ..nn import TwoSampleDataset

# Rows evaluated together: small enough for the cache of one core.
_CHUNK = 2048
# Residual of the inverse, relative to one standard deviation of the data.
_INVERSE_TOL = 1e-10
# Steps of a first, cheap descent before Newton's method takes over.
_DESCENT_STEPS = 10
# Spreads of the moved columns that differ by more are beyond the training.
_MAX_SPREAD_RATIO = 30.0
# Rows on which the random initial weights are scaled.
_REFERENCE_ROWS = 2000


class ConvexMap(GradientMap):
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
        self.gaussian = gaussian
        self.scale = scale
        self.network = network

    def __getstate__(self) -> dict[str, Any]:
        # The torch module is rebuilt where it is needed.
        return {k: v for k, v in self.__dict__.items() if k != "_module"}

    @property
    def module(self) -> Any:
        """The network as a torch module in double precision."""
        if "_module" not in self.__dict__:
            import torch

            from ..nn import load_module

            self._module = load_module(self.network, dtype=torch.float64)
        return self._module

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

    def min_curvature(self) -> float:
        quadratic = self.module.coefficients().quadratic.min().item()
        return self.gaussian.min_curvature() * quadratic

    def _evaluate(self, function: Callable[..., Any], x: Array, h: Array) -> Array:
        return np.concatenate(list(self._chunks(function, x, h)))

    def _chunks(
        self, function: Callable[..., Any], x: Array, h: Array
    ) -> Iterator[Array]:
        import torch

        with torch.no_grad():
            for start in range(0, len(x), _CHUNK):
                rows = slice(start, start + _CHUNK)
                yield function(torch.tensor(x[rows]), torch.tensor(h[rows])).numpy()


def fit_convex_map(
    gaussian: BuresMap,
    source: Sample,
    target: Sample,
    held_out: tuple[Sample, Sample] | None,
    *,
    n_steps: int,
    architecture: dict[str, Any],
    training: dict[str, Any],
    seed: int,
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
    n_steps : int
        Number of steps, where ``max_epochs`` of `training` is None.
    architecture : dict
        Parameters of the network.
    training : dict
        Fields of `sklearn_hepcal.nn.TrainingSettings`.
    seed : int
        Seed of weights and batches.

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
    white = gaussian.whiten_source(source.x, source.h)
    _check_spreads(white)
    power = np.square(white).mean(axis=1)
    scale = float(np.sqrt(source.w @ power / source.w.sum()))

    rows = _dataset(gaussian, scale, source, target)
    validation = None
    if held_out is not None:
        balanced = rebalance(*held_out), held_out[1]
        validation = _dataset(gaussian, scale, *balanced, first_row=len(target.x))
    if training["max_epochs"] is None:
        n_batches = rows.n_batches(training["batch_size"])
        training = training | {"max_epochs": max(1, round(n_steps / n_batches))}
    training = training | {"device": nn.resolve_device(training["device"])}
    settings = nn.TrainingSettings(**training, betas=(0.9, 0.99), average=0.25)

    with nn.seeded(seed, settings.device):
        simulation = rows.samples[0]
        n_features, n_knots = source.x.shape[1], source.h.shape[1]
        potential = nn.ConvexPotential(n_features, n_knots, **architecture)
        reference = torch.randperm(len(white))[:_REFERENCE_ROWS]
        potential.initialise(simulation["x"][reference], simulation["hx"][reference])
        data = [part.samples[1]["y"] for part in (rows, validation) if part]
        objective = nn.SemiDual(potential, torch.cat(data))
        losses = nn.train(objective, rows, settings, validation)
    start = _identity_loss(validation, settings.batch_size) if validation else np.nan
    curve = scale**2 * (start - losses[:, 1])
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


# The samples in the coordinates of the network, with weights of mean one. The rows of
# the data are numbered from `first_row`.
def _dataset(
    gaussian: BuresMap, scale: float, source: Sample, target: Sample, first_row: int = 0
) -> TwoSampleDataset:
    import torch

    from ..nn import TwoSampleDataset

    def tensors(sample: Sample, x: Array, side: str) -> dict[str, Any]:
        weight = sample.w * (len(sample.w) / sample.w.sum())
        columns = {side: x / scale, f"h{side}": sample.h, f"w{side}": weight}
        return {
            name: torch.tensor(column, dtype=torch.float32)
            for name, column in columns.items()
        }

    x = gaussian.whiten_source(source.x, source.h)
    y = gaussian.whiten_target(target.x, target.h)
    row = torch.arange(first_row, first_row + len(y))
    return TwoSampleDataset(
        tensors(source, x, "x"), tensors(target, y, "y") | {"row": row}
    )


# Semi-dual of the identity, on the same batches as the network's.
def _identity_loss(dataset: TwoSampleDataset, batch_size: int) -> float:
    losses = [
        (batch[f"w{side}"] * batch[side].square().sum(1)).mean().item() / 2
        for batch in dataset.batches(batch_size, shuffle=False)
        for side in "xy"
    ]
    return 2.0 * float(np.mean(losses))
