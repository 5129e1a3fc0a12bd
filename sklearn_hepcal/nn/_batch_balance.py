"""Batches that agree with the sample that they are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

# Rows far out, in standard deviations, count as lying at this distance.
_FARTHEST = 6.0
# Combinations of features with a smaller part of the largest variance are left out.
_SMALLEST = 1e-4


class BatchBalance(nn.Module):
    r"""Weights that take chance differences of a batch from its sample out of means.

    Means over a batch fluctuate, and with them the gradient of a loss. A part of the
    fluctuation is known: that of the sum of weights, and of the means of x and of the
    basis functions h of the condition. With features f, combinations of these of zero
    mean and unit covariance over the sample, the weights

    .. math::

        w_i' = w_i (1 - d_{-i} - f_i \cdot \bar f_{-i}), \qquad
        d_{-i} = \frac1n \sum_{j \ne i} (w_j - 1), \quad
        \bar f_{-i} = \frac1n \sum_{j \ne i} w_j f_j

    have the same expectation for every function, but a mean over the batch loses the
    part of its variance that is linear in the features (a control variate, or the
    regression estimator of survey sampling). Far tails of x count less.

    Parameters
    ----------
    blocks : callable
        Returns an iterable over the sample, in tensors x (n, n_features), h
        (n, n_knots) and w (n,), with weights of mean one.
    """

    mean: Tensor
    axes: Tensor
    centre: Tensor
    whitening: Tensor

    def __init__(
        self, blocks: Callable[[], Iterable[tuple[Tensor, Tensor, Tensor]]]
    ) -> None:
        super().__init__()
        mean, covariance = _moments((x, w) for x, _, w in blocks())
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("axes", _whitening(covariance), persistent=False)
        centre, covariance = _moments((self._raw(x, h), w) for x, h, w in blocks())
        self.register_buffer("centre", centre.float(), persistent=False)
        self.register_buffer("whitening", _whitening(covariance), persistent=False)

    def forward(self, x: Tensor, h: Tensor, w: Tensor) -> Tensor:
        """Adjust the weights of a batch.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Rows of the batch.
        h : tensor of shape (n, n_knots)
            Basis functions of their conditions.
        w : tensor of shape (n,)
            Their weights.

        Returns
        -------
        tensor of shape (n,)
            The adjusted weights.
        """
        features = (self._raw(x, h) - self.centre) @ self.whitening
        n, excess = len(w), w - 1.0
        # Sums over all rows, less the row's own share.
        features_of_others = features @ (w @ features) - w * features.square().sum(1)
        excess_of_others = excess.sum() - excess
        return w * (1.0 - (excess_of_others + features_of_others) / n)

    def _raw(self, x: Tensor, h: Tensor) -> Tensor:
        z = ((x - self.mean) @ self.axes).clamp(-_FARTHEST, _FARTHEST)
        return torch.cat([z, h], 1)


# Weighted mean and covariance in double precision.
def _moments(blocks: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    total, first, second = 0.0, torch.zeros(()), torch.zeros(())
    for rows, w in blocks:
        rows = rows.double()
        weighted = w.double()[:, None] * rows
        total += w.double().sum().item()
        first = first + weighted.sum(0)
        second = second + weighted.T @ rows
    mean = first / total
    return mean, second / total - torch.outer(mean, mean)


# Matrix to coordinates of unit variance, without directions that hardly vary.
def _whitening(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > _SMALLEST * values.max()
    return (vectors[:, kept] / values[kept].sqrt()).float()
