"""Events whose distance to a shape is known, and the transformer among others."""

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets, relative_constituents
from sklearn_hepcal.shapes import (
    Disk,
    Ellipse,
    Fixed,
    Point,
    Ring,
    Segment,
    ShapinessTransformer,
    Uniform,
    WithCentre,
    emd,
)

R = 0.4
EXTENDED = [Segment(), Ring(), Disk(), Ellipse()]
SHAPES = [
    Point(),
    *EXTENDED,
    2 * Point(),
    2 * Ring(),
    WithCentre(Point()),
    WithCentre(Ellipse()),
    Ring() + Uniform(R),
    Point() + Disk(),
]
# Cheap sums, where it does not matter whether the closest one is found.
QUICK = {"R": R, "n_nodes": 24, "n_init": 2, "max_iter": 10}


def make_events(seed, counts, width=0.15):
    rng = np.random.default_rng(seed)
    return [
        np.column_stack([rng.exponential(10.0, n) + 0.1, rng.normal(0, width, (n, 2))])
        for n in counts
    ]


def event_at(places, pt=1.0):
    return np.column_stack([np.full(len(places), pt), places])


def circle(n, radius, centre=(0.0, 0.0), turn=0.3):
    angle = turn + 2 * np.pi * np.arange(n) / n
    return radius * np.column_stack([np.cos(angle), np.sin(angle)]) + centre


def filled_disk(n_rings):
    """Points of equal area on rings, no spiral; the unit disk."""
    rings = [circle(6 * k, k - 0.0, turn=k) for k in range(1, n_rings)]
    return np.vstack([[[0.0, 0.0]], *rings]) / (n_rings - 0.5)


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
        ShapinessTransformer(s, beta=beta, R=R).fit_transform(jets)[:, 0]
        for s in ("ring", "point")
    )
    assert (rings < points).all()


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


# Certificates and optima


@pytest.mark.parametrize("shape", EXTENDED, ids=str)
def test_certificate_of_jets(jets, shape):
    transformer = ShapinessTransformer(shape, R=R, certificate=True)
    value, lower = transformer.fit_transform(jets)[:, :2].T
    assert (lower <= value + 1e-12).all()
    assert (value - lower < 5e-3 * value).all()


@pytest.fixture(scope="module", params=EXTENDED, ids=str)
def few_particles(request):
    events = make_events(3, [2, 2, 3, 4])
    transformer = ShapinessTransformer(request.param, R=R, certificate=True)
    return events, transformer, transformer.fit_transform(events)


def test_certificate_of_few_particles(few_particles):
    _, _, rows = few_particles
    value, lower = rows[:, :2].T
    # the bound is that of the continuous shape, whose nodes may be a little closer
    np.testing.assert_allclose(lower, value, rtol=5e-3)


def test_value_and_bound_hold_for_the_shape_itself(few_particles):
    events, transformer, rows = few_particles
    # the same shapes with eight times as many nodes
    fine = clone(transformer).set_params(n_nodes=4096).fit(events)
    exact = emd(events, fine.closest_shapes(events, rows), R=R, norm=True)
    np.testing.assert_allclose(rows[:, 0], exact, rtol=3e-3)
    # the dual problem has four times as many nodes as the value
    assert (rows[:, 1] <= exact * (1 + 1e-3)).all()


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", [Ring() + Uniform(R), WithCentre(Ring())], ids=str)
def test_certificate_of_sums(jets, shape, norm):
    transformer = ShapinessTransformer(
        shape, R=R, norm=norm, certificate=True, n_nodes=256, n_init=2
    )
    value, lower = transformer.fit_transform(jets[:3])[:, :2].T
    assert (lower <= value + 1e-12).all()
    assert (value - lower < 2e-2 * value).all()


@pytest.mark.parametrize("shape", EXTENDED, ids=str)
def test_no_neighbour_is_closer(jets, shape):
    jets = jets[:3]
    transformer = ShapinessTransformer(shape, R=R)
    rows = transformer.fit_transform(jets)
    for column in range(1, rows.shape[1]):
        for step in (-0.02, 0.02):
            others = rows.copy()
            others[:, column] += step
            # lengths stay positive, and half axes in order
            others[:, 3:] = np.abs(others[:, 3:])
            nearby = transformer.closest_shapes(jets, others)
            values = emd(jets, nearby, R=R, norm=True)
            # fitted with fewer nodes than it is evaluated with
            assert (values > rows[:, 0] * (1 - 3e-3)).all()


