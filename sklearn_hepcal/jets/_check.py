"""The boundary of every estimator: whatever users hand in becomes checked `Jets`."""

from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from ._jets import Jets
from ._parts import (
    COORDINATES,
    column_names,
    default_constituent_names,
    default_feature_names,
    mask_to_nan,
)

Requirement = Literal["features", "constituents", "either"]


def check_jets(
    X: Any,
    *,
    require: Requirement = "either",
    min_constituents: int = 1,
    min_samples: int = 1,
    dtype: DTypeLike = np.float64,
    ensure_all_finite: bool = True,
    estimator_name: str | None = None,
) -> Jets:
    """Convert any accepted input to `Jets` and check it.

    Parameters
    ----------
    X : Jets, array-like, DataFrame, awkward.Array or list of arrays
        - `Jets`;
        - a 2-D array or data frame: the features of jets, or, for
          ``require="constituents"``, jets of one constituent each, read in the order
          (pt, eta, phi, ...) with missing coordinates set to 0;
        - a 3-D array (n_jets, max_constituents, n_columns), padded where the first
          column is 0 or NaN or all columns have one negative value, see
          `Jets.from_padded`;
        - an awkward array without labels, see `Jets.from_awkward`;
        - a list of arrays (n_constituents_i, n_columns), one a jet.
    require : {"features", "constituents", "either"}, default="either"
        What the jets must have. Only what is required is checked and converted; for
        "either", everything there is.
    min_constituents : int, default=1
        The least number of constituents of a jet that has to have some; 0 allows
        empty jets.
    min_samples : int, default=1
        The least number of jets.
    dtype : dtype, default=numpy.float64
        The type of the features and constituents returned.
    ensure_all_finite : bool, default=True
        Whether NaN and infinity are refused.
    estimator_name : str, default=None
        The estimator to name in errors.

    Returns
    -------
    Jets
        The checked jets; labels are kept.

    Raises
    ------
    TypeError
        If X is sparse or does not hold real numbers.
    ValueError
        If X has a wrong shape, too few jets, empty jets, NaN or infinity, or lacks
        what is required.

    Examples
    --------
    >>> from sklearn_hepcal.jets import check_jets
    >>> check_jets([[50.0, 0.3], [80.0, -1.2]])
    Jets(n=2, features=['x0', 'x1'])
    >>> check_jets([[50.0, 0.3], [80.0, -1.2]], require="constituents")
    Jets(n=2, constituents=1.0 per jet ['pt', 'eta', 'phi'])
    """
    if require not in ("features", "constituents", "either"):
        raise ValueError(
            f"require must be 'features', 'constituents' or 'either', got {require!r}."
        )
    by = f" by {estimator_name}" if estimator_name else ""
    jets = _read(X, require, min_samples, estimator_name)
    _check_size(jets, require, min_samples, by)
    checked = {}
    if require != "constituents":
        if ensure_all_finite:
            _check_finite_features(jets)
        checked["features"] = jets.features.astype(dtype, copy=False)
    if require != "features" and jets.constituent_names:
        _check_counts(jets, min_constituents, by)
        if ensure_all_finite:
            _check_finite_constituents(jets)
        checked["constituents"] = jets.constituents.astype(dtype, copy=False)
    return jets.replace(**checked)


def validate_jets(
    estimator: BaseEstimator,
    X: Any,
    *,
    reset: bool,
    require: Requirement = "either",
    **check_params: Any,
) -> Jets:
    """Check the input of an estimator and what it was fitted with.

    The counterpart of `sklearn.utils.validation.validate_data`. It sets or checks
    ``n_features_in_`` and ``feature_names_in_``, which describe the constituents for
    ``require="constituents"`` and else the features. For ``require="either"`` it also
    sets or checks ``constituent_names_in_``. Default names count as no names.

    Parameters
    ----------
    estimator : estimator instance
        The estimator that was given X.
    X : Jets, array-like, DataFrame, awkward.Array or list of arrays
        The input, as in `check_jets`.
    reset : bool
        True in ``fit``, to set the attributes; False elsewhere, to check them.
    require : {"features", "constituents", "either"}, default="either"
        What the jets must have.
    **check_params : dict
        Other arguments of `check_jets`.

    Returns
    -------
    Jets
        The checked jets.

    Raises
    ------
    TypeError
        If X is sparse or does not hold real numbers.
    ValueError
        If `check_jets` refuses X, or X has other columns than in ``fit``.

    Notes
    -----
    Check y before X, by ``validate_data(estimator, y=y)``: it forgets the names.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn_hepcal.jets import Jets, validate_jets
    >>> jets = Jets([[50.0, 0.3]], feature_names=["pt", "eta"])
    >>> estimator = BaseEstimator()
    >>> jets = validate_jets(estimator, jets, reset=True, require="features")
    >>> estimator.feature_names_in_
    array(['pt', 'eta'], dtype=object)
    """
    jets = check_jets(
        X, require=require, estimator_name=type(estimator).__name__, **check_params
    )
    columns = X if _kind(X) == "table" else _columns(jets, require)
    validate_data(estimator, columns, reset=reset, skip_check_array=True)
    if require == "either":
        _match_constituents(estimator, jets, reset)
    return jets


