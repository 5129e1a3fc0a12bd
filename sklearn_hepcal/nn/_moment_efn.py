"""Energy flow networks with moment pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._constituent_mlp import ConstituentMLP, check_weighting, require
from ._mlp import MLP
from ._moments import moment_pool, n_moments
from ._segment import segment_sum


class MomentEFN(nn.Module):
    r"""A function of the moments of a learned function of the constituents.

    .. math:: F(\langle \Phi^{a_1} \cdots \Phi^{a_m} \rangle), \quad 1 \le m \le k

    The moments are those of `moment_pool`, over the constituents of a jet with their
    energies as weights: the moment energy flow networks of Gambhir, Osathapan and
    Thaler, arXiv:2403.08854. Without energies every constituent has the same weight,
    and their number is one more input of F: a moment particle flow network.

    F sees the moments with the mean and spread that `standardise` gave them.

    Parameters
    ----------
    n_coordinates : int
        Columns of the points.
    n_outputs : int
        Columns of the output.
    order : int
        The highest order k of the moments.
    latent_dim : int
        Number of components of Phi.
    central : bool
        Whether moments from the second order on are taken about the means.
    phi_hidden, f_hidden : tuple of int
        Units of the hidden layers of Phi and F.
    weighting : {"energy", "count"}
        Whether the moments are weighted by energy.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers.
    n_categories : int
        Number of categories of constituents that Phi knows; only for "count".

    Attributes
    ----------
    phi : ConstituentMLP
        The function Phi.
    f : MLP
        The function F.

    Raises
    ------
    ValueError
        If the weighting or the activation is not known, or if there are categories
        in energy-weighted moments.
    """

    def __init__(
        self,
        n_coordinates: int,
        n_outputs: int,
        order: int,
        latent_dim: int,
        central: bool,
        phi_hidden: tuple[int, ...],
        f_hidden: tuple[int, ...],
        weighting: str = "energy",
        activation: str = "leaky_relu",
        n_categories: int = 0,
    ) -> None:
        super().__init__()
        check_weighting(weighting, n_categories)
        self.config: dict[str, Any] = {
            "n_coordinates": n_coordinates,
            "n_outputs": n_outputs,
            "order": order,
            "latent_dim": latent_dim,
            "central": central,
            "phi_hidden": tuple(phi_hidden),
            "f_hidden": tuple(f_hidden),
            "weighting": weighting,
            "activation": activation,
            "n_categories": n_categories,
        }
        n_inputs = n_moments(order, latent_dim) + (weighting == "count")
        self.phi = ConstituentMLP(
            n_coordinates, phi_hidden, latent_dim, activation, n_categories
        )
        self.f = MLP(n_inputs, f_hidden, n_outputs, activation)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("scale", torch.ones(n_inputs))

    def latent(self, points: Tensor, categories: Tensor | None = None) -> Tensor:
        """Evaluate Phi.

        Parameters
        ----------
        points : tensor of shape (n, n_coordinates)
            Directions for energy-weighted moments, else also momenta.
        categories : int64 tensor of shape (n,) or None
            Categories from 1 to `n_categories`, or 0 for unknown.

        Returns
        -------
        tensor of shape (n, latent_dim)
            The values.
        """
        return self.phi(self.phi.inputs(points, categories))

    def moments(
        self,
        points: Tensor,
        counts: Tensor,
        energies: Tensor | None = None,
        categories: Tensor | None = None,
    ) -> Tensor:
        """Pool the constituents of each jet.

        Parameters
        ----------
        points : tensor of shape (n_constituents, n_coordinates)
            The constituents of all jets, jet after jet.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.
        energies : tensor of shape (n_constituents,) or None
            Weights that add up to one in every jet, for the weighting "energy" only.
        categories : int64 tensor of shape (n_constituents,) or None
            Categories of the constituents.

        Returns
        -------
        tensor of shape (n_jets, n_inputs)
            The moments in the order of `moment_pool`; for the weighting "count", the
            number of constituents before them.

        Raises
        ------
        ValueError
            If energies or categories are missing or not expected.
        """
        by_energy = self.config["weighting"] == "energy"
        require("energies", energies, by_energy)
        if energies is None:
            share = 1.0 / counts.clamp(min=1).to(points.dtype)
            energies = torch.repeat_interleave(share, counts, output_size=len(points))
        moments = self._pool(points, counts, energies, categories)
        if by_energy:
            return moments
        return torch.cat([counts[:, None].to(moments.dtype), moments], dim=1)

    def _pool(
        self,
        points: Tensor,
        counts: Tensor,
        energies: Tensor,
        categories: Tensor | None,
    ) -> Tensor:
        order, central = self.config["order"], self.config["central"]
        if order > 1:
            latent = self.latent(points, categories)
            return moment_pool(latent, counts, energies, order, central)
        # The last layer of Phi is linear: in means it acts once a jet.
        hidden = self.phi.hidden(self.phi.inputs(points, categories))
        total = segment_sum(energies[:, None], counts)
        pooled = segment_sum(hidden, counts, energies)
        return torch.addmm(total * self.phi.last.bias, pooled, self.phi.last.weight.T)

    @torch.no_grad()
    def standardise(self, **jets: Tensor) -> None:
        """Give F the mean and spread of its inputs.

        Parameters
        ----------
        **jets : tensors
            A sample of jets, as the arguments of `moments`.
        """
        moments = self.moments(**jets)
        spread, mean = torch.std_mean(moments, dim=0, correction=0)
        self.mean.copy_(mean)
        # What is the same for all jets, but for rounding, need not be told apart.
        least = 10 * torch.finfo(mean.dtype).eps * mean.abs()
        self.scale.copy_(torch.where(spread > least, spread, 1.0))

    def forward(
        self,
        points: Tensor,
        counts: Tensor,
        energies: Tensor | None = None,
        categories: Tensor | None = None,
    ) -> Tensor:
        """Evaluate the network.

        Parameters
        ----------
        points : tensor of shape (n_constituents, n_coordinates)
            The constituents of all jets, jet after jet.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.
        energies : tensor of shape (n_constituents,) or None
            Weights that add up to one in every jet, for the weighting "energy" only.
        categories : int64 tensor of shape (n_constituents,) or None
            Categories of the constituents.

        Returns
        -------
        tensor of shape (n_jets, n_outputs)
            The output of F.
        """
        moments = self.moments(points, counts, energies, categories)
        return self.f((moments - self.mean) / self.scale)
