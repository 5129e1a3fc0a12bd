"""Conditional normalising flows of coupled splines, and how they are trained."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .._optional import import_optional
from ._mlp import MLP


class ConditionalFlow(nn.Module):
    r"""Invertible map with a known Jacobian, one for every condition.

    Every layer mirrors x at a random plane, moves one half of the columns by
    increasing rational-quadratic splines, whose shapes a network reads off the other
    half and the condition, and mirrors x back (coupling layers, arXiv:1906.04032).
    The next layer takes the same plane and moves the other half, the one after it
    another plane. Both directions are exact and cost about the same. A new flow is
    the identity.

    Splines act in the box :math:`[-b, b]` of the mirrored columns. At its ends they
    have the value and the slope of the identity, which takes over outside, and
    columns outside count as lying at the edge where they shape the splines of others.
    So the map is continuous everywhere, and no layer moves a column by more than 2 b.

    Parameters
    ----------
    n_features : int
        Number of columns.
    n_knots : int
        Number of basis functions of the condition (1 if there is none).
    n_transforms : int
        Number of layers.
    hidden_width : int
        Units in each of the two hidden layers of a layer's network.
    n_bins : int
        Pieces of a spline.
    bound : float
        Half the width b of the box.

    Raises
    ------
    ImportError
        If zuko, whose splines these are, is not installed.
    """

    mirrors: Tensor

    def __init__(
        self,
        n_features: int,
        n_knots: int = 1,
        *,
        n_transforms: int = 4,
        hidden_width: int = 64,
        n_bins: int = 8,
        bound: float = 5.0,
    ) -> None:
        super().__init__()
        import_optional("zuko", "flow")  # before anything is computed
        self.config: dict[str, Any] = {
            "n_features": n_features,
            "n_knots": n_knots,
            "n_transforms": n_transforms,
            "hidden_width": hidden_width,
            "n_bins": n_bins,
            "bound": bound,
        }
        n_fixed = n_features // 2
        n_shapes = (n_features - n_fixed) * (3 * n_bins - 1)
        hidden = (hidden_width, hidden_width)
        self.networks = nn.ModuleList()
        for _ in range(n_transforms):
            network = MLP(n_fixed + n_knots, hidden, n_shapes)
            # The spline of all zeros is the identity.
            nn.init.zeros_(network.last.weight)
            nn.init.zeros_(network.last.bias)
            self.networks.append(network)
        self.register_buffer("mirrors", torch.randn(-(-n_transforms // 2), n_features))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Move points.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Points.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.

        Returns
        -------
        moved : tensor of shape (n, n_features)
            The moved points.
        log_det : tensor of shape (n,)
            Logarithm of the determinant of the Jacobian.
        """
        log_det = x.new_zeros(len(x))
        for layer in range(len(self.networks)):
            fixed, free = self._halves(x, layer)
            free, change = self._splines(fixed, h, layer).call_and_ladj(free)
            x = self._joined(fixed, free, layer)
            log_det = log_det + change.sum(1)
        return x, log_det

    def inverse(self, y: Tensor, h: Tensor) -> Tensor:
        """Find the points that `forward` moves to y.

        Parameters
        ----------
        y : tensor of shape (n, n_features)
            Moved points.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.

        Returns
        -------
        tensor of shape (n, n_features)
            The points.
        """
        for layer in reversed(range(len(self.networks))):
            fixed, free = self._halves(y, layer)
            free = self._splines(fixed, h, layer).inv(free)
            y = self._joined(fixed, free, layer)
        return y

    def _halves(self, x: Tensor, layer: int) -> tuple[Tensor, ...]:
        x = _mirrored(x, self.mirrors[layer // 2])
        n_fixed = x.shape[1] // 2
        return (x.flip(1) if layer % 2 else x).tensor_split([n_fixed], dim=1)

    # Undo `_halves`.
    def _joined(self, fixed: Tensor, free: Tensor, layer: int) -> Tensor:
        x = torch.cat([fixed, free], 1)
        return _mirrored(x.flip(1) if layer % 2 else x, self.mirrors[layer // 2])

    # The transform of zuko that moves one half, given the other.
    def _splines(self, fixed: Tensor, h: Tensor, layer: int) -> Any:
        zuko = import_optional("zuko", "flow")
        bound, n_bins = self.config["bound"], self.config["n_bins"]
        inputs = torch.cat([fixed.clamp(-bound, bound), h], 1)
        shapes = self.networks[layer](inputs).unflatten(1, (-1, 3 * n_bins - 1))
        sizes = [n_bins, n_bins, n_bins - 1]  # widths, heights, and slopes between
        return zuko.transforms.MonotonicRQSTransform(
            *shapes.split(sizes, dim=2), bound=bound
        )


# Reflection at the plane with this normal: its own inverse, in any precision.
def _mirrored(x: Tensor, normal: Tensor) -> Tensor:
    return x - torch.outer(x @ normal, normal * (2.0 / normal.square().sum()))


class DensityObjective(nn.Module):
    """Negative log-likelihood of a flow from the sample to the standard normal law.

    Parameters
    ----------
    flow : ConditionalFlow
        The flow to train.
    """

    def __init__(self, flow: ConditionalFlow) -> None:
        super().__init__()
        self.flow = flow

    def log_density(self, x: Tensor, h: Tensor) -> Tensor:
        """Evaluate the logarithm of the density.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Points.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.

        Returns
        -------
        tensor of shape (n,)
            The logarithm of p(x|c).
        """
        z, log_det = self.flow(x, h)
        return log_det - 0.5 * (z.square() + math.log(2.0 * math.pi)).sum(1)

    def forward(self, x: Tensor, h: Tensor, w: Tensor) -> Tensor:
        """Estimate the loss from a batch.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Rows of the sample.
        h : tensor of shape (n, n_knots)
            Basis functions of their conditions.
        w : tensor of shape (n,)
            Their weights, of mean one over the sample.

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        return -(w * self.log_density(x, h)).mean()


class TransportObjective(nn.Module):
    r"""Penalised negative log-likelihood of data that a flow moves to simulation.

    .. math::

        - E_{data}[\log p_{sim}(S(y)) + \log |\det \nabla S(y)|]
        + \lambda E_{data} |S(y) - y|^2

    for the flow S. Many maps take data to simulation; the penalty singles out the one
    that moves the least. It also pulls that one towards the identity, by an amount
    that vanishes with :math:`\lambda`.

    Parameters
    ----------
    flow : ConditionalFlow
        The flow S to train.
    density : DensityObjective
        The density of the simulation, which stays as it is.
    metric : tensor of shape (n_features, n_features)
        Matrix M of the distance :math:`|M (S(y) - y)|`.
    transport_cost : float
        Weight :math:`\lambda` of the penalty.
    """

    metric: Tensor

    def __init__(
        self,
        flow: ConditionalFlow,
        density: DensityObjective,
        metric: Tensor,
        transport_cost: float,
    ) -> None:
        super().__init__()
        self.flow = flow
        self.density = density.requires_grad_(False)
        self.transport_cost = transport_cost
        self.register_buffer("metric", metric)

    def forward(self, x: Tensor, h: Tensor, w: Tensor) -> Tensor:
        """Estimate the loss from a batch.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Rows of the data.
        h : tensor of shape (n, n_knots)
            Basis functions of their conditions.
        w : tensor of shape (n,)
            Their weights, of mean one over the sample.

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        moved, log_det = self.flow(x, h)
        log_likelihood = self.density.log_density(moved, h) + log_det
        cost = ((moved - x) @ self.metric.T).square().sum(1)
        return (w * (self.transport_cost * cost - log_likelihood)).mean()
