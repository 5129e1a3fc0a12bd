"""Resolutions and closure of jets, for correctionlib."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from sklearn.utils.validation import check_is_fitted

from ..metrics import NSC, NumericalInversion
from ..regression import AsymmetryJERRegressor
from ._nodes import SYSTEMATIC, Node, binning, category, correction, formula, reference

Array = NDArray[np.float64]

# The first momentum that is positive, beyond subnormal numbers.
_FIRST = float(np.finfo(np.float64).tiny)
_PT = ("pt", "real", "transverse momentum in GeV")
_SIGNS = {"up": "+", "down": "-"}
_CUBIC = "x*exp([0]+(log(x)-[4])*([1]+(log(x)-[4])*([2]+(log(x)-[4])*[3])))"


def resolution_correction(nsc: NSC, name: str = "jer") -> Node:
    """Describe a resolution as a function of the momentum.

    Parameters
    ----------
    nsc : NSC
        The resolution.
    name : str, default="jer"
        Name of the correction.

    Returns
    -------
    dict
        The correction. It has "up" and "down" if the covariance is known.
    """
    curve, parameters = _square(0), [*_squares(nsc)]
    expressions = {"nominal": f"sqrt({curve})"}
    if _is_known(nsc):
        error = f"sqrt({_variance(3)})/({curve})"
        parameters += _variances(nsc)
        for key, sign in _SIGNS.items():
            expressions[key] = f"sqrt({curve})*max(0,1{sign}{error})"
    return _curves(
        name,
        "Relative resolution of the transverse momentum, N/pt (+) S/sqrt(pt) (+) C.",
        expressions,
        parameters,
        ("resolution", "relative resolution"),
    )


def resolution_ratio(data: NSC, simulation: NSC, name: str) -> Node:
    """Describe the ratio of two resolutions as a function of the momentum.

    Parameters
    ----------
    data, simulation : NSC
        The resolutions.
    name : str
        Name of the correction.

    Returns
    -------
    dict
        The correction. It has "up" and "down" if both covariances are known.
    """
    curves, parameters = [_square(0), _square(3)], [*_squares(data)]
    parameters += _squares(simulation)
    ratio = f"sqrt(({curves[0]})/({curves[1]}))"
    expressions = {"nominal": ratio}
    if _is_known(data) and _is_known(simulation):
        parts = [
            f"{_variance(6 + 5 * i)}/(({curve})*({curve}))"
            for i, curve in enumerate(curves)
        ]
        parameters += _variances(data) + _variances(simulation)
        for key, sign in _SIGNS.items():
            expressions[key] = f"{ratio}*max(0,1{sign}sqrt({'+'.join(parts)}))"
    return _curves(
        name,
        "Resolution of jets in data over that in simulation.",
        expressions,
        parameters,
        ("scale_factor", "factor of the resolution"),
    )


def closure_correction(table: pd.DataFrame) -> Node:
    """Describe the mean response in bins of the true momentum.

    Parameters
    ----------
    table : DataFrame
        From `sklearn_hepcal.metrics.closure_table`.

    Returns
    -------
    dict
        The correction.

    Raises
    ------
    ValueError
        If columns are missing, bins do not follow one another, or one has no response.
    """
    missing = {"low", "high", "mean", "mean_error"} - set(table.columns)
    if missing:
        raise ValueError(
            "a DataFrame must be one of sklearn_hepcal.metrics.closure_table, but has "
            f"no columns {sorted(missing)}."
        )
    low, high, mean, error = (
        table[name].to_numpy(dtype=np.float64)
        for name in ("low", "high", "mean", "mean_error")
    )
    if not np.array_equal(low[1:], high[:-1]):
        raise ValueError("the bins of the closure table do not follow one another.")
    if not np.isfinite([mean, error]).all():
        raise ValueError(
            "a bin of the closure table has no mean response, or no error: take fewer "
            "bins."
        )
    edges = np.append(low, high[-1])
    values = {"nominal": mean, "up": mean + error, "down": mean - error}
    bins = {
        key: binning("pt_true", edges, content.tolist(), flow="error")
        for key, content in values.items()
    }
    return correction(
        "closure",
        "Mean of calibrated over true transverse momentum in bins of the latter.",
        [SYSTEMATIC, ("pt_true", "real", "true transverse momentum in GeV")],
        ("response", "mean of calibrated over true momentum"),
        category("systematic", bins),
    )


def inversion_correction(inversion: NumericalInversion) -> Node:
    """Describe a calibration by numerical inversion.

    Parameters
    ----------
    inversion : NumericalInversion
        The calibration.

    Returns
    -------
    dict
        The correction.
    """
    log_true, log_predicted = inversion._curve()
    cubics = PchipInterpolator(log_predicted, log_true).c[::-1].T.copy()
    # Of the logarithm of the factor; beyond the ends it stays.
    cubics[:, 0] -= log_predicted[:-1]
    cubics[:, 1] -= 1.0
    ends = [[(log_true - log_predicted)[i], 0, 0, 0, 0] for i in (0, -1)]
    inner = np.column_stack([cubics, log_predicted[:-1]])
    edges = [_FIRST, *np.exp(log_predicted), np.inf]
    lines = [ends[0], *inner, ends[1]]
    content = [reference(0, line) for line in lines]
    return correction(
        "numerical_inversion",
        "Calibrated transverse momentum, by the inverse of the response.",
        [_PT],
        ("pt", "calibrated transverse momentum in GeV"),
        binning("pt", edges, content, flow="error"),
        [formula(_CUBIC, ["pt"])],
    )


def regressor_corrections(regressor: AsymmetryJERRegressor) -> list[Node]:
    """Describe what is known of calibrated jets: closure and resolutions.

    Parameters
    ----------
    regressor : AsymmetryJERRegressor
        A fitted regressor.

    Returns
    -------
    list of dict
        "closure", "jer", "jer_insitu" and "jer_scale_factor", as far as the regressor
        has them.
    """
    check_is_fitted(regressor)
    corrections = [closure_correction(regressor.closure_)]
    simulation = regressor.jer_.nsc
    data = None if regressor.jer_insitu_ is None else regressor.jer_insitu_.nsc
    if simulation is not None:
        corrections.append(resolution_correction(simulation))
    if data is not None:
        corrections.append(resolution_correction(data, "jer_insitu"))
    if simulation is not None and data is not None:
        corrections.append(resolution_ratio(data, simulation, "jer_scale_factor"))
    return corrections


# Formulas that differ by systematic variation only.
def _curves(
    name: str,
    description: str,
    expressions: dict[str, str],
    parameters: list[float],
    output: tuple[str, str],
) -> Node:
    curves = {
        key: formula(expression, ["pt"], parameters)
        for key, expression in expressions.items()
    }
    inputs = [SYSTEMATIC, _PT]
    data = binning(
        "pt", [_FIRST, np.inf], [category("systematic", curves)], flow="error"
    )
    return correction(name, description, inputs, output, data)


# The square of a resolution, with its parameters from a number on.
def _square(first: int) -> str:
    return f"[{first}]/(x*x)+[{first + 1}]/x+[{first + 2}]"


def _squares(nsc: NSC) -> list[float]:
    return [nsc.noise**2, nsc.stochastic**2, nsc.constant**2]


# The variance of a resolution times its square.
def _variance(first: int) -> str:
    terms = [f"[{first + power}]/pow(x,{power})" for power in range(1, 5)]
    return f"max(0,[{first}]+{'+'.join(terms)})"


# Half the square has the derivatives N / pt^2, S / pt and C by the three terms; powers
# of 1 / pt are added up.
def _variances(nsc: NSC) -> list[float]:
    terms = np.array([nsc.noise, nsc.stochastic, nsc.constant])
    products = np.nan_to_num(nsc.covariance) * np.outer(terms, terms)
    powers = np.add.outer([2, 1, 0], [2, 1, 0])
    return np.bincount(powers.ravel(), products.ravel()).tolist()


# A term of zero has no error.
def _is_known(nsc: NSC) -> bool:
    free = np.array([nsc.noise, nsc.stochastic, nsc.constant]) != 0
    return bool(np.isfinite(nsc.covariance[np.ix_(free, free)]).all())
