"""Additive corrections of jets that balance the two jets of an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._event_pairs import Pairs
from ._hinges import Hinges
from ._log_bins import typical_width

Array = NDArray[np.float64]

_N_FOLDS = 5
# Ridge penalties, relative to the number of pairs.
_RIDGES = 10.0 ** np.arange(-4.0, 2.1, 0.5)
# Steps of the iteratively reweighted least squares of a Huber loss.
_N_STEPS = 5
# Pairs whose columns are in memory at once.
_CHUNK = 16_384


@dataclass(frozen=True)
class BalanceSample:
    """Pairs of jets to balance.

    Parameters
    ----------
    table : array of shape (n_pairs, 2, n_features)
        Features of the two jets.
    log_pt : array of shape (n_pairs,)
        Logarithms of the momenta of the pairs.
    balance : array of shape (n_pairs,)
        Differences of the logarithms of the momenta of the two jets.
    width : array of shape (n_pairs,)
        Typical width of the balance.
    weight : array of shape (n_pairs,)
        Weights.
    """

    table: Array
    log_pt: Array
    balance: Array
    width: Array
    weight: Array

    @classmethod
    def of(
        cls, table: Array, log_pt: Array, pairs: Pairs, weight: Array
    ) -> BalanceSample:
        """Take the pairs of a sample of jets.

        Parameters
        ----------
        table : array of shape (n_jets, n_features)
            Features of the jets.
        log_pt : array of shape (n_jets,)
            Logarithms of their momenta.
        pairs : Pairs
            Rows of the two jets.
        weight : array of shape (n_pairs,)
            Weights.

        Returns
        -------
        BalanceSample
            The pairs.
        """
        first, second = pairs
        pair_pt = (log_pt[first] + log_pt[second]) / 2
        balance = log_pt[first] - log_pt[second]
        both = np.stack([table[first], table[second]], axis=1)
        width = typical_width(pair_pt, balance)
        return cls(both, pair_pt, balance, width, weight)

    def hinges(self) -> Hinges:
        """Choose functions of the features.

        Returns
        -------
        Hinges
            The functions.
        """
        table = self.table.reshape(2 * len(self.table), self.table.shape[2])
        return Hinges(table, np.repeat(self.log_pt, 2))


class _Moments(NamedTuple):
    # Of least squares, in each fold.
    gram: Array
    cross: Array
    square: Array


@dataclass(frozen=True)
class BalanceFit:
    """A correction that balances the pairs of one sample.

    Parameters
    ----------
    hinges : Hinges
        Functions of the features.
    coefficients : array of shape (n_columns,)
        Their coefficients.
    explained : float
        Part of the squared imbalance that the correction takes away in pairs which it
        was not fitted to; negative where it adds to it.
    """

    hinges: Hinges
    coefficients: Array
    explained: float

    def __call__(self, log_pt: Array, table: Array) -> Array:
        """Evaluate the correction.

        Parameters
        ----------
        log_pt : array of shape (n_jets,)
            Logarithms of the momenta of pairs.
        table : array of shape (n_jets, n_features)
            Features of jets.

        Returns
        -------
        array of shape (n_jets,)
            What is added to the logarithms of the momenta of the jets.
        """
        values = [np.zeros(0)]
        for start in range(0, len(log_pt), _CHUNK):
            rows = slice(start, start + _CHUNK)
            values.append(self.hinges(table[rows], log_pt[rows]) @ self.coefficients)
        return np.concatenate(values)


def fit_balance(sample: BalanceSample, delta: float) -> BalanceFit:
    """Find the correction that balances pairs best.

    It minimises a Huber loss of the corrected balance in units of its typical width,
    with a ridge penalty that is chosen by cross-validation.

    Parameters
    ----------
    sample : BalanceSample
        The pairs.
    delta : float
        Number of widths from which on an imbalance counts linearly.

    Returns
    -------
    BalanceFit
        The correction.
    """
    hinges = sample.hinges()
    moments = _moments(sample, hinges, np.zeros(len(hinges.feature)), delta)
    ridge, explained = _choose_ridge(moments)
    for _ in range(_N_STEPS):
        coefficients = _solve(moments.gram.sum(0), moments.cross.sum(0), ridge)
        moments = _moments(sample, hinges, coefficients, delta)
    return BalanceFit(hinges, coefficients, explained)


class Leakage:
    """Part of the true imbalance that corrections by features would take away.

    Parameters
    ----------
    sample : BalanceSample
        Simulated pairs with their true momenta.
    delta : float
        Number of widths from which on an imbalance counts linearly.
    """

    def __init__(self, sample: BalanceSample, delta: float) -> None:
        self.hinges = sample.hinges()
        start = np.zeros(len(self.hinges.feature))
        self.moments = _moments(sample, self.hinges, start, delta)

    def of(self, features: Sequence[int]) -> float:
        """Measure the leakage of a set of features.

        Parameters
        ----------
        features : sequence of int
            The features.

        Returns
        -------
        float
            The part, in pairs that were not fitted; 0 if nothing can be taken away.
        """
        columns = self.hinges.columns_of(features)
        gram = self.moments.gram[:, columns[:, None], columns]
        cross = self.moments.cross[:, columns]
        moments = _Moments(gram, cross, self.moments.square)
        return max(0.0, _choose_ridge(moments)[1])

    def harmless(self, features: Sequence[int], limit: float) -> list[int]:
        """Choose as many features as together leak little.

        Parameters
        ----------
        features : sequence of int
            Features to choose from.
        limit : float
            The largest part.

        Returns
        -------
        list of int
            The features.
        """
        chosen: list[int] = []
        for feature in sorted(features, key=lambda feature: self.of([feature])):
            if self.of([*chosen, feature]) <= limit:
                chosen.append(feature)
        return sorted(chosen)


# Sums over pairs, weighted so that squares stand for the Huber loss.
def _moments(
    sample: BalanceSample, hinges: Hinges, coefficients: Array, delta: float
) -> _Moments:
    n_columns = len(coefficients)
    gram = np.zeros((_N_FOLDS, n_columns, n_columns))
    cross, square = np.zeros((_N_FOLDS, n_columns)), np.zeros(_N_FOLDS)
    # Mean one: penalties do not depend on the unit of the weights.
    total = sample.weight.sum()
    for start in range(0, len(sample.balance), _CHUNK):
        rows = slice(start, start + _CHUNK)
        first, second = (
            hinges(sample.table[rows, jet], sample.log_pt[rows]) for jet in range(2)
        )
        width = sample.width[rows]
        columns = (first - second) / width[:, None]
        target = -sample.balance[rows] / width
        residual = np.abs(target - columns @ coefficients)
        weight = sample.weight[rows] / total
        weight = weight * delta / np.maximum(residual, delta)
        fold = np.arange(start, start + len(target)) % _N_FOLDS
        for k in range(_N_FOLDS):
            x, y, w = columns[fold == k], target[fold == k], weight[fold == k]
            gram[k] += (x * w[:, None]).T @ x
            cross[k] += x.T @ (w * y)
            square[k] += w @ y**2
    return _Moments(gram, cross, square)


# The penalty with the least squares in pairs that are left out, and the part of the
# squares that goes away with it.
def _choose_ridge(moments: _Moments) -> tuple[float, float]:
    squares = np.zeros(len(_RIDGES))
    for gram, cross, square in zip(*moments, strict=True):
        values, vectors = np.linalg.eigh(moments.gram.sum(0) - gram)
        rotated = vectors.T @ (moments.cross.sum(0) - cross)
        for i, ridge in enumerate(_RIDGES):
            solution = vectors @ (rotated / (values + ridge))
            squares[i] += square - 2 * solution @ cross + solution @ gram @ solution
    best = int(squares.argmin())
    total = moments.square.sum()
    return float(_RIDGES[best]), float(1 - squares[best] / total) if total else 0.0


def _solve(gram: Array, cross: Array, ridge: float) -> Array:
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)), cross), float)
