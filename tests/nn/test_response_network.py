import numpy as np
import pytest
import torch

from sklearn_hepcal.nn import (
    JointObjective,
    ResponseNetwork,
    ResponseObjective,
    RowsDataset,
    SideBySide,
    TrainingSettings,
    export_module,
    load_module,
    seeded,
    train,
)

CENTRE, HALF_RANGE, LOG_WIDTH = -0.3, 0.7, np.log(0.1)
DELTA = 1.5
DEEP_SETS = {
    "n_coordinates": 3,
    "hidden": (8,),
    "n_latent": 4,
    "weighting": "count",
    "activation": "silu",
}


def network(n_features=3, seed=0, **changes):
    settings = {
        "centre": CENTRE,
        "half_range": HALF_RANGE,
        "log_width": LOG_WIDTH,
        "hidden": (8,),
        "activation": "silu",
        **changes,
    }
    with seeded(seed):
        return ResponseNetwork(n_features, **settings)


def strong(module, factor=1e4):
    """The same network with outputs of any size."""
    with torch.no_grad():
        module.head.last.weight.mul_(factor)
    return module


def huber(pull):
    size = np.abs(pull)
    return np.where(size < DELTA, size**2 / 2, DELTA * (size - DELTA / 2))


def numbers(tensor):
    return tensor.detach().numpy().astype(np.float64)


@pytest.fixture
def jets():
    generator = torch.Generator().manual_seed(0)
    n = 200
    return {
        "log_pt": 3.4 * torch.rand(n, generator=generator) - 1.7,
        "target": CENTRE + 0.2 * torch.randn(n, generator=generator),
        "weight": 2 * torch.rand(n, generator=generator),
        "features": torch.randn(n, 3, generator=generator),
    }


@pytest.fixture
def both(jets):
    """Labelled jets in four bins, the last one without any, and pairs."""
    generator = torch.Generator().manual_seed(1)
    n = 150
    others = {
        "log_pt": 3.4 * torch.rand(n, 2, generator=generator) - 1.7,
        "balance": 0.2 * torch.randn(n, generator=generator),
        "width": 0.1 + 0.1 * torch.rand(n, generator=generator),
        "weight": 2 * torch.rand(n, generator=generator),
        "features": torch.randn(n, 2, 3, generator=generator),
    }
    place = torch.randint(3, (200,), generator=generator)
    named = {f"other_{name}": table for name, table in others.items()}
    return {**jets, "place": place, **named}


@pytest.mark.parametrize("size", [0.0, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "gelu"])
def test_centre_and_width_are_bounded(size, activation):
    module = strong(network(activation=activation))
    generator = torch.Generator().manual_seed(0)
    log_pt, features = (
        size * torch.randn(shape, generator=generator) for shape in [(500,), (500, 3)]
    )
    centre, log_width = module(log_pt, module.describe(features))
    assert centre.shape == log_width.shape == (500,)
    assert (torch.abs(centre - CENTRE) <= HALF_RANGE * (1 + 1e-6)).all()
    assert (torch.abs(log_width - LOG_WIDTH) <= 4 * (1 + 1e-6)).all()
    if size == 1e6:
        # as far as they may
        assert np.ptp(numbers(centre)) > 1.9 * HALF_RANGE
        assert np.ptp(numbers(log_width)) > 7.9


def test_training_begins_near_the_centre_and_width_of_the_sample(jets):
    centre, log_width = network()(jets["log_pt"], jets["features"])
    assert torch.abs(centre - CENTRE).max() < 0.5 * HALF_RANGE
    assert torch.abs(log_width - LOG_WIDTH).max() < 0.5
    assert centre.std() > 0


def test_every_input_counts(jets):
    module = network()
    log_pt, features = jets["log_pt"], jets["features"]
    before = module(log_pt, features)
    for other in [(log_pt + 1, features)] + [
        (log_pt, features + torch.eye(3)[k]) for k in range(3)
    ]:
        for one, another in zip(before, module(*other), strict=True):
            assert (one != another).float().mean() > 0.9


@pytest.mark.parametrize("deep_sets", [None, DEEP_SETS])
def test_weights_make_the_same_network_again(jets, deep_sets):
    module = network(deep_sets=deep_sets, latent_scale=5.0)
    inputs = constituents(jets) if deep_sets else {}
    copy = load_module(export_module(module))
    results = [
        m(jets["log_pt"], m.describe(jets["features"], **inputs))
        for m in (module, copy)
    ]
    for one, another in zip(*results, strict=True):
        assert torch.equal(one, another)


def constituents(jets):
    generator = torch.Generator().manual_seed(2)
    counts = torch.randint(1, 5, (len(jets["log_pt"]),), generator=generator)
    points = torch.randn(int(counts.sum()), 3, generator=generator)
    return {"points": points, "counts": counts}


