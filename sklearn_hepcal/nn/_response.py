"""Networks that learn the response of jets, and corrections of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from ._deep_sets import DeepSets
from ._mlp import MLP

# Range of the logarithm of the predicted width, around its start.
WIDTH_RANGE = 4.0


class ResponseNetwork(nn.Module):
    r"""Centre and width of the logarithm of a response.

    The centre is :math:`c + h \tanh(g(s, u))` with a network g of the scaled logarithm
    s of a transverse momentum and of what else is known of the jet, u: bounded, so that
    an exponential of it is positive and finite.

    Parameters
    ----------
    n_features : int
        Columns of the features of a jet.
    centre, half_range : float
        The numbers c and h.
    log_width : float
        Logarithm of the width before training.
    hidden : tuple of int
        Units of the hidden layers.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers.
    dropout : float
        Part of the units of the hidden layers that is dropped in training.
    deep_sets : dict or None
        Arguments of `DeepSets`, whose sums over the constituents are features, too.
    latent_scale : float
        What these sums are divided by.
    """

    def __init__(
        self,
        n_features: int,
        *,
        centre: float,
        half_range: float,
        log_width: float,
        hidden: tuple[int, ...],
        activation: str,
        dropout: float = 0.0,
        deep_sets: dict[str, Any] | None = None,
        latent_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_features": n_features,
            "centre": centre,
            "half_range": half_range,
            "log_width": log_width,
            "hidden": tuple(hidden),
            "activation": activation,
            "dropout": dropout,
            "deep_sets": deep_sets,
            "latent_scale": latent_scale,
        }
        self.deep_sets = DeepSets(**deep_sets) if deep_sets else None
        n_latent = deep_sets["n_latent"] if deep_sets else 0
        n_in = 1 + n_features + n_latent
        self.head = MLP(n_in, hidden, 2, activation, dropout)
        with torch.no_grad():
            self.head.last.weight.mul_(0.1)
            self.head.last.bias.zero_()

    def describe(self, features: Tensor, **constituents: Tensor) -> Tensor:
        """Gather what is known of jets beside their momentum.

        Parameters
        ----------
        features : tensor of shape (n_jets, n_features)
            Scaled features.
        **constituents : tensors
            What `DeepSets` takes.

        Returns
        -------
        tensor of shape (n_jets, n_inputs)
            The features and the sums over constituents.
        """
        if self.deep_sets is None:
            return features
        latent = self.deep_sets(**constituents) / self.config["latent_scale"]
        return torch.cat([features, latent], dim=1)

    def forward(self, log_pt: Tensor, jet: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate centre and width.

        Parameters
        ----------
        log_pt : tensor of shape (n_jets,)
            Scaled logarithm of a transverse momentum.
        jet : tensor of shape (n_jets, n_inputs)
            What `describe` returns.

        Returns
        -------
        centre, log_width : tensors of shape (n_jets,)
            Centre of the logarithm, and logarithm of its width.
        """
        out = self.head(torch.cat([log_pt[:, None], jet], dim=1))
        centre = self.config["centre"]
        centre = centre + self.config["half_range"] * torch.tanh(out[:, 0])
        log_width = WIDTH_RANGE * torch.tanh(out[:, 1] / WIDTH_RANGE)
        return centre, self.config["log_width"] + log_width


