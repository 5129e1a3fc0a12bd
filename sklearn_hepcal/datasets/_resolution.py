"""Measurements of known resolution, whose likelihood is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, logsumexp
from sklearn.utils import check_array, check_random_state

Array = NDArray[np.float64]

_DIMS = {"gaussian": 1, "gaussian_2d": 2}
_PRIORS = ("uniform", "normal")
_HALF_WIDTH = 5.0
_PRIOR_STD = 2.5
_CORRELATION = 0.6
_SCALES = (0.5, 1.5)
_N_NODES = 40
_CHUNK_SIZE = 8192
# Distance from its peak at which a Gaussian integrand counts as zero: exp(-40.5).
_REACH = 9.0


@dataclass(frozen=True)
class ResolutionProblem:
    """Measurements X of true values y, with the exact answers.

    Attributes
    ----------
    X : ndarray of shape (n_samples, 1) or (n_samples, 3)
        Measured values; in two dimensions the scale of the noise is the last column.
    y : ndarray of shape (n_samples,) or (n_samples, 2)
        True values.
    kind : {"gaussian", "gaussian_2d"}
        Law of the noise.
    prior : {"uniform", "normal"}
        Law of the true values.
    """

    X: Array
    y: Array
    kind: str
    prior: str

    def sample(
        self, n_samples: int, random_state: int | RandomState | None = None
    ) -> tuple[Array, Array]:
        """Draw fresh rows.

        Parameters
        ----------
        n_samples : int
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        X : ndarray of shape (n_samples, n_columns)
            Measured values.
        y : ndarray of shape (n_samples,) or (n_samples, 2)
            True values.

        Raises
        ------
        ValueError
            If `n_samples` is not a positive integer.
        """
        return _draw(self.kind, self.prior, n_samples, random_state, stream=1)

    def log_ratio(self, X: ArrayLike, y: ArrayLike) -> Array:
        """Compute the logarithm of p(x | z) / p(x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Measured values.
        y : array-like of shape (n_samples,) or (n_samples, 2)
            True values; they may lie outside the prior.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log ratios, in nats.

        Raises
        ------
        ValueError
            If `X` or `y` has the wrong shape or is not finite.
        """
        x, scale = self._split(X)
        z = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        shape = (len(x), *self.y.shape[1:])
        if z.shape != shape:
            raise ValueError(f"y must have shape {shape}, got {z.shape}.")
        z = z.reshape(x.shape)
        return _log_likelihood(x - z, scale) - _log_evidence(x, scale, self.prior)

    def estimate_information(self, X: ArrayLike, y: ArrayLike) -> tuple[float, float]:
        """Estimate the mutual information from rows and their exact log ratios.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Measured values.
        y : array-like of shape (n_samples,) or (n_samples, 2)
            True values.

        Returns
        -------
        value : float
            Mean log ratio, in nats.
        error : float
            Its standard error.

        Raises
        ------
        ValueError
            If `X` or `y` has the wrong shape or is not finite.
        """
        ratios = self.log_ratio(X, y)
        return float(ratios.mean()), float(ratios.std() / np.sqrt(len(ratios)))

    @property
    def mutual_information(self) -> float:
        """Integrate the mutual information of the law, exact to ten digits.

        Returns
        -------
        float
            Mutual information of x and z, in nats.
        """
        scales, weights = _scale_nodes(self.kind)
        return float(weights @ [self._information_at(scale) for scale in scales])

    def maximum_likelihood(self, X: ArrayLike) -> tuple[Array, Array]:
        """Give the true values of maximum likelihood and their covariances.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Measured values.

        Returns
        -------
        z : ndarray of shape (n_samples,) or (n_samples, 2)
            Estimates; they do not depend on the prior.
        cov : ndarray of shape (n_samples, dim, dim)
            Covariance of each.

        Raises
        ------
        ValueError
            If `X` has the wrong shape or is not finite.
        """
        x, scale = self._split(X)
        cov = scale[:, None, None] ** 2 * _correlation(x.shape[1])
        return (x[:, 0] if x.shape[1] == 1 else x), cov

    def _split(self, X: ArrayLike) -> tuple[Array, Array]:
        rows: Array = check_array(X, dtype=np.float64, copy=True)
        if rows.shape[1] != self.X.shape[1]:
            raise ValueError(
                f"X has {rows.shape[1]} columns, but this problem has "
                f"{self.X.shape[1]}."
            )
        if self.kind == "gaussian":
            return rows, np.ones(len(rows))
        if (rows[:, 2] <= 0).any():
            raise ValueError(f"Scales must be positive, got {rows[:, 2].min():g}.")
        return rows[:, :2], rows[:, 2]

    # At one scale of the noise; the scale alone tells nothing about the true value.
    def _information_at(self, scale: float) -> float:
        dim = _DIMS[self.kind]
        eigenvalues = scale**2 * np.linalg.eigvalsh(_correlation(dim))
        if self.prior == "normal":
            return float(np.log1p(_PRIOR_STD**2 / eigenvalues).sum() / 2)
        noise_entropy = np.log(2 * np.pi * np.e * eigenvalues).sum() / 2
        return _evidence_entropy(dim, scale) - float(noise_entropy)


def make_resolution_problem(
    n_samples: int = 10_000,
    *,
    kind: str = "gaussian",
    prior: str = "uniform",
    random_state: int | RandomState | None = None,
) -> ResolutionProblem:
    """Make measurements x of true values z with noise of a known law.

    The likelihood p(x | z) is the same for both priors of z, and so is the estimate of
    maximum likelihood. A regression that minimises the squared error depends on the
    prior.

    Parameters
    ----------
    n_samples : int, default=10_000
        Number of rows.
    kind : {"gaussian", "gaussian_2d"}, default="gaussian"
        Law of the noise:

        - "gaussian": ``x = z + N(0, 1)``;
        - "gaussian_2d": two true values, measured with a scale ``s`` that is uniform
          between 0.5 and 1.5 and stored as last column; the covariance of the noise is
          ``s^2 [[1, 0.6], [0.6, 1]]``.
    prior : {"uniform", "normal"}, default="uniform"
        Law of each true value: uniform between -5 and 5, or normal with mean 0 and
        standard deviation 2.5.
    random_state : int, RandomState instance or None, default=None
        Seed of the sample.

    Returns
    -------
    ResolutionProblem
        The sample, its exact likelihood ratio and mutual information, and a method for
        drawing fresh rows.

    Raises
    ------
    ValueError
        If `n_samples` is not a positive integer or `kind` or `prior` is unknown.

    References
    ----------
    .. [1] R. Gambhir, B. Nachman and J. Thaler, "Learning uncertainties the frequentist
       way: calibration and correlation in high energy physics", Phys. Rev. Lett. 129
       (2022) 082001, arXiv:2205.03413.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import make_resolution_problem
    >>> problem = make_resolution_problem(1000, prior="normal", random_state=0)
    >>> problem.X.shape, problem.y.shape
    ((1000, 1), (1000,))
    >>> round(problem.mutual_information, 4)
    0.9905
    """
    if kind not in _DIMS:
        raise ValueError(f"kind must be one of {tuple(_DIMS)}, got {kind!r}.")
    if prior not in _PRIORS:
        raise ValueError(f"prior must be one of {_PRIORS}, got {prior!r}.")
    X, y = _draw(kind, prior, n_samples, random_state, stream=0)
    return ResolutionProblem(X, y, kind, prior)


# Streams keep fresh rows independent of the problem's own, even at the same seed.
def _draw(
    kind: str,
    prior: str,
    n_samples: int,
    random_state: int | RandomState | None,
    stream: int,
) -> tuple[Array, Array]:
    if not isinstance(n_samples, Integral) or n_samples < 1:
        raise ValueError(f"n_samples must be an integer >= 1, got {n_samples!r}.")
    seed = check_random_state(random_state).randint(2**31)
    rng = np.random.default_rng([seed, stream])
    shape = (n_samples, _DIMS[kind])
    if prior == "uniform":
        z = rng.uniform(-_HALF_WIDTH, _HALF_WIDTH, shape)
    else:
        z = rng.normal(0.0, _PRIOR_STD, shape)
    noise = rng.normal(size=shape)
    if kind == "gaussian":
        return z + noise, z[:, 0]
    scale = rng.uniform(*_SCALES, (n_samples, 1))
    x = z + scale * noise @ np.linalg.cholesky(_correlation(2)).T
    return np.hstack([x, scale]), z


def _correlation(dim: int) -> Array:
    return np.where(np.eye(dim) == 1, 1.0, _CORRELATION)


# Nodes and weights of the mean over the scales.
def _scale_nodes(kind: str) -> tuple[Array, Array]:
    if kind == "gaussian":
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    return np.mean(_SCALES) + nodes * np.ptp(_SCALES) / 2, weights / 2


# Log density of the noise, with the covariance of maximum_likelihood. A variance of the
# true values is added along the axes of the noise.
def _log_likelihood(noise: Array, scale: Array, variance: float = 0.0) -> Array:
    eigenvalues, axes = np.linalg.eigh(_correlation(noise.shape[1]))
    variances = scale[:, None] ** 2 * eigenvalues + variance
    squares = (noise @ axes) ** 2 / variances
    return -np.sum(squares + np.log(2 * np.pi * variances), axis=1) / 2


def _log_evidence(x: Array, scale: Array, prior: str) -> Array:
    if prior == "normal":
        return _log_likelihood(x, scale, _PRIOR_STD**2)
    dim = x.shape[1]
    low = (-_HALF_WIDTH - x) / scale[:, None]
    high = (_HALF_WIDTH - x) / scale[:, None]
    volume = dim * np.log(2 * _HALF_WIDTH)
    if dim == 1:
        return _log_interval(low[:, 0], high[:, 0]) - volume
    chunks = range(0, len(x), _CHUNK_SIZE)
    boxes = [
        _log_box(low[i : i + _CHUNK_SIZE], high[i : i + _CHUNK_SIZE]) for i in chunks
    ]
    return np.concatenate(boxes) - volume


# Log probability of a standard normal between two bounds, in both tails exact.
def _log_interval(low: Array, high: Array) -> Array:
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    top = log_ndtr(high)
    return top + np.log1p(-np.exp(log_ndtr(low) - top))


# Log probability of a pair of correlated standard normals in a box, by quadrature over
# the first and the distribution function of the second given the first.
def _log_box(low: Array, high: Array) -> Array:
    peak = np.zeros_like(low)
    for _ in range(3):
        # The most probable point of the box, one coordinate given the other.
        peak = np.clip(_CORRELATION * peak[:, ::-1], low, high)
    first = np.maximum(low[:, 0], peak[:, 0] - _REACH)
    last = np.minimum(high[:, 0], peak[:, 0] + _REACH)
    nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
    half = (last - first)[:, None] / 2
    u = (first + last)[:, None] / 2 + half * nodes
    given = np.sqrt(1 - _CORRELATION**2)
    second = _log_interval(
        (low[:, 1:] - _CORRELATION * u) / given,
        (high[:, 1:] - _CORRELATION * u) / given,
    )
    density = -(u**2 + np.log(2 * np.pi)) / 2
    return logsumexp(density + second, b=half * weights, axis=1)


# Entropy of the measured values at one scale, under the uniform prior. The trapezoidal
# rule converges exponentially, since the integrand is smooth and vanishes at the ends.
def _evidence_entropy(dim: int, scale: float) -> float:
    end = _HALF_WIDTH + _REACH * scale
    axis, step = np.linspace(-end, end, int(4 * end / scale), retstep=True)
    x = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    log_p = _log_evidence(x, np.full(len(x), scale), "uniform")
    return float(-np.sum(np.exp(log_p) * log_p) * step**dim)
