from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    check_random_state,
)

from .._layer_sizes import layer_sizes
from .._network_training import TRAINING_CONSTRAINTS
from ..jets import Jets, check_jets, validate_jets
from ._ansatz import AnsatzEnsemble, Sample, fit_ansatz
from ._information import log_normaliser, mutual_information_bound
from ._inputs import Array, JetInputs, TableInputs
from ._validation import check_continuous, check_density_weight, check_scale

# Values of z over which InfoNCE, which does not normalise T in z, is normalised.
_N_REFERENCE = 1000
# Events of a batch of the validation loss.
_VALIDATION_BATCH = 10_000
_WEIGHTING = {"efn": "energy", "pfn": "count"}
# What a fit sets, beside the names and numbers of columns.
_FITTED = ("_model", "loss_curves_", "mutual_information_", "jet_feature_names_in_")


@dataclass(frozen=True)
class _Model:
    inputs: TableInputs | JetInputs
    scaler: StandardScaler
    ensemble: AnsatzEnsemble
    log_normaliser: float
    single: bool


class GaussianAnsatzRegressor(RegressorMixin, BaseEstimator):
    r"""Regress true quantities z from measured ones x, whatever the spectrum of z.

    A network that minimises squared errors learns the mean of p(z|x), which depends on
    the spectrum of z in the training sample: on any other it is biased. This regressor
    learns the likelihood ratio p(x|z) / p(x) instead, in the form

    .. math:: T(x, z) = A(x) + \tfrac{1}{2} (z - B(x))^T C(x, z) (z - B(x))

    with C negative definite. The z of maximum likelihood is then B(x), its covariance
    is :math:`-C(x, B(x))^{-1}`, and T gives the mutual information of x and z, all from
    one training [1]_.

    Parameters
    ----------
    backbone : {"mlp", "efn", "pfn"}, default="mlp"
        "mlp" reads a table of features. "efn" and "pfn" read the constituents of jets
        by an energy flow network, which is infrared and collinear safe, or a particle
        flow network [2]_. They also see the sum of the constituents' pt, the rapidity
        of the jet axis, and the features that the jets have besides. "efn" reads the
        pt and the directions of constituents, "pfn" all their columns.
    loss : {"dv", "bce", "infonce"}, default="dv"
        What is minimised: the Donsker-Varadhan bound, the cross-entropy between events
        and shuffled events, whose gradients stay bounded for mutual informations
        above some 3 nats, or InfoNCE, which needs a normalisation over z for
        every event in `log_ratio` and `mutual_information`.
    n_shuffles : int, default=8
        How many other events lend their z to every event in a training step.
    d_schedule : {"anneal"} or None, default=None
        "anneal" adds (z - B(x)) D(x) to T, with a factor that falls from 1 to 0 over
        the first three quarters of the training, as in [1]_. None leaves the term out:
        it is not needed for a likelihood with a single maximum.
    hidden_layer_sizes : sequence of int, default=(32, 32, 32, 32)
        Units in the layers of each of the networks A, B, C (and D).
    phi_layer_sizes : sequence of int, default=(100, 100)
        Units in the layers of the network that sees every constituent.
    latent_dim : int, default=64
        Number of its outputs, which are summed over the jet.
    activation : {"relu", "leaky_relu", "silu", "gelu"}, default="silu"
        Activation of all networks.
    particle_id : str or None, default="pdgid"
        Column of the constituents that holds PDG identifiers, which "pfn" treats as
        categories (identifiers not seen in `fit` as unknown). Jets need not have the
        default column. None if every column is a number.
    n_ensemble : int, default=1
        Networks that are trained from different starts on the same rows. Their mean T
        is used, and for its maximum the mean of their parabolas.
    n_mi_shuffles : int, default=32
        How many do for the mutual information.
    max_epochs : int or None, default=None
        Passes over the training rows. None stands for 700 steps, but at most 100
        passes.
    batch_size : int, default=1024
        Rows of a training step; at most a sixteenth of the training rows, but not
        fewer than 32.
    learning_rate : float, default=0.005
        Peak learning rate of Adam. It rises over the first 3 % of the steps, and then
        falls as a cosine.
    early_stopping : bool, default=True
        Keep the weights of the epoch with the lowest loss on the held-out rows, and
        stop when it has not fallen for `n_iter_no_change` epochs.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping sets in.
    validation_fraction : float, default=0.1
        Part of the rows that is held out, for early stopping, for
        `mutual_information_` and for the normalisation of `log_ratio`.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where the networks are trained; "auto" takes a GPU when there is one. The fitted
        ones run on the CPU.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out rows and of the training.

    Attributes
    ----------
    mutual_information_ : tuple of (float, float)
        Mutual information of the held-out rows in nats, and its standard error.
    loss_curves_ : list of ndarray of shape (n_epochs, 2)
        For every network, training and validation loss of the epochs.
    jet_feature_names_in_ : tuple of str
        Features that the jets have beside their constituents; only with constituents.
    n_features_in_ : int
        Number of columns of X, or of the constituents.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where they have any.

    Raises
    ------
    ValueError
        In `fit`, if X or y hold NaN or infinities, if y is constant, if there are
        fewer than four rows of positive weight or negative weights, if jets have no
        constituents where these are needed, or if the training diverges.

    Warns
    -----
    UserWarning
        If y takes few different values: shuffled events are then no contrast. If the
        spread of a column is that of a few outliers.

    See Also
    --------
    sklearn.neural_network.MLPRegressor : Minimises squared errors.
    sklearn_hepcal.metrics.response_closure : Bias in bins of the true value.
    sklearn_hepcal.metrics.resolution : Resolution in bins of the true value.

    Notes
    -----
    The first guess of B is the maximum likelihood of a linear model of x given z. The
    network learns what differs from it. Inputs and targets are standardised inside.

    What cannot be expected: the parabola fits a likelihood with one maximum that is
    close to Gaussian where it is large. B is not its maximum where that is flat, and
    may lie anywhere for several maxima. Curvature is then no coverage either. B
    follows the likelihood to the ends of the training spectrum and extrapolates
    beyond, and is uncertain where that has few events: for a falling spectrum, give
    logarithms, which then also have the relative resolution as their covariance. Along
    directions of z that x does not tell, the covariance is set by a floor of the
    precision. And the method shares the bias, of the order of the squared resolution,
    of every maximum likelihood estimate for a curved response.

    The mutual information is a mean over rows that no weight was fitted to (with
    `early_stopping`, those of `mutual_information_` chose the epoch). Its value on a
    mini-batch, or its largest over a training, is higher than the truth. Below some
    hundred rows it says little.

    References
    ----------
    .. [1] R. Gambhir, B. Nachman and J. Thaler, "Learning Uncertainties the Frequentist
       Way: Calibration and Correlation in High Energy Physics", Phys. Rev. Lett. 129
       (2022) 082001, arXiv:2205.03413.
    .. [2] P. Komiske, E. Metodiev and J. Thaler, "Energy Flow Networks: Deep Sets for
       Particle Jets", JHEP 01 (2019) 121, arXiv:1810.05165.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import make_resolution_problem
    >>> from sklearn_hepcal.regression import GaussianAnsatzRegressor
    >>> problem = make_resolution_problem(10_000, prior="uniform", random_state=0)
    >>> regressor = GaussianAnsatzRegressor(max_epochs=10, random_state=0)
    >>> regressor = regressor.fit(problem.X, problem.y)
    >>> z, std = regressor.predict([[2.0]], return_std=True)
    >>> print(f"{z[0]:.1f} +- {std[0]:.1f}")
    2.0 +- 1.0
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TRAINING_CONSTRAINTS,
        "backbone": [StrOptions({"mlp", "efn", "pfn"})],
        "loss": [StrOptions({"dv", "bce", "infonce"})],
        "n_shuffles": [Interval(Integral, 1, None, closed="left")],
        "d_schedule": [StrOptions({"anneal"}), None],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "phi_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"relu", "leaky_relu", "silu", "gelu"})],
        "particle_id": [str, None],
        "n_ensemble": [Interval(Integral, 1, None, closed="left")],
        "n_mi_shuffles": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 4, None, closed="left")],
    }

    def __init__(
        self,
        backbone: str = "mlp",
        *,
        loss: str = "dv",
        n_shuffles: int = 8,
        d_schedule: str | None = None,
        hidden_layer_sizes: Sequence[int] = (32, 32, 32, 32),
        phi_layer_sizes: Sequence[int] = (100, 100),
        latent_dim: int = 64,
        activation: str = "silu",
        particle_id: str | None = "pdgid",
        n_ensemble: int = 1,
        n_mi_shuffles: int = 32,
        max_epochs: int | None = None,
        batch_size: int = 1024,
        learning_rate: float = 5e-3,
        early_stopping: bool = True,
        n_iter_no_change: int = 10,
        validation_fraction: float = 0.1,
        device: str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.backbone = backbone
        self.loss = loss
        self.n_shuffles = n_shuffles
        self.d_schedule = d_schedule
        self.hidden_layer_sizes = hidden_layer_sizes
        self.phi_layer_sizes = phi_layer_sizes
        self.latent_dim = latent_dim
        self.activation = activation
        self.particle_id = particle_id
        self.n_ensemble = n_ensemble
        self.n_mi_shuffles = n_mi_shuffles
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        # Random targets, and jets of one constituent, cannot be predicted well.
        tags.regressor_tags.poor_score = self.backbone != "mlp"
        return tags

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the likelihood ratio.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Measured quantities x: a table, or jets in any form that
            `sklearn_hepcal.jets.check_jets` reads.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True quantities z.
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights, not negative.

        Returns
        -------
        GaussianAnsatzRegressor
            The fitted regressor.
        """
        self._validate_params()
        # What a failed or interrupted fit leaves must not look like a fitted one.
        for name in _FITTED:
            self.__dict__.pop(name, None)
        z, single = _read_target(y)
        jets = self._read(X, reset=True)
        check_consistent_length(jets, z)
        weight = check_density_weight(sample_weight, z)
        used = np.flatnonzero(weight)
        check_continuous(z[used])

        rng = check_random_state(self.random_state)
        rows = rng.permutation(used)
        n_held_out = round(self.validation_fraction * len(rows))
        held_out, train = np.split(rows, [min(max(n_held_out, 2), len(rows) - 2)])
        weight = weight / weight[used].mean()
        inputs = self._make_inputs().fit(jets[train], weight[train])
        scaler = StandardScaler().fit(z[train], sample_weight=weight[train])
        check_scale(scaler, z[train], "y")
        if isinstance(inputs, TableInputs):
            check_scale(inputs.features, jets.features[train], "X")
        sample, validation = (
            Sample(
                inputs.transform(jets[part]), scaler.transform(z[part]), weight[part]
            )
            for part in (train, held_out)
        )
        ensemble, curves = self._fit_ensemble(inputs, sample, validation, rng)
        values = self._shuffled_values(ensemble, validation)
        self._model = _Model(
            inputs, scaler, ensemble, log_normaliser(values, validation.weight), single
        )
        self.loss_curves_ = curves
        self.mutual_information_ = mutual_information_bound(values, validation.weight)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def predict(
        self, X: Any, return_std: bool = False, return_cov: bool = False
    ) -> Array | tuple[Array, Array]:
        """Estimate z by maximum likelihood.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Measured quantities.
        return_std : bool, default=False
            Also return the standard deviation of each target.
        return_cov : bool, default=False
            Also return the covariance of the targets.

        Returns
        -------
        z : array of shape (n_samples,) or (n_samples, n_targets)
            The z of maximum likelihood, in the units of y.
        std : array of the shape of z
            The resolution; only with `return_std`.
        cov : array of shape (n_samples, n_targets, n_targets)
            Minus the inverse of the second derivatives of the log-likelihood at its
            maximum; positive definite. Only with `return_cov`.

        Raises
        ------
        ValueError
            If both `return_std` and `return_cov` are set, or X is not as in `fit`.
        """
        check_is_fitted(self)
        if return_std and return_cov:
            raise ValueError(
                "return_std and return_cov cannot both be set: the variances are the "
                "diagonal of the covariance."
            )
        model = self._model
        inputs = model.inputs.transform(self._read(X, reset=False))
        scaled, precision = model.ensemble.estimate(inputs)
        z = model.scaler.inverse_transform(scaled)
        z = z[:, 0] if model.single else z
        if not return_std and not return_cov:
            return z
        unit = model.scaler.scale_
        cov = np.asarray(np.linalg.inv(precision) * np.outer(unit, unit), np.float64)
        if return_cov:
            return z, cov
        std = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
        return z, std[:, 0] if model.single else std

    def log_ratio(self, X: Any, y: ArrayLike) -> Array:
        """Log of the likelihood ratio p(x|z) / p(x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Measured quantities x.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Values of z, one a row.

        Returns
        -------
        array of shape (n_samples,)
            The log of the ratio, normalised on the held-out rows of `fit`. Its
            dependence on z is the log-likelihood; p(x) is that of the training
            sample.
        """
        jets, z = self._read_events(X, y)
        inputs = self._model.inputs.transform(jets)
        values = self._model.ensemble.log_ratio(inputs, z)[0]
        return values - self._model.log_normaliser

    def mutual_information(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        """Mutual information of x and z in a sample, in nats.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Measured quantities x, of rows that were not used in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True quantities z.
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights, not negative.

        Returns
        -------
        value : float
            Donsker-Varadhan bound of the fitted ratio. In a large sample it is not
            above the true mutual information. The same sample always gives the same
            value.
        error : float
            Its standard error.

        Raises
        ------
        ValueError
            If there are fewer than two rows of positive weight.
        """
        jets, z = self._read_events(X, y)
        weight = check_density_weight(sample_weight, z)
        rows = np.flatnonzero(weight)
        if len(rows) < 2:
            raise ValueError(
                "the mutual information needs two rows of positive weight, got "
                f"n_samples = {len(rows)}."
            )
        # Neighbours may be alike: the z of other events are those of random ones.
        rows = np.random.RandomState(0).permutation(rows)
        inputs = self._model.inputs.transform(jets[rows])
        sample = Sample(inputs, z[rows], weight[rows])
        values = self._shuffled_values(self._model.ensemble, sample)
        return mutual_information_bound(values, sample.weight)

    def score(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mutual information in nats, not R2, which rewards bias to the mean of z.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or jets
            Measured quantities x.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True quantities z.
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights, not negative.

        Returns
        -------
        float
            The value of `mutual_information`. It depends on the spectrum of z:
            compare regressors on the same sample only.
        """
        return self.mutual_information(X, y, sample_weight)[0]

    def _read(self, X: Any, *, reset: bool) -> Jets:
        if self.backbone == "mlp":
            return validate_jets(self, X, reset=reset, require="features")
        jets = validate_jets(self, X, reset=reset, require="constituents")
        if jets.feature_names:
            check_jets(jets, require="features")
        if reset:
            self.jet_feature_names_in_ = jets.feature_names
        elif jets.feature_names != self.jet_feature_names_in_:
            raise ValueError(
                f"X has the jet features {list(jets.feature_names)}, but "
                f"{type(self).__name__} was fitted with "
                f"{list(self.jet_feature_names_in_)}."
            )
        return jets

    # Events and their z in the units of the networks.
    def _read_events(self, X: Any, y: ArrayLike) -> tuple[Jets, Array]:
        check_is_fitted(self)
        z, _ = _read_target(y)
        scaler = self._model.scaler
        if z.shape[1] != scaler.n_features_in_:
            raise ValueError(
                f"y has {z.shape[1]} targets, but {type(self).__name__} was fitted "
                f"with {scaler.n_features_in_}."
            )
        jets = self._read(X, reset=False)
        check_consistent_length(jets, z)
        return jets, scaler.transform(z)

    def _make_inputs(self) -> TableInputs | JetInputs:
        if self.backbone == "mlp":
            return TableInputs()
        return JetInputs(_WEIGHTING[self.backbone], self.particle_id)

    def _fit_ensemble(
        self,
        inputs: TableInputs | JetInputs,
        sample: Sample,
        held_out: Sample,
        rng: np.random.RandomState,
    ) -> tuple[AnsatzEnsemble, list[Array]]:
        from ..nn import resolve_device

        device = resolve_device(self.device)
        fits = [
            fit_ansatz(
                sample,
                held_out,
                loss=self.loss,
                n_shuffles=self.n_shuffles,
                architecture=self._architecture(inputs, sample),
                training={
                    "max_epochs": self.max_epochs,
                    "batch_size": self.batch_size,
                    "validation_batch_size": _VALIDATION_BATCH,
                    "learning_rate": self.learning_rate,
                    "early_stopping": self.early_stopping,
                    "n_iter_no_change": self.n_iter_no_change,
                    "device": device,
                    "verbose": self.verbose,
                },
                seed=rng.randint(np.iinfo(np.int32).max),
            )
            for _ in range(self.n_ensemble)
        ]
        networks, curves = (list(part) for part in zip(*fits, strict=True))
        reference = None
        if self.loss == "infonce":
            odds = sample.weight / sample.weight.sum()
            rows = rng.choice(len(odds), min(_N_REFERENCE, len(odds)), p=odds)
            reference = sample.z[rows]
        return AnsatzEnsemble(networks, reference), curves

    def _architecture(
        self, inputs: TableInputs | JetInputs, sample: Sample
    ) -> dict[str, Any]:
        architecture: dict[str, Any] = {
            "n_features": sample.inputs.features.shape[1],
            "n_targets": sample.z.shape[1],
            "hidden": layer_sizes(self.hidden_layer_sizes, "hidden_layer_sizes"),
            "activation": self.activation,
            "inclination": self.d_schedule == "anneal",
        }
        if isinstance(inputs, TableInputs):
            return architecture
        return architecture | {
            "deep_sets": {
                "n_coordinates": inputs.constituents.n_coordinates,
                "hidden": layer_sizes(self.phi_layer_sizes, "phi_layer_sizes"),
                "n_latent": self.latent_dim,
                "weighting": inputs.constituents.weighting,
                "activation": self.activation,
                "n_categories": inputs.constituents.n_categories,
            },
            "latent_scale": inputs.typical_total,
        }

    # Log ratios of events (first row), and of their x with the z of others.
    def _shuffled_values(self, ensemble: AnsatzEnsemble, sample: Sample) -> Array:
        n_shuffles = min(self.n_mi_shuffles, len(sample.z) - 1)
        return ensemble.log_ratio(sample.inputs, sample.z, n_shuffles=n_shuffles)


# Unlike scikit-learn's `validate_data`, this keeps the names of X.
def _read_target(y: ArrayLike) -> tuple[Array, bool]:
    if y is None:
        raise ValueError(
            "GaussianAnsatzRegressor requires y to be passed, but the target y is None."
        )
    table = check_array(
        y,
        dtype=np.float64,
        ensure_2d=False,
        input_name="y",
        estimator="GaussianAnsatzRegressor",
    )
    if table.ndim == 0:
        raise ValueError("y must have one row a sample, got a single number.")
    return table.reshape(len(table), -1), table.ndim == 1
