from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    column_or_1d,
)

from .._event_pairs import Pairs
from .._layer_sizes import layer_sizes
from .._network_training import TRAINING_CONSTRAINTS
from ..jets import Jets, validate_jets
from ..metrics import closure_table, flatten_spectrum, numerical_inversion
from ._calibration_model import Calibrated, CalibrationModel
from ._calibration_sample import CalibrationSample, check_true_pt, read_sample
from ._insitu_fit import MIN_PAIRS, InsituSettings, fit_insitu
from ._jet_table import JetTable, warn_low_pt
from ._joint_fit import JointSettings, fit_joint
from ._log_bins import LogBins
from ._resolution_in_bins import (
    resolution_of_pairs,
    resolution_of_table,
    warn_of_collapse,
)
from ._response_fit import ResponseRows, architecture, fit_response

if TYPE_CHECKING:
    from ..nn import TrainingSettings

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MIN_BATCH, _N_BATCHES = 32, 16
_VALIDATION_BATCH = 10_000
# Steps of a training, and the numbers of passes between which it takes them.
_N_STEPS, _EPOCHS = 1500, (5, 20)
# Part of the steps over which the weights of a network are averaged.
_AVERAGE = 0.25
# Labelled jets of a bin of the tables.
_MIN_ROWS = 50
_CORE = 0.6827
# Least slope that a resolution is divided by.
_LEAST_SLOPE = 0.3
# What a fit sets, beside the names and numbers of columns.
_FITTED = (
    "_model",
    *("closure_", "jer_", "slope_", "sigma_scale_", "loss_curve_", "n_iter_"),
    *("jer_insitu_", "truth_asymmetry_", "feature_leakage_", "pair_leakage_"),
    *("pair_features_", "n_labelled_", "n_pairs_", "insitu_gain_"),
)


