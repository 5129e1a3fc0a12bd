import sys

import numpy as np
import pytest
import torch

from sklearn_hepcal.nn import (
    ConditionalFlow,
    DensityObjective,
    RowsDataset,
    TrainingSettings,
    TransportObjective,
    export_module,
    load_module,
    seeded,
    train,
)

ARCHITECTURES = [
    {"n_features": 1, "n_transforms": 2},
    {"n_features": 2, "n_knots": 3, "hidden_width": 16, "bound": 2.0},
    {"n_features": 5, "n_transforms": 3, "n_bins": 4},
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda p: f"{p['n_features']} features")
def flow(request):
    with seeded(0):
        module = ConditionalFlow(**request.param)
        for network in module.networks:
            torch.nn.init.normal_(network.last.weight, std=0.05)
    return module.double()


def points(module, n, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, module.config["n_features"], generator=generator, dtype=dtype)
    h = torch.rand(n, module.config["n_knots"], generator=generator, dtype=dtype)
    return scale * x, h / h.sum(1, keepdim=True)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 1e4])
def test_inverse(flow, scale):
    x, h = points(flow, 500, scale)
    with torch.no_grad():
        moved = flow(x, h)[0]
        torch.testing.assert_close(flow.inverse(moved, h), x, rtol=1e-12, atol=1e-8)
        torch.testing.assert_close(
            flow(flow.inverse(x, h), h)[0], x, rtol=1e-12, atol=1e-8
        )
    assert (moved - x).abs().max() > 0.05 or scale == 1e4


def test_log_det_is_that_of_autograd(flow):
    x, h = points(flow, 20, 2.0)
    jacobian = torch.stack(
        [
            torch.autograd.functional.jacobian(
                lambda row, basis=basis: flow(row[None], basis[None])[0][0], row
            )
            for row, basis in zip(x, h, strict=True)
        ]
    )
    sign, log_det = torch.linalg.slogdet(jacobian)
    assert (sign == 1).all()
    torch.testing.assert_close(flow(x, h)[1], log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_new_flow_is_the_identity(architecture):
    with seeded(0):
        flow = ConditionalFlow(**architecture).double()
    for scale in (1.0, 3.0, 1e3):
        x, h = points(flow, 300, scale)
        moved, log_det = flow(x, h)
        torch.testing.assert_close(moved, x, rtol=1e-13, atol=1e-12)
        torch.testing.assert_close(
            log_det, torch.zeros(300).double(), atol=1e-12, rtol=0
        )


def test_continuous_where_the_splines_end(flow):
    # Along a line through all boxes and out of them: a jump would not get smaller.
    direction, h = points(flow, 1)
    largest = []
    for n_steps in (2_000, 20_000):
        distance = torch.linspace(0.0, 40.0, n_steps, dtype=torch.float64)
        line = distance[:, None] * direction / direction.norm()
        with torch.no_grad():
            moved = flow(line, h.expand(n_steps, -1))[0]
        largest.append((moved[1:] - moved[:-1]).norm(dim=1).max())
    assert largest[1] < 0.2 * largest[0]
    shift = (moved[-1] - line[-1]).abs().max()
    assert shift <= 2.0 * flow.config["bound"] * flow.config["n_transforms"]


def test_depends_on_the_condition():
    with seeded(0):
        flow = ConditionalFlow(1, 2)
        torch.nn.init.normal_(flow.networks[0].last.weight)
    x = torch.ones(1, 1)
    moved = [flow(x, h[None])[0].item() for h in torch.eye(2)]
    assert abs(moved[0] - moved[1]) > 0.05


def test_numpy_state_round_trip(flow):
    state = export_module(flow.float())
    assert all(isinstance(weight, np.ndarray) for weight in state["weights"].values())
    before = torch.get_rng_state()
    again = load_module(state, dtype=torch.float64)
    assert torch.equal(torch.get_rng_state(), before)
    x, h = points(flow, 10)
    assert torch.equal(again(x, h)[0], flow.double()(x, h)[0])


def test_density_of_a_known_law():
    # Exponential of a normal variable whose width depends on the condition.
    with seeded(0):
        h = torch.eye(2)[torch.randint(2, (3000,))]
        width = h @ torch.tensor([0.2, 0.5])
        x = torch.exp(width * torch.randn(3000))[:, None]
        objective = DensityObjective(ConditionalFlow(1, 2, n_transforms=1))
        settings = TrainingSettings(
            max_epochs=20, batch_size=1000, learning_rate=0.02, average=0.25
        )
        train(objective, RowsDataset({"x": x, "h": h, "w": torch.ones(3000)}), settings)
    exact = torch.distributions.LogNormal(0.0, width).log_prob(x[:, 0])
    with torch.no_grad():
        difference = objective.log_density(x, h) - exact
    assert difference.mean().abs() < 0.02
    assert difference.abs().mean() < 0.1


def test_loss_of_the_transport():
    with seeded(0):
        flow = ConditionalFlow(2)
        torch.nn.init.normal_(flow.networks[0].last.weight)
        density = DensityObjective(ConditionalFlow(2))  # the standard normal law
    metric = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    x, h = points(flow, 30, dtype=torch.float32)
    w = torch.linspace(0.0, 2.0, 30)
    moved, log_det = flow(x, h)
    normal = torch.distributions.Normal(0.0, 1.0)
    likelihood = normal.log_prob(moved).sum(1) + log_det
    cost = ((moved - x) @ metric).square().sum(1)
    for weight in (0.0, 0.7):
        loss = TransportObjective(flow, density, metric, weight)(x, h, w)
        expected = (w * (weight * cost - likelihood)).mean()
        torch.testing.assert_close(loss, expected)


def test_transport_leaves_the_density_alone():
    with seeded(0):
        flow, density = ConditionalFlow(2), DensityObjective(ConditionalFlow(2))
        objective = TransportObjective(flow, density, torch.eye(2), 0.1)
        x, h = points(flow, 30, 2.0, torch.float32)
        objective(x, h, torch.ones(30)).backward()
    assert all(weight.grad is None for weight in density.parameters())
    assert flow.networks[0].last.weight.grad.abs().max() > 0


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ImportError, match=r"sklearn_hepcal\[flow\]"):
        ConditionalFlow(2)
