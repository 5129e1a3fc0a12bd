from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..metrics import Estimate, efficiency
from ._panels import (
    check_edges,
    check_jets,
    check_numbers,
    finite,
    label_panels,
    make_panels,
    pick_colors,
    ratio_to,
    score_jets,
    split_flavours,
)

Array = NDArray[np.float64]

_PT_BINS = (20, 30, 40, 60, 85, 110, 140, 175, 250)
_MARKERS = ("o", "s", "^", "D", "v", "P")


class EfficiencyDisplay:
    """Efficiency of a tagger at its working points, against pT or another variable.

    One set of points with errors for each flavour and cut. That of the signal is its
    efficiency, those of the others are mistag rates or, as ``kind="rejection"``, their
    inverses. Against a reference tagger, drawn with open markers, there is a second
    panel with the ratios.

    It is recommended to use `from_predictions` or `from_estimator` to create a display.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins in the variable.
    efficiencies : mapping of str to Estimate of arrays of shape (n_cuts, n_bins)
        Efficiencies of each flavour, by its name; NaN is not drawn.
    cuts : ndarray of shape (n_cuts,)
        The cuts, for the legend.
    reference : mapping of str to Estimate, or None, default=None
        Efficiencies of the reference tagger, for the same flavours.
    variable_name : str, default="pT [GeV]"
        Label of the horizontal axis, with the unit.
    reference_name : str, default="reference"
        Name of the reference tagger.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the efficiencies, after `plot`.
    ratio_ax_ : matplotlib Axes or None
        The panel of the ratios; None without a reference.
    figure_ : matplotlib Figure
        The figure.
    points_ : dict of str to list of matplotlib ErrorbarContainer
        The points of each flavour, one entry for each cut.
    reference_points_, ratio_points_ : dict of str to list of ErrorbarContainer
        Those of the reference, and of the ratios; empty without a reference.

    See Also
    --------
    sklearn_hepcal.metrics.efficiency : The efficiencies and their errors.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.plotting import EfficiencyDisplay
    >>> rng = np.random.default_rng(0)
    >>> flavour = rng.choice(["b", "light"], 2000)
    >>> scores = rng.normal(np.where(flavour == "b", 2.0, 0.0))
    >>> pt = rng.uniform(20, 250, 2000)
    >>> display = EfficiencyDisplay.from_predictions(flavour, scores, pt, cuts=[1.0])
    >>> sorted(display.points_)
    ['b', 'light']
    """

    def __init__(
        self,
        *,
        edges: Array,
        efficiencies: Mapping[str, Estimate[Array]],
        cuts: Array,
        reference: Mapping[str, Estimate[Array]] | None = None,
        variable_name: str = "pT [GeV]",
        reference_name: str = "reference",
    ) -> None:
        self.edges = edges
        self.efficiencies = efficiencies
        self.cuts = cuts
        self.reference = reference
        self.variable_name = variable_name
        self.reference_name = reference_name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike,
        variable: ArrayLike,
        *,
        cuts: ArrayLike,
        bins: ArrayLike = _PT_BINS,
        flavours: Sequence[Hashable] | None = None,
        reference: ArrayLike | None = None,
        reference_cuts: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        kind: str = "efficiency",
        names: Mapping[Any, str] | None = None,
        variable_name: str = "pT [GeV]",
        reference_name: str = "reference",
        ax: Any = None,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the efficiencies of cuts on the scores of labelled jets.

        Parameters
        ----------
        y_true : array-like of shape (n_jets,)
            Flavours of the jets.
        scores : array-like of shape (n_jets,)
            Their scores; a jet passes if its score is equal to or above the cut.
        variable : array-like of shape (n_jets,)
            The variable of the jets, such as pT in GeV.
        cuts : array-like of shape (n_cuts,), or float
            Cuts of the working points.
        bins : array-like of shape (n_bins + 1,), default=(20, 30, ..., 175, 250)
            Increasing edges of the bins in the variable, the upper one not included;
            by default 20, 30, 40, 60, 85, 110, 140, 175, 250. Jets outside are not
            counted.
        flavours : sequence of labels, default=None
            Values of `y_true` to draw; by default all.
        reference : array-like of shape (n_jets,), default=None
            Scores of the same jets by a reference tagger.
        reference_cuts : array-like of shape (n_cuts,), or float, default=None
            Its cuts at the same working points; needed with `reference`.
        sample_weight : array-like of shape (n_jets,), default=None
            Weights of the jets.
        kind : {"efficiency", "rejection"}, default="efficiency"
            Whether to draw efficiencies or, on a logarithmic scale, their inverses.
        names : mapping of label to str, default=None
            Names of the flavours; by default their labels.
        variable_name : str, default="pT [GeV]"
            Label of the horizontal axis, with the unit.
        reference_name : str, default="reference"
            Name of the reference tagger.
        ax : matplotlib Axes, or pair of Axes with a reference, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the flavours, by their names.

        Returns
        -------
        EfficiencyDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If scores, the variable, weights, cuts or bins are unusable, or a flavour
            has no jets.
        ImportError
            If matplotlib is not installed.
        """
        labels, values, weight = check_jets(y_true, scores, sample_weight)
        column = check_numbers(variable, "variable", len(labels))
        checked_cuts = check_numbers(np.atleast_1d(cuts), "cuts")
        edges = check_edges(bins)
        flavours = np.unique(labels).tolist() if flavours is None else flavours
        rows = split_flavours(labels, flavours, names)
        numbers = np.digitize(column, edges)

        def measure(tagger: Array, tagger_cuts: Array) -> dict[str, Estimate[Array]]:
            return {
                name: _binned_efficiency(
                    tagger[part],
                    weight[part],
                    numbers[part],
                    tagger_cuts,
                    len(edges) - 1,
                )
                for name, part in rows.items()
            }

        compared = None
        if reference is not None:
            compared = measure(
                check_numbers(reference, "reference", len(labels)),
                _check_reference_cuts(reference_cuts, len(checked_cuts)),
            )
        display = cls(
            edges=edges,
            efficiencies=measure(values, checked_cuts),
            cuts=checked_cuts,
            reference=compared,
            variable_name=variable_name,
            reference_name=reference_name,
        )
        return display.plot(ax, kind=kind, colors=colors)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        variable: ArrayLike,
        *,
        signal: Hashable,
        cuts: ArrayLike,
        bins: ArrayLike = _PT_BINS,
        flavours: Sequence[Hashable] | None = None,
        reference: ArrayLike | None = None,
        reference_cuts: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        kind: str = "efficiency",
        names: Mapping[Any, str] | None = None,
        variable_name: str = "pT [GeV]",
        reference_name: str = "reference",
        ax: Any = None,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the efficiencies of cuts on the scores of a fitted tagger.

        Parameters
        ----------
        estimator : classifier
            A fitted tagger. Its scores are its `decision_function` or else its
            `predict_proba`: the signal's column where there is one for each class.
        X : array-like of shape (n_jets, n_features), or other input of the estimator
            The jets.
        y : array-like of shape (n_jets,)
            Their flavours.
        variable : array-like of shape (n_jets,)
            The variable of the jets, such as pT in GeV.
        signal : label
            The signal, one of the estimator's classes.
        cuts : array-like of shape (n_cuts,), or float
            Cuts of the working points.
        bins : array-like of shape (n_bins + 1,), default=(20, 30, ..., 175, 250)
            Increasing edges of the bins in the variable, the upper one not included;
            by default 20, 30, 40, 60, 85, 110, 140, 175, 250. Jets outside are not
            counted.
        flavours : sequence of labels, default=None
            Values of `y` to draw; by default all.
        reference : array-like of shape (n_jets,), default=None
            Scores of the same jets by a reference tagger.
        reference_cuts : array-like of shape (n_cuts,), or float, default=None
            Its cuts at the same working points; needed with `reference`.
        sample_weight : array-like of shape (n_jets,), default=None
            Weights of the jets.
        kind : {"efficiency", "rejection"}, default="efficiency"
            Whether to draw efficiencies or, on a logarithmic scale, their inverses.
        names : mapping of label to str, default=None
            Names of the flavours; by default their labels.
        variable_name : str, default="pT [GeV]"
            Label of the horizontal axis, with the unit.
        reference_name : str, default="reference"
            Name of the reference tagger.
        ax : matplotlib Axes, or pair of Axes with a reference, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the flavours, by their names.

        Returns
        -------
        EfficiencyDisplay
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
            variable,
            cuts=cuts,
            bins=bins,
            flavours=flavours,
            reference=reference,
            reference_cuts=reference_cuts,
            sample_weight=sample_weight,
            kind=kind,
            names=names,
            variable_name=variable_name,
            reference_name=reference_name,
            ax=ax,
            colors=colors,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "efficiency",
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the points.

        The error of a ratio is that of the tagger alone. The reference is measured on
        the same jets: their errors are correlated, and must not be added.

        Parameters
        ----------
        ax : matplotlib Axes, or pair of Axes with a reference, default=None
            Where to draw. By default a new figure is made.
        kind : {"efficiency", "rejection"}, default="efficiency"
            Whether to draw efficiencies or, on a logarithmic scale, their inverses.
            There is no point where the rejection is infinite.
        colors : mapping of str to color, default=None
            Colours of the flavours, by their names.

        Returns
        -------
        EfficiencyDisplay
            The display itself.
        """
        if kind not in ("efficiency", "rejection"):
            raise ValueError(f"kind must be 'efficiency' or 'rejection', got {kind!r}.")
        convert = _inverse if kind == "rejection" else finite
        shown = {name: convert(part) for name, part in self.efficiencies.items()}
        reference = {
            name: convert(part) for name, part in (self.reference or {}).items()
        }
        ratios = {name: ratio_to(shown[name], part) for name, part in reference.items()}
        palette = pick_colors(shown, colors)
        self.ax_, self.ratio_ax_ = make_panels(ax, ratio=bool(reference))
        self.figure_ = self.ax_.figure
        self.points_ = self._draw(self.ax_, shown, palette, suffix="")
        self.reference_points_ = self._draw(
            self.ax_,
            reference,
            palette,
            suffix=f", {self.reference_name}",
            markerfacecolor="white",
        )
        self.ratio_points_ = self._draw(self.ratio_ax_, ratios, palette)
        if kind == "rejection":
            self.ax_.set_yscale("log")
        label_panels(
            self.ax_,
            self.ratio_ax_,
            xlabel=self.variable_name,
            ylabel=kind,
            reference_name=self.reference_name,
        )
        return self

    # Points of each flavour and cut; they are not in the legend without a suffix.
    def _draw(
        self,
        ax: Any,
        estimates: Mapping[str, Estimate[Array]],
        palette: Mapping[str, str],
        suffix: str | None = None,
        **style: Any,
    ) -> dict[str, list[Any]]:
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return {
            name: [
                ax.errorbar(
                    centres,
                    value,
                    xerr=np.diff(self.edges) / 2,
                    yerr=error,
                    color=palette[name],
                    marker=_MARKERS[k % len(_MARKERS)],
                    linestyle="none",
                    label=None if suffix is None else self._legend(name, k) + suffix,
                    **style,
                )
                for k, (value, error) in enumerate(zip(*estimate, strict=True))
            ]
            for name, estimate in estimates.items()
        }

    def _legend(self, name: str, k: int) -> str:
        return name if len(self.cuts) == 1 else f"{name}, cut {self.cuts[k]:.3g}"


def _check_reference_cuts(cuts: ArrayLike | None, n_cuts: int) -> Array:
    if cuts is None:
        raise ValueError("reference needs reference_cuts, its cuts at the same points.")
    checked = check_numbers(np.atleast_1d(cuts), "reference_cuts")
    if len(checked) != n_cuts:
        raise ValueError(
            f"reference_cuts must be as many as the {n_cuts} cuts, but got "
            f"{len(checked)}."
        )
    return checked


def _binned_efficiency(
    scores: Array, weight: Array, numbers: NDArray, cuts: Array, n_bins: int
) -> Estimate[Array]:
    value, error = np.full((2, len(cuts), n_bins), np.nan)
    for k in range(n_bins):
        inside = numbers == k + 1
        if weight[inside].sum() > 0:
            value[:, k], error[:, k] = efficiency(scores[inside], cuts, weight[inside])
    return Estimate(value, error)


def _inverse(estimate: Estimate[Array]) -> Estimate[Array]:
    value = np.where(estimate.value > 0, estimate.value, np.nan)
    return Estimate(1 / value, estimate.error / value**2)
