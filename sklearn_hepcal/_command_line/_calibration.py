"""A fitted calibration that knows its columns by name."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline

from .. import __version__
from ..calibration import OTCalibrator, SimplexTransformer
from ..jets._files import replacing
from ._sample import Sample


@dataclass(frozen=True)
class Calibration:
    columns: tuple[str, ...]
    conditions: tuple[str, ...]
    log: tuple[str, ...]
    simplex: bool
    pipeline: Pipeline
    version: str = __version__

    @classmethod
    def make(
        cls,
        columns: tuple[str, ...],
        conditions: tuple[str, ...] = (),
        log: tuple[str, ...] = (),
        simplex: bool = False,
        **options: Any,
    ) -> Self:
        names = (*columns, *conditions)
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"--columns and --conditions name {repeated} twice.")
        unknown = [name for name in log if name not in names]
        if unknown:
            raise ValueError(f"--log: {unknown} are no columns and no conditions.")
        if simplex and set(log) & set(columns):
            raise ValueError("--simplex takes logarithms itself: do not ask for more.")
        steps = [OTCalibrator(conditions=list(conditions) or None, **options)]
        if simplex:
            there, back = (
                SimplexTransformer(columns, inverse=inverse)
                for inverse in (False, True)
            )
            steps = [there, *steps, back]
        pipeline = make_pipeline(*steps).set_output(transform="pandas")
        return cls(columns, conditions, log, simplex, pipeline)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.columns, *self.conditions)

    @property
    def calibrator(self) -> OTCalibrator:
        return self.pipeline["otcalibrator"]

    def fit(self, sim: Sample, data: Sample) -> None:
        X = pd.concat(self._coordinates(sample.table) for sample in (sim, data))
        y = np.repeat([0, 1], [len(sim.table), len(data.table)])
        weight = np.concatenate([sim.weight, data.weight])
        self.pipeline.fit(X, y, otcalibrator__sample_weight=weight)

    # Return the moved columns.
    def move(self, sim: pd.DataFrame) -> pd.DataFrame:
        moved = self.pipeline.transform(self._coordinates(sim))[list(self.columns)]
        for name in set(self.log) & set(self.columns):
            moved[name] = np.exp(moved[name])
        return moved

    # Return the weights that give the simulation the data's spectrum of conditions.
    def condition_weights(self, sim: pd.DataFrame) -> NDArray[np.float64]:
        X = self._coordinates(sim)
        if self.simplex:
            X = self.pipeline[0].transform(X)
        return self.calibrator.condition_weights(X)

    # Return what the pipeline takes: columns and conditions, or their logarithms.
    def _coordinates(self, table: pd.DataFrame) -> pd.DataFrame:
        X = table[list(self.names)].copy()
        for name in self.names:
            if not np.isfinite(X[name]).all():
                raise ValueError(f"{name!r} has missing or infinite values.")
        for name in self.log:
            if not (X[name] > 0).all():
                raise ValueError(f"--log: {name!r} has values that are not positive.")
            X[name] = np.log(X[name])
        return X

    def save(self, path: Path) -> None:
        # plain names and values: whoever loads it needs none of this module
        state = {"sklearn_hepcal": "calibration", **vars(self)}
        with replacing(path) as part:
            part.write_bytes(pickle.dumps(state))

    @classmethod
    def load(cls, path: Path) -> Self:
        content = path.read_bytes()
        try:
            state = pickle.loads(content)
            if state.pop("sklearn_hepcal") != "calibration":
                raise ValueError("it is something else")
            return cls(**state)
        except Exception as error:
            # broken bytes raise what they happen to
            raise ValueError(
                f"{path} is no calibration that `calibrate` wrote ({error})."
            ) from error
