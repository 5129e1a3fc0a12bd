"""Training of Gaussian Ansatz networks, and the fitted ensemble in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from ._inputs import Array, Inputs

# Events, and pairs of an event and a z, that are evaluated together.
_EVENTS = 4096
_PAIRS = 2**17
# Steps of a training, unless that is more than so many passes over the sample.
_N_STEPS = 700
_MAX_EPOCHS = 100
# Cosine decay after a short warm-up. Single events can dominate the gradient, so that
# it is clipped.
_SCHEDULE = {"warmup": 0.03, "hold": 0.03, "clip_norm": 1.0}
# Small samples are cut into several batches a pass, but not into smaller ones.
_N_BATCHES = 16
_MIN_BATCH = 32
# What keeps the first line finite: least noise of the inputs, and least precision, in
# units of their variances.
_LEAST_NOISE = 1e-8
_LEAST_PRECISION = 1e-2


class Sample(NamedTuple):
    """Events with their true values, in the units of the networks.

    Attributes
    ----------
    inputs : Inputs
        What the networks see of the events.
    z : array of shape (n, n_targets)
        True values.
    weight : array of shape (n,)
        Weights of the events.
    """

    inputs: Inputs
    z: Array
    weight: Array


class AnsatzEnsemble:
    """Fitted networks, and what follows from the mean of their T.

    Parameters
    ----------
    networks : list of dict
        Networks in numpy, from `sklearn_hepcal.nn.export_module`.
    reference : array of shape (k, n_targets) or None
        A sample of z over which the ratio of every event is normalised to a mean of
        one: for InfoNCE, which leaves the offset A(x) open.
    """

    def __init__(
        self,
        networks: list[dict[str, Any]],
        reference: Array | None = None,
    ) -> None:
        self.networks = networks
        self.reference = reference

    def estimate(self, inputs: Inputs) -> tuple[Array, Array]:
        """Maximum of T, and minus its second derivatives there.

        The networks are parabolas around their own maxima: in the mean of these,
        maxima are weighted by curvature.

        Parameters
        ----------
        inputs : Inputs
            The events.

        Returns
        -------
        z : array of shape (n, n_targets)
            The maximum.
        precision : array of shape (n, n_targets, n_targets)
            The inverse covariance.
        """

        def evaluate(network: Any, code: Any, rows: Any) -> tuple[Any, Any]:
            precision = network.precision(code)
            return precision, precision @ network.estimate(code)[:, :, None]

        precision, pulled = self._mean(evaluate, inputs, _EVENTS)
        z = np.linalg.solve(precision, pulled)[:, :, 0]
        return z.astype(np.float64, copy=False), precision

    def log_ratio(self, inputs: Inputs, z: Array, *, n_shuffles: int = 0) -> Array:
        """Mean T of events with their z and those of others, up to a constant.

        Parameters
        ----------
        inputs : Inputs
            The events.
        z : array of shape (n, n_targets)
            True values.
        n_shuffles : int
            How many of the next events lend their z to each.

        Returns
        -------
        array of shape (1 + n_shuffles, n)
            T.
        """
        shifts = np.arange(n_shuffles + 1)[:, None]
        values = self._values(inputs, lambda rows: z[(rows + shifts) % len(z)])
        if self.reference is None:
            return values
        every = self.reference[:, None]
        sums = self._values(
            inputs, lambda rows: every.repeat(len(rows), axis=1), reduce=_log_sum
        )
        return values - sums + np.log(len(every))

    # Mean T of events and of the z that are chosen for their rows, (n_z, n_rows).
    def _values(
        self,
        inputs: Inputs,
        choose: Callable[..., Array],
        reduce: Callable[[Array], Array] = np.asarray,
    ) -> Array:
        def evaluate(network: Any, code: Any, rows: Any) -> tuple[Any]:
            return (network(code, code.new_tensor(choose(rows.numpy()))).T,)

        n_z, _, n_targets = choose(np.arange(1)).shape
        size = min(_EVENTS, max(1, _PAIRS // (n_z * n_targets**2)))
        return self._mean(evaluate, inputs, size, reduce)[0].T

    # Mean over the networks of what is evaluated for each, reduced chunk by chunk.
    def _mean(
        self,
        evaluate: Callable[..., tuple[Any, ...]],
        inputs: Inputs,
        size: int,
        reduce: Callable[[Array], Array] = np.asarray,
    ) -> list[Array]:
        chunks = [
            [reduce(np.mean(part, axis=0)) for part in zip(*members, strict=True)]
            for members in self._chunks(evaluate, inputs, size)
        ]
        return [np.concatenate(part) for part in zip(*chunks, strict=True)]

    def _chunks(
        self, evaluate: Callable[..., tuple[Any, ...]], inputs: Inputs, size: int
    ) -> Iterator[list[list[Array]]]:
        import torch

        from .. import nn

        # Double precision: what is predicted for a row does not depend on the others.
        networks: list[Any] = [
            nn.load_module(state, dtype=torch.float64) for state in self.networks
        ]
        dataset = inputs.dataset(torch.float64, row=np.arange(len(inputs.features)))
        with torch.no_grad():
            for batch in dataset.batches(size, shuffle=False):
                rows = batch.pop("row")
                yield [
                    [
                        part.numpy()
                        for part in evaluate(network, network.encode(**batch), rows)
                    ]
                    for network in networks
                ]


def _log_sum(values: Array) -> Array:
    return np.asarray(logsumexp(values, axis=1, keepdims=True))


def fit_ansatz(
    sample: Sample,
    held_out: Sample,
    *,
    loss: str,
    n_shuffles: int,
    architecture: dict[str, Any],
    training: dict[str, Any],
    seed: int,
) -> tuple[dict[str, Any], Array]:
    """Train one network.

    Parameters
    ----------
    sample, held_out : Sample
        Events to train on, and those of the validation loss.
    loss : {"dv", "bce", "infonce"}
        The loss.
    n_shuffles : int
        Shuffled events for every event.
    architecture : dict
        Arguments of `sklearn_hepcal.nn.GaussianAnsatz`.
    training : dict
        Fields of `sklearn_hepcal.nn.TrainingSettings`; ``max_epochs`` may be None.
    seed : int
        Seed of weights and batches.

    Returns
    -------
    network : dict
        The network in numpy.
    losses : array of shape (n_epochs, 2)
        Training and validation loss.
    """
    from .. import nn

    rows, validation = (
        part.inputs.dataset(z=part.z, weight=part.weight) for part in (sample, held_out)
    )
    batch_size = min(training["batch_size"], max(_MIN_BATCH, len(rows) // _N_BATCHES))
    max_epochs = training["max_epochs"] or min(
        _MAX_EPOCHS, math.ceil(_N_STEPS / rows.n_batches(batch_size))
    )
    adapted = {"batch_size": batch_size, "max_epochs": max_epochs}
    settings = nn.TrainingSettings(**(training | _SCHEDULE | adapted))
    n_steps = max_epochs * rows.n_batches(batch_size)
    with nn.seeded(seed, settings.device):
        network = nn.GaussianAnsatz(**architecture)
        network.start_from_line(*_first_line(sample))
        objective = nn.RatioObjective(
            network, loss, n_shuffles, n_steps, max_log_ratio=math.log(len(rows))
        )
        losses = nn.train(objective, rows, settings, validation)
    if not np.isfinite(losses[-1]).all():
        raise ValueError(
            "the training diverged, with a loss of NaN or infinity: scale down very "
            f"large values, or lower learning_rate={settings.learning_rate}."
        )
    return nn.export_module(network), losses


# The linear Gaussian model: x is a line in z with constant noise, fitted by least
# squares. Unlike least squares of z on x, its maximum likelihood
#
#     z = (b S^-1 b')^-1 b S^-1 x,  with the precision b S^-1 b',
#
# knows nothing of the spectrum of z. Inputs and z have means of zero.
def _first_line(sample: Sample) -> tuple[Any, Any, Any]:
    import torch

    x, z, w = sample.inputs.features, sample.z, sample.weight
    root = np.sqrt(w)[:, None]
    b = np.linalg.lstsq(root * z, root * x)[0]
    noise = x - z @ b
    covariance = (noise.T * w) @ noise / w.sum() + _LEAST_NOISE * np.eye(x.shape[1])
    pull = np.linalg.solve(covariance, b.T).T
    precision = pull @ b.T + _LEAST_PRECISION * np.eye(z.shape[1])
    slope = np.linalg.solve(precision, pull)
    return (
        torch.tensor(slope),
        torch.zeros(z.shape[1]),
        torch.tensor(np.linalg.cholesky(precision)),
    )