def test_no_other_weights_are_closer(jets):
    jets = jets[:3]
    transformer = ShapinessTransformer(
        WithCentre(Ring()) + Uniform(R), R=R, n_nodes=256, n_init=4
    )
    rows = transformer.fit_transform(jets)
    weights = [4, 5, 6]
    names = transformer.get_feature_names_out()
    assert all(names[k].endswith("weight") for k in weights)
    for column in weights:
        others = rows.copy()
        others[:, weights] *= 0.98
        others[:, column] += 0.02
        values = emd(jets, transformer.closest_shapes(jets, others), R=R, norm=True)
        assert (values > rows[:, 0] * (1 - 3e-3)).all()


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_closest_shapes_are_at_this_distance(jets, shape, norm, beta):
    jets = jets[[3, 0]]
    transformer = ShapinessTransformer(shape, norm=norm, beta=beta, **QUICK)
    rows = transformer.fit_transform(jets)
    closest = transformer.closest_shapes(jets, rows)
    values = emd(jets, closest, R=R, beta=beta, norm=norm)
    # no weight of a mixture is less than 1e-9 of the energy
    least = 1e-8 * (1 if norm else relative_constituents(jets).pt.max())
    np.testing.assert_allclose(values, rows[:, 0], rtol=1e-9, atol=least)
    # the energies of the parts are their weights
    parts = closest.constituent_labels["part"]
    energies = np.zeros((2, len(transformer.part_names)))
    np.add.at(energies, (closest.jet_index, parts), closest.constituents[:, 0])
    names = transformer.get_feature_names_out()
    columns = [name.endswith("weight") for name in names]
    total = relative_constituents(jets).pt[:, None]
    weights = rows[:, columns] * (total if norm else 1) if any(columns) else total
    kept = len(transformer.part_names) - (not norm)
    np.testing.assert_allclose(
        energies[:, :kept], np.broadcast_to(weights, energies.shape)[:, :kept],
        rtol=1e-9, atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", [Ring(), 2 * Point(), WithCentre(Ellipse())], ids=str)
def test_shares(jets, shape, norm):
    ghosts = [np.vstack([event, [[0, 9, 3]]]) for event in jets[:2].to_list()]
    transformer = ShapinessTransformer(shape, norm=norm, **QUICK)
    rows = transformer.fit_transform(ghosts)
    shares = transformer.shares(ghosts, rows)
    pt = np.concatenate(ghosts)[:, 0]
    assert shares.shape == (len(pt), len(transformer.part_names))
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), pt > 0, atol=1e-9)
    columns = [n.endswith("weight") for n in transformer.get_feature_names_out()]
    if any(columns):
        ends = np.cumsum([len(event) for event in ghosts])[:-1]
        energies = [
            part[:, 0] @ part[:, 1:]
            for part in np.split(np.column_stack([pt, shares]), ends)
        ]
        if norm:
            energies = [energy / energy.sum() for energy in energies]
        np.testing.assert_allclose(rows[:, columns], energies, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(transformer.shares(ghosts), shares)
    given, found = (transformer.closest_shapes(ghosts, *z) for z in ([rows], []))
    np.testing.assert_array_equal(given.constituents, found.constituents)


def test_part_names():
    shape = 2 * WithCentre(Ring()) + Uniform() + Fixed([[0, 0]])
    transformer = ShapinessTransformer(shape, norm=False)
    assert transformer.part_names == [
        "ring0",
        "ring0_centre",
        "ring1",
        "ring1_centre",
        "uniform0",
        "fixed0",
        "beam",
    ]
    assert transformer.get_feature_names_out().tolist() == [
        "emd",
        *(
            f"ring{k}_{name}"
            for k in (0, 1)
            for name in ("y", "phi", "radius", "weight", "centre_weight")
        ),
        "uniform0_weight",
        "fixed0_weight",
        "beam_weight",
    ]
    twice = ShapinessTransformer(Ring() + Disk(), 2, certificate=True)
    assert twice.get_feature_names_out()[[1, 2, 6, 10, 14]].tolist() == [
        "emd_lower",
        "ring0_y",
        "disk0_y",
        "ring1_y",
        "disk1_y",
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", [True, False])
def test_names_of_columns(shape, norm):
    transformer = ShapinessTransformer(shape, norm=norm, **QUICK)
    rows = transformer.fit_transform(make_events(6, [4]))
    names = transformer.get_feature_names_out()
    assert rows.shape == (1, len(names)) == (1, len(set(names)))
    weights = [name.endswith("weight") for name in names]
    assert sum(weights) in (0, len(transformer.part_names))


# Events


def test_containers_give_the_same(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    expected = transformer.fit_transform(jets)
    for X in (
        jets.to_list(),
        jets.to_padded()[0],
        jets.to_padded(fill_value=np.nan)[0],
        jets.to_awkward(),
    ):
        np.testing.assert_array_equal(transformer.fit_transform(X), expected)


def test_further_columns_do_not_count(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    more = [np.column_stack([event, event[:, 0]]) for event in jets.to_list()]
    np.testing.assert_array_equal(
        transformer.fit_transform(more), transformer.fit_transform(jets)
    )


@pytest.mark.parametrize("shape", [Ring(), 2 * Point(), Ring() + Uniform()], ids=str)
def test_events_without_energy(shape):
    (event,) = make_events(7, [5])
    events = [np.empty((0, 3)), event, np.zeros((2, 3)), event]
    transformer = ShapinessTransformer(shape, certificate=True, **QUICK)
    rows = transformer.fit_transform(events)
    assert np.isnan(rows[[0, 2]]).all()
    assert np.isfinite(rows[[1, 3]]).all()
    np.testing.assert_array_equal(rows[1], rows[3])
    shares = transformer.shares(events, rows)
    assert (shares[5:7] == 0).all()
    np.testing.assert_allclose(shares[[0, 7]].sum(axis=1), 1)
    closest = transformer.closest_shapes(events, rows)
    assert (closest.counts > 0).tolist() == [False, True, False, True]


def test_nothing_but_empty_events():
    transformer = ShapinessTransformer("ring").fit([[[1.0, 0, 0]]])
    empty = [np.empty((0, 3))] * 2
    assert np.isnan(transformer.transform(empty)).all()
    assert transformer.shares(empty).shape == (0, 1)
    assert len(transformer.closest_shapes(empty)) == 2


def test_particles_without_momentum(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    ghosts = [np.vstack([event, [[0, 9, 2]] * 3]) for event in jets.to_list()]
    np.testing.assert_allclose(
        transformer.fit_transform(ghosts), transformer.fit_transform(jets), rtol=1e-9
    )


def test_azimuth_is_periodic():
    transformer = ShapinessTransformer("ring", R=R)
    places = circle(30, 0.2, (0.0, np.pi - 0.05))
    wrapped = places.copy()
    wrapped[:, 1] = np.mod(wrapped[:, 1] + np.pi, 2 * np.pi) - np.pi
    many = np.add(places, [0, 6 * np.pi])
    rows = transformer.fit_transform([event_at(p) for p in (places, wrapped, many)])
    np.testing.assert_allclose(rows[1:], rows[:1].repeat(2, axis=0), atol=1e-9)
    np.testing.assert_allclose(rows[0, 1:], [0, np.pi - 0.05, 0.2], atol=1e-3)


def test_rows_are_events_of_one_particle():
    X = np.array([[3.0, 0.1, 0.2], [1.0, -0.3, 3.0]])
    rows = ShapinessTransformer("ring").fit_transform(X)
    np.testing.assert_allclose(rows, [[0, 0.1, 0.2, 0], [0, -0.3, 3.0, 0]], atol=1e-15)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[[-1.0, 0, 0], [2.0, 0, 0]]], "Negative values in data"),
        ([[[1.0, np.nan, 0]]], "NaN in constituent column"),
        ([[[np.inf, 0, 0]]], "infinity in constituent column 'pt'"),
        ([np.ones((2, 2))], "first columns of the constituents must be"),
    ],
)
def test_refused_events(X, message):
    for method in ("fit", "fit_transform"):
        with pytest.raises(ValueError, match=message):
            getattr(ShapinessTransformer("ring"), method)(X)


def test_other_columns_than_in_fit():
    transformer = ShapinessTransformer("ring").fit([np.ones((2, 4))])
    with pytest.raises(ValueError, match="features"):
        transformer.transform([np.ones((2, 3))])


@pytest.mark.parametrize("method", ["shares", "closest_shapes"])
def test_rows_that_are_none_of_these_events(jets, method):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32).fit(jets)
    rows = transformer.transform(jets)
    function = getattr(transformer, method)
    for Z in (rows[:2], rows[:, :2], np.column_stack([rows, rows])):
        with pytest.raises(ValueError, match="Z must be what transform returns"):
            function(jets, Z)
    with pytest.raises(ValueError, match="Z"):
        function(jets, np.full_like(rows, np.nan))
    with pytest.raises(ValueError, match="Z contains infinity"):
        function(jets, np.full_like(rows, np.inf))


