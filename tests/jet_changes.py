"""Changes of jets that safe observables do not notice."""

import numpy as np


def with_constituents(jets, constituents, jet_index):
    """Jets of these constituents, given with the jets that they belong to."""
    order = np.argsort(jet_index, kind="stable")
    counts = np.bincount(jet_index, minlength=len(jets))
    return jets.replace(
        constituents=constituents[order],
        constituent_labels={},
        offsets=np.concatenate([[0], np.cumsum(counts)]),
    )


def permute(jets, seed=0):
    """Shuffle the constituents of every jet."""
    order = np.random.default_rng(seed).permutation(len(jets.constituents))
    return with_constituents(jets, jets.constituents[order], jets.jet_index[order])


def split(jets, seed=0):
    """Replace every constituent by two in its direction."""
    share = np.random.default_rng(seed).uniform(size=len(jets.constituents))
    first, second = jets.constituents.copy(), jets.constituents.copy()
    first[:, 0] *= share
    second[:, 0] *= 1 - share
    return with_constituents(
        jets, np.concatenate([first, second]), np.tile(jets.jet_index, 2)
    )


def radiate(jets, pt, seed=0):
    """Add a constituent of this pt at some distance to every jet."""
    rng = np.random.default_rng(seed)
    soft = jets.constituents[jets.offsets[:-1]].copy()
    soft[:, 0] = pt
    soft[:, 1:3] += rng.normal(0, 0.2, (len(soft), 2))
    return with_constituents(
        jets,
        np.concatenate([jets.constituents, soft]),
        np.concatenate([jets.jet_index, np.arange(len(jets))]),
    )


def turn(jets, angle):
    """Rotate jets around the beam."""
    constituents = jets.constituents.copy()
    turned = constituents[:, 2] + np.broadcast_to(angle, len(jets))[jets.jet_index]
    constituents[:, 2] = (turned + np.pi) % (2 * np.pi) - np.pi
    return jets.replace(constituents=constituents)
