"""Mutual information from the logs of likelihood ratios."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]


def log_normaliser(log_ratio: Array, weight: Array) -> float:
    """Log of the mean ratio over shuffled events, which is 0 for a true ratio.

    Parameters
    ----------
    log_ratio : array of shape (1 + n_shuffles, n)
        As in `mutual_information_bound`.
    weight : array of shape (n,)
        Weights of the events.

    Returns
    -------
    float
        The log of the weighted mean.
    """
    product = _pair_weights(weight, len(log_ratio) - 1)
    return float(logsumexp(log_ratio[1:], b=product) - np.log(product.sum()))


def mutual_information_bound(log_ratio: Array, weight: Array) -> tuple[float, float]:
    """Donsker-Varadhan bound on the mutual information, in nats.

    Parameters
    ----------
    log_ratio : array of shape (1 + n_shuffles, n)
        Log of the ratio p(x|z) / p(x), up to a constant, of events (first row) and of
        their x with the z of the events 1, 2 ... places further.
    weight : array of shape (n,)
        Weights of the events.

    Returns
    -------
    value, error : float
        The bound and its standard error.

    Notes
    -----
    The error is that of a mean of the influences of the events: an event enters the
    first term once, and the second with its x and with its z.
    """
    n_shuffles = len(log_ratio) - 1
    product = _pair_weights(weight, n_shuffles)
    normaliser = log_normaliser(log_ratio, weight)
    joint = float(weight @ log_ratio[0] / weight.sum())
    excess = product * (np.exp(log_ratio[1:] - normaliser) - 1) / product.mean()
    of_z = sum(np.roll(row, shift) for shift, row in enumerate(excess, 1))
    influence = weight * (log_ratio[0] - joint) / weight.mean()
    influence = influence - (excess.sum(axis=0) + of_z) / n_shuffles
    error = np.sqrt(np.mean(influence**2) / len(weight))
    return joint - normaliser, float(error)


# Products of the weights of every event and of the next ones.
def _pair_weights(weight: Array, n_shuffles: int) -> Array:
    shifts = range(1, n_shuffles + 1)
    return weight * np.stack([np.roll(weight, -shift) for shift in shifts])