# The transformer among others


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shape", "square"),
        ("shape", Ring),
        ("shape", None),
        ("shape", [Ring()]),
        ("n_shapes", 0),
        ("n_shapes", 1.0),
        ("beta", 0.99),
        ("beta", np.nan),
        ("beta", np.inf),
        ("R", 0.0),
        ("R", np.inf),
        ("R", "0.4"),
        ("norm", "yes"),
        ("certificate", 1),
        ("n_nodes", 0),
        ("n_init", 0),
        ("max_iter", -1),
        ("tol", -1e-3),
        ("random_state", "zero"),
        ("n_jobs", 1.5),
        ("verbose", -1),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        ShapinessTransformer(**{name: value}).fit([[[1.0, 0, 0]]])
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        ShapinessTransformer(**{name: value}).transform([[[1.0, 0, 0]]])


def test_least_parameters(jets):
    transformer = ShapinessTransformer(
        2 * Ring(), n_nodes=1, n_init=1, max_iter=0, tol=0.0, R=R
    )
    rows = transformer.fit_transform(jets[:2])
    assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    "shape", ["ring", 2 * WithCentre(Ring()) + Uniform(), Fixed([[0, 0.1]])], ids=str
)
def test_copies(jets, shape):
    transformer = ShapinessTransformer(shape, **QUICK)
    expected = transformer.fit_transform(jets[:1])
    for other in (
        clone(transformer),
        pickle.loads(pickle.dumps(transformer)),
        pickle.loads(pickle.dumps(clone(transformer).fit(jets))),
    ):
        assert other.get_params() == transformer.get_params()
        np.testing.assert_array_equal(other.fit_transform(jets[:1]), expected)
    assert f"shape={shape!r}" in repr(transformer) or shape == "ring"
    assert "ShapinessTransformer" in transformer._repr_html_()


