"""Transport problems whose optimal map is known exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import ortho_group
from sklearn.utils import check_array, check_random_state

Array = NDArray[np.float64]

# Parameters of the Beta laws of the condition in simulation and in data.
_CONDITION_SIM = (1.2, 1.8)
_CONDITION_DATA = (1.8, 1.3)
_REFERENCE_SIZE = 10_000
_CHUNK_SIZE = 8192
_KINDS = ("icnn", "gaussian", "monotone")


# A smooth, non-linear and increasing function from [0, 1] to [-1, 1].
def _phase(c: Array) -> Array:
    return -np.cos(np.pi * c)


class _Source(Protocol):
    def sample(self, c: Array, rng: Generator) -> Array: ...


class _Potential(Protocol):
    def gradient(self, x: Array, c: Array) -> Array: ...


# R diag(s), a factor of a covariance with random axes and scales.
def _random_factor(dim: int, rng: Generator) -> Array:
    return _rotation(dim, rng) * rng.uniform(0.5, 1.5, dim)


def _rotation(dim: int, rng: Generator) -> Array:
    if dim == 1:
        return np.ones((1, 1))
    return ortho_group.rvs(dim, random_state=rng)


# Gaussian mixture whose component means move with the condition.
class _MixtureSource:
    def __init__(
        self, dim: int, conditional: bool, rng: Generator, n_components: int = 3
    ) -> None:
        self.means = rng.normal(0.0, 1.0, (n_components, dim))
        self.slopes = 0.3 * conditional * rng.normal(size=(n_components, dim))
        self.factors = np.stack(
            [0.7 * _random_factor(dim, rng) for _ in range(n_components)]
        )

    def sample(self, c: Array, rng: Generator) -> Array:
        component = rng.integers(len(self.means), size=len(c))
        noise = rng.normal(size=(len(c), self.means.shape[1]))
        x = self.means[component] + _phase(c)[:, None] * self.slopes[component]
        for k, factor in enumerate(self.factors):
            rows = component == k
            x[rows] += noise[rows] @ factor.T
        return x


# Gaussian whose mean and covariance move with the condition.
class _GaussianSource:
    def __init__(self, dim: int, conditional: bool, rng: Generator) -> None:
        self.mean, self.slope = rng.normal(0.0, 1.0, (2, dim))
        self.factor = _random_factor(dim, rng)
        self.factor_slope = 0.3 * _random_factor(dim, rng)
        self.slope *= 0.5 * conditional
        self.factor_slope *= conditional

    def sample(self, c: Array, rng: Generator) -> Array:
        noise = rng.normal(size=(len(c), len(self.mean)))
        s = _phase(c)[:, None]
        moving = self.slope + noise @ self.factor_slope.T
        return self.mean + noise @ self.factor.T + s * moving


# Correlated variables, skewed and with the tails of a Student-t, centred at zero.
class _SkewedStudentSource:
    def __init__(
        self, dim: int, conditional: bool, rng: Generator, dof: float = 5.0
    ) -> None:
        self.dof = dof
        self.skewness = rng.uniform(0.5, 1.5, dim) * rng.choice([-1.0, 1.0], dim)
        self.slope = 0.3 * conditional * rng.normal(size=dim)
        self.factor = 0.7 * _random_factor(dim, rng)

    def sample(self, c: Array, rng: Generator) -> Array:
        shape = (len(c), len(self.slope))
        half_normal = np.abs(rng.normal(size=shape)) - np.sqrt(2 / np.pi)
        skewed = rng.normal(size=shape) + self.skewness * half_normal
        tails = np.sqrt(rng.chisquare(self.dof, (len(c), 1)) / self.dof)
        return (skewed / tails) @ self.factor.T + _phase(c)[:, None] * self.slope


# q/2 |x - m(c)|^2 plus a random softplus network of x. The inner weights are positive
# and softplus is convex and increasing, so that it is convex in x at every c.
class _IcnnPotential:
    curvature = 0.35
    gain = 2.5
    shift_fraction = 0.4

    def __init__(
        self, dim: int, conditional: bool, source: _Source, rng: Generator
    ) -> None:
        n_layers = 2 if dim <= 8 else 3
        width = 32 if dim <= 8 else int(np.clip(2 * dim, 32, 128))
        c = rng.beta(*_CONDITION_SIM, _REFERENCE_SIZE)
        x = source.sample(c, rng)
        self.centre_slope = 0.5 * conditional * rng.normal(size=dim)
        self.input_slope = 0.3 * conditional * rng.normal(size=(width, dim))
        self.offset_slope = 0.5 * conditional * rng.normal(size=width)
        self.inputs: list[Array] = []
        self.inner: list[Array] = []
        self.offsets: list[Array] = []
        self._draw_layers(x, c, n_layers, width, rng)
        self.output = rng.exponential(size=width)
        self.shift = np.zeros(dim)
        self._scale_output(x, c, rng)

    def _draw_layers(
        self, x: Array, c: Array, n_layers: int, width: int, rng: Generator
    ) -> None:
        # One layer after the other, since each is standardised on the source sample.
        for layer in range(n_layers):
            self.inputs.append(rng.normal(size=(width, x.shape[1])))
            self.offsets.append(np.zeros(width))
            if layer > 0:
                sparse = rng.random((width, width)) < 4 / width
                self.inner.append(sparse * rng.exponential(size=(width, width)))
            raw = self._pre_activations(x, c)[-1]
            scale = self.gain / raw.std(axis=0)
            self.inputs[-1] *= scale[:, None]
            if layer > 0:
                self.inner[-1] *= scale[:, None]
            else:
                self.input_slope *= scale[:, None]
                self.offset_slope *= scale
            self.offsets[-1] = rng.normal(0.0, self.gain, width) - scale * raw.mean(0)

    def _scale_output(self, x: Array, c: Array, rng: Generator) -> None:
        # The network moves rows by about their own spread, and all of them by a shift
        # whose length does not depend on the seed.
        network = self._network_gradient(x, c)
        spread = x.var(axis=0).sum()
        self.output *= np.sqrt(spread / network.var(axis=0).sum())
        y = self.gradient(x, c)
        direction = rng.normal(size=x.shape[1])
        length = np.sqrt(self.shift_fraction * y.var(axis=0).sum())
        self.shift = length * direction / np.linalg.norm(direction)
        self.shift -= (y - x).mean(axis=0)

    def _pre_activations(self, x: Array, c: Array) -> list[Array]:
        s = _phase(c)[:, None]
        first = x @ self.inputs[0].T + self.offsets[0]
        values = [first + s * (x @ self.input_slope.T + self.offset_slope)]
        for inner, weights, offset in zip(
            self.inner, self.inputs[1:], self.offsets[1:], strict=True
        ):
            hidden = np.logaddexp(0.0, values[-1])
            values.append(hidden @ inner.T + x @ weights.T + offset)
        return values

    def _network_gradient(self, x: Array, c: Array) -> Array:
        values = self._pre_activations(x, c)
        back = self.output * expit(values[-1])
        gradient = np.zeros_like(x)
        for layer in range(len(values) - 1, 0, -1):
            gradient += back @ self.inputs[layer]
            back = (back @ self.inner[layer - 1]) * expit(values[layer - 1])
        moving = _phase(c)[:, None] * (back @ self.input_slope)
        return gradient + back @ self.inputs[0] + moving

    def gradient(self, x: Array, c: Array) -> Array:
        centre = _phase(c)[:, None] * self.centre_slope
        network = self._network_gradient(x, c)
        return self.curvature * (x - centre) + network + self.shift


# Gradient A(c) x + b(c) with A(c) symmetric positive definite. It takes N(m, S) to
# N(A m + b, A S A), and is the optimal (Bures) map between these two laws.
class _GaussianPotential:
    def __init__(self, dim: int, conditional: bool, rng: Generator) -> None:
        self.matrices = np.stack([self._random_spd(dim, rng) for _ in range(2)])
        self.shift, self.shift_slope = 0.5 * rng.normal(size=(2, dim))
        if not conditional:
            self.matrices[1] = self.matrices[0]
            self.shift_slope[:] = 0.0

    @staticmethod
    def _random_spd(dim: int, rng: Generator) -> Array:
        axes = _rotation(dim, rng)
        return (axes * rng.uniform(0.5, 1.7, dim)) @ axes.T

    def gradient(self, x: Array, c: Array) -> Array:
        s = _phase(c)[:, None]
        first, second = self.matrices
        moved = (1 - s) / 2 * (x @ first) + (1 + s) / 2 * (x @ second)
        return moved + self.shift + s * self.shift_slope


# Increasing functions sinh(d asinh(u) + e) along the axes of a rotated basis.
class _MonotonePotential:
    def __init__(self, dim: int, conditional: bool, rng: Generator) -> None:
        self.axes = _rotation(dim, rng)
        self.power = rng.uniform(0.75, 1.05, dim)
        self.shift = rng.normal(0.0, 0.3, dim)
        self.power_slope = 0.1 * conditional * rng.uniform(-1.0, 1.0, dim)
        self.shift_slope = 0.2 * conditional * rng.normal(size=dim)

    def gradient(self, x: Array, c: Array) -> Array:
        s = _phase(c)[:, None]
        power = self.power + s * self.power_slope
        shift = self.shift + s * self.shift_slope
        return np.sinh(power * np.arcsinh(x @ self.axes) + shift) @ self.axes.T


# Draws of a source, with the condition spectrum of either sample.
@dataclass(frozen=True)
class _Sampler:
    source: _Source
    conditional: bool

    def sim(self, n_samples: int, rng: Generator) -> Array:
        return self._draw(n_samples, _CONDITION_SIM, rng)

    def before_map(self, n_samples: int, rng: Generator) -> Array:
        return self._draw(n_samples, _CONDITION_DATA, rng)

    def _draw(self, n: int, spectrum: tuple[float, float], rng: Generator) -> Array:
        if not self.conditional:
            return self.source.sample(np.full(n, 0.5), rng)
        c = rng.beta(*spectrum, n)
        return np.column_stack([self.source.sample(c, rng), c])


class TransportMap:
    """The optimal map of a transport problem.

    Made by :func:`make_transport_problem`; a call applies the map.

    Parameters
    ----------
    potential : object
        The potential; its method ``gradient(x, c)`` moves the rows `x` at the
        conditions `c`.
    dim : int
        Number of moved columns.
    conditional : bool
        Whether the column after the moved ones holds the condition.
    """

    def __init__(self, potential: _Potential, dim: int, conditional: bool) -> None:
        self._potential = potential
        self._dim = dim
        self._conditional = conditional

    def __call__(self, X: ArrayLike) -> Array:
        """Move the rows of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, dim) or (n_samples, dim + 1)
            Rows of the simulation; with a condition, it is the last column.

        Returns
        -------
        ndarray of the shape of X
            Moved rows; the condition is unchanged.

        Raises
        ------
        ValueError
            If `X` has the wrong number of columns.
        """
        moved: Array = check_array(X, dtype=np.float64, copy=True)
        n_columns = self._dim + self._conditional
        if moved.shape[1] != n_columns:
            raise ValueError(
                f"X has {moved.shape[1]} columns, but the map of this problem takes "
                f"{n_columns}."
            )
        for start in range(0, len(moved), _CHUNK_SIZE):
            rows = moved[start : start + _CHUNK_SIZE]
            c = rows[:, -1] if self._conditional else np.full(len(rows), 0.5)
            rows[:, : self._dim] = self._potential.gradient(rows[:, : self._dim], c)
        return moved


@dataclass(frozen=True)
class TransportProblem:
    """Two samples and the optimal map between their laws.

    Attributes
    ----------
    X_sim : ndarray of shape (n_samples, dim) or (n_samples, dim + 1)
        Simulation: rows of the source law, with the condition as last column if the
        problem is conditional.
    X_data : ndarray of the same number of columns
        Data: rows of the target law, drawn independently of the simulation.
    true_map : TransportMap
        The optimal map, a callable on arrays with the columns of `X_sim`.
    conditions : list of int
        Index of the condition column; empty if there is none.
    feature_names : list of str
        Names of the columns.
    """

    X_sim: Array
    X_data: Array
    true_map: TransportMap
    conditions: list[int]
    feature_names: list[str]
    _sampler: _Sampler = field(repr=False)

    @property
    def X(self) -> Array:
        """Stack simulation and data.

        Returns
        -------
        ndarray of shape (n_sim + n_data, n_columns)
            First the simulation, then the data.
        """
        return np.concatenate([self.X_sim, self.X_data])

    @property
    def y(self) -> NDArray[np.int64]:
        """Label the rows of `X`.

        Returns
        -------
        ndarray of shape (n_sim + n_data,)
            0 for simulation, 1 for data.
        """
        return np.repeat([0, 1], [len(self.X_sim), len(self.X_data)])

    def sample_sim(
        self,
        n_samples: int,
        random_state: int | np.random.RandomState | None = None,
    ) -> Array:
        """Draw fresh rows of the simulation.

        Parameters
        ----------
        n_samples : int
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw; it has no influence on the map.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Rows with the law of `X_sim`.
        """
        return self._sampler.sim(n_samples, _generator(random_state, "sim"))

    def sample_data(
        self,
        n_samples: int,
        random_state: int | np.random.RandomState | None = None,
    ) -> Array:
        """Draw fresh rows of the data.

        Parameters
        ----------
        n_samples : int
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw; it has no influence on the map.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Rows with the law of `X_data`.
        """
        rng = _generator(random_state, "data")
        return self.true_map(self._sampler.before_map(n_samples, rng))


# Streams keep the two samples, and the laws of the problem, independent of each other
# even if all are given the same seed.
def _generator(
    random_state: int | np.random.RandomState | None, stream: str
) -> Generator:
    seed = check_random_state(random_state).randint(2**31)
    return np.random.default_rng([seed, *stream.encode()])


def _make_law(
    kind: str, dim: int, conditional: bool, rng: Generator
) -> tuple[_Source, _Potential]:
    if kind == "icnn":
        mixture = _MixtureSource(dim, conditional, rng)
        return mixture, _IcnnPotential(dim, conditional, mixture, rng)
    if kind == "gaussian":
        gaussian = _GaussianSource(dim, conditional, rng)
        return gaussian, _GaussianPotential(dim, conditional, rng)
    student = _SkewedStudentSource(dim, conditional, rng)
    return student, _MonotonePotential(dim, conditional, rng)


def _check_positive_int(value: int, name: str) -> None:
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")


def make_transport_problem(
    n_samples: int = 10_000,
    *,
    dim: int = 2,
    kind: str = "icnn",
    conditional: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> TransportProblem:
    """Make two samples and the optimal map that takes one law to the other.

    The map is the gradient of a convex function of the moved columns, hence the unique
    optimal transport map of the quadratic cost (Brenier's theorem), at every value of
    the condition. The data are fresh draws pushed through the map, independent of the
    simulation.

    Parameters
    ----------
    n_samples : int, default=10_000
        Number of rows of the simulation and of the data, each.
    dim : int, default=2
        Number of moved columns.
    kind : {"icnn", "gaussian", "monotone"}, default="icnn"
        Law of the simulation and map:

        - "icnn": a mixture of three Gaussians, moved by the gradient of a random
          input-convex softplus network with two hidden layers (three beyond eight
          columns) plus a quadratic;
        - "gaussian": a Gaussian moved to another one by the affine (Bures) map;
        - "monotone": correlated, skewed variables with the tails of a Student-t of five
          degrees of freedom, moved by ``U sinh(d asinh(U.T x) + e)`` with a rotation
          ``U``.
    conditional : bool, default=False
        Whether source and map change smoothly with a condition in [0, 1], stored as
        last column. It follows Beta(1.2, 1.8) in simulation and Beta(1.8, 1.3) in data.
    random_state : int, RandomState instance or None, default=None
        Seed of the laws, of the map and of the samples. The map does not depend on
        `n_samples`.

    Returns
    -------
    TransportProblem
        The samples, the true map and methods for drawing fresh rows.

    Raises
    ------
    ValueError
        If `n_samples` or `dim` is not a positive integer or `kind` is unknown.

    References
    ----------
    .. [1] Y. Brenier, "Polar factorization and monotone rearrangement of vector-valued
       functions", Comm. Pure Appl. Math. 44 (1991) 375.
    .. [2] A. Korotin et al., "Do neural optimal transport solvers work? A continuous
       Wasserstein-2 benchmark", NeurIPS 2021, arXiv:2106.01954.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import make_transport_problem
    >>> problem = make_transport_problem(500, dim=3, conditional=True, random_state=0)
    >>> problem.X_sim.shape, problem.conditions
    ((500, 4), [3])
    >>> problem.true_map(problem.X_sim).shape
    (500, 4)
    """
    _check_positive_int(n_samples, "n_samples")
    _check_positive_int(dim, "dim")
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
    seeds = check_random_state(random_state).randint(2**31, size=3)
    law, sim, data = (np.random.default_rng(seed) for seed in seeds)
    source, potential = _make_law(kind, dim, conditional, law)
    true_map = TransportMap(potential, dim, conditional)
    sampler = _Sampler(source, conditional)
    return TransportProblem(
        X_sim=sampler.sim(n_samples, sim),
        X_data=true_map(sampler.before_map(n_samples, data)),
        true_map=true_map,
        conditions=[dim] if conditional else [],
        feature_names=[f"x{k}" for k in range(dim)] + ["condition"] * conditional,
        _sampler=sampler,
    )
