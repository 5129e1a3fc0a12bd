"""What balances data, beyond what balances simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._balance import BalanceFit
from ._log_bins import LogBins

Array = NDArray[np.float64]

_N_PASSES = 4


@dataclass(frozen=True)
class InsituCorrection:
    """Residual correction of data: bounded, and zero on average.

    Parameters
    ----------
    columns : list of int
        Features that it is a function of.
    max_correction : float
        Largest correction of a logarithm.
    data : BalanceFit
        What balances data.
    simulation : BalanceFit or None
        What balances simulation, and is subtracted.
    offset : tuple of two arrays
        Logarithms of momenta, and the averages there.
    """

    columns: list[int]
    max_correction: float
    data: BalanceFit
    simulation: BalanceFit | None = None
    offset: tuple[Array, Array] | None = None

    def __call__(self, log_pt: Array, table: Array) -> Array:
        """Correct jets.

        Parameters
        ----------
        log_pt : array of shape (n_jets,)
            Logarithm of the momentum of the pair, or of the jet.
        table : array of shape (n_jets, n_features)
            Scaled features of the jets.

        Returns
        -------
        array of shape (n_jets,)
            What is added to the logarithms of their momenta.
        """
        features = table[:, self.columns]
        correction = self.data(log_pt, features)
        if self.simulation is not None:
            correction = correction - self.simulation(log_pt, features)
        # Half of the range, as the average is in it, too.
        limit = self.max_correction / 2
        correction = np.clip(correction, -limit, limit)
        if self.offset is None:
            return correction
        correction = correction - np.interp(log_pt, *self.offset)
        return np.clip(correction, -self.max_correction, self.max_correction)

    def centred(self, log_pt: Array, table: Array, weight: Array) -> InsituCorrection:
        """Subtract the average over jets as a function of their momentum.

        The balance does not tell it: the momentum of a pair is that of both jets.

        Parameters
        ----------
        log_pt : array of shape (n_jets,)
            Logarithms of the momenta.
        table : array of shape (n_jets, n_features)
            Scaled features.
        weight : array of shape (n_jets,)
            Positive weights.

        Returns
        -------
        InsituCorrection
            The correction with an average of zero in every bin.
        """
        bins = LogBins(log_pt)
        correction = replace(self, offset=None)(log_pt, table)
        knots = bins.means(log_pt, log_pt, weight)
        offset = np.zeros(bins.n_bins)
        # A line through the means of two bins does not have these means.
        for _ in range(_N_PASSES):
            left = correction - np.interp(log_pt, knots, offset)
            offset += bins.means(log_pt, left, weight)
        return replace(self, offset=(knots, offset))
