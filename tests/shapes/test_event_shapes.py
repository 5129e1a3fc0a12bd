import itertools

import numpy as np
import pytest
from jet_changes import permute, radiate, split, turn

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.shapes import isotropy, spherocity, thrust
from sklearn_hepcal.shapes._transport import distance_power, transport

SEEDS = range(5)
SHAPES = {
    "thrust": thrust,
    "transverse thrust": lambda X: thrust(X, transverse=True),
    "spherocity": spherocity,
    "ring": isotropy,
    "cylinder": lambda X: isotropy(X, "cylinder"),
    "sphere": lambda X: isotropy(X, "sphere"),
}
GEOMETRIES = ["ring", "cylinder", "sphere"]


def make_event(seed, n):
    rng = np.random.default_rng(seed)
    return np.column_stack(
        [rng.exponential(10.0, n), rng.normal(0, 1.0, n), rng.uniform(-np.pi, np.pi, n)]
    )


def momenta(event):
    pt, eta, phi = np.transpose(event)
    return np.column_stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])


def from_momenta(momenta):
    px, py, pz = momenta.T
    pt = np.hypot(px, py)
    return np.column_stack([pt, np.arcsinh(pz / pt), np.arctan2(py, px)])


def polygon(n, turned=0.0):
    phi = turned + np.arange(n) * 2 * np.pi / n
    return np.column_stack([np.full(n, 7.0), np.zeros(n), phi])


