import numpy as np
import pytest

from sklearn_hepcal.datasets._ancestry import Ancestry
from sklearn_hepcal.datasets._events import Events
from sklearn_hepcal.datasets._flavour_truth import (
    find_origins,
    find_vertices,
    label_jets,
)
from sklearn_hepcal.datasets._matching import Axes, find_nearest
from sklearn_hepcal.datasets._species import find_charges, heaviest_quark

PROTON, GLUON, B_BAR_0, D_PLUS, PION, TAU, K_SHORT = -2212, 21, -511, 411, 211, 15, 310


# Two equal events of decays, with particles (id, status, mother, pt, eta, phi, x).
CHAIN = [
    (90, -11, 0, 0.0, 0.0, 0.0, 0.0),
    (GLUON, -51, 0, 60.0, 0.0, 0.0, 0.0),
    (-513, -83, 1, 45.0, 0.1, 0.0, 0.0),  # B*, decays at once
    (B_BAR_0, -91, 2, 40.0, 0.1, 0.0, 0.0),
    (22, 91, 2, 0.1, 0.1, 0.0, 0.0),
    (D_PLUS, -91, 3, 20.0, 0.1, 0.1, 3.0),
    (-PION, 91, 3, 5.0, 0.1, 0.1, 3.0),
    (PION, 91, 5, 4.0, 0.1, 0.1, 5.0),
    (D_PLUS, -83, 1, 10.0, 1.0, 2.0, 0.0),
    (PION, 91, 8, 6.0, 1.0, 2.0, 1.0),
    (TAU, -23, 0, 30.0, -1.0, -2.0, 0.0),
    (-PION, 91, 10, 8.0, -1.0, -2.0, 0.5),
    (K_SHORT, -83, 1, 8.0, 0.1, 0.0, 0.0),
    (PION, 91, 12, 4.0, 0.1, 0.0, 20.0),
    (PION, 83, 1, 3.0, 0.1, 0.0, 0.0),
    (D_PLUS, -83, 1, 4.0, 0.1, 0.0, 0.0),  # too soft for a label
    (PION, 91, 15, 2.0, 0.1, 0.0, 0.05),
]
N = len(CHAIN)
ORIGINS = {6: 3, 7: 4, 9: 5, 11: 6, 13: 7, 14: 2, 16: 5}


@pytest.fixture(scope="module")
def ancestry():
    pdg_id, status, mother, pt, eta, phi, x = np.array(2 * CHAIN).T
    zeros = np.zeros(2 * N)
    particles = {
        "id": pdg_id.astype(np.int32),
        "status": status.astype(np.int32),
        "mother1": mother.astype(np.int32),
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "e": pt * np.cosh(eta),
        "x": x,
        "y": zeros,
        "z": zeros,
    }
    return Ancestry(Events(np.array([0, N, 2 * N]), particles, {}))


@pytest.fixture(scope="module")
def axes():
    event = np.repeat([0, 1], 4)
    return Axes(event, np.tile([0.1, 1.1, -1, 0.1], 2), np.tile([0, 2, -2, 1.5], 2))


@pytest.mark.parametrize(
    ("pdg_id", "flavour"),
    [
        (511, 5),
        (-521, 5),
        (541, 5),
        (5122, 5),
        (-5332, 5),
        (513, 5),
        (10511, 5),
        (421, 4),
        (-431, 4),
        (4122, 4),
        (4332, 4),
        (443, 0),  # J/psi
        (553, 0),  # Upsilon
        (5, 0),
        (21, 0),
        (5203, 0),  # diquark
        (4403, 0),
        (15, 0),
        (22, 0),
        (24, 0),
    ],
)
def test_open_flavour_of_hadrons(pdg_id, flavour):
    assert heaviest_quark(np.array([pdg_id]))[0] == flavour


def test_light_hadrons_have_no_heavy_flavour():
    hadrons = np.array([211, -321, 310, 130, 2212, 2112, 3122, -3334, 111, 221, 113])
    assert heaviest_quark(hadrons).max() < 4


def test_charges():
    ids = np.array([11, -11, 13, 211, -211, 321, -2212, 2112, 22, 130])
    charges = [-1, 1, -1, 1, -1, 1, -1, 0, 0, 0]
    np.testing.assert_array_equal(find_charges(ids), charges)


