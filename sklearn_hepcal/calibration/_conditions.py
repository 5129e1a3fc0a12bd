"""The ratio of the conditions' spectra in data and simulation."""

from __future__ import annotations

import numpy as np

from ._domains import Sides
from ._hats import HatBasis
from ._maps import Array, Sample

# Fewer effective events under a basis function leave its coefficients to chance.
_MIN_EFFECTIVE_EVENTS = 5.0
# Largest difference in the mean of a basis function that counts as agreement.
_MAX_MISMATCH = 1e-8
# Rounds of the fit of the background's scale.
_N_REWEIGHTED = 3


class SpectrumRatio:
    """Density ratio p_data(c) / p_sim(c), exponential of a piecewise linear function.

    Parameters
    ----------
    basis : HatBasis
        Hats of the piecewise linear function.
    log_ratio : array of shape (k,)
        Its values at the knots.
    lowest, highest : arrays of shape (n_conditions,)
        Range of the data: the ratio is zero outside.
    """

    def __init__(
        self, basis: HatBasis, log_ratio: Array, lowest: Array, highest: Array
    ) -> None:
        self.basis = basis
        self.log_ratio = log_ratio
        self.lowest = lowest
        self.highest = highest

    @classmethod
    def fit(
        cls,
        basis: HatBasis,
        source: Array,
        source_weight: Array,
        target: Array,
        target_weight: Array,
        *,
        max_iter: int = 100,
    ) -> SpectrumRatio:
        """Estimate the ratio from weighted samples.

        The weighted source and the target are made to agree in the mean of every
        function of `basis`, exactly, and of as many between (entropy balancing,
        Hainmueller 2012, doi:10.1093/pan/mpr025). The semi-dual needs this: a term
        of the potential that depends on the condition alone must not pay.

        Parameters
        ----------
        basis : HatBasis
            The functions in which the spectra have to agree.
        source, target : arrays of shape (n_source, c), (n_target, c)
            Conditions of both samples.
        source_weight, target_weight : arrays of shape (n_source,), (n_target,)
            Their weights, signed if the sum under every function is positive.
        max_iter : int
            Largest number of Newton steps.

        Returns
        -------
        SpectrumRatio
            The ratio, of mean one over the source.

        Raises
        ------
        ValueError
            If the fit does not converge.
        """
        lowest, highest = target.min(axis=0), target.max(axis=0)
        inside = ((source >= lowest) & (source <= highest)).all(axis=1)
        source, source_weight = source[inside], source_weight[inside]
        if not source_weight.sum() > 0:
            raise ValueError(
                "no simulation lies in the data's range of the conditions, "
                f"{lowest.tolist()} to {highest.tolist()}. Cut both to a common range."
            )
        fine = basis.refined(target)
        h = fine(source)
        goal = target_weight @ fine(target) / target_weight.sum()
        weight = source_weight / source_weight.sum()
        log_ratio, mismatch = _balance(h, weight, goal, max_iter)
        if not mismatch < _MAX_MISMATCH:
            raise ValueError(
                "the spectra of the conditions could not be matched: too few rows for "
                f"the {len(goal)} intervals, or spectra that hardly overlap. Lower "
                "n_knots, or cut simulation and data to their common range."
            )
        return cls(fine, log_ratio, lowest, highest)

    def __call__(self, conditions: Array) -> Array:
        """Evaluate the ratio at conditions of shape (n, c)."""
        inside = (conditions >= self.lowest) & (conditions <= self.highest)
        ratio: Array = np.exp(self.basis(conditions) @ self.log_ratio)
        return np.where(inside.all(axis=1), ratio, 0.0)


# Newton's method on the convex dual of the entropy balancing.
# Returns the logarithm of the ratio at the knots, and the largest mismatch left.
def _balance(
    h: Array, weight: Array, goal: Array, max_iter: int
) -> tuple[Array, float]:
    def value(log_ratio: Array) -> float:
        return float(np.log(weight @ np.exp(h @ log_ratio)) - log_ratio @ goal)

    log_ratio = np.zeros(len(goal))
    for _ in range(max_iter):
        tilted = weight * np.exp(h @ log_ratio)
        tilted /= tilted.sum()
        mean = tilted @ h
        gradient = mean - goal
        if np.abs(gradient).max() < 1e-12:
            break
        curvature = (h * tilted[:, None]).T @ h - np.outer(mean, mean)
        # The overall constant is a free direction, which least squares leaves alone.
        step = np.linalg.lstsq(curvature, -gradient, rcond=1e-10)[0]
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        before = value(log_ratio)
        while value(log_ratio + step) > before + 1e-14 and np.abs(step).max() > 1e-9:
            step /= 2
        log_ratio = log_ratio + step
    scale = np.log(weight @ np.exp(h @ log_ratio))
    return log_ratio - scale, float(np.abs(gradient).max())


