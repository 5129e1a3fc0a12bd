from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from .._optional import import_optional

Floats = NDArray[np.float64]


class TransportMapDisplay:
    """Arrows of a transport map in two features, over the density of the data.

    One panel for each value of the conditions. Arrows start on a grid, where there is
    simulation, and end where the map moves it. If the calibration is good, the moved
    simulation has the density that is shown.

    It is recommended to use `from_estimator` to create a display.

    Parameters
    ----------
    starts : sequence of ndarray of shape (n_points, 2)
        Starting points of the arrows, for each panel.
    ends : sequence of ndarray of shape (n_points, 2)
        Their images under the map.
    targets : sequence of ndarray of shape (n_rows, 2)
        Rows of the data, for each panel.
    target_weights : sequence of ndarray of shape (n_rows,)
        Their event weights.
    feature_names : sequence of str of length 2
        Labels of the axes.
    titles : sequence of str
        Titles of the panels, such as "pt = 50".

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure, after `plot`.
    axes_ : ndarray of matplotlib Axes
        The panels.
    quivers_ : list of matplotlib Quiver
        The arrows of each panel.

    See Also
    --------
    sklearn_hepcal.calibration.OTCalibrator : Learns the map.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.plotting import TransportMapDisplay
    >>> rng = np.random.default_rng(0)
    >>> start = rng.normal(size=(20, 2))
    >>> display = TransportMapDisplay(
    ...     starts=[start],
    ...     ends=[start + 0.5],
    ...     targets=[rng.normal(0.5, 1, (1000, 2))],
    ...     target_weights=[np.ones(1000)],
    ...     feature_names=["ilr_p_b", "ilr_p_c"],
    ...     titles=[""],
    ... )
    >>> len(display.plot().axes_)
    1
    """

    def __init__(
        self,
        *,
        starts: Sequence[Floats],
        ends: Sequence[Floats],
        targets: Sequence[Floats],
        target_weights: Sequence[Floats],
        feature_names: Sequence[str],
        titles: Sequence[str],
    ) -> None:
        self.starts = starts
        self.ends = ends
        self.targets = targets
        self.target_weights = target_weights
        self.feature_names = feature_names
        self.titles = titles

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        features: tuple[int, int] | tuple[str, str] = (0, 1),
        condition_values: ArrayLike | None = None,
        fraction: float = 0.2,
        n_arrows: int = 18,
        ax: Any = None,
        n_bins: int = 50,
        cmap: str = "Blues",
        color: str = "black",
    ) -> Self:
        """Draw the map of a fitted calibrator.

        Parameters
        ----------
        estimator : OTCalibrator
            A fitted calibrator with at least two moved columns.
        X : array-like of shape (n_samples, n_features)
            Rows of simulation and data. The simulation tells where there are arrows.
        y : array-like of shape (n_samples,)
            Their domain labels, as in the fit.
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights; only those of the data are used.
        features : pair of int or of str, default=(0, 1)
            Positions or names of the two columns to draw; both must be moved ones. All
            other moved columns are held at their median in the panel's simulation.
        condition_values : array-like, default=None
            One value for each panel, of shape (n_panels,), or of shape (n_panels,
            n_conditions) if there are several conditions. By default the 10, 50 and
            90 % quantiles of the first condition in the data, and the medians of
            any others. Without conditions there is one panel.
        fraction : float, default=0.2
            Fraction of the rows of each domain, those nearest to the condition's
            value, that a panel is made of.
        n_arrows : int, default=18
            Size of the grid in each direction.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, one for each panel. By default a new figure is made.
        n_bins : int, default=50
            Number of bins of the density in each direction.
        cmap : str, default="Blues"
            Colour map of the density.
        color : str, default="black"
            Colour of the arrows.

        Returns
        -------
        TransportMapDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a feature is not a moved column, if the condition values do not fit the
            estimator's conditions, or if y does not hold both domains.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], but got {fraction!r}.")
        if n_arrows < 1:
            raise ValueError(f"n_arrows must be at least 1, but got {n_arrows!r}.")
        pair = _feature_positions(estimator, features)
        sim, data, weight = _split_domains(estimator, X, y, sample_weight)
        conditions = np.asarray(estimator.conditions_, dtype=np.intp)
        values = _panel_values(condition_values, data[:, conditions])

        panels = []
        for value in values:
            near_sim = _nearest(sim, conditions, value, fraction)
            probes = _probes(sim[near_sim], pair, n_arrows)
            probes[:, conditions] = value
            moved = _transform(estimator, probes)
            near = _nearest(data, conditions, value, fraction)
            panels.append(
                (probes[:, pair], moved[:, pair], data[near][:, pair], weight[near])
            )
        starts, ends, targets, target_weights = zip(*panels, strict=True)

        names = _column_names(estimator, data.shape[1])
        display = cls(
            starts=starts,
            ends=ends,
            targets=targets,
            target_weights=target_weights,
            feature_names=[names[i] for i in pair],
            titles=[_title(conditions, value, names) for value in values],
        )
        return display.plot(ax, n_bins=n_bins, cmap=cmap, color=color)

    def plot(
        self,
        ax: Any = None,
        *,
        n_bins: int = 50,
        cmap: str = "Blues",
        color: str = "black",
    ) -> Self:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, one for each panel. By default a new figure is made.
        n_bins : int, default=50
            Number of bins of the density in each direction.
        cmap : str, default="Blues"
            Colour map of the density.
        color : str, default="black"
            Colour of the arrows.

        Returns
        -------
        TransportMapDisplay
            The display itself.
        """
        self.axes_ = self._panels(ax)
        self.figure_ = self.axes_[0].figure
        self.quivers_ = []
        for i, panel in enumerate(self.axes_):
            self._draw_density(panel, i, n_bins, cmap)
            start, end = self.starts[i], self.ends[i]
            self.quivers_.append(
                panel.quiver(
                    *start.T,
                    *(end - start).T,
                    angles="xy",
                    scale_units="xy",
                    scale=1,
                    color=color,
                    width=0.003,
                )
            )
            panel.set(xlabel=self.feature_names[0], title=self.titles[i])
        self.axes_[0].set_ylabel(self.feature_names[1])
        return self

    def _panels(self, ax: Any) -> NDArray:
        n_panels = len(self.starts)
        if ax is None:
            pyplot = import_optional("matplotlib.pyplot", "plot")
            _, axes = pyplot.subplots(
                ncols=n_panels,
                figsize=(4.2 * n_panels, 4.2),
                sharex=True,
                sharey=True,
                squeeze=False,
                layout="constrained",
            )
            return axes[0]
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_panels:
            raise ValueError(
                f"ax must hold one Axes for each of the {n_panels} panels, but got "
                f"{len(axes)}."
            )
        return axes

    def _draw_density(self, panel: Any, i: int, n_bins: int, cmap: str) -> None:
        core = np.quantile(self.targets[i], [0.01, 0.99], axis=0)
        shown = np.concatenate([self.starts[i], self.ends[i], core])
        low, high = shown.min(axis=0), shown.max(axis=0)
        margin = 0.03 * (high - low)
        counts, edges = np.histogramdd(
            self.targets[i],
            bins=n_bins,
            range=list(zip(low - margin, high + margin, strict=True)),
            weights=self.target_weights[i],
        )
        filled = np.ma.masked_less_equal(counts.T, 0)  # empty bins stay white
        panel.pcolormesh(*edges, filled, norm="log", cmap=cmap, rasterized=True)


