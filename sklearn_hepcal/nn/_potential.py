"""Partially input-convex potentials, whose gradients are monotone maps."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

# softplus(0): positive weights have their nominal value where the raw weight is 0.
_SOFTPLUS_AT_ZERO = 0.6931471805599453


class Coefficients(NamedTuple):
    """Weights of a `ConvexPotential` as they enter its formula.

    Attributes
    ----------
    quadratic : tensor of shape (n_knots, 1)
        Positive curvature q of the quadratic term.
    linear : tensor of shape (n_knots, n_features)
        Linear term b.
    output : tensor of shape (n_knots, hidden_width)
        Positive weights v of the last layer's units.
    skip : list of tensors of shape (n_features, hidden_width)
        Transposed weights W of x in every layer.
    inner : list of tensors of shape (hidden_width, hidden_width)
        Transposed positive weights U between layers.
    """

    quadratic: Tensor
    linear: Tensor
    output: Tensor
    skip: list[Tensor]
    inner: list[Tensor]


class ConvexPotential(nn.Module):
    r"""Potential :math:`\psi(x, h)`, convex in x for every non-negative h.

    .. math::

        a_1 &= W_1 x + t_1(h), \qquad a_l = U_l z_{l-1} + W_l x + t_l(h), \\
        z_l &= \mathrm{softplus}(a_l), \\
        \psi &= \tfrac12 q(h) |x|^2 + b(h) \cdot x + v(h) \cdot z_L,

    with U and v positive and :math:`q = m + \mathrm{softplus}(\cdot)`, so that the
    smallest eigenvalue of the Hessian is at least the ``min_curvature`` m. The
    coefficients q, b, v and t are linear in h, the values of non-negative basis
    functions of the condition that sum to one. This is the partially input-convex
    network of Amos, Xu and Kolter, arXiv:1609.07152, section 3.2.

    The gradient is an explicit formula: only training needs automatic
    differentiation, and only of first order.

    Parameters
    ----------
    n_features : int
        Dimension of x.
    n_knots : int
        Number of basis functions of the condition (1 if there is none).
    hidden_width : int
        Units in every layer.
    n_layers : int
        Number of layers.
    min_curvature : float
        Lower bound m of the Hessian's eigenvalues.
    """

    output_scale: Tensor
    axes: Tensor

    def __init__(
        self,
        n_features: int,
        n_knots: int = 1,
        *,
        hidden_width: int = 64,
        n_layers: int = 2,
        min_curvature: float = 0.05,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_features": n_features,
            "n_knots": n_knots,
            "hidden_width": hidden_width,
            "n_layers": n_layers,
            "min_curvature": min_curvature,
        }
        width = hidden_width
        self.raw_quadratic = nn.Parameter(torch.zeros(n_knots, 1))
        self.linear = nn.Parameter(torch.zeros(n_knots, n_features))
        self.raw_output = nn.Parameter(torch.zeros(n_knots, width))
        self.raw_skip = nn.ParameterList(
            torch.zeros(n_features, width) for _ in range(n_layers)
        )
        self.offset = nn.ParameterList(
            torch.zeros(n_knots, width) for _ in range(n_layers)
        )
        self.raw_inner = nn.ParameterList(
            torch.zeros(width, width) for _ in range(n_layers - 1)
        )
        # Set once by `initialise`: the nominal size of the last weights, and axes in
        # which the sample is round, so that a step of the optimiser resolves narrow
        # directions as well as wide ones.
        self.register_buffer("output_scale", torch.ones(()))
        self.register_buffer("axes", torch.eye(n_features))

    def coefficients(self) -> Coefficients:
        """Weights as they enter the formula.

        Returns
        -------
        Coefficients
            The weights.
        """
        return Coefficients(
            quadratic=self.config["min_curvature"] + softplus(self.raw_quadratic),
            linear=self.linear,
            output=softplus(self.raw_output) * (self.output_scale / _SOFTPLUS_AT_ZERO),
            skip=[self.axes @ raw for raw in self.raw_skip],
            inner=[softplus(raw) for raw in self.raw_inner],
        )

    def _activations(self, x: Tensor, h: Tensor, weights: Coefficients) -> list[Tensor]:
        # Pre-activations a_l of every layer.
        out = [torch.addmm(h @ self.offset[0], x, weights.skip[0])]
        for layer, inner in enumerate(weights.inner, start=1):
            below = torch.addmm(h @ self.offset[layer], x, weights.skip[layer])
            out.append(torch.addmm(below, softplus(out[-1]), inner))
        return out

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Evaluate the potential.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Points.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.

        Returns
        -------
        tensor of shape (n,)
            The potential.
        """
        weights = self.coefficients()
        top = softplus(self._activations(x, h, weights)[-1])
        smooth = 0.5 * (h @ weights.quadratic) * x + h @ weights.linear
        return (smooth * x).sum(1) + ((h @ weights.output) * top).sum(1)

    def gradient(
        self, x: Tensor, h: Tensor, weights: Coefficients | None = None
    ) -> Tensor:
        """Evaluate the gradient with respect to x.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Points.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.
        weights : Coefficients or None
            What `coefficients` returned, to spare repeated calls the work.

        Returns
        -------
        tensor of shape (n, n_features)
            The gradient.
        """
        weights = self.coefficients() if weights is None else weights
        activations = self._activations(x, h, weights)
        out = (h @ weights.quadratic) * x + h @ weights.linear
        signal = h @ weights.output
        for layer in reversed(range(len(activations))):
            signal = signal * torch.sigmoid(activations[layer])
            out = torch.addmm(out, signal, weights.skip[layer].T)
            if layer:
                signal = signal @ weights.inner[layer - 1].T
        return out

    def hessian(self, x: Tensor, h: Tensor) -> Tensor:
        """Evaluate the matrix of second derivatives with respect to x.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Points.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.

        Returns
        -------
        tensor of shape (n, n_features, n_features)
            Symmetric, with eigenvalues of at least ``min_curvature``.
        """
        weights = self.coefficients()
        slopes = [torch.sigmoid(a) for a in self._activations(x, h, weights)]
        # da_l/dx of every layer, going up.
        jacobians = [weights.skip[0].T.expand(len(x), -1, -1)]
        for layer, inner in enumerate(weights.inner, start=1):
            below = slopes[layer - 1][:, :, None] * jacobians[-1]
            jacobians.append(inner.T @ below + weights.skip[layer].T)
        identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        out = (h @ weights.quadratic)[:, :, None] * identity
        # d psi/dz_l, going down.
        signal = h @ weights.output
        for layer in reversed(range(len(slopes))):
            slope, jacobian = slopes[layer], jacobians[layer]
            curvature = signal * slope * (1.0 - slope)
            out = out + jacobian.mT @ (curvature[:, :, None] * jacobian)
            if layer:
                signal = (signal * slope) @ weights.inner[layer - 1].T
        return out

    @torch.no_grad()
    def initialise(
        self,
        x: Tensor,
        h: Tensor,
        *,
        gain: float = 2.0,
        offset_scale: float = 2.0,
        quadratic: float = 0.4,
    ) -> None:
        """Draw random weights for which the gradient is close to the identity.

        Every layer's pre-activations get a spread of `gain` over a reference sample;
        the output scale and the linear term then give the gradient a mean slope of
        one and the sample's own mean.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Reference sample.
        h : tensor of shape (n, n_knots)
            Basis functions of the condition.
        gain : float
            Spread of the pre-activations over the sample.
        offset_scale : float
            Spread of the random offsets.
        quadratic : float
            Initial curvature of the quadratic term.
        """
        self.axes.copy_(_round_axes(x))
        excess = max(quadratic - self.config["min_curvature"], 1e-3)
        self.raw_quadratic.copy_(_inverse_softplus(torch.full((1,), excess)))
        z = x.new_zeros(len(x), 0)
        for layer, raw_skip in enumerate(self.raw_skip):
            raw_skip.normal_()
            a = x @ (self.axes @ raw_skip)
            if layer:
                raw_inner = self.raw_inner[layer - 1]
                inner = softplus(raw_inner.normal_(std=0.5))
                # Both inputs of a layer start with the same spread.
                inner *= a.std() / (z @ inner).std()
                a = a + z @ inner
                raw_inner.copy_(_inverse_softplus(inner * (gain / a.std(0))))
            scale = gain / a.std(0)
            raw_skip.mul_(scale)
            a = a * scale
            offset = offset_scale * torch.randn(a.shape[1], device=x.device) - a.mean(0)
            self.offset[layer].copy_(offset.expand_as(self.offset[layer]))
            z = softplus(a + offset)
        curvature = self.hessian(x, h).diagonal(dim1=1, dim2=2).mean()
        self.output_scale.mul_((1.0 - quadratic) / (curvature - quadratic))
        self.linear.sub_((self.gradient(x, h) - x).mean(0))

    @torch.no_grad()
    def shrink(self, strength: float) -> None:
        """Take the mean of the potential and of |x|^2 / 2, in place.

        Parameters
        ----------
        strength : float
            Weight of the potential in the mean, between 0 and 1.
        """
        floor = self.config["min_curvature"]
        excess = strength * softplus(self.raw_quadratic)
        excess += (1.0 - strength) * (1.0 - floor)
        self.raw_quadratic.copy_(_inverse_softplus(excess))
        self.linear.mul_(strength)
        self.output_scale.mul_(strength)


# Inverse root of the sample's covariance, which makes it round.
def _round_axes(x: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(torch.cov(x.T).reshape(x.shape[1], -1))
    # Beyond a ratio of ten the narrow directions would dominate every unit.
    floor = 1e-2 * values.max()
    return (vectors / values.clamp_min(floor).sqrt()) @ vectors.T


def _inverse_softplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))
