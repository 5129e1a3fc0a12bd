"""How well a calibration closes on jets that were not fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..metrics import closure_auc
from ._calibration import Calibration
from ._sample import Sample


# The simulation has the spectrum of the conditions in data, before and after, by
# weights.
def closure_report(
    calibration: Calibration, sim: Sample, data: Sample, random_state: int | None
) -> dict[str, Any]:
    columns = [*calibration.columns]
    weight = sim.weight * calibration.condition_weights(sim.table)
    moved = sim.table.assign(**calibration.move(sim.table))
    means = _means(data.table[columns], data.weight)

    def compare(table: pd.DataFrame) -> dict[str, Any]:
        auc, error = closure_auc(
            table,
            data.table,
            sample_weight_sim=weight,
            sample_weight_data=data.weight,
            random_state=random_state,
        )
        ratios = _means(table[columns], weight) / means
        return {
            "closure_auc": auc,
            "closure_auc_error": error,
            "ratio_of_means": dict(zip(columns, ratios.tolist(), strict=True)),
        }

    return {
        "columns": columns,
        "conditions": [*calibration.conditions],
        "solver": calibration.calibrator.solver,
        "selection": calibration.calibrator.selection_,
        "strength": calibration.calibrator.strength_,
        "version": calibration.version,
        "held_out": {
            "simulation": len(sim.table),
            "data": len(data.table),
            "before": compare(sim.table),
            "after": compare(moved),
        },
    }


def _means(table: pd.DataFrame, weight: NDArray) -> NDArray[np.float64]:
    return np.average(table.to_numpy(), axis=0, weights=weight)
