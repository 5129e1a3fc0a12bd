from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch

from sklearn_hepcal.nn import _moments
from sklearn_hepcal.nn._moments import moment_pool, n_moments
from sklearn_hepcal.nn._segment import segment_sum

COUNTS = torch.tensor([3, 0, 1, 7, 2, 0])
# order, latent_dim
SHAPES = [(1, 1), (1, 5), (2, 1), (4, 1), (2, 8), (3, 3), (4, 2), (5, 3)]


@pytest.fixture(params=[False, True], ids=["raw", "central"])
def central(request):
    return request.param


@pytest.fixture(params=["one chunk", "many chunks"])
def chunks(request, monkeypatch):
    if request.param == "many chunks":
        monkeypatch.setattr(_moments, "_MAX_PRODUCTS", 1)


def jets(latent_dim, counts=COUNTS, seed=0):
    """Values and momentum fractions of random jets."""
    generator = torch.Generator().manual_seed(seed)
    n = int(counts.sum())
    values = torch.randn(n, latent_dim, generator=generator, dtype=torch.float64)
    energies = torch.rand(n, generator=generator, dtype=torch.float64)
    jet = torch.repeat_interleave(counts)
    return values, energies / segment_sum(energies[:, None], counts)[jet, 0]


def brute_force(values, counts, weights, order, central):
    """Every moment of every jet as a sum of its own."""
    rows = []
    tables = values.split(counts.tolist()), weights.split(counts.tolist())
    for jet in zip(*tables, strict=True):
        phi, z = (table.numpy() for table in jet)
        means = z @ phi
        row = list(means)
        for m in range(2, order + 1):
            for word in combinations_with_replacement(range(phi.shape[1]), m):
                factors = [phi[:, a] - central * means[a] for a in word]
                row.append(np.sum(z * np.prod(factors, axis=0)))
        rows.append(row)
    return torch.tensor(np.array(rows))


def close(actual, expected, atol=1e-12):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("order", "latent_dim", "expected"),
    [(1, 7, 7), (2, 8, 44), (4, 1, 4), (4, 2, 14), (4, 4, 69), (4, 16, 4844)],
)
def test_number_of_moments(order, latent_dim, expected):
    assert n_moments(order, latent_dim) == expected


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize(("order", "latent_dim"), SHAPES)
def test_equals_brute_force(order, latent_dim, central):
    for seed in range(3):
        values, weights = jets(latent_dim, seed=seed)
        moments = moment_pool(values, COUNTS, weights, order, central)
        assert moments.shape == (len(COUNTS), n_moments(order, latent_dim))
        close(moments, brute_force(values, COUNTS, weights, order, central))


def test_weights_are_used_as_they_are(central):
    values, weights = jets(3)
    weights = 2.5 * weights - 0.3
    moments = moment_pool(values, COUNTS, weights, 3, central)
    close(moments, brute_force(values, COUNTS, weights, 3, central))


def test_order_one_is_plain_pooling(central):
    values, weights = jets(5)
    moments = moment_pool(values, COUNTS, weights, 1, central)
    assert torch.equal(moments, segment_sum(values, COUNTS, weights))


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize(("order", "latent_dim"), [(1, 2), (2, 2), (3, 2), (4, 1)])
def test_gradcheck(order, latent_dim, central):
    counts = torch.tensor([2, 0, 3])
    inputs = [table.requires_grad_() for table in jets(latent_dim, counts)]

    def moments(values, weights):
        return moment_pool(values, counts, weights, order, central)

    assert torch.autograd.gradcheck(moments, inputs)
    assert torch.autograd.gradgradcheck(moments, inputs)


@pytest.mark.parametrize("max_products", [1, 100, 400, 900])
def test_chunks_do_not_matter(max_products, central, monkeypatch):
    counts = torch.randint(9, (40,), generator=torch.Generator().manual_seed(1))
    values, weights = (table.requires_grad_() for table in jets(3, counts))

    def evaluate():
        moments = moment_pool(values, counts, weights, 4, central)
        return moments, torch.autograd.grad(moments.square().sum(), (values, weights))

    expected, expected_gradients = evaluate()
    monkeypatch.setattr(_moments, "_MAX_PRODUCTS", max_products)
    moments, gradients = evaluate()
    assert torch.equal(moments, expected)
    with torch.no_grad():
        assert torch.equal(moment_pool(values, counts, weights, 4, central), expected)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)


