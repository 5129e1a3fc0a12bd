"""Events whose distance to a shape is known, and families within families."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from small_shapes import (
    QUICK,
    SHAPES,
    R,
    circle,
    event_at,
    filled_disk,
    make_events,
)

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets, relative_constituents
from sklearn_hepcal.shapes import (
    Disk,
    Fixed,
    Point,
    Ring,
    ShapinessTransformer,
    Uniform,
    WithCentre,
    emd,
)


@pytest.fixture(scope="module")
def jets():
    jets, _ = load_quark_gluon_jets(n_jets=6, return_X_y=True)
    jets = jets.replace(labels={}).select(constituents=["pt", "y", "phi"])
    return jets.replace(constituents=jets.constituents.astype(np.float64))


# Truths


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", [True, False])
def test_one_particle_is_every_shape(shape, norm):
    events = [[[3.0, 0.4, -2.0]], [[1e-3, 0.1, 3.0], [2e-3, 0.1, 3.0]]]
    transformer = ShapinessTransformer(shape, norm=norm, certificate=True, R=R)
    rows = transformer.fit_transform(events)
    np.testing.assert_array_equal(rows[:, :2], 0)
    names = list(transformer.get_feature_names_out())
    for name in ("y", "phi"):
        column = [f"{shape.components[0].name}0_{name}" == n for n in names]
        expected = [[0.4], [0.1]] if name == "y" else [[-2.0], [3.0]]
        np.testing.assert_allclose(rows[:, column], expected, rtol=0, atol=1e-12)
    for end in ("radius", "length", "_a", "_b"):
        sizes = rows[:, [name.endswith(end) for name in names]]
        np.testing.assert_allclose(sizes, 0, atol=1e-12)


@pytest.mark.parametrize("radius", [0.03, 0.2])
def test_ring_of_particles(radius):
    event = event_at(circle(100, radius, (0.7, -1.3)))
    row = ShapinessTransformer("ring", R=R, n_nodes=1024).fit_transform([event])[0]
    # the mean way along an arc to the middle of it, by some five nodes an arc
    assert row[0] == pytest.approx(2 * np.pi * radius / 100 / 4 / R, rel=0.02)
    np.testing.assert_allclose(row[1:], [0.7, -1.3, radius], atol=1e-3 * radius)


def test_segment_of_particles():
    length, angle = 0.5, 2.0
    along = ((np.arange(50) + 0.5) / 50 - 0.5) * length
    places = along[:, None] * [np.cos(angle), np.sin(angle)] + [0.2, 0.1]
    transformer = ShapinessTransformer("segment", R=R, n_nodes=1024)
    row = transformer.fit_transform([event_at(places)])[0]
    # the mean way within a cell to its middle
    assert row[0] == pytest.approx(length / 50 / 4 / R, rel=0.02)
    # the ends of the segment move by 1 / n^2 for it
    np.testing.assert_allclose(row[1:], [0.2, 0.1, length, angle], atol=2e-3)


def test_disk_of_particles():
    event = event_at(0.25 * filled_disk(7) + [0.3, 0.2])
    row = ShapinessTransformer("disk", R=R).fit_transform([event])[0]
    # cells of this width, within which ways are shorter than half of it
    width = 0.25 * np.sqrt(np.pi / len(event))
    assert row[0] < width / 2 / R
    np.testing.assert_allclose(row[1:], [0.3, 0.2, 0.25], atol=0.005)


@pytest.mark.parametrize("seed", range(3))
def test_ellipse_of_particles(seed):
    rng = np.random.default_rng(seed)
    a, b, angle = rng.uniform(0.25, 0.4), rng.uniform(0.08, 0.2), rng.uniform(0, np.pi)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = (filled_disk(7) * [a, b]) @ axes.T + [0.1, -0.1]
    row = ShapinessTransformer("ellipse", R=R).fit_transform([event_at(places)])[0]
    assert row[0] < np.sqrt(np.pi * a * b / len(places)) / R
    np.testing.assert_allclose(row[1:5], [0.1, -0.1, a, b], atol=0.01)
    away = (row[5] - angle + np.pi / 2) % np.pi - np.pi / 2
    assert abs(away) < 0.05


def test_two_rings():
    pt = np.repeat([0.7, 0.3], 30)
    centres = [[-0.3, 0.0], [0.3, 0.1]]
    event = np.vstack([event_at(circle(30, r, c)) for r, c in zip((0.2, 0.1), centres)])  # noqa: B905
    event[:, 0] = pt / 30
    transformer = ShapinessTransformer("ring", 2, R=R, n_nodes=96, n_init=4)
    # the heavier one comes first, wherever it is in the event
    for particles in (event, event[::-1]):
        row = transformer.fit_transform([particles])[0]
        assert row[0] < 2 * np.pi * 0.17 / 30 / 4 / R * 1.3
        expected = [-0.3, 0.0, 0.2, 0.7, 0.3, 0.1, 0.1, 0.3]
        np.testing.assert_allclose(row[1:], expected, atol=0.01)
    swapped = event * np.repeat([3 / 7, 7 / 3], 30)[:, None] ** [1, 0, 0]
    row = transformer.fit_transform([swapped])[0]
    expected = [0.3, 0.1, 0.1, 0.7, -0.3, 0.0, 0.2, 0.3]
    np.testing.assert_allclose(row[1:], expected, atol=0.01)


def test_ring_in_pile_up():
    lattice = (np.arange(8) + 0.5) / 8 * 2 - 1
    pile_up = np.stack(np.meshgrid(lattice, lattice), -1).reshape(-1, 2) * R
    event = np.vstack(
        [event_at(circle(48, 0.2), 0.75 / 48), event_at(pile_up, 0.25 / 64)]
    )
    transformer = ShapinessTransformer(Ring() + Uniform(R), R=R, n_nodes=256, n_init=4)
    row = transformer.fit_transform([event])[0]
    np.testing.assert_allclose(row[1:], [0, 0, 0.2, 0.75, 0.25], atol=0.03)
    # they are apart but where they meet
    shares = transformer.shares([event], row[None])
    assert shares[:48, 0].mean() > 0.95
    assert shares[48:, 1].mean() > 0.85


def test_ring_with_a_core():
    event = np.vstack([event_at(circle(40, 0.2, (1, 1)), 0.6 / 40), [[0.4, 1, 1]]])
    transformer = ShapinessTransformer(WithCentre(Ring()), R=R, n_nodes=512, n_init=4)
    row = transformer.fit_transform([event])[0]
    np.testing.assert_allclose(row[1:], [1, 1, 0.2, 0.6, 0.4], atol=0.003)
    assert row[0] < 0.6 * 2 * np.pi * 0.2 / 40 / 4 / R * 1.1


@pytest.mark.parametrize("share", [0.5, 0.3, 0.05])
def test_ring_of_two_particles(share):
    # each takes the nodes that are nearer to it than to the other, in this order
    angle = 2 * np.pi * (np.arange(1000) + 0.5) / 1000
    nodes = np.column_stack([np.cos(angle), np.sin(angle)])
    first, second = np.array([[0.0, 0.0], [0.3, 0.0]])

    def cost(theta):
        places = theta[:2] + theta[2] * nodes
        ways = [np.linalg.norm(places - x, axis=1) for x in (first, second)]
        order = np.argsort(ways[0] - ways[1])
        n = round(share * 1000)
        return (ways[0][order[:n]].sum() + ways[1][order[n:]].sum()) / 1000

    starts = [(x, y, r) for x in (0.1, 0.2) for y in (0, 0.05) for r in (0.1,)]
    options = {"xatol": 1e-5, "fatol": 1e-7, "maxiter": 500}
    exact = min(
        minimize(cost, start, method="Nelder-Mead", options=options).fun
        for start in starts
    )
    event = [[share, *first], [1 - share, *second]]
    value = ShapinessTransformer("ring", R=R).fit_transform([event])[0, 0]
    assert value == pytest.approx(exact / R, rel=1e-3)


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
def test_fixed_is_a_distance_of_events(beta):
    events = make_events(0, [1, 5, 30])
    (other,) = make_events(1, [12])
    transformer = ShapinessTransformer(
        Fixed(other[:, 1:], other[:, 0]), beta=beta, R=R, certificate=True
    )
    rows = transformer.fit_transform(events)
    axes = relative_constituents(Jets.from_list(events))
    there = [np.add(other, [0, *axis]) for axis in zip(axes.y, axes.phi, strict=True)]
    expected = emd(events, there, beta=beta, R=R, norm=True)
    np.testing.assert_allclose(rows, np.column_stack([expected] * 2), 1e-12)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_distance_of_copies(beta):
    (event,) = make_events(2, [20])
    axis = relative_constituents(Jets.from_list([event]))
    places = np.column_stack([axis.dy, axis.dphi])
    for shift in ([0, 0], [0.03, -0.04], [0.3, 0.4]):
        shape = Fixed(places + shift, event[:, 0])
        value = ShapinessTransformer(shape, beta=beta, R=R).fit_transform([event])[0, 0]
        expected = (np.hypot(*shift) / R) ** beta / beta
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_uniform_alone():
    transformer = ShapinessTransformer(Uniform(0.4), R=0.5, n_nodes=1024)
    assert transformer.get_feature_names_out().tolist() == ["emd"]
    (event,) = make_events(3, [10])
    values = transformer.fit_transform([[[2.0, 5.0, 1.0]], event])[:, 0]
    # of the middle of a square
    mean = 0.4 * (np.sqrt(2) + np.log(1 + np.sqrt(2))) / 3
    assert values[0] == pytest.approx(mean / 0.5, rel=1e-3)
    axis = relative_constituents(Jets.from_list([event]))
    lattice = ((np.arange(40) + 0.5) / 40 * 2 - 1) * 0.4
    square = np.stack(np.meshgrid(axis.y + lattice, axis.phi + lattice), -1)
    expected = emd([event], [event_at(square.reshape(-1, 2))], R=0.5, norm=True)
    assert values[1] == pytest.approx(expected[0], rel=5e-3)


def test_energy_of_a_fixed_shape_is_free_beside_a_beam():
    (event,) = make_events(4, [8], width=0.5)
    places = circle(3, 0.2)
    transformer = ShapinessTransformer(Fixed(places), R=R, norm=False)
    value, weight, beam = transformer.fit_transform([event])[0]
    total = event[:, 0].sum()
    assert weight + beam == pytest.approx(total)
    axis = relative_constituents(Jets.from_list([event]))
    there = np.add(places, [axis.y[0], axis.phi[0]])
    trials = [event_at(there, e * total / 3) for e in np.linspace(0.001, 1, 200)]
    exact = emd([event] * 200, trials, R=R)
    assert exact.min() * (1 - 1e-3) < value < exact.min() * (1 + 1e-5)


# Families within families


def test_nested_families(jets):
    jets = jets[:4]
    value = {
        shape: ShapinessTransformer(shape, R=R).fit_transform(jets)[:, 0]
        for shape in ("point", "segment", "ring", "disk", "ellipse")
    }
    # with the quadrature of the smaller family
    for inner, outer in [
        ("ellipse", "disk"),
        ("disk", "point"),
        ("ring", "point"),
        ("segment", "point"),
    ]:
        assert (value[inner] <= value[outer] * 1.002).all()


@pytest.mark.parametrize(
    "chain",
    [
        [Ring(), Ring() + Point(), Ring() + Point() + Uniform(R)],
        [Disk(), WithCentre(Disk()), WithCentre(Disk()) + Ring()],
    ],
    ids=str,
)
def test_more_components_are_closer(jets, chain):
    # one with a hard core, the other one wide
    jets = jets[[2, 3]]
    values = [
        ShapinessTransformer(shape, R=R, n_nodes=128).fit_transform(jets)[:, 0]
        for shape in chain
    ]
    # what was the best of the starts before is among them to 1 %
    for fewer, more in pairwise(values):
        assert (more <= fewer * 1.01).all()


def test_centre_of_a_point_adds_nothing(jets):
    point, with_centre = (
        ShapinessTransformer(shape, R=R, n_init=2, n_nodes=16).fit_transform(jets[:3])
        for shape in (Point(), WithCentre(Point()))
    )
    np.testing.assert_allclose(with_centre[:, 0], point[:, 0], 1e-4)
    np.testing.assert_allclose(with_centre[:, 3:].sum(axis=1), 1)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_points_are_small_rings(jets, beta):
    rings, points = (
        ShapinessTransformer(s, beta=beta, R=R).fit_transform(jets)
        for s in ("ring", "point")
    )
    radius, ratio = rings[:, -1], rings[:, 0] / points[:, 0]
    # the best ring may be a point, which the search comes close to
    is_ring = radius > 1e-3
    assert is_ring.sum() >= 5
    assert (ratio[is_ring] < 1).all()
    assert (ratio < 1.002).all()


@pytest.mark.parametrize("shape", [Ring(), WithCentre(Disk())], ids=str)
def test_beam_out_of_reach(shape):
    # narrower than R: to move energy is cheaper than to lose it
    events = make_events(5, [8, 14], width=0.04)
    params = {"R": R, "n_nodes": 64, "n_init": 4}
    fractions, energies = (
        ShapinessTransformer(shape, norm=norm, **params).fit_transform(events)
        for norm in (True, False)
    )
    total = np.array([event[:, 0].sum() for event in events])
    # no weight is exactly zero in the descent, which has other starts with a beam
    np.testing.assert_allclose(energies[:, 0], fractions[:, 0] * total, 2e-2)
    assert (energies[:, -1] < 1e-3 * total).all()


# Its own cluster is empty where the search gives it a shape of its own.
@pytest.mark.parametrize("n_shapes", [2, 3, 4])
def test_particle_far_from_the_others(n_shapes):
    near = [[0.0, 0.0], [0.01, 0.0], [0.02, 0.01], [0.0, 0.02], [0.03, 0.01]]
    event = np.column_stack([[1.0] * 5 + [3.0], [*near, [2.0, 2.0]]])
    transformer = ShapinessTransformer("ring", n_shapes, **QUICK)
    row = transformer.fit_transform([event])[0]
    places = row[1:].reshape(n_shapes, 4)[:, :2]
    assert np.linalg.norm(places - [2.0, 2.0], axis=1).min() < 1e-3
    points = ShapinessTransformer("point", n_shapes, R=R).fit_transform([event])
    assert row[0] <= points[0, 0] * 1.05
