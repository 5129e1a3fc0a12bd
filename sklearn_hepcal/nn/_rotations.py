"""Symmetries that a training may make use of."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rotate_jets(points: Tensor, counts: Tensor) -> Tensor:
    """Turn every jet around its axis by a random angle, and mirror half of them.

    Parameters
    ----------
    points : tensor of shape (n_constituents, n_coordinates)
        Constituents of all jets, jet after jet; the first two columns are directions
        in the same unit, with the axis at the origin.
    counts : int64 tensor of shape (n_jets,)
        Number of constituents of each jet.

    Returns
    -------
    tensor of shape (n_constituents, n_coordinates)
        The turned constituents.
    """
    angle = 2 * math.pi * torch.rand(len(counts), device=points.device)
    mirror = 1.0 - 2.0 * torch.randint(2, (len(counts),), device=points.device)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rotations = torch.stack([cos, sin, -mirror * sin, mirror * cos], dim=1)
    jet = torch.repeat_interleave(counts, output_size=len(points))
    xx, xy, yx, yy = rotations.to(points.dtype).index_select(0, jet).unbind(1)
    x, y = points[:, 0], points[:, 1]
    turned = torch.stack([xx * x + yx * y, xy * x + yy * y], dim=1)
    return torch.cat([turned, points[:, 2:]], dim=1)
