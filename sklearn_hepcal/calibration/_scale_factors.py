import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, Tags, check_array, check_X_y
from sklearn.utils.validation import (
    _check_sample_weight,
    _get_feature_names,
    check_is_fitted,
    validate_data,
)

from .._find_column import find_column
from ..metrics import Estimate
from ._domains import BACKGROUND, check_data_weight, read_domains, stack_samples
from ._efficiencies import JetCounts, measure_efficiencies, parts_between, physical

Array = NDArray[np.float64]


class ScaleFactorCalibrator(BaseEstimator):
    r"""Scale factors of a tagger's efficiency at working points, in bins.

    The binned method that `OTCalibrator` replaces. At each working point, a cut on a
    discriminant, the efficiency of one flavour is measured in data and in simulation;
    their ratio is the scale factor (SF). Simulated jets are then weighted so that they
    pass the cuts as often as data [1]_. It serves the efficiency of b jets and the
    mistag rates of c and light jets alike.

    Parameters
    ----------
    cuts : array-like of shape (n_cuts,), or float
        The working points: different cuts on the discriminant, in any order. A jet
        passes if its score is equal to or above the cut.
    bins : array-like of shape (n_bins + 1,), or None, default=None
        Increasing edges of the bins, such as those in pT [GeV]; the lower edge is part
        of a bin, the upper one is not. The outermost may be infinite. Jets outside all
        bins are left out of the fit and keep the weight one. With None all jets are in
        one bin.
    score_column : int or str, default=0
        Position or name of the column of X with the discriminant.
    bin_column : int or str, default=1
        Position or name of the column that `bins` divides; not used without bins.

    Attributes
    ----------
    scale_factors_ : Estimate of arrays of shape (n_cuts, n_bins)
        Efficiencies in data over those in simulation, with their statistical errors.
    efficiency_data_ : Estimate of arrays of shape (n_cuts, n_bins)
        Efficiencies in data, after the subtraction of the background. The subtraction
        can take them out of [0, 1].
    efficiency_sim_ : Estimate of arrays of shape (n_cuts, n_bins)
        Efficiencies in simulation.
    cuts_ : ndarray of shape (n_cuts,)
        The cuts, in the order given.
    bin_edges_ : ndarray of shape (n_bins + 1,)
        The edges of the bins; infinite ones without bins.
    classes_ : ndarray of shape (2,)
        The labels of simulation and data.
    source_label_ : int or float
        The label of the simulation.
    target_label_ : int or float
        The label of the data.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, where it has any.

    Raises
    ------
    ValueError
        In `fit`, if X holds NaN or infinities, if y does not hold the labels of
        simulation and data, if data rows have negative weights, if no bin holds jets
        of both domains, or if a parameter is not valid.

    Warns
    -----
    UserWarning
        In `fit`, naming the bins, where an efficiency or a scale factor is not defined
        (NaN), and where the subtraction of the background leaves [0, 1] or lets a
        tighter cut pass more.

    See Also
    --------
    OTCalibrator : Moves the scores, without working points.
    DensityRatioReweighter : Weights from a classifier, without working points.

    Notes
    -----
    Let T and B be the weights of the simulated jets of the flavour and of the
    background in a bin, t and b those of the jets that pass, and p the part of the data
    that passes. In each bin the simulation, T + B, is scaled to the data, so that the
    part of the background in data, :math:`f = B / (T + B)`, is the simulated one: only
    the composition is taken from simulation, not the number of jets. Then

    .. math:: e_\mathrm{sim} = \frac{t}{T}, \qquad
              e_\mathrm{data} = \frac{p - f b / B}{1 - f}
                              = p + \frac{B p - b}{T}, \qquad
              \mathrm{SF} = \frac{e_\mathrm{data}}{e_\mathrm{sim}} .

    Errors are propagated to first order from the sums of squared weights of the jets
    that pass and that fail, independent of each other, of data, flavour and background.
    They are statistical: for the uncertainties of f and of the background's efficiency
    b / B, which is that of the simulation, vary the samples. Where that efficiency is
    known to be wrong, give the background the weights of a calibrator of its own.

    A simulated jet between two adjacent cuts gets the ratio of the parts of data and
    simulation that are between them. With one cut that is SF for a tagged jet and the
    inefficiency factor :math:`(1 - \mathrm{SF}\, e) / (1 - e)` for an untagged one;
    with several it is the "pseudo-continuous" calibration [2]_. On the rows of the fit
    the weights keep the sum of weights of each bin, and have the data's efficiency at
    these cuts. They do **not** have it at other cuts, nor any other property of the
    data: between two cuts the simulation keeps its shape.

    Efficiencies in data outside [0, 1] are clipped for the weights, and that of a
    tighter cut to that of a looser one: weights are never negative. Where there is no
    simulation between two cuts, the data there are out of reach; the weights of the
    bin's other jets are divided by their mean.

    References
    ----------
    .. [1] ATLAS Collaboration, "Performance of b-jet identification in the ATLAS
       experiment", JINST 11 (2016) P04008, arXiv:1512.01094.
    .. [2] ATLAS Collaboration, "ATLAS b-jet identification performance and efficiency
       measurement with :math:`t\bar t` events in pp collisions at
       :math:`\sqrt{s} = 13` TeV", Eur. Phys. J. C 79 (2019) 970, arXiv:1907.05120.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.calibration import ScaleFactorCalibrator
    >>> rng = np.random.default_rng(0)
    >>> X_sim, X_data = rng.normal(0, 1, (5000, 1)), rng.normal(0.2, 1, (5000, 1))
    >>> calibrator = ScaleFactorCalibrator(cuts=[1.0]).fit_samples(X_sim, X_data)
    >>> value, error = calibrator.scale_factors_
    >>> value.round(2), error.round(2)
    (array([[1.35]]), array([[0.06]]))
    >>> calibrator.predict([[2.0], [0.0]]).round(2)
    array([1.35, 0.93])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "cuts": ["array-like", Real],
        "bins": ["array-like", None],
        "score_column": [Integral, str],
        "bin_column": [Integral, str],
    }

    def __init__(
        self,
        cuts: ArrayLike,
        *,
        bins: ArrayLike | None = None,
        score_column: int | str = 0,
        bin_column: int | str = 1,
    ) -> None:
        self.cuts = cuts
        self.bins = bins
        self.score_column = score_column
        self.bin_column = bin_column

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Measure the efficiencies of data and simulation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The jets of both domains, with the columns `score_column` and, with bins,
            `bin_column`. Others are not used.
        y : array-like of shape (n_samples,)
            Domain labels, as for `OTCalibrator`: -1 is simulated background, jets of
            other flavours that are in the data as well and are subtracted from it; of
            the two others the lower is simulation and the higher is data (0 and 1 by
            convention).
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights, signed for simulation and background, not negative for data.
            Those of the background are in the units of the simulation's. Weights that
            normalise both to the data serve `OTCalibrator` as well.

        Returns
        -------
        ScaleFactorCalibrator
            The fitted calibrator.
        """
        self._validate_params()
        rows, domains = check_X_y(
            X, y, dtype=np.float64, ensure_min_samples=2, estimator=self
        )
        cuts, edges = _check_cuts(self.cuts), _check_edges(self.bins)
        classes = read_domains(domains, background=True)
        source_label, target_label = classes.tolist()
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        check_data_weight(weight[domains == target_label], target_label)
        columns = self._find_columns(X, rows.shape[1])

        cells = _cells(rows[:, columns], np.sort(cuts), edges)
        target, other, data = (
            JetCounts.of(
                cells, np.where(domains == label, weight, 0), len(cuts), len(edges) - 1
            )
            for label in (source_label, BACKGROUND, target_label)
        )
        results = measure_efficiencies(target, other, data)
        if np.isnan(results[1].value).all():
            raise ValueError(
                "no bin holds both data and simulated jets of the flavour with a "
                f"positive sum of weights; the edges of the bins are {edges.tolist()}."
            )
        _warn_of_unusable(*results, edges)

        # Nothing is stored before here, so that a failed fit leaves nothing behind.
        validate_data(self, X, skip_check_array=True)
        as_given = np.argsort(np.argsort(cuts))
        self.efficiency_sim_, self.efficiency_data_, self.scale_factors_ = (
            Estimate(value[as_given], error[as_given]) for value, error in results
        )
        self.cuts_, self.bin_edges_, self.classes_ = cuts, edges, classes
        self.source_label_, self.target_label_ = source_label, target_label
        self._columns = columns
        return self

    def fit_samples(
        self,
        X_sim: ArrayLike,
        X_data: ArrayLike,
        *,
        X_background: ArrayLike | None = None,
        sample_weight_sim: ArrayLike | None = None,
        sample_weight_data: ArrayLike | None = None,
        sample_weight_background: ArrayLike | None = None,
    ) -> Self:
        """Call `fit` on separate samples, with the labels 0, 1 and -1.

        Parameters
        ----------
        X_sim : array-like of shape (n_sim, n_features)
            Simulated jets of the flavour.
        X_data : array-like of shape (n_data, n_features)
            Data.
        X_background : array-like of shape (n_background, n_features), default=None
            Simulated jets of other flavours.
        sample_weight_sim : array-like of shape (n_sim,), default=None
            Event weights of the flavour.
        sample_weight_data : array-like of shape (n_data,), default=None
            Event weights of the data, not negative.
        sample_weight_background : array-like of shape (n_background,), default=None
            Event weights of the background, in the units of `sample_weight_sim`.

        Returns
        -------
        ScaleFactorCalibrator
            The fitted calibrator.
        """
        return self.fit(
            *stack_samples(
                (0, 1, BACKGROUND),
                (X_sim, X_data, X_background),
                (sample_weight_sim, sample_weight_data, sample_weight_background),
            )
        )

    def predict(
        self,
        X: ArrayLike,
        *,
        working_point: int | None = None,
        variation: float = 0.0,
    ) -> Array:
        """Give the weights of simulated jets of the flavour.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Jets; each is taken to be simulation.
        working_point : int or None, default=None
            Index of the one cut to calibrate. With None the efficiencies at all cuts
            are calibrated at once.
        variation : float, default=0.0
            By how many standard deviations to shift all scale factors, up or down
            together. The weights keep the sum of weights of each bin.

        Returns
        -------
        ndarray of shape (n_samples,)
            Factors by which to multiply the event weights; finite and not negative.
            They are one outside the bins and in bins without a measurement.

        Raises
        ------
        ValueError
            If there is no such working point, or the variation is not finite.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        if not np.isfinite(variation):
            raise ValueError(f"variation must be finite, but got {variation!r}.")
        chosen = self._sorted_cuts(working_point)
        cells = _cells(rows[:, self._columns], self.cuts_[chosen], self.bin_edges_)
        return self._weights(chosen, variation)[cells]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    # Positions of the score and, with bins, of what they divide.
    def _find_columns(self, X: ArrayLike, n_columns: int) -> list[int]:
        names = _get_feature_names(X)
        if names is None:
            names = [f"x{i}" for i in range(n_columns)]
        used = ["score_column"] if self.bins is None else ["score_column", "bin_column"]
        return [find_column(getattr(self, key), tuple(names), key) for key in used]

    # Indices of the working points in use, in increasing order of their cuts.
    def _sorted_cuts(self, working_point: int | None) -> NDArray[np.intp]:
        if working_point is None:
            return np.argsort(self.cuts_)
        if working_point not in range(len(self.cuts_)):
            raise ValueError(
                f"working_point must be None or the index of one of the "
                f"{len(self.cuts_)} cuts, but got {working_point!r}."
            )
        return np.array([int(working_point)])

    # Weights between adjacent cuts, for each bin and what is below and above all bins.
    def _weights(self, chosen: NDArray[np.intp], variation: float) -> Array:
        e_sim = self.efficiency_sim_.value[chosen]
        shift = variation * e_sim * self.scale_factors_.error[chosen]
        e_data = self.efficiency_data_.value[chosen] + np.nan_to_num(shift)
        sim, data = parts_between(e_sim), parts_between(physical(e_data))
        ratio = np.ones_like(sim)
        np.divide(data, sim, out=ratio, where=sim > 0)
        mean = np.sum(sim * ratio, axis=0)
        weights = np.ones_like(ratio)
        np.divide(ratio, mean, out=weights, where=mean > 0)
        return np.pad(weights, ((0, 0), (1, 1)), constant_values=1.0)


# For each row, how many of the cuts it passes, and the number of its bin from 1; it is
# 0 below and n_bins + 1 above all bins.
def _cells(columns: Array, cuts: Array, edges: Array) -> tuple[NDArray, NDArray]:
    # Without bins the only column serves, as every number is in the infinite bin.
    return np.digitize(columns[:, 0], cuts), np.digitize(columns[:, -1], edges)


def _check_cuts(cuts: ArrayLike) -> Array:
    checked: Array = check_array(
        np.atleast_1d(cuts),
        dtype=np.float64,
        ensure_2d=False,
        ensure_min_samples=0,
        input_name="cuts",
    )
    if checked.ndim != 1 or not 0 < len(checked) == len(np.unique(checked)):
        raise ValueError(
            f"cuts must be one or more different numbers, but got {cuts!r}."
        )
    return checked


def _check_edges(bins: ArrayLike | None) -> Array:
    if bins is None:
        return np.array([-np.inf, np.inf])
    edges = np.array(bins, dtype=np.float64)
    # A comparison with NaN is never true.
    if edges.ndim != 1 or len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
        raise ValueError(
            f"bins must give two or more increasing edges, but got {bins!r}."
        )
    return edges


def _warn_of_unusable(
    e_sim: Estimate[Array],
    e_data: Estimate[Array],
    factors: Estimate[Array],
    edges: Array,
) -> None:
    empty = np.any(np.isnan(e_sim.value) | np.isnan(e_data.value), axis=0)
    if empty.any():
        warnings.warn(
            f"In the bins {_names(empty, edges)} there are no data or no simulated "
            "jets of the flavour: the scale factors are NaN and the weights one.",
            stacklevel=3,
        )
    missed = np.any(np.isnan(factors.value), axis=0) & ~empty
    if missed.any():
        warnings.warn(
            f"In the bins {_names(missed, edges)} no simulated jet passes some of the "
            "cuts, whose scale factors are NaN.",
            stacklevel=3,
        )
    clipped = np.any(np.abs(e_data.value - physical(e_data.value)) > 1e-9, axis=0)
    if clipped.any():
        warnings.warn(
            f"In the bins {_names(clipped, edges)} the background does not fit into "
            "the data: some efficiencies that its subtraction leaves are outside "
            "[0, 1] or rise with the cut, and are clipped for the weights.",
            stacklevel=3,
        )


def _names(which: NDArray[np.bool_], edges: Array) -> str:
    pairs = zip(edges[:-1], edges[1:], which, strict=True)
    return ", ".join(f"[{low:g}, {high:g})" for low, high, named in pairs if named)