def brute_force_thrust(vectors):
    """Try all signs: (largest share, direction of the axis)."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(vectors))))
    sums = signs @ vectors
    sizes = np.linalg.norm(sums, axis=1)
    best = sizes.argmax()
    share = sizes[best] / np.linalg.norm(vectors, axis=1).sum()
    return share, sums[best] / sizes[best]


def random_rotation(seed):
    rotation, triangle = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    rotation *= np.sign(np.diag(triangle))
    return rotation * np.linalg.det(rotation)


@pytest.fixture(scope="module")
def events():
    return Jets.from_list([make_event(seed, n) for seed, n in enumerate([1, 2, 5, 30])])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3, 6, 10])
def test_thrust_is_the_largest_over_all_signs(seed, n):
    event = make_event(seed, n)
    share, _ = brute_force_thrust(momenta(event))
    np.testing.assert_allclose(thrust([event]), share, 1e-13)
    share, _ = brute_force_thrust(momenta(event)[:, :2])
    np.testing.assert_allclose(thrust([event], transverse=True), share, 1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_thrust_of_degenerate_events(seed):
    rng = np.random.default_rng(seed)
    event = make_event(seed, 4)
    repeated = np.vstack([event, event, event * [3, 1, 1]])[rng.permutation(12)]
    opposite = from_momenta(np.vstack([momenta(event), -2 * momenta(event)]))
    in_a_plane = event * [1, 0, 1]
    for X in (repeated, opposite, in_a_plane):
        share, _ = brute_force_thrust(momenta(X))
        np.testing.assert_allclose(thrust([X]), share, 1e-13)


def test_thrust_of_known_events():
    back_to_back = from_momenta(np.array([[3.0, 1.0, 2.0], [-3.0, -1.0, -2.0]]))
    np.testing.assert_allclose(thrust([back_to_back, polygon(3)]), [1, 2 / 3], 1e-14)
    np.testing.assert_allclose(thrust([polygon(400)]), 2 / np.pi, 1e-4)
    np.testing.assert_allclose(thrust([polygon(400)], transverse=True), 2 / np.pi, 1e-4)
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(1500, 3))
    sphere /= np.linalg.norm(sphere, axis=1)[:, None]
    value = thrust([from_momenta(sphere)])[0]
    # the maximum over axes is above the mean of 1/2 by a few of its errors
    assert 0 < value - 0.5 < 5 * np.sqrt(1 / 12 / 1500)


@pytest.mark.parametrize("seed", SEEDS)
def test_thrust_rotated_in_space(seed):
    vectors = momenta(make_event(seed, 20))
    rotated = from_momenta(vectors @ random_rotation(seed).T)
    np.testing.assert_allclose(
        thrust([rotated]), thrust([from_momenta(vectors)]), 1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_thrust_is_the_distance_to_back_to_back_points(seed):
    vectors = momenta(make_event(seed, 8))
    energies = np.linalg.norm(vectors, axis=1)
    shares, directions = energies / energies.sum(), vectors / energies[:, None]

    def distance(axis, share):
        cost = distance_power(directions, np.array([axis, -axis]), 2)
        return transport(shares, np.array([share, 1 - share]), cost).cost

    expected = 2 * (1 - thrust([from_momenta(vectors)])[0])
    _, axis = brute_force_thrust(vectors)
    ahead = shares[directions @ axis > 0].sum()
    np.testing.assert_allclose(distance(axis, ahead), expected, atol=1e-12)
    rng = np.random.default_rng(seed)
    for other in rng.normal(size=(50, 3)):
        other /= np.linalg.norm(other)
        assert distance(other, rng.uniform(0.1, 0.9)) >= expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_spherocity_is_the_least_over_all_axes(seed, n):
    event = make_event(seed, n)
    (value,) = spherocity([event])
    angles = np.concatenate([event[:, 2], np.linspace(0, np.pi, 1000)])
    sines = np.abs(np.sin(np.subtract.outer(angles, event[:, 2])))
    shares = sines @ event[:, 0] / event[:, 0].sum()
    expected = (np.pi / 2 * shares.min()) ** 2
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-28)
    assert shares.argmin() < n


def test_spherocity_of_known_events():
    in_a_line = [[3.0, 1.0, 0.5], [2.0, 0.0, 0.5 + np.pi], [1.0, -2.0, 0.5 - np.pi]]
    np.testing.assert_allclose(spherocity([in_a_line]), 0, atol=1e-28)
    np.testing.assert_allclose(spherocity([polygon(3)]), np.pi**2 / 12, 1e-13)
    np.testing.assert_allclose(spherocity([polygon(400)]), 1, 1e-4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_isotropy_of_polygons(seed, n):
    turned = np.random.default_rng(seed).uniform(-np.pi, np.pi)
    expected = np.pi / (np.pi - 2) * (1 - n / np.pi * np.sin(np.pi / n))
    (value,) = isotropy([polygon(n, turned)])
    np.testing.assert_allclose(value, expected, atol=1e-4)
    (finer,) = isotropy([polygon(n, turned)], n_nodes=512)
    np.testing.assert_allclose(finer, expected, atol=2.5e-5)


def test_isotropic_events():
    nodes = polygon(256, turned=np.pi / 256)
    np.testing.assert_allclose(isotropy([nodes], n_nodes=256), 0, atol=1e-12)
    rng = np.random.default_rng(0)
    n = 300
    pt, phi = np.ones(n), rng.uniform(-np.pi, np.pi, n)
    cylinder = np.column_stack([pt, rng.uniform(-2.5, 2.5, n), phi])
    sphere = rng.normal(size=(n, 3))
    sphere /= np.linalg.norm(sphere, axis=1)[:, None]
    # random points are at a distance of the order of log(n) / n
    assert isotropy([cylinder], "cylinder")[0] < 4 * np.log(n) / n
    assert isotropy([from_momenta(sphere)], "sphere")[0] < 4 * np.log(n) / n


@pytest.mark.parametrize("seed", SEEDS)
def test_isotropy_on_the_sphere(seed):
    (axis,) = np.random.default_rng(seed).normal(size=(1, 3))
    two, one = from_momenta(np.array([axis, -axis])), from_momenta(axis[None])
    np.testing.assert_allclose(isotropy([two, one], "sphere"), [1, 2], atol=1e-3)
    # six particles take a face of a cube each
    corners = np.vstack([np.eye(3), -np.eye(3)]) @ random_rotation(seed).T
    mean_cosine = 3 * np.sqrt(2) / np.pi * np.arctan(1 / np.sqrt(2))
    expected = 2 * (1 - mean_cosine)
    np.testing.assert_allclose(
        isotropy([from_momenta(corners)], "sphere"), expected, atol=2e-3
    )


@pytest.mark.parametrize(("y_max", "atol"), [(1.0, 6e-3), (2.5, 2e-3), (4.0, 2e-3)])
def test_isotropy_on_the_cylinder(y_max, atol):
    norm = 12 / (np.pi**2 + 16 * y_max**2)
    one = [[5.0, 0.2 * y_max, 1.0]]
    dijet = [[5.0, 0.0, 1.0], [5.0, 0.0, 1.0 - np.pi]]
    along = y_max**2 / 3
    expected = norm * np.array(
        [np.pi**2 / 3 + along + 0.04 * y_max**2, np.pi**2 / 12 + along]
    )
    values = isotropy([one, dijet], "cylinder", y_max=y_max)
    np.testing.assert_allclose(values, expected, atol=atol)
    forward = [*dijet, [50.0, y_max, 0.0], [50.0, -9.0, 0.0]]
    np.testing.assert_array_equal(
        isotropy([forward], "cylinder", y_max=y_max), values[1:]
    )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_errors_of_quadrature_are_as_documented(geometry):
    X = [make_event(seed, n) for seed in SEEDS for n in (2, 5, 40)]
    fine = isotropy(X, geometry, n_nodes=1024)
    error = np.abs(isotropy(X, geometry) - fine).max()
    assert error < {"ring": 1e-4, "cylinder": 2e-3, "sphere": 2e-3}[geometry]


@pytest.mark.parametrize("shape", SHAPES)
def test_permutation_and_collinear_splits(events, shape):
    expected = SHAPES[shape](events)
    for change in (permute, split):
        np.testing.assert_allclose(
            SHAPES[shape](change(events)), expected, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_soft_particles_change_little(events, shape):
    expected = SHAPES[shape](events)
    changes = [
        np.abs(SHAPES[shape](radiate(events, pt)) - expected).max()
        for pt in (1e-6, 1e-3)
    ]
    assert 0 < changes[1] < 1e-2
    assert changes[0] < 1e-5


@pytest.mark.parametrize("shape", ["thrust", "transverse thrust", "spherocity"])
def test_rotation_around_the_beam(events, shape):
    expected = SHAPES[shape](events)
    for angle in (0.4, 3.0):
        np.testing.assert_allclose(
            SHAPES[shape](turn(events, angle)), expected, rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_scale_of_energy_does_not_matter(events, shape):
    scaled = events.replace(constituents=events.constituents * [1e3, 1, 1])
    np.testing.assert_allclose(
        SHAPES[shape](scaled), SHAPES[shape](events), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_empty_events_are_nan(shape):
    values = SHAPES[shape]([np.empty((0, 3)), polygon(2), [[0.0, 1.0, 1.0]]])
    np.testing.assert_array_equal(np.isnan(values), [True, False, True])


def test_no_particle_on_the_cylinder():
    assert np.isnan(isotropy([[[1.0, 3.0, 0.0]]], "cylinder"))


@pytest.mark.parametrize("shape", SHAPES)
def test_containers_give_the_same(events, shape):
    expected = SHAPES[shape](events)
    padded, _ = events.to_padded()
    for X in (events.to_list(), padded):
        np.testing.assert_array_equal(SHAPES[shape](X), expected)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_threads_change_nothing(events, geometry):
    np.testing.assert_array_equal(
        isotropy(events, geometry, n_jobs=2), isotropy(events, geometry)
    )


def test_many_particles():
    jets, _ = load_quark_gluon_jets(n_jets=20, return_X_y=True)
    event = [jets.constituents[:, :3]]
    assert len(event[0]) > 600
    assert 0.5 < thrust(event)[0] < 1
    # a plane through the beam: the transverse thrust of a flat event is its thrust
    flat = [event[0] * [1, 0, 1]]
    np.testing.assert_allclose(thrust(flat), thrust(flat, transverse=True), 1e-12)


def test_refused_arguments():
    with pytest.raises(ValueError, match="geometry must be 'ring', 'cylinder' or"):
        isotropy([polygon(2)], "torus")
    with pytest.raises(ValueError, match="n_nodes == 1"):
        isotropy([polygon(2)], n_nodes=1)
    with pytest.raises(TypeError, match="n_nodes"):
        isotropy([polygon(2)], n_nodes=10.5)
    with pytest.raises(ValueError, match="y_max == 0"):
        isotropy([polygon(2)], "cylinder", y_max=0)
    with pytest.raises(ValueError, match="y_max must be finite"):
        isotropy([polygon(2)], "cylinder", y_max=np.inf)
    with pytest.raises(ValueError, match="pt of 1 constituents"):
        spherocity([[[-1.0, 0.0, 0.0]]])
    for eta in (-900, -400):
        with pytest.raises(ValueError, match=f"eta={eta}, whose momentum"):
            thrust([[[1.0, 0.0, 0.0], [1.0, eta, 0.0]]])
