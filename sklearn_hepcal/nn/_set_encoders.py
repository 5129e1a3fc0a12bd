"""Encoders of jets that read one constituent at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ._elements import Elements
from ._mlp import MLP
from ._segment import segment_sum

# Every encoder takes constituents (n_constituents, n_columns), features (n_jets,
# n_features) and counts (n_jets,). It returns an embedding of each constituent, of
# `embed_dim` columns, and the latent vector of each jet. The jet itself is one more
# element of what is pooled, so that jets without constituents have a latent vector too.


class DenseEncoder(nn.Module):
    """A function of the features of jets alone: constituents are not read.

    Parameters
    ----------
    n_features : int
        Columns of the features.
    hidden : tuple of int
        Units of the hidden layers.
    latent_dim : int
        Columns of the latent vectors.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers.
    dropout : float
        Part of the hidden units that is dropped in training.
    """

    embed_dim = 0

    def __init__(
        self,
        n_features: int,
        hidden: tuple[int, ...],
        latent_dim: int,
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.layers = MLP(n_features, hidden, latent_dim, activation, dropout)

    def forward(
        self, constituents: Tensor, features: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encode jets.

        Parameters
        ----------
        constituents : tensor of shape (n_constituents, n_columns)
            Not read.
        features : tensor of shape (n_jets, n_features)
            Features of the jets.
        counts : int64 tensor of shape (n_jets,)
            Not read.

        Returns
        -------
        embedding : tensor of shape (n_constituents, 0)
            Nothing.
        latent : tensor of shape (n_jets, latent_dim)
            The latent vectors.
        """
        return constituents[:, :0], self.layers(features)


class SumEncoder(nn.Module):
    """Deep sets: the sum of a function of the constituents and one of the jet.

    These are the networks of Komiske, Metodiev and Thaler, arXiv:1810.05165, and of
    ATLAS's DIPS, ATL-PHYS-PUB-2020-014. The values that are summed are linear in the
    last hidden layer, so that none of the latent columns has atoms at zero.

    Parameters
    ----------
    n_columns, n_features : int
        Columns of the constituents and of the features of the jets.
    hidden : tuple of int
        Units of the hidden layers.
    latent_dim : int
        Columns of the latent vectors.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers.
    dropout : float
        Part of the hidden units that is dropped in training.
    """

    def __init__(
        self,
        n_columns: int,
        n_features: int,
        hidden: tuple[int, ...],
        latent_dim: int,
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed_dim = hidden[-1]
        self.phi = MLP(n_columns, hidden, latent_dim, activation, dropout)
        self.psi = MLP(n_features, hidden[:1], latent_dim, activation)

    def forward(
        self, constituents: Tensor, features: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encode jets.

        Parameters
        ----------
        constituents : tensor of shape (n_constituents, n_columns)
            Constituents, jet after jet.
        features : tensor of shape (n_jets, n_features)
            Features of the jets.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.

        Returns
        -------
        embedding : tensor of shape (n_constituents, embed_dim)
            The last hidden layer.
        latent : tensor of shape (n_jets, latent_dim)
            The sums.
        """
        embedding = self.phi.hidden(constituents)
        # What is linear acts once a jet instead of once a constituent.
        last = self.phi.last
        constant = counts[:, None].to(last.bias.dtype) * last.bias
        pooled = torch.addmm(constant, segment_sum(embedding, counts), last.weight.T)
        return embedding, self.psi(features) + pooled


class RecurrentEncoder(nn.Module):
    """A long short-term memory that reads the constituents in their order.

    Like ATLAS's RNNIP, ATL-PHYS-PUB-2017-003. The features of the jet are its state
    before the first constituent.

    Parameters
    ----------
    n_columns, n_features : int
        Columns of the constituents and of the features of the jets.
    embed_dim : int
        Units of the memory.
    latent_dim : int
        Columns of the latent vectors.
    """

    def __init__(
        self, n_columns: int, n_features: int, embed_dim: int, latent_dim: int
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.start = nn.Linear(n_features, embed_dim)
        self.memory = nn.LSTM(n_columns, embed_dim, batch_first=True)
        self.last = nn.Linear(embed_dim, latent_dim)

    def forward(
        self, constituents: Tensor, features: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encode jets.

        Parameters
        ----------
        constituents : tensor of shape (n_constituents, n_columns)
            Constituents, jet after jet, in the order in which they are read.
        features : tensor of shape (n_jets, n_features)
            Features of the jets.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.

        Returns
        -------
        embedding : tensor of shape (n_constituents, embed_dim)
            The states after each constituent.
        latent : tensor of shape (n_jets, latent_dim)
            A linear function of the last states.
        """
        state = torch.tanh(self.start(features))
        filled = counts > 0
        if not filled.any():
            return state[:0], self.last(state)
        elements = Elements.of(counts[filled])
        sequences = pack_padded_sequence(
            elements.pad(constituents),
            counts[filled].cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        start = state[filled][None]
        read, (end, _) = self.memory(sequences, (start, torch.zeros_like(start)))
        states, _ = pad_packed_sequence(read, batch_first=True)
        state = state.index_put((filled,), end[0])
        return elements.unpad(states), self.last(state)
