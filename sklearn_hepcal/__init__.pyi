from . import calibration, datasets, jets, metrics, plotting, regression

__version__: str

__all__ = ["calibration", "datasets", "jets", "metrics", "plotting", "regression"]
