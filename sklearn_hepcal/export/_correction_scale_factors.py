"""Scale factors of taggers, for correctionlib."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..calibration import ScaleFactorCalibrator
from ._nodes import SYSTEMATIC, Node, binning, category, correction

_VARIATIONS = {"nominal": 0.0, "up": 1.0, "down": -1.0}
# The working point that stands for all cuts at once.
_ALL = -1


def scale_factor_corrections(calibrator: ScaleFactorCalibrator) -> list[Node]:
    """Describe scale factors, and the weights of jets that follow from them.

    Parameters
    ----------
    calibrator : ScaleFactorCalibrator
        A fitted calibrator.

    Returns
    -------
    list of dict
        The corrections "scale_factor" and "weight".
    """
    check_is_fitted(calibrator)
    score, variable = _names(calibrator)
    cuts = ", ".join(f"{i}: {cut:g}" for i, cut in enumerate(calibrator.cuts_))
    point = f"number of the cut on {score}: {cuts}"
    inputs = [SYSTEMATIC, ("working_point", "int", point)]
    every = ("working_point", "int", f"{point}; {_ALL}: all at once")
    bins = []
    if calibrator.bins is not None:
        bins = [(variable, "real", "jets outside the bins have the factor one")]
    factors = correction(
        "scale_factor",
        "Efficiency in data over that in simulation; one where it is not measured.",
        [*inputs, *bins],
        ("scale_factor", "factor of the efficiency"),
        category(
            "systematic",
            {
                name: _factors(calibrator, variable, shift)
                for name, shift in _VARIATIONS.items()
            },
        ),
    )
    weights = correction(
        "weight",
        "Factor of the weight of a simulated jet, tagged or not, by its score.",
        [SYSTEMATIC, every, (score, "real", "score of the jet"), *bins],
        ("weight", "factor of the weight"),
        category(
            "systematic",
            {
                name: _weights(calibrator, score, variable, shift)
                for name, shift in _VARIATIONS.items()
            },
        ),
    )
    return [factors, weights]


def _names(calibrator: ScaleFactorCalibrator) -> tuple[str, str]:
    names = getattr(calibrator, "feature_names_in_", None)
    if names is None:
        return "score", "bin_variable"
    columns = [str(names[column]) for column in calibrator._columns]
    return columns[0], columns[-1]


def _factors(calibrator: ScaleFactorCalibrator, variable: str, shift: float) -> Node:
    value, error = calibrator.scale_factors_
    # In bins without a measurement, predict leaves jets as they are.
    shifted = np.where(np.isnan(value), 1.0, value + shift * error)
    content = {i: _in_bins(calibrator, variable, row) for i, row in enumerate(shifted)}
    return category("working_point", content)


def _weights(
    calibrator: ScaleFactorCalibrator, score: str, variable: str, shift: float
) -> Node:
    content = {}
    for point in range(_ALL, len(calibrator.cuts_)):
        chosen = calibrator._sorted_cuts(None if point == _ALL else point)
        # Beside the bins, what is below and above all of them.
        inside = calibrator._weights(chosen, shift)[:, 1:-1]
        edges = [-np.inf, *calibrator.cuts_[chosen], np.inf]
        rows = [_in_bins(calibrator, variable, row) for row in inside]
        content[point] = binning(score, edges, rows, flow="error")
    return category("working_point", content)


def _in_bins(
    calibrator: ScaleFactorCalibrator, variable: str, values: NDArray[np.float64]
) -> Any:
    if calibrator.bins is None:
        return float(values[0])
    return binning(variable, calibrator.bin_edges_, values.tolist(), flow=1.0)
