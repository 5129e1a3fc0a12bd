"""What must not change how much an event looks like a shape."""

from functools import partial

import numpy as np
import pytest
from jet_changes import permute, radiate, split, turn

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets, relative_constituents
from sklearn_hepcal.shapes import (
    Disk,
    Ellipse,
    Point,
    Ring,
    Segment,
    ShapinessTransformer,
    Uniform,
    WithCentre,
)

R = 0.4
SINGLE = [Point(), Segment(), Ring(), Disk(), Ellipse()]
SUMS = [
    3 * Point(),
    Ring() + Uniform(R),
    2 * Ring(),
    WithCentre(Ellipse()),
]
# Descents end when they gain less than 1e-7 of the energy. Where rounding errors, or
# particles of no account, change their way, ends differ by some such steps.
STOPPED = 2e-6


def measure(shape, **params):
    # sums with fewer nodes and starts than by default, which are a matter of accuracy
    quick = {} if shape in SINGLE else {"n_nodes": 64, "n_init": 2}
    return ShapinessTransformer(shape, **{"R": R, **quick} | params)


def ids(value):
    return str(value).replace(" ", "")


@pytest.fixture(scope="module")
def jets():
    jets, _ = load_quark_gluon_jets(n_jets=40, return_X_y=True)
    jets = jets.replace(labels={}).select(constituents=["pt", "y", "phi"])
    jets = jets[np.flatnonzero(jets.counts < 20)[:2]]
    return jets.replace(constituents=jets.constituents.astype(np.float64))


def planes(jets):
    """Jets around their axes, which can be turned and scaled in this plane."""
    relative = relative_constituents(jets)
    return np.column_stack([jets.constituents[:, 0], relative.dy, relative.dphi])


def moved(jets, y, angle):
    turned = turn(jets, angle)
    constituents = turned.constituents.copy()
    constituents[:, 1] += np.broadcast_to(y, len(jets))[jets.jet_index]
    return turned.replace(constituents=constituents)


def around(angle):
    return np.mod(np.asarray(angle) + np.pi, 2 * np.pi) - np.pi


@pytest.mark.parametrize("shape", SINGLE + SUMS, ids=ids)
def test_permutation(jets, shape):
    rows = measure(shape).fit_transform(jets)
    others = measure(shape).fit_transform(permute(jets))
    np.testing.assert_allclose(others[:, 0], rows[:, 0], 1e-12)


@pytest.mark.parametrize(
    ("shape", "norm"),
    [
        *((shape, True) for shape in SINGLE + SUMS),
        (Ring(), False),
        (3 * Point(), False),
    ],
    ids=ids,
)
def test_collinear_split(jets, shape, norm):
    transformer = measure(shape, norm=norm, n_init=4)
    rows = transformer.fit_transform(jets)
    others = transformer.fit_transform(split(jets))
    np.testing.assert_allclose(others[:, 0], rows[:, 0], 1e-10)


