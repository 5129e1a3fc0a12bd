from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]

# Range of c3 in units of the largest radius. Below, the logarithm diverges between the
# axis and the first radius; above, it is a straight line.
_RANGE = (1e-6, 1e2)
_N_STARTS = 40


@dataclass(frozen=True)
class LogAngularity:
    r"""A logarithm of the distance r to the jet axis.

    .. math:: \Phi(r) = c_1 + c_2 \log(c_3 + r)

    Call it with distances in radians to evaluate it.

    Attributes
    ----------
    c1, c2 : float
        Offset and slope of the logarithm.
    c3 : float
        Distance in radians below which the logarithm turns into a constant.
    c1_error, c2_error, c3_error : float
        Standard deviations of the same parameters over fits of single directions around
        the axis: how much the function depends on the direction, not a statistical
        error. NaN if c3 is at an end of its range in one of the fits, so that the
        function has no such form.
    r2 : float
        Part of the variance of the function that the form describes, over all
        directions.
    """

    c1: float
    c2: float
    c3: float
    c1_error: float
    c2_error: float
    c3_error: float
    r2: float

    def __call__(self, r: ArrayLike) -> Array:
        """Evaluate the function.

        Parameters
        ----------
        r : array-like of shape (n,)
            Distances to the axis in radians.

        Returns
        -------
        array of shape (n,)
            The values.
        """
        return self.c1 + self.c2 * np.log(self.c3 + np.asarray(r, dtype=np.float64))


def fit_log_angularity(r: Array, values: Array) -> LogAngularity:
    """Fit a log angularity to a function of direction by least squares.

    Parameters
    ----------
    r : array of shape (n_radii,)
        Distances to the axis in radians.
    values : array of shape (n_directions, n_radii)
        The function, which is not constant.

    Returns
    -------
    LogAngularity
        The best for c3 between 1e-6 and 100 times the largest radius.
    """
    best = _fit(r, values.mean(axis=0))
    lines = np.array([_fit(r, line) for line in values])
    errors = np.std(lines, axis=0, ddof=1)
    ends = r.max() * np.array(_RANGE)
    if np.isclose(np.append(lines[:, 2], best[2])[:, None], ends, rtol=1e-3).any():
        errors[:] = np.nan
    fitted = best[0] + best[1] * np.log(best[2] + r)
    r2 = 1.0 - np.mean((values - fitted) ** 2) / np.var(values)
    return LogAngularity(*(float(v) for v in (*best, *errors, r2)))


# For a given c3 the other two are those of a straight line in log(c3 + r): what is
# left to search has one dimension, and several minima at most.
def _fit(r: Array, line: Array) -> Array:
    def loss(log_c3: float) -> float:
        return _straight_line(np.log(np.exp(log_c3) + r), line)[1]

    grid = np.log(r.max() * np.geomspace(*_RANGE, _N_STARTS))
    start = int(np.argmin([loss(g) for g in grid]))
    around = grid[[max(start - 1, 0), min(start + 1, len(grid) - 1)]]
    c3 = np.exp(minimize_scalar(loss, bounds=around, options={"xatol": 1e-10}).x)
    coefficients, _ = _straight_line(np.log(c3 + r), line)
    return np.array([*coefficients, c3])


def _straight_line(x: Array, y: Array) -> tuple[Array, float]:
    table = np.stack([np.ones_like(x), x], axis=1)
    coefficients = np.linalg.lstsq(table, y, rcond=None)[0]
    return coefficients.astype(np.float64, copy=False), float(
        np.sum((y - table @ coefficients) ** 2)
    )
