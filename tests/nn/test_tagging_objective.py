import math

import pytest
import torch
from torch.nn.functional import log_softmax, logsigmoid

from sklearn_hepcal import nn

COUNTS = torch.tensor([3, 0, 1, 4])
WEIGHT = torch.tensor([0.5, 1.0, 1.5, 1.0]).double()
ORIGIN = torch.tensor([0, -1, 2, 1, 1, 0, -2, 2])
VERTEX = torch.tensor([0, 0, -1, 0, 3, -1, 3, 3])
HEAVY = torch.tensor([True, True, False, False, True, True, False, True])


def build(**changes):
    settings = {
        "n_columns": 3,
        "n_features": 2,
        "n_outputs": 3,
        "embed_dim": 8,
        "n_layers": 1,
        "n_heads": 1,
        "latent_dim": 5,
        "head_hidden": (6,),
        "n_origins": 3,
        "vertex": True,
    }
    with nn.seeded(0):
        return nn.Tagger("deepsets", **(settings | changes)).double()


def jets(**changes):
    generator = torch.Generator().manual_seed(0)
    return {
        "target": torch.tensor([0, 2, 1, 2]),
        "weight": WEIGHT,
        "constituents": torch.randn(8, 3, generator=generator).double(),
        "features": torch.randn(4, 2, generator=generator).double(),
        "counts": COUNTS,
    } | changes


def encoded(network, given):
    return network.encode(*(given[k] for k in ("constituents", "features", "counts")))


def jet_loss(network, given):
    logp = log_softmax(network.head(encoded(network, given)[1]), dim=1)
    losses = [
        -w * row[k] for w, row, k in zip(WEIGHT, logp, given["target"], strict=True)
    ]
    return sum(losses) / 4


def origin_loss(network, given):
    logp = log_softmax(network.origins(*encoded(network, given), COUNTS), dim=1)
    jet = torch.arange(4).repeat_interleave(COUNTS)
    total, n_known = 0.0, 0
    for track, origin in enumerate(given["origin"].tolist()):
        if origin >= 0:
            total = total - WEIGHT[jet[track]] * logp[track, origin]
            n_known += 1
    return total / n_known


def vertex_loss(network, given, heavy=None, by_matches=True):
    """The formula, pair after pair."""
    first, second, logit = network.vertex(*encoded(network, given), COUNTS)
    odds = {
        (int(a), int(b)): value
        for a, b, value in zip(first, second, logit, strict=True)
    }
    total, n_match, n_pairs, start = 0.0, 0, 0, 0
    for jet, count in enumerate(COUNTS.tolist()):
        for a in range(start, start + count):
            for b in range(a + 1, start + count):
                match = bool(VERTEX[a] == VERTEX[b] and VERTEX[a] >= 0)
                factor = 2 if heavy is not None and heavy[a] and heavy[b] else 1
                sign = 1 if match else -1
                loss = -logsigmoid(sign * odds[a, b])
                total = total + WEIGHT[jet] * factor * loss
                n_match += match
                n_pairs += 1
        start += count
    assert (n_match, n_pairs) == (1 + 3, 3 + 6)
    return total / (n_match if by_matches else n_pairs)


@pytest.mark.parametrize("weights", [(0.5, 1.5), (2.0, 0.0), (0.0, 3.0)])
@pytest.mark.parametrize("by_matches", [True, False])
@pytest.mark.parametrize("heavy", [None, HEAVY])
def test_the_loss_is_that_of_its_formula(weights, by_matches, heavy):
    network = build()
    given = jets(origin=ORIGIN, vertex=VERTEX, heavy=heavy)
    objective = nn.TaggingObjective(network, "multiclass", weights, by_matches)
    expected = (
        jet_loss(network, given)
        + weights[0] * origin_loss(network, given)
        + weights[1] * vertex_loss(network, given, heavy, by_matches)
    )
    torch.testing.assert_close(objective(**given), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("task", ["origin", "vertex"])
def test_one_auxiliary_task_alone(task):
    network = build(n_origins=3 * (task == "origin"), vertex=task == "vertex")
    given = jets(**{task: {"origin": ORIGIN, "vertex": VERTEX}[task]})
    objective = nn.TaggingObjective(network, "multiclass")
    part = {"origin": origin_loss, "vertex": vertex_loss}[task](network, given)
    factor = {"origin": 0.5, "vertex": 1.5}[task]
    expected = jet_loss(network, given) + factor * part
    torch.testing.assert_close(objective(**given), expected)


def test_geometric_mean():
    network = build()
    given = jets(origin=ORIGIN, vertex=VERTEX)
    parts = [loss(network, given) for loss in (jet_loss, origin_loss, vertex_loss)]
    expected = math.prod(parts) ** (1 / 3)
    objective = nn.TaggingObjective(network, "multiclass", None)
    torch.testing.assert_close(objective(**given), expected)
    # Nothing is known of the tracks: a loss of zero does not count.
    given = jets(origin=torch.full_like(ORIGIN, -1), vertex=VERTEX)
    expected = (parts[0] * parts[2]).sqrt()
    torch.testing.assert_close(objective(**given), expected)


def test_auxiliary_losses_are_those_of_training_only():
    network = build()
    given = jets(origin=ORIGIN, vertex=VERTEX, heavy=HEAVY)
    for weights in ((0.5, 1.5), None):
        objective = nn.TaggingObjective(network, "multiclass", weights).eval()
        torch.testing.assert_close(objective(**given), jet_loss(network, given))


def test_unknown_origins_do_not_matter():
    network = build(vertex=False)
    objective = nn.TaggingObjective(network, "multiclass")
    given = jets(origin=ORIGIN)
    other = jets(origin=torch.where(ORIGIN < 0, -7, ORIGIN))
    assert objective(**given) == objective(**other)
    nothing = jets(origin=torch.full_like(ORIGIN, -1))
    torch.testing.assert_close(objective(**nothing), jet_loss(network, nothing))


def test_a_batch_without_matching_pairs_is_finite():
    network = build(n_origins=0)
    alone = jets(vertex=torch.full_like(VERTEX, -1))
    for by_matches in (True, False):
        objective = nn.TaggingObjective(
            network, "multiclass", normalise_by_matches=by_matches
        )
        objective(**alone).backward()
        gradients = [weight.grad for weight in network.vertex.parameters()]
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("weights", [(0.5, 1.5), None])
def test_no_constituents_at_all(weights):
    network = build()
    none = torch.zeros(0, dtype=torch.int64)
    given = jets(
        constituents=torch.zeros(0, 3).double(),
        counts=torch.zeros_like(COUNTS),
        origin=none,
        vertex=none,
        heavy=none.bool(),
    )
    objective = nn.TaggingObjective(network, "multiclass", weights)
    loss = objective(**given)
    torch.testing.assert_close(loss, jet_loss(network, given))
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_absolute_error():
    network = build(n_outputs=1)
    given = jets(target=torch.tensor([0.3, -1.0, 2.0, 0.0]).double())
    output = network.head(encoded(network, given)[1])[:, 0]
    expected = (WEIGHT * (output - given["target"]).abs()).mean()
    objective = nn.TaggingObjective(network, "absolute")
    torch.testing.assert_close(objective(**given), expected)
