"""A fitted calibration of jets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jets import Jets
from ..metrics import NumericalInversion
from ._insitu import InsituCorrection
from ._jet_table import JetTable
from ._response_fit import ResponseModel

Array = NDArray[np.float64]


class Calibrated(NamedTuple):
    """Calibrated jets.

    Attributes
    ----------
    log_pt, sigma : arrays of shape (n_jets,)
        Logarithms of the momenta, and their standard deviations.
    """

    log_pt: Array
    sigma: Array


@dataclass(frozen=True)
class CalibrationModel:
    """Everything that a prediction needs, as numpy arrays.

    Parameters
    ----------
    table : JetTable
        What reads jets.
    response : ResponseModel
        Network of the response, or of corrections.
    inverts : bool
        Whether it is a response.
    closure : NumericalInversion or None
        Inverse of the response that is left.
    sigma_scale : float
        Factor of the predicted standard deviations.
    correction : InsituCorrection or None
        Correction of data.
    insitu_scale : float
        Another factor of the standard deviations of data.
    """

    table: JetTable
    response: ResponseModel
    inverts: bool
    closure: NumericalInversion | None = None
    sigma_scale: float = 1.0
    correction: InsituCorrection | None = None
    insitu_scale: float = 1.0

    def calibrate(self, jets: Jets) -> Calibrated:
        """Calibrate jets of simulation.

        Parameters
        ----------
        jets : Jets
            The jets.

        Returns
        -------
        Calibrated
            Their momenta.
        """
        function = self.response.invert if self.inverts else self.response.correct
        log_pt, sigma, _ = function(self.table.log_pt(jets), self.table.inputs(jets))
        if self.closure is not None:
            log_pt = np.log(self.closure(np.exp(log_pt)))
        return Calibrated(log_pt, sigma * self.sigma_scale)

    def calibrate_data(self, jets: Jets) -> Calibrated:
        """Calibrate jets of data.

        Parameters
        ----------
        jets : Jets
            The jets.

        Returns
        -------
        Calibrated
            Their momenta.
        """
        log_pt, sigma = self.calibrate(jets)
        if self.correction is not None:
            log_pt = log_pt + self.correction(log_pt, self.table.table(jets))
        return Calibrated(log_pt, sigma * self.insitu_scale)
