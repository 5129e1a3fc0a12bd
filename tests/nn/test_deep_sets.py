import pytest
import torch

from sklearn_hepcal.nn import seeded
from sklearn_hepcal.nn._deep_sets import DeepSets

COUNTS = torch.tensor([3, 0, 1, 7, 2, 0])
# hidden layers of Phi, weighting, number of categories
KINDS = [
    ((16, 12), "energy", 0),
    ((16, 12), "count", 0),
    ((16, 12), "count", 4),
    ((), "energy", 0),
    ((), "count", 4),
]


@pytest.fixture(params=KINDS, ids=str)
def network(request):
    return build(*request.param)


def build(hidden, weighting, n_categories=0, activation="relu"):
    with seeded(0):
        return DeepSets(
            2, hidden, 5, weighting, activation, n_categories=n_categories
        ).double()


def constituents(network, counts=COUNTS, seed=0):
    """Arguments of the network for random jets."""
    generator = torch.Generator().manual_seed(seed)
    n = int(counts.sum())
    given = {
        "points": torch.randn(n, 2, generator=generator, dtype=torch.float64),
        "counts": counts,
    }
    if network.config["weighting"] == "energy":
        given["energies"] = torch.rand(n, generator=generator, dtype=torch.float64)
    if n_categories := network.config["n_categories"]:
        given["categories"] = torch.randint(n_categories + 1, (n,), generator=generator)
    return given


def padded_reference(network, points, counts, energies=None, categories=None):
    """Evaluate Phi on every place of a padded array, and sum with weights."""
    mask = torch.arange(int(counts.max())) < counts[:, None]
    n_categories = network.config["n_categories"]
    columns = torch.zeros(len(points), n_categories, dtype=points.dtype)
    for row in range(len(points) if n_categories else 0):
        if categories[row] > 0:
            columns[row, categories[row] - 1] = 1.0
    padded = torch.zeros(*mask.shape, 2 + n_categories, dtype=points.dtype)
    padded[mask] = torch.cat([points, columns], dim=1)
    weights = mask.to(points.dtype)
    if energies is not None:
        weights[mask] = energies
    return (weights[:, :, None] * network.phi(padded)).sum(1)


def reorder(given, order):
    table = {name: value for name, value in given.items() if name != "counts"}
    return given | {name: value[order] for name, value in table.items()}


def test_equals_the_padded_form(network):
    for seed in range(3):
        given = constituents(network, seed=seed)
        expected = padded_reference(network, **given)
        torch.testing.assert_close(network(**given), expected, rtol=0, atol=1e-13)


