"""Networks as plain numpy, which is what fitted estimators keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from ._flow import ConditionalFlow
from ._gaussian_ansatz import GaussianAnsatz
from ._moment_efn import MomentEFN
from ._potential import ConvexPotential
from ._response import ResponseNetwork
from ._tagger import Tagger

# Every kind of network that a fitted estimator may hold.
_KINDS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        ConditionalFlow,
        ConvexPotential,
        GaussianAnsatz,
        MomentEFN,
        ResponseNetwork,
        Tagger,
    )
}


def export_module(module: nn.Module) -> dict[str, Any]:
    """Turn a network into a dictionary of plain values and arrays.

    Parameters
    ----------
    module : torch module
        A network with a ``config``: the arguments that build it.

    Returns
    -------
    dict
        The kind of network, its ``config`` and its ``weights`` by name, as arrays:
        pickles of it need neither torch nor a GPU to be read.
    """
    weights = {
        name: value.detach().cpu().numpy().copy()
        for name, value in module.state_dict().items()
    }
    return {
        "kind": type(module).__name__,
        "config": dict(module.config),  # type: ignore[arg-type]
        "weights": weights,
    }


def load_module(
    state: dict[str, Any], dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> nn.Module:
    """Build the network that `export_module` described.

    Parameters
    ----------
    state : dict
        What `export_module` returned.
    dtype : torch dtype
        Precision of the network.
    device : str
        Torch device of the network.

    Returns
    -------
    torch module
        The network, in evaluation mode.
    """
    with torch.device("meta"):  # without initial weights, which would be random
        module = _KINDS[state["kind"]](**state["config"])
    weights = {
        name: torch.tensor(value, dtype=dtype, device=device)
        for name, value in state["weights"].items()
    }
    module.load_state_dict(weights, assign=True)
    return module.eval()


def load_parts(
    module: nn.Module, state: dict[str, Any], parts: Collection[str]
) -> None:
    """Take over some parts of a network that `export_module` described.

    Parameters
    ----------
    module : torch module
        The network that is changed.
    state : dict
        What `export_module` returned.
    parts : collection of str
        Names of parts of both networks. A part whose weights have not the same shapes
        in both is left as it is.
    """
    for part in parts:
        # In order and not by name: layers of dropout shift the numbers of the others.
        weights = _weights_of(part, module.state_dict())
        others = _weights_of(part, state["weights"])
        if [w.shape for w in weights] == [w.shape for w in others]:
            with torch.no_grad():
                for weight, other in zip(weights, others, strict=True):
                    weight.copy_(torch.tensor(other))


def _weights_of(part: str, weights: Mapping[str, Any]) -> list[Any]:
    return [w for name, w in weights.items() if name.startswith(f"{part}.")]
