"""What the classifier and the regressor with moment pooling share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_consistent_length, check_scalar
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    check_random_state,
)

from ._constituents import Array, ConstituentInputs
from ._hold_out import hold_out
from ._layer_sizes import layer_sizes
from ._log_angularity import LogAngularity, fit_log_angularity
from ._network_training import (
    TRAINING_CONSTRAINTS,
    check_converged,
    final_loss,
    supervised_settings,
)
from .jets import Jets, relative_constituents, validate_jets

if TYPE_CHECKING:
    from torch import Tensor

    from .nn import RowsDataset

# Jets that give F the scale of its inputs; points of a batch of the latent function.
_SCALE_BATCH = 2000
_PREDICTION_ROWS = 8000
# What a fit sets, beside what y and the names of columns tell.
_FITTED = ("_model", "effective_latent_dim_", "loss_curve_", "n_iter_")
# The polar grid on which a latent function is compared with a log angularity.
_N_RADII = 400
_N_DIRECTIONS = 16


class Target(NamedTuple):
    """What a network is trained to predict.

    Attributes
    ----------
    values : array of shape (n_samples,) or (n_samples, n_outputs)
        Classes 0, 1, ..., or numbers.
    strata : int array of shape (n_samples,)
        Rows of every kind are trained on.
    loss : {"binary", "multiclass", "squared"}
        Loss of `sklearn_hepcal.nn.SupervisedObjective`.
    n_outputs : int
        Columns of the output of the network.
    """

    values: NDArray
    strata: NDArray[np.int64]
    loss: str
    n_outputs: int


@dataclass(frozen=True)
class _Model:
    inputs: ConstituentInputs
    network: dict[str, Any]


class BaseMomentEFN(TransformerMixin, BaseEstimator):
    """Fits the network; derived classes say what it predicts."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TRAINING_CONSTRAINTS,
        "order": [Interval(Integral, 1, None, closed="left")],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "phi_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "f_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "moments": [StrOptions({"central", "raw"})],
        "coordinates": [StrOptions({"log", "linear"})],
        "warp_scale": [Interval(Real, 0, None, closed="neither")],
        "weighting": [StrOptions({"energy", "count"})],
        "particle_id": [str, None],
        "activation": [StrOptions({"relu", "leaky_relu", "silu", "gelu"})],
        "augment": ["boolean", StrOptions({"auto"})],
        "n_restarts": [Interval(Integral, 0, None, closed="left")],
        "precision": [StrOptions({"double", "single"})],
    }

    def __init__(
        self,
        order: int = 4,
        latent_dim: int = 1,
        *,
        phi_layer_sizes: Sequence[int] = (100, 100),
        f_layer_sizes: Sequence[int] = (100, 100, 100),
        moments: str = "central",
        coordinates: str = "log",
        warp_scale: float = 0.005,
        weighting: str = "energy",
        particle_id: str | None = "pdgid",
        activation: str = "leaky_relu",
        augment: bool | str = "auto",
        n_restarts: int = 0,
        max_epochs: int = 30,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        early_stopping: bool = True,
        n_iter_no_change: int = 10,
        validation_fraction: float = 0.1,
        precision: str = "double",
        device: str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.order = order
        self.latent_dim = latent_dim
        self.phi_layer_sizes = phi_layer_sizes
        self.f_layer_sizes = f_layer_sizes
        self.moments = moments
        self.coordinates = coordinates
        self.warp_scale = warp_scale
        self.weighting = weighting
        self.particle_id = particle_id
        self.activation = activation
        self.augment = augment
        self.n_restarts = n_restarts
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.precision = precision
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @abstractmethod
    def _read_target(self, y: ArrayLike) -> Target:
        """Check y and keep what is known of it."""

    @abstractmethod
    def _weigh_target(self, target: Target, weight: Array) -> Target:
        """Check the weights of the training rows, and scale what depends on them."""

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : jets
            Jets with constituents, in any form that `sklearn_hepcal.jets.check_jets`
            reads. Their features are not used.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Classes of a classifier, one or several numbers of a regressor.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the jets, which may have both signs. The loss has no lower bound
            then: too few jets, or too long a training without early stopping, end in
            an error.

        Returns
        -------
        estimator
            The fitted estimator.
        """
        self._validate_params()
        # What a failed or interrupted fit leaves must not look like a fitted one.
        for name in _FITTED:
            self.__dict__.pop(name, None)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        jets = validate_jets(self, X, reset=True, require="constituents")
        target = self._read_target(y)
        check_consistent_length(jets, target.values)
        weight = _check_sample_weight(sample_weight, target.values, dtype=np.float64)
        rng = check_random_state(self.random_state)
        held_out = np.zeros(len(jets), dtype=bool)
        used = weight != 0
        if self.early_stopping or self.n_restarts:
            strata = 2 * target.strata[used] + (weight[used] < 0)
            held_out[used] = hold_out(strata, self.validation_fraction, rng)
        train = used & ~held_out
        target = self._weigh_target(target, np.where(train, weight, 0.0))
        weight = weight / np.mean(weight[train])
        inputs = self._make_inputs().fit(
            jets[train], relative_constituents(jets[train]), np.abs(weight[train])
        )
        datasets = [
            _dataset(
                inputs, jets[rows], target=target.values[rows], weight=weight[rows]
            )
            for rows in (train, held_out)
            if rows.any()
        ]
        seeds = rng.randint(np.iinfo(np.int32).max, size=self.n_restarts + 1)
        fits = [self._train(inputs, target, seed, *datasets) for seed in seeds]
        losses = [final_loss(curve, self.early_stopping) for _, curve in fits]
        check_converged(min(losses), self.learning_rate)
        network, curve = fits[int(np.argmin(losses))]
        self._model = _Model(inputs, network)
        self.effective_latent_dim_ = math.comb(self.latent_dim + self.order, self.order)
        self.loss_curve_ = curve
        self.n_iter_ = len(curve)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def transform(self, X: Any) -> Array:
        """Compute the moments of jets.

        Parameters
        ----------
        X : jets
            Jets with constituents.

        Returns
        -------
        array of shape (n_samples, n_moments)
            The moments from the first order on, sorted by order, and those of an order
            by components, which are ``effective_latent_dim_ - 1``; for
            ``weighting="count"``, the number of constituents before them.
        """
        return self._evaluate(X, lambda network, batch: network.moments(**batch))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the columns of `transform`.

        Parameters
        ----------
        input_features : None
            Not used.

        Returns
        -------
        array of str of shape (n_moments,)
            Products of components, such as "phi0 phi0 phi1".
        """
        check_is_fitted(self)
        config = self._model.network["config"]
        names = ["count"] if config["weighting"] == "count" else []
        for m in range(1, config["order"] + 1):
            for product in combinations_with_replacement(
                range(config["latent_dim"]), m
            ):
                names.append(" ".join(f"phi{a}" for a in product))
        return np.array(names, dtype=object)

    def latent_function(self, points: ArrayLike) -> Array:
        """Evaluate the function Phi whose moments are taken.

        Parameters
        ----------
        points : array-like of shape (n_points, n_columns)
            For ``weighting="energy"``, distances in rapidity and azimuth from the jet
            axis, in radians. For "count", the fraction of momentum before them, and
            the other columns of the constituents behind.

        Returns
        -------
        array of shape (n_points, latent_dim)
            The components of Phi. An offset and a factor of each, and for more than
            one component any linear combination, would serve the network as well.

        Raises
        ------
        ValueError
            If the points have another number of columns.
        """
        check_is_fitted(self)
        import torch

        from .nn import load_module

        table = check_array(points, dtype=np.float64, input_name="points")
        inputs = self._model.inputs
        n_columns = 2 if inputs.weighting == "energy" else self.n_features_in_
        if table.shape[1] != n_columns:
            raise ValueError(
                f"points must have {n_columns} columns, got {table.shape[1]}."
            )
        if inputs.weighting == "energy":
            table = np.pad(table, [(0, 0), (1, 0)])
        network: Any = load_module(self._model.network, dtype=torch.float64)
        values = []
        with torch.inference_mode():
            for start in range(0, len(table), _PREDICTION_ROWS):
                encoded = inputs.encode(table[start : start + _PREDICTION_ROWS])
                columns = {name: torch.tensor(a) for name, a in encoded.items()}
                values.append(network.latent(**columns).numpy())
        return np.concatenate(values)

    def fit_log_angularity(
        self, component: int = 0, *, radius: float = 0.4
    ) -> LogAngularity:
        """Compare a component of Phi with a log angularity, c1 + c2 log(c3 + r).

        The component is evaluated at 400 equal steps in r along 16 directions, divided
        by its largest absolute value there, and given the sign with which it falls from
        the axis on: a convention, which c1 and c2 depend on and c3 does not. The form
        is fitted to the mean over the directions by least squares, for c3 between 1e-6
        and 100 radii.

        Parameters
        ----------
        component : int, default=0
            The component.
        radius : float, default=0.4
            Largest distance r from the axis, in radians.

        Returns
        -------
        LogAngularity
            The parameters, how far they differ between single directions, and the R2
            over all points. Whether another training ends at the same function, only
            other seeds tell.

        Raises
        ------
        ValueError
            If Phi is not a function of the direction alone, or the component does not
            exist or is constant.
        """
        check_is_fitted(self)
        if self._model.inputs.weighting == "count":
            raise ValueError(
                "a log angularity is a function of direction alone, that of "
                "weighting='count' depends on the momentum too."
            )
        n_components = self._model.network["config"]["latent_dim"]
        check_scalar(
            component, "component", Integral, min_val=0, max_val=n_components - 1
        )
        check_scalar(radius, "radius", Real, min_val=0, include_boundaries="neither")
        if not np.isfinite(radius):
            raise ValueError(f"radius must be finite, got {radius}.")
        r = np.linspace(0.0, radius, _N_RADII)
        angle = np.linspace(0.0, 2 * np.pi, _N_DIRECTIONS, endpoint=False)[:, None]
        directions = np.stack([np.cos(angle) * r, np.sin(angle) * r], axis=-1)
        phi = self.latent_function(directions.reshape(-1, 2))[:, int(component)]
        if np.ptp(phi) == 0:
            raise ValueError(f"component={component} is constant within radius.")
        lines = (phi / np.abs(phi).max()).reshape(_N_DIRECTIONS, _N_RADII)
        if lines[:, 0].mean() < lines.mean():
            lines = -lines
        return fit_log_angularity(r, lines)

    def _make_inputs(self) -> ConstituentInputs:
        warp_scale = self.warp_scale if self.coordinates == "log" else None
        return ConstituentInputs(self.weighting, self.particle_id, warp_scale)

    # A network from one start, and its losses.
    def _train(
        self,
        inputs: ConstituentInputs,
        target: Target,
        seed: int,
        rows: RowsDataset,
        validation: RowsDataset | None = None,
    ) -> tuple[dict[str, Any], Array]:
        from . import nn

        settings = supervised_settings(self, len(rows))
        with nn.seeded(seed, settings.device):
            network = nn.MomentEFN(
                inputs.n_coordinates,
                target.n_outputs,
                order=self.order,
                latent_dim=self.latent_dim,
                central=self.moments == "central",
                phi_hidden=layer_sizes(self.phi_layer_sizes, "phi_layer_sizes"),
                f_hidden=layer_sizes(self.f_layer_sizes, "f_layer_sizes"),
                weighting=self.weighting,
                activation=self.activation,
                n_categories=inputs.n_categories,
            )
            network.float().standardise(**_sample(rows))
            objective = nn.SupervisedObjective(
                network, target.loss, self._turns_jets(target)
            )
            curve = nn.train(objective, rows, settings, validation)
        return nn.export_module(network), curve

    def _turns_jets(self, target: Target) -> bool:
        if self.augment == "auto":
            return target.loss != "squared"
        return bool(self.augment)

    def _outputs(self, X: Any) -> Array:
        return self._evaluate(X, lambda network, batch: network(**batch))

    # What the network makes of jets, a batch at a time.
    def _evaluate(self, X: Any, function: Callable[[Any, Any], Any]) -> Array:
        check_is_fitted(self)
        import torch

        from .nn import evaluate

        jets = validate_jets(self, X, reset=False, require="constituents")
        dtype = torch.float64 if self.precision == "double" else torch.float32
        rows = _dataset(self._model.inputs, jets, dtype=dtype)
        return np.concatenate(evaluate(self._model.network, rows, function, dtype))


def _dataset(
    inputs: ConstituentInputs, jets: Jets, dtype: Any = None, **columns: NDArray
) -> RowsDataset:
    from .nn import RowsDataset

    constituents = inputs.transform(jets, relative_constituents(jets))
    return RowsDataset.from_numpy(columns, constituents, jets.counts, dtype)


# Constituents of some jets.
def _sample(rows: RowsDataset) -> dict[str, Tensor]:
    batch = next(rows.batches(_SCALE_BATCH, shuffle=True))
    return {name: batch[name] for name in ("counts", *rows.ragged)}
