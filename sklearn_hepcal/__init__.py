"""Scikit-learn-compatible calibration and jet machine learning for particle physics.

Every public name is loaded when it is first used, so that importing the package
does not import torch.
"""

import lazy_loader as lazy

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
