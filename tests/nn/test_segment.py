import pytest
import torch

from sklearn_hepcal.nn._segment import segment_sum

VALUES = torch.arange(1.0, 9.0).reshape(4, 2)
COUNTS = torch.tensor([0, 3, 0, 1, 0])
WEIGHTS = torch.tensor([1.0, 0.0, -2.0, 0.5])


def test_by_hand():
    expected = torch.tensor([[0, 0], [9, 12], [0, 0], [7, 8], [0, 0]]).float()
    assert torch.equal(segment_sum(VALUES, COUNTS), expected)
    expected = torch.tensor([[0, 0], [-9, -10], [0, 0], [3.5, 4], [0, 0]])
    assert torch.equal(segment_sum(VALUES, COUNTS, WEIGHTS), expected)


def test_gradients():
    values = VALUES.double().requires_grad_()
    weights = WEIGHTS.double().requires_grad_()

    def sums(values, weights=None):
        return segment_sum(values, COUNTS, weights)

    for inputs in ([values], [values, weights], [values.detach(), weights]):
        assert torch.autograd.gradcheck(sums, inputs)
        assert torch.autograd.gradgradcheck(sums, inputs)


def test_is_deterministic():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(20_000, 64, generator=generator)
    counts = torch.full((500,), 40)
    first = segment_sum(values, counts)
    for _ in range(5):
        assert torch.equal(segment_sum(values, counts), first)


def test_rounding_does_not_grow_with_the_table():
    # As it would for differences of one cumulative sum.
    generator = torch.Generator().manual_seed(0)
    values = 1e3 + torch.rand(100_000, 2, generator=generator)
    counts = torch.full((5_000,), 20)
    exact = segment_sum(values.double(), counts)
    torch.testing.assert_close(
        segment_sum(values, counts).double(), exact, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("n_jets", [0, 3])
def test_no_rows(n_jets):
    values = torch.zeros(0, 2, requires_grad=True)
    sums = segment_sum(values, torch.zeros(n_jets, dtype=torch.int64))
    assert torch.equal(sums, torch.zeros(n_jets, 2))
    sums.sum().backward()
    assert values.grad.shape == (0, 2)


@pytest.mark.parametrize("difference", [-1, 1])
def test_wrong_counts(difference):
    counts = torch.tensor([1, 3 + difference])
    with pytest.raises(ValueError, match=f"4 rows of values, got {4 + difference}"):
        segment_sum(VALUES, counts)
