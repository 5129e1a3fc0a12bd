from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_scalar
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted

from .._flavours import are_flavours, flavour
from .._tagger import BaseTagger, TaggerModel, Target
from .._tagger_inputs import Array
from .._track_labels import (
    add_labels,
    label_tracks,
    linked_tracks,
    number_groups,
    pad_labels,
)
from ..jets import Jets
from ..metrics import discriminant

if TYPE_CHECKING:
    from ..nn import Tagger, TaggingObjective

_TASKS = ("origin", "vertex")


class FlavourTaggerClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseTagger
):
    r"""Tag the flavour of jets from their tracks and features.

    One network of each generation of ATLAS's taggers: an encoder turns the tracks of a
    jet into a latent vector, from which a head computes the probabilities of the
    flavours. Auxiliary heads can learn where the tracks come from and which of them
    share a vertex, as in GN1 [3]_,

    .. math::

        L = L_\text{jet} + 0.5 \, L_\text{origin} + 1.5 \, L_\text{vertex}

    Every track comes with the features of its jet and the number of tracks, and the jet
    itself is one more element of what the encoder pools: jets without tracks are jets
    like all others. But for "rnn", nothing depends on the order of the tracks.

    Parameters
    ----------
    backbone : {"deepsets", "rnn", "gnn", "transformer", "dense"}, default="deepsets"
        - "deepsets": sums of a function of single tracks, as DIPS [2]_; the fastest,
          and the best for some ten thousand jets;
        - "rnn": a long short-term memory that reads the tracks by falling significance
          of their impact parameter, as RNNIP [1]_;
        - "gnn": graph attention between all tracks, as GN1 [3]_;
        - "transformer": self-attention between all tracks and gated pooling, as
          GN2 [4]_; with some ten thousand jets it over-fits after few epochs;
        - "dense": no tracks, only the features of the jets, as DL1, such as variables
          of vertices or the outputs of other taggers.
    aux : {"auto"}, sequence of {"origin", "vertex"} or None, default="auto"
        Auxiliary tasks. "auto" stands for those whose labels are given to `fit` or
        come with the jets, None for no tasks.
    aux_weights : (float, float) or "gls", default=(0.5, 1.5)
        Weights of the losses of origins and vertices; "gls" takes the geometric mean
        of all losses instead of the sum.
    vertex_normalisation : {"matched", "mean"}, default="matched"
        Whether the loss of vertices is the sum over all pairs of tracks divided by the
        number of pairs that match, as in salt [5]_, for which the weight 1.5 is made,
        or by the number of pairs.
    signal : label, "auto" or None, default="auto"
        The class whose discriminant `decision_function` returns; None for no such
        class. "auto" stands for b if all classes are flavours (such as 0, 4, 5 or "u",
        "c", "b"), else for none; and for none if b is the first of two classes, as
        scikit-learn's tools take high values for the second one.
    fractions : mapping of label to float, or None, default=None
        Fractions of the other classes in this discriminant; see
        `sklearn_hepcal.metrics.discriminant`.
    class_weight : mapping of label to float, "balanced" or None, default=None
        Factors of the weights of the classes, one for those not named. "balanced"
        makes their sums equal.
    embed_dim : int or "auto", default="auto"
        Width of the encoder: units of its hidden layers or of its memory, columns of
        the elements of attention. "auto" takes 64 for "rnn", "gnn" and "transformer",
        and 128 else.
    n_layers : int, default=3
        Layers of the encoder; "rnn" has one.
    n_heads : int, default=4
        Heads of attention, which share the width of "gnn" and "transformer".
    latent_dim : int, default=128
        Columns of what `transform` returns.
    head_layer_sizes : sequence of int, default=(128, 64)
        Units of the hidden layers that read it.
    order_by : int, str or None, default="auto"
        Column of the tracks by whose absolute values "rnn" sorts them, largest first.
        "auto" takes ``signed_d0_significance``, or what ATLAS calls it; without such
        a column, and with None, the order stays as it is. Other backbones do not
        depend on the order.
    activation : {"relu", "leaky_relu", "silu", "gelu"}, default="relu"
        Activation of the hidden layers.
    dropout : float, default=0.1
        Part of the hidden units that is dropped in training; "rnn" drops only in the
        layers behind the encoder.
    max_epochs : int, default=30
        Passes over the training rows.
    batch_size : int, default=256
        Jets of a training step; at most a 32nd of the training rows, but not fewer
        than 32.
    learning_rate : float, default=0.002
        Peak learning rate of Adam. It rises over the first 5 % of the steps, and then
        falls as a cosine.
    early_stopping : bool, default=True
        Keep the weights of the epoch with the lowest loss on the held-out rows, and
        stop when it has not fallen for `n_iter_no_change` epochs.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping sets in.
    validation_fraction : float, default=0.1
        Part of the rows that is held out for early stopping.
    precision : {"double", "single"}, default="double"
        Arithmetic of predictions. "single" is faster, and exact to 1e-5.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where the network is trained; "auto" takes a GPU when there is one. The fitted
        one runs on the CPU.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out rows and of the training.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    loss_curve_ : ndarray of shape (n_epochs, 2)
        Training and validation loss of the epochs; the validation
        loss has no auxiliary terms.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns of the tracks; of the features of jets for "dense".
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of these columns, where they have any.
    jet_feature_names_in_ : tuple of str
        Names of the features of jets.

    Raises
    ------
    ValueError
        In `fit`, if there are fewer than two classes, infinite values, labels of
        tracks that do not fit the jets, a signal or fractions that are not those of the
        classes, if the weights of a class do not have a positive sum, or if the
        training diverges.
    TypeError
        If `warm_start_from` is another kind of object.

    See Also
    --------
    sklearn_hepcal.regression.JetPtRegressor : The same networks for the momentum.
    sklearn_hepcal.metrics.discriminant : Of probabilities from anywhere.
    sklearn_hepcal.jets.read_ftag_h5 : Jets from the files of ATLAS.

    Notes
    -----
    Columns are centred at their median, divided by their median deviation, and
    compressed by asinh, so that long tails keep their order and do no harm. A missing
    value (NaN) becomes the mean of its column, and a further column marks it.

    The loss of origins is the mean cross-entropy over the tracks whose origin is known
    (not negative). The one of vertices is the binary cross-entropy of pairs of tracks,
    which match if they have the same index of a vertex, negative indices being none;
    pairs of tracks that both come from heavy flavour (origins 3, 4 and 5 of ATLAS)
    count twice, where origins are known. Both are weighted by jets.

    The classifier learns the spectrum of momenta too, where classes differ in it; see
    `sklearn_hepcal.metrics.kinematic_weights`. Probabilities are for the mixture of
    classes that it was trained on, with its weights.

    References
    ----------
    .. [1] ATLAS Collaboration, "Identification of Jets Containing b-Hadrons with
       Recurrent Neural Networks at the ATLAS Experiment", ATL-PHYS-PUB-2017-003.
    .. [2] ATLAS Collaboration, "Deep Sets based Neural Networks for Impact Parameter
       Flavour Tagging in ATLAS", ATL-PHYS-PUB-2020-014.
    .. [3] ATLAS Collaboration, "Graph Neural Network Jet Flavour Tagging with the
       ATLAS Detector", ATL-PHYS-PUB-2022-027.
    .. [4] ATLAS Collaboration, "Transforming jet flavour tagging at ATLAS", Nat.
       Commun. 17 (2026) 541, arXiv:2505.19689.
    .. [5] salt, https://github.com/umami-hep/salt

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.classification import FlavourTaggerClassifier
    >>> from sklearn_hepcal.jets import Jets
    >>> rng = np.random.default_rng(0)
    >>> flavour = rng.choice([0, 5], size=300)
    >>> d0 = rng.normal(flavour[:, None], size=(300, 4))
    >>> tracks = np.stack([rng.exponential(size=d0.shape), d0], axis=2)
    >>> jets = Jets.from_padded(tracks, constituent_names=["pt", "d0"])
    >>> tagger = FlavourTaggerClassifier(max_epochs=3, random_state=0)
    >>> tagger = tagger.fit(jets[:200], flavour[:200])
    >>> bool(tagger.score(jets[200:], flavour[200:]) > 0.9)
    True
    >>> tagger.transform(jets[:2]).shape
    (2, 128)
    """

    classes_: NDArray[Any]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTagger._parameter_constraints,
        "aux": [StrOptions({"auto"}), "array-like", None],
        "aux_weights": [StrOptions({"gls"}), "array-like"],
        "vertex_normalisation": [StrOptions({"matched", "mean"})],
        "signal": [object],
        "fractions": [Mapping, None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        backbone: str = "deepsets",
        *,
        aux: Sequence[str] | str | None = "auto",
        aux_weights: Sequence[float] | str = (0.5, 1.5),
        vertex_normalisation: str = "matched",
        signal: Any = "auto",
        fractions: Mapping[Any, float] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        embed_dim: int | str = "auto",
        n_layers: int = 3,
        n_heads: int = 4,
        latent_dim: int = 128,
        head_layer_sizes: Sequence[int] = (128, 64),
        order_by: int | str | None = "auto",
        activation: str = "relu",
        dropout: float = 0.1,
        max_epochs: int = 30,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        early_stopping: bool = True,
        n_iter_no_change: int = 10,
        validation_fraction: float = 0.1,
        precision: str = "double",
        device: str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.backbone = backbone
        self.aux = aux
        self.aux_weights = aux_weights
        self.vertex_normalisation = vertex_normalisation
        self.signal = signal
        self.fractions = fractions
        self.class_weight = class_weight
        self.embed_dim = embed_dim
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.latent_dim = latent_dim
        self.head_layer_sizes = head_layer_sizes
        self.order_by = order_by
        self.activation = activation
        self.dropout = dropout
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

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        origin: ArrayLike | None = None,
        vertex: ArrayLike | None = None,
        warm_start_from: BaseTagger | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : jets
            Jets with tracks and features, in any form that
            `sklearn_hepcal.jets.check_jets` reads. NaN stands for a missing value.
        y : array-like of shape (n_samples,)
            Classes, such as flavours.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the jets, which may have both signs.
        origin : array-like of int of shape (n_samples, n_tracks), default=None
            Where the tracks come from, in the order of the tracks; negative for
            unknown and behind the last track. By default, the constituent label
            "origin" or "ftagTruthOriginLabel" of the jets, if there is one.
        vertex : array-like of int of shape (n_samples, n_tracks), default=None
            The vertices that the tracks belong to; negative for none and behind the
            last track. By default, the constituent label "vertex" or
            "ftagTruthVertexIndex" of the jets, if there is one.
        warm_start_from : FlavourTaggerClassifier or JetPtRegressor, default=None
            Fitted on jets with the same columns and with the same architecture: its
            network is where the training starts. Heads are taken over if they have the
            same outputs.

        Returns
        -------
        FlavourTaggerClassifier
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, warm_start_from, origin, vertex)

    def predict(self, X: Any) -> NDArray[Any]:
        """Choose the most probable class.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.

        Returns
        -------
        array of shape (n_samples,)
            The classes.
        """
        most_probable = self._logits(X).argmax(axis=1)
        return self.classes_[most_probable]

    def predict_proba(self, X: Any) -> Array:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.

        Returns
        -------
        array of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_`, for the mixture that was
            trained on.
        """
        return softmax(self._logits(X), axis=1)

    def decision_function(self, X: Any) -> Array:
        """Compute the discriminant of `signal`, or the log-odds of all classes.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_classes)
            The discriminant, if there is a signal. Without, the log of the ratio of
            the probability of the second class and that of the first for two classes,
            and for more the logs of the probabilities minus their mean.
        """
        logits = self._logits(X)
        signal, fractions = self._decision
        if signal is not None:
            return self._discriminant(logits, signal, fractions)
        if logits.shape[1] == 2:
            return logits[:, 1] - logits[:, 0]
        return logits - logits.mean(axis=1, keepdims=True)

    def discriminant(
        self, X: Any, signal: Any, fractions: Mapping[Any, float] | None = None
    ) -> Array:
        """Compute the log-likelihood ratio of any class against a mix of the others.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.
        signal : label
            One of `classes_`, or another spelling of it.
        fractions : mapping of label to float, or None, default=None
            Fractions of the other classes, see `sklearn_hepcal.metrics.discriminant`.

        Returns
        -------
        array of shape (n_samples,)
            The discriminant, such as D_c for ``signal=4``.
        """
        return self._discriminant(self._logits(X), signal, fractions)

    def transform(self, X: Any) -> Array:
        """Compute the latent vectors of jets.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.

        Returns
        -------
        array of shape (n_samples, latent_dim)
            All that the network predicts of a jet is a function of them.
        """
        return self._evaluate(X, lambda network, batch: network.encode(**batch)[1])

    def predict_proba_from_latent(self, Z: ArrayLike) -> Array:
        """Estimate the probabilities of the classes from latent vectors.

        ``predict_proba_from_latent(transform(X))`` is ``predict_proba(X)``. Latent
        vectors that were calibrated in between, by `OTCalibrator` for example, give
        calibrated probabilities.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim)
            Latent vectors, in the columns of `transform`.

        Returns
        -------
        array of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_`.

        Raises
        ------
        ValueError
            If Z has another number of columns, or is not finite.
        """
        check_is_fitted(self)
        latent = check_array(Z, dtype=np.float64, input_name="Z")
        if latent.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z must have the {self._n_features_out} columns of the latent vectors "
                f"that transform returns, got {latent.shape[1]}."
            )
        return softmax(self._evaluate_head(latent), axis=1)

    @property
    def _n_features_out(self) -> int:
        return self._model.network["config"]["latent_dim"]

    def predict_origin(self, X: Any) -> NDArray[np.int64]:
        """Choose the most probable origin of every track.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.

        Returns
        -------
        array of shape (n_samples, max_tracks)
            Labels as those of the training sample, and -1 behind the last track.

        Raises
        ------
        ValueError
            If the tagger was not trained with origins.
        """
        check_is_fitted(self)
        origins = self._model.origins
        if not len(origins):
            raise ValueError("this tagger was not trained with origins of tracks.")

        def most_probable(network: Any, batch: Any) -> Any:
            encoded = network.encode(**batch)
            return network.origins(*encoded, batch["counts"]).argmax(dim=1)

        jets, chosen = self._of_tracks(X, most_probable)
        return pad_labels(jets, origins[chosen])

    def predict_vertices(self, X: Any, threshold: float = 0.5) -> NDArray[np.int64]:
        """Sort the tracks of every jet into vertices.

        Two tracks are linked if the probability that they come from the same vertex is
        above the threshold; tracks that are linked, be it through others, share a
        vertex.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.
        threshold : float, default=0.5
            The probability, between 0 and 1.

        Returns
        -------
        array of shape (n_samples, max_tracks)
            Vertices 0, 1, ... of each jet, in the order of their first tracks, and -1
            behind the last track. Tracks without links have a vertex of their own.

        Raises
        ------
        ValueError
            If the tagger was not trained with vertices.
        """
        check_is_fitted(self)
        check_scalar(threshold, "threshold", Real, min_val=0, max_val=1)
        if not self._model.network["config"]["vertex"]:
            raise ValueError("this tagger was not trained with vertices of tracks.")

        def vertices(network: Any, batch: Any) -> NDArray[np.int64]:
            encoded = network.encode(**batch)
            first, second, logit = map(
                np.asarray, network.vertex(*encoded, batch["counts"])
            )
            linked = expit(logit) > threshold
            return linked_tracks(
                first[linked], second[linked], np.asarray(batch["counts"])
            )

        jets, vertex = self._of_tracks(X, vertices)
        return pad_labels(jets, number_groups(jets, vertex))

    # What a function makes of all tracks, in the order in which they were given.
    def _of_tracks(
        self, X: Any, function: Callable[[Any, Any], Any]
    ) -> tuple[Jets, NDArray[np.int64]]:
        jets = self._check_jets(X, reset=False)
        labels = np.empty(len(jets.constituents), dtype=np.int64)
        labels[self._model.inputs.order(jets)] = self._evaluate(jets, function)
        return jets, labels

    def _logits(self, X: Any) -> Array:
        return self._evaluate(X, lambda network, batch: network(**batch))

    def _discriminant(
        self, logits: Array, signal: Any, fractions: Mapping[Any, float] | None
    ) -> Array:
        return discriminant(
            softmax(logits, axis=1),
            signal=signal,
            fractions=fractions,
            order=self.classes_,
        )

    # The class that decision_function is about, if there is one.
    def _signal(self) -> Any:
        if not isinstance(self.signal, str) or self.signal != "auto":
            return self.signal
        labels = self.classes_.tolist()
        if not are_flavours(labels):
            return None
        candidates = labels[1:] if len(labels) == 2 else labels
        return "b" if "b" in map(flavour, candidates) else None

    def _read_target(self, jets: Jets, y: NDArray, start: TaggerModel | None) -> Target:
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.classes_, classes = np.unique(y, return_inverse=True)
        names = self.classes_.tolist()
        if len(names) < 2:
            raise ValueError(
                "FlavourTaggerClassifier needs samples of at least 2 classes, but the "
                f"data contains only one class: {names[0]!r}."
            )
        self._decision = self._signal(), copy(self.fractions)
        self._check_decision(*self._decision)
        return Target(classes, classes, "multiclass", names)

    # A signal or fractions that do not exist should not be found out at the end.
    def _check_decision(
        self, signal: Any, fractions: Mapping[Any, float] | None
    ) -> None:
        if signal is not None:
            uniform = np.zeros((1, len(self.classes_)))
            self._discriminant(uniform, signal, fractions)
        elif fractions is not None:
            raise ValueError(
                f"fractions={fractions!r} are of no use without a signal: name the "
                f"class of {self.classes_.tolist()} that decision_function is about."
            )

    def _weigh(self, target: Target, weight: Array, train: NDArray[np.bool_]) -> Array:
        names = target.outputs
        sums = np.bincount(target.values[train], weight[train], len(names))
        for name, total in zip(names, sums, strict=True):
            if total <= 0:
                raise ValueError(
                    "sample_weight must have a positive sum over the training rows of "
                    f"every class, got {total:g} for the class {name!r}."
                )
        if self.class_weight is None:
            return weight
        if self.class_weight == "balanced":
            of_class = sums.sum() / sums
        else:
            of_class = self._class_weights(names)
        return weight * of_class[target.values]

    def _class_weights(self, names: list[Any]) -> Array:
        assert isinstance(self.class_weight, Mapping)
        unknown = [name for name in self.class_weight if name not in names]
        # As in scikit-learn: a fold may lack a class, but nobody misspells one.
        if unknown and not set(names) <= set(self.class_weight):
            raise ValueError(
                f"class_weight names {unknown}, which are not among the classes "
                f"{names}."
            )
        factors = [self.class_weight.get(name, 1.0) for name in names]
        for name, factor in zip(names, factors, strict=True):
            check_scalar(factor, f"class_weight[{name!r}]", Real)
            if not 0 < factor < np.inf:
                raise ValueError(
                    f"class_weight[{name!r}] must be positive and finite, got {factor}."
                )
        return np.array(factors)

    def _label_tracks(
        self,
        jets: Jets,
        rows: NDArray[np.bool_],
        origin: ArrayLike | None,
        vertex: ArrayLike | None,
    ) -> tuple[Jets, NDArray[np.int64]]:
        tasks = self._tasks()
        if tasks == ():
            return super()._label_tracks(jets, rows, origin, vertex)
        jets = add_labels(jets, {"origin": origin, "vertex": vertex})
        return label_tracks(jets[rows], tasks)

    # Auxiliary tasks; None for those whose labels are known.
    def _tasks(self) -> tuple[str, ...] | None:
        if self.aux is None:
            return ()
        if isinstance(self.aux, str):  # "auto"
            return None if self._reads_tracks else ()
        tasks = tuple(self.aux)
        if not set(tasks) <= set(_TASKS):
            raise ValueError(
                f"aux must be 'auto', None or some of {_TASKS}, got {tasks}."
            )
        if not self._reads_tracks and tasks:
            raise ValueError(
                f"backbone='dense' reads no tracks: aux={tasks} needs them."
            )
        return tasks

    def _objective(self, network: Tagger, loss: str) -> TaggingObjective:
        from ..nn import TaggingObjective

        weights = None
        if not isinstance(self.aux_weights, str):
            weights = tuple(
                check_scalar(weight, "aux_weights", Real) for weight in self.aux_weights
            )
            if len(weights) != len(_TASKS) or not all(0 <= w < np.inf for w in weights):
                raise ValueError(
                    f"aux_weights must be one weight of each of {_TASKS}, not negative "
                    f"and finite, or 'gls', got {self.aux_weights!r}."
                )
        matched = self.vertex_normalisation == "matched"
        return TaggingObjective(network, loss, weights, matched)
