import pytest
import torch

from sklearn_hepcal import nn


def sample(seed, n=200, dim=2):
    g = torch.Generator().manual_seed(seed)
    t = torch.rand(n, 1, generator=g)
    x = torch.randn(n, dim, generator=g) + t
    return x, torch.cat([t, 1 - t], 1), torch.ones(n)


def build(x, h, **kwargs):
    potential = nn.ConvexPotential(x.shape[1], h.shape[1], hidden_width=16, **kwargs)
    potential.initialise(x, h)
    return potential


@pytest.mark.parametrize("n_layers", [1, 2])
def test_loss_is_the_semi_dual(n_layers):
    (x, hx, wx), (y, hy, wy) = sample(0), sample(1)
    with nn.seeded(0):
        potential = build(x, hx, n_layers=n_layers).double()
    x, hx, wx, y, hy, wy = (part.double() for part in (x, hx, wx, y, hy, wy))
    objective = nn.SemiDual(potential, y, tol=1e-10, max_iter=500)
    rows = torch.arange(len(y))
    with torch.no_grad():
        loss = objective(x, hx, wx, y, hy, wy, rows)
        top = nn.polish_conjugate(potential, y, hy, y, tol=1e-12)
        # The supremum is where the gradient is y.
        torch.testing.assert_close(potential.gradient(top, hy), y)
        conjugate = (top * y).sum(1) - potential(top, hy)
        at_zero = potential(torch.zeros_like(x), hx), potential(torch.zeros_like(y), hy)
        expected = (potential(x, hx) - at_zero[0]).mean()
        expected += (conjugate + at_zero[1]).mean()
    torch.testing.assert_close(loss, expected)
    # Later calls begin where this one has ended.
    torch.testing.assert_close(objective.points, top, rtol=1e-6, atol=1e-6)


def test_gradient_of_the_loss_is_that_of_finite_differences():
    (x, hx, wx), (y, hy, wy) = sample(0), sample(1)
    with nn.seeded(0):
        potential = build(x, hx).double()
    columns = [part.double() for part in (x, hx, wx, y, hy, wy)]
    objective = nn.SemiDual(potential, None, tol=1e-11, max_iter=1000)

    def loss():
        return objective(*columns, torch.arange(len(y)))

    loss().backward()
    step = 1e-4
    for weight in (potential.raw_output, potential.raw_skip[0], potential.raw_inner[0]):
        with torch.no_grad():
            around = []
            for sign in (1, -1):
                weight[0, 0] += sign * step
                around.append(loss().item())
                weight[0, 0] -= sign * step
        slope = (around[0] - around[1]) / (2 * step)
        assert weight.grad[0, 0].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


@pytest.fixture
def numbers_of_meta_tensors(monkeypatch):
    """Where a training reads a number off a tensor, it gets a one of meta tensors."""
    item, truth = torch.Tensor.item, torch.Tensor.__bool__
    monkeypatch.setattr(
        torch.Tensor, "item", lambda self: 1.0 if self.is_meta else item(self)
    )
    monkeypatch.setattr(
        torch.Tensor, "__bool__", lambda self: not self.is_meta and truth(self)
    )


# A training on another device: meta tensors refuse to mix with those of the CPU.
@pytest.mark.parametrize("cached", [True, False])
def test_training_on_another_device(numbers_of_meta_tensors, cached):
    (x, hx, wx), (y, hy, wy) = sample(0), sample(1)
    potential = build(x, hx)
    rows = nn.TwoSampleDataset(
        {"x": x, "hx": hx, "wx": wx},
        {"y": y, "hy": hy, "wy": wy, "row": torch.arange(len(y))},
    )
    balance = (
        nn.BatchBalance(lambda: [(x, hx, wx)]),
        nn.BatchBalance(lambda: [(y, hy, wy)]),
    )
    cache = y if cached else None
    objective = nn.SemiDual(potential, cache, balance=balance, max_iter=2)
    settings = nn.TrainingSettings(2, 50, 1e-3, device="meta", average=0.25)
    losses = nn.train(objective, rows, settings, rows)
    assert len(losses) == 2
    assert all(weight.is_meta for weight in potential.parameters())
    assert all(buffer.is_meta for buffer in objective.buffers())


def test_training_of_flows_on_another_device(numbers_of_meta_tensors):
    x, h, w = sample(0)
    rows = nn.RowsDataset({"x": x, "h": h, "w": w})
    settings = nn.TrainingSettings(1, 50, 1e-3, device="meta")
    flow, density = (nn.ConditionalFlow(2, 2, n_transforms=2) for _ in range(2))
    objective = nn.DensityObjective(density)
    nn.train(objective, rows, settings, rows)
    nn.train(
        nn.TransportObjective(flow, objective, torch.eye(2), 0.1), rows, settings, rows
    )
    assert all(weight.is_meta for weight in flow.parameters())
