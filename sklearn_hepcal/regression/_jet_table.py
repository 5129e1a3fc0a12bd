"""Jets as a calibration sees them: momentum, dimensionless features, constituents."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.preprocessing import StandardScaler

from .._constituents import ConstituentInputs
from .._find_column import find_column
from ..jets import Jets, relative_constituents
from ._inputs import Inputs

Array = NDArray[np.float64]

# Columns of energies, by what readers call them: their ratio to pt is the feature.
_ENERGIES = frozenset({"e", "energy", "m", "mass"})
# Features further out than this many of their spreads count as this far.
MAX_PULL = 8.0
# Rank correlation with the momentum beyond which a feature is one itself, and jets that
# are needed to tell.
_MAX_CORRELATION, _MIN_RANKS = 0.9, 100


class JetTable:
    """Momenta and features of jets, none of which tells the momentum again.

    Parameters
    ----------
    pt_column : int or str
        Column of the transverse momentum.
    features : sequence of int or str, or None
        Other columns to use; all by default.
    energy_columns : sequence of int or str, or "auto"
        Columns of energies in GeV, which are divided by the momentum. "auto" stands
        for those named E, energy, m or mass.
    use_constituents : bool
        Whether constituents are read.
    pt_floor : float
        Lowest momentum, in GeV; what is below counts as this.
    particle_id : str or None
        Constituent column with PDG identifiers.
    """

    def __init__(
        self,
        pt_column: int | str,
        features: Sequence[int | str] | None,
        energy_columns: Sequence[int | str] | str,
        use_constituents: bool,
        pt_floor: float,
        particle_id: str | None = None,
    ) -> None:
        self.pt_column = pt_column
        self.features = features
        self.energy_columns = energy_columns
        self.pt_floor = pt_floor
        self.constituents = (
            ConstituentInputs("count", particle_id) if use_constituents else None
        )

    def fit(self, jets: Jets, weight: Array) -> JetTable:
        """Learn which columns there are, and their scales.

        Parameters
        ----------
        jets : Jets
            Training sample.
        weight : array of shape (n_jets,)
            Weights of the jets.

        Returns
        -------
        JetTable
            This object.

        Raises
        ------
        ValueError
            If a column does not exist, or there is no column of momenta.
        """
        names = jets.feature_names
        self.pt_index = pt_index(jets, self.pt_column)
        self.columns = self._chosen(names)
        self.all_names = names
        self.is_energy = np.isin(self.columns, self._energies(names))
        self.scaler = StandardScaler()
        if self.columns:
            table = self._raw(jets, self.log_pt(jets))
            self.scaler.fit(table, sample_weight=weight)
        if self.constituents is not None:
            relative = relative_constituents(jets)
            self.constituents.fit(jets, relative, weight)
            self.typical_count = float(np.average(jets.counts, weights=weight)) or 1.0
        return self

    def find(self, keys: Sequence[int | str], argument: str) -> list[int]:
        """Find features among those of the table.

        Parameters
        ----------
        keys : sequence of int or str
            Columns of jets.
        argument : str
            Argument to name in errors.

        Returns
        -------
        list of int
            Their places in the table.

        Raises
        ------
        ValueError
            If a column does not exist or is not in the table.
        """
        columns = [find_column(key, self.all_names, argument) for key in keys]
        for key, column in zip(keys, columns, strict=True):
            if column not in self.columns:
                raise ValueError(f"{argument}: {key!r} is not among the features used.")
        return [self.columns.index(column) for column in columns]

    def momenta_again(self, jets: Jets) -> list[str]:
        """Find features that tell the momentum.

        Parameters
        ----------
        jets : Jets
            Training sample.

        Returns
        -------
        list of str
            Names of columns whose ranks are almost those of the momentum.
        """
        if len(jets) < _MIN_RANKS:
            return []
        ranks = rankdata(momenta(jets, self.pt_column))
        table = self.table(jets)
        varied = np.flatnonzero(np.ptp(table, axis=0) > 0)
        return [
            self.all_names[self.columns[k]]
            for k in varied
            if abs(np.corrcoef(ranks, rankdata(table[:, k]))[0, 1]) > _MAX_CORRELATION
        ]

    def log_pt(self, jets: Jets) -> Array:
        """Take the logarithm of the momentum.

        Parameters
        ----------
        jets : Jets
            Any sample.

        Returns
        -------
        array of shape (n_jets,)
            Logarithm of the transverse momentum in GeV.
        """
        pt = momenta(jets, self.pt_column)
        return np.log(np.maximum(pt, self.pt_floor))

    def table(self, jets: Jets) -> Array:
        """Scale the features.

        Parameters
        ----------
        jets : Jets
            Any sample with the columns of the training sample.

        Returns
        -------
        array of shape (n_jets, n_features)
            The features, with means of zero and spreads of one in training.
        """
        if not self.columns:
            return np.zeros((len(jets), 0))
        raw = self._raw(jets, self.log_pt(jets))
        return np.clip(self.scaler.transform(raw), -MAX_PULL, MAX_PULL)

    def inputs(self, jets: Jets) -> Inputs:
        """Gather what a network reads beside the momentum.

        Parameters
        ----------
        jets : Jets
            Any sample with the columns of the training sample.

        Returns
        -------
        Inputs
            Scaled features and constituents.
        """
        if self.constituents is None:
            return Inputs(self.table(jets))
        constituents = self.constituents.transform(jets, relative_constituents(jets))
        return Inputs(self.table(jets), constituents, jets.counts)

    def _raw(self, jets: Jets, log_pt: Array) -> Array:
        raw = jets.features[:, self.columns].astype(np.float64)
        raw[:, self.is_energy] /= np.exp(log_pt)[:, None]
        return raw

    def _chosen(self, names: tuple[str, ...]) -> list[int]:
        if self.features is None:
            return [column for column in range(len(names)) if column != self.pt_index]
        chosen = [find_column(key, names, "features") for key in self.features]
        if self.pt_index in chosen:
            raise ValueError(
                f"features={self.features!r} must not hold pt_column="
                f"{self.pt_column!r}, which is always used."
            )
        return chosen

    def _energies(self, names: tuple[str, ...]) -> list[int]:
        if isinstance(self.energy_columns, str):
            return [k for k, name in enumerate(names) if name.lower() in _ENERGIES]
        return [
            find_column(key, names, "energy_columns") for key in self.energy_columns
        ]


def pt_index(jets: Jets, pt_column: int | str) -> int | None:
    """Find the column of momenta.

    Parameters
    ----------
    jets : Jets
        Any sample.
    pt_column : int or str
        The column.

    Returns
    -------
    int or None
        Its number; None for jets without features.

    Raises
    ------
    ValueError
        If there is no such column, and no constituents either.
    """
    names = jets.feature_names
    if names:
        return find_column(pt_column, names, "pt_column")
    if not jets.constituent_names:
        raise ValueError("X has no features: there is no column of momenta.")
    return None


def momenta(jets: Jets, pt_column: int | str) -> Array:
    """Take the momenta of jets.

    Parameters
    ----------
    jets : Jets
        Any sample.
    pt_column : int or str
        Their column; jets without features have the sum of their constituents.

    Returns
    -------
    array of shape (n_jets,)
        Transverse momenta.
    """
    column = pt_index(jets, pt_column)
    if column is None:
        return relative_constituents(jets).pt
    return jets.features[:, column].astype(np.float64)


def warn_low_pt(jets: Jets, pt_column: int | str, pt_floor: float) -> None:
    """Warn of momenta that are too low to have a logarithm worth the name.

    Parameters
    ----------
    jets : Jets
        Any sample.
    pt_column : int or str
        Column of the momenta.
    pt_floor : float
        Lowest momentum, in GeV.

    Warns
    -----
    UserWarning
        If there are lower ones.
    """
    n_low = int(np.sum(momenta(jets, pt_column) < pt_floor))
    if n_low:
        warnings.warn(
            f"{n_low} jets have a pt below pt_floor = {pt_floor:g} GeV, which is taken "
            "instead.",
            UserWarning,
            stacklevel=4,
        )
