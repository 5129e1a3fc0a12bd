"""Networks that tag jets, with the auxiliary tasks of their tracks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._attention_encoder import AttentionEncoder
from ._elements import Elements
from ._mlp import MLP
from ._set_encoders import DenseEncoder, RecurrentEncoder, SumEncoder

# Hidden units of the auxiliary heads, and columns in which two tracks are compared.
_AUX_WIDTH = 64
_COMPARED = 32


class Tagger(nn.Module):
    """An encoder of jets, a head that reads its latent vector, and auxiliary heads.

    Every constituent comes with the features of its jet. The auxiliary heads tell the
    origin of a constituent, and whether two constituents of a jet come from the same
    vertex, as in ATLAS's GN1, ATL-PHYS-PUB-2022-027.

    Parameters
    ----------
    backbone : {"deepsets", "rnn", "gnn", "transformer", "dense"}
        Kind of the encoder.
    n_columns, n_features : int
        Columns of the constituents and of the features of the jets, at least one each;
        "dense" reads no constituents.
    n_outputs : int
        Columns of the output.
    embed_dim : int
        Width of the encoder.
    n_layers : int
        Layers of the encoder; "rnn" has one.
    n_heads : int
        Heads of the layers of "gnn" and "transformer".
    latent_dim : int
        Columns of the latent vectors.
    head_hidden : tuple of int
        Units of the hidden layers of the head.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers.
    dropout : float
        Part of the hidden units that is dropped in training.
    n_origins : int
        Number of origins of constituents; 0 for no such head.
    vertex : bool
        Whether there is a head of vertices.

    Raises
    ------
    ValueError
        If the activation is not known or the columns cannot be shared by the heads.
    """

    def __init__(
        self,
        backbone: str,
        n_columns: int,
        n_features: int,
        n_outputs: int,
        embed_dim: int,
        n_layers: int,
        n_heads: int,
        latent_dim: int,
        head_hidden: tuple[int, ...],
        activation: str = "relu",
        dropout: float = 0.0,
        n_origins: int = 0,
        vertex: bool = False,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "backbone": backbone,
            "n_columns": n_columns,
            "n_features": n_features,
            "n_outputs": n_outputs,
            "embed_dim": embed_dim,
            "n_layers": n_layers,
            "n_heads": n_heads,
            "latent_dim": latent_dim,
            "head_hidden": tuple(head_hidden),
            "activation": activation,
            "dropout": dropout,
            "n_origins": n_origins,
            "vertex": vertex,
        }
        self.encoder = _encoder(**self.config)
        self.head = MLP(latent_dim, head_hidden, n_outputs, activation, dropout)
        width = self.encoder.embed_dim
        if n_origins:
            self.origin = MLP(width + latent_dim, (_AUX_WIDTH,), n_origins, activation)
        if vertex:
            self.vertex = PairHead(width, latent_dim)

    def encode(
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
            What the auxiliary heads know of the constituents.
        latent : tensor of shape (n_jets, latent_dim)
            What the head knows of the jets.
        """
        of_jets = features.repeat_interleave(counts, dim=0)
        return self.encoder(torch.cat([constituents, of_jets], 1), features, counts)

    def forward(self, constituents: Tensor, features: Tensor, counts: Tensor) -> Tensor:
        """Evaluate the head.

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
        tensor of shape (n_jets, n_outputs)
            The output.
        """
        return self.head(self.encode(constituents, features, counts)[1])

    def origins(self, embedding: Tensor, latent: Tensor, counts: Tensor) -> Tensor:
        """Tell where constituents come from.

        Parameters
        ----------
        embedding, latent : tensors
            What `encode` returned.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.

        Returns
        -------
        tensor of shape (n_constituents, n_origins)
            Logits of the origins.
        """
        of_jets = latent.repeat_interleave(counts, dim=0)
        return self.origin(torch.cat([embedding, of_jets], 1))


class PairHead(nn.Module):
    """Whether two constituents of a jet belong together; symmetric by construction.

    Parameters
    ----------
    embed_dim : int
        Columns of the constituents.
    latent_dim : int
        Columns of the latent vectors of the jets.
    """

    def __init__(self, embed_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.compared = nn.Linear(embed_dim, _COMPARED)
        self.of_pair = nn.Linear(3 * _COMPARED, _AUX_WIDTH)
        self.of_jet = nn.Linear(latent_dim, _AUX_WIDTH, bias=False)
        self.last = nn.Linear(_AUX_WIDTH, 1)

    def forward(
        self, embedding: Tensor, latent: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compare all pairs.

        Parameters
        ----------
        embedding : tensor of shape (n_constituents, embed_dim)
            The constituents, jet after jet.
        latent : tensor of shape (n_jets, latent_dim)
            The latent vectors.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.

        Returns
        -------
        first, second : int64 tensors of shape (n_pairs,)
            The constituents of each pair, the first one before the second one.
        logit : tensor of shape (n_pairs,)
            Log-odds that they belong together.
        """
        elements = Elements.of(counts)
        first, second = elements.pairs
        once = first < second
        first, second = first[once], second[once]
        compared = self.compared(embedding)
        a, b = compared.index_select(0, first), compared.index_select(0, second)
        pair = self.of_pair(torch.cat([a + b, a * b, (a - b).square()], 1))
        jet = self.of_jet(latent).index_select(0, elements.jet[first])
        return first, second, self.last(torch.relu(pair + jet))[:, 0]


def _encoder(
    backbone: str,
    n_columns: int,
    n_features: int,
    embed_dim: int,
    n_layers: int,
    n_heads: int,
    latent_dim: int,
    activation: str,
    dropout: float,
    **_: Any,
) -> Any:
    hidden = (embed_dim,) * n_layers
    if backbone == "dense":
        return DenseEncoder(n_features, hidden, latent_dim, activation, dropout)
    n_in = n_columns + n_features
    if backbone == "deepsets":
        return SumEncoder(n_in, n_features, hidden, latent_dim, activation, dropout)
    if backbone == "rnn":
        return RecurrentEncoder(n_in, n_features, embed_dim, latent_dim)
    return AttentionEncoder(
        backbone,
        n_in,
        n_features,
        embed_dim,
        n_layers,
        n_heads,
        latent_dim,
        activation,
        dropout,
    )
