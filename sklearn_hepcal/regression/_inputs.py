"""What networks see of jets: standardised tables, centred constituents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from ..jets import Jets, RelativeConstituents, relative_constituents

if TYPE_CHECKING:
    from ..nn import RowsDataset

Array = NDArray[np.float64]

# Least pT of a jet, relative to the mean of the training sample, whose logarithm is
# still told apart: jets without energy stay finite.
_MIN_PT = 1e-6
# A column that need not be there.
_PARTICLE_ID = "pdgid"


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
        import torch

        from ..nn import RowsDataset

        def tensors(arrays: dict[str, NDArray]) -> dict[str, torch.Tensor]:
            real = dtype or torch.float32
            return {
                name: torch.tensor(a, dtype=real if a.dtype.kind == "f" else None)
                for name, a in arrays.items()
            }

        tables = tensors({"features": self.features, **columns})
        if self.counts is None:
            return RowsDataset(tables)
        counts = torch.tensor(self.counts)
        return RowsDataset(tables, tensors(self.constituents), counts)


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
    fractions of momentum that weight an energy flow network, do not change with soft
    or collinear emissions. Of constituents, an energy flow network sees the directions
    only.

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
        self.weighting = weighting
        self.particle_id = particle_id

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
        self._check_particle_id(jets)
        self.columns: list[int] = []
        self.ids: NDArray | None = None
        if self.weighting == "count":
            names = jets.constituent_names
            self.columns = [
                column
                for column in range(3, len(names))
                if names[column] != self.particle_id
            ]
            if self.particle_id in names:
                self.ids = np.unique(self._particle_ids(jets))
        self.pt_scale = float(np.average(relative.pt, weights=weight)) or 1.0
        # Weighted by momentum, soft constituents do not change the scale either.
        by_constituent = weight[jets.jet_index]
        if self.weighting == "energy":
            by_constituent = by_constituent * np.abs(relative.fraction)
        points = self._points(jets, relative)
        self.points = StandardScaler().fit(points, sample_weight=by_constituent)
        features = self._features(jets, relative)
        self.features = StandardScaler().fit(features, sample_weight=weight)
        self.typical_total = (
            1.0
            if self.weighting == "energy"
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
            The features; "points" of shape (n_constituents, n_coordinates) and, for
            some networks, "energies" and "categories" of shape (n_constituents,).
        """
        relative = relative_constituents(jets)
        points = self.points.transform(self._points(jets, relative))
        constituents: dict[str, NDArray] = {"points": points}
        if self.weighting == "energy":
            constituents["energies"] = relative.fraction
        if self.ids is not None:
            constituents["categories"] = _categories(self._particle_ids(jets), self.ids)
        features = self.features.transform(self._features(jets, relative))
        return Inputs(features, constituents, jets.counts)

    @property
    def n_categories(self) -> int:
        """Number of particle identifiers in the training sample."""
        return 0 if self.ids is None else len(self.ids)

    def _check_particle_id(self, jets: Jets) -> None:
        names = jets.constituent_names
        if self.particle_id not in (None, _PARTICLE_ID, *names):
            raise ValueError(
                f"particle_id={self.particle_id!r} is not one of the columns "
                f"{list(names)} of the constituents."
            )

    def _particle_ids(self, jets: Jets) -> NDArray:
        return jets.constituents[:, jets.constituent_names.index(self.particle_id)]

    def _points(self, jets: Jets, relative: RelativeConstituents) -> Array:
        columns = [relative.dy, relative.dphi, *jets.constituents[:, self.columns].T]
        if self.weighting == "count":
            columns.append(np.log(np.maximum(relative.fraction, _MIN_PT)))
        return np.stack(columns, axis=1)

    def _features(self, jets: Jets, relative: RelativeConstituents) -> Array:
        log_pt = np.log(np.maximum(relative.pt / self.pt_scale, _MIN_PT))
        return np.column_stack([relative.pt, log_pt, relative.y, jets.features])


# 1, 2, ... in the order of the known identifiers; 0 for others.
def _categories(ids: NDArray, known: NDArray) -> NDArray[np.int64]:
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[place] == ids, place + 1, 0)
