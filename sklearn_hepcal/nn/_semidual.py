"""The semi-dual of optimal transport as a training objective."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._batch_balance import BatchBalance
from ._potential import ConvexPotential


@torch.no_grad()
def solve_conjugate(
    potential: ConvexPotential,
    y: Tensor,
    h: Tensor,
    start: Tensor,
    *,
    max_iter: int,
    tol: float,
) -> Tensor:
    """Find x with grad psi(x, h) = y by Barzilai-Borwein steps, row by row.

    Parameters
    ----------
    potential : ConvexPotential
        The potential psi.
    y : tensor of shape (n, n_features)
        Values of the gradient.
    h : tensor of shape (n, n_knots)
        Basis functions of the condition.
    start : tensor of shape (n, n_features)
        First guess.
    max_iter : int
        Largest number of steps.
    tol : float
        Root mean square of the residuals at which to stop, once none is larger than
        ten times that.

    Returns
    -------
    tensor of shape (n, n_features)
        The points x, which also maximise ``x @ y - psi(x, h)``.
    """
    weights = potential.coefficients()
    x = start
    residual = potential.gradient(x, h, weights) - y
    step = torch.ones_like(x[:, :1])
    longest = 1.0 / weights.quadratic.min().item()
    for _ in range(max_iter):
        square = residual.square()
        # A row far from its solution would make the loss unbounded from below.
        if square.mean() < tol**2 and square.max() < (10.0 * tol) ** 2:
            break
        # Rows that have arrived stay: their steps would be ratios of rounding errors.
        arrived = square.mean(1, keepdim=True) < (0.1 * tol) ** 2
        move = torch.where(arrived, 0.0, -step * residual)
        x = x + move
        previous = residual
        residual = potential.gradient(x, h, weights) - y
        change = residual - previous
        # The shorter of the two classical steps, at most what the curvature allows.
        step = (move * change).sum(1, keepdim=True) / (
            change.square().sum(1, keepdim=True).clamp_min(1e-30)
        )
        step = step.clamp(0.0, longest)
    return x


@torch.no_grad()
def polish_conjugate(
    potential: ConvexPotential,
    y: Tensor,
    h: Tensor,
    x: Tensor,
    *,
    tol: float,
    max_iter: int = 100,
) -> Tensor:
    """Improve solutions of grad psi(x, h) = y until every row has converged.

    Newton's method with backtracking on the residual, which converges from anywhere
    since the potential is smooth and strongly convex.

    Parameters
    ----------
    potential : ConvexPotential
        The potential psi.
    y : tensor of shape (n, n_features)
        Values of the gradient.
    h : tensor of shape (n, n_knots)
        Basis functions of the condition.
    x : tensor of shape (n, n_features)
        First guess.
    tol : float
        Largest component of the residual, relative to 1 + the largest of y.
    max_iter : int
        Largest number of steps.

    Returns
    -------
    tensor of shape (n, n_features)
        The solutions.
    """
    weights = potential.coefficients()
    x = x.clone()
    rows = torch.arange(len(x), device=x.device)
    scale = tol * (1.0 + y.abs().amax(1))
    for _ in range(max_iter):
        residual = potential.gradient(x[rows], h[rows], weights) - y[rows]
        unfinished = residual.abs().amax(1) > scale[rows]
        rows, residual = rows[unfinished], residual[unfinished]
        if len(rows) == 0:
            break
        newton = torch.linalg.solve(potential.hessian(x[rows], h[rows]), residual)
        norm = residual.square().sum(1)
        factor = torch.ones_like(norm)
        for _ in range(30):
            trial = x[rows] - factor[:, None] * newton
            error = potential.gradient(trial, h[rows], weights) - y[rows]
            too_far = error.square().sum(1) > (1.0 - 0.5 * factor) * norm
            if not too_far.any():
                break
            factor = torch.where(too_far, factor / 2, factor)
        x[rows] = trial
    return x


class SemiDual(nn.Module):
    r"""Semi-dual loss of a convex potential.

    .. math::

        J(\psi) = E_{sim}[\psi(x)] + E_{data}[\psi^*(y)], \qquad
        \psi^*(y) = \sup_x [x \cdot y - \psi(x)].

    The maximisers of the conjugates are kept for every data row and improved by a
    few steps whenever the row is drawn. Held fixed, they make the gradient of J an
    ordinary first-order one (envelope theorem), and no second network has to play
    against the first.

    Parameters
    ----------
    potential : ConvexPotential
        The potential to train.
    y : tensor of shape (n_rows, n_features) or None
        Data rows: the first guess of their maximisers. With None, nothing is kept, and
        every draw begins at the row itself.
    max_iter : int
        Largest number of conjugate steps per draw.
    tol : float
        Root mean square residual at which the steps stop, in units of the data's
        spread.
    balance : pair of BatchBalance or None
        What adjusts the weights of simulation and data in the batches of a training.
    """

    points: Tensor | None

    def __init__(
        self,
        potential: ConvexPotential,
        y: Tensor | None,
        *,
        max_iter: int = 50,
        tol: float = 0.02,
        balance: tuple[BatchBalance, BatchBalance] | None = None,
    ) -> None:
        super().__init__()
        self.potential = potential
        self.max_iter = max_iter
        self.tol = tol
        self.balance = None if balance is None else nn.ModuleList(balance)
        points = None if y is None else y.clone()
        self.register_buffer("points", points, persistent=False)

    def forward(
        self,
        x: Tensor,
        hx: Tensor,
        wx: Tensor,
        y: Tensor,
        hy: Tensor,
        wy: Tensor,
        row: Tensor,
    ) -> Tensor:
        """Estimate the loss from a batch.

        Parameters
        ----------
        x, y : tensors of shape (n, n_features)
            Rows of simulation and of data.
        hx, hy : tensors of shape (n, n_knots)
            Basis functions of their conditions.
        wx, wy : tensors of shape (n,)
            Their weights, of mean one over each sample.
        row : tensor of shape (n,)
            Places of the data rows in the cache.

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        if self.balance is not None and self.training:
            wx, wy = self.balance[0](x, hx, wx), self.balance[1](y, hy, wy)
        point = solve_conjugate(
            self.potential,
            y,
            hy,
            y if self.points is None else self.points[row],
            max_iter=self.max_iter,
            tol=self.tol,
        )
        if self.points is not None:
            self.points[row] = point
        points, h = torch.cat([x, point]), torch.cat([hx, hy])
        # Measured from x = 0: a term of the condition alone would lower the loss
        # without bound, since two samples never have quite the same conditions.
        rows = slice(1 if h.shape[1] == 1 else None)  # without conditions it is one
        zero = self.potential(torch.zeros_like(points[rows]), h[rows])
        psi = self.potential(points, h) - zero
        weight = torch.cat([wx, -wy])
        return ((weight * psi).sum() + (wy * (point * y).sum(1)).sum()) / len(x)
