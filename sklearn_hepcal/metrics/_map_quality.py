"""Quality of transport maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from ._validation import Array, check_matrix, check_paired, check_weights


def transport_cost(
    X: ArrayLike,
    T_X: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    per_column: bool = False,
) -> float | Array:
    """Compute the mean squared displacement of a map.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows before the map.
    T_X : array-like of shape (n_samples, n_features)
        The same rows after the map.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the rows, possibly signed.
    per_column : bool, default=False
        Return the mean squared displacement of each column instead of their sum.

    Returns
    -------
    float or ndarray of shape (n_features,)
        Cost, in squared units of the columns.

    Raises
    ------
    ValueError
        If the shapes of `X` and `T_X` differ or the weights do not fit.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import transport_cost
    >>> transport_cost([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [4.0, 5.0]])
    25.0
    """
    X, T_X = check_paired(X, T_X, ("X", "T_X"))
    weights = check_weights(sample_weight, len(X), "sample_weight", signed=True)
    cost: Array = np.average((T_X - X) ** 2, axis=0, weights=weights)
    return cost if per_column else float(cost.sum())


def l2_uvp(
    predicted: ArrayLike,
    truth: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Compute the unexplained variance percentage of a map.

    It is ``100 E|T(x) - T*(x)|^2 / trace Cov(T*(x))``: 0 for the true map ``T*``, 100
    for the constant map to the mean of the target.

    Parameters
    ----------
    predicted : array-like of shape (n_samples, n_features)
        Rows after the map to judge. Leave columns out that no map moves (conditions):
        their spread would count as explained variance.
    truth : array-like of shape (n_samples, n_features)
        The same rows after the true map.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.

    Returns
    -------
    float
        Per cent.

    Raises
    ------
    ValueError
        If the shapes differ, the weights do not fit or `truth` is constant.

    References
    ----------
    .. [1] A. Korotin et al., "Do neural optimal transport solvers work? A continuous
       Wasserstein-2 benchmark", NeurIPS 2021, arXiv:2106.01954.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import l2_uvp
    >>> l2_uvp([[0.0], [0.0]], [[-1.0], [1.0]])
    100.0
    """
    predicted, truth = check_paired(predicted, truth, ("predicted", "truth"))
    weights = check_weights(sample_weight, len(truth), "sample_weight")
    centred = truth - np.average(truth, axis=0, weights=weights)
    variance = transport_cost(centred, np.zeros_like(centred), weights)
    if variance == 0:
        raise ValueError("truth is constant: its variance cannot be explained.")
    return float(100 * transport_cost(predicted, truth, weights) / variance)


def monotonicity_violations(
    transform: Callable[[Array], ArrayLike],
    X: ArrayLike,
    n_pairs: int = 100_000,
    *,
    conditions: Sequence[int] = (),
    rtol: float = 1e-12,
    random_state: int | np.random.RandomState | None = None,
) -> int:
    """Count pairs of rows that a map moves against their order.

    The gradient T of a convex function has ``<T(x) - T(x'), x - x'> >= 0`` for all
    pairs. A pair violates this if the product is negative beyond rounding, or not a
    number.

    Parameters
    ----------
    transform : callable
        The map, for example the method `transform` of a fitted calibrator. It takes an
        array with the columns of `X` and returns one of the same shape.
    X : array-like of shape (n_samples, n_features)
        Rows to pair at random; at least two.
    n_pairs : int, default=100_000
        Number of pairs.
    conditions : sequence of int, default=()
        Indices of the columns that are not moved. Both rows of a pair take them from
        the first one, because a conditional map is monotone only at equal condition.
    rtol : float, default=1e-12
        Rounding error of the map, relative to the length of the moved rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the pairs.

    Returns
    -------
    int
        Number of violating pairs.

    Raises
    ------
    ValueError
        If `X` has fewer than two rows, `n_pairs` is not positive, `conditions` are not
        columns of `X` or `transform` changes the shape.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import monotonicity_violations
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> monotonicity_violations(np.sinh, X, n_pairs=1000, random_state=0)
    0
    >>> monotonicity_violations(np.negative, X, n_pairs=1000, random_state=0)
    1000
    """
    rows = check_matrix(X, "X", min_rows=2)
    if n_pairs < 1:
        raise ValueError(f"n_pairs must be at least 1, got {n_pairs!r}.")
    n_columns = rows.shape[1]
    fixed = list(conditions)
    if not set(fixed) <= set(range(n_columns)):
        raise ValueError(
            f"conditions must be columns 0 to {n_columns - 1} of X, got {fixed}."
        )
    rng = check_random_state(random_state)
    i = rng.randint(len(rows), size=n_pairs)
    j = (i + rng.randint(1, len(rows), size=n_pairs)) % len(rows)
    x, z = rows[i], rows[j]
    z[:, fixed] = x[:, fixed]
    moved = np.asarray(transform(np.concatenate([x, z])), dtype=np.float64)
    if moved.shape != (2 * n_pairs, n_columns):
        raise ValueError(
            f"transform must keep the shape {(2 * n_pairs, n_columns)}, got "
            f"{moved.shape}."
        )
    free = [column for column in range(n_columns) if column not in fixed]
    step, moved = (x - z)[:, free], moved[:, free]
    t_x, t_z = moved[:n_pairs], moved[n_pairs:]
    length = np.linalg.norm(t_x, axis=1) + np.linalg.norm(t_z, axis=1)
    rounding = rtol * length * np.linalg.norm(step, axis=1)
    # The negation counts products that are not a number.
    return int(np.sum(~(np.sum((t_x - t_z) * step, axis=1) >= -rounding)))
