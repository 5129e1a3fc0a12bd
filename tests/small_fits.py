"""What makes fits of networks short."""

import numpy as np

from sklearn_hepcal.jets import Jets

# What follows needs networks that depend on their inputs, not good ones.
QUICK = {
    "phi_layer_sizes": (16,),
    "f_layer_sizes": (16,),
    "max_epochs": 2,
    "random_state": 0,
}


def make_rings(n, rng, radii=(0.05, 0.15, 0.25)):
    """Jets of constituents around their axis, and the index of the radius of each."""
    y = rng.integers(len(radii), size=n)
    counts = rng.integers(10, 30, size=n)
    jet = np.repeat(np.arange(n), counts)
    angle = rng.uniform(0, 2 * np.pi, len(jet))
    r = np.array(radii)[y][jet]
    constituents = np.stack(
        [rng.exponential(size=len(jet)), r * np.cos(angle), r * np.sin(angle)], axis=1
    )
    return Jets(
        constituents=constituents, offsets=np.concatenate([[0], np.cumsum(counts)])
    ), y
