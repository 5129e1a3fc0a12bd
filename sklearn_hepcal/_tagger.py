"""What estimators that read jets with their tracks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
)

from ._hold_out import hold_out
from ._layer_sizes import layer_sizes
from ._network_training import (
    TRAINING_CONSTRAINTS,
    check_converged,
    final_loss,
    supervised_settings,
)
from ._tagger_inputs import Array, TaggerInputs
from .jets import Jets, validate_jets

if TYPE_CHECKING:
    from .nn import RowsDataset, Tagger, TaggingObjective

# Width of the encoders by default: an element of attention is seen more than once.
_EMBED_DIM = {"deepsets": 128, "rnn": 64, "gnn": 64, "transformer": 64, "dense": 128}
_FITTED = ("_model", "jet_feature_names_in_", "loss_curve_", "n_iter_")


class Target(NamedTuple):
    """What a network is trained to predict.

    Attributes
    ----------
    values : array of shape (n_samples,)
        Classes 0, 1, ..., or numbers.
    strata : int array of shape (n_samples,)
        Rows of every kind are trained on.
    loss : {"multiclass", "absolute"}
        Loss of `sklearn_hepcal.nn.TaggingObjective`.
    outputs : list
        What the columns of the output of the network stand for.
    """

    values: NDArray
    strata: NDArray[np.int64]
    loss: str
    outputs: list[Any]


@dataclass(frozen=True)
class TaggerModel:
    """All that a fitted tagger knows.

    Attributes
    ----------
    inputs : TaggerInputs
        Scales of the inputs.
    network : dict
        The network, as `sklearn_hepcal.nn.export_module` describes it.
    outputs : list
        What the columns of its output stand for.
    origins : int64 array of shape (n_origins,)
        Origins of tracks that it tells apart.
    """

    inputs: TaggerInputs
    network: dict[str, Any]
    outputs: list[Any]
    origins: NDArray[np.int64]


class BaseTagger(BaseEstimator):
    """Fits the network; derived classes say what it predicts."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TRAINING_CONSTRAINTS,
        "backbone": [StrOptions(set(_EMBED_DIM))],
        "embed_dim": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "head_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "order_by": [Integral, str, None],
        "activation": [StrOptions({"relu", "leaky_relu", "silu", "gelu"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "precision": [StrOptions({"double", "single"})],
    }

    backbone: str
    embed_dim: int | str
    n_layers: int
    n_heads: int
    latent_dim: int
    head_layer_sizes: Sequence[int]
    order_by: int | str | None
    activation: str
    dropout: float
    max_epochs: int
    batch_size: int
    learning_rate: float
    early_stopping: bool
    n_iter_no_change: int
    validation_fraction: float
    precision: str
    device: str
    verbose: int
    random_state: int | np.random.RandomState | None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    @abstractmethod
    def _read_target(self, jets: Jets, y: NDArray, start: TaggerModel | None) -> Target:
        """Check y and keep what is known of it."""

    @abstractmethod
    def _weigh(self, target: Target, weight: Array, train: NDArray[np.bool_]) -> Array:
        """Check the weights of the training rows, and scale those of all rows."""

    # Some of the jets, with the labels of tracks that are trained with, and the origins
    # among these.
    def _label_tracks(
        self,
        jets: Jets,
        rows: NDArray[np.bool_],
        origin: ArrayLike | None,
        vertex: ArrayLike | None,
    ) -> tuple[Jets, NDArray[np.int64]]:
        return jets.replace(constituent_labels={})[rows], np.arange(0)

    def _objective(self, network: Tagger, loss: str) -> TaggingObjective:
        from .nn import TaggingObjective

        return TaggingObjective(network, loss)

    def _fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        warm_start_from: BaseTagger | None,
        origin: ArrayLike | None = None,
        vertex: ArrayLike | None = None,
    ) -> Self:
        self._validate_params()
        # A training may start from the network of this very estimator.
        warm_start_from = copy(warm_start_from)
        # What a failed or interrupted fit leaves must not look like a fitted one.
        for name in _FITTED:
            self.__dict__.pop(name, None)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        jets = self._check_jets(X, reset=True)
        values = column_or_1d(y, warn=True)
        check_consistent_length(jets, values)
        weight = _check_sample_weight(sample_weight, values, dtype=np.float64)
        used = weight != 0
        if not used.any():
            raise ValueError("sample_weight is zero for all rows.")
        jets, origins = self._label_tracks(jets, used, origin, vertex)
        weight = weight[used]
        start = None
        if warm_start_from is not None:
            start = self._check_start(warm_start_from, jets)
        target = self._read_target(jets, values[used], start)
        rng = check_random_state(self.random_state)
        held_out = np.zeros(len(jets), dtype=bool)
        if self.early_stopping:
            strata = 2 * target.strata + (weight < 0)
            held_out = hold_out(strata, self.validation_fraction, rng)
        train = ~held_out
        weight = self._weigh(target, weight, train)
        weight = weight / np.mean(weight[train])
        if start is None:
            inputs = TaggerInputs(jets[train], self._reads_tracks, self._order)
        else:
            inputs = start.inputs
        datasets = [
            _dataset(
                inputs, jets[rows], target=target.values[rows], weight=weight[rows]
            )
            for rows in (train, held_out)
            if rows.any()
        ]
        model = TaggerModel(inputs, {}, target.outputs, origins)
        seed = rng.randint(np.iinfo(np.int32).max)
        network, curve = self._train(model, start, target.loss, seed, *datasets)
        check_converged(final_loss(curve, self.early_stopping), self.learning_rate)
        self._model = replace(model, network=network)
        self.loss_curve_ = curve
        self.n_iter_ = len(curve)
        return self

    def _train(
        self,
        model: TaggerModel,
        start: TaggerModel | None,
        loss: str,
        seed: int,
        rows: RowsDataset,
        validation: RowsDataset | None = None,
    ) -> tuple[dict[str, Any], Array]:
        from . import nn

        settings = supervised_settings(self, len(rows))
        with nn.seeded(seed, settings.device):
            network = nn.Tagger(
                n_outputs=len(model.outputs),
                n_origins=len(model.origins),
                vertex="vertex" in rows.ragged,
                dropout=self.dropout,
                head_hidden=layer_sizes(self.head_layer_sizes, "head_layer_sizes"),
                **self._architecture(model.inputs),
            )
            if start is not None:
                nn.load_parts(network, start.network, _shared_parts(model, start))
            objective = self._objective(network, loss)
            curve = nn.train(objective, rows, settings, validation)
        return nn.export_module(network), curve

    # What makes the encoder, and must be the same in a network to start from.
    def _architecture(self, inputs: TaggerInputs) -> dict[str, Any]:
        width = _EMBED_DIM[self.backbone] if self.embed_dim == "auto" else None
        return {
            "backbone": self.backbone,
            "n_columns": inputs.n_columns,
            "n_features": inputs.n_features,
            "embed_dim": width or self.embed_dim,
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "latent_dim": self.latent_dim,
            "activation": self.activation,
        }

    def _check_start(self, other: BaseTagger, jets: Jets) -> TaggerModel:
        if not isinstance(other, BaseTagger):
            raise TypeError(
                "warm_start_from must be a fitted tagger or regressor of the momentum, "
                f"got {type(other).__name__}."
            )
        check_is_fitted(other)
        other._check_jets(jets, reset=False)
        start: TaggerModel = other._model
        for name, value in self._architecture(start.inputs).items():
            if value != start.network["config"][name]:
                raise ValueError(
                    f"warm_start_from has {name}={start.network['config'][name]!r}, "
                    f"and this estimator {name}={value!r}: they must be the same."
                )
        return start

    @property
    def _reads_tracks(self) -> bool:
        return self.backbone != "dense"

    # Only a recurrent network cares.
    @property
    def _order(self) -> int | str | None:
        return self.order_by if self.backbone == "rnn" else None

    def _check_jets(self, X: Any, reset: bool) -> Jets:
        use_tracks = self._reads_tracks if reset else self._model.inputs.use_tracks
        jets = validate_jets(
            self,
            X,
            reset=reset,
            require="constituents" if use_tracks else "features",
            min_constituents=0,
            ensure_all_finite=False,
        )
        names = jets.feature_names
        if reset:
            self.jet_feature_names_in_ = names
        elif names != self.jet_feature_names_in_:
            raise ValueError(
                f"X has the jet features {list(names)}, but {type(self).__name__} was "
                f"fitted with {list(self.jet_feature_names_in_)}."
            )
        _refuse_infinity(jets.features, names, "feature")
        if use_tracks:
            _refuse_infinity(
                jets.constituents, jets.constituent_names, "constituent column"
            )
        return jets

    # What a function makes of the jets or of their tracks.
    def _evaluate(self, X: Any, function: Callable[[Any, Any], Any]) -> Array:
        check_is_fitted(self)
        import torch

        from .nn import evaluate

        jets = self._check_jets(X, reset=False).replace(constituent_labels={})
        dtype = torch.float64 if self.precision == "double" else torch.float32
        rows = _dataset(self._model.inputs, jets, dtype)
        return np.concatenate(evaluate(self._model.network, rows, function, dtype))

    # What the head makes of latent vectors.
    def _evaluate_head(self, latent: Array) -> Array:
        import torch

        from .nn import load_module

        dtype = torch.float64 if self.precision == "double" else torch.float32
        network: Any = load_module(self._model.network, dtype=dtype)
        with torch.inference_mode():
            return network.head(torch.tensor(latent, dtype=dtype)).numpy()


def _dataset(
    inputs: TaggerInputs, jets: Jets, dtype: Any = None, **columns: NDArray
) -> RowsDataset:
    from .nn import RowsDataset

    features, tracks, order = inputs(jets)
    labels = {name: a[order] for name, a in jets.constituent_labels.items()}
    counts = jets.counts if inputs.use_tracks else np.zeros(len(jets), dtype=np.int64)
    return RowsDataset.from_numpy(
        {**columns, "features": features},
        {"constituents": tracks, **labels},
        counts,
        dtype,
    )


# Parts of a network that mean the same in another one.
def _shared_parts(model: TaggerModel, start: TaggerModel) -> list[str]:
    parts = ["encoder", "vertex"]
    if model.outputs == start.outputs:
        parts.append("head")
    if np.array_equal(model.origins, start.origins):
        parts.append("origin")
    return parts


def _refuse_infinity(
    table: NDArray[np.floating], names: tuple[str, ...], kind: str
) -> None:
    for name, column in zip(names, table.T, strict=True):
        n_bad = int(np.isinf(column).sum())
        if n_bad:
            raise ValueError(
                f"Input X contains infinity in {kind} {name!r} for {n_bad} rows; "
                "remove or repair them."
            )
