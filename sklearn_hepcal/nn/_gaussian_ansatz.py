"""The Gaussian Ansatz for the log of a likelihood ratio, and losses that fit it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from ._deep_sets import DeepSets
from ._mlp import MLP

# Smallest eigenvalue of the precision, in units of one over the variance of z: what
# keeps every covariance finite.
MIN_PRECISION = 1e-3
# Size of the first corrections to the line, relative to that of fresh networks.
_SMALL = 0.1
# The part of the training at whose end the term D has faded out.
_FADED = 0.75


class GaussianAnsatz(nn.Module):
    """T(x, z) = A(x) + (z - B(x)) D(x) + (z - B(x))' C(x, z) (z - B(x)) / 2.

    C is negative definite by construction: minus the square of a triangular matrix
    and of a small floor. Without D, ``B(x)`` is then the global maximum of T in z.

    Parameters
    ----------
    n_features : int
        Features of an event (of a jet).
    n_targets : int
        Components of z.
    hidden : tuple of int
        Widths of the layers of A, B, C and D.
    activation : str
        Between the layers.
    deep_sets : dict or None
        Arguments of the `DeepSets` whose latents join the features.
    latent_scale : float
        Unit of the latents.
    inclination : bool
        Whether there is a term D in training, times `inclination_scale`, which
        goes to 0.

    References
    ----------
    .. [1] R. Gambhir, B. Nachman, J. Thaler, "Learning Uncertainties the Frequentist
       Way: Calibration and Correlation in High Energy Physics", Phys. Rev. Lett. 129
       (2022) 082001, arXiv:2205.03413.
    """

    entries: Tensor

    def __init__(
        self,
        n_features: int,
        n_targets: int,
        hidden: tuple[int, ...],
        activation: str = "relu",
        deep_sets: dict[str, Any] | None = None,
        latent_scale: float = 1.0,
        inclination: bool = False,
    ) -> None:
        super().__init__()
        self.config = {
            "n_features": n_features,
            "n_targets": n_targets,
            "hidden": hidden,
            "activation": activation,
            "deep_sets": deep_sets,
            "latent_scale": latent_scale,
            "inclination": inclination,
        }
        self.latent_scale = latent_scale
        self.n_targets = n_targets
        self.deep_sets = None if deep_sets is None else DeepSets(**deep_sets)
        width = n_features + (0 if deep_sets is None else deep_sets["n_latent"])
        self.line = nn.Linear(n_features, n_targets)
        self.offset = MLP(width, hidden, 1, activation)
        self.peak = MLP(width, hidden, n_targets, activation)
        self.inclination = (
            MLP(width, hidden, n_targets, activation) if inclination else None
        )
        self.inclination_scale = 1.0
        n_entries = n_targets * (n_targets + 1) // 2
        self.factor = MLP(width + n_targets, hidden, n_entries, activation)

    @torch.no_grad()
    def start_from_line(self, slope: Tensor, intercept: Tensor, factor: Tensor) -> None:
        """Start from a linear fit with constant covariance.

        Parameters
        ----------
        slope : tensor of shape (n_targets, n_features)
            B(x) = slope x + intercept.
        intercept : tensor of shape (n_targets,)
            See above.
        factor : tensor of shape (n_targets, n_targets)
            Lower triangular square root of the precision, the inverse covariance.
        """
        self.line.weight.copy_(slope)
        self.line.bias.copy_(intercept)
        for network in (self.offset, self.peak, self.factor):
            network.last.weight.mul_(_SMALL)
            network.last.bias.zero_()
        rows, columns = _triangle(factor)
        start = factor[rows, columns]
        inverse_softplus = start + torch.log(-torch.expm1(-start))
        self.factor.last.bias.copy_(
            torch.where(rows == columns, inverse_softplus, start)
        )

    def encode(self, features: Tensor, **constituents: Tensor) -> Tensor:
        """Join the features of events with their pooled latents.

        Parameters
        ----------
        features : tensor of shape (n, n_features)
            Features.
        **constituents : tensors
            What `DeepSets` takes.

        Returns
        -------
        tensor of shape (n, n_features + n_latent)
            Features, then latents.
        """
        if self.deep_sets is None:
            return features
        latents = self.deep_sets(**constituents) / self.latent_scale
        return torch.cat([features, latents], dim=1)

    def estimate(self, code: Tensor) -> Tensor:
        """Evaluate B, the z of maximum likelihood.

        Parameters
        ----------
        code : tensor of shape (n, n_features + n_latent)
            What `encode` returned.

        Returns
        -------
        tensor of shape (n, n_targets)
            B(x).
        """
        return self.line(code[:, : self.line.in_features]) + self.peak(code)

    def precision_factor(self, code: Tensor, z: Tensor) -> Tensor:
        """Evaluate the lower triangular L of C = -(L L' + floor).

        Parameters
        ----------
        code : tensor of shape (n, n_features + n_latent)
            What `encode` returned.
        z : tensor of shape (k, n, n_targets)
            k values of z an event.

        Returns
        -------
        tensor of shape (k, n, n_targets, n_targets)
            L(x, z).
        """
        # The part of the first layer that acts on x is shared by all z of an event.
        layers: list[Any] = [*self.factor.hidden, self.factor.last]
        first, *others = layers
        of_code, of_z = first.weight.split([code.shape[1], z.shape[-1]], dim=1)
        raw = linear(code, of_code, first.bias) + linear(z, of_z)
        for layer in others:
            raw = layer(raw)
        lower = raw.new_zeros(*raw.shape[:-1], self.n_targets, self.n_targets)
        rows, columns = _triangle(lower)
        lower[..., rows, columns] = torch.where(rows == columns, softplus(raw), raw)
        return lower

    def precision(self, code: Tensor) -> Tensor:
        """Evaluate -C at the z of maximum likelihood, the inverse covariance.

        Parameters
        ----------
        code : tensor of shape (n, n_features + n_latent)
            What `encode` returned.

        Returns
        -------
        tensor of shape (n, n_targets, n_targets)
            Symmetric, positive definite.
        """
        lower = self.precision_factor(code, self.estimate(code)[None])[0]
        floor = MIN_PRECISION * torch.eye(self.n_targets).to(lower)
        return lower @ lower.mT + floor

    def forward(self, code: Tensor, z: Tensor) -> Tensor:
        """Evaluate T, the log of the ratio p(x|z) / p(x) up to a constant.

        Parameters
        ----------
        code : tensor of shape (n, n_features + n_latent)
            What `encode` returned.
        z : tensor of shape (k, n, n_targets)
            k values of z an event.

        Returns
        -------
        tensor of shape (k, n)
            T(x, z).
        """
        away = z - self.estimate(code)
        lower = self.precision_factor(code, z)
        pulled = (lower * away[..., None]).sum(dim=-2)
        square = (pulled**2).sum(dim=-1) + MIN_PRECISION * (away**2).sum(dim=-1)
        value = self.offset(code)[:, 0] - 0.5 * square
        if self.training and self.inclination is not None:
            tilt = self.inclination_scale * self.inclination(code)
            value = value + (away * tilt).sum(dim=-1)
        return value


def shuffled(z: Tensor, n_shuffles: int) -> Tensor:
    """Stack rows with their own z, then with those of other rows.

    Parameters
    ----------
    z : tensor of shape (n, ...)
        One row an event, in random order.
    n_shuffles : int
        Other rows for every row; at most n - 1 are used. They are the next ones, so
        that no event meets its own z.

    Returns
    -------
    tensor of shape (1 + n_shuffles, n, ...)
        The rows, moved up by 0, 1, 2 ...
    """
    n_shuffles = min(n_shuffles, len(z) - 1)
    return torch.stack([z.roll(-shift, 0) for shift in range(n_shuffles + 1)])


class RatioObjective(nn.Module):
    """Losses whose optimum is the log of the likelihood ratio.

    Parameters
    ----------
    network : GaussianAnsatz
        What is trained.
    loss : {"dv", "bce", "infonce"}
        Donsker-Varadhan bound; cross-entropy between events and shuffled events;
        InfoNCE, which leaves the offset A of the ansatz open.
    n_shuffles : int
        Shuffled events for every event.
    n_steps : int
        Steps of the training, over which a term D fades out.
    max_log_ratio : float
        Where the Donsker-Varadhan bound stops to reward larger values for an event.
        Shuffled events oppose them only where there are any; at the far end of a
        falling spectrum T would grow without limit.
    """

    def __init__(
        self,
        network: GaussianAnsatz,
        loss: str,
        n_shuffles: int,
        n_steps: int,
        max_log_ratio: float = math.inf,
    ) -> None:
        super().__init__()
        self.network = network
        losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "dv": self._donsker_varadhan,
            "bce": _cross_entropy,
            "infonce": _info_nce,
        }
        self.loss = losses[loss]
        self.n_shuffles = n_shuffles
        self.n_steps = n_steps
        self.max_log_ratio = max_log_ratio
        self.step = 0

    def forward(self, z: Tensor, weight: Tensor, **inputs: Tensor) -> Tensor:
        """Evaluate the loss of a batch.

        Parameters
        ----------
        z : tensor of shape (n, n_targets)
            True values.
        weight : tensor of shape (n,)
            Weights of the events.
        **inputs : tensors
            What `GaussianAnsatz.encode` takes.

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        if self.training and self.network.inclination is not None:
            self.step += 1
            done = self.step / (_FADED * self.n_steps)
            self.network.inclination_scale = max(0.0, 1.0 - done)
        code = self.network.encode(**inputs)
        value = self.network(code, shuffled(z, self.n_shuffles))
        return self.loss(value, shuffled(weight, self.n_shuffles))

    def _donsker_varadhan(self, value: Tensor, weight: Tensor) -> Tensor:
        # Both marginals are weighted: a shuffled event has the product of two weights.
        product = (weight[0].log() + weight[1:].log()).flatten()
        normaliser = (value[1:].flatten() + product).logsumexp(0) - product.logsumexp(0)
        limit = normaliser.detach() + self.max_log_ratio
        joint = (weight[0] * value[0].minimum(limit)).sum() / weight[0].sum()
        return normaliser - joint


def _cross_entropy(value: Tensor, weight: Tensor) -> Tensor:
    joint = (weight[0] * softplus(-value[0])).sum() / weight[0].sum()
    product = weight[0] * weight[1:]
    return joint + (product * softplus(value[1:])).sum() / product.sum()


# Which z is the event's own? Every z counts with its weight.
def _info_nce(value: Tensor, weight: Tensor) -> Tensor:
    every = value + weight.log()
    chosen = every[0] - every.logsumexp(0)
    return -(weight[0] * chosen).sum() / weight[0].sum()


# Rows and columns of the entries of triangular matrices.
def _triangle(matrices: Tensor) -> Tensor:
    n = matrices.shape[-1]
    return torch.tril_indices(n, n, device=matrices.device)
