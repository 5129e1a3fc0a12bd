"""Small networks for tracks, and jets whose flavour their tracks tell."""

import numpy as np
from jet_changes import with_constituents

from sklearn_hepcal.jets import Jets

BACKBONES = ("deepsets", "rnn", "gnn", "transformer", "dense")
READERS = BACKBONES[:-1]

# What follows needs networks that depend on their inputs, not good ones.
SMALL = {
    "embed_dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "latent_dim": 8,
    "head_layer_sizes": (16,),
    "max_epochs": 2,
    "random_state": 0,
}
# Networks that learn the toys below in a few seconds.
LEARNING = SMALL | {
    "embed_dim": 32,
    "latent_dim": 16,
    "dropout": 0.0,
    "max_epochs": 15,
    "learning_rate": 0.005,
}

_D0 = {0: 0.0, 4: 6.0, 5: -18.0}


def make_jets(n, rng, flavours=(0, 4, 5), min_tracks=1, max_tracks=5):
    """Jets, and their flavours: those of the one track that is far out, if any.

    Of each track, "origin" is its integer column "hits", and "vertex" its integer
    column "z".
    """
    y = rng.choice(flavours, size=n)
    counts = rng.integers(min_tracks, max_tracks + 1, size=n)
    total = counts.sum()
    offsets = np.concatenate([[0], np.cumsum(counts)])
    filled = counts > 0
    chosen = (offsets[:-1] + rng.integers(np.maximum(counts, 1)))[filled]
    d0 = rng.normal(size=total)
    d0[chosen] += np.array([_D0[flavour] for flavour in y[filled]])
    hits, z = rng.integers(3, size=(2, total)).astype(float)
    tracks = {
        "pt": rng.exponential(size=total),
        "signed_d0_significance": d0,
        "hits": hits,
        "z": z,
    }
    return Jets(
        rng.normal(size=(n, 2)),
        feature_names=["eta", "mass"],
        constituents=np.stack(list(tracks.values()), axis=1),
        constituent_names=list(tracks),
        constituent_labels={"origin": hits.astype(int), "vertex": z.astype(int)},
        labels={"flavour": y},
        offsets=offsets,
    ), y


def without_labels(jets):
    return jets.replace(labels={}, constituent_labels={})


def pad(jets, name, value=-1):
    """A label of the tracks as (n_jets, max_tracks) array."""
    padded = np.full((len(jets), jets.counts.max()), value)
    padded[np.arange(padded.shape[1]) < jets.counts[:, None]] = jets.constituent_labels[
        name
    ]
    return padded


def with_tracks(jets, kept):
    """Jets with some of their tracks, and without labels."""
    return with_constituents(jets, jets.constituents[kept], jets.jet_index[kept])
