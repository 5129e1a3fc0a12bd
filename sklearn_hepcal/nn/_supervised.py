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


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "squared": _squared,
}


class SupervisedObjective(nn.Module):
    """Weighted mean loss of a network on the rows of a batch.

    Parameters
    ----------
    network : torch module
        What is trained.
    loss : {"binary", "multiclass", "squared"}
        Cross-entropy of one column of log-odds, or of a column of logits a class,
        or squared error.
    rotate : bool
        In training, turn the jets by `rotate_jets`.

    Raises
    ------
    ValueError
        If the loss is not known.
    """

    def __init__(self, network: nn.Module, loss: str, rotate: bool = False) -> None:
        super().__init__()
        if loss not in _LOSSES:
            raise ValueError(f"loss must be one of {sorted(_LOSSES)}, got {loss!r}.")
        self.network = network
        self.loss = loss
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
        losses = _LOSSES[self.loss](self.network(**inputs), target)
        return (weight * losses).mean()
