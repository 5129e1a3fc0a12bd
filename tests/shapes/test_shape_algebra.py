"""Sums of shapes, their nodes and parameters, and shapes of one's own."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_hepcal.shapes import (
    Disk,
    Ellipse,
    Fixed,
    Point,
    Ring,
    Segment,
    Shape,
    ShapinessTransformer,
    Uniform,
    WithCentre,
    emd,
)

FREE = (-np.inf, np.inf)
MOVABLE = [Point(), Segment(), Ring(), Disk(), Ellipse()]
BUILT_IN = [*MOVABLE, Uniform(), Fixed([[0.1, 0.2], [0.3, 0]], [1, 3])]


@dataclass(frozen=True)
class Cross(Shape):
    """Two bars of equal length: linear in its parameters."""

    parameters = {k: FREE for k in ("y", "phi", "length")}  # noqa: RUF012

    def nodes(self, n_nodes):
        n = max(n_nodes // 2, 1)
        bar = (2 * np.arange(n) + 1) / n - 1
        zero = np.zeros_like(bar)
        nodes = np.vstack([np.c_[bar, zero], np.c_[zero, bar]])
        return nodes, np.full(len(nodes), 1 / len(nodes))

    def design(self, nodes):
        return self.translated(nodes[:, :, None])


@dataclass(frozen=True)
class Annulus(Shape):
    """Between two circles, evenly: the radii of the nodes are no linear function."""

    parameters = {  # noqa: RUF012
        "y": FREE,
        "phi": FREE,
        "inner": (0.0, np.inf),
        "outer": (1e-3, np.inf),
    }

    def nodes(self, n_nodes):
        step = np.arange(n_nodes)
        nodes = np.column_stack([(step + 0.5) / n_nodes, step * 2.399963229728653])
        return nodes, np.full(n_nodes, 1 / n_nodes)

    def positions(self, theta, nodes):
        y, phi, inner, outer = theta
        area, angle = nodes.T
        radius = np.sqrt(inner**2 + area * (outer**2 - inner**2))
        return np.column_stack(
            [y + radius * np.cos(angle), phi + radius * np.sin(angle)]
        )

    def jacobian(self, theta, nodes):
        _, _, inner, outer = theta
        area, angle = nodes.T
        radius = np.sqrt(inner**2 + area * (outer**2 - inner**2))
        by_radii = np.column_stack([(1 - area) * inner, area * outer]) / radius[:, None]
        direction = np.column_stack([np.cos(angle), np.sin(angle)])
        return self.translated(direction[:, :, None] * by_radii[:, None])

    # equal radii would be a saddle of the distance
    def start(self, points, weights):
        return super().start(points, weights) * [1, 1, 0.5, 1.3]

    def describe(self, theta):
        return np.array([*theta[:2], *np.sort(theta[2:])])


@dataclass(frozen=True)
class AxisRing(Shape):
    """A ring around the axis of the event, which cannot be moved."""

    parameters = {"radius": (0.0, np.inf)}  # noqa: RUF012

    def nodes(self, n_nodes):
        return Ring().nodes(n_nodes)

    def design(self, nodes):
        return nodes[:, :, None]

    def start(self, points, weights):
        return np.array([weights @ np.linalg.norm(points, axis=1) / weights.sum()])


@dataclass(frozen=True)
class WideRing(Ring):
    """A ring that is not small."""

    parameters = {"y": FREE, "phi": FREE, "radius": (0.1, np.inf)}  # noqa: RUF012


def circle(n, radius, y=0.0, phi=0.0, turn=0.3):
    angle = turn + 2 * np.pi * np.arange(n) / n
    return np.column_stack(
        [np.full(n, 2.0), y + radius * np.cos(angle), phi + radius * np.sin(angle)]
    )


def numerical(function, theta, step=1e-6):
    moves = step * np.eye(len(theta))
    return np.stack(
        [(function(theta + m) - function(theta - m)) / (2 * step) for m in moves], -1
    )


def test_sums_are_flat():
    a, b, c = Ring(), Disk(), Point()
    assert ((a + b) + c).components == (a + (b + c)).components == (a, b, c)
    assert (2 * (a + b) + c).components == (a, b, a, b, c)
    assert (2 * (3 * a)).components == (a,) * 6
    assert a.components == (a,) == (1 * a).components
    assert (np.int64(2) * a).components == (a, a)


def test_equality_and_hash():
    assert Ring() == Ring() != Disk()
    assert Ring() + Ring() == 2 * Ring() != 3 * Ring()
    assert WithCentre(Ring()) == WithCentre(Ring()) != WithCentre(Disk())
    assert Uniform(0.4) == Uniform(0.4) != Uniform(0.5)
    assert Fixed([[0, 1], [1, 0]]) == Fixed(np.array([[0.0, 1], [1, 0]]), [2, 2])
    assert Fixed([[0, 1]]) != Fixed([[0, 2]])
    shapes = [*BUILT_IN, WithCentre(Ring()), 2 * Ring(), Ring() + Uniform()]
    assert len({*shapes, *pickle.loads(pickle.dumps(shapes))}) == len(shapes)


@pytest.mark.parametrize(
    "shape",
    [
        *BUILT_IN,
        WithCentre(Ellipse()),
        2 * Ring(),
        Ring() + 2 * WithCentre(Disk()) + Uniform(0.3),
        Cross() + Annulus(),
    ],
    ids=str,
)
def test_representation_is_the_shape(shape):
    assert eval(repr(shape)) == shape
    assert pickle.loads(pickle.dumps(shape)) == shape


@pytest.mark.parametrize("n_copies", [0, -1, np.int64(0)])
def test_no_copy(n_copies):
    with pytest.raises(ValueError, match=f"at least once, got {n_copies}"):
        n_copies * Ring()


def test_nonsense_is_no_sum():
    for compute in (
        lambda: Ring() + 3,
        lambda: 3 + Ring(),
        lambda: Ring() + "disk",
        lambda: 1.5 * Ring(),
        lambda: Ring() * Ring(),
        lambda: sum([Ring(), Disk()]),
    ):
        with pytest.raises(TypeError, match="unsupported operand"):
            compute()


def test_shapes_are_frozen():
    for shape, name in [(Uniform(), "half_width"), (Fixed([[0, 0]]), "points")]:
        with pytest.raises(AttributeError):
            setattr(shape, name, 3)


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        (2 * Ring(), TypeError),
        (Ring() + Uniform(), TypeError),
        ("ring", TypeError),
        (Ring, TypeError),
        (Uniform(), ValueError),
        (Fixed([[0, 0]]), ValueError),
        (AxisRing(), ValueError),
        (WithCentre(Ring()), ValueError),
    ],
    ids=str,
)
def test_no_centre(shape, error):
    with pytest.raises(error, match=r"single shape|no centre that is free"):
        WithCentre(shape)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (None, "points must have shape"),
        ([], "points must have shape"),
        ([1, 2], "points must have shape"),
        ([[1, 2, 3]], "points must have shape"),
        (np.zeros((0, 2)), "points must have shape"),
        ([[np.nan, 0]], "points must be finite"),
        ([[np.inf, 0]], "points must be finite"),
    ],
)
def test_points_that_cannot_be_fixed(points, message):
    with pytest.raises(ValueError, match=message):
        Fixed(points)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "weights must have shape"),
        ([[1, 1]], "weights must have shape"),
        (1.0, "weights must have shape"),
        ([0, 1], "weights must be positive"),
        ([-1, 1], "weights must be positive"),
        ([np.nan, 1], "weights must be positive"),
        ([np.inf, 1], "weights must be positive"),
    ],
)
def test_weights_that_cannot_be_fixed(weights, message):
    with pytest.raises(ValueError, match=message):
        Fixed([[0, 0], [1, 1]], weights)


def test_fixed_does_not_share_memory():
    points = np.array([[0.0, 1.0], [1.0, 0.0]])
    shape = Fixed(points, [1, 3])
    points[:] = 7
    assert shape == Fixed([[0, 1], [1, 0]], [0.25, 0.75])


@pytest.mark.parametrize("half_width", [0, -1.0, np.nan, np.inf])
def test_no_width(half_width):
    with pytest.raises(ValueError, match="half_width must be positive"):
        Uniform(half_width)


@pytest.mark.parametrize("half_width", ["0.4", None, [1, 2]])
def test_width_that_is_no_number(half_width):
    with pytest.raises((TypeError, ValueError), match="half_width"):
        Uniform(half_width)


@pytest.mark.parametrize("n_nodes", [1, 2, 7, 96, 512])
@pytest.mark.parametrize("shape", BUILT_IN, ids=str)
def test_weights_of_nodes(shape, n_nodes):
    nodes, weights = shape.nodes(n_nodes)
    assert len(nodes) == len(weights) <= max(n_nodes, 2)
    assert np.isfinite(nodes).all()
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "theta", "covariance"),
    [
        (Point(), [0.1, 0.2], np.zeros((2, 2))),
        (Segment(), [0.1, 0.2, 0.5, 0.0], np.diag([0.5**2 / 12, 0])),
        (Ring(), [0.1, 0.2, 0.3], np.eye(2) * 0.3**2 / 2),
        (Disk(), [0.1, 0.2, 0.3], np.eye(2) * 0.3**2 / 4),
        (
            Ellipse(),
            [0.1, 0.2, 0.4, 0.1, np.pi / 2],
            np.diag([0.1**2, 0.4**2]) / 4,
        ),
        (Uniform(0.3), [], np.eye(2) * 0.3**2 / 3),
    ],
    ids=str,
)
def test_moments_of_nodes(shape, theta, covariance):
    nodes, weights = shape.nodes(1000)
    places = shape.positions(shape.recall(np.array(theta)), nodes)
    mean = weights @ places
    # errors of lattices fall like 1 / n
    np.testing.assert_allclose(mean, theta[:2] or [0, 0], rtol=0, atol=1e-3)
    spread = (places - mean).T * weights @ (places - mean)
    np.testing.assert_allclose(spread, covariance, rtol=0, atol=2e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [*BUILT_IN, Cross(), Annulus(), AxisRing()], ids=str)
def test_jacobian(shape, seed):
    theta = np.random.default_rng(seed).uniform(0.1, 0.4, len(shape.parameters))
    theta[-1:] += 0.3
    nodes, _ = shape.nodes(40)
    exact = shape.jacobian(theta, nodes)
    assert exact.shape == (len(nodes), 2, len(theta))
    if len(theta):
        slopes = numerical(lambda t: shape.positions(t, nodes), theta)
        np.testing.assert_allclose(exact, slopes, rtol=0, atol=1e-8)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [*BUILT_IN, WithCentre(Ellipse())], ids=str)
def test_reported_parameters_give_the_same_shape(shape, seed):
    theta = np.random.default_rng(seed).normal(0, 0.3, len(shape.parameters))
    values = shape.describe(theta)
    again = shape.describe(shape.recall(values))
    np.testing.assert_allclose(again, values, rtol=1e-9, atol=1e-12)
    # as sets of nodes, which are those of a shape that is turned or mirrored
    for part in shape.parts:
        nodes, weights = part.nodes(4000)
        means, spreads = [], []
        for t in (theta, shape.recall(values)):
            places = part.positions(t, nodes)
            means.append(weights @ places)
            spreads.append((places - means[-1]).T * weights @ (places - means[-1]))
        np.testing.assert_allclose(*means, rtol=0, atol=1e-3)
        np.testing.assert_allclose(*spreads, rtol=0, atol=1e-4)


def test_signs_are_not_reported():
    assert Ring().describe(np.array([1, 2, -0.3])).tolist() == [1, 2, 0.3]
    for values in ([-0.3, 0.0, 0.1], [0.3, 0.0, -0.1], [-0.3, 0.0, -0.1]):
        _, _, a, b, angle = Ellipse().describe(np.array([0, 0, *values]))
        assert (a, b, angle) == pytest.approx((0.3, 0.1, 0))


@pytest.mark.parametrize("turn", [0.0, 1.0, np.pi / 2, 3.0])
@pytest.mark.parametrize("rounding", [0.0, 1e-17, -1e-17, 1e-13, -1e-13])
def test_angles_are_below_half_a_turn(turn, rounding):
    angle = turn + rounding
    cos, sin = np.cos(angle), np.sin(angle) + rounding
    for sign in (1, -1):
        found = Segment().describe(np.array([0, 0, sign * cos, sign * sin]))[-1]
        assert 0 <= found < np.pi
        away = (found - turn + np.pi / 2) % np.pi - np.pi / 2
        assert abs(away) < 1e-11
    axes = np.array([[cos, -sin], [sin, cos]])
    matrix = axes @ np.diag([0.3, 0.1]) @ axes.T
    theta = np.array([0, 0, *matrix[[0, 0, 1], [0, 1, 1]]])
    _, _, a, b, found = Ellipse().describe(theta)
    assert (a, b) == pytest.approx((0.3, 0.1))
    assert 0 <= found < np.pi
    assert abs((found - turn + np.pi / 2) % np.pi - np.pi / 2) < 1e-11


@pytest.mark.parametrize("shape", [*MOVABLE, WithCentre(Ring()), Cross()], ids=str)
def test_start_of_a_single_particle_is_this_point(shape):
    for points in ([[0.1, -0.2]], [[0.1, -0.2]] * 3):
        theta = shape.start(np.array(points), np.arange(1.0, 1 + len(points)))
        for part in shape.parts:
            places = part.positions(theta, part.nodes(10)[0])
            np.testing.assert_allclose(places, np.tile(points[0], (len(places), 1)))


def test_parts_and_names():
    shape = WithCentre(Ring())
    assert [part.name for part in shape.parts] == ["ring", "centre"]
    assert shape.name == "ring"
    assert tuple(shape.parameters) == ("y", "phi", "radius")
    assert shape.is_movable
    assert not Uniform().is_movable
    assert not AxisRing().is_movable
    assert not Annulus().is_affine
    assert Cross().is_affine
    assert Uniform().is_affine


def test_incomplete_shapes_say_what_is_missing():
    class Nothing(Shape):
        parameters = Ring.parameters

    class Nodes(Nothing):
        def nodes(self, n_nodes):
            return Ring().nodes(n_nodes)

    with pytest.raises(TypeError, match="abstract class Nothing"):
        Nothing()
    with pytest.raises(TypeError, match="Nodes defines neither design nor"):
        ShapinessTransformer(Nodes()).fit_transform([circle(5, 0.1)])


def test_linear_shape_of_ones_own():
    bar = (np.arange(20) + 0.5) / 20 * 0.6 - 0.3
    zero = np.zeros(20)
    bars = np.vstack([np.c_[bar, zero], np.c_[zero, bar]])
    event = np.column_stack([np.ones(40), bars[:, 0] + 0.5, bars[:, 1] + 1.0])
    transformer = ShapinessTransformer(Cross(), R=0.4, n_nodes=400)
    names = ["emd", "cross0_y", "cross0_phi", "cross0_length"]
    assert transformer.get_feature_names_out().tolist() == names
    row = transformer.fit_transform([event])[0]
    # a cell is 0.03 long, and the mean distance to its middle a quarter of that
    assert row[0] == pytest.approx(0.03 / 4 / 0.4, rel=0.02)
    # medians of 20 middles of cells: the length is known to a fraction of a cell
    np.testing.assert_allclose(row[1:], [0.5, 1.0, 0.3], atol=0.005)


# Rings in the middle of cells of equal area, from 0.14 to 0.3.
def annulus_event(y=0.4, phi=3.1):
    width = 0.3 / 7.5
    rings = [circle(6 * k, k * width, y, phi, turn=k) for k in (4, 5, 6, 7)]
    return np.vstack(rings) * [0.5, 1, 1]


def test_nonlinear_shape_of_ones_own():
    transformer = ShapinessTransformer(Annulus(), R=0.4)
    row = transformer.fit_transform([annulus_event()])[0]
    # particles and nodes are less than the width of their cells apart
    assert row[0] < 0.7 * np.sqrt(np.pi * (0.3**2 - 0.14**2) / 132) / 0.4
    np.testing.assert_allclose(row[1:], [0.4, 3.1, 0.14, 0.3], atol=0.01)
    disk = ShapinessTransformer("disk", R=0.4)
    assert row[0] < 0.6 * disk.fit_transform([annulus_event()])[0, 0]


def test_centre_of_a_shape_of_ones_own():
    event = annulus_event()
    core = [[44.0, 0.4, 3.1]]  # a quarter of the energy
    transformer = ShapinessTransformer(
        WithCentre(Annulus()), R=0.4, n_nodes=256, n_init=4
    )
    row = transformer.fit_transform([np.vstack([event, core])])[0]
    assert transformer.get_feature_names_out()[-2:].tolist() == [
        "annulus0_weight",
        "annulus0_centre_weight",
    ]
    expected = [0.4, 3.1, 0.14, 0.3, 0.75, 0.25]
    np.testing.assert_allclose(row[1:], expected, atol=0.015)


def test_sum_of_shapes_of_ones_own():
    events = [annulus_event()[::5], circle(9, 0.2)]
    transformer = ShapinessTransformer(
        Annulus() + Cross() + Uniform(0.4), R=0.4, n_nodes=32, n_init=2
    )
    rows = transformer.fit_transform(events)
    assert rows.shape == (2, 1 + 5 + 4 + 1)
    np.testing.assert_allclose(rows[:, [5, 9, 10]].sum(axis=1), 1, 1e-12)
    values = emd(events, transformer.closest_shapes(events, rows), R=0.4, norm=True)
    # no weight is less than 1e-9
    np.testing.assert_allclose(values, rows[:, 0], rtol=1e-9, atol=1e-8)


def test_shapes_of_ones_own_travel():
    events = [annulus_event()[::5], circle(9, 0.2)] * 17
    transformer = ShapinessTransformer(Annulus(), R=0.4, n_nodes=16, n_init=1)
    expected = transformer.fit_transform(events)
    for other in (
        clone(transformer),
        pickle.loads(pickle.dumps(transformer)),
        clone(transformer).set_params(n_jobs=2),
    ):
        np.testing.assert_array_equal(other.fit_transform(events), expected)


@pytest.mark.parametrize("shape", [AxisRing(), AxisRing() + Point()], ids=str)
def test_shape_with_parameters_that_cannot_be_moved(shape):
    # the axis is the mean, the origin
    core = [[40.0, 0.0, 0.0]] if shape != AxisRing() else np.empty((0, 3))
    event = np.vstack([circle(60, 0.2), core])
    row = ShapinessTransformer(shape, R=0.4, n_nodes=128).fit_transform([event])[0]
    assert row[1] == pytest.approx(0.2, abs=2e-3)
    if shape != AxisRing():
        np.testing.assert_allclose(row[2:], [0.75, 0, 0, 0.25], atol=5e-3)


def test_bounds_are_kept():
    transformer = ShapinessTransformer(WideRing(), R=0.4)
    for radius, expected in [(0.05, 0.1), (0.2, 0.2)]:
        found = transformer.fit_transform([circle(40, radius)])[0, 3]
        assert found == pytest.approx(expected, abs=1e-3)
    # one particle or two twins, which no ring of this radius touches everywhere
    for event in ([[2.0, 0.5, 0.5]], [[1.0, 0.5, 0.5], [3.0, 0.5, 0.5]]):
        row = transformer.fit_transform([event])[0]
        assert row[0] == pytest.approx(0.1 / 0.4, rel=1e-3)
        assert row[3] == pytest.approx(0.1)