def test_gradients_equal_those_of_the_padded_form(network):
    given = constituents(network)
    weights = list(network.parameters())
    for argument in ("points", "energies"):
        if argument in given:
            weights.append(given[argument].requires_grad_())
    flat = torch.autograd.grad(network(**given).square().sum(), weights)
    padded = torch.autograd.grad(
        padded_reference(network, **given).square().sum(), weights
    )
    for gradient, expected in zip(flat, padded, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("weighting", ["energy", "count"])
def test_gradcheck(weighting):
    network = build((4,), weighting, activation="silu")
    given = constituents(network, torch.tensor([2, 0, 3]))
    names = [name for name in ("points", "energies") if name in given]
    inputs = [given[name].requires_grad_() for name in names]

    def latents(*values):
        return network(**given | dict(zip(names, values, strict=True)))

    assert torch.autograd.gradcheck(latents, inputs)
    assert torch.autograd.gradgradcheck(latents, inputs)


def test_jets_without_constituents_give_zeros(network):
    latents = network(**constituents(network))
    assert torch.equal(latents[COUNTS == 0], torch.zeros(2, 5, dtype=torch.float64))
    assert (latents[COUNTS > 0] != 0).all()
    empty = torch.zeros(3, dtype=torch.int64)
    assert torch.equal(
        network(**constituents(network, empty)), torch.zeros(3, 5).double()
    )


def test_order_within_a_jet_does_not_matter(network):
    given = constituents(network)
    shuffle = torch.rand(
        len(given["points"]), generator=torch.Generator().manual_seed(2)
    )
    jet = torch.repeat_interleave(COUNTS)
    order = torch.argsort(jet + shuffle)
    assert not torch.equal(order, torch.arange(len(order)))
    torch.testing.assert_close(
        network(**reorder(given, order)), network(**given), rtol=0, atol=1e-13
    )
    # Across jets it does.
    swapped = reorder(given, torch.arange(len(order)).flip(0))
    assert (network(**swapped) - network(**given)).abs().max() > 0.01


def test_jets_do_not_see_each_other(network):
    given = constituents(network)
    alone = {name: value[-2:] for name, value in given.items() if name != "counts"}
    latents = network(**alone, counts=torch.tensor([2]))
    torch.testing.assert_close(latents[0], network(**given)[4], rtol=0, atol=1e-13)


def split_collinearly(given, row, fraction):
    """Replace one constituent by two in its direction that share its energy."""
    rows = torch.arange(len(given["points"]))
    jet = torch.repeat_interleave(given["counts"])
    out = reorder(given, torch.cat([rows[: row + 1], rows[row:]]))
    out["counts"] = given["counts"] + (torch.arange(len(given["counts"])) == jet[row])
    if "energies" in given:
        energies = out["energies"].clone()
        energies[row] *= fraction
        energies[row + 1] *= 1 - fraction
        out["energies"] = energies
    return out


@pytest.mark.parametrize("hidden", [(), (100, 100)])
def test_energy_weighting_is_collinear_safe(hidden):
    network = build(hidden, "energy")
    given = constituents(network)
    for row in range(len(given["points"])):
        after = network(**split_collinearly(given, row, 0.3))
        torch.testing.assert_close(after, network(**given), rtol=0, atol=1e-12)


def test_energy_weighting_is_infrared_safe():
    network = build((100, 100), "energy")
    given = constituents(network)
    soft = {
        "points": torch.cat([given["points"], torch.full((1, 2), 3.0).double()]),
        "energies": torch.cat([given["energies"], torch.zeros(1).double()]),
        "counts": COUNTS + torch.tensor([0, 0, 0, 0, 0, 1]),
    }
    torch.testing.assert_close(network(**soft), network(**given), rtol=0, atol=1e-12)
    # As its energy goes to zero, so does what it changes.
    soft["energies"][-1] = 1e-6
    change = (network(**soft) - network(**given)).abs().max()
    assert 0 < change < 1e-4


def test_count_weighting_is_not_collinear_safe():
    network = build((100, 100), "count")
    given = constituents(network)
    change = network(**split_collinearly(given, 0, 0.3)) - network(**given)
    assert change[0].abs().max() > 0.01


def test_unknown_category_contributes_nothing():
    with_categories = build((16, 12), "count", 4)
    without = build((16, 12), "count")
    state = with_categories.state_dict()
    first = "phi.hidden.0.weight"
    without.load_state_dict(state | {first: state[first][:, :2]})
    given = constituents(without)
    unknown = torch.zeros(len(given["points"]), dtype=torch.int64)
    torch.testing.assert_close(
        with_categories(**given, categories=unknown), without(**given)
    )
    for category in range(1, 5):
        latents = with_categories(**given, categories=unknown + category)
        assert (latents - without(**given))[COUNTS > 0].abs().max() > 0.01


def test_many_categories_do_not_shrink_the_initial_signal():
    # He's mean square of the first layer, 2 x 1, for inputs that are on or off.
    counts = torch.tensor([2000])
    network = build((400,), "count", 30)
    given = constituents(network, counts)
    given["points"] /= given["points"].square().mean().sqrt()
    one_hot = torch.nn.functional.one_hot(given["categories"], 31)[:, 1:]
    columns = torch.cat([given["points"], one_hot], dim=1)
    with torch.no_grad():
        first = columns @ network.phi.hidden[0].weight.T
    assert first.square().mean() == pytest.approx(2.0, rel=0.15)


def test_state_builds_it_again(network):
    again = type(network)(**network.config).double()
    again.load_state_dict(network.state_dict())
    given = constituents(network)
    assert torch.equal(again(**given), network(**given))


def test_float32_agrees_on_large_jets():
    counts = torch.tensor([2000, 1500])
    for weighting in ("energy", "count"):
        network = build((32, 32), weighting)
        given = constituents(network, counts)
        exact = network(**given)
        single = {
            name: value.float() if value.is_floating_point() else value
            for name, value in given.items()
        }
        close = network.float()(**single)
        torch.testing.assert_close(close.double(), exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (((8,), "energy"), {"energies": None}, "energies are needed"),
        (((8,), "count"), {"energies": torch.ones(13)}, "energies are not used"),
        (((8,), "count", 4), {"categories": None}, "categories are needed"),
        (((8,), "count"), {"categories": COUNTS}, "categories are not used"),
        (((8,), "count"), {"counts": COUNTS + 1}, "add up to the 13 rows.*got 19"),
    ],
)
def test_wrong_inputs(kind, changes, message):
    network = build(*kind)
    with pytest.raises(ValueError, match=message):
        network(**constituents(network) | changes)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"weighting must be .* got 'pt'"):
        build((8,), "pt")
    with pytest.raises(ValueError, match="not infrared and collinear safe"):
        build((8,), "energy", 4)
