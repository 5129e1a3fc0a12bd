"""What networks see of jets: standardised tables, centred constituents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from .._constituents import ConstituentInputs
from ..jets import Jets, RelativeConstituents, relative_constituents

if TYPE_CHECKING:
    from ..nn import RowsDataset

Array = NDArray[np.float64]

# Least pT of a jet, relative to the mean of the training sample, whose logarithm is
# still told apart: jets without energy stay finite.
LEAST_PT = 1e-6


@dataclass(frozen=True)
class Inputs:
    """Arrays that a network reads.

    Parameters
    ----------
    features : array of shape (n_events, n_features)
        What there is one of an event.
    constituents : dict of arrays of shape (n_constituents, ...)
        Flat tables.
    counts : array of shape (n_events,) or None
        Constituents of each event.
    """

    features: Array
    constituents: dict[str, NDArray] = field(default_factory=dict)
    counts: NDArray | None = None

    def dataset(self, dtype: Any = None, **columns: NDArray) -> RowsDataset:
        """Give the arrays to the training core.

        Parameters
        ----------
        dtype : torch dtype, default=torch.float32
            Precision of real numbers.
        **columns : arrays of shape (n_events, ...)
            More of what there is one of an event.

        Returns
        -------
        RowsDataset
            The events.
        """
        from ..nn import RowsDataset

        return RowsDataset.from_numpy(
            {"features": self.features, **columns},
            self.constituents,
            self.counts,
            dtype,
        )


class TableInputs:
    """Standardised features of jets (or of any events)."""

    def fit(self, jets: Jets, weight: Array) -> TableInputs:
        """Learn means and spreads.

        Parameters
        ----------
        jets : Jets
            Training sample.
        weight : array of shape (n_jets,)
            Weights of the jets.

        Returns
        -------
        TableInputs
            This object.
        """
        self.features = StandardScaler().fit(jets.features, sample_weight=weight)
        return self

    def transform(self, jets: Jets) -> Inputs:
        """Scale the features.

        Parameters
        ----------
        jets : Jets
            Any sample.

        Returns
        -------
        Inputs
            The features.
        """
        return Inputs(self.features.transform(jets.features))


class JetInputs:
    """Constituents relative to their jet's axis, and what the jet itself tells.

    The features are the scalar sum of the transverse momenta and its logarithm, the
    rapidity of the axis, and the features that the jets bring. All of them, and the
    constituents with the weighting "energy", do not change with soft or collinear
    emissions.

    Parameters
    ----------
    weighting : {"energy", "count"}
        Whether the momentum of a constituent is its weight or a coordinate.
    particle_id : str or None
        Constituent column with PDG identifiers: categories for the weighting "count".

    Raises
    ------
    ValueError
        In `fit` and `transform`, if the first columns of the constituents are not pt,
        y or eta, and phi.
    """

    def __init__(self, weighting: str, particle_id: str | None) -> None:
        self.constituents = ConstituentInputs(weighting, particle_id)

    def fit(self, jets: Jets, weight: Array) -> JetInputs:
        """Learn scales and categories.

        Parameters
        ----------
        jets : Jets
            Training sample.
        weight : array of shape (n_jets,)
            Weights of the jets.

        Returns
        -------
        JetInputs
            This object.
        """
        relative = relative_constituents(jets)
        self.constituents.fit(jets, relative, weight)
        self.pt_scale = float(np.average(relative.pt, weights=weight)) or 1.0
        features = self._features(jets, relative)
        self.features = StandardScaler().fit(features, sample_weight=weight)
        self.typical_total = (
            1.0
            if self.constituents.weighting == "energy"
            else float(np.average(jets.counts, weights=weight))
        )
        return self

    def transform(self, jets: Jets) -> Inputs:
        """Centre and scale the constituents.

        Parameters
        ----------
        jets : Jets
            Any sample with the columns of the training sample.

        Returns
        -------
        Inputs
            The features and the constituents, as `ConstituentInputs` gives them.
        """
        relative = relative_constituents(jets)
        features = self.features.transform(self._features(jets, relative))
        constituents = self.constituents.transform(jets, relative)
        return Inputs(features, constituents, jets.counts)

    def _features(self, jets: Jets, relative: RelativeConstituents) -> Array:
        log_pt = np.log(np.maximum(relative.pt / self.pt_scale, LEAST_PT))
        return np.column_stack([relative.pt, log_pt, relative.y, jets.features])
