from ._datasets import RowsDataset, SideBySide
from ._deep_sets import DeepSets
from ._gaussian_ansatz import GaussianAnsatz, RatioObjective
from ._mlp import MLP
from ._moment_efn import MomentEFN
from ._potential import ConvexPotential
from ._response import JointObjective, ResponseNetwork, ResponseObjective
from ._segment import segment_sum
from ._semidual import SemiDual, polish_conjugate, solve_conjugate
from ._state import export_module, load_module
from ._supervised import SupervisedObjective
from ._training import (
    TrainingSettings,
    TwoSampleDataset,
    resolve_device,
    seeded,
    train,
)

__all__ = [
    "MLP",
    "ConvexPotential",
    "DeepSets",
    "GaussianAnsatz",
    "JointObjective",
    "MomentEFN",
    "RatioObjective",
    "ResponseNetwork",
    "ResponseObjective",
    "RowsDataset",
    "SemiDual",
    "SideBySide",
    "SupervisedObjective",
    "TrainingSettings",
    "TwoSampleDataset",
    "export_module",
    "load_module",
    "polish_conjugate",
    "resolve_device",
    "seeded",
    "segment_sum",
    "solve_conjugate",
    "train",
]
