"""Data weighted by how probably they are not background."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._conditions import rebalance
from ._maps import Array, Sample, TransportMap

# Rows of simulation and of background that the classifier learns from, at most.
_MAX_ROWS = 200_000
_MIN_ROWS_OF_LEAF = 200


def weigh_by_purity(
    fitted: TransportMap,
    source: Sample,
    target: Sample,
    background: NDArray[np.bool_],
    seed: int,
) -> Sample:
    r"""Replace the subtraction of background by weights of the data.

    Subtracted rows of background fluctuate independently of those in the data. Once a
    map T is known roughly, moved simulation and background tell how probable it is
    that a row of data is not background,

    .. math::

        p(y, c) = \frac{s \, \rho_{T(sim)}(y, c)}
                       {s \, \rho_{T(sim)}(y, c) + b \, \rho_{bg}(y, c)}.

    Data with these weights have the same mean of every function, with less noise: a
    step of the maximum-likelihood fit of the mixture (expectation maximisation).

    Parameters
    ----------
    fitted : TransportMap
        Map to data less background.
    source : Sample
        Simulation.
    target : Sample
        Data, and background with negative weights.
    background : array of bool of shape (n_target,)
        Which rows are background.
    seed : int
        Seed of the classifier.

    Returns
    -------
    Sample
        The data alone. The target itself if there is no background, or if simulation
        or background have negative weights, which a classifier does not understand.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from
       incomplete data via the EM algorithm", J. R. Stat. Soc. B 39 (1977) 1.
    """
    data, rest = target.take(np.flatnonzero(~background)), np.flatnonzero(background)
    sources = rebalance(source, target)
    signed = (sources.w < 0).any() or (target.w[rest] > 0).any()
    if len(rest) == 0 or signed:
        return target
    from sklearn.ensemble import HistGradientBoostingClassifier

    moved = _thinned(sources)
    moved = moved._replace(x=fitted.forward(moved.x, moved.h))
    scale = target.w.sum() / moved.w.sum()
    other = _thinned(target.take(rest))
    classifier = HistGradientBoostingClassifier(
        min_samples_leaf=_MIN_ROWS_OF_LEAF,
        max_iter=300,
        early_stopping=True,
        random_state=seed,
    )
    classifier.fit(
        np.vstack([_inputs(moved.x, moved.h), _inputs(other.x, other.h)]),
        np.repeat([1, 0], [len(moved.w), len(other.w)]),
        sample_weight=np.concatenate([scale * moved.w, -other.w]),
    )
    purity = [
        classifier.predict_proba(_inputs(x, h))[:, 1] for x, h, _ in data.blocks()
    ]
    return data._replace(w=data.w * np.concatenate(purity))


def _inputs(x: Array, h: Array) -> Array:
    return np.hstack([x, h])


# Evenly spaced rows that stand for all.
def _thinned(sample: Sample) -> Sample:
    rows = np.arange(0, len(sample.w), math.ceil(len(sample.w) / _MAX_ROWS))
    taken = sample.take(rows).load()
    return taken._replace(w=taken.w * (sample.w.sum() / taken.w.sum()))
