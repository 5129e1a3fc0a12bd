from collections.abc import Hashable, Mapping, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _check_sample_weight

from ..metrics import Estimate
from ._panels import (
    check_edges,
    check_jets,
    check_numbers,
    make_panels,
    pick_colors,
    score_jets,
    split_flavours,
)

Array = NDArray[np.float64]


class DiscriminantDisplay:
    """Distributions of a tagger's discriminant by flavour, with its working points.

    Each histogram has a unit area and a band of its statistical errors. Data, whose
    flavours are not known, are drawn as points beside the mixture of all simulated
    flavours.

    It is recommended to use `from_predictions` or `from_estimator` to create a display.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins.
    densities : mapping of str to Estimate of arrays of shape (n_bins,)
        Density of each flavour, by its name.
    cuts : ndarray of shape (n_cuts,), default=()
        Cuts of the working points, drawn as lines.
    data : Estimate of arrays of shape (n_bins,), or None, default=None
        Density of the data.
    mixture : Estimate of arrays of shape (n_bins,), or None, default=None
        Density of all flavours together.
    score_name : str, default="discriminant"
        Label of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel, after `plot`.
    figure_ : matplotlib Figure
        The figure.
    steps_ : dict of str to matplotlib StepPatch
        The histogram of each flavour; that of the mixture is named "simulation".
    cut_lines_ : list of matplotlib Line2D
        The lines of the cuts.
    points_ : matplotlib ErrorbarContainer or None
        The data.

    See Also
    --------
    sklearn_hepcal.metrics.discriminant : From probabilities to the discriminant.
    sklearn_hepcal.metrics.working_point_cuts : From efficiencies to cuts.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.plotting import DiscriminantDisplay
    >>> rng = np.random.default_rng(0)
    >>> flavour = rng.choice(["b", "light"], 1000)
    >>> scores = rng.normal(np.where(flavour == "b", 2.0, 0.0))
    >>> display = DiscriminantDisplay.from_predictions(flavour, scores, cuts=[1.5])
    >>> sorted(display.steps_)
    ['b', 'light']
    """

    def __init__(
        self,
        *,
        edges: Array,
        densities: Mapping[str, Estimate[Array]],
        cuts: Sequence[float] | Array = (),
        data: Estimate[Array] | None = None,
        mixture: Estimate[Array] | None = None,
        score_name: str = "discriminant",
    ) -> None:
        self.edges = edges
        self.densities = densities
        self.cuts = cuts
        self.data = data
        self.mixture = mixture
        self.score_name = score_name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike,
        *,
        flavours: Sequence[Hashable] | None = None,
        cuts: ArrayLike = (),
        bins: int | ArrayLike = 50,
        sample_weight: ArrayLike | None = None,
        data_scores: ArrayLike | None = None,
        data_sample_weight: ArrayLike | None = None,
        names: Mapping[Any, str] | None = None,
        score_name: str = "discriminant",
        ax: Any = None,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the distributions of the scores of labelled jets.

        Parameters
        ----------
        y_true : array-like of shape (n_jets,)
            Flavours of the jets.
        scores : array-like of shape (n_jets,)
            Their scores.
        flavours : sequence of labels, default=None
            Values of `y_true` to draw; by default all.
        cuts : array-like of shape (n_cuts,), default=()
            Cuts of the working points.
        bins : int or array-like of shape (n_bins + 1,), default=50
            Increasing edges of the bins, or a number of bins of equal width between the
            0.1 % and the 99.9 % quantile of all scores. Jets outside the edges are
            counted in the first and the last bin.
        sample_weight : array-like of shape (n_jets,), default=None
            Weights of the jets, with a positive sum in each flavour.
        data_scores : array-like of shape (n_data,), default=None
            Scores of a sample of data.
        data_sample_weight : array-like of shape (n_data,), default=None
            Weights of the data.
        names : mapping of label to str, default=None
            Names of the flavours; by default their labels.
        score_name : str, default="discriminant"
            Label of the horizontal axis.
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the flavours, by their names.

        Returns
        -------
        DiscriminantDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If scores, weights, cuts or bins are unusable, or a flavour has no jets.
        ImportError
            If matplotlib is not installed.
        """
        labels, values, weight = check_jets(y_true, scores, sample_weight)
        flavours = np.unique(labels).tolist() if flavours is None else flavours
        rows = split_flavours(labels, flavours, names)
        edges = _edges(bins, values)
        data = None
        if data_scores is not None:
            points = check_numbers(data_scores, "data_scores")
            data_weight = _check_sample_weight(
                data_sample_weight, points, dtype=np.float64
            )
            data = _density(points, data_weight, edges, "data")
        mixture = None
        if data is not None and len(rows) > 1:
            drawn = np.any(list(rows.values()), axis=0)
            mixture = _density(values[drawn], weight[drawn], edges, "simulation")
        display = cls(
            edges=edges,
            densities={
                name: _density(values[part], weight[part], edges, name)
                for name, part in rows.items()
            },
            cuts=check_numbers(cuts, "cuts") if np.size(cuts) else (),
            data=data,
            mixture=mixture,
            score_name=score_name,
        )
        return display.plot(ax, colors=colors)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        signal: Hashable,
        flavours: Sequence[Hashable] | None = None,
        cuts: ArrayLike = (),
        bins: int | ArrayLike = 50,
        sample_weight: ArrayLike | None = None,
        X_data: Any = None,
        data_sample_weight: ArrayLike | None = None,
        names: Mapping[Any, str] | None = None,
        score_name: str = "discriminant",
        ax: Any = None,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the distributions of the scores of a fitted tagger.

        Parameters
        ----------
        estimator : classifier
            A fitted tagger. Its scores are its `decision_function` or else its
            `predict_proba`: the signal's column where there is one for each class.
        X : array-like of shape (n_jets, n_features), or other input of the estimator
            The jets.
        y : array-like of shape (n_jets,)
            Their flavours.
        signal : label
            The signal, one of the estimator's classes.
        flavours : sequence of labels, default=None
            Values of `y` to draw; by default all.
        cuts : array-like of shape (n_cuts,), default=()
            Cuts of the working points.
        bins : int or array-like of shape (n_bins + 1,), default=50
            Increasing edges of the bins, or a number of bins of equal width between the
            0.1 % and the 99.9 % quantile of all scores. Jets outside the edges are
            counted in the first and the last bin.
        sample_weight : array-like of shape (n_jets,), default=None
            Weights of the jets, with a positive sum in each flavour.
        X_data : array-like of shape (n_data, n_features), default=None
            Jets of a sample of data.
        data_sample_weight : array-like of shape (n_data,), default=None
            Weights of the data.
        names : mapping of label to str, default=None
            Names of the flavours; by default their labels.
        score_name : str, default="discriminant"
            Label of the horizontal axis.
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the flavours, by their names.

        Returns
        -------
        DiscriminantDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the signal is not a class of the estimator, or an argument is unusable.
        TypeError
            If the estimator gives no scores.
        ImportError
            If matplotlib is not installed.
        """
        return cls.from_predictions(
            y,
            score_jets(estimator, X, signal),
            flavours=flavours,
            cuts=cuts,
            bins=bins,
            sample_weight=sample_weight,
            data_scores=None
            if X_data is None
            else score_jets(estimator, X_data, signal),
            data_sample_weight=data_sample_weight,
            names=names,
            score_name=score_name,
            ax=ax,
            colors=colors,
        )

    def plot(self, ax: Any = None, *, colors: Mapping[str, str] | None = None) -> Self:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the flavours, by their names.

        Returns
        -------
        DiscriminantDisplay
            The display itself.
        """
        palette = pick_colors(self.densities, colors)
        self.ax_, _ = make_panels(ax, ratio=False)
        self.figure_ = self.ax_.figure
        self.steps_ = {
            name: self._draw(density, name, color=palette[name])
            for name, density in self.densities.items()
        }
        if self.mixture is not None:
            self.steps_["simulation"] = self._draw(
                self.mixture, "simulation", color="0.4", linestyle="--"
            )
        self.points_ = None
        if self.data is not None:
            self.points_ = self.ax_.errorbar(
                (self.edges[1:] + self.edges[:-1]) / 2,
                self.data.value,
                yerr=self.data.error,
                fmt="o",
                markersize=3,
                color="black",
                label="data",
            )
        self.cut_lines_ = [
            self.ax_.axvline(cut, color="0.5", linestyle=":") for cut in self.cuts
        ]
        self.ax_.set(xlabel=self.score_name, ylabel="fraction of jets / bin width")
        self.ax_.legend(fontsize="small")
        return self

    def _draw(self, density: Estimate[Array], label: str, **style: Any) -> Any:
        value, error = density
        self.ax_.stairs(
            value + error,
            self.edges,
            baseline=value - error,
            fill=True,
            color=style["color"],
            alpha=0.2,
            linewidth=0,
        )
        return self.ax_.stairs(value, self.edges, label=label, **style)


def _edges(bins: int | ArrayLike, scores: Array) -> Array:
    if isinstance(bins, Integral):
        if bins < 1:
            raise ValueError(f"bins must be at least 1, but got {bins}.")
        core = np.quantile(scores, [0.001, 0.999])
        return np.histogram_bin_edges(core, int(bins))
    return check_edges(bins)


# The edge bins take all that is beyond them. The error is binomial, as the area is one.
def _density(scores: Array, weight: Array, edges: Array, name: str) -> Estimate[Array]:
    total = weight.sum()
    if total <= 0:
        raise ValueError(
            f"the weights of {name} must have a positive sum, but it is {total:g}."
        )
    inside = scores.clip(edges[0], edges[-1])
    part = np.histogram(inside, edges, weights=weight)[0] / total
    squares = np.histogram(inside, edges, weights=weight**2)[0]
    variance = squares * (1 - part) ** 2 + (squares.sum() - squares) * part**2
    width = np.diff(edges)
    return Estimate(part / width, np.sqrt(variance) / total / width)
