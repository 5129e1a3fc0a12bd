import math
from itertools import combinations_with_replacement

import pytest
import torch

from sklearn_hepcal import nn

COUNTS = torch.tensor([3, 0, 1, 7, 2])


def build(order=2, latent_dim=3, central=True, weighting="energy", n_categories=0):
    with nn.seeded(0):
        return nn.MomentEFN(
            2,
            1,
            order,
            latent_dim,
            central,
            (8,),
            (6,),
            weighting=weighting,
            n_categories=n_categories,
        ).double()


def jets(network, counts=COUNTS):
    """Arguments of the network for random jets."""
    generator = torch.Generator().manual_seed(0)
    n = int(counts.sum())
    given = {
        "points": torch.randn(n, 2, generator=generator).double(),
        "counts": counts,
    }
    if network.config["weighting"] == "energy":
        energies = torch.rand(n, generator=generator).double()
        parts = [part / part.sum() for part in energies.split(counts.tolist())]
        given["energies"] = torch.cat(parts)
    if n_categories := network.config["n_categories"]:
        given["categories"] = torch.randint(n_categories + 1, (n,), generator=generator)
    return given


def moments_by_loops(network, given):
    """Moments of one jet after the other, as their formula says."""
    config = network.config
    latent = network.latent(given["points"], given.get("categories"))
    rows = []
    start = 0
    for count in given["counts"].tolist():
        phi = latent[start : start + count]
        if config["weighting"] == "energy":
            z = given["energies"][start : start + count]
        else:
            z = torch.full((count,), 1.0 / max(count, 1), dtype=phi.dtype)
        start += count
        mean = z @ phi
        row = [] if config["weighting"] == "energy" else [torch.tensor(float(count))]
        row += list(mean)
        about = phi - mean if config["central"] else phi
        for m in range(2, config["order"] + 1):
            components = range(config["latent_dim"])
            for product in combinations_with_replacement(components, m):
                row.append((z * about[:, list(product)].prod(dim=1)).sum())
        rows.append(torch.stack([value.double() for value in row]))
    return torch.stack(rows)


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("central", [True, False])
@pytest.mark.parametrize(
    ("weighting", "n_categories"), [("energy", 0), ("count", 0), ("count", 3)]
)
def test_moments_are_those_of_their_formula(order, central, weighting, n_categories):
    network = build(order, 3, central, weighting, n_categories)
    given = jets(network)
    with torch.no_grad():
        moments = network.moments(**given)
        expected = moments_by_loops(network, given)
    torch.testing.assert_close(moments, expected, rtol=1e-13, atol=1e-14)
    n_moments = math.comb(3 + order, order) - 1 + (weighting == "count")
    assert moments.shape == (len(COUNTS), n_moments)


@pytest.mark.parametrize("weighting", ["energy", "count"])
def test_f_sees_standardised_moments(weighting):
    network = build(weighting=weighting)
    given = jets(network, torch.tensor([5, 3, 8, 2, 9, 4]))
    seen = []
    network.f.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network.standardise(**given)
    network(**given)
    table = seen[0].detach()
    torch.testing.assert_close(table.mean(dim=0), torch.zeros_like(table[0]))
    torch.testing.assert_close(
        table.std(dim=0, correction=0), torch.ones_like(table[0])
    )


def test_a_moment_that_is_the_same_for_all_jets_is_kept_finite():
    network = build()
    given = jets(network, torch.ones(5, dtype=torch.int64))
    network.standardise(**given)
    moments = network.moments(**given)
    assert (moments[:, 3:] == 0).all()
    assert torch.isfinite(network(**given)).all()


@pytest.mark.parametrize("weighting", ["energy", "count"])
@pytest.mark.parametrize("order", [1, 3])
def test_gradients(order, weighting):
    network = build(order, 2, weighting=weighting)
    given = jets(network)
    points = given.pop("points").requires_grad_()
    assert torch.autograd.gradcheck(lambda p: network(points=p, **given), (points,))


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({}, {"energies": None}, "energies are needed"),
        ({"weighting": "count"}, {"energies": torch.ones(13)}, "energies are not used"),
        ({}, {"categories": torch.ones(13).long()}, "categories are not used"),
        (
            {"weighting": "count", "n_categories": 2},
            {"categories": None},
            "categories are needed",
        ),
    ],
)
def test_wrong_tables(options, changes, message):
    network = build(**options)
    with pytest.raises(ValueError, match=message):
        network(**(jets(network) | changes))