def test_fit_learns_nothing(jets):
    transformer = ShapinessTransformer("ring", R=R, n_nodes=32)
    arrays = jets.to_list()  # without names, which would have to be those of fit
    expected = transformer.transform(arrays)
    np.testing.assert_array_equal(transformer.fit(jets[:2]).transform(jets), expected)
    names = ShapinessTransformer("ring", 2).get_feature_names_out()
    assert ShapinessTransformer(2 * Ring()).get_feature_names_out().tolist() == (
        names.tolist()
    )


def test_data_frames(jets):
    transformer = ShapinessTransformer(Ring() + Point(), certificate=True, **QUICK)
    expected = transformer.fit_transform(jets[3:4])
    shares = transformer.shares(jets[3:4])
    transformer.set_output(transform="pandas")
    frame = transformer.fit_transform(jets[3:4])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == transformer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    # what comes out goes in again
    np.testing.assert_array_equal(transformer.shares(jets[3:4], frame), shares)
    np.testing.assert_array_equal(transformer.shares(jets[3:4]), shares)


def test_progress_bar_on_demand(jets, capsys):
    transformer = ShapinessTransformer("point", R=R)
    transformer.fit_transform(jets)
    assert capsys.readouterr().err == ""
    transformer.set_params(verbose=1).transform(jets)
    assert "6/6" in capsys.readouterr().err


def test_names_through_a_pipeline(jets):
    pipeline = make_pipeline(ShapinessTransformer("ring", R=R), StandardScaler())
    pipeline.fit(jets)
    names = ["emd", "ring0_y", "ring0_phi", "ring0_radius"]
    assert pipeline.get_feature_names_out().tolist() == names


def test_grid_search_over_shapes():
    jets, y = load_quark_gluon_jets(n_jets=40, return_X_y=True)
    trees = HistGradientBoostingClassifier(
        max_iter=5, min_samples_leaf=2, random_state=0
    )
    pipeline = Pipeline(
        [
            ("shape", ShapinessTransformer(R=R, n_nodes=16, n_init=1, max_iter=3)),
            ("trees", trees),
        ]
    )
    shapes = ["point", Ring(), 2 * Point()]
    search = GridSearchCV(
        pipeline, {"shape__shape": shapes}, cv=2, error_score="raise", refit=True
    )
    search.fit(jets, y)
    assert search.best_params_["shape__shape"] in shapes
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.predict(jets[:7]).shape == (7,)
    assert "Ring()" in str(search.cv_results_["params"])


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
