"""Wasserstein distances between samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from ._validation import Array, check_scores, check_two_samples, check_weights


def wasserstein_1d(
    u: ArrayLike,
    v: ArrayLike,
    u_weights: ArrayLike | None = None,
    v_weights: ArrayLike | None = None,
    *,
    order: float = 1,
    standardise: bool = False,
) -> float:
    """Compute the Wasserstein distance of two one-dimensional samples.

    It is the distance of the two quantile functions,
    ``(integral over q of |Q_u(q) - Q_v(q)|^order)^(1/order)``, without approximation.

    Parameters
    ----------
    u, v : array-like of shape (n_u,) and (n_v,)
        The samples.
    u_weights, v_weights : array-like or None, default=None
        Non-negative weights; only their ratios matter.
    order : float, default=1
        Order of the distance, at least 1.
    standardise : bool, default=False
        Divide the distance by the standard deviation of `v`, the reference, which
        makes it free of units.

    Returns
    -------
    float
        Distance in the units of the samples.

    Raises
    ------
    ValueError
        If the order is below 1, a sample is empty or not finite, weights do not fit
        or `standardise` is asked of a constant `v`.

    References
    ----------
    .. [1] F. Santambrogio, "Optimal Transport for Applied Mathematicians", Birkhäuser,
       2015, section 2.1.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import wasserstein_1d
    >>> wasserstein_1d([0.0, 1.0], [5.0, 6.0])
    5.0
    >>> wasserstein_1d([0.0], [0.0, 4.0], v_weights=[3.0, 1.0], order=2)
    2.0
    """
    u, v = check_scores(u, "u"), check_scores(v, "v")
    weights_u = check_weights(u_weights, len(u), "u_weights")
    weights_v = check_weights(v_weights, len(v), "v_weights")
    _check_order(order)
    distance = _power_cost(u, v, weights_u, weights_v, order) ** (1 / order)
    if not standardise:
        return distance
    mean = np.average(v, weights=weights_v)
    scale = float(np.sqrt(np.average((v - mean) ** 2, weights=weights_v)))
    if scale == 0:
        raise ValueError("v is constant: it cannot be the unit of the distance.")
    return distance / scale


def sliced_wasserstein(
    X: ArrayLike,
    Y: ArrayLike,
    X_weights: ArrayLike | None = None,
    Y_weights: ArrayLike | None = None,
    *,
    n_projections: int = 100,
    order: float = 2,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    """Compute the Wasserstein distance averaged over random directions.

    The mean over directions is of the distances to the power `order`, whose root is
    returned.

    Parameters
    ----------
    X, Y : array-like of shape (n_x, n_features) and (n_y, n_features)
        The samples. Directions weigh the columns as they are: scale them first if their
        units differ.
    X_weights, Y_weights : array-like or None, default=None
        Non-negative weights of the rows; only their ratios matter.
    n_projections : int, default=100
        Number of directions, uniform on the sphere.
    order : float, default=2
        Order of the distance, at least 1.
    random_state : int, RandomState instance or None, default=None
        Seed of the directions.

    Returns
    -------
    float
        Distance in the units of the columns.

    Raises
    ------
    ValueError
        If the shapes do not fit, the order is below 1, `n_projections` is not positive
        or weights are negative.

    References
    ----------
    .. [1] N. Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures",
       J. Math. Imaging Vis. 51 (2015) 22.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import sliced_wasserstein
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> sliced_wasserstein(X, X, random_state=0)
    0.0
    """
    X, Y = check_two_samples(X, Y, ("X", "Y"))
    weights_x = check_weights(X_weights, len(X), "X_weights")
    weights_y = check_weights(Y_weights, len(Y), "Y_weights")
    _check_order(order)
    if n_projections < 1:
        raise ValueError(f"n_projections must be at least 1, got {n_projections!r}.")
    rng = check_random_state(random_state)
    directions = rng.normal(size=(n_projections, X.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    costs = [
        _power_cost(X @ axis, Y @ axis, weights_x, weights_y, order)
        for axis in directions
    ]
    return float(np.mean(costs) ** (1 / order))


def _check_order(order: float) -> None:
    if not order >= 1:
        raise ValueError(f"order must be at least 1, got {order!r}.")


# The integral of |Q_u - Q_v|^order: both quantile functions are constant between two
# successive levels of either cumulative distribution.
def _power_cost(
    u: Array, v: Array, u_weights: Array, v_weights: Array, order: float
) -> float:
    u, u_levels = _quantile_steps(u, u_weights)
    v, v_levels = _quantile_steps(v, v_weights)
    levels = np.sort(np.concatenate([u_levels, v_levels]))
    gap = u[np.searchsorted(u_levels, levels)] - v[np.searchsorted(v_levels, levels)]
    return float(np.diff(levels, prepend=0.0) @ np.abs(gap) ** order)


def _quantile_steps(values: Array, weights: Array) -> tuple[Array, Array]:
    rows = np.argsort(values)
    levels = np.cumsum(weights[rows])
    return values[rows], levels / levels[-1]
