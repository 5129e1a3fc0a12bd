from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import assert_all_finite, column_or_1d

from .._tagger import BaseTagger, TaggerModel, Target
from .._tagger_inputs import Array
from ..jets import Jets
from ._jet_table import momenta, warn_low_pt


@dataclass(frozen=True)
class LogRatio:
    """Scale of the logarithm of the true over the measured momentum.

    Attributes
    ----------
    centre, width : float
        What is subtracted, and what is divided by then.
    """

    centre: float
    width: float

    @classmethod
    def of(cls, values: Array) -> LogRatio:
        """Take the median, and the spread of the middle half, which tails don't change.

        Parameters
        ----------
        values : array of shape (n_samples,)
            Logarithms.

        Returns
        -------
        LogRatio
            Their scale.
        """
        low, centre, high = np.percentile(values, [25, 50, 75])
        return cls(float(centre), float(high - low) or 1.0)


class JetPtRegressor(RegressorMixin, BaseTagger):
    r"""Calibrate the momentum of jets from their tracks and features.

    The networks of `FlavourTaggerClassifier` learn the logarithm of the ratio of the
    true and the measured transverse momentum, with the absolute error as loss: the
    median of the ratio for jets that look the same. The tracks tell, for instance, of
    decays of heavy hadrons, whose neutrinos are not measured.

    Parameters
    ----------
    backbone : {"deepsets", "rnn", "gnn", "transformer", "dense"}, default="deepsets"
        Kind of the network, see `FlavourTaggerClassifier`.
    pt_column : int or str, default=0
        Feature that is the measured transverse momentum in GeV. Jets without features
        have that of the sum of their constituents.
    pt_floor : float, default=0.001
        Measured momenta below, in GeV, count as this much, with a warning.
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
    dropout : float, default=0.0
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
    loss_curve_ : ndarray of shape (n_epochs, 2)
        Training and validation loss of the epochs, in units of the
        spread of the middle half of the logarithms.
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
        In `fit`, if true momenta are not positive and finite, if there are infinite
        values or no column of momenta, or if the training diverges.
    TypeError
        If `warm_start_from` is another kind of object.

    Warns
    -----
    UserWarning
        If measured momenta are below the floor.

    See Also
    --------
    AsymmetryJERRegressor : Calibration that does not depend on the spectrum.
    sklearn_hepcal.classification.FlavourTaggerClassifier : The same for flavours.

    Notes
    -----
    What is learned is the median of true momenta at a given measured one: it depends
    on the spectrum of the training sample, and its closure at fixed true momentum is
    not that of a calibration by numerical inversion. Weights can flatten the spectrum
    (`sklearn_hepcal.metrics.flatten_spectrum`).

    References
    ----------
    .. [1] ATLAS Collaboration, "Transforming jet flavour tagging at ATLAS", Nat.
       Commun. 17 (2026) 541, arXiv:2505.19689.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.jets import Jets
    >>> from sklearn_hepcal.regression import JetPtRegressor
    >>> rng = np.random.default_rng(0)
    >>> true_pt = rng.uniform(50, 200, size=300)
    >>> lost = rng.uniform(0, 0.3, size=300)
    >>> jets = Jets(np.stack([true_pt * (1 - lost), lost], axis=1))
    >>> regressor = JetPtRegressor("dense", max_epochs=10, random_state=0)
    >>> pt = regressor.fit(jets[:200], true_pt[:200]).predict(jets[200:])
    >>> bool(np.std(pt / true_pt[200:]) < 0.05)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTagger._parameter_constraints,
        "pt_column": [Integral, str],
        "pt_floor": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        backbone: str = "deepsets",
        *,
        pt_column: int | str = 0,
        pt_floor: float = 1e-3,
        embed_dim: int | str = "auto",
        n_layers: int = 3,
        n_heads: int = 4,
        latent_dim: int = 128,
        head_layer_sizes: Sequence[int] = (128, 64),
        order_by: int | str | None = "auto",
        activation: str = "relu",
        dropout: float = 0.0,
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
        self.pt_column = pt_column
        self.pt_floor = pt_floor
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        # Other features may be missing, the momentum may not.
        tags.input_tags.allow_nan = False
        # Numbers of both signs are no momenta.
        tags.regressor_tags.poor_score = True
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        warm_start_from: BaseTagger | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : jets
            Jets with tracks and features, in any form that
            `sklearn_hepcal.jets.check_jets` reads. NaN stands for a missing value.
        y : array-like of shape (n_samples,)
            True transverse momenta in GeV.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the jets.
        warm_start_from : FlavourTaggerClassifier or JetPtRegressor, default=None
            Fitted on jets with the same columns and with the same architecture: its
            network is where the training starts.

        Returns
        -------
        JetPtRegressor
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, warm_start_from)

    def predict(self, X: Any) -> Array:
        """Calibrate the momenta of jets.

        Parameters
        ----------
        X : jets
            Jets with the columns of the training sample.

        Returns
        -------
        array of shape (n_samples,)
            Transverse momenta in GeV.
        """
        pulls = self._evaluate(X, lambda network, batch: network(**batch))[:, 0]
        (ratio,) = self._model.outputs
        measured = self._measured(self._check_jets(X, reset=False))
        return measured * np.exp(ratio.centre + ratio.width * pulls)

    def _measured(self, jets: Jets) -> Array:
        column, floor = self._pt
        measured = momenta(jets, column)
        assert_all_finite(measured, input_name="X: the measured pt")
        warn_low_pt(jets, column, floor)
        return np.maximum(measured, floor)

    def _read_target(self, jets: Jets, y: NDArray, start: TaggerModel | None) -> Target:
        true_pt = column_or_1d(y, dtype=np.float64)
        assert_all_finite(true_pt, input_name="y")
        if (true_pt <= 0).any():
            raise ValueError(
                f"y must hold positive true momenta in GeV, got {true_pt.min():g}."
            )
        self._pt = self.pt_column, self.pt_floor
        log_ratio = np.log(true_pt / self._measured(jets))
        ratio = LogRatio.of(log_ratio)
        if start is not None and isinstance(start.outputs[0], LogRatio):
            # What its head predicts keeps its meaning.
            ratio = start.outputs[0]
        scaled = (log_ratio - ratio.centre) / ratio.width
        strata = np.zeros(len(jets), dtype=np.int64)
        return Target(scaled, strata, "absolute", [ratio])

    def _weigh(self, target: Target, weight: Array, train: NDArray[np.bool_]) -> Array:
        total = weight[train].sum()
        if total <= 0:
            raise ValueError(
                "sample_weight must have a positive sum over the training rows, got "
                f"{total:g}."
            )
        return weight
