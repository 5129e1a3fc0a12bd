import numpy as np
import pytest
import torch
from torch import nn

from sklearn_hepcal.nn import (
    TrainingSettings,
    TwoSampleDataset,
    resolve_device,
    seeded,
    train,
)


class MeanDifference(nn.Module):
    """Least squares: the weight converges to the difference of two means."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, a, b):
        return (self.weight - (b.mean() - a.mean())).square().sum()


def dataset(n_first, n_second, shift=2.0):
    generator = torch.Generator().manual_seed(0)
    return TwoSampleDataset(
        {"a": torch.randn(n_first, generator=generator)},
        {"b": shift + torch.randn(n_second, generator=generator)},
    )


def settings(**changes):
    defaults = {"max_epochs": 20, "batch_size": 100, "learning_rate": 0.1}
    return TrainingSettings(**(defaults | changes))


def fit(**changes):
    objective = MeanDifference()
    with seeded(0):
        losses = train(objective, dataset(1000, 700), settings(**changes))
    return objective.weight.item(), losses


@pytest.mark.parametrize("average", [0.0, 0.25, 1.0])
def test_converges(average):
    weight, losses = fit(average=average)
    tolerance = 0.2 if average < 1 else 0.5  # a mean over all steps has the start in it
    assert weight == pytest.approx(2.0, abs=tolerance)
    assert losses.shape == (20, 2)
    assert losses[-1, 0] < 0.05 < losses[0, 0]
    assert np.isnan(losses[:, 1]).all()


def test_averaging_reduces_the_noise():
    # At a constant rate the last step is a noisy one.
    kwargs = {"final_rate": 1.0, "learning_rate": 0.3}
    exact = dataset(1000, 700)
    truth = (exact.samples[1]["b"].mean() - exact.samples[0]["a"].mean()).item()
    errors = {}
    for average in (0.0, 0.5):
        found = []
        for seed in range(8):
            objective = MeanDifference()
            with seeded(seed):
                train(objective, exact, settings(average=average, **kwargs))
            found.append(objective.weight.item() - truth)
        errors[average] = np.sqrt(np.mean(np.square(found)))
    assert errors[0.5] < 0.5 * errors[0.0]


def test_early_stopping_returns_to_the_best_epoch():
    # The held-out rows say 1, the training rows 2: the best epoch is on the way.
    objective = MeanDifference()
    with seeded(0):
        losses = train(
            objective,
            dataset(1000, 1000),
            settings(
                max_epochs=200,
                learning_rate=0.02,
                early_stopping=True,
                n_iter_no_change=3,
            ),
            validation=dataset(500, 500, shift=1.0),
        )
    assert len(losses) < 200
    best = np.argmin(losses[:, 1])
    assert best < len(losses) - 1
    assert objective.weight.item() == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("average", [0.0, 0.25])
def test_an_interrupt_is_not_a_finished_fit(average):
    class Interrupted(MeanDifference):
        def forward(self, a, b):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(), dataset(100, 100), settings(average=average))


def test_seed_is_bit_identical_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = fit()[0], fit()[0]
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("lengths", [(10, 10), (10, 37), (64, 5)])
def test_an_epoch_visits_every_row_of_both_samples(lengths):
    rows = TwoSampleDataset(
        {"a": torch.arange(lengths[0])}, {"b": torch.arange(lengths[1])}
    )
    batches = list(rows.batches(8, shuffle=True))
    assert len(batches) == rows.n_batches(8)
    for name, n in zip("ab", lengths, strict=True):
        seen = torch.cat([batch[name] for batch in batches])
        counts = torch.bincount(seen, minlength=n)
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1
    assert {len(batch["a"]) for batch in batches} == {min(8, *lengths)}


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda")
    with pytest.raises(ValueError, match="device='no such thing'"):
        resolve_device("no such thing")
