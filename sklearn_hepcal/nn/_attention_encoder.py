"""Encoders of jets in which constituents look at each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, scaled_dot_product_attention

from ._elements import Elements
from ._mlp import MLP

# Slope of the scores of a graph layer below zero.
_SLOPE = 0.2


class GraphLayer(nn.Module):
    """Graph attention in which every element of a jet is linked to all others.

    Brody, Alon and Yahav, "How attentive are graph attention networks?",
    arXiv:2105.14491, as in ATLAS's GN1, ATL-PHYS-PUB-2022-027; here with a
    normalisation before and a sum with the input behind it.

    Parameters
    ----------
    embed_dim : int
        Columns of the elements.
    n_heads : int
        Number of scores a pair of elements has.
    dropout : float
        Part of what is added that is dropped in training.
    """

    def __init__(self, embed_dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        head_dim = embed_dim // n_heads
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(embed_dim)
        self.source = nn.Linear(embed_dim, embed_dim)
        self.target = nn.Linear(embed_dim, embed_dim)
        self.score = nn.Parameter(torch.randn(n_heads, head_dim) / math.sqrt(head_dim))
        self.last = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, elements: Elements) -> Tensor:
        """Let the elements look at each other.

        Parameters
        ----------
        x : tensor of shape (n_elements, embed_dim)
            The elements.
        elements : Elements
            Where they are.

        Returns
        -------
        tensor of shape (n_elements, embed_dim)
            The elements, changed.
        """
        seeing, seen = elements.pairs
        normed = self.norm(x)
        target = self.target(normed).unflatten(1, (self.n_heads, -1))
        source = self.source(normed).unflatten(1, (self.n_heads, -1))
        message = source.index_select(0, seen)
        pair = leaky_relu(target.index_select(0, seeing) + message, _SLOPE)
        weight = _softmax((pair * self.score).sum(-1), seeing, len(x))
        pooled = torch.zeros_like(source).index_add(
            0, seeing, weight[..., None] * message
        )
        return x + self.dropout(self.last(torch.relu(pooled.flatten(1))))


class TransformerLayer(nn.Module):
    """Self-attention and a layer of each element's own, with normalisation first.

    Vaswani et al., "Attention is all you need", arXiv:1706.03762, as in ATLAS's GN2,
    arXiv:2505.19689.

    Parameters
    ----------
    embed_dim : int
        Columns of the elements.
    n_heads : int
        Number of heads.
    dropout : float
        Part of what is added that is dropped in training.
    """

    def __init__(self, embed_dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(embed_dim)
        self.attention = nn.Linear(embed_dim, 3 * embed_dim)
        self.attended = nn.Linear(embed_dim, embed_dim)
        self.own_norm = nn.LayerNorm(embed_dim)
        self.own = MLP(embed_dim, (2 * embed_dim,), embed_dim, "gelu")
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, elements: Elements) -> Tensor:
        """Let the elements look at each other.

        Parameters
        ----------
        x : tensor of shape (n_elements, embed_dim)
            The elements.
        elements : Elements
            Where they are.

        Returns
        -------
        tensor of shape (n_elements, embed_dim)
            The elements, changed.
        """
        # Linear layers act on the flat table; only the scores need a padded one.
        padded = elements.pad(self.attention(self.norm(x)))
        heads = padded.unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=elements.mask[:, None, None]
        )
        flat = elements.unpad(attended.transpose(1, 2).flatten(2))
        x = x + self.dropout(self.attended(flat))
        return x + self.dropout(self.own(self.own_norm(x)))


_LAYERS: dict[str, type[GraphLayer | TransformerLayer]] = {
    "gnn": GraphLayer,
    "transformer": TransformerLayer,
}


class AttentionEncoder(nn.Module):
    """Layers of attention, then a mean over the elements with learned weights.

    The elements of a jet are its constituents and the jet itself.

    Parameters
    ----------
    layer : {"gnn", "transformer"}
        Kind of the layers.
    n_columns, n_features : int
        Columns of the constituents and of the features of the jets.
    embed_dim : int
        Columns of the elements.
    n_layers : int
        Number of layers.
    n_heads : int
        Heads of a layer.
    latent_dim : int
        Columns of the latent vectors.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Activation of the hidden layers in front of the layers of attention.
    dropout : float
        Part of what a layer adds that is dropped in training.

    Raises
    ------
    ValueError
        If the columns cannot be shared by the heads.
    """

    def __init__(
        self,
        layer: str,
        n_columns: int,
        n_features: int,
        embed_dim: int,
        n_layers: int,
        n_heads: int,
        latent_dim: int,
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if embed_dim % n_heads:
            raise ValueError(
                f"embed_dim={embed_dim} must be a multiple of n_heads={n_heads}."
            )
        self.embed_dim = embed_dim
        self.embed = MLP(n_columns, (embed_dim,), embed_dim, activation)
        self.embed_jet = MLP(n_features, (embed_dim,), embed_dim, activation)
        self.layers = nn.ModuleList(
            _LAYERS[layer](embed_dim, n_heads, dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.gate = nn.Linear(embed_dim, 1)
        self.last = nn.Linear(embed_dim, latent_dim)

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
            The constituents after the last layer.
        latent : tensor of shape (n_jets, latent_dim)
            The latent vectors.
        """
        elements = Elements.of(counts).with_jets()
        x = torch.cat([self.embed_jet(features), self.embed(constituents)])
        for layer in self.layers:
            x = layer(x, elements)
        x = self.norm(x)
        weight = _softmax(self.gate(x), elements.jet, len(counts))
        pooled = x.new_zeros(len(counts), x.shape[1]).index_add(
            0, elements.jet, weight * x
        )
        return x[len(counts) :], self.last(pooled)


# Softmax over the rows of a group, column by column.
def _softmax(scores: Tensor, group: Tensor, n_groups: int) -> Tensor:
    places = group[:, None].expand_as(scores)
    largest = scores.new_full((n_groups, scores.shape[1]), -math.inf)
    largest = largest.scatter_reduce(0, places, scores.detach(), "amax")
    odds = (scores - largest.index_select(0, group)).exp()
    total = torch.zeros_like(largest).index_add(0, group, odds)
    return odds / total.index_select(0, group)
