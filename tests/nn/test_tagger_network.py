import numpy as np
import pytest
import torch
from small_taggers import BACKBONES, READERS
from torch.nn.functional import leaky_relu

from sklearn_hepcal import nn
from sklearn_hepcal.nn._attention_encoder import GraphLayer, TransformerLayer
from sklearn_hepcal.nn._elements import Elements
from sklearn_hepcal.nn._tagger import PairHead

COUNTS = torch.tensor([3, 0, 1, 7, 2])


def build(backbone, seed=0, **changes):
    settings = {
        "n_columns": 3,
        "n_features": 2,
        "n_outputs": 4,
        "embed_dim": 8,
        "n_layers": 2,
        "n_heads": 2,
        "latent_dim": 5,
        "head_hidden": (6,),
        "n_origins": 3,
        "vertex": True,
    }
    with nn.seeded(seed):
        return nn.Tagger(backbone, **(settings | changes)).double().eval()


def jets(counts=COUNTS):
    """Arguments of the network for random jets."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).double()

    return {
        "constituents": normal(int(counts.sum()), 3),
        "features": normal(len(counts), 2),
        "counts": counts,
    }


def one_by_one(given):
    """The jets as batches of one each."""
    tables = given["constituents"].split(given["counts"].tolist())
    for k, table in enumerate(tables):
        yield {
            "constituents": table,
            "features": given["features"][k : k + 1],
            "counts": given["counts"][k : k + 1],
        }


def answers(network, given):
    embedding, latent = network.encode(**given)
    origins = network.origins(embedding, latent, given["counts"])
    logit = network.vertex(embedding, latent, given["counts"])[2]
    return network(**given), latent, embedding, origins, logit


def test_elements_are_places_of_a_padded_table():
    elements = Elements.of(COUNTS)
    assert elements.jet.tolist() == [0, 0, 0, 2, *[3] * 7, 4, 4]
    assert elements.place.tolist() == [0, 1, 2, 0, *range(7), 0, 1]
    rows = torch.arange(1.0, 14)[:, None]
    table = elements.pad(rows)
    assert table.shape == (5, 7, 1)
    assert table[2, :, 0].tolist() == [4, 0, 0, 0, 0, 0, 0]
    assert torch.equal(elements.unpad(table), rows)
    assert table.sum() == rows.sum()


@pytest.mark.parametrize("with_jets", [False, True])
def test_pairs_are_those_of_the_same_jet(with_jets):
    elements = Elements.of(COUNTS)
    if with_jets:
        elements = elements.with_jets()
        assert elements.jet[:5].tolist() == [0, 1, 2, 3, 4]
        assert elements.mask.sum() == 13 + 5
    jet = elements.jet.tolist()
    expected = {
        (a, b) for a in range(len(jet)) for b in range(len(jet)) if jet[a] == jet[b]
    }
    first, second = elements.pairs
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(pairs) == len(expected)
    assert set(pairs) == expected


@pytest.mark.parametrize("backbone", READERS)
def test_jets_do_not_see_each_other(backbone):
    network, given = build(backbone), jets()
    with torch.no_grad():
        together = answers(network, given)
        alone = [answers(network, jet) for jet in one_by_one(given)]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("backbone", ["deepsets", "gnn", "transformer"])
def test_the_order_of_constituents_does_not_matter(backbone):
    network, given = build(backbone), jets()
    order = torch.cat([torch.arange(3).flip(0), torch.arange(3, 13)])
    with torch.no_grad():
        output, latent, embedding, origins, _ = answers(network, given)
        turned = given | {"constituents": given["constituents"][order]}
        others = answers(network, turned)
    close = {"rtol": 0, "atol": 1e-14}
    torch.testing.assert_close(others[0], output, **close)
    torch.testing.assert_close(others[1], latent, **close)
    torch.testing.assert_close(others[2], embedding[order], **close)
    torch.testing.assert_close(others[3], origins[order], **close)
    assert output.std(dim=0).min() > 1e-2


def test_the_order_matters_to_a_memory():
    network, given = build("rnn"), jets(torch.tensor([3]))
    turned = given | {"constituents": given["constituents"].flip(0)}
    assert (network(**given) - network(**turned)).abs().max() > 1e-3


@pytest.mark.parametrize("backbone", READERS)
def test_constituents_and_features_matter(backbone):
    network, given = build(backbone, activation="gelu"), jets()
    for name in ("constituents", "features"):
        given[name].requires_grad_()
    network(**given).square().sum().backward()
    for name in ("constituents", "features"):
        assert (given[name].grad.abs().sum(dim=1) > 1e-8).all()


def test_features_alone_matter_to_dense():
    network, given = build("dense", n_origins=0, vertex=False), jets()
    expected = network(**given)
    other = given | {"constituents": given["constituents"] + 1}
    assert torch.equal(network(**other), expected)
    assert network.encode(**given)[0].shape == (13, 0)
    assert expected.std(dim=0).min() > 1e-2


@pytest.mark.parametrize("backbone", READERS)
def test_no_constituents_at_all(backbone):
    network, given = build(backbone).train(), jets(torch.zeros(4, dtype=torch.int64))
    output, latent, embedding, origins, logit = answers(network, given)
    assert output.shape == (4, 4)
    assert latent.std(dim=0).min() > 1e-3
    assert len(embedding) == len(origins) == len(logit) == 0
    output.sum().backward()


def test_deep_sets_are_sums():
    network, given = build("deepsets"), jets()
    encoder = network.encoder
    embedding, latent = network.encode(**given)
    for k, jet in enumerate(one_by_one(given)):
        repeated = jet["features"].expand(int(jet["counts"]), 2)
        rows = torch.cat([jet["constituents"], repeated], dim=1)
        expected = encoder.phi(rows).sum(dim=0) + encoder.psi(jet["features"])[0]
        torch.testing.assert_close(latent[k], expected, rtol=0, atol=1e-13)
    assert embedding.shape == (13, 8)


def test_a_memory_reads_one_constituent_after_the_other():
    network, given = build("rnn"), jets()
    encoder = network.encoder
    embedding, latent = network.encode(**given)
    states = iter(embedding)
    for k, jet in enumerate(one_by_one(given)):
        state = torch.tanh(encoder.start(jet["features"]))[:, None]
        cell = torch.zeros_like(state)
        for row in jet["constituents"]:
            step = torch.cat([row, jet["features"][0]])[None, None]
            _, (state, cell) = encoder.memory(step, (state, cell))
            torch.testing.assert_close(next(states), state[0, 0])
        torch.testing.assert_close(latent[k], encoder.last(state[0, 0]))


def layer_and_rows(layer):
    with nn.seeded(0):
        return layer(8, 2, 0.0).double(), torch.randn(5, 8).double()


def test_graph_attention_is_that_of_its_formula():
    layer, x = layer_and_rows(GraphLayer)
    normed = layer.norm(x)
    source = layer.source(normed).view(5, 2, 4)
    target = layer.target(normed).view(5, 2, 4)
    rows = []
    for i in range(5):
        heads = []
        for h in range(2):
            score = leaky_relu(target[i, h] + source[:, h], 0.2) @ layer.score[h]
            heads.append(torch.softmax(score, dim=0) @ source[:, h])
        rows.append(torch.cat(heads))
    expected = x + layer.last(torch.relu(torch.stack(rows)))
    torch.testing.assert_close(layer(x, Elements.of(torch.tensor([5]))), expected)


def test_self_attention_is_that_of_its_formula():
    layer, x = layer_and_rows(TransformerLayer)
    query, key, value = layer.attention(layer.norm(x)).view(5, 3, 2, 4).unbind(1)
    heads = [
        torch.softmax(query[:, h] @ key[:, h].T / 2, dim=1) @ value[:, h]
        for h in range(2)
    ]
    between = x + layer.attended(torch.cat(heads, dim=1))
    expected = between + layer.own(layer.own_norm(between))
    torch.testing.assert_close(layer(x, Elements.of(torch.tensor([5]))), expected)


@pytest.mark.parametrize("backbone", ["gnn", "transformer"])
def test_pooling_is_a_mean_with_gates(backbone):
    network, given = build(backbone), jets()
    encoder = network.encoder
    elements = []
    encoder.norm.register_forward_hook(lambda *args: elements.append(args[-1]))
    _, latent = network.encode(**given)
    for k, jet in enumerate(one_by_one(given)):
        elements.clear()
        network.encode(**jet)
        weight = torch.softmax(encoder.gate(elements[0]), dim=0)
        assert len(weight) == jet["counts"] + 1
        expected = encoder.last((weight * elements[0]).sum(dim=0))
        torch.testing.assert_close(latent[k], expected)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_attention_is_finite_for_large_scores(scale):
    for backbone in ("gnn", "transformer"):
        network, given = build(backbone), jets()
        with torch.no_grad():
            for weight in network.parameters():
                weight *= scale
        given["constituents"].requires_grad_()
        output = network(**given)
        output.sum().backward()
        assert torch.isfinite(output).all()
        assert torch.isfinite(given["constituents"].grad).all()


@pytest.mark.parametrize("backbone", READERS)
def test_gradients(backbone):
    network, given = build(backbone, activation="gelu"), jets(torch.tensor([3, 0, 1]))
    given["constituents"].requires_grad_()
    given["features"].requires_grad_()

    def function(constituents, features):
        return answers(network, given | {"constituents": constituents})

    tables = given["constituents"], given["features"]
    assert torch.autograd.gradcheck(function, tables, fast_mode=True)


def test_pairs_are_compared_once_and_in_any_order():
    with nn.seeded(0):
        head = PairHead(8, 5).double()
        embedding, latent = torch.randn(13, 8).double(), torch.randn(5, 5).double()
    first, second, logit = head(embedding, latent, COUNTS)
    assert len(logit) == 3 + 0 + 0 + 21 + 1
    assert (first < second).all()
    turned = torch.cat([torch.arange(3).flip(0), torch.arange(3, 13)])
    other = head(embedding[turned], latent, COUNTS)[2]
    # Pairs (0, 1), (0, 2), (1, 2) of the first jet are now (2, 1), (2, 0), (1, 0).
    torch.testing.assert_close(other[:3], logit[:3].flip(0), rtol=0, atol=1e-15)
    torch.testing.assert_close(other[3:], logit[3:])
    assert logit.std() > 1e-3


@pytest.mark.parametrize("backbone", BACKBONES)
def test_export_and_load(backbone):
    tracks = backbone != "dense"
    network = build(backbone, n_origins=3 * tracks, vertex=tracks)
    state = nn.export_module(network)
    again = nn.load_module(state, dtype=torch.float64)
    assert torch.equal(again(**jets()), network(**jets()))
    assert state["config"]["backbone"] == backbone
    assert all(isinstance(a, np.ndarray) for a in state["weights"].values())


def test_parts_are_taken_over_if_they_have_the_same_weights():
    source, network = build("gnn", 0), build("gnn", 1, n_outputs=2)
    before = nn.export_module(network)["weights"]
    state = nn.export_module(source)
    nn.load_parts(network, state, ["encoder", "head", "vertex"])
    after = nn.export_module(network)["weights"]
    for name, weight in after.items():
        taken = name.startswith(("encoder.", "vertex."))
        expected = state["weights"] if taken else before
        np.testing.assert_array_equal(weight, expected[name])
    assert any(name.startswith("origin.") for name in after)


def test_columns_must_be_shared_by_the_heads():
    for backbone in ("gnn", "transformer"):
        with pytest.raises(ValueError, match="embed_dim=8 must be a multiple of"):
            build(backbone, n_heads=3)
    build("deepsets", n_heads=3)


@pytest.mark.parametrize("longest", [40, 200, 3000])
def test_batches_of_predictions_fit_in_memory(longest):
    counts = np.full(3000, 2)
    counts[1234] = longest
    rows = nn.RowsDataset.from_numpy(
        {"number": np.arange(3000)}, {"track": np.zeros(counts.sum())}, counts
    )
    state = nn.export_module(build("deepsets"))
    places = []

    def record(network, batch):
        places.append(len(batch["counts"]) * (int(batch["counts"].max()) + 1) ** 2)
        return batch["number"]

    parts = nn.evaluate(state, rows, record)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(3000))
    assert max(places) < max(5e6, 1.01 * longest**2)
    if longest == 40:
        assert len(parts) < 5
