import pytest
import torch
from torch import nn

from sklearn_hepcal.nn import seeded
from sklearn_hepcal.nn._mlp import MLP, activation_layer

FUNCTIONS = {
    "relu": torch.relu,
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "silu": lambda x: x * torch.sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
}


def build(*args, seed=0, **kwargs):
    with seeded(seed):
        return MLP(*args, **kwargs).double()


def rows(n, n_columns):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, n_columns, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_is_the_formula(activation):
    mlp = build(3, (8, 5), 2, activation=activation)
    x = rows(20, 3)
    first, second, last = (m for m in mlp.modules() if isinstance(m, nn.Linear))
    act = FUNCTIONS[activation]
    expected = act(x @ first.weight.T + first.bias)
    expected = act(expected @ second.weight.T + second.bias)
    expected = expected @ last.weight.T + last.bias
    torch.testing.assert_close(mlp(x), expected, rtol=0, atol=1e-14)
    assert last is mlp.last
    assert [layer.out_features for layer in (first, second, last)] == [8, 5, 2]


def test_is_linear_without_hidden_layers():
    mlp = build(3, (), 2)
    x, y = rows(10, 3), rows(10, 3).flip(0)
    zero = mlp(torch.zeros_like(x))
    torch.testing.assert_close(mlp(x + 2 * y), mlp(x) + 2 * mlp(y) - 2 * zero)


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_gradients(activation):
    mlp = build(3, (8, 5), 2, activation=activation)
    x = rows(6, 3).requires_grad_()
    assert torch.autograd.gradcheck(mlp, x)
    assert torch.autograd.gradgradcheck(mlp, x)


def test_input_is_not_overwritten():
    x = rows(6, 3)
    copy = x.clone()
    build(3, (8,), 2)(x)
    assert torch.equal(x, copy)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_initialisation_keeps_the_size_of_the_signal(activation):
    # He's point: the mean square of every layer is that of its input.
    mlp = build(200, (400,) * 6, 100, activation=activation)
    x = rows(500, 200)
    with torch.no_grad():
        assert mlp(x).square().mean() == pytest.approx(1.0, rel=0.35)


def test_units_of_the_first_layer_differ_in_where_they_bend():
    first = build(1, (64,), 1).hidden[0]
    kinks = -first.bias / first.weight[:, 0]
    assert kinks.detach().std() > 0.1


def test_weights_are_those_of_the_seed():
    first, again, other = (
        build(3, (8,), 2, seed=seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("hidden", [(), [8, 5]])
def test_config_builds_it_again(hidden):
    mlp = build(3, hidden, 2, activation="silu")
    again = MLP(**mlp.config).double()
    again.load_state_dict(mlp.state_dict())
    x = rows(6, 3)
    assert torch.equal(again(x), mlp(x))
    assert type(mlp.config["hidden"]) is tuple


def test_unknown_activation():
    with pytest.raises(ValueError, match=r"activation must be one of .*got 'tanhh'"):
        activation_layer("tanhh")
    with pytest.raises(ValueError, match="activation must be one of"):
        MLP(3, (8,), 2, activation="tanhh")
