"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

# In place where the gradient does not need what is overwritten: half the memory.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, inplace=True),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


def activation_layer(activation: str) -> nn.Module:
    """Build an activation, which may overwrite its input.

    Parameters
    ----------
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        Its name.

    Returns
    -------
    torch module
        The activation.

    Raises
    ------
    ValueError
        If the name is not known.
    """
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {sorted(_ACTIVATIONS)}, got {activation!r}."
        )
    return _ACTIVATIONS[activation]()


class MLP(nn.Module):
    """Linear layers with an activation after each but the last.

    The weights start as He, Zhang, Ren and Sun propose, arXiv:1502.01852. The biases
    stay as torch draws them: with zeros, all units of the first layer would have
    their kink at the origin.

    Parameters
    ----------
    n_in : int
        Columns of the input.
    hidden : tuple of int
        Units of the hidden layers; without any the network is linear.
    n_out : int
        Columns of the output.
    activation : {"relu", "leaky_relu", "silu", "gelu"}
        The activation.
    dropout : float
        Part of the units of every hidden layer that is dropped in training.

    Attributes
    ----------
    hidden : torch module
        All layers below the last one, with their activations.
    last : torch.nn.Linear
        The last layer.

    Raises
    ------
    ValueError
        If the activation is not known.
    """

    def __init__(
        self,
        n_in: int,
        hidden: tuple[int, ...],
        n_out: int,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_in": n_in,
            "hidden": tuple(hidden),
            "n_out": n_out,
            "activation": activation,
            "dropout": dropout,
        }
        self.hidden = nn.Sequential()
        for width in hidden:
            layer = nn.Linear(n_in, width)
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            self.hidden.extend([layer, activation_layer(activation)])
            if dropout:
                self.hidden.append(nn.Dropout(dropout))
            n_in = width
        self.last = nn.Linear(n_in, n_out)
        nn.init.kaiming_uniform_(self.last.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the network.

        Parameters
        ----------
        x : tensor of shape (..., n_in)
            The input.

        Returns
        -------
        tensor of shape (..., n_out)
            The output.
        """
        return self.last(self.hidden(x))
