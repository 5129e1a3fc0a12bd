import numpy as np
import pytest
import torch
from torch.autograd.functional import hessian

from sklearn_hepcal import nn

POINTS = {
    "n_coordinates": 2,
    "hidden": (8,),
    "n_latent": 4,
    "weighting": "energy",
    "activation": "silu",
    "n_categories": 0,
}


def make_network(n_features=3, n_targets=2, seed=0, **options):
    with nn.seeded(seed):
        network = nn.GaussianAnsatz(
            n_features, n_targets, (16, 16), activation="silu", **options
        )
    return network.double().eval()


@pytest.fixture
def rows():
    with nn.seeded(1):
        return torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 2).double()


@pytest.mark.parametrize("seed", range(3))
def test_estimate_is_the_global_maximum(rows, seed):
    network = make_network(seed=seed)
    code, _ = rows
    best = network(code, network.estimate(code)[None])[0]
    with nn.seeded(seed):
        others = 10 * torch.randn(500, 40, 2, dtype=torch.float64)
    assert (network(code, others) < best).all()


@pytest.mark.parametrize("seed", range(3))
def test_precision_is_minus_the_second_derivative(rows, seed):
    network = make_network(seed=seed)
    code, _ = rows
    precision = network.precision(code)
    for row in range(5):
        one = code[row : row + 1]
        second = hessian(
            lambda z, one=one: network(one, z[None, None])[0, 0],
            network.estimate(one)[0].detach(),
        )
        torch.testing.assert_close(precision[row], -second)
    assert torch.linalg.eigvalsh(precision).min() > 0


def test_values_of_one_event_do_not_depend_on_the_others(rows):
    network = make_network()
    code, z = rows
    every = network(code, torch.stack([z, z + 1]))
    torch.testing.assert_close(every[1, 3:5], network(code[3:5], z[None, 3:5] + 1)[0])


def test_start_from_line():
    network = make_network()
    slope = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
    intercept = torch.tensor([0.3, -0.2])
    factor = torch.tensor([[2.0, 0.0], [-0.7, 0.5]])
    network.start_from_line(slope, intercept, factor)
    for part in (network.peak, network.factor):
        torch.nn.init.zeros_(part.last.weight)
    code = torch.randn(10, 3, dtype=torch.float64)
    line = code @ slope.T.double() + intercept
    torch.testing.assert_close(network.estimate(code), line)
    floor = 1e-3 * torch.eye(2)
    expected = (factor @ factor.T + floor).double().expand(10, 2, 2)
    torch.testing.assert_close(network.precision(code), expected)


# In evaluation the term D is absent: its network may be anything.
def test_inclination_is_for_the_training_only(rows):
    network = make_network(inclination=True)
    code, z = rows
    with torch.no_grad():
        network.inclination.last.weight.fill_(100.0)
    best = network(code, network.estimate(code)[None])[0]
    assert (network(code, z[None])[0] < best).all()
    tilted = network.train()(code, z[None])[0]
    assert not torch.allclose(tilted, network.eval()(code, z[None])[0])
    network.inclination_scale = 0.0
    torch.testing.assert_close(
        network.train()(code, z[None]), network.eval()(code, z[None])
    )


def test_inclination_fades_out():
    network = make_network(inclination=True).float().train()
    objective = nn.RatioObjective(network, "dv", 2, n_steps=8)
    scales = []
    for _ in range(8):
        objective(z=torch.randn(5, 2), weight=torch.ones(5), features=torch.randn(5, 3))
        scales.append(network.inclination_scale)
    np.testing.assert_allclose(scales, np.maximum(1 - np.arange(1, 9) / 6, 0))


# With T = 0 all losses are known.
@pytest.mark.parametrize("loss", ["dv", "bce", "infonce"])
def test_losses_of_a_network_that_knows_nothing(loss):
    network = make_network()
    network.forward = lambda code, z: torch.zeros(z.shape[:2], dtype=z.dtype)
    objective = nn.RatioObjective(network, loss, 3, 1)
    z, x = torch.randn(10, 2).double(), torch.randn(10, 3).double()
    weight = torch.rand(10).double() + 0.1
    value = objective(z=z, weight=weight, features=x)
    equal = objective(z=z, weight=torch.ones(10).double(), features=x)
    expected = {"dv": 0.0, "bce": 2 * np.log(2), "infonce": np.log(4)}
    assert equal.item() == pytest.approx(expected[loss], abs=1e-12)
    # each z of InfoNCE counts with its weight
    every = torch.stack([weight.roll(-shift) for shift in range(4)])
    share = weight / every.sum(dim=0)
    expected["infonce"] = -(weight @ share.log() / weight.sum()).item()
    assert value.item() == pytest.approx(expected[loss], abs=1e-12)