def _kind(X: Any) -> Literal["jets", "awkward", "padded", "list", "table"]:
    if isinstance(X, Jets):
        return "jets"
    awkward = sys.modules.get("awkward")
    if awkward is not None and isinstance(X, awkward.Array):
        return "awkward"
    if getattr(X, "ndim", None) == 3:
        return "padded"
    if isinstance(X, (list, tuple)) and _holds_tables(X):
        return "list"
    return "table"


# Tell a list of (m_i, d) arrays from a nested list that is a 2-D array.
def _holds_tables(rows: list[Any] | tuple[Any, ...]) -> bool:
    for row in rows:
        ndim = getattr(row, "ndim", int(isinstance(row, (list, tuple))))
        if ndim != 1:
            return ndim == 2
        # an empty row may be a jet without constituents: the next one tells
        if len(row):
            return np.ndim(next(iter(row))) > 0
    return False


def _read(
    X: Any, require: Requirement, min_samples: int, estimator_name: str | None
) -> Jets:
    match _kind(X):
        case "jets":
            return X
        case "awkward":
            return Jets.from_awkward(X)
        case "padded":
            return Jets.from_padded(X)
        case "list":
            return Jets.from_list(X)
    return _read_table(X, require, min_samples, estimator_name)


def _read_table(
    X: Any, require: Requirement, min_samples: int, estimator_name: str | None
) -> Jets:
    if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype.kind == "O":
        raise ValueError(
            "X is a 1-D array of objects; for jets of different lengths give a list of "
            "(n_constituents, n_columns) arrays. Reshape your data otherwise."
        )
    ndim = getattr(X, "ndim", 2)
    if ndim > 3:
        raise ValueError(
            f"Found array with dim {ndim}, while 2-D features or a padded 3-D array "
            "of constituents is required."
        )
    # NaN and infinity are found later, where the column can be named
    table = check_array(
        mask_to_nan(X),
        dtype=np.float64,
        ensure_all_finite=False,
        ensure_min_samples=min_samples,
        estimator=estimator_name,
        input_name="X",
    )
    names = column_names(X)
    if require != "constituents":
        return Jets(features=table, feature_names=names)
    missing = max(0, len(COORDINATES) - table.shape[1])
    return Jets(
        constituents=np.pad(table, [(0, 0), (0, missing)]),
        offsets=np.arange(len(table) + 1),
        constituent_names=None if missing else names,
    )


def _check_size(jets: Jets, require: Requirement, min_samples: int, by: str) -> None:
    if len(jets) < min_samples:
        raise ValueError(
            f"Found jets with {len(jets)} sample(s) (shape={jets.shape}) while a "
            f"minimum of {min_samples} is required{by}."
        )
    has = {
        "features": bool(jets.feature_names),
        "constituents": bool(jets.constituent_names),
    }
    has["either"] = any(has.values())
    if not has[require]:
        needed = "features or constituents" if require == "either" else require
        raise ValueError(f"Jets with {needed} are required{by}, got {jets!r}.")


def _check_counts(jets: Jets, min_constituents: int, by: str) -> None:
    n_short = int(np.sum(jets.counts < min_constituents))
    if n_short:
        raise ValueError(
            f"{n_short} of {len(jets)} jets have fewer than {min_constituents} "
            f"constituent(s), the minimum required{by}; remove them, for instance with "
            f"jets[jets.counts >= {min_constituents}]."
        )


def _check_finite_features(jets: Jets) -> None:
    for name, column in zip(jets.feature_names, jets.features.T, strict=True):
        bad = ~np.isfinite(column)
        if bad.any():
            raise ValueError(
                f"Input X contains {_describe(column)} in feature {name!r} for "
                f"{bad.sum()} jets; remove these jets or fill in their values."
            )


def _check_finite_constituents(jets: Jets) -> None:
    for name, column in zip(jets.constituent_names, jets.constituents.T, strict=True):
        bad = ~np.isfinite(column)
        if bad.any():
            n_jets = np.unique(jets.jet_index[bad]).size
            raise ValueError(
                f"Input X contains {_describe(column)} in constituent column {name!r} "
                f"for {bad.sum()} constituents of {n_jets} jets; remove or repair them."
            )


def _describe(column: NDArray) -> str:
    return "NaN" if np.isnan(column).any() else "infinity"


# Return an empty table from which scikit-learn reads the number and names.
def _columns(jets: Jets, require: Requirement) -> Any:
    if require == "constituents":
        names, default_names = jets.constituent_names, default_constituent_names
    else:
        names, default_names = jets.feature_names, default_feature_names
    if names == default_names(len(names)):
        return np.empty((0, len(names)))
    import pandas as pd

    return pd.DataFrame(columns=list(names))


def _match_constituents(estimator: Any, jets: Jets, reset: bool) -> None:
    if reset:
        estimator.constituent_names_in_ = jets.constituent_names
    elif jets.constituent_names != estimator.constituent_names_in_:
        raise ValueError(
            f"X has the constituent columns {list(jets.constituent_names)}, but "
            f"{type(estimator).__name__} was fitted with "
            f"{list(estimator.constituent_names_in_)}."
        )
