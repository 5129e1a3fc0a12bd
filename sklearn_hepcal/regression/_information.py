"""Mutual information from the logs of likelihood ratios."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

Array = NDArray[np.float64]


# Ratios above a part of the number of events are cut: a single event, of which the
# network thinks too much, must not decide on the mean of all.
_LARGEST_PART = 0.05


def log_normaliser(log_ratio: Array, weight: Array) -> float:
    """Shift that makes the mean ratio over shuffled events one, large ones being cut.

    Parameters
    ----------
    log_ratio : array of shape (1 + n_shuffles, n)
        As in `mutual_information_bound`.
    weight : array of shape (n,)
        Weights of the events.

    Returns
    -------
    float
        The shift.
    """
    values, limit = log_ratio[1:], _largest_log_ratio(weight)
    product = _pair_weights(weight, len(values))
    upper = float(logsumexp(values, b=product) - np.log(product.sum()))

    def excess(shift: float) -> float:
        ratio = np.exp(np.minimum(values - shift, limit))
        return float(np.sum(product * ratio) / product.sum() - 1)

    # Ratios may be cut by rounding only, or have no weight: then nothing is missing.
    if (values - upper <= limit).all() or excess(upper) >= 0:
        return upper
    step = 1.0
    while excess(upper - step) < 0:
        step *= 2
    return float(brentq(excess, upper - step, upper))


# Of the ratios that are not cut.
def _largest_log_ratio(weight: Array) -> float:
    n_effective = weight.sum() ** 2 / (weight @ weight)
    return float(np.log(max(_LARGEST_PART * n_effective, 2.0)))


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
    Any function of x and z gives a bound, and so does T where it is cut. The cut
    limits what a sample of n events can show, some log(n / 20).

    The error is that of a mean of the influences of the events: an event enters the
    first term once, and the second with its x and with its z. The fluctuation of a
    pair by itself would be counted with both.
    """
    n_shuffles = len(log_ratio) - 1
    product = _pair_weights(weight, n_shuffles)
    shift = log_normaliser(log_ratio, weight)
    values = np.minimum(log_ratio - shift, _largest_log_ratio(weight))
    value = float(weight @ values[0] / weight.sum())
    excess = product * (np.exp(values[1:]) - 1) / product.mean()
    of_z = sum(np.roll(row, place) for place, row in enumerate(excess, 1))
    influence = weight * (values[0] - value) / weight.mean()
    influence = influence - (excess.sum(axis=0) + of_z) / n_shuffles
    variance = np.mean(influence**2) / len(weight)
    twice = np.sum(excess**2) / excess.size**2
    return value, float(np.sqrt(max(variance - twice, 0.0)))


# Products of the weights of every event and of the next ones.
def _pair_weights(weight: Array, n_shuffles: int) -> Array:
    shifts = range(1, n_shuffles + 1)
    return weight * np.stack([np.roll(weight, -shift) for shift in shifts])