class ResponseObjective(nn.Module):
    """Gaussian negative log-likelihood whose tails are linear.

    Parameters
    ----------
    network : ResponseNetwork
        What is trained.
    delta : float
        Number of widths from which on a residual counts linearly.
    """

    def __init__(self, network: ResponseNetwork, delta: float) -> None:
        super().__init__()
        self.network = network
        self.delta = delta

    def forward(
        self,
        log_pt: Tensor,
        target: Tensor,
        weight: Tensor,
        features: Tensor,
        **constituents: Tensor,
    ) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        log_pt : tensor of shape (n_jets,)
            Scaled logarithm of the momentum that the response is a function of.
        target : tensor of shape (n_jets,)
            Logarithm of the response.
        weight : tensor of shape (n_jets,)
            Weights with a mean of one.
        features : tensor of shape (n_jets, n_features)
            Scaled features.
        **constituents : tensors
            What `DeepSets` takes.

        Returns
        -------
        tensor of shape ()
            The weighted mean.
        """
        jet = self.network.describe(features, **constituents)
        centre, log_width = self.network(log_pt, jet)
        pull = (target - centre) * torch.exp(-log_width)
        return (weight * (_huber(pull, self.delta) + log_width)).mean()


class JointObjective(nn.Module):
    r"""Likelihood of true momenta, balance of pairs and closure, at the same time.

    The loss is that of `ResponseObjective` for corrections of measured momenta, plus f
    times the mean Huber distance of the corrected jets of pairs, in units of what the
    width of their balance was before. The mean relative error :math:`C_b` in each bin
    of the true momentum is held at zero by an augmented Lagrangian,

    .. math:: \sum_b \left(\lambda_b C_b + \tfrac{1}{2} \rho C_b^2\right)

    whose multipliers grow with :math:`C_b` at every step of the training. A network
    can so not balance jets by giving all of them the same momentum.

    Parameters
    ----------
    network : ResponseNetwork
        What is trained.
    delta : float
        Number of widths from which on a residual counts linearly.
    asymmetry_weight : float
        The factor f.
    n_bins : int
        Number of bins of the true momentum.
    rho : float
        The penalty.
    dual_rate : float
        Part of the penalty that each step adds to the multipliers.
    """

    multipliers: Tensor

    def __init__(
        self,
        network: ResponseNetwork,
        delta: float,
        *,
        asymmetry_weight: float,
        n_bins: int,
        rho: float,
        dual_rate: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.delta = delta
        self.asymmetry_weight = asymmetry_weight
        self.rho = rho
        self.dual_rate = dual_rate
        self.register_buffer("multipliers", torch.zeros(n_bins))

    def forward(
        self,
        log_pt: Tensor,
        target: Tensor,
        weight: Tensor,
        place: Tensor,
        features: Tensor,
        other_log_pt: Tensor,
        other_balance: Tensor,
        other_width: Tensor,
        other_weight: Tensor,
        other_features: Tensor,
        **constituents: Tensor,
    ) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        log_pt : tensor of shape (n_jets,)
            Scaled logarithms of the measured momenta of labelled jets.
        target : tensor of shape (n_jets,)
            Logarithms of the true over the measured momenta.
        weight : tensor of shape (n_jets,)
            Weights with a mean of one.
        place : int64 tensor of shape (n_jets,)
            Bins of the true momenta.
        features : tensor of shape (n_jets, n_features)
            Scaled features.
        other_log_pt : tensor of shape (n_pairs, 2)
            Scaled logarithms of the measured momenta of pairs.
        other_balance : tensor of shape (n_pairs,)
            Logarithms of the ratios of the momenta of the two jets.
        other_width : tensor of shape (n_pairs,)
            Typical widths of them.
        other_weight : tensor of shape (n_pairs,)
            Weights with a mean of one.
        other_features : tensor of shape (n_pairs, 2, n_features)
            Scaled features of both jets.
        **constituents : tensors
            What `DeepSets` takes; with the prefix "other_" for pairs, whose two jets
            follow each other, with "other_jet_counts" of shape (n_pairs, 2).

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        others = _of_others(constituents)
        jet = self.network.describe(features, **constituents)
        centre, log_width = self.network(log_pt, jet)
        error = target - centre
        pull = error * torch.exp(-log_width)
        loss = (weight * (_huber(pull, self.delta) + log_width)).mean()
        loss = loss + self._penalty(torch.exp(-error) - 1.0, weight, place)
        jets = self.network.describe(other_features.flatten(0, 1), **others)
        shift = self.network(other_log_pt.flatten(), jets)[0].reshape(-1, 2)
        balance = (other_balance + shift[:, 0] - shift[:, 1]) / other_width
        asymmetry = (other_weight * _huber(balance, self.delta)).mean()
        return loss + self.asymmetry_weight * asymmetry

    def _penalty(self, excess: Tensor, weight: Tensor, place: Tensor) -> Tensor:
        zeros = torch.zeros_like(self.multipliers)
        total = zeros.index_add(0, place, weight)
        sums = zeros.index_add(0, place, weight * excess)
        closure = sums / total.clamp(min=torch.finfo(sums.dtype).tiny)
        penalty = (self.multipliers * closure + 0.5 * self.rho * closure**2).sum()
        if self.training:
            step = self.dual_rate * self.rho * closure.detach()
            self.multipliers = self.multipliers + step
        return penalty


# The constituents of pairs, taken out of those of both samples.
def _of_others(constituents: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "other_"
    others = {
        name.removeprefix(prefix): constituents.pop(name)
        for name in list(constituents)
        if name.startswith(prefix)
    }
    if others:
        others["counts"] = others.pop("jet_counts").flatten()
    return others


def _huber(pull: Tensor, delta: float) -> Tensor:
    return huber_loss(pull, torch.zeros_like(pull), reduction="none", delta=delta)
