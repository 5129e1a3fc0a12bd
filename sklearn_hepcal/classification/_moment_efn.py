from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from .._constituents import Array
from .._moment_efn import BaseMomentEFN, Target


class MomentEFNClassifier(ClassifierMixin, BaseMomentEFN):
    r"""Classify jets by the moments of a few learned functions of their constituents.

    An energy flow network [1]_ sums a function :math:`\Phi` over the constituents i of
    a jet, weighted by their fractions z of the transverse momentum, and reads the sums
    by a second network F. With moment pooling [2]_, F reads all products of up to
    `order` components of it,

    .. math::

        F\left(\sum_i z_i \, \Phi^{a_1}(p_i) \cdots \Phi^{a_m}(p_i)\right),
        \quad 1 \le m \le k

    so that few components, which one can look at, do the work of many. The directions
    p are distances in rapidity and azimuth from the axis of the jet. The network is
    infrared and collinear safe and does not depend on the order of the constituents,
    by construction; it does not change when a jet is boosted along the beam or rotated
    around it, but may when it is rotated around its axis.

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
        whenever it is trained on. The fewer the jets, the more it helps; what the
        orientation of a jet tells, such as its pull, is lost. "auto" stands for True.
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
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
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
        In `fit`, if there are fewer than two classes, jets without constituents, NaN
        or infinity, if the weights of a class do not have a positive sum, or if the
        training diverges.

    See Also
    --------
    sklearn_hepcal.regression.MomentEFNRegressor : The same with a squared loss.
    sklearn_hepcal.metrics.background_rejection : At a fixed signal efficiency.

    Notes
    -----
    F sees the moments in units of their spread over jets under the initial Phi.

    With ``weighting="energy"``, negative momenta, as of calorimeter cells after a
    subtraction, are negative fractions of the sum of the absolute values of all;
    central moments are about the sums with these fractions. Jets whose momenta are all
    zero have moments of zero. With "count", momenta that are not positive are all seen
    as the same very small one.

    The rows that are held out choose the epoch and the restart: the loss on them is
    lower than that on new jets.

    References
    ----------
    .. [1] P. Komiske, E. Metodiev and J. Thaler, "Energy Flow Networks: Deep Sets for
       Particle Jets", JHEP 01 (2019) 121, arXiv:1810.05165.
    .. [2] R. Gambhir, A. Osathapan and J. Thaler, "Moments of Clarity: Streamlining
       Latent Spaces in Machine Learning using Moment Pooling", Phys. Rev. D 110 (2024)
       074020, arXiv:2403.08854.

    Examples
    --------
    >>> from sklearn_hepcal.classification import MomentEFNClassifier
    >>> from sklearn_hepcal.datasets import load_quark_gluon_jets
    >>> jets, is_quark = load_quark_gluon_jets(n_jets=2000, return_X_y=True)
    >>> classifier = MomentEFNClassifier(2, 2, max_epochs=10, random_state=0)
    >>> classifier = classifier.fit(jets[:1500], is_quark[:1500])
    >>> classifier.predict_proba(jets[1500:]).shape
    (500, 2)
    >>> classifier.effective_latent_dim_
    6
    """

    classes_: NDArray[Any]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # Jets of one constituent, as which tables are read, are all alike.
        tags.classifier_tags.poor_score = True
        return tags

    def predict(self, X: Any) -> NDArray[Any]:
        """Choose the most probable class.

        Parameters
        ----------
        X : jets
            Jets with constituents.

        Returns
        -------
        array of shape (n_samples,)
            The classes.
        """
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]

    def predict_proba(self, X: Any) -> Array:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : jets
            Jets with constituents.

        Returns
        -------
        array of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_`.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return expit(np.stack([-scores, scores], axis=1))
        return softmax(scores, axis=1)

    def decision_function(self, X: Any) -> Array:
        """Compute log-odds.

        Parameters
        ----------
        X : jets
            Jets with constituents.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_classes)
            For two classes, the log of the ratio of the probability of the second one
            and that of the first; for more, the logs of the probabilities minus their
            mean over the classes.
        """
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:
            return outputs[:, 0]
        return outputs - outputs.mean(axis=1, keepdims=True)

    def _read_target(self, y: ArrayLike) -> Target:
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        self.classes_, classes = np.unique(labels, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                "MomentEFNClassifier needs samples of at least 2 classes, but the data "
                f"contains only one class: {self.classes_.tolist()[0]!r}."
            )
        if n_classes == 2:
            return Target(classes, classes, "binary", 1)
        return Target(classes, classes, "multiclass", n_classes)

    def _weigh_target(self, target: Target, weight: Array) -> Target:
        sums = np.bincount(target.values, weight)
        for label, total in zip(self.classes_.tolist(), sums, strict=True):
            if total <= 0:
                raise ValueError(
                    "sample_weight must have a positive sum over the training rows of "
                    f"every class, got {total:g} for the class {label!r}."
                )
        return target
