from . import (
    calibration,
    classification,
    datasets,
    jets,
    metrics,
    plotting,
    regression,
    shapes,
)

__version__: str

__all__ = [
    "calibration",
    "classification",
    "datasets",
    "jets",
    "metrics",
    "plotting",
    "regression",
    "shapes",
]
