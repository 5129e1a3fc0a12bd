from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..metrics import Estimate, background_rejection
from ._panels import (
    check_jets,
    check_numbers,
    finite,
    label_panels,
    make_panels,
    name_of,
    pick_colors,
    ratio_to,
    score_jets,
    split_flavours,
)

Array = NDArray[np.float64]


class RejectionDisplay:
    """Background rejection of a tagger against its signal efficiency.

    One curve with an error band for each background. Against a reference tagger, whose
    curves are dashed, there is a second panel with the ratios of the rejections.

    It is recommended to use `from_predictions` or `from_estimator` to create a display.

    Parameters
    ----------
    efficiencies : ndarray of shape (n_points,)
        Signal efficiencies.
    rejections : mapping of str to Estimate of arrays of shape (n_points,)
        Rejection of each background, by its name. Points that are not finite are not
        drawn.
    reference : mapping of str to Estimate, or None, default=None
        Rejections of the reference tagger, for the same backgrounds.
    signal_name : str, default="signal"
        Name of the signal.
    name : str, default="tagger"
        Name of the tagger.
    reference_name : str, default="reference"
        Name of the reference tagger.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the rejections, after `plot`.
    ratio_ax_ : matplotlib Axes or None
        The panel of the ratios; None without a reference.
    figure_ : matplotlib Figure
        The figure.
    lines_ : dict of str to matplotlib Line2D
        The curve of each background.
    reference_lines_, ratio_lines_ : dict of str to matplotlib Line2D
        The curves of the reference, and of the ratios; empty without a reference.

    See Also
    --------
    sklearn_hepcal.metrics.background_rejection : The rejections and their errors.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.plotting import RejectionDisplay
    >>> rng = np.random.default_rng(0)
    >>> flavour = rng.choice(["b", "c", "light"], 3000)
    >>> scores = rng.normal(np.select([flavour == "b", flavour == "c"], [2.0, 0.7]))
    >>> display = RejectionDisplay.from_predictions(flavour, scores, signal="b")
    >>> sorted(display.lines_)
    ['c', 'light']
    """

    def __init__(
        self,
        *,
        efficiencies: Array,
        rejections: Mapping[str, Estimate[Array]],
        reference: Mapping[str, Estimate[Array]] | None = None,
        signal_name: str = "signal",
        name: str = "tagger",
        reference_name: str = "reference",
    ) -> None:
        self.efficiencies = efficiencies
        self.rejections = rejections
        self.reference = reference
        self.signal_name = signal_name
        self.name = name
        self.reference_name = reference_name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike,
        *,
        signal: Hashable,
        backgrounds: Sequence[Hashable] | None = None,
        reference: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        efficiencies: ArrayLike | None = None,
        names: Mapping[Any, str] | None = None,
        name: str = "tagger",
        reference_name: str = "reference",
        ax: Any = None,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the rejections of a tagger from the scores of labelled jets.

        Parameters
        ----------
        y_true : array-like of shape (n_jets,)
            Flavours of the jets.
        scores : array-like of shape (n_jets,)
            Scores of the jets, higher for the signal.
        signal : label
            The signal's value in `y_true`.
        backgrounds : sequence of labels, default=None
            Those of the backgrounds; by default all values but the signal's.
        reference : array-like of shape (n_jets,), default=None
            Scores of the same jets by a reference tagger.
        sample_weight : array-like of shape (n_jets,), default=None
            Weights of the jets; not negative for the signal.
        efficiencies : array-like of shape (n_points,), default=None
            Signal efficiencies, above 0 and up to 1; by default 0.5, 0.51, ... 1.
        names : mapping of label to str, default=None
            Names of the flavours; by default their labels.
        name : str, default="tagger"
            Name of the tagger; shown if there is a reference.
        reference_name : str, default="reference"
            Name of the reference tagger.
        ax : matplotlib Axes, or pair of Axes with a reference, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the backgrounds, by their names.

        Returns
        -------
        RejectionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If scores, weights or efficiencies are unusable, or a flavour has no jets.
        ImportError
            If matplotlib is not installed.
        """
        labels, values, weight = check_jets(y_true, scores, sample_weight)
        if efficiencies is None:
            efficiencies = np.linspace(0.5, 1, 51)
        wanted = check_numbers(efficiencies, "efficiencies")
        if backgrounds is None:
            backgrounds = [c for c in np.unique(labels).tolist() if c != signal]
        if signal in backgrounds or len(backgrounds) == 0:
            raise ValueError(
                f"backgrounds must be flavours other than the signal {signal!r}, but "
                f"got {list(backgrounds)}."
            )
        (is_signal,) = split_flavours(labels, [signal], None).values()
        rows = split_flavours(labels, backgrounds, names)

        def measure(tagger: Array) -> dict[str, Estimate[Array]]:
            return {
                background: background_rejection(
                    is_signal[part], tagger[part], wanted, weight[part]
                )
                for background, part in ((k, m | is_signal) for k, m in rows.items())
            }

        display = cls(
            efficiencies=wanted,
            rejections=measure(values),
            reference=None
            if reference is None
            else measure(check_numbers(reference, "reference", len(labels))),
            signal_name=name_of(signal, names),
            name=name,
            reference_name=reference_name,
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
        backgrounds: Sequence[Hashable] | None = None,
        reference: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        efficiencies: ArrayLike | None = None,
        names: Mapping[Any, str] | None = None,
        name: str | None = None,
        reference_name: str = "reference",
        ax: Any = None,
        colors: Mapping[str, str] | None = None,
    ) -> Self:
        """Draw the rejections of a fitted tagger.

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
        backgrounds : sequence of labels, default=None
            The backgrounds; by default all flavours but the signal.
        reference : array-like of shape (n_jets,), default=None
            Scores of the same jets by a reference tagger.
        sample_weight : array-like of shape (n_jets,), default=None
            Weights of the jets; not negative for the signal.
        efficiencies : array-like of shape (n_points,), default=None
            Signal efficiencies, above 0 and up to 1; by default 0.5, 0.51, ... 1.
        names : mapping of label to str, default=None
            Names of the flavours; by default their labels.
        name : str, default=None
            Name of the tagger; by default that of its class.
        reference_name : str, default="reference"
            Name of the reference tagger.
        ax : matplotlib Axes, or pair of Axes with a reference, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the backgrounds, by their names.

        Returns
        -------
        RejectionDisplay
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
            signal=signal,
            backgrounds=backgrounds,
            reference=reference,
            sample_weight=sample_weight,
            efficiencies=efficiencies,
            names=names,
            name=type(estimator).__name__ if name is None else name,
            reference_name=reference_name,
            ax=ax,
            colors=colors,
        )

    def plot(self, ax: Any = None, *, colors: Mapping[str, str] | None = None) -> Self:
        """Draw the curves.

        The band of a ratio is the error of the tagger alone. The reference is measured
        on the same jets: their errors are correlated, and must not be added.

        Parameters
        ----------
        ax : matplotlib Axes, or pair of Axes with a reference, default=None
            Where to draw. By default a new figure is made.
        colors : mapping of str to color, default=None
            Colours of the backgrounds, by their names.

        Returns
        -------
        RejectionDisplay
            The display itself.
        """
        palette = pick_colors(self.rejections, colors)
        reference = self.reference or {}
        self.ax_, self.ratio_ax_ = make_panels(ax, ratio=bool(reference))
        self.figure_ = self.ax_.figure
        self.lines_ = {
            background: self._draw(
                self.ax_,
                rejection,
                color=palette[background],
                label=f"{background}, {self.name}" if reference else background,
            )
            for background, rejection in self.rejections.items()
        }
        self.reference_lines_ = {
            background: self._draw(
                self.ax_,
                rejection,
                color=palette[background],
                linestyle="--",
                label=f"{background}, {self.reference_name}",
            )
            for background, rejection in reference.items()
        }
        self.ratio_lines_ = {
            background: self._draw(
                self.ratio_ax_,
                ratio_to(self.rejections[background], rejection),
                color=palette[background],
            )
            for background, rejection in reference.items()
        }
        self.ax_.set_yscale("log")
        label_panels(
            self.ax_,
            self.ratio_ax_,
            xlabel=f"{self.signal_name} efficiency",
            ylabel="background rejection",
            reference_name=self.reference_name,
        )
        return self

    def _draw(self, ax: Any, estimate: Estimate[Array], **style: Any) -> Any:
        value, error = finite(estimate)
        (line,) = ax.plot(self.efficiencies, value, **style)
        ax.fill_between(
            self.efficiencies,
            value - error,
            value + error,
            color=style["color"],
            alpha=0.2,
            linewidth=0,
        )
        return line
