from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags
from sklearn.utils.validation import check_array

from .._constituents import Array
from .._moment_efn import BaseMomentEFN, Target


class MomentEFNRegressor(RegressorMixin, BaseMomentEFN):
    r"""Regress on the moments of a few learned functions of the constituents of jets.

    The regressor of minimum squared error with the network of `MomentEFNClassifier`,

    .. math::

        F\left(\sum_i z_i \, \Phi^{a_1}(p_i) \cdots \Phi^{a_m}(p_i)\right),
        \quad 1 \le m \le k

    which is infrared and collinear safe and does not depend on the order of the
    constituents, by construction [1]_ [2]_.

    Parameters
    ----------
    order : int, default=4
        Highest order k of the moments; 1 gives the ordinary energy flow network.
    latent_dim : int, default=1
        Number of components of Phi.
    phi_layer_sizes : sequence of int, default=(100, 100)
        Units in the hidden layers of Phi.
    f_layer_sizes : sequence of int, default=(100, 100, 100)
        Units in the hidden layers of F.
    moments : {"central", "raw"}, default="central"
        "central" takes the moments from the second order on about the means. "raw" are
        those of [2]_.
    coordinates : {"log", "linear"}, default="log"
        "log" gives Phi distances r to the axis as log(1 + r / warp_scale), with their
        direction, so that the collinear region has its share of the input. "linear"
        gives them as they are, as in [2]_.
    warp_scale : float, default=0.005
        Distance in radians below which the coordinates "log" become linear.
    weighting : {"energy", "count"}, default="energy"
        "count" gives all constituents the same weight, and Phi their momentum as
        another coordinate, and all further columns: a particle flow network [1]_. It
        is neither infrared nor collinear safe.
    particle_id : str or None, default="pdgid"
        Column of the constituents that holds PDG identifiers, which ``"count"`` treats
        as categories (identifiers not seen in `fit` as unknown). Jets need not have
        the default column. None if every column is a number.
    activation : {"relu", "leaky_relu", "silu", "gelu"}, default="leaky_relu"
        Activation of the hidden layers.
    augment : bool or "auto", default="auto"
        Turn every jet by a random angle around its axis, and mirror half of them,
        whenever it is trained on. It helps with few jets, if the target does not depend
        on the orientation of the jet. "auto" stands for False.
    n_restarts : int, default=0
        How many more networks are trained from other initial weights. The one with the
        lowest loss on the held-out rows is kept.
    max_epochs : int, default=30
        Passes over the training rows.
    batch_size : int, default=256
        Rows of a training step; at most a 32nd of the training rows, but not fewer
        than 32.
    learning_rate : float, default=0.003
        Peak learning rate of Adam. It rises over the first 5 % of the steps, and then
        falls as a cosine.
    early_stopping : bool, default=True
        Keep the weights of the epoch with the lowest loss on the held-out rows, and
        stop when it has not fallen for `n_iter_no_change` epochs.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping sets in.
    validation_fraction : float, default=0.1
        Part of the rows that is held out for early stopping and restarts; without
        both, none is.
    precision : {"double", "single"}, default="double"
        Arithmetic of predictions. With "double", they are the same to rounding errors
        of 1e-12 whatever other jets are predicted with them, and infrared and collinear
        safe as exactly. "single" is faster, and not exact beyond 1e-4.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where the network is trained; "auto" takes a GPU when there is one. The fitted
        one runs on the CPU.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out rows and of the training.

    Attributes
    ----------
    effective_latent_dim_ : int
        Number of moments, with the one of order zero: for L components
        (L + k)! / (L! k!).
    loss_curve_ : ndarray of shape (n_epochs, 2)
        Training and validation loss of the epochs.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns of the constituents.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where they have any.

    Raises
    ------
    ValueError
        In `fit`, if there are jets without constituents, NaN or infinity, if the
        weights do not have a positive sum, or if the training diverges.

    See Also
    --------
    sklearn_hepcal.classification.MomentEFNClassifier : The same for classes.
    GaussianAnsatzRegressor : Independent of the spectrum of the target.

    Notes
    -----
    Fractions of momentum and distances to the axis do not tell the momentum of the jet
    itself: give targets relative to it. Like every estimate of minimum squared error,
    that of this regressor depends on the distribution of the target in the training
    sample.

    F sees the moments in units of their spread over jets under the initial Phi. For
    momenta that are negative or zero see `MomentEFNClassifier`.

    References
    ----------
    .. [1] P. Komiske, E. Metodiev and J. Thaler, "Energy Flow Networks: Deep Sets for
       Particle Jets", JHEP 01 (2019) 121, arXiv:1810.05165.
    .. [2] R. Gambhir, A. Osathapan and J. Thaler, "Moments of Clarity: Streamlining
       Latent Spaces in Machine Learning using Moment Pooling", Phys. Rev. D 110 (2024)
       074020, arXiv:2403.08854.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.datasets import load_quark_gluon_jets
    >>> from sklearn_hepcal.regression import MomentEFNRegressor
    >>> jets = load_quark_gluon_jets(n_jets=2000).data
    >>> relative_mass = jets.labels["mass"] / jets.labels["pt"]
    >>> regressor = MomentEFNRegressor(2, 2, max_epochs=10, random_state=0)
    >>> regressor = regressor.fit(jets[:1500], relative_mass[:1500])
    >>> regressor.score(jets[1500:], relative_mass[1500:]) > 0.9
    True
    """

    def predict(self, X: Any) -> Array:
        """Estimate the target.

        Parameters
        ----------
        X : jets
            Jets with constituents.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets)
            The mean of the target, given the jet.
        """
        outputs = self._outputs(X)
        values = self._scaler.inverse_transform(outputs)
        return values[:, 0] if self._single else values

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        # Jets of one constituent, as which tables are read, are all alike.
        tags.regressor_tags.poor_score = True
        return tags

    def _read_target(self, y: ArrayLike) -> Target:
        table = check_array(
            y,
            dtype=np.float64,
            ensure_2d=False,
            input_name="y",
            estimator="MomentEFNRegressor",
        )
        self._single = table.ndim == 1
        table = table.reshape(len(table), -1)
        one_kind = np.zeros(len(table), dtype=np.int64)
        return Target(table, one_kind, "squared", table.shape[1])

    def _weigh_target(self, target: Target, weight: Array) -> Target:
        if weight.sum() <= 0:
            raise ValueError(
                "sample_weight must have a positive sum over the training rows, got "
                f"{weight.sum():g}."
            )
        # Negative weights may take more spread away than there is.
        self._scaler = StandardScaler().fit(target.values, sample_weight=abs(weight))
        if not np.isfinite(self._scaler.var_).all():
            raise ValueError("y holds values too large to be squared.")
        return target._replace(values=self._scaler.transform(target.values))