@pytest.mark.parametrize("change", [permute, split])
@pytest.mark.parametrize("shape", [Point(), Segment(), Ring()], ids=ids)
def test_parameters_are_safe(jets, shape, change):
    rows = measure(shape).fit_transform(jets)
    others = measure(shape).fit_transform(change(jets))
    np.testing.assert_allclose(others, rows, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shape", SINGLE, ids=ids)
def test_nearly_collinear_split(jets, shape):
    rng = np.random.default_rng(0)
    values = measure(shape).fit_transform(jets)[:, 0]
    for angle in (1e-2, 1e-4, 1e-6, 1e-8):
        twins = split(jets)
        constituents = twins.constituents.copy()
        aside = rng.normal(size=(len(constituents), 2))
        aside *= angle / np.linalg.norm(aside, axis=1, keepdims=True)
        constituents[:, 1:] += aside
        twins = twins.replace(constituents=constituents)
        change = np.abs(measure(shape).fit_transform(twins)[:, 0] - values)
        # by the triangle inequality
        assert change.max() <= angle / R * 1.01 + 20 * STOPPED


@pytest.mark.parametrize(
    "shape",
    [
        *SINGLE,
        *SUMS[:-1],
        pytest.param(
            SUMS[-1],
            marks=pytest.mark.xfail(
                reason="for this jet the search ends in a minimum 1.8e-4 above another"
            ),
        ),
    ],
    ids=ids,
)
def test_soft_particle(jets, shape):
    # with all starts of sums: their minima are many
    transformer = ShapinessTransformer(shape, R=R, n_nodes=256)
    jets = jets if shape in SINGLE else jets[:1]
    values = transformer.fit_transform(jets)[:, 0]
    energy = planes(jets)[:, 0].sum() / len(jets)
    for share in (1e-3, 1e-5, 1e-9) if shape in SINGLE else (1e-3, 1e-6):
        softer = transformer.fit_transform(radiate(jets, share * energy))
        change = np.abs(softer[:, 0] - values)
        # moved over at most 2 R to the shape
        assert change.max() <= 2 * share + STOPPED


@pytest.mark.parametrize("shape", [*SINGLE, 3 * Point()], ids=ids)
def test_hardly_any_particle(jets, shape):
    values = measure(shape).fit_transform(jets)[:, 0]
    for pt in (1e-12, 1e-18, 1e-300, 0.0):
        softer = measure(shape).fit_transform(radiate(jets, pt))[:, 0]
        np.testing.assert_allclose(softer, values, rtol=0, atol=STOPPED)


@pytest.mark.parametrize("shape", SINGLE + SUMS, ids=ids)
def test_translation(jets, shape):
    transformer = measure(shape)
    rows = transformer.fit_transform(jets)
    y, angle = np.random.default_rng(0).uniform(-3, 3, (2, len(jets)))
    # to the boundary of azimuth, too
    axes = relative_constituents(jets).phi
    angle[0] = np.pi - axes[0]
    others = transformer.fit_transform(moved(jets, y, angle))
    np.testing.assert_allclose(others[:, 0], rows[:, 0], 1e-8)
    if shape not in SINGLE:
        return
    np.testing.assert_allclose(others[:, 1] - y, rows[:, 1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        around(others[:, 2] - angle - rows[:, 2]), 0, rtol=0, atol=1e-6
    )
    assert (np.abs(others[:, 2]) <= np.pi).all()
    np.testing.assert_allclose(others[:, 3:], rows[:, 3:], rtol=1e-5, atol=1e-6)


# Nodes do not turn with the event; sunflowers have no symmetry at all.
@pytest.mark.parametrize(
    ("shape", "tolerance"),
    [
        (Point(), 1e-9),
        (3 * Point(), 1e-9),
        (Segment(), 1e-5),
        (Ring(), 1e-3),
        (Disk(), 5e-3),
        (Ellipse(), 5e-3),
    ],
    ids=ids,
)
def test_rotation(jets, shape, tolerance):
    transformer = ShapinessTransformer(shape, R=R)
    plane = planes(jets)
    expected = transformer.fit_transform(Jets(None, plane, jets.offsets))[:, 0]
    for angle in (0.1, 1.0, np.pi / 2):
        cos, sin = np.cos(angle), np.sin(angle)
        turned = plane[:, 1:] @ [[cos, sin], [-sin, cos]]
        plane_turned = np.column_stack([plane[:, 0], turned])
        rows = transformer.fit_transform(Jets(None, plane_turned, jets.offsets))
        np.testing.assert_allclose(rows[:, 0], expected, tolerance)


@pytest.mark.parametrize(
    ("shape", "tolerance"), [(Segment(), 1e-3), (Ellipse(), 0.05)], ids=ids
)
def test_angles_turn_along(shape, tolerance):
    rng = np.random.default_rng(0)
    places = rng.normal(size=(3, 20, 2)) * [0.2, 0.05]
    rows = []
    for angle in (0.0, 0.7):
        cos, sin = np.cos(angle), np.sin(angle)
        turned = places @ [[cos, sin], [-sin, cos]]
        events = np.concatenate([np.ones((3, 20, 1)), turned], axis=2)
        rows.append(ShapinessTransformer(shape, R=R).fit_transform(events))
    away = rows[1][:, -1] - rows[0][:, -1] - 0.7
    away = (away + np.pi / 2) % np.pi - np.pi / 2
    # nodes of ellipses do not turn along
    assert np.abs(away).max() < tolerance
    np.testing.assert_allclose(rows[1][:, 3], rows[0][:, 3], rtol=tolerance)


@pytest.mark.parametrize(("beta", "factor"), [(1.0, 3.7), (2.0, 1e-3)])
@pytest.mark.parametrize("shape", [*SINGLE, 3 * Point(), 2 * Ring()], ids=ids)
def test_scale(jets, shape, beta, factor):
    plane = planes(jets)
    # around an axis that does not move, as that of wide jets does, for being no mean
    small, large = (
        measure(shape, beta=beta, R=s * R).fit_transform(
            Jets(None, plane * [1, s * 0.01, s * 0.01], jets.offsets)
        )
        for s in (1, factor)
    )
    np.testing.assert_allclose(large[:, 0], small[:, 0], 1e-10)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", [Ring(), Ring() + Uniform(R), 2 * Point()], ids=ids)
def test_energy_unit(jets, shape, norm):
    transformer = measure(shape, norm=norm, n_init=4)
    jets = jets[:2]
    rows = transformer.fit_transform(jets)
    # a power of two does not round
    others = transformer.fit_transform(
        jets.replace(constituents=jets.constituents * [1024, 1, 1])
    )
    energies = [
        name == "emd" or name.endswith("weight")
        for name in transformer.get_feature_names_out()
    ]
    factors = np.where(energies, 1 if norm else 1024, 1)
    np.testing.assert_array_equal(others, rows * factors)


@pytest.mark.parametrize("shape", [Ring(), 3 * Point(), Ring() + Uniform(R)], ids=ids)
def test_events_are_alone(jets, shape):
    transformer = measure(shape)
    rows = transformer.fit_transform(jets)
    alone = np.vstack(
        [transformer.fit_transform(jets[i : i + 1]) for i in range(len(jets))]
    )
    np.testing.assert_array_equal(alone, rows)
    np.testing.assert_array_equal(transformer.fit_transform(jets[::-1]), rows[::-1])


def test_processes_and_chunks_change_nothing(jets):
    # more than the number of events that a process takes at a time
    rows = np.arange(40) % len(jets)
    many = jets[rows]
    quick = partial(measure, Disk(), n_nodes=16, n_init=1)
    expected = quick().fit_transform(jets)[rows]
    np.testing.assert_array_equal(quick().fit_transform(many), expected)
    np.testing.assert_array_equal(quick(n_jobs=2).fit_transform(many), expected)


def test_random_state(jets):
    # more starts than those that are not drawn
    quick = partial(measure, 2 * Ring(), n_nodes=24, n_init=12, max_iter=5)
    jets = jets[:1]
    before = np.random.get_state()  # noqa: NPY002
    expected = quick().fit_transform(jets)
    transformer = quick(random_state=0)
    for _ in range(2):
        np.testing.assert_array_equal(transformer.fit_transform(jets), expected)
    state = np.random.RandomState(0)
    np.testing.assert_array_equal(
        quick(random_state=state).fit_transform(jets), expected
    )
    after = np.random.get_state()  # noqa: NPY002
    assert after[2:] == before[2:]
    np.testing.assert_array_equal(after[1], before[1])


def test_seed_hardly_matters_for_single_shapes(jets):
    for shape, tolerance in [(Point(), 1e-9), (Ring(), 1e-5), (Disk(), 1e-3)]:
        values = [
            measure(shape, random_state=seed).fit_transform(jets)[:, 0]
            for seed in range(3)
        ]
        np.testing.assert_allclose(values[1:], values[:1] * 2, tolerance)


def test_events_are_not_changed(jets):
    events = [event.copy() for event in jets.to_list()]
    kept = [event.copy() for event in events]
    transformer = measure(Ring(), n_nodes=32)
    rows = transformer.fit_transform(events)
    copy = rows.copy()
    transformer.shares(events, rows)
    transformer.closest_shapes(events, rows)
    np.testing.assert_array_equal(rows, copy)
    for event, other in zip(events, kept, strict=True):
        np.testing.assert_array_equal(event, other)
