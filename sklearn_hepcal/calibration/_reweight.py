import warnings
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import (
    BaseCrossValidator,
    StratifiedKFold,
    check_cv,
    cross_val_predict,
)
from sklearn.utils import ClassifierTags, Tags, check_consistent_length
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    column_or_1d,
    validate_data,
)

from ..metrics import effective_sample_size
from ._domains import check_data_weight, read_domains, stack_samples

# The mean of a density ratio is one by definition, up to the classifier's errors.
_MIN_MEAN_RATIO = 0.5


class DensityRatioReweighter(BaseEstimator):
    r"""Weight simulated rows with p_data(x) / p_sim(x), learnt by a classifier.

    The alternative to moving simulated rows, as `OTCalibrator` does. A classifier
    that tells data from simulation with probability p gives the ratio of the two
    densities as p / (1 - p) [1]_. The price of weights is statistics: the simulation
    is then worth only `effective_sample_size_` rows. And weights cannot repair a
    region that the simulation does not populate.

    Parameters
    ----------
    classifier : classifier, default=None
        Any scikit-learn classifier with ``predict_proba``. None stands for a
        :class:`~sklearn.ensemble.HistGradientBoostingClassifier` of small trees (8
        leaves of at least 100 rows) that stops early, since a ratio suffers more from
        over-training than a decision does.
    cv : int or cross-validation splitter, default=5
        Folds for calibration and for the cross-fitted diagnostics. An int means that
        many stratified, shuffled folds, or fewer if a domain has fewer rows. Every
        row must be in exactly one test fold.
    calibration : {"sigmoid", "isotonic"} or None, default="sigmoid"
        How the probabilities are calibrated on the rows that the classifier has not
        seen, as in :class:`~sklearn.calibration.CalibratedClassifierCV`; the
        classifiers of all folds are averaged. The steps of "isotonic" can end in
        weights of zero and of `max_weight`. With None, a single classifier is
        fitted to all rows and its probabilities are used as they are.
    max_weight : float, default=100.0
        Larger density ratios are cut to this value.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffled folds and of the default classifier. A classifier that is
        given keeps its own.

    Attributes
    ----------
    classifier_ : classifier
        The fitted classifier; calibrated unless ``calibration=None``.
    classes_ : ndarray of shape (2,)
        The domain labels, sorted: simulation, data.
    source_label_ : int or str
        The label of the simulation.
    target_label_ : int or str
        The label of the data.
    effective_sample_size_ : float
        Kish's effective number of simulated rows after reweighting, the squared sum
        of their weights over the sum of their squared weights. The weights are
        cross-fitted: those of a row come from classifiers that have not seen it.
    effective_sample_fraction_ : float
        `effective_sample_size_` over its value before the reweighting.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, where it has any.

    Raises
    ------
    ValueError
        In `fit`, if X holds NaN or infinities, if y does not hold the labels of
        simulation and data, if a domain has less than two rows or no positive total
        weight, if data rows have negative weights, or if a parameter is not
        valid.

    See Also
    --------
    OTCalibrator : Moves the rows and keeps their weights.

    Notes
    -----
    With W the total event weight of a side, the ratio of the normalised densities is
    :math:`w = \frac{p}{1 - p} \frac{W_\mathrm{sim}}{W_\mathrm{data}}`, divided by its
    mean over the simulated rows of the fit: only the shape is corrected.

    For cross-validation give a stratified splitter, as in
    ``GridSearchCV(..., cv=StratifiedKFold())``: scikit-learn stratifies by itself only
    for classifiers, and an unshuffled fold of stacked samples is a single domain.

    References
    ----------
    .. [1] K. Cranmer, J. Pavez and G. Louppe, "Approximating likelihood ratios with
       calibrated discriminative classifiers", arXiv:1506.02169.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_hepcal.calibration import DensityRatioReweighter
    >>> rng = np.random.default_rng(0)
    >>> X_sim, X_data = rng.normal(0, 1, (5000, 1)), rng.normal(0.5, 1, (5000, 1))
    >>> reweighter = DensityRatioReweighter(LogisticRegression(), random_state=0)
    >>> weights = reweighter.fit_samples(X_sim, X_data).predict(X_sim)
    >>> print(f"{np.average(X_sim[:, 0], weights=weights):.1f}")
    0.5
    >>> print(f"{reweighter.effective_sample_fraction_:.1f}")  # exp(-0.5**2) = 0.78
    0.8
    """

    def __init__(
        self,
        classifier: BaseEstimator | None = None,
        *,
        cv: int | BaseCrossValidator = 5,
        calibration: str | None = "sigmoid",
        max_weight: float = 100.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.classifier = classifier
        self.cv = cv
        self.calibration = calibration
        self.max_weight = max_weight
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn the ratio of the densities of data and simulation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows of all domains.
        y : array-like of shape (n_samples,)
            Domain labels, two of them: the lower is simulation and the higher is data
            (0 and 1 by convention). The label -1 is refused: it marks background in
            `OTCalibrator`, which a ratio of two densities cannot set aside.
        sample_weight : array-like of shape (n_samples,), default=None
            Event weights; those of data must not be negative. Negative weights of
            simulated rows are handed to the classifier, which may refuse them.

        Returns
        -------
        DensityRatioReweighter
            The fitted reweighter.
        """
        rows, domains = validate_data(
            self, X, y, dtype=np.float64, ensure_min_samples=2
        )
        self._check_parameters()
        self.classes_ = read_domains(domains, background=False)
        self.source_label_, self.target_label_ = self.classes_.tolist()
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        # Classifiers regularise by absolute weights; only relative ones have a meaning.
        weight = weight / max(np.abs(weight).mean(), np.finfo(np.float64).tiny)
        self._read_weights(domains, weight)
        params = {} if sample_weight is None else {"sample_weight": weight}
        self.classifier_, unseen_proba = self._cross_fit(rows, domains, params)

        source = domains == self.source_label_
        source_weight = weight[source]
        proba = self.classifier_.predict_proba(rows[source])
        self._mean_ratio = np.average(self._ratio(proba), weights=source_weight)
        if 0 < self._mean_ratio < _MIN_MEAN_RATIO:
            warnings.warn(
                "The mean density ratio over the simulation, which is one if the "
                f"simulation populates the data, is {self._mean_ratio:.2g}: the data "
                "lie where there is little simulation, and weights cannot move it.",
                stacklevel=2,
            )
        if not self._mean_ratio > 0:
            raise ValueError(
                "The weights of the simulated rows sum to nothing: the negative ones "
                "dominate. Check the sample_weight of the simulation."
            )
        reweighted = source_weight * self._ratio(unseen_proba[source])
        self.effective_sample_size_ = effective_sample_size(reweighted)
        self.effective_sample_fraction_ = (
            self.effective_sample_size_ / effective_sample_size(source_weight)
        )
        return self

    def fit_samples(
        self,
        X_sim: ArrayLike,
        X_data: ArrayLike,
        *,
        sample_weight_sim: ArrayLike | None = None,
        sample_weight_data: ArrayLike | None = None,
    ) -> Self:
        """Call `fit` on separate samples, with the labels 0 and 1.

        Parameters
        ----------
        X_sim : array-like of shape (n_sim, n_features)
            Simulation.
        X_data : array-like of shape (n_data, n_features)
            Data.
        sample_weight_sim : array-like of shape (n_sim,), default=None
            Event weights of the simulation.
        sample_weight_data : array-like of shape (n_data,), default=None
            Event weights of the data, not negative.

        Returns
        -------
        DensityRatioReweighter
            The fitted reweighter.
        """
        return self.fit(
            *stack_samples(
                (0, 1), (X_sim, X_data), (sample_weight_sim, sample_weight_data)
            )
        )

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Give the weights of rows of the simulation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; each is taken to be simulation.

        Returns
        -------
        ndarray of shape (n_samples,)
            Factors by which to multiply the event weights; finite and not negative.
        """
        return self._ratio(self._probabilities(X)) / self._mean_ratio

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        r"""Measure how much better than by chance the domains are told apart.

        The mean logarithm of the probability of the right domain, after giving both
        domains the same total weight, minus its value by chance. This is a proper
        score of the density ratio: its expectation is highest, and equal to the
        Jensen-Shannon divergence of the domains, if the ratio is exact.

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
            The score in nats: 0 if nothing was learnt, :math:`\ln 2` for domains that
            are fully separated, negative if the ratio is worse than none.
        """
        balanced = self._probabilities(X) / self._priors
        balanced /= balanced.sum(axis=1, keepdims=True)
        domains = column_or_1d(y)
        check_consistent_length(balanced, domains)
        weight = _check_sample_weight(sample_weight, balanced, dtype=np.float64)
        log_p = np.log(np.maximum(balanced, np.finfo(np.float64).eps))
        means = []
        for label, column in zip(self.classes_.tolist(), log_p.T, strict=True):
            rows = domains == label
            if not np.any(rows):
                raise ValueError(f"y holds no rows of the domain {label!r}.")
            means.append(np.average(column[rows], weights=weight[rows]))
        return float(np.mean(means) + np.log(len(means)))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    def _check_parameters(self) -> None:
        calibrations = ("sigmoid", "isotonic", None)
        if self.calibration not in calibrations:
            raise ValueError(
                f"calibration must be one of {calibrations}, but got "
                f"{self.calibration!r}."
            )
        if not 1 <= self.max_weight < np.inf:
            raise ValueError(
                f"max_weight must be finite and at least 1, but got "
                f"{self.max_weight!r}."
            )

    def _read_weights(self, y: NDArray, weight: NDArray) -> None:
        check_data_weight(weight[y == self.target_label_], self.target_label_)
        totals = np.array([weight[y == label].sum() for label in self.classes_])
        if np.any(totals <= 0):
            raise ValueError(
                "sample_weight must have a positive sum in each domain, but for "
                f"{self.classes_.tolist()} the sums are {totals.tolist()}."
            )
        self._priors = totals / totals.sum()

    def _smallest_domain(self, y: NDArray) -> int:
        return min(int(np.sum(y == label)) for label in self.classes_)

    def _splits(self, X: NDArray, y: NDArray, seed: int) -> list[tuple]:
        if not isinstance(self.cv, Integral):
            return list(check_cv(self.cv, y, classifier=True).split(X, y))
        n_rows = self._smallest_domain(y)
        if n_rows < 2 or self.cv < 2:
            raise ValueError(
                "Cross-fitting needs at least two folds and two rows of each domain, "
                f"but got cv={self.cv} and a domain with n_samples={n_rows}."
            )
        folds = StratifiedKFold(min(self.cv, n_rows), shuffle=True, random_state=seed)
        return list(folds.split(X, y))

    def _default_classifier(
        self, y: NDArray, seed: int
    ) -> HistGradientBoostingClassifier:
        stops_early = self._smallest_domain(y) >= 50  # fewer cannot be split again
        classifier = HistGradientBoostingClassifier(
            max_iter=500 if stops_early else 100,
            max_leaf_nodes=8,
            min_samples_leaf=100,
            early_stopping=stops_early,
            random_state=seed,
        )
        if get_config()["enable_metadata_routing"]:
            classifier.set_fit_request(sample_weight=True)
        return classifier

    # Return the classifier, and probabilities of rows that it has not seen.
    def _cross_fit(
        self, X: NDArray, y: NDArray, params: dict[str, Any]
    ) -> tuple[Any, NDArray]:
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        splits = self._splits(X, y, seed)
        if self.classifier is None:
            base = self._default_classifier(y, seed)
        else:
            base = clone(self.classifier)
        if self.calibration is None:
            proba = cross_val_predict(
                base, X, y, cv=splits, method="predict_proba", params=params
            )
            return base.fit(X, y, **params), proba

        calibrated = CalibratedClassifierCV(base, method=self.calibration, cv=splits)
        calibrated.fit(X, y, **params)
        proba = np.full((len(X), len(self.classes_)), np.nan)
        members = calibrated.calibrated_classifiers_
        for (_, test), member in zip(splits, members, strict=True):
            proba[test] = member.predict_proba(X[test])
        if np.isnan(proba).any():
            raise ValueError("cv must put every row in one test fold.")
        return calibrated, proba

    def _probabilities(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return self.classifier_.predict_proba(rows)

    def _ratio(self, proba: NDArray) -> NDArray:
        source, target = (proba / self._priors).T
        with np.errstate(divide="ignore"):
            return np.minimum(target / source, self.max_weight)
