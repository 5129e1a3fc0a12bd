"""A function of single constituents."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ._mlp import MLP


class ConstituentMLP(MLP):
    """An `MLP` of the coordinates of constituents and of the category they are in.

    Parameters
    ----------
    n_coordinates : int
        Columns of the points.
    hidden : tuple of int
        Units of the hidden layers.
    n_out : int
        Columns of the output.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        The activation.
    n_categories : int
        Number of categories, which become one-hot columns behind the coordinates.
        Category 0 means unknown and has none.
    dropout : float
        Part of the units of every hidden layer that is dropped in training.

    Raises
    ------
    ValueError
        If the activation is not known.
    """

    def __init__(
        self,
        n_coordinates: int,
        hidden: tuple[int, ...],
        n_out: int,
        activation: str = "relu",
        n_categories: int = 0,
        dropout: float = 0.0,
    ) -> None:
        n_in = n_coordinates + n_categories
        super().__init__(n_in, hidden, n_out, activation, dropout)
        self.config = {
            "n_coordinates": n_coordinates,
            "hidden": tuple(hidden),
            "n_out": n_out,
            "activation": activation,
            "n_categories": n_categories,
            "dropout": dropout,
        }
        if n_categories:
            # At most one of the one-hot columns is not zero: together they count as
            # one input, where the initialisation took them for many.
            with torch.no_grad():
                next(self.parameters()).mul_(math.sqrt(n_in / (n_coordinates + 1)))

    def inputs(self, points: Tensor, categories: Tensor | None = None) -> Tensor:
        """Join the coordinates and the one-hot columns.

        Parameters
        ----------
        points : tensor of shape (n, n_coordinates)
            The coordinates.
        categories : int64 tensor of shape (n,) or None
            Categories from 1 to `n_categories`, or 0 for unknown.

        Returns
        -------
        tensor of shape (n, n_coordinates + n_categories)
            The input of the network.

        Raises
        ------
        ValueError
            If categories are missing or not expected.
        """
        require("categories", categories, self.config["n_categories"] > 0)
        if categories is None:
            return points
        columns = one_hot(categories, self.config["n_categories"] + 1)[:, 1:]
        return torch.cat([points, columns.to(points.dtype)], dim=1)


def check_weighting(weighting: str, n_categories: int) -> None:
    """Check how sums over constituents are weighted.

    Parameters
    ----------
    weighting : {"energy", "count"}
        Whether they are weighted by energy.
    n_categories : int
        Number of categories of constituents.

    Raises
    ------
    ValueError
        If the weighting is not known, or if there are categories in energy-weighted
        sums.
    """
    if weighting not in ("energy", "count"):
        raise ValueError(f"weighting must be 'energy' or 'count', got {weighting!r}.")
    if n_categories and weighting == "energy":
        raise ValueError(
            "Categories are not infrared and collinear safe: use weighting='count', or "
            "n_categories=0."
        )


def require(name: str, given: Tensor | None, expected: bool) -> None:
    """Refuse a tensor that is missing, or that would be ignored.

    Parameters
    ----------
    name : str
        Name of the tensor.
    given : tensor or None
        What was given.
    expected : bool
        Whether the network uses it.

    Raises
    ------
    ValueError
        If the two do not fit together.
    """
    if expected and given is None:
        raise ValueError(f"{name} are needed by this network, got None.")
    if given is not None and not expected:
        raise ValueError(f"{name} are not used by this network: pass None.")
