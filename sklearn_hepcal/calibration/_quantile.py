"""Quantile matching, column by column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._bures import BuresMap
from ._maps import Array, GradientMap, Sample
from ._weighted import weighted_cdf

# Smallest slope in standardised coordinates: keeps the map invertible where a sample
# has a gap or repeated values.
_MIN_SLOPE = 1e-6


class QuantileMap(GradientMap):
    """``h = P_data^-1 o P_sim`` for every column by itself.

    In one dimension this is the optimal map, exactly. Columns are first standardised
    by the diagonal Gaussian map, which takes out most of the dependence on the
    condition; what remains is interpolated between the knots of the condition. The
    map is continuous and piecewise linear, and goes on beyond the outermost points as
    the Gaussian map does.

    Parameters
    ----------
    gaussian : BuresMap
        Diagonal Gaussian map.
    curves : list of MonotoneCurve
        One curve per column, in standardised coordinates.
    """

    def __init__(self, gaussian: BuresMap, curves: list[MonotoneCurve]) -> None:
        self.gaussian = gaussian
        self.curves = curves

    @classmethod
    def fit(cls, source: Sample, target: Sample, *, n_quantiles: int) -> QuantileMap:
        """Match the quantiles of weighted samples.

        Parameters
        ----------
        source, target : Sample
            Simulation and data.
        n_quantiles : int
            Largest number of levels, spread evenly.

        Returns
        -------
        QuantileMap
            The map.
        """
        source, target = source.load(), target.load()
        gaussian = BuresMap.fit(source, target, shrinkage=1.0)
        x = gaussian.whiten_source(source.x, source.h)
        y = gaussian.whiten_target(target.x, target.h)
        n_distinct = max(len(np.unique(column)) for column in (*x.T, *y.T))
        n_levels = min(n_quantiles, n_distinct)
        levels = (np.arange(n_levels) + 0.5) / n_levels
        levels = np.concatenate([[0.0], levels, [1.0]])
        curves = [
            MonotoneCurve.match(
                source._replace(x=column), target._replace(x=goal), levels
            )
            for column, goal in zip(x.T, y.T, strict=True)
        ]
        return cls(gaussian, curves)

    def forward(self, x: Array, h: Array) -> Array:
        moved = self._by_column("value", self.gaussian.whiten_source(x, h), h)
        return self.gaussian.unwhiten_target(moved, h)

    def inverse(self, y: Array, h: Array) -> Array:
        moved = self._by_column("inverse", self.gaussian.whiten_target(y, h), h)
        return self.gaussian.unwhiten_source(moved, h)

    def log_det(self, x: Array, h: Array) -> Array:
        slopes = self._by_column("slope", self.gaussian.whiten_source(x, h), h)
        return self.gaussian.log_det(x, h) + np.log(slopes).sum(axis=1)

    def potential(self, x: Array, h: Array) -> Array:
        white = self.gaussian.whiten_source(x, h)
        areas = self._by_column("area", white, h)
        areas -= self._by_column("area", np.zeros_like(white), h)
        return self.gaussian.lift(areas.sum(axis=1), x, h)

    def min_curvature(self) -> float:
        slopes = [curve.min_slope() for curve in self.curves]
        return self.gaussian.min_curvature() * min(slopes)

    def _by_column(self, method: str, x: Array, h: Array) -> Array:
        columns = zip(self.curves, x.T, strict=True)
        return np.column_stack([getattr(c, method)(column, h) for c, column in columns])


class MonotoneCurve:
    """Increasing, piecewise linear function whose values are linear in h.

    Parameters
    ----------
    points : array of shape (m,)
        Increasing abscissae. The first and the last interval extend to infinity.
    values : array of shape (k, m)
        Increasing values at every knot of the condition.
    """

    def __init__(self, points: Array, values: Array) -> None:
        self.points = points
        self.values = values
        steps = 0.5 * (values[:, 1:] + values[:, :-1]) * np.diff(points)
        self.areas = np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))

    @classmethod
    def match(cls, source: Sample, target: Sample, levels: Array) -> MonotoneCurve:
        """Match the quantiles of two samples of one column.

        Parameters
        ----------
        source, target : Sample
            The samples; x has shape (n,).
        levels : array of shape (n_levels,)
            Levels of the simulation at which to place the abscissae.

        Returns
        -------
        MonotoneCurve
            The curve that takes the source to the target.
        """
        points, cdf = weighted_cdf(source.x, source.w)
        points = np.unique(np.interp(levels, cdf, points))
        # One more interval on either side, where the slope is one.
        span = points[-1] - points[0]
        points = np.concatenate([[points[0] - span], points, [points[-1] + span]])
        values = []
        for hx, hy in zip(source.h.T, target.h.T, strict=True):
            known, cdf = weighted_cdf(source.x, source.w * hx)
            goal, goal_cdf = weighted_cdf(target.x, target.w * hy)
            inside = np.clip(points, known[0], known[-1])
            matched = np.interp(np.interp(inside, known, cdf), goal_cdf, goal)
            matched = np.maximum.accumulate(matched) + _MIN_SLOPE * (inside - inside[0])
            values.append(matched + (points - inside))
        return cls(points, np.array(values))

    def min_slope(self) -> float:
        """Smallest derivative anywhere."""
        return float((np.diff(self.values) / np.diff(self.points)).min())

    def value(self, x: Array, h: Array) -> Array:
        """Evaluate the function at x, shape (n,)."""
        cell = self._cell(x)
        return self._at(self.values, cell, h) + self._slope(cell, h) * (
            x - self.points[cell]
        )

    def slope(self, x: Array, h: Array) -> Array:
        """Evaluate the derivative at x, shape (n,)."""
        return self._slope(self._cell(x), h)

    def area(self, x: Array, h: Array) -> Array:
        """Evaluate the integral from the first abscissa to x, shape (n,)."""
        cell = self._cell(x)
        step = x - self.points[cell]
        return (
            self._at(self.areas, cell, h)
            + self._at(self.values, cell, h) * step
            + 0.5 * self._slope(cell, h) * step**2
        )

    def inverse(self, y: Array, h: Array) -> Array:
        """Solve ``value(x, h) = y``, shape (n,)."""
        low = np.zeros(len(y), dtype=np.intp)
        high = np.full(len(y), len(self.points) - 2)
        while (low < high).any():
            middle = (low + high + 1) // 2
            above = self._at(self.values, middle, h) <= y
            low, high = np.where(above, middle, low), np.where(above, high, middle - 1)
        step = (y - self._at(self.values, low, h)) / self._slope(low, h)
        return self.points[low] + step

    def _cell(self, x: Array) -> NDArray[np.intp]:
        cell = np.searchsorted(self.points, x, side="right") - 1
        return np.clip(cell, 0, len(self.points) - 2)

    def _slope(self, cell: NDArray[np.intp], h: Array) -> Array:
        rise = self._at(self.values, cell + 1, h) - self._at(self.values, cell, h)
        return rise / (self.points[cell + 1] - self.points[cell])

    @staticmethod
    def _at(table: Array, cell: NDArray[np.intp], h: Array) -> Array:
        return np.einsum("kn,nk->n", table[:, cell], h)
