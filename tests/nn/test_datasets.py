import pytest
import torch

from sklearn_hepcal.nn import seeded
from sklearn_hepcal.nn._datasets import RowsDataset


def dataset(n_rows, max_count=5, seed=0):
    """Jets whose constituents know their jet and their place in it."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(max_count + 1, (n_rows,), generator=generator)
    jet = torch.repeat_interleave(counts)
    place = torch.cat([torch.arange(count) for count in counts.tolist()])
    columns = {"row": torch.arange(n_rows), "x": torch.rand(n_rows, 3)}
    return RowsDataset(columns, {"jet": jet, "id": 100.0 * jet + place}, counts)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("n_rows", "batch_size"), [(103, 10), (100, 10), (101, 100), (7, 100), (5, 1)]
)
def test_every_row_once_with_its_constituents(n_rows, batch_size, shuffle):
    data = dataset(n_rows)
    batches = list(data.batches(batch_size, shuffle))
    rows = torch.cat([batch["row"] for batch in batches])
    assert torch.equal(rows.sort().values, torch.arange(n_rows))
    assert torch.equal(rows, torch.arange(n_rows)) or shuffle
    counts = data.columns["counts"]
    for batch in batches:
        assert next(iter(batch)) == "row"
        assert torch.equal(batch["x"], data.columns["x"][batch["row"]])
        assert torch.equal(batch["counts"], counts[batch["row"]])
        jets = torch.repeat_interleave(batch["row"], batch["counts"])
        assert torch.equal(batch["jet"], jets)
        places = [torch.arange(count) for count in batch["counts"].tolist()]
        assert torch.equal(batch["id"], 100.0 * jets + torch.cat(places))


@pytest.mark.parametrize(("n_rows", "batch_size"), [(101, 100), (1000, 64), (64, 64)])
def test_batches_have_equal_sizes(n_rows, batch_size):
    data = dataset(n_rows)
    sizes = [len(batch["row"]) for batch in data.batches(batch_size, shuffle=True)]
    assert len(data) == sum(sizes) == n_rows
    assert len(sizes) == data.n_batches(batch_size) == -(-n_rows // batch_size)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size


def order(data, seed):
    with seeded(seed):
        return torch.cat([batch["row"] for batch in data.batches(30, shuffle=True)])


def test_order_is_that_of_the_seed():
    data = dataset(200)
    assert torch.equal(order(data, 0), order(data, 0))
    assert not torch.equal(order(data, 0), order(data, 1))
    # Every epoch has its own.
    with seeded(0):
        first, second = (
            torch.cat([batch["row"] for batch in data.batches(30, shuffle=True)])
            for _ in range(2)
        )
    assert not torch.equal(first, second)


def test_jets_without_constituents():
    counts = torch.zeros(4, dtype=torch.int64)
    data = RowsDataset({"row": torch.arange(4)}, {"p": torch.zeros(0, 2)}, counts)
    for batch in data.batches(2, shuffle=True):
        assert batch["p"].shape == (0, 2)
        assert torch.equal(batch["counts"], torch.zeros(2, dtype=torch.int64))


def test_rows_without_constituents_or_constituents_alone():
    (batch,) = RowsDataset({"x": torch.arange(3)}).batches(10, shuffle=False)
    assert batch.keys() == {"x"}
    counts = torch.tensor([2, 1])
    data = RowsDataset({}, {"p": torch.arange(3)}, counts)
    (batch,) = data.batches(10, shuffle=False)
    assert list(batch) == ["counts", "p"]
    assert len(data) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"x": torch.zeros(3)}, {"p": torch.zeros(4)}), "given together"),
        (({"x": torch.zeros(3)}, None, torch.tensor([1, 1, 1])), "given together"),
        (({"x": torch.zeros(3), "y": torch.zeros(2)},), "'y' has 2 rows.* 3"),
        (({},), "at least one row"),
        (({"x": torch.zeros(0)},), "at least one row"),
        (
            ({"x": torch.zeros(2)}, {"p": torch.zeros(4)}, torch.tensor([1, 2])),
            "'p' has 4 rows, but the counts add up to 3",
        ),
        (
            ({"x": torch.zeros(3)}, {"p": torch.zeros(3)}, torch.tensor([1, 2])),
            "'counts' has 2 rows.* 3",
        ),
        (
            ({"x": torch.zeros(2)}, {"x": torch.zeros(3)}, torch.tensor([1, 2])),
            r"\['x'\] occur twice",
        ),
        (
            ({"counts": torch.zeros(2)}, {"p": torch.zeros(3)}, torch.tensor([1, 2])),
            r"\['counts'\] occur twice",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RowsDataset(*arguments)
