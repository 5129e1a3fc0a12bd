"""Everything torch: networks, objectives, and the training loop they share."""

import lazy_loader as lazy

# A fitted map needs the network, but neither skorch nor the training.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