# Losses of the exact ratio of normal x and z with correlation rho: all are functions
# of the mutual information, or known by quadrature.
def test_losses_at_the_exact_ratio():
    rho, n = 0.8, 200_000
    with nn.seeded(0):
        z = torch.randn(n, 1).double()
        x = rho * z + np.sqrt(1 - rho**2) * torch.randn(n, 1).double()

    def exact(code, z):
        away = (code - rho * z) ** 2 / (1 - rho**2)
        return 0.5 * (code**2 - away - np.log(1 - rho**2))[..., 0]

    information = -0.5 * np.log(1 - rho**2)
    network = make_network(1, 1)
    network.forward = exact
    weight = torch.ones(n).double()

    def loss(name):
        return nn.RatioObjective(network, name, 4, 1)(
            z=z, weight=weight, features=x
        ).item()

    # five standard deviations of the sampled term of each
    spread = exact(x, z).std().item() / np.sqrt(n)
    assert abs(loss("dv") + information) < 5 * spread + 0.01
    ratio = exact(x, z)
    wrong = exact(x, z.roll(17, 0))
    expected = (
        torch.nn.functional.softplus(-ratio).mean()
        + torch.nn.functional.softplus(wrong).mean()
    )
    assert loss("bce") == pytest.approx(expected.item(), abs=0.01)
    assert loss("infonce") - np.log(5) > -information


@pytest.mark.parametrize("loss", ["dv", "bce", "infonce"])
def test_unit_of_the_weights_is_arbitrary(rows, loss):
    code, z = rows
    objective = nn.RatioObjective(make_network(), loss, 3, 1)
    weight = torch.rand(40).double() + 0.1
    value = objective(z=z, weight=weight, features=code)
    torch.testing.assert_close(value, objective(z=z, weight=7 * weight, features=code))


def test_largest_log_ratio_that_is_rewarded():
    values = torch.zeros(4, 10, dtype=torch.float64)
    values[0, 0] = 50.0
    values.requires_grad_()
    network = make_network()
    network.forward = lambda code, z: values
    weight = torch.ones(10).double()
    rows = {"z": torch.randn(10, 2).double(), "features": torch.randn(10, 3).double()}
    losses = {}
    for limit in (5.0, np.inf):
        values.grad = None
        objective = nn.RatioObjective(network, "dv", 3, 1, max_log_ratio=limit)
        loss = objective(weight=weight, **rows)
        loss.backward()
        losses[limit] = loss.item(), values.grad[0].numpy().copy()
    assert losses[5.0][0] == pytest.approx(-0.5)
    assert losses[np.inf][0] == pytest.approx(-5.0)
    np.testing.assert_allclose(losses[5.0][1], [0] + [-0.1] * 9)
    np.testing.assert_allclose(losses[np.inf][1], -0.1)


def test_weights_act_on_both_marginals(rows):
    # One event of tiny weight: it disappears from events and from shuffled events.
    code, z = rows
    network = make_network()
    weight = torch.ones(40).double()
    weight[0] = 1e-12
    objective = nn.RatioObjective(network, "dv", 39, 1)
    value = objective(z=z, weight=weight, features=code)
    others = objective(z=z[1:], weight=weight[1:], features=code[1:])
    torch.testing.assert_close(value, others)


@pytest.mark.parametrize("deep_sets", [None, POINTS])
def test_state_round_trip(rows, deep_sets):
    code, z = rows
    options = {"latent_scale": 3.0, "deep_sets": deep_sets, "inclination": True}
    network = make_network(**options)
    loaded = nn.load_module(nn.export_module(network), dtype=torch.float64)
    constituents = {}
    if deep_sets:
        constituents = {
            "points": torch.randn(80, 2).double(),
            "energies": torch.rand(80).double(),
            "counts": torch.full((40,), 2),
        }
    values = [n(n.encode(code, **constituents), z[None]) for n in (network, loaded)]
    torch.testing.assert_close(*values, rtol=0, atol=0)


# A training on another device: meta tensors refuse to mix with those of the CPU.
@pytest.mark.parametrize("deep_sets", [None, POINTS])
@pytest.mark.parametrize("loss", ["dv", "bce", "infonce"])
def test_training_on_another_device(monkeypatch, deep_sets, loss):
    item = torch.Tensor.item
    monkeypatch.setattr(
        torch.Tensor, "item", lambda self: 0.0 if self.is_meta else item(self)
    )
    network = nn.GaussianAnsatz(3, 2, (8, 8), deep_sets=deep_sets, inclination=True)
    columns = {
        "z": torch.randn(20, 2),
        "weight": torch.ones(20),
        "features": torch.randn(20, 3),
    }
    ragged = {"points": torch.randn(80, 2), "energies": torch.rand(80)}
    constituents = (ragged, torch.full((20,), 4)) if deep_sets else ()
    rows = nn.RowsDataset(columns, *constituents)
    losses = nn.train(
        nn.RatioObjective(network, loss, 4, 6),
        rows,
        nn.TrainingSettings(2, 8, 1e-3, device="meta"),
        rows,
    )
    assert len(losses) == 2
    assert all(weight.is_meta for weight in network.parameters())
