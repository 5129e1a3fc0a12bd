from ._potential import ConvexPotential
from ._semidual import SemiDual, polish_conjugate, solve_conjugate
from ._state import export_module, load_module
from ._training import (
    TrainingSettings,
    TwoSampleDataset,
    resolve_device,
    seeded,
    train,
)

__all__ = [
    "ConvexPotential",
    "SemiDual",
    "TrainingSettings",
    "TwoSampleDataset",
    "export_module",
    "load_module",
    "polish_conjugate",
    "resolve_device",
    "seeded",
    "solve_conjugate",
    "train",
]
