from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._awkward import read_awkward, write_awkward
from ._pandas import read_pandas, write_pandas
from ._parts import (
    as_float,
    check_labels,
    check_offsets,
    check_table,
    default_constituent_names,
    default_feature_names,
    find_names,
    same_values,
)
from ._ragged import counts_to_offsets, filled_places, gather, join, pad, pick, unpad

if TYPE_CHECKING:
    import awkward
    import pandas as pd


class Jets:
    """Jets with named features and a variable number of constituents.

    The constituents of all jets are one flat table, which ``offsets`` cuts into jets;
    nothing is padded. Jets are immutable and behave as a one-dimensional array of
    rows: scikit-learn's splitters slice them by integers, masks and slices, and an
    integer gives ``Jets`` of length one, as does iteration. Labels (truth, flavour,
    origin) follow the rows but are never an input of a fit.

    Parameters
    ----------
    features : array-like of shape (n_jets, n_features), default=None
        One row a jet, in GeV and radians. Column names of a data frame are kept.
        float32 is kept, other types become float64.
    constituents : array-like of shape (n_constituents, n_columns), default=None
        The constituents of all jets, jet after jet, in GeV and radians.
    offsets : array-like of int of shape (n_jets + 1,), default=None
        Jet ``i`` holds the constituents from ``offsets[i]`` up to ``offsets[i + 1]``.
        Needed if constituents are given.
    feature_names : sequence of str, default=None
        Names of the features; by default ``x0``, ``x1``, ...
    constituent_names : sequence of str, default=None
        Names of the constituent columns; by default ``pt``, ``eta``, ``phi``, ``x3``,
        ``x4``, ...
    labels : mapping of str to array-like of shape (n_jets, ...), default=None
        Named labels of the jets, of any type.
    constituent_labels : mapping of str to array-like, default=None
        Named labels of shape (n_constituents, ...) of the constituents.

    Attributes
    ----------
    features : ndarray of shape (n_jets, n_features)
        The features, read-only; without columns if there are none.
    constituents : ndarray of shape (n_constituents, n_columns)
        The flat constituents, read-only; without columns if there are none.
    offsets : ndarray of shape (n_jets + 1,)
        Where the jets begin in the constituents, and where the last one ends.
    feature_names : tuple of str
        The names of the features.
    constituent_names : tuple of str
        The names of the constituent columns.
    labels : mapping of str to ndarray of shape (n_jets, ...)
        The labels of the jets, read-only.
    constituent_labels : mapping of str to ndarray of shape (n_constituents, ...)
        The labels of the constituents, read-only.
    shape : tuple
        ``(n_jets,)``.
    ndim : int
        1.
    counts : ndarray of shape (n_jets,)
        The number of constituents of each jet.
    jet_index : ndarray of shape (n_constituents,)
        The row of the jet of each constituent, for sums over jets.

    Raises
    ------
    TypeError
        If features or constituents are not real numbers, or names not strings.
    ValueError
        If the shapes, the offsets, or the names do not fit together.

    Notes
    -----
    Arrays are kept as read-only views without a copy where their type allows it: do
    not write to them later through other names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.jets import Jets
    >>> jets = Jets(
    ...     features=[[50.0, 0.3], [80.0, -1.2], [30.0, 2.0]],
    ...     constituents=[[30.0, 0.3, 0.1], [20.0, 0.2, 0.0], [30.0, 2.0, 3.0]],
    ...     offsets=[0, 2, 2, 3],
    ...     feature_names=["pt", "eta"],
    ...     labels={"flavour": [5, 0, 4]},
    ... )
    >>> jets.counts
    array([2, 0, 1])
    >>> hard = jets[jets.feature("pt") > 40]
    >>> hard.labels["flavour"]
    array([5, 0])
    >>> np.bincount(jets.jet_index, jets.constituent("pt"), minlength=len(jets))
    array([50.,  0., 30.])
    """

    __slots__ = (
        "_constituent_labels",
        "_constituent_names",
        "_constituents",
        "_feature_names",
        "_features",
        "_labels",
        "_offsets",
    )

    # NumPy leaves comparisons to `__eq__` instead of taking jets for a sequence.
    __array_ufunc__ = None

    def __init__(
        self,
        features: ArrayLike | None = None,
        constituents: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        *,
        feature_names: Sequence[str] | None = None,
        constituent_names: Sequence[str] | None = None,
        labels: Mapping[str, ArrayLike] | None = None,
        constituent_labels: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        if features is not None and constituents is None and offsets is None:
            constituents = np.empty((0, 0))
            offsets = np.zeros(len(np.atleast_1d(features)) + 1, dtype=np.int64)
        elif constituents is None or offsets is None:
            raise ValueError(
                "Give features, or constituents with offsets, or all three; "
                "`from_padded` and `from_list` find the offsets themselves."
            )
        elif features is None:
            features = np.empty((max(0, np.size(offsets) - 1), 0))
        self._features, self._feature_names = check_table(
            features, feature_names, default_feature_names, "features"
        )
        self._constituents, self._constituent_names = check_table(
            constituents, constituent_names, default_constituent_names, "constituents"
        )
        n_jets, n_constituents = len(self._features), len(self._constituents)
        self._offsets = check_offsets(offsets, n_constituents)
        if len(self._offsets) != n_jets + 1:
            raise ValueError(
                f"features have {n_jets} rows but offsets are for "
                f"{len(self._offsets) - 1} jets."
            )
        self._labels = check_labels(labels, n_jets, "labels")
        self._constituent_labels = check_labels(
            constituent_labels, n_constituents, "constituent_labels"
        )

    @property
    def features(self) -> NDArray[np.floating]:
        return self._features

    @property
    def constituents(self) -> NDArray[np.floating]:
        return self._constituents

    @property
    def offsets(self) -> NDArray[np.int64]:
        return self._offsets

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self._feature_names

    @property
    def constituent_names(self) -> tuple[str, ...]:
        return self._constituent_names

    @property
    def labels(self) -> Mapping[str, NDArray]:
        return MappingProxyType(self._labels)

    @property
    def constituent_labels(self) -> Mapping[str, NDArray]:
        return MappingProxyType(self._constituent_labels)

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    @property
    def ndim(self) -> int:
        return 1

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.diff(self._offsets)

    @property
    def jet_index(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), self.counts)

    def __len__(self) -> int:
        return len(self._features)

    def __iter__(self) -> Iterator[Jets]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Jets:
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._slice(start, max(start, stop))
        elif isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            row = int(key) if key >= 0 else int(key) + len(self)
            if not 0 <= row < len(self):
                raise IndexError(f"Jet {key} is out of range for {len(self)} jets.")
            return self._slice(row, row + 1)
        rows = np.atleast_1d(np.arange(len(self))[key])
        if rows.ndim != 1:
            raise IndexError(f"Jets are indexed along one dimension, got {key!r}.")
        return self._take(rows)

    # Return neighbouring jets as views.
    def _slice(self, start: int, stop: int) -> Jets:
        rows = slice(start, stop)
        places = slice(self._offsets[start], self._offsets[stop])
        offsets = self._offsets[start : stop + 1] - self._offsets[start]
        return self._pick(rows, places, offsets)

    def _take(self, rows: NDArray[np.intp]) -> Jets:
        offsets, places = gather(self._offsets, rows)
        return self._pick(rows, places, offsets)

    def _pick(self, rows: Any, places: Any, offsets: NDArray[np.int64]) -> Jets:
        return self.replace(
            features=pick(self._features, rows),
            constituents=pick(self._constituents, places),
            offsets=offsets,
            labels={name: pick(a, rows) for name, a in self._labels.items()},
            constituent_labels={
                name: pick(a, places) for name, a in self._constituent_labels.items()
            },
        )

    # Return the arguments that build these jets again.
    def _state(self) -> dict[str, Any]:
        return {
            "features": self._features,
            "constituents": self._constituents,
            "offsets": self._offsets,
            "feature_names": self._feature_names,
            "constituent_names": self._constituent_names,
            "labels": self._labels,
            "constituent_labels": self._constituent_labels,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # NumPy forgets the read-only flag in a pickle; the constructor sets it again.
        return _build, (self._state(),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Jets):
            return NotImplemented
        return (
            self._feature_names == other._feature_names
            and self._constituent_names == other._constituent_names
            and same_values(self._offsets, other._offsets)
            and same_values(self._features, other._features)
            and same_values(self._constituents, other._constituents)
            and _same_labels(self._labels, other._labels)
            and _same_labels(self._constituent_labels, other._constituent_labels)
        )

    def __repr__(self) -> str:
        parts = [f"n={len(self)}"]
        if self._feature_names:
            parts.append(f"features={list(self._feature_names)}")
        if self._constituent_names:
            mean = len(self._constituents) / max(len(self), 1)
            parts.append(
                f"constituents={mean:.1f} per jet {list(self._constituent_names)}"
            )
        if self._labels:
            parts.append(f"labels={list(self._labels)}")
        if self._constituent_labels:
            parts.append(f"constituent_labels={list(self._constituent_labels)}")
        return f"Jets({', '.join(parts)})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(
            "Jets are ragged and cannot be one array; use `features`, `constituents` "
            "or `to_padded()`."
        )

    def feature(self, name: str) -> NDArray[np.floating]:
        """Return one feature.

        Parameters
        ----------
        name : str
            The name of the feature.

        Returns
        -------
        ndarray of shape (n_jets,)
            The feature of every jet, read-only.

        Raises
        ------
        ValueError
            If there is no such feature.
        """
        (column,) = find_names(name, self._feature_names, "feature")
        return self._features[:, column]

    def constituent(self, name: str) -> NDArray[np.floating]:
        """Return one column of the constituents.

        Parameters
        ----------
        name : str
            The name of the column.

        Returns
        -------
        ndarray of shape (n_constituents,)
            The column for the constituents of all jets, read-only.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        (column,) = find_names(name, self._constituent_names, "constituent column")
        return self._constituents[:, column]

    def select(
        self,
        features: Iterable[str] | None = None,
        constituents: Iterable[str] | None = None,
    ) -> Jets:
        """Keep some columns, in the given order.

        Parameters
        ----------
        features : iterable of str, default=None
            Names of the features to keep; all by default.
        constituents : iterable of str, default=None
            Names of the constituent columns to keep; all by default.

        Returns
        -------
        Jets
            The same jets and labels with the chosen columns.

        Raises
        ------
        ValueError
            If there is no column of such a name.
        """
        changes: dict[str, Any] = {}
        if features is not None:
            chosen = find_names(features, self._feature_names, "feature")
            changes["features"] = self._features[:, chosen]
            changes["feature_names"] = [self._feature_names[i] for i in chosen]
        if constituents is not None:
            chosen = find_names(
                constituents, self._constituent_names, "constituent column"
            )
            changes["constituents"] = self._constituents[:, chosen]
            changes["constituent_names"] = [self._constituent_names[i] for i in chosen]
        return self.replace(**changes)

    def replace(self, **changes: Any) -> Jets:
        """Return jets of which some parts are replaced.

        Parameters
        ----------
        **changes : dict
            Arguments of `Jets` to replace; the others are kept.

        Returns
        -------
        Jets
            The new jets.

        Raises
        ------
        ValueError
            If the new parts do not fit the ones that are kept.

        Examples
        --------
        >>> from sklearn_hepcal.jets import Jets
        >>> jets = Jets(features=[[50.0], [80.0]], feature_names=["pt"])
        >>> jets.replace(labels={**jets.labels, "flavour": [5, 0]})
        Jets(n=2, features=['pt'], labels=['flavour'])
        """
        return Jets(**{**self._state(), **changes})

    @classmethod
    def concatenate(cls, jets: Iterable[Jets]) -> Jets:
        """Join several jets into one, row after row.

        Parameters
        ----------
        jets : iterable of Jets
            The jets to join, with the same names of columns and labels.

        Returns
        -------
        Jets
            All rows in order.

        Raises
        ------
        ValueError
            If there is nothing to join or names differ.
        """
        parts = list(jets)
        if not parts:
            raise ValueError("There are no jets to concatenate.")
        first, *others = [part._state() for part in parts]
        for other in others:
            _require_same_names(first, other)
        return cls(
            features=np.concatenate([part.features for part in parts]),
            constituents=np.concatenate([part.constituents for part in parts]),
            offsets=counts_to_offsets(np.concatenate([part.counts for part in parts])),
            feature_names=first["feature_names"],
            constituent_names=first["constituent_names"],
            labels={
                name: np.concatenate([part.labels[name] for part in parts])
                for name in first["labels"]
            },
            constituent_labels={
                name: np.concatenate([part.constituent_labels[name] for part in parts])
                for name in first["constituent_labels"]
            },
        )

    @classmethod
    def from_padded(
        cls,
        array: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        constituent_labels: Mapping[str, ArrayLike] | None = None,
        **parts: Any,
    ) -> Jets:
        """Read constituents from a padded array.

        Parameters
        ----------
        array : array-like of shape (n_jets, max_constituents, n_columns)
            The constituents; masked values count as NaN.
        mask : array-like of bool of shape (n_jets, max_constituents), default=None
            True where there is a constituent. By default everywhere but where the
            first column (pt) is 0 or NaN, or all columns have one and the same negative
            value, such as -10000.
        constituent_labels : mapping of str to array-like, default=None
            Labels of the constituents, padded to (n_jets, max_constituents, ...).
        **parts : dict
            Other arguments of `Jets`: features, names and labels.

        Returns
        -------
        Jets
            Jets without the padding.

        Raises
        ------
        ValueError
            If the shapes do not fit together.

        Examples
        --------
        >>> from sklearn_hepcal.jets import Jets
        >>> padded = [[[30.0, 0.1, 0.2], [20.0, 0.0, 0.1]], [[9.0, 1.0, 1.0], 3 * [0]]]
        >>> Jets.from_padded(padded).counts
        array([2, 1])
        """
        padded, filled = filled_places(array, mask)
        flat_labels = {}
        for name, values in (constituent_labels or {}).items():
            label = np.asarray(values)
            if label.shape[:2] != filled.shape:
                raise ValueError(
                    f"constituent_labels[{name!r}] must be padded to {filled.shape}, "
                    f"got shape {label.shape}."
                )
            flat_labels[name] = unpad(label, filled)
        return cls(
            constituents=unpad(padded, filled),
            offsets=counts_to_offsets(filled.sum(axis=1)),
            constituent_labels=flat_labels,
            **parts,
        )

    @classmethod
    def from_list(cls, arrays: Iterable[ArrayLike], **parts: Any) -> Jets:
        """Read constituents from one array a jet.

        Parameters
        ----------
        arrays : iterable of array-like of shape (n_constituents_i, n_columns)
            The constituents of each jet; an empty jet has shape (0, n_columns).
        **parts : dict
            Other arguments of `Jets`: features, names and (flat) labels.

        Returns
        -------
        Jets
            The jets in order.

        Raises
        ------
        ValueError
            If the arrays are not 2-D or differ in their columns.

        Examples
        --------
        >>> from sklearn_hepcal.jets import Jets
        >>> Jets.from_list([[[30.0, 0.1, 0.2], [20.0, 0.0, 0.1]], []]).counts
        array([2, 0])
        """
        tables = [as_float(array, f"jet {i}") for i, array in enumerate(arrays)]
        n_columns = len(parts.get("constituent_names") or ())
        constituents, offsets = join(tables, n_columns)
        return cls(constituents=constituents, offsets=offsets, **parts)

    @classmethod
    def from_pandas(
        cls,
        features: pd.DataFrame | None = None,
        constituents: pd.DataFrame | None = None,
        *,
        entry: str = "entry",
        labels: Iterable[str] = (),
        constituent_labels: Iterable[str] = (),
    ) -> Jets:
        """Read jets from data frames.

        Parameters
        ----------
        features : DataFrame, default=None
            One row a jet. With constituents, its index names the jets.
        constituents : DataFrame, default=None
            One row a constituent, in any order of jets. The first level of a
            MultiIndex, or else the column `entry`, is the jet's name. Without
            features the jets are those that occur, in order of appearance, so that
            empty jets cannot be seen.
        entry : str, default="entry"
            The column of constituents that names the jet.
        labels : iterable of str, default=()
            Columns of features that are labels.
        constituent_labels : iterable of str, default=()
            Columns of constituents that are labels.

        Returns
        -------
        Jets
            The jets in the order of features.

        Raises
        ------
        ValueError
            If a column is missing or constituents belong to unknown jets.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_hepcal.jets import Jets
        >>> jets = pd.DataFrame({"mass": [8.0, 3.0], "flavour": [5, 0]})
        >>> parts = pd.DataFrame({"entry": [0, 0, 1], "pt": [30.0, 20.0, 9.0]})
        >>> Jets.from_pandas(jets, parts, labels=["flavour"]).select(features=[])
        Jets(n=2, constituents=1.5 per jet ['pt'], labels=['flavour'])
        """
        return cls(
            **read_pandas(features, constituents, entry, labels, constituent_labels)
        )

    @classmethod
    def from_awkward(
        cls,
        array: awkward.Array,
        *,
        constituent_names: Sequence[str] | None = None,
        labels: Iterable[str] = (),
        constituent_labels: Iterable[str] = (),
    ) -> Jets:
        """Read jets from an awkward array.

        Parameters
        ----------
        array : awkward.Array
            Either ``n_jets * var * n_columns`` numbers, or ``n_jets * var * {fields}``
            constituents, or ``n_jets * {fields}`` where fields of numbers are
            features, and fields of lists of numbers or of records are constituents.
        constituent_names : sequence of str, default=None
            Names of the columns of an array without fields.
        labels : iterable of str, default=()
            Fields that are labels of the jets.
        constituent_labels : iterable of str, default=()
            Fields of the constituents that are labels.

        Returns
        -------
        Jets
            The jets in order.

        Raises
        ------
        ImportError
            If awkward is not installed.
        ValueError
            If the array has another layout or missing values.

        Examples
        --------
        >>> import awkward as ak
        >>> from sklearn_hepcal.jets import Jets
        >>> array = ak.Array(
        ...     [{"mass": 8.0, "parts": [{"pt": 30.0}]}, {"mass": 3.0, "parts": []}]
        ... )
        >>> Jets.from_awkward(array)
        Jets(n=2, features=['mass'], constituents=0.5 per jet ['pt'])
        """
        return cls(**read_awkward(array, constituent_names, labels, constituent_labels))

    def to_padded(
        self, max_constituents: int | None = None, fill_value: float = 0.0
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Write the constituents to a padded array.

        Parameters
        ----------
        max_constituents : int, default=None
            The length of the padded axis; by default that of the longest jet. Longer
            jets keep their leading constituents in the stored order.
        fill_value : float, default=0.0
            What fills the rest.

        Returns
        -------
        padded : ndarray of shape (n_jets, max_constituents, n_columns)
            The constituents.
        mask : ndarray of bool of shape (n_jets, max_constituents)
            True where there is a constituent.

        Raises
        ------
        ValueError
            If `max_constituents` is negative.
        """
        return pad(self._constituents, self._offsets, max_constituents, fill_value)

    def to_list(self) -> list[NDArray[np.floating]]:
        """Return one read-only view of the constituents a jet.

        Returns
        -------
        list of ndarray of shape (n_constituents_i, n_columns)
            The constituents of each jet.
        """
        ends = self._offsets.tolist()
        return [self._constituents[start:stop] for start, stop in pairwise(ends)]

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write the jets to data frames, labels among the columns.

        Returns
        -------
        features : DataFrame of shape (n_jets, n_features + n_labels)
            One row a jet, with the index ``entry``.
        constituents : DataFrame
            One row a constituent, with the index ``(entry, subentry)``.

        Raises
        ------
        ValueError
            If a label has more than one dimension or the name of a column.
        """
        return write_pandas(self)

    def to_awkward(self) -> awkward.Array:
        """Write the jets to an awkward array, labels among the fields.

        Returns
        -------
        awkward.Array
            One record a jet; its field ``constituents`` lists records.

        Raises
        ------
        ImportError
            If awkward is not installed.
        ValueError
            If a label has the name of a column.
        """
        return write_awkward(self)


def _build(state: dict[str, Any]) -> Jets:
    return Jets(**state)


def _same_labels(a: dict[str, NDArray], b: dict[str, NDArray]) -> bool:
    return a.keys() == b.keys() and all(same_values(a[name], b[name]) for name in a)


def _require_same_names(first: dict[str, Any], other: dict[str, Any]) -> None:
    for part in ("feature_names", "constituent_names"):
        if first[part] != other[part]:
            raise ValueError(
                f"Jets to concatenate differ in {part}: "
                f"{list(first[part])} and {list(other[part])}."
            )
    for part in ("labels", "constituent_labels"):
        if first[part].keys() != other[part].keys():
            raise ValueError(
                f"Jets to concatenate differ in {part}: "
                f"{sorted(first[part])} and {sorted(other[part])}."
            )
