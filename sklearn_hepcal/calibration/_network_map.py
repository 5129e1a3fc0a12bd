"""What maps with a network have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ._maps import Array

if TYPE_CHECKING:
    from ..nn import TrainingSettings

# Rows evaluated together: small enough for the cache of one core.
_CHUNK = 2048


class NetworkMap:
    """A network that is kept in numpy and evaluated by torch, in double precision.

    Parameters
    ----------
    network : dict
        The network, from `sklearn_hepcal.nn.export_module`.
    """

    def __init__(self, network: dict[str, Any]) -> None:
        self.network = network

    def __getstate__(self) -> dict[str, Any]:
        # The torch module is rebuilt where it is needed.
        return {k: v for k, v in self.__dict__.items() if k != "_module"}

    @property
    def module(self) -> Any:
        """The network as a torch module in double precision."""
        if "_module" not in self.__dict__:
            import torch

            from ..nn import load_module

            self._module = load_module(self.network, dtype=torch.float64)
        return self._module

    def _evaluate(self, function: Callable[..., Any], x: Array, h: Array) -> Array:
        return np.concatenate(list(self._chunks(function, x, h)))

    def _chunks(
        self, function: Callable[..., Any], x: Array, h: Array
    ) -> Iterator[Array]:
        import torch

        with torch.no_grad():
            for start in range(0, len(x), _CHUNK):
                rows = slice(start, start + _CHUNK)
                yield function(torch.tensor(x[rows]), torch.tensor(h[rows])).numpy()


def training_settings(training: dict[str, Any], rows: Any) -> TrainingSettings:
    """Collect how a network is trained, for so many steps or so many passes.

    Parameters
    ----------
    training : dict
        Fields of `sklearn_hepcal.nn.TrainingSettings`, and ``n_steps``, which counts
        where ``max_epochs`` is None.
    rows : dataset
        What is trained on.

    Returns
    -------
    TrainingSettings
        The settings.
    """
    from .. import nn

    training = dict(training)
    n_steps = training.pop("n_steps")
    if training["max_epochs"] is None:
        n_batches = rows.n_batches(training["batch_size"])
        training["max_epochs"] = max(1, round(n_steps / n_batches))
    training["device"] = nn.resolve_device(training["device"])
    return nn.TrainingSettings(**training, betas=(0.9, 0.99), average=0.25)
