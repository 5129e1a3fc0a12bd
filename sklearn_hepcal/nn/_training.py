"""The training loop that every network of the package uses, on top of skorch.

An *objective* is a torch module that holds the network; called with a batch as keyword
tensors, it returns the scalar loss. A *dataset* cuts itself into batches: dictionaries
of tensors, the first of which has one row a sample; others may be flat tables of any
length. `train` joins the two.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
)
from skorch.helper import predefined_split
from skorch.utils import noop, to_tensor
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

_GENERATORS = threading.RLock()
# Devices on which Adam updates all weights in one call: those of a small network cost
# a quarter of a step otherwise.
_FUSED = ("cpu", "cuda")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the names mean the same in every estimator.

    Parameters
    ----------
    max_epochs : int
        Largest number of passes over the data.
    batch_size : int
        Rows a step.
    validation_batch_size : int or None
        Rows of a batch of the validation sample; by default as many as in training.
    learning_rate : float
        Peak learning rate of Adam.
    device : str
        Torch device; see `resolve_device`.
    early_stopping : bool
        Stop when the validation loss has not improved for `n_iter_no_change`
        epochs, and go back to the best epoch.
    n_iter_no_change : int
        Patience of the early stopping, in epochs.
    betas : tuple of float
        Decay rates of Adam's moments.
    warmup : float
        Fraction of the steps over which the learning rate rises linearly.
    hold : float
        Fraction of the steps after which its cosine decay begins.
    final_rate : float
        Learning rate of the last step, as a fraction of the peak.
    clip_norm : float
        Largest norm of the gradient.
    average : float
        The weights are averaged over this last fraction of the steps; 0 keeps those
        of the last one, and early stopping those of the best epoch.
    verbose : int
        1 shows a progress bar.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    validation_batch_size: int | None = None
    device: str = "cpu"
    early_stopping: bool = False
    n_iter_no_change: int = 10
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.05
    hold: float = 0.4
    final_rate: float = 0.02
    clip_norm: float = 5.0
    average: float = 0.0
    verbose: int = 0


class TwoSampleDataset(Dataset):
    """Two samples, drawn side by side: an epoch is one pass over the larger one.

    Parameters
    ----------
    first, second : dict of tensors
        Columns of each sample, of equal length within a sample; the names differ
        between the samples. A column may be anything that a tensor of rows indexes.
    """

    def __init__(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
        self.samples = (first, second)
        self.lengths = [len(next(iter(sample.values()))) for sample in self.samples]
        self.longest = max(self.lengths)

    def __len__(self) -> int:
        return self.longest

    def limit(self, n_rows: int) -> None:
        """Let an epoch end early.

        Parameters
        ----------
        n_rows : int
            Rows of either sample after which it ends, even if that is no whole pass.
        """
        self.longest = min(n_rows, max(self.lengths))

    def n_batches(self, batch_size: int) -> int:
        """Count the batches of an epoch.

        Parameters
        ----------
        batch_size : int
            Rows of each sample in a batch.

        Returns
        -------
        int
            The number of batches.
        """
        return math.ceil(len(self) / min(batch_size, *self.lengths))

    def batches(self, batch_size: int, shuffle: bool) -> Iterator[dict[str, Tensor]]:
        """Cut an epoch into batches of equal size.

        Parameters
        ----------
        batch_size : int
            Rows of each sample in a batch.
        shuffle : bool
            Draw the rows in random order.

        Yields
        ------
        dict of tensors
            The columns of both samples.
        """
        size = min(batch_size, *self.lengths)
        n_batches = self.n_batches(batch_size)
        orders = [_cycle(n, n_batches * size, shuffle) for n in self.lengths]
        for start in range(0, n_batches * size, size):
            batch: dict[str, Tensor] = {}
            for sample, order in zip(self.samples, orders, strict=True):
                rows = order[start : start + size]
                batch |= {name: column[rows] for name, column in sample.items()}
            yield batch


def _cycle(n_rows: int, length: int, shuffle: bool) -> Tensor:
    order = torch.randperm if shuffle else torch.arange
    return torch.cat([order(n_rows) for _ in range(math.ceil(length / n_rows))])


@contextlib.contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed torch for a block, and leave its global generators as they were.

    One thread at a time enters such a block: the generators are those of the process.

    Parameters
    ----------
    seed : int
        The seed.
    device : str
        Device on which random numbers are drawn.
    """
    devices = [] if device == "cpu" else [torch.device(device)]
    with _GENERATORS, torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def resolve_device(device: str) -> str:
    """Choose the device.

    Parameters
    ----------
    device : str
        "auto" takes a GPU when there is one; anything else is a torch device.

    Returns
    -------
    str
        The torch device.

    Raises
    ------
    ValueError
        If the device does not exist on this machine.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={device!r} cannot be used here: {error}") from error
    return device


def train(
    objective: nn.Module,
    dataset: Any,
    settings: TrainingSettings,
    validation: Any = None,
) -> NDArray[np.float64]:
    """Train an objective in place.

    Parameters
    ----------
    objective : torch module
        Returns the loss of a batch.
    dataset : dataset with the methods of `TwoSampleDataset`
        Training rows.
    settings : TrainingSettings
        How to train.
    validation : dataset or None
        Held-out rows, needed for early stopping.

    Returns
    -------
    array of shape (n_epochs, 2)
        Training and validation loss of every epoch (NaN without validation rows).

    Raises
    ------
    KeyboardInterrupt
        If the user stops the training: it is not taken for a finished one.
    """
    n_steps = settings.max_epochs * dataset.n_batches(settings.batch_size)
    callbacks: list[tuple[str, Callback]] = [
        ("clip", GradientNormClipping(settings.clip_norm)),
        ("rate", _schedule(settings, n_steps)),
    ]
    if settings.average and not settings.early_stopping:
        first = min(math.floor(n_steps * (1 - settings.average)), n_steps - 1)
        callbacks.append(("average", _Average(first)))
    stopper = EarlyStopping(
        patience=settings.n_iter_no_change, load_best=True, sink=noop
    )
    if settings.early_stopping:
        callbacks.append(("early_stopping", stopper))
    if settings.verbose:
        callbacks.append(("progress", _Progress(settings.max_epochs)))
    net = _ObjectiveNet(
        objective,
        criterion=nn.Identity,
        optimizer=torch.optim.Adam,
        optimizer__betas=settings.betas,
        optimizer__fused=torch.device(settings.device).type in _FUSED,
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        batch_size=settings.batch_size,
        iterator_train=_Batches,
        iterator_train__shuffle=True,
        iterator_valid=_Batches,
        iterator_valid__batch_size=settings.validation_batch_size
        or settings.batch_size,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=callbacks,
        callbacks__print_log=None,
        verbose=0,
        device=settings.device,
    )
    net.fit(dataset)
    stopped = settings.early_stopping and stopper.misses_ >= settings.n_iter_no_change
    epochs = [row for row in net.history if "train_loss" in row]
    # skorch returns as usual after a Ctrl-C.
    if len(epochs) < settings.max_epochs and not stopped:
        raise KeyboardInterrupt
    return np.array([[e["train_loss"], e.get("valid_loss", np.nan)] for e in epochs])


# Linear warm-up, constant, cosine decay.
def _schedule(settings: TrainingSettings, n_steps: int) -> LRScheduler:
    def factor(step: int) -> float:
        done = step / n_steps
        if done < settings.warmup:
            return (step + 1) / (settings.warmup * n_steps + 1)
        if done < settings.hold:
            return 1.0
        decayed = min((done - settings.hold) / (1.0 - settings.hold), 1.0)
        cosine = 0.5 * (1.0 + math.cos(math.pi * decayed))
        return settings.final_rate + (1.0 - settings.final_rate) * cosine

    return LRScheduler(
        torch.optim.lr_scheduler.LambdaLR, lr_lambda=factor, step_every="batch"
    )


class _Batches:
    # What skorch takes for a data loader: pairs of inputs and target.

    def __init__(self, dataset: Any, batch_size: int, shuffle: bool = False) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[_Batch, None]]:
        for columns in self.dataset.batches(self.batch_size, self.shuffle):
            yield _Batch(columns), None


@dataclass(frozen=True)
class _Batch:
    # Unlike a dictionary's, its length is not that of every tensor in it.
    columns: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class _ObjectiveNet(NeuralNet):
    # A skorch net whose module returns its own loss.

    def infer(self, x: _Batch, **fit_params: Any) -> Tensor:
        return self.module_(**to_tensor(x.columns, device=self.device))

    def get_loss(
        self, y_pred: Tensor, y_true: Any, X: Any = None, training: bool = False
    ) -> Tensor:
        return y_pred


class _Average(Callback):
    # Mean of the weights over the last steps: unlike an exponential average it has no
    # memory of the start.

    def __init__(self, first_step: int) -> None:
        self.first_step = first_step

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.step_ = 0
        self.mean_: list[Tensor] = []

    @torch.no_grad()
    def on_batch_end(
        self, net: NeuralNet, training: bool = False, **kwargs: Any
    ) -> None:
        if not training:
            return
        self.step_ += 1
        if self.step_ <= self.first_step:
            return
        weights = list(net.module_.parameters())
        if not self.mean_:
            self.mean_ = [torch.zeros_like(w) for w in weights]
        for mean, w in zip(self.mean_, weights, strict=True):
            mean.lerp_(w, 1.0 / (self.step_ - self.first_step))

    @torch.no_grad()
    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.mean_:  # empty after an early interrupt
            for mean, w in zip(self.mean_, net.module_.parameters(), strict=True):
                w.copy_(mean)


class _Progress(Callback):
    # One bar over all epochs.

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.bar_ = tqdm(total=self.max_epochs, unit="epoch")

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        last = net.history[-1]
        self.bar_.set_postfix(
            {
                name: f"{last[name]:.4g}"
                for name in ("train_loss", "valid_loss")
                if name in last
            }
        )
        self.bar_.update()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.bar_.close()