class AsymmetryJERRegressor(RegressorMixin, BaseEstimator):
    r"""Calibrate jets in simulation, and improve them in data by dijet asymmetries.

    Two jets that recoil against each other have almost the same transverse momentum:
    the width of their asymmetry shows the resolution (JER) where no true momentum is
    known. To *minimise* that width as a part of a loss makes calibrations worse: it is
    least for a constant, for predictions that are pulled together, and for errors that
    undo the true imbalance of events. This regressor cannot do so:

    1. On labelled jets (simulation) it learns the response p_reco / p_true *at fixed
       true momentum* as a function of features of the jet, and inverts it jet by jet,
       which does not depend on the spectrum of the sample [1]_ [2]_. The response that
       is left is inverted again as a function of the momentum alone.
    2. On unlabelled pairs (data) it fits a correction of each jet, a bounded sum of
       functions of single features, that balances the two jets of an event best. It
       depends on the mean momentum of the pair, not on that of the jet: it cannot
       shrink momenta. The same fit to simulation is subtracted, so that nothing is
       corrected which simulation has as well. Its mean is zero at every momentum: the
       energy scale is not touched, and has to be measured otherwise.

    Parameters
    ----------
    method : {"residual", "joint", "supervised"}, default="residual"
        "residual" does the above, "supervised" its first step. "joint" trains one
        network for both: a likelihood, `asymmetry_weight` times the width of the
        asymmetry, and closure in bins of the true momentum as a constraint.
    pt_column : int or str, default=0
        Column of the transverse momentum in GeV. Jets without features have that of
        their constituents.
    features : sequence of int or str, or None, default=None
        Other columns to use; all by default.
    energy_columns : sequence of int or str, or "auto", default="auto"
        Columns of energies in GeV, which are divided by the momentum. "auto" stands for
        those named E, energy, m or mass. Other features should be dimensionless: a
        second momentum would tell the measured one at fixed true momentum.
    pair_features : sequence of int or str, or "auto", default="auto"
        Features of the correction by asymmetries. "auto" takes as many as together
        leak at most `max_leakage`, but no energies, and no features of the event, such
        as the pile-up, which the balance of its jets cannot tell.
    use_constituents : bool, default=False
        Whether the first step also reads the constituents, by a particle flow network.
    particle_id : str or None, default="pdgid"
        Column of the constituents that holds PDG identifiers, which become categories
        (those not seen in `fit`, unknown). Jets need not have the default column. None
        if every column is a number.
    location : {"mean", "median", "mode"}, default="mean"
        What of p_calibrated / p_true is one at every true momentum.
    asymmetry_weight : float, default=1.0
        Weight of the asymmetry for ``method="joint"``.
    max_correction : float, default=0.3
        Largest correction of a logarithm by asymmetries; by half of it before the
        average is subtracted.
    max_leakage : float, default=0.01
        Part of the squared true imbalance of simulated events that corrections by the
        pair features may explain. See Notes.
    subtract_simulation : bool, default=True
        Whether the fit to simulated pairs is subtracted. Without, pair features that
        leak more than `max_leakage` are refused.
    max_activity : float, default=0.1
        Largest `activity` of events that `jer_insitu_` is measured with.
    width_delta : float, default=1.5
        Number of widths from which on residuals count linearly.
    flatten : {"log_pt"} or None, default="log_pt"
        "log_pt" weights labelled jets to a flat spectrum of the logarithm of the true
        momentum. None takes `sample_weight` as it is: a steep spectrum starves the high
        momenta.
    max_weight : float, default=10.0
        Largest weight of the flat spectrum, relative to the mean.
    n_closure_bins : int, default=12
        Bins of the true momentum, of equal width in the logarithm, in which the
        response that is left is inverted.
    closure_rho : float, default=20.0
        Penalty of a lack of closure for ``method="joint"``.
    log_pt : bool, default=True
        Whether networks read the logarithm of the momentum.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Units in the layers of the network of the response.
    phi_layer_sizes : sequence of int, default=(64, 64)
        Units in the layers of the network that sees every constituent.
    latent_dim : int, default=32
        Number of its outputs, which are summed over the jet.
    activation : {"relu", "leaky_relu", "silu", "gelu"}, default="silu"
        Activation of all networks. Kinks make the response hard to invert.
    dropout, phi_dropout : float, default=0.0
        Part of the units that is dropped in training, in the layers of the response and
        in those that see constituents.
    max_epochs : int or None, default=None
        Passes over the labelled rows. None stands for 1,500 steps, but at least 5 and
        at most 20 passes.
    batch_size : int, default=1024
        Rows of a training step; at most a sixteenth of the training rows, but not
        fewer than 32.
    learning_rate : float, default=0.003
        Peak learning rate of Adam.
    early_stopping : bool, default=False
        Keep the weights of the epoch with the lowest loss on the held-out jets, instead
        of the mean of those of the last quarter. Not for ``method="joint"``.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping sets in.
    validation_fraction : float, default=0.1
        Part of the labelled events that is held out from the network, for `closure_`,
        `jer_`, `sigma_scale_` and early stopping.
    pt_floor : float, default=0.001
        Measured momenta below, in GeV, count as this much, with a warning.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where networks are trained; "auto" takes a GPU when there is one. The fitted
        ones run on the CPU.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out events and of the training.

    Attributes
    ----------
    closure_ : DataFrame
        `sklearn_hepcal.metrics.closure_table` of held-out labelled jets.
    jer_ : EnergyResolution
        Resolution of these jets (half width of 68 % over median and slope) in bins of
        the true momentum, with the terms N, S and C as ``jer_.nsc``.
    slope_ : ndarray of shape (n_bins,)
        Derivative of the logarithm of the calibrated in that of the true momentum.
    sigma_scale_ : float
        What predicted standard deviations were multiplied by, so that 68 % of the
        held-out jets are within one.
    jer_insitu_ : EnergyResolution or None
        Resolution of unlabelled jets from their asymmetry, in bins of the mean momentum
        of the pair; None without such pairs.
    truth_asymmetry_ : ndarray of shape (n_bins,) or None
        Half width of the asymmetry of true simulated jets over the square root of two,
        in the same bins; it was taken off.
    pair_features_ : list of int
        Columns of the correction by asymmetries; empty if there is none.
    pair_leakage_ : float
        Part of the squared true imbalance that corrections by them explain in simulated
        pairs which they were not fitted to; NaN if it was not measured.
    feature_leakage_ : dict of int to float
        That of single columns.
    insitu_gain_ : float
        Part of the squared imbalance of pairs in data that their fit explains in pairs
        which it was not fitted to (before simulation is subtracted).
    n_labelled_ : int
        Labelled rows of positive weight.
    n_pairs_ : tuple of (int, int)
        Labelled and unlabelled pairs.
    loss_curve_ : ndarray of shape (n_epochs, 2)
        Training and validation loss of the epochs (NaN without early stopping).
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where they have any.

    Raises
    ------
    ValueError
        In `fit`, if y holds no true momentum, infinities or momenta that are not
        positive, if X holds NaN or infinities, if one jet of an event has a true
        momentum and the other not, if there are data pairs, but no simulated ones to
        subtract, or if pair features leak too much and nothing is subtracted.

    Warns
    -----
    UserWarning
        If there are unlabelled jets, but no pairs of them; if events do not have two
        jets; if pair features that were named leak more than `max_leakage`; if a
        feature seems to tell the measured momentum; if calibrated simulated jets
        balance better than true ones; if measured momenta are below the floor.

    See Also
    --------
    GaussianAnsatzRegressor : Calibration by maximum likelihood.
    sklearn_hepcal.metrics.jer_from_asymmetry : Resolution from asymmetries.
    sklearn_hepcal.metrics.best_resolution : Selects models in a search.

    Notes
    -----
    Jets of an event with much radiation are unbalanced already before the detector,
    and some features tell which of the two radiated more (its width, mass and number of
    tracks). A fit that balances jets then "corrects" this true imbalance, and makes
    jets worse. How far features allow this is their leakage, measured in simulation.
    The subtraction of the fit to simulation removes what leaks, up to its statistical
    error and up to what differs in data. Features of the detector, that is, directions
    and shares of layers, hardly leak.

    Pairs of data improve what simulation gets wrong, nothing else: with data that are
    distributed as simulation nothing is gained. Flavours of jets enter: where data have
    another response to gluons, that of both is corrected by features that tell them
    apart.

    The result of `fit` does not depend on the order of the rows, if no two rows have
    the same event and momentum and no event number is -1.

    References
    ----------
    .. [1] ATLAS Collaboration, "Generalized Numerical Inversion: A Neural Network
       Approach to Jet Calibration", ATL-PHYS-PUB-2018-013.
    .. [2] A. Cukierman and B. Nachman, "Mathematical Properties of Numerical Inversion
       for Jet Calibrations", Nucl. Instrum. Meth. A 858 (2017) 1, arXiv:1609.05195.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.datasets import make_dijets
    >>> from sklearn_hepcal.regression import AsymmetryJERRegressor
    >>> sim = make_dijets(2000, side="sim", random_state=0)
    >>> data = make_dijets(2000, side="data", random_state=1)
    >>> X = np.concatenate([sim.X, data.X])
    >>> y = np.concatenate([sim.y, np.full(len(data.y), np.nan)])
    >>> event_id = np.concatenate([sim.event_id, data.event_id])
    >>> regressor = AsymmetryJERRegressor(max_epochs=10, random_state=0)
    >>> regressor = regressor.fit(X, y, event_id=event_id)
    >>> pt = regressor.predict(data.X)
    >>> bool(np.std(pt / data.y) < 0.8 * np.std(data.X[:, 0] / data.y))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TRAINING_CONSTRAINTS,
        "method": [StrOptions({"residual", "joint", "supervised"})],
        "pt_column": [Integral, str],
        "features": ["array-like", None],
        "energy_columns": ["array-like", StrOptions({"auto"})],
        "pair_features": ["array-like", StrOptions({"auto"})],
        "use_constituents": ["boolean"],
        "particle_id": [str, None],
        "location": [StrOptions({"mean", "median", "mode"})],
        "asymmetry_weight": [Interval(Real, 0, None, closed="left")],
        "max_correction": [Interval(Real, 0, None, closed="neither")],
        "max_leakage": [Interval(Real, 0, None, closed="left")],
        "subtract_simulation": ["boolean"],
        "max_activity": [Interval(Real, 0, None, closed="neither")],
        "width_delta": [Interval(Real, 0, None, closed="neither")],
        "flatten": [StrOptions({"log_pt"}), None],
        "max_weight": [Interval(Real, 1, None, closed="left")],
        "n_closure_bins": [Interval(Integral, 1, None, closed="left")],
        "closure_rho": [Interval(Real, 0, None, closed="left")],
        "log_pt": ["boolean"],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "phi_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"relu", "leaky_relu", "silu", "gelu"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "phi_dropout": [Interval(Real, 0, 1, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "pt_floor": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        method: str = "residual",
        *,
        pt_column: int | str = 0,
        features: Sequence[int | str] | None = None,
        energy_columns: Sequence[int | str] | str = "auto",
        pair_features: Sequence[int | str] | str = "auto",
        use_constituents: bool = False,
        particle_id: str | None = "pdgid",
        location: str = "mean",
        asymmetry_weight: float = 1.0,
        max_correction: float = 0.3,
        max_leakage: float = 0.01,
        subtract_simulation: bool = True,
        max_activity: float = 0.1,
        width_delta: float = 1.5,
        flatten: str | None = "log_pt",
        max_weight: float = 10.0,
        n_closure_bins: int = 12,
        closure_rho: float = 20.0,
        log_pt: bool = True,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        phi_layer_sizes: Sequence[int] = (64, 64),
        latent_dim: int = 32,
        activation: str = "silu",
        dropout: float = 0.0,
        phi_dropout: float = 0.0,
        max_epochs: int | None = None,
        batch_size: int = 1024,
        learning_rate: float = 3e-3,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        validation_fraction: float = 0.1,
        pt_floor: float = 1e-3,
        device: str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.pt_column = pt_column
        self.features = features
        self.energy_columns = energy_columns
        self.pair_features = pair_features
        self.use_constituents = use_constituents
        self.particle_id = particle_id
        self.location = location
        self.asymmetry_weight = asymmetry_weight
        self.max_correction = max_correction
        self.max_leakage = max_leakage
        self.subtract_simulation = subtract_simulation
        self.max_activity = max_activity
        self.width_delta = width_delta
        self.flatten = flatten
        self.max_weight = max_weight
        self.n_closure_bins = n_closure_bins
        self.closure_rho = closure_rho
        self.log_pt = log_pt
        self.hidden_layer_sizes = hidden_layer_sizes
        self.phi_layer_sizes = phi_layer_sizes
        self.latent_dim = latent_dim
        self.activation = activation
        self.dropout = dropout
        self.phi_dropout = phi_dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.pt_floor = pt_floor
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        # Numbers of both signs are no momenta.
        tags.regressor_tags.poor_score = True
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        event_id: ArrayLike | None = None,
        activity: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn the calibration.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Jets of simulation and of data: a table, or any form that
            `sklearn_hepcal.jets.check_jets` reads.
        y : array-like of shape (n_samples,)
            True transverse momenta in GeV; NaN for unlabelled jets, that is, data.
        event_id : array-like of int of shape (n_samples,), default=None
            Numbers of the events, which differ between simulation and data. Two rows
            of one number are a pair; -1 is for jets in no pair. Without, there is no
            correction by asymmetries. To split by event, use
            ``GroupKFold(shuffle=True)``: without, even numbers of folds can separate
            simulation from data.
        activity : array-like of shape (n_samples,), default=None
            Radiation in the event, such as
            `sklearn_hepcal.metrics.dijet_activity`: `jer_insitu_` is measured with
            events of little of it. By default with all.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative. Not those of a physical spectrum: they starve the
            high momenta.

        Returns
        -------
        AsymmetryJERRegressor
            The fitted regressor.
        """
        self._validate_params()
        self._forget()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        jets = self._read(X, reset=True)
        sample = read_sample(
            jets, y, event_id, activity, sample_weight, self.max_activity
        )
        try:
            self._fit(sample.sorted(self.pt_column))
        except BaseException:
            # What a failed or interrupted fit leaves must not look like a fitted one.
            self._forget()
            raise
        return self

    def _fit(self, sample: CalibrationSample) -> None:
        rng = check_random_state(self.random_state)
        pairs = sample.pairs()
        seed = rng.randint(np.iinfo(np.int32).max)
        held_out = sample.hold_out(self.validation_fraction, rng)
        model, calibrated, curve = self._fit_response(sample, pairs, held_out, seed)
        self._judge(sample[held_out], calibrated.log_pt[held_out], seed)
        model = self._fit_correction(model, sample, pairs, calibrated.log_pt)
        model = self._measure_insitu(model, sample, pairs, calibrated, seed)
        self.sigma_scale_ = model.sigma_scale
        self._model = model
        self.loss_curve_ = curve
        self.n_iter_ = len(curve)
        self.n_labelled_ = int(np.sum(sample.labelled & (sample.weight > 0)))
        n_simulated = int(sample.labelled[pairs.first].sum())
        self.n_pairs_ = (n_simulated, len(pairs.first) - n_simulated)

    def _forget(self) -> None:
        for name in _FITTED:
            self.__dict__.pop(name, None)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def predict(
        self, X: Any, return_std: bool = False, insitu: bool = True
    ) -> Array | tuple[Array, Array]:
        """Calibrate jets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Jets with the columns of `fit`.
        return_std : bool, default=False
            Also return standard deviations.
        insitu : bool, default=True
            Whether the jets are data, to be corrected by what asymmetries taught (if
            anything). Simulated jets are calibrated with False.

        Returns
        -------
        pt : array of shape (n_samples,)
            Calibrated transverse momenta in GeV, positive.
        std : array of shape (n_samples,)
            Their standard deviations; only with `return_std`. For data they are scaled
            to `jer_insitu_`.
        """
        check_is_fitted(self)
        jets = self._read(X, reset=False)
        calibrate = self._model.calibrate_data if insitu else self._model.calibrate
        log_pt, sigma = calibrate(jets)
        pt = np.exp(log_pt)
        return (pt, pt * sigma) if return_std else pt

    def insitu_correction(self, X: Any, pair_pt: ArrayLike) -> Array:
        """Give the correction by asymmetries, for jets of known pairs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Jets with the columns of `fit`.
        pair_pt : array-like of shape (n_samples,)
            Geometric mean of the calibrated momenta of the two jets, in GeV.

        Returns
        -------
        array of shape (n_samples,)
            What is added to the logarithms of the momenta: zeros without a correction.

        Raises
        ------
        ValueError
            If a momentum is not positive.
        """
        check_is_fitted(self)
        jets = self._read(X, reset=False)
        pt = column_or_1d(pair_pt, dtype=np.float64)
        check_consistent_length(jets, pt)
        if not (pt > 0).all():
            raise ValueError("pair_pt must be positive.")
        if self._model.correction is None:
            return np.zeros(len(jets))
        return self._model.correction(np.log(pt), self._model.table.table(jets))

    def score(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Coefficient of determination of the logarithm, of labelled jets.

        For the selection of models see `sklearn_hepcal.metrics.jer_score`: this one
        rewards a bias to the mean of the spectrum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Jets.
        y : array-like of shape (n_samples,)
            True momenta in GeV; rows of NaN are left out.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        float
            R2, of calibrated simulation.
        """
        log_pt = np.log(self.predict(X, insitu=False))
        log_true = np.log(check_true_pt(y, len(log_pt)))
        weight = _check_sample_weight(sample_weight, log_true, dtype=np.float64)
        rows = ~np.isnan(log_true)
        return r2_score(log_true[rows], log_pt[rows], sample_weight=weight[rows])

    def _read(self, X: Any, *, reset: bool) -> Jets:
        jets = validate_jets(
            self,
            X,
            reset=reset,
            require="either" if self.use_constituents else "features",
        )
        if self.use_constituents and not jets.constituent_names:
            raise ValueError("use_constituents=True needs jets with constituents.")
        warn_low_pt(jets, self.pt_column, self.pt_floor)
        return jets

    def _fit_response(
        self,
        sample: CalibrationSample,
        pairs: Pairs,
        held_out: Mask,
        seed: int,
    ) -> tuple[CalibrationModel, Calibrated, Array]:
        rows = sample.labelled & (sample.weight > 0)
        labelled = sample[rows]
        weight = labelled.weight
        if self.flatten is not None:
            weight = flatten_spectrum(
                labelled.true_pt, weight, max_weight=self.max_weight
            ).weight
        train, validation = ~held_out[rows], held_out[rows]
        table = JetTable(
            self.pt_column,
            self.features,
            self.energy_columns,
            self.use_constituents,
            self.pt_floor,
            self.particle_id,
        ).fit(labelled.jets[train], weight[train])
        for name in table.momenta_again(labelled.jets):
            warnings.warn(
                f"feature {name!r} seems to tell the measured pt: at fixed true pt, "
                "nothing is left to learn. Name columns of energies in energy_columns, "
                "or leave them out by features.",
                UserWarning,
                stacklevel=4,
            )
        joint = self.method == "joint"
        parts = [
            _rows(table, labelled[part], weight[part], joint)
            for part in (train, validation)
        ]
        network = self._architecture(table, parts[0].target)
        if joint:
            response, curve = fit_joint(
                parts[0],
                np.log(labelled.true_pt[train]),
                (table, sample.jets, *self._balanced(sample, pairs)),
                network=network,
                logarithmic=self.log_pt,
                joint=JointSettings(
                    self.asymmetry_weight, self.closure_rho, self.width_delta
                ),
                settings=self._settings(train.sum(), early_stopping=False),
                seed=seed,
            )
        else:
            response, curve = fit_response(
                parts[0],
                parts[1] if self.early_stopping else None,
                network=network,
                logarithmic=self.log_pt,
                width_delta=self.width_delta,
                settings=self._settings(train.sum(), self.early_stopping),
                seed=seed,
            )
        model = CalibrationModel(table, response, not joint)
        calibrated = model.calibrate(sample.jets)
        closure = numerical_inversion(
            labelled.true_pt,
            np.exp(calibrated.log_pt[rows]),
            bins=self.n_closure_bins,
            location=self.location,
            sample_weight=weight,
        )
        # The network has not seen the held-out jets.
        log_pt = np.log(closure(np.exp(calibrated.log_pt)))
        error = (log_pt - np.log(sample.true_pt))[held_out]
        scale = np.quantile(np.abs(error / calibrated.sigma[held_out]), _CORE)
        model = replace(model, closure=closure, sigma_scale=float(scale))
        sigma = scale * calibrated.sigma
        return model, Calibrated(log_pt, sigma), curve

    def _fit_correction(
        self,
        model: CalibrationModel,
        sample: CalibrationSample,
        pairs: Pairs,
        log_pt: Array,
    ) -> CalibrationModel:
        self.pair_features_: list[int] = []
        self.pair_leakage_, self.insitu_gain_ = np.nan, 0.0
        self.feature_leakage_: dict[int, float] = {}
        if self.method != "residual" or sample.labelled.all():
            return model
        fit = fit_insitu(
            sample,
            pairs,
            model.table,
            log_pt,
            InsituSettings(
                self.pair_features,
                self.max_leakage,
                self.subtract_simulation,
                self.max_correction,
                self.width_delta,
            ),
        )
        if fit is None:
            return model
        self.pair_features_, self.pair_leakage_ = fit.columns, fit.leakage
        self.feature_leakage_, self.insitu_gain_ = fit.feature_leakage, fit.gain
        return replace(model, correction=fit.correction)

    # Pairs to balance in a joint training: of data, or else of simulation.
    def _balanced(self, sample: CalibrationSample, pairs: Pairs) -> tuple[Pairs, Array]:
        data = pairs.select(~sample.labelled)
        chosen = data if len(data.first) else pairs
        if len(chosen.first) == 0:
            raise ValueError(
                "method='joint' needs pairs of jets: give their events as event_id."
            )
        return chosen, sample.pair_weight(chosen)

    def _architecture(self, table: JetTable, target: Array) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "hidden": layer_sizes(self.hidden_layer_sizes, "hidden_layer_sizes"),
            "activation": self.activation,
            "dropout": self.dropout,
        }
        if table.constituents is not None:
            settings["latent_scale"] = table.typical_count
            settings["deep_sets"] = {
                "n_coordinates": table.constituents.n_coordinates,
                "hidden": layer_sizes(self.phi_layer_sizes, "phi_layer_sizes"),
                "n_latent": self.latent_dim,
                "weighting": "count",
                "activation": self.activation,
                "n_categories": table.constituents.n_categories,
                "dropout": self.phi_dropout,
            }
        return architecture(target, len(table.columns), **settings)

    def _settings(self, n_rows: int, early_stopping: bool) -> TrainingSettings:
        from ..nn import TrainingSettings, resolve_device

        batch_size = min(self.batch_size, max(_MIN_BATCH, n_rows // _N_BATCHES))
        max_epochs = self.max_epochs
        if max_epochs is None:
            max_epochs = int(np.clip(_N_STEPS * batch_size // n_rows, *_EPOCHS))
        return TrainingSettings(
            max_epochs=max_epochs,
            batch_size=batch_size,
            validation_batch_size=_VALIDATION_BATCH,
            learning_rate=self.learning_rate,
            early_stopping=early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            average=_AVERAGE,
            device=resolve_device(self.device),
            verbose=self.verbose,
        )

    # Tables of held-out labelled jets.
    def _judge(self, sample: CalibrationSample, log_pt: Array, seed: int) -> None:
        edges = np.exp(LogBins(np.log(sample.true_pt), min_rows=_MIN_ROWS).edges)
        self.closure_ = closure_table(
            sample.true_pt,
            np.exp(log_pt),
            bins=edges,
            sample_weight=sample.weight,
            random_state=seed,
        )
        self.jer_ = resolution_of_table(self.closure_)
        self.slope_ = self.closure_["slope"].to_numpy()

    def _measure_insitu(
        self,
        model: CalibrationModel,
        sample: CalibrationSample,
        pairs: Pairs,
        calibrated: Calibrated,
        seed: int,
    ) -> CalibrationModel:
        self.jer_insitu_ = self.truth_asymmetry_ = None
        simulated = pairs.select(sample.labelled & sample.quiet)
        data = pairs.select(~sample.labelled & sample.quiet)
        if len(simulated.first) < MIN_PAIRS:
            return model
        true = sample.asymmetries(simulated, np.log(sample.true_pt))
        warn_of_collapse(sample.asymmetries(simulated, calibrated.log_pt), true)
        if len(data.first) < MIN_PAIRS:
            return model
        log_pt = calibrated.log_pt
        if model.correction is not None:
            features = model.table.table(sample.jets)
            log_pt = log_pt + model.correction(log_pt, features)
        measured = sample.asymmetries(data, log_pt)
        slope = np.nanmedian(self.slope_) if np.isfinite(self.slope_).any() else 1.0
        self.jer_insitu_, self.truth_asymmetry_ = resolution_of_pairs(
            measured, true, max(float(slope), _LEAST_SLOPE), seed
        )
        sigma = calibrated.sigma[data.first]
        scale = self.jer_insitu_.scale_of(measured.log_pt, sigma)
        return replace(model, insitu_scale=scale)


# What a network learns: the response at true momenta, or corrections of measured ones.
def _rows(
    table: JetTable, sample: CalibrationSample, weight: Array, joint: bool
) -> ResponseRows:
    log_reco, log_true = table.log_pt(sample.jets), np.log(sample.true_pt)
    log_pt, target = (
        (log_reco, log_true - log_reco) if joint else (log_true, log_reco - log_true)
    )
    return ResponseRows(log_pt, target, weight, table.inputs(sample.jets))
