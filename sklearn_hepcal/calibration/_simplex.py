import warnings
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import helmert
from scipy.special import log_expit, log_softmax, logsumexp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_array,
    check_is_fitted,
    check_non_negative,
    validate_data,
)

Floats = NDArray[np.float64]


class SimplexTransformer(TransformerMixin, BaseEstimator):
    r"""Take probabilities that sum to one to unconstrained coordinates and back.

    The K outputs of a tagger have only K - 1 degrees of freedom. A calibration that
    treats them as K free numbers leaves the surface on which they sum to one; in the
    coordinates given here it cannot. All other columns, such as the jet's pT, pass
    through unchanged.

    Parameters
    ----------
    columns : sequence of int or of str, default=None
        Positions or names of the K >= 2 columns that hold the probabilities, on the
        side where they are probabilities: in the input, or with ``inverse=True`` in
        the output. None means that there are no other columns.
    kind : {"ilr", "alr", "logit"}, default="ilr"
        The coordinates; see Notes.
    log : bool, default=False
        Whether the columns hold log-probabilities instead of probabilities, as in
        the output of a log-softmax. Nothing is lost then in the tails, however far.
    inverse : bool, default=False
        Whether `transform` is the way back, from coordinates to probabilities. This
        makes the way back the last step of a Pipeline.
    eps : float, default=1e-20
        A probability below this value is raised to it, which gives a zero a finite
        logarithm. Not used for log-probabilities.

    Attributes
    ----------
    columns_ : ndarray of shape (K,)
        Positions of the probabilities on their side.
    coordinate_columns_ : ndarray of shape (K - 1,), or (K,) for ``kind="logit"``
        Positions of the coordinates on their side.
    n_features_in_ : int
        Number of columns of the input.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of the input, where it has any.

    Raises
    ------
    ValueError
        In `fit` and `transform`, if a parameter or a column is not valid, if a value
        is NaN, infinite or a negative probability.

    Warns
    -----
    UserWarning
        If all probabilities of a row are zero; they are then taken to be equal.

    Notes
    -----
    Each row of probabilities is first divided by its sum. With the probabilities
    :math:`p_1 \dots p_K` in the order of `columns`, the coordinates are

    - "ilr", the isometric log-ratio [1]_ in the basis of pivot coordinates,

      .. math:: z_j = \sqrt{\frac{K - j}{K - j + 1}}
                \ln \frac{p_j}{(p_{j+1} \cdots p_K)^{1 / (K - j)}},
                \qquad j = 1 \dots K - 1 .

      The basis is orthonormal: the Euclidean distance of two points is their
      Aitchison distance, so it treats all K classes alike, and optimal transport in
      these coordinates does not depend on the order of the columns. They were used
      to calibrate flavour taggers in [2]_.
    - "alr", the additive log-ratio :math:`z_j = \ln (p_j / p_K)`. Simpler to read,
      but not isometric: the last column plays a special role.
    - "logit", the K numbers :math:`z_k = \ln [p_k / (1 - p_k)]`. They do **not** live
      on the simplex: they lie on a curved surface of K - 1 dimensions, and a map
      between them leaves it. On the way back, probabilities are therefore divided by
      their sum again. Calibrations in the literature use them [3]_.

    Coordinate j takes the place of column j, and the place of the last column is
    closed up: with ``columns=[0, 2, 3]``, ``(p_b, pt, p_c, p_u)`` becomes
    ``(ilr_p_b, pt, ilr_p_c)``. (The K logits keep all K places.) The way back with
    the same `columns` restores the original places. If they are given by name there,
    the coordinates are found by their names, and the last probability follows
    directly after the rightmost coordinate; positions say exactly where it belongs.

    References
    ----------
    .. [1] J. J. Egozcue, V. Pawlowsky-Glahn, G. Mateu-Figueras and C. Barcelo-Vidal,
       "Isometric logratio transformations for compositional data analysis",
       Mathematical Geology 35 (2003) 279.
    .. [2] arXiv:2605.01363.
    .. [3] ATLAS Collaboration, arXiv:2505.13063.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.calibration import SimplexTransformer
    >>> X = np.array([[0.7, 45.0, 0.2, 0.1], [0.1, 80.0, 0.3, 0.6]])  # p, pT, p, p
    >>> forward = SimplexTransformer(columns=[0, 2, 3]).fit(X)
    >>> Z = forward.transform(X)
    >>> Z.round(3)
    array([[ 1.306, 45.   ,  0.49 ],
           [-1.18 , 80.   , -0.49 ]])
    >>> back = SimplexTransformer(columns=[0, 2, 3], inverse=True).fit(Z)
    >>> back.transform(Z).round(3)
    array([[ 0.7, 45. ,  0.2,  0.1],
           [ 0.1, 80. ,  0.3,  0.6]])
    """

    def __init__(
        self,
        columns: Sequence[int] | Sequence[str] | None = None,
        *,
        kind: str = "ilr",
        log: bool = False,
        inverse: bool = False,
        eps: float = 1e-20,
    ) -> None:
        self.columns = columns
        self.kind = kind
        self.log = log
        self.inverse = inverse
        self.eps = eps

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the columns; nothing else is learnt.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with probabilities, or with coordinates if ``inverse=True``.
        y : object, default=None
            Not used, present for scikit-learn's interface.

        Returns
        -------
        SimplexTransformer
            The transformer itself.
        """
        if self.kind not in ("ilr", "alr", "logit"):
            raise ValueError(
                f"kind must be 'ilr', 'alr' or 'logit', but got {self.kind!r}."
            )
        rows = validate_data(self, X, dtype=np.float64)
        self._find_columns()
        if not 0 < self.eps < 1 / len(self.columns_):
            raise ValueError(
                f"eps must be above 0 and below 1 / {len(self.columns_)}, the mean "
                f"probability, but got {self.eps!r}."
            )
        if not self.inverse:
            self._log_probabilities(rows)  # refuses here what transform would refuse
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Take probabilities to coordinates, or back if ``inverse=True``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with probabilities, or with coordinates if ``inverse=True``.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            The same rows with coordinates, or with probabilities.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        if self.inverse:
            return self._from_coordinates(rows)
        return self._to_coordinates(rows)

    def inverse_transform(self, X: ArrayLike) -> Floats:
        """Undo `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Rows with coordinates, or with probabilities if ``inverse=True``.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same rows with probabilities, or with coordinates.

        Raises
        ------
        ValueError
            If X has another number of columns, or those of the output of `transform`
            in another order.
        """
        check_is_fitted(self)
        rows = check_array(X, dtype=np.float64, input_name="X")
        expected = self._n_probability_side if self.inverse else self._n_coordinate_side
        if rows.shape[1] != expected:
            raise ValueError(
                f"X has {rows.shape[1]} features, but inverse_transform of this "
                f"SimplexTransformer is expecting {expected} features as input."
            )
        names, known = list(getattr(X, "columns", [])), self.get_feature_names_out()
        if sorted(map(str, names)) == sorted(known) and names != list(known):
            raise ValueError(
                f"the columns of X must be in the order {list(known)}, got {names}."
            )
        if self.inverse:
            return self._to_coordinates(rows)
        return self._from_coordinates(rows)

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Name the columns of the output.

        Coordinates are named after the column whose place they take, as in
        "ilr_p_b". On the way back, probabilities have the names given in `columns`,
        or p0, p1, ... (log_p0, ... for log-probabilities) if there are none.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of the input; by default those seen in `fit`.

        Returns
        -------
        ndarray of str
            One name for each column of the output.
        """
        check_is_fitted(self)
        names_in = _check_feature_names_in(self, input_features)
        if not self.inverse:
            probabilities = names_in[self.columns_]
            names = self._move(
                names_in, self.columns_, self.coordinate_columns_, object
            )
            names[self.coordinate_columns_] = self._coordinate_names(probabilities)
            return names
        names = self._move(names_in, self.coordinate_columns_, self.columns_, object)
        if self.columns is not None and isinstance(self.columns[0], str):
            names[self.columns_] = self.columns
        else:
            prefix = "log_p" if self.log else "p"
            names[self.columns_] = [f"{prefix}{k}" for k in range(len(self.columns_))]
        return names

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = not (self.log or self.inverse)
        return tags

    # How many places are lost on the side of the coordinates.
    @property
    def _n_closed(self) -> int:
        return 0 if self.kind == "logit" else 1

    @property
    def _n_probability_side(self) -> int:
        return self.n_features_in_ + (self._n_closed if self.inverse else 0)

    @property
    def _n_coordinate_side(self) -> int:
        return self._n_probability_side - self._n_closed

    def _coordinate_names(self, probabilities: Sequence[str]) -> list[str]:
        n_coordinates = len(probabilities) - self._n_closed
        return [f"{self.kind}_{name}" for name in probabilities[:n_coordinates]]

    def _find_columns(self) -> None:
        columns = self._positions(self._n_probability_side)
        if len(columns) < 2:
            raise ValueError(
                "SimplexTransformer needs at least two columns of probabilities, but "
                f"got {len(columns)} (columns={self.columns!r}, "
                f"n_features={self.n_features_in_})."
            )
        if len(np.unique(columns)) != len(columns):
            raise ValueError(f"columns must not repeat, but got {self.columns!r}.")
        self.columns_ = columns
        kept = columns[: len(columns) - self._n_closed]
        closed = columns[len(kept) :]
        self.coordinate_columns_ = kept - (kept[:, None] > closed).sum(axis=1)

    # Positions of the probabilities among the `n_columns` of their side.
    def _positions(self, n_columns: int) -> NDArray[np.intp]:
        if self.columns is None:
            return np.arange(n_columns)
        columns = np.asarray(self.columns)
        if columns.ndim == 1 and columns.dtype.kind in "UOT":
            names = columns.tolist()
            return self._named_places(names) if self.inverse else self._find(names)
        if columns.ndim != 1 or columns.dtype.kind not in "iu":
            raise ValueError(
                "columns must be None or a sequence of positions (int) or of names "
                f"(str), but got {self.columns!r}."
            )
        if np.any((columns < -n_columns) | (columns >= n_columns)):
            side = "output" if self.inverse else "input"
            raise ValueError(
                f"columns={self.columns!r} are not all positions in an {side} of "
                f"{n_columns} columns."
            )
        return columns % n_columns

    # Places of named probabilities in the output, where the input tells them.
    def _named_places(self, names: Sequence[str]) -> NDArray[np.intp]:
        places = self._find(self._coordinate_names(names))
        if self._n_closed == 0:
            return places
        last = places.max(initial=-1) + 1
        return np.append(places + (places >= last), last)

    def _find(self, names: Sequence[str]) -> NDArray[np.intp]:
        if not hasattr(self, "feature_names_in_"):
            raise ValueError(
                f"columns={self.columns!r} are names, but X has none. Give positions, "
                "or a DataFrame (in a Pipeline: set_output(transform='pandas'))."
            )
        position = {name: i for i, name in enumerate(self.feature_names_in_)}
        missing = [name for name in names if name not in position]
        if missing:
            raise ValueError(
                f"X has no columns {missing}; its columns are {list(position)}."
            )
        return np.array([position[name] for name in names], dtype=np.intp)

    # Copy all but the last axis' `gone` columns, leaving `places` to be filled.
    def _move(
        self, X: NDArray, gone: NDArray, places: NDArray, dtype: type = np.float64
    ) -> NDArray:
        n_columns = X.shape[-1] - len(gone) + len(places)
        out = np.empty((*X.shape[:-1], n_columns), dtype=dtype)
        kept = np.delete(np.arange(n_columns), places)
        out[..., kept] = np.delete(X, gone, axis=-1)
        return out

    def _to_coordinates(self, X: Floats) -> Floats:
        out = self._move(X, self.columns_, self.coordinate_columns_)
        out[:, self.coordinate_columns_] = self._coordinates(self._log_probabilities(X))
        return out

    def _from_coordinates(self, X: Floats) -> Floats:
        out = self._move(X, self.coordinate_columns_, self.columns_)
        coordinates = X[:, self.coordinate_columns_]
        if self.kind == "logit":
            log_p = log_expit(coordinates)
        else:
            log_p = coordinates @ self._bases()[1]
        log_p = log_softmax(log_p, axis=1)
        out[:, self.columns_] = log_p if self.log else np.exp(log_p)
        return out

    # Normalised log-probabilities of shape (n_samples, K).
    def _log_probabilities(self, X: Floats) -> Floats:
        values = X[:, self.columns_]
        if self.log:
            return log_softmax(values, axis=1)
        check_non_negative(values, "SimplexTransformer (the columns of probabilities)")
        total = values.sum(axis=1, keepdims=True)
        if not total.all():
            warnings.warn(
                "All probabilities are zero, and are taken to be equal, in row "
                f"{np.argmin(total)} and in {np.sum(total == 0)} rows altogether.",
                stacklevel=3,
            )
            total[total == 0] = 1
        return np.log(np.maximum(values / total, self.eps))

    def _coordinates(self, log_p: Floats) -> Floats:
        if self.kind != "logit":
            return log_p @ self._bases()[0]
        # log(1 - p) from the other classes, which stays exact as p goes to one
        others = [logsumexp(np.delete(log_p, k, 1), 1) for k in range(log_p.shape[1])]
        return log_p - np.column_stack(others)

    # Matrices that take log-probabilities to coordinates and back.
    def _bases(self) -> tuple[Floats, Floats]:
        n_classes = len(self.columns_)
        if self.kind == "ilr":
            basis = -helmert(n_classes)[::-1, ::-1]
            return basis.T, basis
        identity = np.eye(n_classes - 1, n_classes)
        return identity.T - np.eye(n_classes)[:, [-1]], identity
