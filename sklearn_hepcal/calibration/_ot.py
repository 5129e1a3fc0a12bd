from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
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
from ._domains import (
    BACKGROUND,
    check_data_weight,
    read_domains,
    split_sides,
    stack_samples,
)
from ._maps import Array, GradientMap, TransportMap
from ._selection import closure_of, dual_terms
from ._transport_fit import fit_transport


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
    solver : {"picnn", "bures", "quantile", "flow"}, default="picnn"
        "picnn" trains a partially input-convex network on the semi-dual of optimal
        transport, after the Gaussian map. "bures" is the Gaussian map, which is
        affine and exact between Gaussians. "quantile" moves each column by itself
        and is exact in one dimension, :math:`P_{data}^{-1} \circ P_{sim}`. "flow" is
        a normalising flow that pays for its displacements; it needs the extra "flow".
        It is invertible, but nothing makes it monotone.
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
    atoms : {"warn", "error", "dequantise"}, default="warn"
        What to do about a moved column in which more than 2 % of the rows of a side,
        and at least 50, share a value. "warn" and "error" name the columns.
        "dequantise" spreads these rows over a gap, so wide that they are as dense as
        those beside it; what is moved into the gap becomes the value again. Columns
        with less than 2 % of other values stay as they are.
    float_background : bool, default=False
        Fit a common factor of the background's weights, from the spectrum of the
        conditions in data, simulation and background. The simulation's own spectrum
        must be right for it.
    n_bootstrap : int, default=0
        Bootstrap replicas: further maps, fitted to rows of all samples with weights
        drawn from a Poisson distribution of mean one. A network's training goes on
        from the first map for a fifth of its steps.
    shrinkage : float or "auto", default=1e-4
        Fraction by which the Gaussian map's covariances between columns are reduced.
        "auto" takes the fraction of least expected error on either side, which
        matters where there are hardly more rows than columns.
    n_quantiles : int, default=1000
        Largest number of levels of the solver "quantile". Many levels follow the
        samples closely and make the Jacobian noisy: take some 50 for densities.
    hidden_width : int or "auto", default="auto"
        Units in every layer of the network. "auto" is 64, and 128 from eight moved
        columns on.
    n_layers : int or "auto", default="auto"
        Layers of the network. "auto" is 2, and 4 coupling layers for the solver "flow".
    min_curvature : float, default=0.05
        Smallest curvature of the network's potential, relative to the Gaussian map.
    transport_cost : float, default=0.1
        Weight of the mean squared displacement in the loss of the solver "flow".
    max_epochs : int or None, default=None
        Passes of the network's training over the larger sample. None stands for
        1,500 steps, and for 600 if there are less than 10,000 rows a side. A flow is
        trained in two stages, of 450 steps each.
    batch_size : int, default=1024
        Rows of each side in a training step, at most an eighth of the smaller one.
    learning_rate : float or "auto", default="auto"
        Peak learning rate of the network's training. "auto" is 0.05, and 0.01 for the
        solver "flow".
    early_stopping : bool, default=False
        Stop the training when the loss of held-out rows no longer improves.
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
        The map that was kept: "identity", "bures", "quantile", "picnn" or "flow".
    strength_ : float
        Part of the way from the Gaussian map to the network's that was kept. Where
        maps are cross-validated, it is the best of a quarter, a half, three quarters
        and all.
    background_scale_ : float
        Factor of the background's weights. Nothing is subtracted where it is below 0.
    background_scale_error_ : float
        Its standard error; 0 where it was not fitted.
    held_out_gain_ : dict
        For every map that was compared, the gain of the held-out semi-dual over the
        identity, and the standard error of its difference to the best map's. Empty
        without selection.
    dual_curve_ : ndarray of shape (n_epochs,)
        Gain of the held-out semi-dual over the Gaussian map after every epoch of the
        network's training, the mean over folds; for a flow, that of the penalised
        log-likelihood. Empty without a network or without held-out rows.
    min_curvature_ : float
        Lower bound of the eigenvalues of the map's Jacobian, anywhere. Positive: the
        map is strictly monotone. NaN for a flow, for which there is no bound.
    conditions_ : ndarray of int
        Indices of the condition columns.
    moved_ : ndarray of int
        Indices of the other columns, less those that are not moved because (almost) all
        their rows share one value.
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
        simulation and data, if a moved column is constant on one side, if data have
        negative weights, if a condition column does not exist, if too few rows of a
        side support a knot of the conditions (as for disjoint spectra), or if there
        are atoms and `atoms` is "error".
    ImportError
        In `fit`, if the solver is "flow" and zuko is not installed.

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
    moved. The model of the data is the sum of moved simulation and background; in the
    loss, the background's rows stand with those of the data, with the opposite sign.
    Its weights are relative to those of the data (with weights of one, so many
    background rows are expected in the data). Subtraction adds noise: a network is
    therefore trained again, to the data alone, weighted by the probability of not being
    background that boosted trees learn from moved simulation and background. Signed
    weights of simulation or background leave it at the subtraction, as do replicas.

    The potential is :math:`\psi(x, c) = |x|^2/2` plus a convex network in coordinates
    in which the Gaussian map is the identity [3]_; it minimises
    :math:`E_{sim}\,\psi + E_{data}\,\psi^*`. There is no adversary to train, and the
    inverse map is :math:`\nabla\psi^*`. Outside the training sample the maps continue
    affinely.

    A transport map moves densities without atoms. In latent spaces behind rectified
    linear units, many rows share the value zero; a smooth map moves zeros to numbers
    close to zero, and boosted trees tell all of them from data: on the 128 latent
    columns of a deep-sets tagger, half of them mostly zero, the closure AUC was 0.62
    before and 1.00 after the Gaussian map. With the atoms spread it was 0.71; better
    choose a latent space without them.

    X may be a `numpy.memmap` of single or double precision. Its rows stay in the file:
    the Gaussian map reads them block by block and the network batch by batch, and only
    the rows held out are loaded. `fit_samples` copies; give such an array to `fit`.

    Replicas tell the statistical uncertainty of both samples, correlations included:
    derive a quantity once with each. Where the identity was kept they are Gaussian
    maps, whose mean is the correction that was not significant.

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
        "solver": [StrOptions({"picnn", "bures", "quantile", "flow"})],
        "conditions": ["array-like", None],
        "match_conditions": ["boolean"],
        "n_knots": [Interval(Integral, 2, None, closed="left")],
        "selection": ["boolean", StrOptions({"auto"})],
        "atoms": [StrOptions({"warn", "error", "dequantise"})],
        "float_background": ["boolean"],
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "n_quantiles": [Interval(Integral, 2, None, closed="left")],
        "hidden_width": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "n_layers": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "min_curvature": [Interval(Real, 0, 0.4, closed="left")],
        "transport_cost": [Interval(Real, 0, None, closed="left")],
        "n_bootstrap": [Interval(Integral, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"auto"}),
        ],
    }

    def __init__(
        self,
        solver: str = "picnn",
        *,
        conditions: Sequence[int | str] | None = None,
        match_conditions: bool = True,
        n_knots: int = 7,
        selection: bool | str = "auto",
        atoms: str = "warn",
        float_background: bool = False,
        n_bootstrap: int = 0,
        shrinkage: float | str = 1e-4,
        n_quantiles: int = 1000,
        hidden_width: int | str = "auto",
        n_layers: int | str = "auto",
        min_curvature: float = 0.05,
        transport_cost: float = 0.1,
        max_epochs: int | None = None,
        batch_size: int = 1024,
        learning_rate: float | str = "auto",
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
        self.atoms = atoms
        self.float_background = float_background
        self.n_bootstrap = n_bootstrap
        self.shrinkage = shrinkage
        self.n_quantiles = n_quantiles
        self.hidden_width = hidden_width
        self.n_layers = n_layers
        self.min_curvature = min_curvature
        self.transport_cost = transport_cost
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
        self.__dict__.pop("_map", None)  # a fit that fails leaves none
        stored = isinstance(X, np.memmap)
        dtype = [np.float64, np.float32] if stored else np.float64
        rows, domains = validate_data(self, X, y, dtype=dtype, ensure_min_samples=2)
        self._validate_params()
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        labels = read_domains(domains, background=True).tolist()
        check_data_weight(weight[domains == labels[1]], labels[1])
        sides = split_sides(domains, labels, weight)
        rng = check_random_state(self.random_state)

        self.source_label_, self.target_label_ = labels
        fitted = fit_transport(self, rows, sides, stored, rng)
        chosen = fitted.chosen
        self._frame, self._replicas = fitted.frame, fitted.replicas
        self.conditions_, self.moved_ = fitted.frame.conditions, fitted.frame.moved
        self.background_scale_, self.background_scale_error_ = fitted.background_scale
        self.selection_, self.strength_ = chosen.name, chosen.strength
        self.held_out_gain_ = chosen.gains
        self.dual_curve_ = fitted.curve
        gradient = isinstance(chosen.map, GradientMap)
        self.min_curvature_ = chosen.map.min_curvature() if gradient else np.nan
        self._map = chosen.map
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

    def transform(self, X: ArrayLike, replica: int | None = None) -> Array:
        """Move rows of the simulation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; each is taken to be simulation.
        replica : int, default=None
            Move them by the map of this bootstrap replica, from 0 to
            ``n_bootstrap - 1``.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The moved rows; condition columns are unchanged.

        Raises
        ------
        ValueError
            If there is no such replica.
        """
        return self._move(X, "forward", replica)

    def inverse_transform(self, X: ArrayLike, replica: int | None = None) -> Array:
        """Find the simulated rows that `transform` moves to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Moved rows, or data.
        replica : int, default=None
            Invert the map of this bootstrap replica.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows before they were moved; condition columns are unchanged.

        Raises
        ------
        ValueError
            If there is no such replica.
        """
        return self._move(X, "inverse", replica)

    def transform_std(self, X: ArrayLike) -> Array:
        """Statistical uncertainty of the moved rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the simulation.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Standard deviation of the replicas' images of every row; 0 in the condition
            columns.

        Raises
        ------
        ValueError
            If the calibrator was fitted with ``n_bootstrap`` below 2.
        """
        rows = self._read(X)
        if len(self._replicas) < 2:
            raise ValueError(
                "transform_std needs at least two replicas, but the calibrator was "
                f"fitted with n_bootstrap={len(self._replicas)}."
            )
        # Welford's running sums: the images of all replicas need not fit into memory.
        mean, square = np.zeros_like(rows), np.zeros_like(rows)
        for number, fitted in enumerate(self._replicas, start=1):
            image = self._apply(fitted, rows.copy(), "forward")
            step = image - mean
            mean += step / number
            square += step * (image - mean)
        return np.sqrt(square / (len(self._replicas) - 1))

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
        x, h = self._frame.coordinates(self._read(X))
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
        return self._frame.condition_weights(self._read(X))

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Gain of the semi-dual over the identity, on rows of both samples.

        Up to a constant of the samples it is minus half the mean squared error of
        the map, to leading order: it ranks maps as the distance to the true one does.
        A flow has no potential. Its score is 0.5 less the distance of the closure AUC
        from 0.5: at most 0.5.

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
            as good as no calibration. For a flow, what the closure AUC gives.
        """
        check_is_fitted(self)
        rows, domains = validate_data(
            self, X, y, dtype=np.float64, reset=False, ensure_min_samples=2
        )
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        labels = [self.source_label_, self.target_label_]
        sides = split_sides(domains, labels, weight)
        sides = sides.with_background(self.background_scale_)
        source, target = self._frame.samples(rows, sides)
        if self.selection_ == "flow":
            return 0.5 - abs(closure_of(self._map, source, target).auc - 0.5)
        return dual_terms(self._map, source, target).gain()[0]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_map")

    def _read(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False, copy=True)

    def _move(self, X: ArrayLike, direction: str, replica: int | None) -> Array:
        rows = self._read(X)
        fitted: TransportMap = self._map
        if replica is not None:
            if replica not in range(len(self._replicas)):
                raise ValueError(
                    f"replica={replica!r} does not exist: the calibrator was fitted "
                    f"with n_bootstrap={len(self._replicas)}."
                )
            fitted = self._replicas[replica]
        return self._apply(fitted, rows, direction)

    def _apply(self, fitted: TransportMap, rows: Array, direction: str) -> Array:
        moved = getattr(fitted, direction)(*self._frame.coordinates(rows))
        self._frame.write(moved, rows)
        return rows
