"""What taggers see of jets and of their tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._find_column import find_column
from .jets import Jets

Array = NDArray[np.floating]

# Names of the lifetime-signed significance of the transverse impact parameter.
_SIGNED_D0 = (
    "signed_d0_significance",
    "IP3D_signed_d0_significance",
    "lifetimeSignedD0Significance",
)
# Spreads that count as none, as parts of the median: there is rounding too.
_RELATIVE_EPS = 1e-9


class ColumnScaler:
    """Columns with long tails, centred and compressed; missing values as a column each.

    The scale of a column is its median absolute deviation s about the median m, so that
    jets far out do not squeeze the others; asinh[(x - m) / s] keeps those within reach.
    What comes out has a mean of zero and a variance of one. Columns with missing
    values (NaN) have zeros there, and another column that marks them.

    Parameters
    ----------
    table : array of shape (n_rows, n_columns)
        Training rows.
    """

    def __init__(self, table: Array) -> None:
        self.missing = np.flatnonzero(np.isnan(table).any(axis=0))
        n_columns = table.shape[1]
        self.centre, self.mean = np.zeros((2, n_columns))
        self.width, self.scale = np.ones((2, n_columns))
        for k, column in enumerate(table.T):
            values = column[~np.isnan(column)]
            if len(values):
                self.centre[k] = np.median(values)
                self.width[k] = _width(values, self.centre[k])
                squashed = self._squash(values, k)
                self.mean[k] = squashed.mean()
                self.scale[k] = squashed.std() or 1.0

    def __call__(self, table: Array) -> Array:
        """Scale rows.

        Parameters
        ----------
        table : array of shape (n_rows, n_columns)
            Any rows.

        Returns
        -------
        array of shape (n_rows, n_outputs)
            The scaled columns, and behind them the marks of missing values.
        """
        columns = [
            (self._squash(column, k) - self.mean[k]) / self.scale[k]
            for k, column in enumerate(table.T)
        ]
        scaled = np.stack(columns, axis=1) if columns else table
        marks = np.isnan(table[:, self.missing]).astype(np.float64)
        return np.hstack([np.nan_to_num(scaled, nan=0.0), marks])

    @property
    def n_outputs(self) -> int:
        """Number of columns that come out."""
        return len(self.centre) + len(self.missing)

    def _squash(self, column: Array, k: int) -> Array:
        return np.arcsinh((column - self.centre[k]) / self.width[k])


class TaggerInputs:
    """Scaled features of jets, their numbers of tracks, and their scaled tracks.

    Parameters
    ----------
    jets : Jets
        Training sample.
    use_tracks : bool
        Whether tracks are read.
    order_by : int, str or None
        Column of the tracks by whose absolute value they are sorted, largest first;
        "auto" stands for the significance of d0, if there is a column that is named
        so. None keeps the order.
    """

    def __init__(
        self, jets: Jets, use_tracks: bool, order_by: int | str | None
    ) -> None:
        self.use_tracks = use_tracks
        self.order_column = (
            _find_order(order_by, jets.constituent_names) if use_tracks else None
        )
        self.features = ColumnScaler(self._features(jets))
        # A tracker may find none in any jet.
        self.tracks = ColumnScaler(jets.constituents[:, : self._n_columns(jets)])

    def __call__(self, jets: Jets) -> tuple[Array, Array, NDArray[np.int64]]:
        """Scale a sample.

        Parameters
        ----------
        jets : Jets
            Any sample with the columns of the training sample.

        Returns
        -------
        features : array of shape (n_jets, n_features)
            Features of the jets, the last one from the number of tracks.
        tracks : array of shape (n_tracks, n_columns)
            Tracks, jet after jet, in the order in which they are read.
        order : int64 array of shape (n_tracks,)
            Where these tracks were.
        """
        order = self.order(jets)
        table = jets.constituents[order, : self._n_columns(jets)]
        return self.features(self._features(jets)), self.tracks(table), order

    def order(self, jets: Jets) -> NDArray[np.int64]:
        """Sort the tracks of each jet.

        Parameters
        ----------
        jets : Jets
            Any sample.

        Returns
        -------
        int64 array of shape (n_tracks,)
            Where the first track of the first jet is, and so on.
        """
        if not self.use_tracks:
            return np.arange(0)
        if self.order_column is None:
            return np.arange(len(jets.constituents))
        size = np.abs(jets.constituents[:, self.order_column])
        return np.lexsort([-np.nan_to_num(size), jets.jet_index])

    @property
    def n_columns(self) -> int:
        """Number of columns of the tracks."""
        return self.tracks.n_outputs

    @property
    def n_features(self) -> int:
        """Number of features of the jets."""
        return self.features.n_outputs

    def _n_columns(self, jets: Jets) -> int:
        return len(jets.constituent_names) if self.use_tracks else 0

    def _features(self, jets: Jets) -> Array:
        if not self.use_tracks:
            return jets.features
        return np.column_stack([jets.features, np.log1p(jets.counts)])


def _width(values: Array, centre: float) -> float:
    deviation = np.abs(values - centre)
    floor = max(_RELATIVE_EPS * abs(centre), np.finfo(np.float64).tiny)
    for width in (np.median(deviation), np.sqrt(np.mean(deviation**2))):
        if width > floor:
            return float(width)
    return 1.0


def _find_order(order_by: int | str | None, names: tuple[str, ...]) -> int | None:
    if order_by is None:
        return None
    if order_by == "auto":
        found = [names.index(name) for name in _SIGNED_D0 if name in names]
        return found[0] if found else None
    return find_column(order_by, names, "order_by")
