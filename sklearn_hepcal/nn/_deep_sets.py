"""Deep sets: sums of a function of the constituents over each jet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._constituent_mlp import ConstituentMLP, check_weighting, require
from ._segment import segment_sum


class DeepSets(nn.Module):
    r"""Latent features of jets: sums over constituents of a learned function.

    .. math::

        \sum_i z_i \Phi(p_i) \quad \text{or} \quad \sum_i \Phi(p_i)

    with an energy z of each constituent ("energy") or without ("count"). These are
    the first halves of the energy flow network and of the particle flow network of
    Komiske, Metodiev and Thaler, arXiv:1810.05165; what follows them is an `MLP`. The
    sums do not depend on the order of the constituents. The one with energies is also
    infrared and collinear safe, if the points are directions.

    Constituents are flat tables, jet after jet; nothing is padded. A jet without
    constituents has latent features of zero.

    Parameters
    ----------
    n_coordinates : int
        Columns of the points p.
    hidden : tuple of int
        Units of the hidden layers of Phi.
    n_latent : int
        Values of Phi, which are linear in the last hidden layer.
    weighting : {"energy", "count"}
        Whether the sums are weighted by energy.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers.
    n_categories : int
        Number of categories of constituents, which Phi knows as one-hot columns.
        Category 0 means unknown and has none. Only for the weighting "count".
    dropout : float
        Part of the units of every hidden layer that is dropped in training.

    Attributes
    ----------
    phi : ConstituentMLP
        The function Phi.

    Raises
    ------
    ValueError
        If the weighting or the activation is not known, or if there are categories
        in an energy-weighted sum.
    """

    def __init__(
        self,
        n_coordinates: int,
        hidden: tuple[int, ...],
        n_latent: int,
        weighting: str = "energy",
        activation: str = "relu",
        n_categories: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_weighting(weighting, n_categories)
        self.config: dict[str, Any] = {
            "n_coordinates": n_coordinates,
            "hidden": tuple(hidden),
            "n_latent": n_latent,
            "weighting": weighting,
            "activation": activation,
            "n_categories": n_categories,
            "dropout": dropout,
        }
        self.phi = ConstituentMLP(
            n_coordinates, hidden, n_latent, activation, n_categories, dropout
        )

    def forward(
        self,
        points: Tensor,
        counts: Tensor,
        energies: Tensor | None = None,
        categories: Tensor | None = None,
    ) -> Tensor:
        """Sum over the constituents of each jet.

        Parameters
        ----------
        points : tensor of shape (n_constituents, n_coordinates)
            Directions for energy-weighted sums, else also momenta.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.
        energies : tensor of shape (n_constituents,) or None
            The weights z, for the weighting "energy" only.
        categories : int64 tensor of shape (n_constituents,) or None
            Categories from 1 to `n_categories`, or 0 for unknown.

        Returns
        -------
        tensor of shape (n_jets, n_latent)
            The latent features.

        Raises
        ------
        ValueError
            If energies or categories are missing or not expected, or the counts do
            not add up to the number of constituents.
        """
        require("energies", energies, self.config["weighting"] == "energy")
        hidden = self.phi.hidden(self.phi.inputs(points, categories))
        pooled = segment_sum(hidden, counts, energies)
        if energies is None:
            total = counts[:, None].to(points.dtype)
        else:
            total = segment_sum(energies[:, None], counts)
        # The last layer of Phi is linear: it acts once a jet instead of once a
        # constituent, and its bias as often as the weights say.
        last = self.phi.last
        return torch.addmm(total * last.bias, pooled, last.weight.T)