def test_wrong_weighting():
    with pytest.raises(ValueError, match="weighting must be"):
        build(weighting="mass")
    with pytest.raises(ValueError, match="Categories are not infrared"):
        build(n_categories=2)


@pytest.mark.parametrize("weighting", ["energy", "count"])
def test_state_keeps_every_bit(weighting):
    network = build(weighting=weighting, n_categories=2 * (weighting == "count"))
    given = jets(network)
    network.standardise(**given)
    loaded = nn.load_module(nn.export_module(network), dtype=torch.float64)
    torch.testing.assert_close(loaded(**given), network(**given), rtol=0, atol=0)


@pytest.mark.parametrize("loss", ["binary", "multiclass", "squared"])
def test_losses_are_those_of_their_formulas(loss):
    generator = torch.Generator().manual_seed(0)
    n_outputs = 1 if loss == "binary" else 3
    output = torch.randn(8, n_outputs, generator=generator).double()
    weight = torch.randn(8, generator=generator).double()
    if loss == "squared":
        target = torch.randn(8, 3, generator=generator).double()
        losses = ((output - target) ** 2).sum(1) / 3
    elif loss == "binary":
        target = torch.randint(2, (8,), generator=generator)
        p = 1 / (1 + torch.exp(-output[:, 0]))
        losses = -torch.log(torch.where(target == 1, p, 1 - p))
    else:
        target = torch.randint(3, (8,), generator=generator)
        p = torch.exp(output) / torch.exp(output).sum(1, keepdim=True)
        losses = -torch.log(p[torch.arange(8), target])
    objective = nn.SupervisedObjective(_Constant(output), loss)
    value = objective(target, weight)
    torch.testing.assert_close(value, (weight * losses).sum() / 8)


class _Constant(torch.nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self):
        return self.output


class _Radius(torch.nn.Module):
    def forward(self, points, counts):
        return points[: len(counts), :1]


def test_jets_are_turned_in_training_only():
    points = torch.tensor([[1.0, 0.0]]).repeat(50, 1)
    given = {
        "target": torch.zeros(50, 1),
        "weight": torch.ones(50),
        "points": points,
        "counts": torch.ones(50, dtype=torch.int64),
    }
    with nn.seeded(0):
        losses = {
            (rotate, training): nn.SupervisedObjective(_Radius(), "squared", rotate)
            .train(training)(**given)
            .item()
            for rotate in (False, True)
            for training in (False, True)
        }
    # The mean of cos^2 is one half.
    assert abs(losses.pop((True, True)) - 0.5) < 0.25
    assert set(losses.values()) == {1.0}


def test_unknown_loss():
    with pytest.raises(ValueError, match="loss must be one of"):
        nn.SupervisedObjective(torch.nn.Linear(1, 1), "hinge")


# A training on another device: meta tensors refuse to mix with those of the CPU.
@pytest.mark.parametrize("weighting", ["energy", "count"])
@pytest.mark.parametrize("order", [1, 3])
def test_training_on_another_device(monkeypatch, order, weighting):
    item = torch.Tensor.item
    monkeypatch.setattr(
        torch.Tensor, "item", lambda self: 0.0 if self.is_meta else item(self)
    )
    network = build(order, 2, weighting=weighting).float()
    ragged = {"points": torch.randn(80, 2)}
    if weighting == "energy":
        ragged["energies"] = torch.rand(80)
    columns = {"target": torch.randint(2, (20,)), "weight": torch.ones(20)}
    rows = nn.RowsDataset(columns, ragged, torch.full((20,), 4))
    settings = nn.TrainingSettings(2, 8, 1e-3, device="meta")
    losses = nn.train(nn.SupervisedObjective(network, "binary"), rows, settings, rows)
    assert len(losses) == 2
    assert all(weight.is_meta for weight in network.parameters())