def test_products_are_not_kept_for_the_gradient(central, monkeypatch):
    counts = torch.full((50,), 20)
    values, weights = jets(6, counts)
    n_products = len(values) * n_moments(4, 6)
    monkeypatch.setattr(_moments, "_MAX_PRODUCTS", n_products // 20)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    random_state = torch.get_rng_state()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        moments = moment_pool(values.requires_grad_(), counts, weights, 4, central)
    moments.sum().backward()
    assert sum(kept) < n_products / 10
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.usefixtures("chunks")
def test_empty_jets_give_zeros(central):
    values, weights = jets(3)
    weights[COUNTS[:3].sum() : COUNTS[:4].sum()] = 0.0  # no energy at all
    moments = moment_pool(values, COUNTS, weights, 3, central)
    empty = torch.tensor([False, True, False, True, False, True])
    assert (moments[empty] == 0.0).all()
    assert (moments[~empty, :3] != 0.0).all()
    none = torch.zeros(4, dtype=torch.int64)
    nothing = moment_pool(values[:0], none, weights[:0], 3, central)
    assert torch.equal(nothing, torch.zeros(4, 19, dtype=torch.float64))


def test_jets_of_one_constituent():
    counts = torch.ones(5, dtype=torch.int64)
    values, weights = jets(2, counts)
    moments = moment_pool(values, counts, weights, 4, central=True)
    assert torch.equal(moments[:, :2], values)
    assert (moments[:, 2:] == 0.0).all()
    raw = moment_pool(values, counts, weights, 4, central=False)
    close(raw[:, 2], values[:, 0] ** 2)
    close(raw[:, -1], values[:, 1] ** 4)


def test_order_of_constituents_does_not_matter(central):
    counts = torch.tensor([40, 0, 60])
    values, weights = jets(4, counts)
    expected = moment_pool(values, counts, weights, 4, central)
    noise = torch.rand(len(values), generator=torch.Generator().manual_seed(2))
    order = torch.argsort(torch.repeat_interleave(counts) + noise)
    assert not torch.equal(order, torch.arange(len(order)))
    close(moment_pool(values[order], counts, weights[order], 4, central), expected)
    # Across jets it does.
    across = moment_pool(values.flip(0), counts, weights.flip(0), 4, central)
    assert (across - expected).abs().max() > 0.01


def test_collinear_splits_do_not_matter(central):
    counts = torch.tensor([40, 0, 60])
    values, weights = jets(4, counts)
    expected = moment_pool(values, counts, weights, 4, central)
    generator = torch.Generator().manual_seed(3)
    share = torch.rand(len(weights), generator=generator, dtype=torch.float64)
    split = torch.stack([share * weights, (1 - share) * weights], dim=1).flatten()
    twice = values.repeat_interleave(2, dim=0)
    close(moment_pool(twice, 2 * counts, split, 4, central), expected)


def test_constituents_without_weight_do_not_matter(central):
    values, weights = jets(4)
    expected = moment_pool(values, COUNTS, weights, 4, central)
    counts = COUNTS.clone()
    counts[-2] += 1
    values = torch.cat([values, torch.full((1, 4), 5.0, dtype=torch.float64)])

    def change(weight):
        more = torch.cat([weights, torch.tensor([weight], dtype=torch.float64)])
        return moment_pool(values, counts, more, 4, central) - expected

    close(change(0.0), torch.zeros_like(expected))
    # What a soft constituent changes is proportional to its weight.
    ratio = change(1e-5).norm() / change(1e-6).norm()
    assert ratio.item() == pytest.approx(10, rel=1e-3)


def test_central_moments_do_not_know_the_origin():
    values, weights = jets(3)
    moments = moment_pool(values, COUNTS, weights, 4, central=True)
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    shifted = moment_pool(values + shift, COUNTS, weights, 4, central=True)
    close((shifted - moments)[:, 3:], torch.zeros(6, 31, dtype=torch.float64))
    close((shifted - moments)[COUNTS > 0, :3], shift.expand(4, 3))


def test_central_moments_keep_their_digits_far_from_the_origin():
    values, weights = jets(2, torch.tensor([50]))
    values, weights = (1000 + values).float(), weights.float()
    counts = torch.tensor([50])
    moments = moment_pool(values, counts, weights, 4, central=True)
    exact = moment_pool(values.double(), counts, weights.double(), 4, central=True)
    torch.testing.assert_close(moments.double(), exact, rtol=1e-2, atol=1e-2)


@pytest.mark.usefixtures("chunks")
def test_wrong_counts(central):
    values, weights = jets(2)
    with pytest.raises(ValueError, match=r"add up to the 13 rows.*got 19"):
        moment_pool(values, COUNTS + 1, weights, 2, central)


def test_wrong_order():
    values, weights = jets(2)
    with pytest.raises(ValueError, match="order must be at least 1, got 0"):
        moment_pool(values, COUNTS, weights, 0, central=False)
    with pytest.raises(ValueError, match="latent_dim must be at least 1, got 0"):
        n_moments(2, 0)
