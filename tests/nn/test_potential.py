import numpy as np
import pytest
import torch

from sklearn_hepcal.nn import (
    ConvexPotential,
    export_module,
    load_module,
    polish_conjugate,
    solve_conjugate,
)

ARCHITECTURES = [
    {"n_features": 1, "n_layers": 1},
    {"n_features": 3, "n_layers": 2, "n_knots": 4, "hidden_width": 16},
    {"n_features": 8, "n_layers": 3, "hidden_width": 32, "min_curvature": 0.2},
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda p: f"{p['n_layers']} layers")
def potential(request):
    torch.manual_seed(0)
    module = ConvexPotential(**request.param)
    module.initialise(*points(module, 500))
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return module.double()


def points(module, n, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, module.config["n_features"], generator=generator, dtype=dtype)
    h = torch.rand(n, module.config["n_knots"], generator=generator, dtype=dtype)
    return x, h / h.sum(1, keepdim=True)


def test_gradient_and_hessian_are_those_of_autograd(potential):
    x, h = points(potential, 20, torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(potential(x, h).sum(), x, create_graph=True)
    torch.testing.assert_close(potential.gradient(x, h), gradient)
    rows = [
        torch.autograd.grad(gradient[:, j].sum(), x, retain_graph=True)[0]
        for j in range(x.shape[1])
    ]
    torch.testing.assert_close(potential.hessian(x, h), torch.stack(rows, 1))
    torch.testing.assert_close(
        potential.hessian(x, h).logdet(), torch.stack(rows, 1).logdet()
    )


def test_curvature_is_bounded_from_below(potential):
    x, h = points(potential, 2000, torch.float64)
    for scale in (1.0, 100.0):
        smallest = torch.linalg.eigvalsh(potential.hessian(scale * x, h)).min()
        assert smallest >= potential.config["min_curvature"]


def test_initial_gradient_is_close_to_the_identity():
    torch.manual_seed(0)
    module = ConvexPotential(3, 2)
    x, h = points(module, 2000)
    x = x * torch.tensor([1.0, 0.1, 3.0])
    module.initialise(x, h)
    with torch.no_grad():
        difference = module.gradient(x, h) - x
    assert difference.mean(0).abs().max() < 1e-4
    assert difference.square().sum() < 0.5 * x.square().sum()


def test_conjugate_points(potential):
    y, h = points(potential, 300, torch.float64)
    y = 5 * y
    rough = solve_conjugate(potential, y, h, y, max_iter=5, tol=1e-12)
    for start in (y, rough, 100 * y):
        x = polish_conjugate(potential, y, h, start, tol=1e-12)
        torch.testing.assert_close(potential.gradient(x, h), y, rtol=0, atol=1e-9)
    # They maximise x y - psi: Young's inequality, tight at the solution.
    value = (x * y).sum(1) - potential(x, h)
    for seed in range(3):
        torch.manual_seed(seed)
        other = x + 0.1 * torch.randn_like(x)
        assert ((other * y).sum(1) - potential(other, h) <= value).all()


def test_numpy_state_round_trip(potential):
    state = export_module(potential)
    assert all(isinstance(weight, np.ndarray) for weight in state["weights"].values())
    again = load_module(state, dtype=torch.float64)
    x, h = points(potential, 10, torch.float64)
    assert torch.equal(again(x, h), potential(x, h))