# Rows of the simulation, rows of the data, and weights of the latter.
def _split_domains(
    estimator: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    rows = check_array(X, dtype=np.float64)
    domains = column_or_1d(y)
    check_consistent_length(rows, domains)
    weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
    source = domains == estimator.source_label_
    target = domains == estimator.target_label_
    if not (np.any(source) and np.any(target)):
        raise ValueError(
            f"y must hold simulation (label {estimator.source_label_!r}) and data "
            f"(label {estimator.target_label_!r}), but it holds "
            f"{np.unique(domains).tolist()}."
        )
    return rows[source], rows[target], weight[target]


def _title(conditions: NDArray[np.intp], value: Floats, names: list[str]) -> str:
    pairs = zip(conditions, value, strict=True)
    return ", ".join(f"{names[i]} = {v:.3g}" for i, v in pairs)


def _column_names(estimator: Any, n_columns: int) -> list[str]:
    default = [f"x{i}" for i in range(n_columns)]
    return list(getattr(estimator, "feature_names_in_", default))


def _feature_positions(estimator: Any, features: Sequence) -> list[int]:
    names = list(getattr(estimator, "feature_names_in_", ()))
    moved = np.asarray(estimator.moved_).tolist()
    pair = [names.index(f) if f in names else f for f in features]
    if len(pair) != 2 or pair[0] == pair[1] or any(i not in moved for i in pair):
        columns = [names[i] for i in moved] if names else moved
        raise ValueError(
            f"features must be two of the moved columns {columns}, but got "
            f"{features!r}."
        )
    return pair


# The conditions' values of each panel, of shape (n_panels, n_conditions).
def _panel_values(condition_values: ArrayLike | None, conditions: Floats) -> Floats:
    n_conditions = conditions.shape[1]
    if condition_values is not None:
        values = np.asarray(condition_values, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if n_conditions == 0 or values.ndim != 2 or values.shape[1] != n_conditions:
            raise ValueError(
                f"condition_values must have one column for each of the {n_conditions} "
                f"conditions, but their shape is {np.shape(condition_values)}."
            )
        return values
    if n_conditions == 0:
        return np.empty((1, 0))
    values = np.tile(np.median(conditions, axis=0), (3, 1))
    values[:, 0] = np.quantile(conditions[:, 0], [0.1, 0.5, 0.9])
    return values


# Indices of the rows nearest to the value of the conditions; all without conditions.
def _nearest(
    rows: Floats, conditions: NDArray[np.intp], value: Floats, fraction: float
) -> NDArray[np.intp]:
    if len(conditions) == 0:
        return np.arange(len(rows))
    # ranks make the distance independent of the units and of the tails
    columns = np.sort(rows[:, conditions], axis=0)
    ranks = np.column_stack(
        [
            np.searchsorted(column, rows[:, i]) - np.searchsorted(column, v)
            for column, i, v in zip(columns.T, conditions, value, strict=True)
        ]
    )
    n_near = max(1, round(fraction * len(rows)))
    return np.argsort(np.abs(ranks).max(axis=1), kind="stable")[:n_near]


# Points of a grid in two columns where there are rows, at the median of all others.
def _probes(rows: Floats, pair: list[int], n_arrows: int) -> Floats:
    low, high = np.quantile(rows[:, pair], [0.005, 0.995], axis=0)
    counts, edges = np.histogramdd(
        rows[:, pair], bins=n_arrows, range=list(zip(low, high, strict=True))
    )
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    grid = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1)[counts > 0]
    probes = np.tile(np.median(rows, axis=0), (len(grid), 1))
    probes[:, pair] = grid
    return probes


def _transform(estimator: Any, probes: Floats) -> Floats:
    names = getattr(estimator, "feature_names_in_", None)
    X = probes if names is None else pd.DataFrame(probes, columns=names)
    return np.asarray(estimator.transform(X))
