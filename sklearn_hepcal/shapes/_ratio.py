from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ..jets import validate_jets
from ._shape import Array
from ._shapiness import ShapinessTransformer


class ShapinessRatioTransformer(TransformerMixin, BaseEstimator):
    r"""Measure how much closer events are to more copies of a shape than to fewer.

    The ratio of two distances, such as :math:`\tau_{32} = \tau_3 / \tau_2` of
    N-subjettiness [1]_, which is small for jets with three prongs, as from top quarks,
    and near one for jets that a third point does not describe any better.

    Parameters
    ----------
    transformer : ShapinessTransformer, default=None
        What is measured, whatever its `n_shapes`; N-subjettiness,
        ``ShapinessTransformer("point")``, by default. To search over its parameters,
        such as ``transformer__beta``, it must be given.
    numerator : int, default=3
        Number of shapes of the distance above the line.
    denominator : int, default=2
        Number of shapes of the distance below.

    Attributes
    ----------
    numerator_, denominator_ : ShapinessTransformer
        The transformers of the two distances.
    n_features_in_ : int
        Number of columns of the constituents.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of these columns, where they have any.

    Raises
    ------
    TypeError
        In `fit` and `transform`, if X does not hold real numbers.
    ValueError
        In `fit` and `transform`, if a parameter is not valid, if X is not a sample of
        events, or has negative transverse momenta.

    See Also
    --------
    ShapinessTransformer : The distances, and the shapes themselves.
    make_observable : Transformers of observables that have a name.

    Notes
    -----
    A ratio of safe observables is not infrared and collinear safe by itself: where the
    denominator goes to zero, any ratio is possible [2]_. Where it is exactly zero, as
    for events with no more particles than points in it, the ratio is not defined and
    is NaN, as for events without energy. Estimators such as
    :class:`~sklearn.ensemble.HistGradientBoostingClassifier` take NaN for what it is,
    a missing value; for others put a :class:`~sklearn.impute.SimpleImputer` between.

    With ``numerator > denominator`` the ratio is at most one, local minima aside. R
    drops out of it, unless ``norm=False``.

    References
    ----------
    .. [1] J. Thaler, K. Van Tilburg, "Identifying boosted objects with N-subjettiness",
       JHEP 03 (2011) 015, arXiv:1011.2268.
    .. [2] A. J. Larkoski, S. Marzani, J. Thaler, "Sudakov safety in perturbative QCD",
       Phys. Rev. D 91 (2015) 111501, arXiv:1502.01719.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import ShapinessRatioTransformer
    >>> jet = [[[60.0, 0.0, 0.1], [30.0, 0.0, 0.5], [10.0, 0.2, 0.1]]]
    >>> tau_21 = ShapinessRatioTransformer(numerator=2, denominator=1)
    >>> tau_21.fit_transform(jet).round(3)
    array([[0.143]])
    >>> tau_21.get_feature_names_out()
    array(['emd_2_over_1'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict] = {
        "transformer": [ShapinessTransformer, None],
        "numerator": [Interval(Integral, 1, None, closed="left")],
        "denominator": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        transformer: ShapinessTransformer | None = None,
        *,
        numerator: int = 3,
        denominator: int = 2,
    ) -> None:
        self.transformer = transformer
        self.numerator = numerator
        self.denominator = denominator

    def fit(self, X: Any, y: object = None) -> Self:
        """Check parameters and events; there is nothing to learn.

        Parameters
        ----------
        X : Jets, array-like, awkward.Array or list of arrays
            Events, as in `check_jets`. The constituents have the columns pt [GeV], y or
            eta, and phi [radians] first.
        y : object, default=None
            Not used, present for scikit-learn's interface.

        Returns
        -------
        ShapinessRatioTransformer
            The transformer itself.
        """
        self._validate_params()
        jets = validate_jets(
            self, X, reset=True, require="constituents", min_constituents=0
        )
        self.numerator_ = self._with_shapes(self.numerator).fit(jets)
        self.denominator_ = self._with_shapes(self.denominator).fit(jets)
        return self

    def transform(self, X: Any) -> Array:
        """Compute the ratio of the two distances.

        Parameters
        ----------
        X : Jets, array-like, awkward.Array or list of arrays
            Events, as in `fit`.

        Returns
        -------
        ndarray of shape (n_events, 1)
            The ratio; NaN where it is not defined.
        """
        check_is_fitted(self)
        jets = validate_jets(
            self, X, reset=False, require="constituents", min_constituents=0
        )
        # the distance comes first, in a table of whatever kind
        above, below = (
            np.asarray(transformer.transform(jets))[:, :1]
            for transformer in (self.numerator_, self.denominator_)
        )
        return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Name the column of the output.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used, present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            A name such as "emd_3_over_2".
        """
        return np.array([f"emd_{self.numerator}_over_{self.denominator}"], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _with_shapes(self, n_shapes: int) -> ShapinessTransformer:
        transformer = (
            ShapinessTransformer("point")
            if self.transformer is None
            else clone(self.transformer)
        )
        return transformer.set_params(n_shapes=n_shapes)
