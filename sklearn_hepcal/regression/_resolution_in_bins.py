"""Energy resolutions in bins of momentum, from truth and from asymmetries."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..metrics import NSC, fit_nsc, jer_from_asymmetry
from ._log_bins import LogBins

Array = NDArray[np.float64]

# Pairs that a bin needs for an asymmetry, and the least number of bins of a fit.
_MIN_PAIRS = 200
_MIN_BINS = 3
_CORE = 0.6827


class EnergyResolution(NamedTuple):
    """Relative resolution of the transverse momentum of jets.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins of the momentum, in GeV.
    pt : ndarray of shape (n_bins,)
        Mean momentum in each bin, in GeV.
    value, error : ndarrays of shape (n_bins,)
        Relative resolutions and their standard deviations; NaN where a bin has too few
        entries.
    nsc : NSC or None
        Noise, stochastic and constant term of ``N / pt (+) S / sqrt(pt) (+) C``; None
        with fewer than three bins.
    """

    edges: Array
    pt: Array
    value: Array
    error: Array
    nsc: NSC | None

    def scale_of(self, log_pt: Array, sigma: Array) -> float:
        """Compare the resolution with a predicted one.

        Parameters
        ----------
        log_pt : array of shape (n_rows,)
            Logarithms of momenta.
        sigma : array of shape (n_rows,)
            Predicted relative resolutions.

        Returns
        -------
        float
            Mean ratio to the typical prediction over the rows of measured bins; 1
            without any.
        """
        place = np.searchsorted(np.log(self.edges), log_pt, side="right") - 1
        bins = [
            (value / np.median(sigma[place == k]), np.sum(place == k))
            for k, value in enumerate(self.value)
            if value > 0 and (place == k).any()
        ]
        if not bins:
            return 1.0
        ratios, counts = zip(*bins, strict=True)
        return float(np.average(ratios, weights=counts))


def resolution_of_table(table: pd.DataFrame) -> EnergyResolution:
    """Take the resolutions of a closure table.

    Parameters
    ----------
    table : DataFrame
        From `sklearn_hepcal.metrics.closure_table`.

    Returns
    -------
    EnergyResolution
        The resolutions.
    """
    edges = np.append(table["low"], table["high"].iloc[-1])
    pt, value, error = (
        table[name].to_numpy() for name in ("mean_true", "jer", "jer_error")
    )
    return EnergyResolution(edges, pt, value, error, _fit(pt, value, error))


class Asymmetries(NamedTuple):
    """Balance of pairs of jets.

    Attributes
    ----------
    log_pt : array of shape (n_pairs,)
        Logarithms of the momenta of the pairs.
    value : array of shape (n_pairs,)
        Logarithms of the ratios of the two momenta.
    weight : array of shape (n_pairs,)
        Weights.
    """

    log_pt: Array
    value: Array
    weight: Array


def resolution_of_pairs(
    measured: Asymmetries, true: Asymmetries, slope: float, seed: int
) -> tuple[EnergyResolution, Array]:
    """Measure resolutions by the asymmetry of pairs beyond that of true jets.

    Parameters
    ----------
    measured : Asymmetries
        Calibrated jets.
    true : Asymmetries
        True jets of simulation.
    slope : float
        How the calibrated momentum follows the true one.
    seed : int
        Seed of the errors.

    Returns
    -------
    EnergyResolution
        The resolutions.
    truth_asymmetry : array of shape (n_bins,)
        Half width of the asymmetry of true jets over the square root of two.
    """
    smaller = min(measured, true, key=lambda sample: len(sample.value))
    bins = LogBins(smaller.log_pt, min_rows=_MIN_PAIRS)
    places = bins.place(measured.log_pt), bins.place(true.log_pt)
    results = []
    for k in range(bins.n_bins):
        inside, inside_true = (place == k for place in places)
        if min(inside.sum(), inside_true.sum()) < _MIN_PAIRS:
            results.append((np.nan, np.nan, np.nan))
            continue
        # A value of zero and its error tell what the warning would.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The asymmetry is not wider")
            jer = jer_from_asymmetry(
                measured.value[inside],
                true.value[inside_true],
                slope=slope,
                sample_weight=measured.weight[inside],
                sample_weight_truth=true.weight[inside_true],
                random_state=seed,
            )
        width = np.quantile(np.abs(true.value[inside_true]), _CORE)
        results.append((jer.value, jer.error, width / np.sqrt(2)))
    value, error, truth = np.transpose(results)
    pt = np.exp(bins.means(measured.log_pt, measured.log_pt, measured.weight))
    edges = np.exp(bins.edges)
    resolution = EnergyResolution(edges, pt, value, error, _fit(pt, value, error))
    return resolution, truth


def _fit(pt: Array, value: Array, error: Array) -> NSC | None:
    usable = np.isfinite(value) & (value > 0) & np.isfinite(error) & (error > 0)
    if usable.sum() < _MIN_BINS:
        return None
    return fit_nsc(pt[usable], value[usable], error[usable])


def warn_of_collapse(measured: Asymmetries, true: Asymmetries) -> None:
    """Warn if calibrated jets are balanced better than true ones.

    Parameters
    ----------
    measured, true : Asymmetries
        Of the same simulated pairs.

    Warns
    -----
    UserWarning
        If their asymmetry is narrower: resolutions can only widen it.
    """
    widths = [np.quantile(np.abs(a.value), _CORE) for a in (measured, true)]
    if widths[0] < (1 - 2 / np.sqrt(len(true.value))) * widths[1]:
        warnings.warn(
            "calibrated simulated jets balance better than true ones, with asymmetries "
            f"of {widths[0]:.3f} and {widths[1]:.3f}: the calibration undoes the "
            "imbalance of events instead of the errors of the detector.",
            UserWarning,
            stacklevel=3,
        )