def test_sums_over_constituents_are_features(jets):
    module = network(deep_sets=DEEP_SETS, latent_scale=5.0)
    inputs = constituents(jets)
    jet = module.describe(jets["features"], **inputs)
    assert jet.shape == (200, 7)
    assert torch.equal(jet[:, :3], jets["features"])
    expected = module.deep_sets(**inputs) / 5
    assert torch.equal(jet[:, 3:], expected)


def test_dropout_is_for_training_only(jets):
    module = network(dropout=0.5)
    inputs = jets["log_pt"], jets["features"]
    with seeded(0):
        one, another = (module(*inputs)[0] for _ in range(2))
    assert not torch.equal(one, another)
    module.eval()
    one, another = (module(*inputs)[0] for _ in range(2))
    assert torch.equal(one, another)
    plain = network(dropout=0.0)(*inputs)[0]
    assert torch.equal(one, plain)


def response_loss(module, batch):
    outputs = module(batch["log_pt"], batch["features"])
    centre, log_width = (numbers(column) for column in outputs)
    pull = (numbers(batch["target"]) - centre) * np.exp(-log_width)
    return np.mean(numbers(batch["weight"]) * (huber(pull) + log_width))


def test_likelihood(jets):
    module = network()
    loss = ResponseObjective(module, DELTA)(**jets)
    assert loss.shape == ()
    expected = response_loss(module, jets)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # Some residuals are in the tails.
    centre, log_width = module(jets["log_pt"], jets["features"])
    pull = torch.abs(jets["target"] - centre) / log_width.exp()
    assert 0.1 < (pull > DELTA).float().mean() < 0.9


def test_joint_loss(both):
    module = network()
    multipliers = np.array([0.5, -2.0, 1.0, 3.0])
    objective = JointObjective(
        module, DELTA, asymmetry_weight=0.7, n_bins=4, rho=20.0, dual_rate=0.1
    ).eval()
    objective.multipliers.copy_(torch.tensor(multipliers))
    expected = response_loss(module, both) + penalty(module, both, multipliers, 20.0)
    expected += 0.7 * asymmetry(module, both)
    assert objective(**both).item() == pytest.approx(expected, rel=1e-5)


def closure(module, batch):
    centre = numbers(module(batch["log_pt"], batch["features"])[0])
    excess = np.exp(centre - numbers(batch["target"])) - 1
    place, weight = batch["place"].numpy(), numbers(batch["weight"])
    return np.array(
        [np.average(excess[place == k], weights=weight[place == k]) for k in range(3)]
        + [0.0]
    )


def penalty(module, batch, multipliers, rho):
    c = closure(module, batch)
    return np.sum(multipliers * c + rho * c**2 / 2)


def asymmetry(module, batch):
    shift = [
        numbers(module(batch["other_log_pt"][:, k], batch["other_features"][:, k])[0])
        for k in range(2)
    ]
    balance = numbers(batch["other_balance"]) + shift[0] - shift[1]
    pull = balance / numbers(batch["other_width"])
    return np.mean(numbers(batch["other_weight"]) * huber(pull))


def test_order_of_the_jets_of_a_pair_does_not_matter(both):
    objective = JointObjective(
        network(), DELTA, asymmetry_weight=1.0, n_bins=4, rho=20.0, dual_rate=0.1
    ).eval()
    swapped = {
        **both,
        "other_log_pt": both["other_log_pt"].flip(1),
        "other_features": both["other_features"].flip(1),
        "other_balance": -both["other_balance"],
    }
    assert objective(**swapped).item() == pytest.approx(objective(**both).item())


def test_multipliers_grow_with_the_lack_of_closure(both):
    module = network()
    objective = JointObjective(
        module, DELTA, asymmetry_weight=1.0, n_bins=4, rho=20.0, dual_rate=0.1
    )
    assert torch.equal(objective.multipliers, torch.zeros(4))
    for step in (1, 2):
        objective(**both)
        expected = step * 0.1 * 20.0 * closure(module, both)
        np.testing.assert_allclose(numbers(objective.multipliers), expected, 1e-4)
    assert objective.multipliers[3] == 0
    before = objective.multipliers.clone()
    objective.eval()(**both)
    assert torch.equal(objective.multipliers, before)


