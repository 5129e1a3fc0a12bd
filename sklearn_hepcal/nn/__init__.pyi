from ._batch_balance import BatchBalance
from ._datasets import RowsDataset, SideBySide
from ._deep_sets import DeepSets
from ._evaluate import evaluate
from ._flow import ConditionalFlow, DensityObjective, TransportObjective
from ._gaussian_ansatz import GaussianAnsatz, RatioObjective
from ._mlp import MLP
from ._moment_efn import MomentEFN
from ._potential import ConvexPotential
from ._response import JointObjective, ResponseNetwork, ResponseObjective
from ._segment import segment_sum
from ._semidual import SemiDual, polish_conjugate, solve_conjugate
from ._state import export_module, load_module, load_parts
from ._supervised import SupervisedObjective
from ._tagger import Tagger
from ._tagging_objective import TaggingObjective
from ._training import (
    TrainingSettings,
    TwoSampleDataset,
    resolve_device,
    seeded,
    train,
)

__all__ = [
    "MLP",
    "BatchBalance",
    "ConditionalFlow",
    "ConvexPotential",
    "DeepSets",
    "DensityObjective",
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
    "Tagger",
    "TaggingObjective",
    "TrainingSettings",
    "TransportObjective",
    "TwoSampleDataset",
    "evaluate",
    "export_module",
    "load_module",
    "load_parts",
    "polish_conjugate",
    "resolve_device",
    "seeded",
    "segment_sum",
    "solve_conjugate",
    "train",
]
