"""Moments of a function of the constituents of each jet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ._segment import segment_sum

# Products in memory at a time. Fewer are slower by the calls, more by the cache.
_MAX_PRODUCTS = 2**22


def n_moments(order: int, latent_dim: int) -> int:
    """Count the moments up to an order.

    Parameters
    ----------
    order : int
        The highest order.
    latent_dim : int
        Number of components of the function.

    Returns
    -------
    int
        The number of multisets of 1 to `order` components; the moment of order zero,
        a constant, does not count.

    Raises
    ------
    ValueError
        If the order or the number of components is not positive.
    """
    for name, given in (("order", order), ("latent_dim", latent_dim)):
        if given < 1:
            raise ValueError(f"{name} must be at least 1, got {given}.")
    return math.comb(latent_dim + order, order) - 1


def moment_pool(
    values: Tensor, counts: Tensor, weights: Tensor, order: int, central: bool
) -> Tensor:
    r"""Weighted moments of each jet, of all products of up to `order` components.

    .. math::

        \langle \Phi^{a_1} \cdots \Phi^{a_m} \rangle
        = \sum_i z_i \Phi^{a_1}(p_i) \cdots \Phi^{a_m}(p_i)

    for all :math:`a_1 \le \dots \le a_m` and :math:`1 \le m \le` `order`: the moment
    pooling of Gambhir, Osathapan and Thaler, arXiv:2403.08854. The columns are sorted
    by m, then by :math:`(a_1, \dots, a_m)` as words in a dictionary. The moments do
    not depend on the order of the constituents, are deterministic, and twice
    differentiable.

    Parameters
    ----------
    values : tensor of shape (n_constituents, latent_dim)
        The function at the constituents of all jets, jet after jet.
    counts : int64 tensor of shape (n_jets,)
        Number of constituents of each jet.
    weights : tensor of shape (n_constituents,)
        The weights z, which are used as they are. For means and central moments, those
        of a jet add up to one.
    order : int
        The highest order; with 1, the moments are the weighted sums.
    central : bool
        Take the moments from m = 2 on about the means, that is of
        :math:`\Phi^a - \langle \Phi^a \rangle` in place of :math:`\Phi^a`.

    Returns
    -------
    tensor of shape (n_jets, n_moments(order, latent_dim))
        The moments; zeros for a jet without constituents, or with all weights zero.

    Raises
    ------
    ValueError
        If the order is not positive, or the counts do not add up to the number of
        constituents.
    """
    n_columns = n_moments(order, values.shape[1])
    means = segment_sum(values, counts, weights)
    if order == 1:
        return means
    centres = means if central else None
    if len(values) * n_columns <= _MAX_PRODUCTS:
        higher = _higher_moments(values, centres, counts, weights, order)
        return torch.cat([means, higher], dim=1)
    # The gradient computes the products of a chunk of jets again: all of them would
    # not fit into memory.
    n_rows = max(1, _MAX_PRODUCTS // n_columns)
    parts = [
        checkpoint(
            _higher_moments,
            *chunk,
            order,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for chunk in _chunks(values, centres, counts, weights, n_rows)
    ]
    return torch.cat([means, torch.cat(parts)], dim=1)


# Jets with about `n_rows` constituents together, as arguments of `_higher_moments`.
def _chunks(
    values: Tensor, centres: Tensor | None, counts: Tensor, weights: Tensor, n_rows: int
) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor]]:
    chunk = counts.cumsum(0) // n_rows
    n_jets = chunk.unique_consecutive(return_counts=True)[1].tolist()
    jets = counts.split(n_jets)
    rows = [int(part.sum()) for part in jets]
    middles = [None] * len(jets) if centres is None else centres.split(n_jets)
    return zip(values.split(rows), middles, jets, weights.split(rows), strict=True)


# Moments from the second order on.
def _higher_moments(
    values: Tensor, centres: Tensor | None, counts: Tensor, weights: Tensor, order: int
) -> Tensor:
    if centres is not None:
        # Products of raw values and a subtraction at the end would lose digits.
        jet = torch.repeat_interleave(counts, output_size=len(values))
        values = values - centres.index_select(0, jet)
    return segment_sum(_Products.apply(values, order), counts, weights)


class _Products(torch.autograd.Function):
    # Products of 2 to `order` columns, each a column times a product of one less.
    # Autograd would put a table of zeros around the gradient of every slice.

    @staticmethod
    def forward(ctx: Any, values: Tensor, order: int) -> Tensor:
        sizes = _n_products(values.shape[1], order)
        table = values.new_empty(len(values), sum(sizes))
        powers = [values, *table.split(sizes, dim=1)]
        for degree in range(2, order + 1):
            lower, upper = powers[degree - 2], powers[degree - 1]
            for a, factors, products in _steps(values.shape[1], degree):
                torch.mul(values[:, a, None], lower[:, factors], out=upper[:, products])
        ctx.order = order
        ctx.save_for_backward(values, table)
        return table

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        values, table = ctx.saved_tensors
        sizes = _n_products(values.shape[1], ctx.order)
        powers = [values, *table.split(sizes, dim=1)]
        grads = [torch.zeros_like(values), *grad.split(sizes, dim=1)]
        grad_columns = torch.zeros_like(values)
        grad_upper = grads.pop()
        for degree in range(ctx.order, 1, -1):
            lower, grad_lower = powers[degree - 2], grads.pop().clone()
            for a, factors, products in _steps(values.shape[1], degree):
                part = grad_upper[:, products]
                grad_columns[:, a] += (part * lower[:, factors]).sum(1)
                grad_lower[:, factors].addcmul_(values[:, a, None], part)
            grad_upper = grad_lower
        return grad_columns + grad_upper, None


# How many products there are of each degree from 2 to `order`.
def _n_products(latent_dim: int, order: int) -> list[int]:
    return [math.comb(latent_dim + m - 1, m) for m in range(2, order + 1)]


# The products that begin with component a: the component times those of one degree
# less that begin with a or a later one, which are the last in dictionary order.
def _steps(latent_dim: int, degree: int) -> Iterator[tuple[int, slice, slice]]:
    n_lower = math.comb(latent_dim + degree - 2, degree - 1)
    start = 0
    for a in range(latent_dim):
        n = math.comb(latent_dim - a + degree - 2, degree - 1)
        yield a, slice(n_lower - n, n_lower), slice(start, start + n)
        start += n
