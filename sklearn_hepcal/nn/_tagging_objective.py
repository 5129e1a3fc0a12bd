"""Losses of networks that tag jets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ._supervised import find_loss
from ._tagger import Tagger

# Least number of labelled constituents or of matching pairs that is divided by.
_AT_LEAST = 1


class TaggingObjective(nn.Module):
    r"""The loss of jets and, in training, of their constituents and pairs of them.

    .. math:: L = L_\text{jet} + w_o L_\text{origin} + w_v L_\text{vertex}

    or the geometric mean of the three. Out of training, it is the first one alone.

    Parameters
    ----------
    network : Tagger
        What is trained.
    loss : str
        Loss of the jets, see `find_loss`.
    weights : tuple of float, or None
        The weights of the losses of origins and vertices; None for the geometric mean.
    normalise_by_matches : bool
        Whether the sum over pairs is divided by the number of those that match, as in
        salt, or by the number of pairs.
    """

    def __init__(
        self,
        network: Tagger,
        loss: str,
        weights: tuple[float, float] | None = (0.5, 1.5),
        normalise_by_matches: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.row_losses = find_loss(loss)
        self.weights = weights
        self.normalise_by_matches = normalise_by_matches

    def forward(
        self,
        target: Tensor,
        weight: Tensor,
        constituents: Tensor,
        features: Tensor,
        counts: Tensor,
        origin: Tensor | None = None,
        vertex: Tensor | None = None,
        heavy: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        target : tensor of shape (n_jets,)
            Classes 0, 1, ..., or numbers.
        weight : tensor of shape (n_jets,)
            Weights with a mean of one over the sample.
        constituents : tensor of shape (n_constituents, n_columns)
            Constituents, jet after jet.
        features : tensor of shape (n_jets, n_features)
            Features of the jets.
        counts : int64 tensor of shape (n_jets,)
            Number of constituents of each jet.
        origin : int64 tensor of shape (n_constituents,) or None
            Origins 0, 1, ..., negative where not known; None without a head of them.
        vertex : int64 tensor of shape (n_constituents,) or None
            Vertices, negative for none; None without a head of them.
        heavy : bool tensor of shape (n_constituents,) or None
            Whether a constituent comes from heavy flavour: pairs of them count twice.

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        embedding, latent = self.network.encode(constituents, features, counts)
        losses = self.row_losses(self.network.head(latent), target)
        of_jets = (weight * losses).mean()
        if not self.training:
            return of_jets
        of_tracks = weight.repeat_interleave(counts)
        parts = {}
        if origin is not None:
            logits = self.network.origins(embedding, latent, counts)
            parts[0] = _origin_loss(logits, origin, of_tracks)
        if vertex is not None:
            first, second, logit = self.network.vertex(embedding, latent, counts)
            match = (vertex[first] == vertex[second]) & (vertex[first] >= 0)
            of_pairs = of_tracks[first]
            if heavy is not None:
                of_pairs = of_pairs * (1 + (heavy[first] & heavy[second]))
            total = binary_cross_entropy_with_logits(
                logit, match.to(logit.dtype), of_pairs, reduction="sum"
            )
            n_pairs = int(match.sum()) if self.normalise_by_matches else len(match)
            parts[1] = total / max(n_pairs, _AT_LEAST)
        if self.weights is None:
            every = torch.stack([of_jets, *parts.values()])
            # A batch without labelled tracks has a loss of zero there.
            return every[every > 0].log().mean().exp()
        return of_jets + sum(self.weights[k] * part for k, part in parts.items())


def _origin_loss(logits: Tensor, origin: Tensor, weight: Tensor) -> Tensor:
    losses = cross_entropy(logits, origin.clamp_min(0), reduction="none")
    known = origin >= 0
    return (weight * known * losses).sum() / max(int(known.sum()), _AT_LEAST)
