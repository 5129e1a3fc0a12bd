"""Sums over the rows of each jet in a flat table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


def segment_sum(
    values: Tensor, counts: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Sum the rows of each jet; deterministic, and twice differentiable.

    Parameters
    ----------
    values : tensor of shape (n_rows, n_columns)
        The rows of all jets, jet after jet.
    counts : int64 tensor of shape (n_jets,)
        How many rows each jet has.
    weights : tensor of shape (n_rows,) or None
        Factors of the rows.

    Returns
    -------
    tensor of shape (n_jets, n_columns)
        The sums; zeros for a jet without rows.

    Raises
    ------
    ValueError
        If the counts do not add up to the number of rows; not checked on a GPU, which
        would have to be waited for.
    """
    if counts.device.type == "cpu" and counts.sum() != len(values):
        raise ValueError(
            f"counts must add up to the {len(values)} rows of values, "
            f"got {int(counts.sum())}."
        )
    return _SegmentSum.apply(values, counts, weights)


class _SegmentSum(torch.autograd.Function):
    # `embedding_bag` multiplies and adds in one pass over the rows, without a table
    # of products. Its own gradient is slower and cannot be differentiated again.

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, counts: Tensor, weights: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(values, counts, weights)
        starts = counts.cumsum(0) - counts
        return _weighted_bags(values, _arange(values), starts, weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        values, counts, weights = ctx.saved_tensors
        jet = torch.repeat_interleave(counts, output_size=len(values))
        grad_values = grad_weights = None
        if ctx.needs_input_grad[0]:
            # bags of one row each: the jet's gradient times the row's weight
            grad_values = _weighted_bags(grad, jet, _arange(values), weights)
        if ctx.needs_input_grad[2]:
            grad_weights = (grad.index_select(0, jet) * values).sum(1)
        return grad_values, None, grad_weights


def _arange(values: Tensor) -> Tensor:
    return torch.arange(len(values), device=values.device)


def _weighted_bags(
    table: Tensor, rows: Tensor, starts: Tensor, weights: Tensor | None
) -> Tensor:
    return embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)