def test_constituents_of_pairs(both):
    module = network(deep_sets=DEEP_SETS, latent_scale=3.0)
    objective = JointObjective(
        module, DELTA, asymmetry_weight=1.0, n_bins=4, rho=20.0, dual_rate=0.1
    ).eval()
    generator = torch.Generator().manual_seed(3)
    counts = torch.randint(1, 4, (150, 2), generator=generator)
    points = torch.randn(int(counts.sum()), 3, generator=generator)
    others = {"other_points": points, "other_jet_counts": counts}
    # of both jets together, as the rows of the sample have it
    others["other_counts"] = counts.sum(dim=1)
    loss = objective(**both, **constituents(both), **others).item()
    # As tables of jets: their sums are more features.
    jet = module.describe(both["features"], **constituents(both))
    other_jets = module.describe(
        both["other_features"].flatten(0, 1), points=points, counts=counts.flatten()
    )
    tables = {
        **both,
        "features": jet,
        "other_features": other_jets.reshape(150, 2, -1),
    }
    flat = network(n_features=7)
    flat.head.load_state_dict(module.head.state_dict())
    expected = response_loss(flat, tables) + asymmetry(flat, tables)
    expected += penalty(flat, tables, np.zeros(4), 20.0)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("target", [0.0, 20.0, -20.0])
def test_gradients_are_finite(both, jets, joint, target):
    module = strong(network())
    objective = ResponseObjective(module, DELTA)
    batch = jets
    if joint:
        objective = JointObjective(
            module, DELTA, asymmetry_weight=1.0, n_bins=4, rho=20.0, dual_rate=0.1
        )
        batch = both
    loss = objective(**{**batch, "target": torch.full((200,), target)})
    loss.backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()


def labelled(n_rows):
    return RowsDataset({"row": torch.arange(n_rows)})


def pairs(n_rows):
    counts = torch.arange(n_rows) % 3
    jet = torch.repeat_interleave(counts)
    return RowsDataset({"row": torch.arange(n_rows)}, {"jet": jet}, counts)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("n_first", "n_second", "batch_size"),
    [(100, 30, 10), (100, 250, 10), (7, 3, 100), (64, 64, 64), (5, 1000, 2)],
)
def test_two_samples_side_by_side(n_first, n_second, batch_size, shuffle):
    data = SideBySide(labelled(n_first), pairs(n_second))
    with seeded(0):
        batches = list(data.batches(batch_size, shuffle))
    assert len(data) == n_first
    assert len(batches) == data.n_batches(batch_size) == -(-n_first // batch_size)
    rows = torch.cat([batch["row"] for batch in batches])
    assert torch.equal(rows.sort().values, torch.arange(n_first))
    others = torch.cat([batch["other_row"] for batch in batches])
    # As often as the first sample lasts: no row again before all had their turn.
    counts = torch.bincount(others, minlength=n_second)
    assert counts.max() - counts.min() <= 1
    for batch in batches:
        assert next(iter(batch)) == "row"
        assert len(batch["row"]) <= batch_size
        assert 0 < len(batch["other_row"]) <= batch_size
        expected = torch.repeat_interleave(batch["other_row"], batch["other_counts"])
        assert torch.equal(batch["other_jet"], expected)


def test_order_is_that_of_the_seed():
    data = SideBySide(labelled(100), pairs(40))

    def order(seed):
        with seeded(seed):
            batches = list(data.batches(10, shuffle=True))
        return torch.cat([batch["other_row"] for batch in batches])

    assert torch.equal(order(0), order(0))
    assert not torch.equal(order(0), order(1))
    # The second pass has another order than the first one.
    assert not torch.equal(order(0)[:40], order(0)[40:80])


def test_balance_shrinks_momenta_unless_closure_is_asked_for():
    generator = torch.Generator().manual_seed(0)
    n = 2000
    true = 0.6 * torch.randn(n, 1, generator=generator).expand(n, 2)
    true = true + 0.1 * torch.randn(n, 2, generator=generator)
    pair = true + 0.15 * torch.randn(n, 2, generator=generator)
    true, measured = true.flatten(), pair.flatten()
    place = torch.bucketize(true, torch.tensor([-0.6, 0.0, 0.6]))
    rows = RowsDataset(
        {
            "log_pt": measured,
            "target": true - measured,
            "weight": torch.ones(2 * n),
            "place": place,
            "features": torch.zeros(2 * n, 0),
        }
    )
    others = RowsDataset(
        {
            "log_pt": pair,
            "balance": pair[:, 0] - pair[:, 1],
            "width": torch.full((n,), 0.25),
            "weight": torch.ones(n),
            "features": torch.zeros(n, 2, 0),
        }
    )
    settings = TrainingSettings(max_epochs=6, batch_size=200, learning_rate=0.02)
    worst = []
    for rho in (0.0, 20.0):
        with seeded(0):
            module = network(n_features=0, centre=0.0, half_range=2.0)
            objective = JointObjective(
                module, DELTA, asymmetry_weight=10.0, n_bins=4, rho=rho, dual_rate=0.05
            )
            train(objective, SideBySide(rows, others), settings)
        shift = module(measured, torch.zeros(2 * n, 0))[0].detach()
        excess = torch.exp(measured + shift - true) - 1
        means = torch.stack([excess[place == k].mean() for k in range(4)])
        worst.append(float(means.abs().max()))
    assert worst[0] > 0.2
    assert worst[1] < 0.02
