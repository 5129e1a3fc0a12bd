"""Losses of networks that predict a target."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from ._rotations import rotate_jets


def _binary(output: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(
        output[:, 0], target.to(output.dtype), reduction="none"
    )


def _multiclass(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output, target, reduction="none")


def _squared(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean(dim=1)


def _absolute(output: Tensor, target: Tensor) -> Tensor:
    return (output[:, 0] - target).abs()


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "absolute": _absolute,
    "binary": _binary,
    "multiclass": _multiclass,
    "squared": _squared,
}


def find_loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Find a loss by its name.

    Parameters
    ----------
    name : {"absolute", "binary", "multiclass", "squared"}
        Absolute error of one column, cross-entropy of one column of log-odds or of a
        column of logits a class, or mean squared error of the columns.

    Returns
    -------
    callable
        Takes outputs of shape (n_rows, n_outputs) and targets, which are classes 0, 1,
        ... or numbers, and returns the loss of every row.

    Raises
    ------
    ValueError
        If the loss is not known.
    """
    if name not in _LOSSES:
        raise ValueError(f"loss must be one of {sorted(_LOSSES)}, got {name!r}.")
    return _LOSSES[name]


class SupervisedObjective(nn.Module):
    """Weighted mean loss of a network on the rows of a batch.

    Parameters
    ----------
    network : torch module
        What is trained.
    loss : str
        The loss, see `find_loss`.
    rotate : bool
        In training, turn the jets by `rotate_jets`.
    """

    def __init__(self, network: nn.Module, loss: str, rotate: bool = False) -> None:
        super().__init__()
        self.network = network
        self.row_losses = find_loss(loss)
        self.rotate = rotate

    def forward(self, target: Tensor, weight: Tensor, **inputs: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        target : tensor of shape (n_rows,) or (n_rows, n_outputs)
            Classes 0, 1, ..., or numbers.
        weight : tensor of shape (n_rows,)
            Weights with a mean of one over the sample. Their mean over the batch is
            not divided by, which may be close to zero where weights have both signs.
        **inputs : tensors
            What the network takes.

        Returns
        -------
        tensor of shape ()
            The mean over the rows.
        """
        if self.rotate and self.training:
            turned = rotate_jets(inputs["points"], inputs["counts"])
            inputs = inputs | {"points": turned}
        losses = self.row_losses(self.network(**inputs), target)
        return (weight * losses).mean()