def rebalance(source: Sample, target: Sample) -> Sample:
    """Match the spectra of parts of samples that match as a whole.

    Otherwise a potential that depends on the condition alone lowers the semi-dual of
    the part without bound, by as much as the part is unbalanced by chance.

    Parameters
    ----------
    source, target : Sample
        Parts of simulation and data.

    Returns
    -------
    Sample
        The source, weighted so that the mean of every basis function agrees. It is
        returned as it is where that is impossible, as with a handful of rows.
    """
    if source.h.shape[1] == 1:
        return source
    goal = target.w @ target.h / target.w.sum()
    log_ratio, mismatch = _balance(source.h, source.w / source.w.sum(), goal, 50)
    if not mismatch < _MAX_MISMATCH:
        return source
    return source._replace(w=source.w * np.exp(source.h @ log_ratio))


def check_population(
    basis: HatBasis, conditions: Array, weight: Array, name: str
) -> None:
    """Refuse basis functions that too few events, or a negative sum, support.

    Parameters
    ----------
    basis : HatBasis
        Basis of the conditions.
    conditions : array of shape (n, c)
        Conditions of the sample.
    weight : array of shape (n,)
        Weights of the sample.
    name : str
        The sample's name, for the message.

    Raises
    ------
    ValueError
        If the effective number of events under a basis function is too small.
    """
    h = basis(conditions)
    total, square = weight @ h, np.square(weight) @ np.square(h)
    effective = np.maximum(total, 0.0) ** 2 / np.maximum(square, 1e-300)
    worst = int(np.argmin(effective))
    if effective[worst] < _MIN_EFFECTIVE_EVENTS:
        grid = np.stack(np.meshgrid(*basis.knots, indexing="ij"), axis=-1)
        at = grid.reshape(len(basis), -1)[worst]
        raise ValueError(
            f"too few {name} events near the condition {np.round(at, 6).tolist()}: "
            f"{effective[worst]:.1f} effective events, and at least "
            f"{_MIN_EFFECTIVE_EVENTS:.0f} are needed. Lower n_knots, or cut simulation "
            "and data to a range of conditions that both populate."
        )


def background_scale(
    basis: HatBasis, conditions: Array, sides: Sides
) -> tuple[float, float]:
    """Fit how much background the data hold, by the spectra of the conditions.

    The map leaves the conditions alone: their spectrum in data is the sum of those of
    simulation and background, each times a number. The numbers are fitted in the
    intervals between the knots by generalised least squares.

    Parameters
    ----------
    basis : HatBasis
        Basis of the conditions.
    conditions : array of shape (n_samples, c)
        Conditions of all rows.
    sides : Sides
        Rows of simulation, data and background.

    Returns
    -------
    scale, error : float
        Factor of the background's weights, and its standard error.
    """
    real, fake = ~sides.background, sides.background
    samples = (
        (sides.target[real], sides.target_weight[real]),
        (sides.source, sides.source_weight),
        (sides.target[fake], -sides.target_weight[fake]),
    )
    fine = basis.refined(conditions[samples[0][0]])
    sums, covariances = [], []
    for rows, weight in samples:
        h = fine(conditions[rows])
        sums.append(weight @ h)
        covariances.append((h * weight[:, None] ** 2).T @ h)
    design = np.stack(sums[1:], axis=1)
    factors = np.linalg.lstsq(design, sums[0], rcond=None)[0]
    for _ in range(_N_REWEIGHTED):  # the templates' own errors scale with the factors
        noise = covariances[0] + np.tensordot(factors**2, covariances[1:], axes=1)
        information = np.linalg.solve(noise, design)
        inverse = np.linalg.pinv(design.T @ information)
        factors = inverse @ information.T @ sums[0]
    return float(factors[1]), float(np.sqrt(inverse[1, 1]))
