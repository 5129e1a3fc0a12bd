"""Working points of a tagger: fixed cuts, pseudo-continuous bins, YAML in and out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._flavours import flavour, has_flavour, long_name
from .._optional import import_optional
from ._tagging import Estimate, efficiency, working_point_cuts
from ._validation import Array, check_scores, check_weights
from ._working_points_layout import from_layout, to_layout

# Efficiencies closer than this are the same working point.
_SAME = 1e-9


@dataclass(frozen=True, init=False)
class WorkingPoints:
    """Cuts on the score of a tagger, each named by its signal efficiency.

    The cuts are derived once, on the signal jets of one sample, and then stay as they
    are: on other samples they have other efficiencies. A jet passes a cut if its score
    is equal to or above it.

    Parameters
    ----------
    cuts : array-like of shape (n_points,)
        The cuts.
    efficiencies : array-like of shape (n_points,)
        Signal efficiency of each, all different, above 0 and up to 1. A larger one
        needs a cut that is not above the others.
    tagger : str, default="tagger"
        Name of the tagger.
    signal : str, int or None, default=None
        Label of the signal; spellings of a flavour are those of :func:`discriminant`.
    fractions : mapping of label to float, or None, default=None
        Fractions of the backgrounds in the discriminant that is cut on.

    Attributes
    ----------
    cuts : tuple of float
        The cuts in the order of increasing efficiency, from tight to loose.
    efficiencies : tuple of float
        Efficiencies of the cuts, increasing.
    tagger : str
        Name of the tagger.
    signal : str or None
        Short name of the signal, such as "b" for "bjets" and 5.
    fractions : dict of str to float, or None
        Fractions by the short names.

    Raises
    ------
    TypeError
        If a label is neither a string nor the integer of a known flavour.
    ValueError
        If cuts and efficiencies do not fit.

    See Also
    --------
    working_point_cuts : The cuts only.
    background_rejection : What they reject, with the error of the cuts.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import WorkingPoints
    >>> rng = np.random.default_rng(0)
    >>> b, light = rng.normal(2.0, size=1000), rng.normal(size=1000)
    >>> points = WorkingPoints.from_scores(b, [0.7, 0.85])
    >>> float(points.tag(light, 0.7).mean())
    0.08
    >>> points.digitize([-1.0, 1.2, 3.0])
    array([0, 1, 2])
    """

    cuts: tuple[float, ...]
    efficiencies: tuple[float, ...]
    tagger: str
    signal: str | None
    fractions: dict[str, float] | None = field(hash=False)

    def __init__(
        self,
        cuts: ArrayLike,
        efficiencies: ArrayLike,
        tagger: str = "tagger",
        signal: str | int | None = None,
        fractions: Mapping[Any, float] | None = None,
    ) -> None:
        ordered_cuts, ordered = _check_points(cuts, efficiencies)
        values = {
            "cuts": tuple(ordered_cuts.tolist()),
            "efficiencies": tuple(ordered.tolist()),
            "tagger": tagger,
            "signal": None if signal is None else _short_name(signal),
            "fractions": None
            if fractions is None
            else {_short_name(name): float(part) for name, part in fractions.items()},
        }
        for name, value in values.items():
            # the way past the lock of a frozen dataclass
            object.__setattr__(self, name, value)

    @classmethod
    def from_scores(
        cls,
        scores: ArrayLike,
        efficiencies: ArrayLike = (0.65, 0.70, 0.77, 0.85, 0.90),
        sample_weight: ArrayLike | None = None,
        *,
        tagger: str = "tagger",
        signal: str | int | None = None,
        fractions: Mapping[Any, float] | None = None,
    ) -> WorkingPoints:
        """Find the cuts that given parts of the signal jets pass.

        Parameters
        ----------
        scores : array-like of shape (n_jets,)
            Scores of signal jets.
        efficiencies : array-like of shape (n_points,)
            Wanted efficiencies, above 0 and up to 1. The default are those of ATLAS.
        sample_weight : array-like of shape (n_jets,) or None, default=None
            Non-negative weights of the jets.
        tagger : str, default="tagger"
            Name of the tagger.
        signal : str, int or None, default=None
            Label of the signal.
        fractions : mapping of label to float, or None, default=None
            Fractions of the backgrounds in the discriminant.

        Returns
        -------
        WorkingPoints
            The working points.

        Raises
        ------
        ValueError
            If efficiencies, scores or weights are unusable.
        """
        wanted = check_scores(np.atleast_1d(efficiencies), "efficiencies")
        cuts = working_point_cuts(scores, wanted, sample_weight)
        return cls(cuts, wanted, tagger, signal, fractions)

    def tag(self, scores: ArrayLike, efficiency: float) -> NDArray[np.bool_]:
        """Tell which jets pass a working point.

        Parameters
        ----------
        scores : array-like of shape (n_jets,)
            Scores of jets of any flavour.
        efficiency : float
            Efficiency that names the working point.

        Returns
        -------
        ndarray of bool, shape (n_jets,)
            True where the score is equal to or above the cut.

        Raises
        ------
        ValueError
            If there is no such working point, or a score is unusable.
        """
        for cut, known in zip(self.cuts, self.efficiencies, strict=True):
            if abs(known - efficiency) <= _SAME:
                passing: NDArray[np.bool_] = check_scores(scores, "scores") >= cut
                return passing
        raise ValueError(
            f"efficiency must be one of {list(self.efficiencies)}, got {efficiency!r}."
        )

    def digitize(self, scores: ArrayLike) -> NDArray[np.intp]:
        """Find the pseudo-continuous bins of jets.

        Parameters
        ----------
        scores : array-like of shape (n_jets,)
            Scores of jets of any flavour.

        Returns
        -------
        ndarray of int, shape (n_jets,)
            The number of cuts that each jet passes: 0 fails all of them, `n_points`
            passes the tightest.

        Raises
        ------
        ValueError
            If a score is unusable.
        """
        rising = np.array(self.cuts[::-1])
        return np.searchsorted(rising, check_scores(scores, "scores"), side="right")

    def measure(
        self, scores: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Estimate[Array]:
        """Measure the part of a sample that passes each working point.

        Parameters
        ----------
        scores : array-like of shape (n_jets,)
            Scores of the sample, such as the jets of one flavour.
        sample_weight : array-like of shape (n_jets,) or None, default=None
            Weights of the jets, possibly signed, with a positive sum.

        Returns
        -------
        Estimate
            Efficiencies of shape (n_points,) and their errors, those of
            :func:`efficiency`. The cuts count as exact.

        Raises
        ------
        ValueError
            If scores or weights are unusable.
        """
        return efficiency(scores, self.cuts, sample_weight)

    def measure_bins(
        self, scores: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Estimate[Array]:
        """Measure the part of a sample in each pseudo-continuous bin.

        Parameters
        ----------
        scores : array-like of shape (n_jets,)
            Scores of the sample, such as the jets of one flavour.
        sample_weight : array-like of shape (n_jets,) or None, default=None
            Weights of the jets, possibly signed, with a positive sum.

        Returns
        -------
        Estimate
            Parts of shape (n_points + 1,), which sum to one, and their errors, from the
            bin that fails all cuts to the one that passes all.

        Raises
        ------
        ValueError
            If scores or weights are unusable.
        """
        bins = self.digitize(scores)
        parts = [
            efficiency(bins == number, [1.0], sample_weight)
            for number in range(len(self.cuts) + 1)
        ]
        value, error = np.concatenate(parts, axis=1)
        return Estimate(value, error)

    def to_yaml(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        samples: Mapping[str, Sequence[Any]] | None = None,
        decimals: int | None = None,
    ) -> str:
        """Write the working points in the layout of ATLAS's software.

        It is ``{tagger: {signal: bjets, fc: 0.2, fu: 0.8, "70": {cut_value: 1.2}}}``,
        with ``ttbar: {eff: {bjets: 0.7}, rej: {bjets: 1.43}}`` in each point for every
        sample. Reading it back gives the same working points.

        Parameters
        ----------
        path : str, path-like or None, default=None
            File to write, if any.
        samples : mapping of str to tuple, or None, default=None
            Names of samples and their ``(scores, y)`` or ``(scores, y, sample_weight)``
            in which to measure the efficiency and the rejection of each class, in the
            cuts as they are written.
        decimals : int or None, default=None
            Decimals to which the cuts are rounded; None keeps them exactly.

        Returns
        -------
        str
            The text.

        Raises
        ------
        ImportError
            If PyYAML is not installed.
        ValueError
            If the samples are unusable.
        """
        yaml = import_optional("yaml", "yaml")
        written = self
        if decimals is not None:
            written = replace(self, cuts=tuple(np.round(self.cuts, decimals)))
        measured = {
            name: written._by_class(*_check_sample(sample, name))
            for name, sample in (samples or {}).items()
        }
        text: str = yaml.safe_dump(to_layout(written, measured), sort_keys=False)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_yaml(
        cls, source: str | os.PathLike[str] | IO[str], tagger: str | None = None
    ) -> WorkingPoints:
        """Read working points in the layout of ATLAS's software.

        Parameters
        ----------
        source : str, path-like or open text file
            The file, or its path.
        tagger : str or None, default=None
            Name of the tagger, needed if the file has several.

        Returns
        -------
        WorkingPoints
            The working points. What the file says of samples is not read.

        Raises
        ------
        ImportError
            If PyYAML is not installed.
        ValueError
            If the file is not in this layout; the message names what is missing.

        Examples
        --------
        >>> from io import StringIO
        >>> from sklearn_hepcal.metrics import WorkingPoints
        >>> text = '''
        ... GN2v01:
        ...   signal: bjets
        ...   fc: 0.2
        ...   fu: 0.8
        ...   '77': {cut_value: 1.877}
        ...   '85': {cut_value: 0.378}
        ... '''
        >>> points = WorkingPoints.from_yaml(StringIO(text))
        >>> points.cuts, points.signal, points.fractions
        ((1.877, 0.378), 'b', {'c': 0.2, 'u': 0.8})
        """
        yaml = import_optional("yaml", "yaml")
        if isinstance(source, str | os.PathLike):
            source_text = Path(source).read_text(encoding="utf-8")
        else:
            source_text = source.read()
        try:
            content = yaml.safe_load(source_text)
        except yaml.YAMLError as error:
            raise ValueError(f"source is not valid YAML: {error}") from error
        return cls(**from_layout(content, tagger))

    # Efficiencies of the points for each class of a sample.
    def _by_class(
        self, scores: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> dict[str, list[float]]:
        scores = check_scores(scores, "scores")
        weights = check_weights(
            sample_weight, len(scores), "sample_weight", signed=True
        )
        result = {}
        for label in np.unique(np.asarray(y)).tolist():
            rows = has_flavour(y, label, "y")
            if len(rows) != len(scores):
                raise ValueError(f"y has {len(rows)} entries for {len(scores)} scores.")
            value, _ = self.measure(scores[rows], weights[rows])
            result[long_name(str(flavour(label)))] = value.tolist()
        return result


# Both in the order of increasing efficiency.
def _check_points(cuts: ArrayLike, efficiencies: ArrayLike) -> tuple[Array, Array]:
    cuts = check_scores(cuts, "cuts")
    wanted = check_scores(efficiencies, "efficiencies")
    if len(cuts) != len(wanted):
        raise ValueError(
            "cuts and efficiencies must have the same length, got "
            f"{len(cuts)} and {len(wanted)}."
        )
    order = np.argsort(wanted)
    cuts, wanted = cuts[order], wanted[order]
    if wanted[0] <= 0 or wanted[-1] > 1 or (np.diff(wanted) <= _SAME).any():
        raise ValueError(
            f"efficiencies must be different, above 0 and up to 1, got {wanted}."
        )
    if (np.diff(cuts) > 0).any():
        raise ValueError(
            f"cuts must not rise with the efficiency, got {cuts} for {wanted}."
        )
    return cuts, wanted


def _check_sample(sample: Sequence[Any], name: str) -> Sequence[Any]:
    if not isinstance(sample, tuple | list) or len(sample) not in (2, 3):
        raise ValueError(
            f"samples must hold (scores, y) or (scores, y, sample_weight), got {name}="
            f"{sample!r}."
        )
    return sample


def _short_name(label: str | int) -> str:
    name = flavour(label)
    if not isinstance(name, str):
        raise TypeError(
            "Labels must be strings, or 0, 4, 5 and 15 for the flavours of jets, got "
            f"{label!r}."
        )
    return name
