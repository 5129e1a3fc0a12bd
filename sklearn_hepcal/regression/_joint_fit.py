"""Calibration and balance of pairs in one training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._event_pairs import Pairs
from ..jets import Jets
from ._jet_table import JetTable
from ._log_bins import LogBins, typical_width
from ._response_fit import LogScale, ResponseModel, ResponseRows

if TYPE_CHECKING:
    from ..nn import RowsDataset, TrainingSettings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointSettings:
    """What a joint training weighs against each other.

    Parameters
    ----------
    asymmetry_weight : float
        Factor of the asymmetry.
    closure_rho : float
        Penalty of a lack of closure.
    width_delta : float
        Number of widths from which on a residual counts linearly.
    """

    asymmetry_weight: float
    closure_rho: float
    width_delta: float


def fit_joint(
    train: ResponseRows,
    log_true: Array,
    pairs: tuple[JetTable, Jets, Pairs, Array],
    *,
    network: dict[str, Any],
    logarithmic: bool,
    joint: JointSettings,
    settings: TrainingSettings,
    seed: int,
) -> tuple[ResponseModel, Array]:
    """Learn corrections of measured momenta that close, and that balance pairs.

    Parameters
    ----------
    train : ResponseRows
        Labelled jets, with the logarithm of true over measured momenta as target.
    log_true : array of shape (n_jets,)
        Logarithms of their true momenta.
    pairs : tuple of JetTable, Jets, Pairs and array of shape (n_pairs,)
        What reads jets, jets, the rows of pairs among them, and weights of the pairs.
    network : dict
        Arguments of `ResponseNetwork`, from `architecture`.
    logarithmic : bool
        Whether the network reads the logarithm of the momentum.
    joint : JointSettings
        What is weighed against each other.
    settings : TrainingSettings
        How to train; without early stopping, since closure is reached at the end.
    seed : int
        Seed of the training.

    Returns
    -------
    ResponseModel
        The corrections.
    curve : array of shape (n_epochs, 2)
        Losses of the training.
    """
    from .. import nn

    scale = LogScale.of(train.log_pt, logarithmic)
    bins = LogBins(log_true)
    jets = train.dataset(scale, place=bins.place(log_true))
    dataset = nn.SideBySide(jets, _pair_dataset(scale, *pairs))
    with nn.seeded(seed, settings.device):
        module = nn.ResponseNetwork(**network)
        objective = nn.JointObjective(
            module,
            joint.width_delta,
            asymmetry_weight=joint.asymmetry_weight,
            n_bins=bins.n_bins,
            rho=joint.closure_rho,
            # One penalty an epoch.
            dual_rate=1 / dataset.n_batches(settings.batch_size),
        )
        curve = nn.train(objective, dataset, settings)
    return ResponseModel(nn.export_module(module), scale), curve


# One row a pair; the constituents of its second jet follow those of the first one.
def _pair_dataset(
    scale: LogScale, table: JetTable, jets: Jets, pairs: Pairs, weight: Array
) -> RowsDataset:
    from ..nn import RowsDataset

    jets = jets[np.column_stack(pairs).ravel()]
    log_pt = table.log_pt(jets).reshape(-1, 2)
    balance = log_pt[:, 0] - log_pt[:, 1]
    inputs = table.inputs(jets)
    columns: dict[str, NDArray] = {
        "log_pt": scale(log_pt),
        "balance": balance,
        "width": typical_width(log_pt.mean(axis=1), balance),
        "weight": weight / weight.mean(),
        "features": inputs.features.reshape(len(log_pt), 2, -1),
    }
    if inputs.counts is None:
        return RowsDataset.from_numpy(columns)
    counts = inputs.counts.reshape(-1, 2)
    columns["jet_counts"] = counts
    return RowsDataset.from_numpy(columns, inputs.constituents, counts.sum(axis=1))
