"""Efficiencies of cuts in bins, of data with a background and of simulation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..metrics import Estimate

Array = NDArray[np.float64]


class JetCounts(NamedTuple):
    """Jets of one kind that pass and that fail the cuts, in bins.

    Attributes
    ----------
    passed, failed : arrays of shape (n_cuts, n_bins)
        Sums of their weights; the loosest cut first.
    passed_squares, failed_squares : arrays of shape (n_cuts, n_bins)
        Sums of the squares of their weights.
    """

    passed: Array
    failed: Array
    passed_squares: Array
    failed_squares: Array

    @classmethod
    def of(
        cls, cells: tuple[NDArray, NDArray], weight: Array, n_cuts: int, n_bins: int
    ) -> JetCounts:
        """Count jets.

        Parameters
        ----------
        cells : pair of int arrays of shape (n_jets,)
            How many of the cuts each jet passes, and the number of its bin from 1; it
            is 0 below and n_bins + 1 above all bins.
        weight : array of shape (n_jets,)
            Weights of the jets.
        n_cuts, n_bins : int
            Numbers of cuts and of bins.

        Returns
        -------
        JetCounts
            The sums of the jets inside the bins.
        """
        sums, squares = np.zeros((2, n_cuts + 1, n_bins + 2))
        np.add.at(sums, cells, weight)
        np.add.at(squares, cells, weight**2)
        inside = sums[:, 1:-1], squares[:, 1:-1]
        passed, passed_squares = map(_above, inside)
        failed, failed_squares = map(_below, inside)
        return cls(passed, failed, passed_squares, failed_squares)

    @property
    def total(self) -> Array:
        """Add up the weights of all jets.

        Returns
        -------
        array of shape (n_cuts, n_bins)
            The same sums for each cut.
        """
        return self.passed + self.failed

    def variance(self, by_passed: Array, by_failed: Array) -> Array:
        """Propagate the statistical errors of the sums.

        Parameters
        ----------
        by_passed, by_failed : arrays of shape (n_cuts, n_bins)
            Derivatives of a quantity by the two sums.

        Returns
        -------
        array of shape (n_cuts, n_bins)
            Their part of the variance of the quantity.
        """
        return by_passed**2 * self.passed_squares + by_failed**2 * self.failed_squares


def measure_efficiencies(
    target: JetCounts, other: JetCounts, data: JetCounts
) -> tuple[Estimate[Array], Estimate[Array], Estimate[Array]]:
    """Measure the efficiency of a flavour in simulation and in data, and their ratio.

    The simulation, with its background, is scaled to the data in each bin.

    Parameters
    ----------
    target, other : JetCounts
        Simulated jets of the flavour and of the background.
    data : JetCounts
        Data, with both.

    Returns
    -------
    tuple of Estimate of arrays of shape (n_cuts, n_bins)
        Efficiency in simulation, in data, and the latter over the former; NaN where
        there are no jets in a denominator.
    """
    n_target = _or_nan(np.where(other.total > -target.total, target.total, 0))
    n_all, n_data = n_target + other.total, _or_nan(data.total)
    e_sim, part = target.passed / n_target, data.passed / n_data
    e_data = part + (other.total * part - other.passed) / n_target
    n_passed = _or_nan(target.passed)
    factor = e_data * n_target / n_passed

    var_part = data.variance((1 - part) / n_data, part / n_data)
    var_sim = target.variance((1 - e_sim) / n_target, e_sim / n_target)
    var_data = (
        (n_all / n_target) ** 2 * var_part
        + other.variance((1 - part) / n_target, part / n_target)
        + target.variance((part - e_data) / n_target, (part - e_data) / n_target)
    )
    # n_target cancels: the factor is (part * n_all - other.passed) / target.passed.
    var_factor = (
        (n_all / n_passed) ** 2 * var_part
        + other.variance((1 - part) / n_passed, part / n_passed)
        + target.variance((part - factor) / n_passed, part / n_passed)
    )
    return (
        Estimate(e_sim, np.sqrt(var_sim)),
        Estimate(e_data, np.sqrt(var_data)),
        Estimate(factor, np.sqrt(var_factor)),
    )


def physical(efficiencies: Array) -> Array:
    """Clip efficiencies to what jets of positive weights can have.

    Parameters
    ----------
    efficiencies : array of shape (n_cuts, n_bins)
        Efficiencies, the loosest cut first.

    Returns
    -------
    array of shape (n_cuts, n_bins)
        Efficiencies in [0, 1] that do not rise from cut to cut.
    """
    return np.minimum.accumulate(efficiencies.clip(0, 1), axis=0)


def parts_between(efficiencies: Array) -> Array:
    """Find the parts of the jets below, between and above the cuts.

    Parameters
    ----------
    efficiencies : array of shape (n_cuts, n_bins)
        Efficiencies, the loosest cut first.

    Returns
    -------
    array of shape (n_cuts + 1, n_bins)
        The parts, the lowest scores first.
    """
    return -np.diff(efficiencies, axis=0, prepend=1, append=0)


def _above(sums: Array) -> Array:
    return np.cumsum(sums[::-1], axis=0)[-2::-1]


def _below(sums: Array) -> Array:
    return np.cumsum(sums, axis=0)[:-1]


def _or_nan(sums: Array) -> Array:
    return np.where(sums > 0, sums, np.nan)
