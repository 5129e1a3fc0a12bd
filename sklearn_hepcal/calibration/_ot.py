from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from .._network_training import TRAINING_CONSTRAINTS
from ._bures import BuresMap
from ._conditions import SpectrumRatio, check_population
from ._convex_map import ConvexMap, fit_convex_map
from ._domains import BACKGROUND, check_data_weight, read_domains, stack_samples
from ._hats import HatBasis
from ._maps import Array, IdentityMap, Sample
from ._quantile import QuantileMap
from ._selection import (
    HOLD_OUT_ROWS,
    Fitter,
    Selection,
    dual_terms,
    hold_out,
    select_map,
)

# With fewer rows than these on a side, a network cannot win and is not tried.
_NETWORK_ROWS = 200
# Training steps of the network where `max_epochs` is None: for large samples, and for
# small ones, which are fitted six times.
_N_STEPS = 1500
_N_STEPS_SMALL = 600


class OTCalibrator(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Move simulated rows onto data by the smallest, monotone change.

    Of all maps T for which the moved simulation is distributed like data, optimal
    transport takes the one of least mean squared displacement. By Brenier's theorem
    it is the gradient of a convex potential, hence monotone and invertible. With
    `conditions` there is one map for every value of the condition columns (such as
    the transverse momentum of a jet), which themselves pass through unchanged, and
    ``T(., c)`` takes p_sim(x|c) to p_data(x|c) [1]_ [2]_.

    Parameters
    ----------
    solver : {"picnn", "bures", "quantile"}, default="picnn"
        "picnn" trains a partially input-convex network on the semi-dual of optimal
        transport, after the Gaussian map. "bures" is the Gaussian map, which is
        affine and exact between Gaussians. "quantile" moves each column by itself
        and is exact in one dimension, :math:`P_{data}^{-1} \circ P_{sim}`.
    conditions : sequence of int or str, default=None
        Columns that condition the map, by index or name. Maps are interpolated
        between `n_knots` quantiles of every condition in data, and stay the same
        beyond the outermost: a variable with a long tail, like a transverse momentum,
        is better given as its logarithm. Knots of several conditions multiply.
    match_conditions : bool, default=True
        Weight the simulation to the conditions' spectrum in data for the fit. If
        False, the spectra must agree already.
    n_knots : int, default=7
        Knots of every condition.
    selection : bool or "auto", default="auto"
        Compare the map with the simpler ones (identity, then the Gaussian map) on
        rows that it was not fitted to, and keep the simplest within one standard
        error of the best; of these, none that a classifier tells from data better than
        another by three standard errors of the AUC. From 10,000 rows of each side on,
        `validation_fraction` of them is held out, and the map kept is the one fitted
        to the others; fewer rows are cross-validated in five folds, and the map is
        fitted again to all. "auto" does this for the solver "picnn" only.
    shrinkage : float, default=1e-4
        Fraction by which the Gaussian map's covariances between columns are reduced.
    n_quantiles : int, default=1000
        Largest number of levels of the solver "quantile". Many levels follow the
        samples closely and make the Jacobian noisy: take some 50 for densities.
    hidden_width : int, default=64
        Units in every layer of the network.
    n_layers : int, default=2
        Layers of the network.
    min_curvature : float, default=0.05
        Smallest curvature of the network's potential, relative to the Gaussian map.
    max_epochs : int or None, default=None
        Passes of the network's training over the larger sample. None stands for
        1,500 steps, and for 600 if there are less than 10,000 rows a side.
    batch_size : int, default=1024
        Rows of each side in a training step, at most an eighth of the smaller one.
    learning_rate : float, default=0.05
        Peak learning rate of the network's training.
    early_stopping : bool, default=False
        Stop the training when the semi-dual of held-out rows no longer improves.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping sets in.
    validation_fraction : float, default=0.1
        Part of the rows that is held out from large samples.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where the network is trained; "auto" takes a GPU when there is one. The fitted
        map runs on the CPU.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out rows and of the training.

    Attributes
    ----------
    selection_ : str
        The map that was kept: "identity", "bures", "quantile" or "picnn".
    held_out_gain_ : dict
        For every map that was compared, the gain of the held-out semi-dual over the
        identity, and the standard error of its difference to the best map's. Empty
        without selection.
    dual_curve_ : ndarray of shape (n_epochs,)
        Gain of the held-out semi-dual over the Gaussian map after every epoch of the
        network's training, the mean over folds. Empty without a network or without
        held-out rows.
    min_curvature_ : float
        Lower bound of the eigenvalues of the map's Jacobian, anywhere. Positive: the
        map is strictly monotone.
    conditions_ : ndarray of int
        Indices of the condition columns.
    moved_ : ndarray of int
        Indices of the other columns.
    source_label_ : int or str
        Label of the simulation.
    target_label_ : int or str
        Label of the data.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, where it has any.

    Raises
    ------
    ValueError
        In `fit`, if X holds NaN or infinities, if y does not hold the labels of
        simulation and data, if a moved column is constant, if data have negative
        weights, if a condition column does not exist, or if too few rows of a side
        support a knot of the conditions (as for disjoint spectra).

    See Also
    --------
    DensityRatioReweighter : Weights the rows instead of moving them.
    SimplexTransformer : Takes probabilities to coordinates that can be moved freely.

    Notes
    -----
    The cost is the squared Euclidean distance in the moved columns as they are given:
    their units decide what a small change is. Multiplying all by one factor multiplies
    the map.

    With label -1, y marks simulated background that is part of the data and not to be
    moved: data minus background is the target. The background's weights are relative
    to those of the data (with weights of one, so many background rows are expected in
    the data).

    The potential is :math:`\psi(x, c) = |x|^2/2` plus a convex network in coordinates
    in which the Gaussian map is the identity [3]_; it minimises
    :math:`E_{sim}\,\psi + E_{data}\,\psi^*`. There is no adversary to train, and the
    inverse map is :math:`\nabla\psi^*`. Outside the training sample the maps continue
    affinely. A transport map moves densities without atoms: columns with repeated
    values cannot close.

    For cross-validation give a stratified splitter, as in
    ``GridSearchCV(..., cv=StratifiedKFold())``: scikit-learn stratifies by itself only
    for classifiers, and an unshuffled fold of stacked samples is a single domain.

    The one-dimensional solver "quantile" without conditions is the data-based
    calibration of arXiv:2205.05084. It depends on the spectrum of the truth in the
    calibration sample: on another spectrum it may be worse than none.

    References
    ----------
    .. [1] ATLAS Collaboration, "A continuous calibration of the ATLAS
       flavour-tagging classifiers via optimal transportation maps",
       arXiv:2505.13063.
    .. [2] C. Pollard and P. Windischhofer, "Transport away your problems: Calibrating
       stochastic simulations with optimal transport", arXiv:2107.08648.
    .. [3] B. Amos, L. Xu and J. Z. Kolter, "Input convex neural networks",
       arXiv:1609.07152.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.calibration import OTCalibrator
    >>> rng = np.random.default_rng(0)
    >>> X_sim = rng.normal(0.0, 1.0, (5000, 2))
    >>> X_data = rng.normal(0.3, 1.2, (5000, 2))
    >>> calibrator = OTCalibrator(solver="bures").fit_samples(X_sim, X_data)
    >>> moved = calibrator.transform(X_sim)
    >>> print(moved.mean().round(1), moved.std().round(1))
    0.3 1.2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TRAINING_CONSTRAINTS,
        "solver": [StrOptions({"picnn", "bures", "quantile"})],
        "conditions": ["array-like", None],
        "match_conditions": ["boolean"],
        "n_knots": [Interval(Integral, 2, None, closed="left")],
        "selection": ["boolean", StrOptions({"auto"})],
        "shrinkage": [Interval(Real, 0, 1, closed="both")],
        "n_quantiles": [Interval(Integral, 2, None, closed="left")],
        "hidden_width": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "min_curvature": [Interval(Real, 0, 0.4, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        solver: str = "picnn",
        *,
        conditions: Sequence[int | str] | None = None,
        match_conditions: bool = True,
        n_knots: int = 7,
        selection: bool | str = "auto",
        shrinkage: float = 1e-4,
        n_quantiles: int = 1000,
        hidden_width: int = 64,
        n_layers: int = 2,
        min_curvature: float = 0.05,
        max_epochs: int | None = None,
        batch_size: int = 1024,
        learning_rate: float = 0.05,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        validation_fraction: float = 0.1,
        device: str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.solver = solver
        self.conditions = conditions
        self.match_conditions = match_conditions
        self.n_knots = n_knots
        self.selection = selection
        self.shrinkage = shrinkage
        self.n_quantiles = n_quantiles
        self.hidden_width = hidden_width
        self.n_layers = n_layers
        self.min_curvature = min_curvature
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Find the map from simulation to data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all samples, moved and condition columns.
        y : array-like of shape (n_samples,)
            Domain labels: -1 is simulated background that is not moved; of the two
            others the lower is simulation and the higher is data (0 and 1 by
            convention).
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights, signed for simulation and background, not negative for data.

        Returns
        -------
        OTCalibrator
            The fitted calibrator.
        """
        rows, domains = validate_data(
            self, X, y, dtype=np.float64, ensure_min_samples=2
        )
        self._validate_params()
        self._read_columns()
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        labels = read_domains(domains, background=True)
        self.source_label_, self.target_label_ = labels.tolist()
        check_data_weight(weight[domains == self.target_label_], self.target_label_)

        self._split_rows(rows, domains)
        rows, domains, weight = (a[weight != 0] for a in (rows, domains, weight))
        self._check_totals(domains, weight)
        self._fit_conditions(rows, domains, weight)
        simulation, data = self._samples(rows, domains, weight)
        self._check_spread(simulation, "simulation")
        self._check_spread(data, "data")

        rng = check_random_state(self.random_state)
        chosen = self._fit_map(simulation, data, rng)
        self.selection_, self._map, self.held_out_gain_ = chosen
        self.min_curvature_ = self._map.min_curvature()
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
            Simulation.
        X_data : array-like of shape (n_data, n_features)
            Data.
        X_background : array-like of shape (n_background, n_features), default=None
            Simulated background in the data.
        sample_weight_sim : array-like of shape (n_sim,), default=None
            Event weights of the simulation.
        sample_weight_data : array-like of shape (n_data,), default=None
            Event weights of the data.
        sample_weight_background : array-like of shape (n_background,), default=None
            Event weights of the background, normalised to the data's.

        Returns
        -------
        OTCalibrator
            The fitted calibrator.
        """
        return self.fit(
            *stack_samples(
                (0, 1, BACKGROUND),
                (X_sim, X_data, X_background),
                (sample_weight_sim, sample_weight_data, sample_weight_background),
            )
        )

    def transform(self, X: ArrayLike) -> Array:
        """Move rows of the simulation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; each is taken to be simulation.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The moved rows; condition columns are unchanged.
        """
        return self._move(X, "forward")

    def inverse_transform(self, X: ArrayLike) -> Array:
        """Find the simulated rows that `transform` moves to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Moved rows, or data.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows before they were moved; condition columns are unchanged.
        """
        return self._move(X, "inverse")

    def log_abs_det_jacobian(self, X: ArrayLike, *, inverse: bool = False) -> Array:
        r"""Compute the logarithm of the map's Jacobian determinant.

        Densities follow from it: that of moved rows T(x) is p_sim(x) over the
        determinant, and conversely :math:`p_{data}(y) \approx
        p_{sim}(T^{-1}(y)) |\det \nabla T^{-1}(y)|`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows at which to evaluate it.
        inverse : bool, default=False
            Whether to take the Jacobian of `inverse_transform` in place of that of
            `transform`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The logarithms.
        """
        x, h = self._coordinates(self._read(X))
        if inverse:
            return -self._map.log_det(self._map.inverse(x, h), h)
        return self._map.log_det(x, h)

    def condition_weights(self, X: ArrayLike) -> Array:
        """Estimate the ratio of the conditions' spectra, p_data(c) / p_sim(c).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the simulation.

        Returns
        -------
        ndarray of shape (n_samples,)
            Weights that give the simulation the data's spectrum; one without
            conditions or without `match_conditions`.
        """
        return self._ratio(self._read(X))

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Gain of the semi-dual over the identity, on rows of both samples.

        Up to a constant of the samples it is minus half the mean squared error of
        the map, to leading order: it ranks maps as the distance to the true one does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, not those of the fit.
        y : array-like of shape (n_samples,)
            Their domain labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights.

        Returns
        -------
        float
            The gain, in squared units of the moved columns: higher is better, 0 is
            as good as no calibration.
        """
        check_is_fitted(self)
        rows, domains = validate_data(
            self, X, y, dtype=np.float64, reset=False, ensure_min_samples=2
        )
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        self._split_rows(rows, domains)
        self._check_totals(domains, weight)
        return dual_terms(self._map, *self._samples(rows, domains, weight)).gain()[0]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    # Translate `conditions` to indices.
    def _read_columns(self) -> None:
        names = list(getattr(self, "feature_names_in_", []))
        n = self.n_features_in_
        indices = []
        for condition in self.conditions if self.conditions is not None else ():
            if isinstance(condition, str) and condition in names:
                indices.append(names.index(condition))
            elif isinstance(condition, Integral) and -n <= condition < n:
                indices.append(int(condition) % n)
            else:
                raise ValueError(
                    f"conditions names the column {condition!r}, but X has "
                    + (
                        f"the columns {names}"
                        if names
                        else f"{n} columns without names"
                    )
                    + f": give names or indices, from {-n} to {n - 1}."
                )
        self.conditions_ = np.array(indices, dtype=int)
        if len(set(indices)) < len(indices):
            raise ValueError(f"conditions names a column twice: {self.conditions}.")
        self.moved_ = np.setdiff1d(np.arange(n), self.conditions_)
        if len(self.moved_) == 0:
            raise ValueError("conditions names every column: nothing is left to move.")

    # Rows of simulation, and rows of data and background together.
    def _split_rows(
        self, rows: Array, domains: NDArray
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        source = np.flatnonzero(domains == self.source_label_)
        target = np.flatnonzero(
            (domains == self.target_label_) | (domains == BACKGROUND)
        )
        if len(source) + len(target) < len(rows) or not min(len(source), len(target)):
            raise ValueError(
                f"y must hold the labels {self.source_label_!r} (simulation) and "
                f"{self.target_label_!r} (data), but it holds "
                f"{np.unique(domains).tolist()[:5]}. For cross-validation pass a "
                "stratified splitter, cv=StratifiedKFold()."
            )
        return source, target

    def _check_totals(self, domains: NDArray, weight: Array) -> None:
        totals = {
            "simulation": weight[domains == self.source_label_].sum(),
            "data less background": weight[domains == self.target_label_].sum()
            - weight[domains == BACKGROUND].sum(),
        }
        for name, total in totals.items():
            if not total > 0:
                raise ValueError(
                    "sample_weight must have a positive sum on each side, but that of "
                    f"{name} is {total:g}."
                )

    def _fit_conditions(self, rows: Array, domains: NDArray, weight: Array) -> None:
        self._spectrum_ratio: SpectrumRatio | None = None
        self._basis = HatBasis([])
        # Maps are kept relative to this point, lest large offsets cost precision.
        self._origin = rows[domains == self.source_label_][:, self.moved_].mean(axis=0)
        if len(self.conditions_) == 0:
            return
        c = rows[:, self.conditions_]
        source, target = self._split_rows(rows, domains)
        data = domains == self.target_label_
        signed = np.where(domains == BACKGROUND, -weight, weight)
        self._basis = HatBasis.from_sample(c[data], weight[data], self.n_knots)
        check_population(self._basis, c[source], signed[source], "simulated")
        check_population(self._basis, c[target], signed[target], "data")
        if self.match_conditions:
            self._spectrum_ratio = SpectrumRatio.fit(
                self._basis, c[source], signed[source], c[target], signed[target]
            )

    def _ratio(self, rows: Array) -> Array:
        if self._spectrum_ratio is None:
            return np.ones(len(rows))
        return self._spectrum_ratio(rows[:, self.conditions_])

    # Moved columns and basis functions of the conditions.
    def _coordinates(self, rows: Array) -> tuple[Array, Array]:
        h = self._basis(rows[:, self.conditions_])
        return rows[:, self.moved_] - self._origin, h

    # Simulation, at the spectrum of the data, and data less background.
    def _samples(
        self, rows: Array, domains: NDArray, weight: Array
    ) -> tuple[Sample, Sample]:
        source, target = self._split_rows(rows, domains)
        signed = np.where(domains == BACKGROUND, -weight, weight)
        matched = signed[source] * self._ratio(rows[source])
        source, matched = source[matched != 0], matched[matched != 0]
        if len(source) == 0:
            raise ValueError(
                "no simulation lies in the range of the conditions of the data."
            )
        return (
            Sample(*self._coordinates(rows[source]), matched / matched.mean()),
            Sample(
                *self._coordinates(rows[target]), signed[target] / signed[target].mean()
            ),
        )

    def _check_spread(self, sample: Sample, name: str) -> None:
        if len(sample.x) < 2:
            raise ValueError(
                f"the {name} has n_samples = {len(sample.x)} row of non-zero weight: a "
                "map needs at least two."
            )
        spread = np.ptp(sample.x, axis=0)
        if (spread == 0).any():
            column = int(self.moved_[np.argmin(spread)])
            names = getattr(self, "feature_names_in_", None)
            shown = column if names is None else repr(names[column])
            raise ValueError(
                f"column {shown} is constant in the {name}: there is no map from or to "
                "a single value. Leave the column out."
            )

    def _fit_map(
        self, source: Sample, target: Sample, rng: np.random.RandomState
    ) -> Selection:
        seed = rng.randint(np.iinfo(np.int32).max)
        curves: list[Array] = []
        size = min(len(source.x), len(target.x))
        fitters = self._fitters(seed, curves, large=size >= HOLD_OUT_ROWS)
        if self.selection is True or (
            self.selection == "auto" and self.solver == "picnn"
        ):
            if size < _NETWORK_ROWS:
                fitters.pop("picnn", None)
            selected = select_map(
                fitters,
                source,
                target,
                validation_fraction=self.validation_fraction,
                rng=rng,
            )
        else:
            fitted = fitters[self.solver](source, target, None)
            selected = Selection(self.solver, fitted, {})
        known = [curve for curve in curves if not np.isnan(curve).any()]
        length = min((len(curve) for curve in known), default=0)
        self.dual_curve_ = (
            np.mean([curve[:length] for curve in known], axis=0)
            if known
            else np.empty(0)
        )
        return selected

    # What fits each map that this solver is compared with, the simplest first.
    def _fitters(
        self, seed: int, curves: list[Array], *, large: bool
    ) -> dict[str, Fitter]:
        def gaussian(source: Sample, target: Sample, held_out: Any = None) -> BuresMap:
            return BuresMap.fit(source, target, shrinkage=self.shrinkage)

        def quantile(source: Sample, target: Sample, held_out: Any) -> QuantileMap:
            return QuantileMap.fit(source, target, n_quantiles=self.n_quantiles)

        def network(source: Sample, target: Sample, held_out: Any) -> ConvexMap:
            if self.early_stopping and held_out is None:
                source, target, held_out = hold_out(
                    source,
                    target,
                    self.validation_fraction,
                    np.random.RandomState(seed),
                )
            size = min(len(source.x), len(target.x))
            fitted, curve = fit_convex_map(
                gaussian(source, target),
                source,
                target,
                held_out,
                n_steps=_N_STEPS if large else _N_STEPS_SMALL,
                architecture={
                    "hidden_width": self.hidden_width,
                    "n_layers": self.n_layers,
                    "min_curvature": self.min_curvature,
                },
                training={
                    "max_epochs": self.max_epochs,
                    "batch_size": min(self.batch_size, max(1, size // 8)),
                    "learning_rate": self.learning_rate,
                    "early_stopping": self.early_stopping,
                    "n_iter_no_change": self.n_iter_no_change,
                    "device": self.device,
                    "verbose": self.verbose,
                },
                seed=seed,
            )
            curves.append(curve)
            return fitted

        fitters: dict[str, Fitter] = {
            "identity": lambda source, target, held_out: IdentityMap(),
            "bures": gaussian,
        }
        extra = {"quantile": quantile, "picnn": network}
        return fitters | {k: v for k, v in extra.items() if k == self.solver}

    def _read(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False, copy=True)

    def _move(self, X: ArrayLike, direction: str) -> Array:
        out = self._read(X)
        moved = getattr(self._map, direction)(*self._coordinates(out))
        out[:, self.moved_] = moved + self._origin
        return out
