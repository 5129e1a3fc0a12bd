from . import (
    calibration,
    classification,
    datasets,
    export,
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
    "export",
    "jets",
    "metrics",
    "plotting",
    "regression",
    "shapes",
]
