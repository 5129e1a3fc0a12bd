from . import calibration, datasets, jets, metrics, plotting

__version__: str

__all__ = ["calibration", "datasets", "jets", "metrics", "plotting"]
