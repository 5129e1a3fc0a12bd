import numpy as np
import pytest

from sklearn_hepcal.datasets import make_ring_jets
from sklearn_hepcal.shapes import ShapinessTransformer


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_jets_are_circles(seed):
    problem = make_ring_jets(20, n_particles=5, random_state=seed)
    centre = problem.centre[problem.jets.jet_index]
    places = problem.jets.select(constituents=["y", "phi"]).constituents
    distance = np.linalg.norm(places - centre, axis=1)
    np.testing.assert_allclose(distance, problem.radius[problem.jets.jet_index])
    middle = places.reshape(20, 5, 2).mean(axis=1)
    np.testing.assert_allclose(middle, problem.centre, atol=1e-12)
    assert ((problem.radius > 0.2) & (problem.radius < 0.6)).all()


@pytest.mark.parametrize("n_particles", [3, 8, 32])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_transformer_finds_the_ring(beta, n_particles):
    problem = make_ring_jets(5, n_particles=n_particles, random_state=0)
    transformer = ShapinessTransformer("ring", beta=beta, R=0.4, n_nodes=4096)
    rings = transformer.fit_transform(problem.jets)
    exact = problem.distance(beta=beta, R=0.4)
    # No ring of any centre is closer.
    np.testing.assert_allclose(rings[:, 0], exact, rtol=2e-3)
    np.testing.assert_allclose(rings[:, 1:3], problem.centre, atol=0.02)


# With the power 2 the best ring has the mean of the projections as its radius:
# 1 - sinc^2 is left.
@pytest.mark.parametrize("n_particles", [3, 10])
def test_distance_in_closed_form(n_particles):
    problem = make_ring_jets(4, n_particles=n_particles, random_state=1)
    left = 1 - np.sinc(1 / n_particles) ** 2
    np.testing.assert_allclose(
        problem.distance(beta=2.0, R=0.8), 0.5 * left * (problem.radius / 0.8) ** 2
    )


def test_seed():
    first, again = (make_ring_jets(3, random_state=7) for _ in range(2))
    np.testing.assert_array_equal(first.jets.constituents, again.jets.constituents)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_jets": 0}, "n_jets"),
        ({"n_particles": 2}, "n_particles"),
        ({"radius": (0.5, 0.2)}, "radius must be a range"),
        ({"radius": (0.0, 0.2)}, "radius must be a range"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_ring_jets(**arguments)
    with pytest.raises(ValueError, match="beta"):
        make_ring_jets(1).distance(beta=0.5)
