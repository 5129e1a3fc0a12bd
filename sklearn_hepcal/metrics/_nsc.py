"""Resolution as a function of the transverse momentum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares, nnls

from ._validation import Array

_N_TERMS = 3
_POWERS = np.array([2, 1, 0])
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True, eq=False)
class NSC:
    """Noise, stochastic and constant term of a calorimeter, from `fit_nsc`.

    Calling it with transverse momenta in GeV gives the relative resolution.

    Attributes
    ----------
    noise : float
        Noise term N in GeV: electronics and pile-up.
    stochastic : float
        Stochastic term S in the square root of GeV: fluctuations of showers.
    constant : float
        Constant term C: response that varies from place to place.
    covariance : ndarray of shape (3, 3)
        Covariance of N, S and C, in this order. Rows and columns of a term that is 0
        are NaN, as its error is not Gaussian; the others are then those of a fit
        without it.
    chi2 : float
        Sum of squared residuals in units of their errors; of relative residuals for a
        fit without errors.
    n_dof : int
        Number of points minus three.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import NSC
    >>> jer = NSC(3.0, 0.6, 0.03, np.zeros((3, 3)), chi2=0.0, n_dof=0)
    >>> jer([100.0, 1000.0]).round(4)
    array([0.0735, 0.0356])
    """

    noise: float
    stochastic: float
    constant: float
    covariance: Array
    chi2: float
    n_dof: int

    def __call__(self, pt: ArrayLike) -> Array:
        """Compute the relative resolution.

        Parameters
        ----------
        pt : array-like of any shape
            Transverse momenta in GeV.

        Returns
        -------
        ndarray of the shape of pt
            ``sqrt(N^2 / pt^2 + S^2 / pt + C^2)``.

        Raises
        ------
        ValueError
            If a momentum is not positive.
        """
        pt = np.asarray(pt, dtype=np.float64)
        if not (pt > 0).all():
            raise ValueError("pt must be positive.")
        terms = np.array([self.noise, self.stochastic, self.constant])
        return np.sqrt(pt[..., None] ** -_POWERS @ terms**2)


def fit_nsc(pt: ArrayLike, jer: ArrayLike, error: ArrayLike | None = None) -> NSC:
    """Fit the noise, stochastic and constant term of a resolution.

    The relative resolution is ``sqrt(N^2 / pt^2 + S^2 / pt + C^2)`` with N, S and C not
    negative. The fit of least squares has one minimum.

    Parameters
    ----------
    pt : array-like of shape (n_points,)
        Transverse momenta in GeV.
    jer : array-like of shape (n_points,)
        Relative resolutions, 0.1 for 10 %. Points with a NaN are left out.
    error : array-like of shape (n_points,) or None, default=None
        One standard deviation of each. None gives all points the same relative error,
        whose size follows from their scatter around the curve: three points have no
        covariance then (NaN).

    Returns
    -------
    NSC
        The terms, their covariance and the quality of the fit; a function of pt.

    Raises
    ------
    ValueError
        If fewer than three momenta are left, the lengths differ, a momentum or error
        is not positive, a value is infinite or a resolution is negative, or 0 without
        an error.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import fit_nsc
    >>> pt = np.array([30.0, 60.0, 120.0, 300.0, 1000.0])
    >>> jer = fit_nsc(pt, np.sqrt((3.0 / pt) ** 2 + 0.6**2 / pt + 0.03**2))
    >>> print(f"{jer.noise:.2f} GeV, {jer.stochastic:.2f}, {jer.constant:.3f}")
    3.00 GeV, 0.60, 0.030
    """
    pt, jer, error = _check_points(pt, jer, error)
    spread = jer if error is None else error
    # In units of a middle pt and of the largest resolution all terms are of order 1.
    middle, largest = np.exp(np.mean(np.log(pt))), jer.max()
    basis = (pt / middle)[:, None] ** -_POWERS
    target, sigma = jer / largest, (spread / largest)[:, None]
    # Squared terms, as derivatives by a term vanish where it is 0.
    squares = _fit_squares(basis, target, sigma)
    curve = np.sqrt(basis @ squares)
    chi2 = float(np.sum(((curve - target) / sigma[:, 0]) ** 2))
    n_dof = len(pt) - _N_TERMS
    unit = largest * middle ** (_POWERS / 2)
    terms = np.sqrt(squares)
    covariance = _covariance(basis * terms / curve[:, None] / sigma) * np.outer(
        unit, unit
    )
    if error is None:
        covariance *= chi2 / n_dof if n_dof > 0 else np.nan
    noise, stochastic, constant = (float(term) for term in terms * unit)
    return NSC(noise, stochastic, constant, covariance, chi2, n_dof)


# Return the points without NaN.
def _check_points(
    pt: ArrayLike, jer: ArrayLike, error: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    columns = {"pt": pt, "jer": jer}
    if error is not None:
        columns["error"] = error
    points = {name: np.asarray(c, dtype=np.float64) for name, c in columns.items()}
    shapes = {name: column.shape for name, column in points.items()}
    if len(set(shapes.values())) > 1 or points["pt"].ndim != 1:
        raise ValueError(f"Give one-dimensional arrays of one length, got {shapes}.")
    kept = ~np.isnan(np.stack(list(points.values()))).any(axis=0)
    for name, column in points.items():
        points[name] = column[kept]
        _check_range(points[name], name, zero=name == "jer" and error is not None)
    n_momenta = len(np.unique(points["pt"]))
    if n_momenta < _N_TERMS:
        raise ValueError(
            f"The fit needs {_N_TERMS} momenta with a resolution, got {n_momenta}: "
            "take more bins, or bins with more events."
        )
    if not points["jer"].any():
        raise ValueError("jer must not be 0 everywhere.")
    return points["pt"], points["jer"], points.get("error")


def _check_range(values: Array, name: str, zero: bool) -> None:
    if np.isinf(values).any():
        raise ValueError(f"{name} must be finite; give NaN to leave a point out.")
    if zero and (values < 0).any():
        raise ValueError(f"{name} must not be negative, got {values.min():g}.")
    if not zero and (values <= 0).any():
        raise ValueError(f"{name} must be positive, got {values.min():g}.")


# A term that ends at its bound is exactly 0, whatever the rounding.
def _fit_squares(basis: Array, target: Array, sigma: Array) -> Array:
    def curve(squares: Array) -> Array:
        return np.sqrt(np.maximum(basis @ squares, np.finfo(np.float64).tiny))

    of_squares = 2 * np.maximum(target[:, None], sigma) * sigma
    start, _ = nnls(basis / of_squares, target**2 / of_squares[:, 0])
    fit = least_squares(
        lambda squares: (curve(squares) - target) / sigma[:, 0],
        start,
        jac=lambda squares: basis / (2 * curve(squares)[:, None] * sigma),
        bounds=(0, np.inf),
        method="dogbox",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    return np.where(fit.x > _NEGLIGIBLE * fit.x.max(), fit.x, 0.0)


def _covariance(derivatives: Array) -> Array:
    covariance = np.full((_N_TERMS, _N_TERMS), np.nan)
    free = np.flatnonzero(derivatives.any(axis=0))
    kept = derivatives[:, free]
    covariance[np.ix_(free, free)] = np.linalg.inv(kept.T @ kept)
    return covariance