def test_last_hadrons(ancestry):
    for flavour, rows in ((5, [3]), (4, [5, 8, 15]), (15, [10])):
        expected = [*rows, *(N + row for row in rows)]
        np.testing.assert_array_equal(ancestry.last_of(flavour), expected)


def test_decay_points(ancestry):
    points = ancestry.decay_points(ancestry.last_of(5))
    np.testing.assert_array_equal(points, [[3, 0, 0], [3, 0, 0]])


def test_descendants(ancestry):
    for flavour, rows in ((5, [5, 6, 7]), (4, [7, 9, 16]), (15, [11])):
        found = np.flatnonzero(ancestry.descends_from(flavour)[N:])
        of_first = {3, 4} if flavour == 5 else set()
        assert set(found) == {*rows, *of_first}


def test_labels_of_jets(ancestry, axes):
    labels = label_jets(axes, ancestry)
    for name, of_event in (
        ("HadronConeExclTruthLabelID", [5, 4, 15, 0]),
        ("n_truth_b", [1, 0, 0, 0]),
        ("n_truth_c", [1, 1, 0, 0]),
        ("hadron_pt", [40, 10, 30, 0]),
        ("hadron_Lxy", [3, 1, 0.5, 0]),
    ):
        np.testing.assert_allclose(labels[name], 2 * of_event, err_msg=name)


def test_origins_of_tracks(ancestry):
    rows = np.concatenate([list(ORIGINS), N + np.array(list(ORIGINS))])
    x = ancestry.events.particles["x"][rows]
    position = np.stack([x, 0 * x, 0 * x], axis=1)
    offsets = np.array([0, len(ORIGINS), 2 * len(ORIGINS)])
    vertex = find_vertices(position, offsets)
    # at 3, 5, 1, 0.5, 20, 0 and 0.05 mm
    np.testing.assert_array_equal(vertex, 2 * [1, 2, 3, 4, 5, 0, 0])
    origins = find_origins(rows, vertex, ancestry)
    np.testing.assert_array_equal(origins, 2 * list(ORIGINS.values()))


# Number vertices with a loop.
def number_vertices(position):
    points = [np.zeros(3), *position]
    group = list(range(len(points)))
    for i, p in enumerate(points):
        for j, q in enumerate(points[:i]):
            if np.linalg.norm(p - q) < 0.1:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    numbers = {group[0]: 0}
    return [numbers.setdefault(g, len(numbers)) for g in group[1:]]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_vertices_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 12, 60)
    offsets = np.append(0, np.cumsum(counts))
    places = rng.normal(0, 0.15, (8, 3)) * [1, 1, 0]
    position = places[rng.integers(0, 8, offsets[-1])]
    position = position + rng.normal(0, 0.02, position.shape)
    jets = np.split(position, offsets[1:-1])
    expected = np.concatenate([number_vertices(jet) for jet in jets])
    np.testing.assert_array_equal(find_vertices(position, offsets), expected)
    assert expected.max() > 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nearest_jets_against_a_loop(seed):
    rng = np.random.default_rng(seed)

    def draw(n):
        eta, phi = rng.uniform(-2, 2, n), rng.uniform(-np.pi, np.pi, n)
        return Axes(np.sort(rng.choice([0, 1, 3, 4], n)), eta, phi)

    particles, jets = draw(80), draw(12)
    jets = jets.take(jets.event != 3)
    nearest = find_nearest(particles, jets)
    for i, (event, eta, phi) in enumerate(zip(*particles, strict=True)):
        dphi = np.angle(np.exp(1j * (jets.phi - phi)))
        distance = np.where(jets.event == event, np.hypot(jets.eta - eta, dphi), np.inf)
        if np.isinf(distance).all():
            assert nearest.row[i] == -1
            assert np.isinf(nearest.distance[i])
        else:
            assert nearest.row[i] == distance.argmin()
            assert nearest.distance[i] == pytest.approx(distance.min(), rel=1e-12)


def test_nearest_without_any_jets():
    none = Axes(np.array([], dtype=np.int64), np.array([]), np.array([]))
    some = Axes(np.array([0, 2]), np.zeros(2), np.zeros(2))
    assert (find_nearest(some, none).row == -1).all()
    assert len(find_nearest(none, some).row) == 0
