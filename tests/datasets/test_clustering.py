"""Anti-kT against its definition, and kinematics against closed forms."""

import numpy as np
import pytest

from sklearn_hepcal.datasets._clustering import cluster_anti_kt, kinematics, to_jets
from sklearn_hepcal.datasets._events import Events


def to_momenta(pt, y, phi, mass):
    mt = np.hypot(pt, mass)
    return np.stack(
        [pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=-1
    )


def make_events(n_particles, seed):
    rng = np.random.default_rng(seed)
    n = sum(n_particles)
    momenta = to_momenta(
        rng.exponential(10, n),
        rng.normal(0, 1, n),
        rng.uniform(-np.pi, np.pi, n),
        rng.choice([0.0, 0.14, 0.94], n),
    )
    columns = dict(zip(("px", "py", "pz", "e"), momenta.T, strict=True))
    columns["id"] = rng.choice([22, -211, 2212], n)
    info = {"pt_hat": np.arange(len(n_particles)) + 100.0}
    return Events(np.append(0, np.cumsum(n_particles)), columns, info)


def cluster_by_definition(momenta, radius):
    """Return the momenta of jets and the sets of their particles."""
    left = [(p, {i}) for i, p in enumerate(momenta)]
    jets = []
    while left:
        pt, y, phi, _ = kinematics(np.array([p for p, _ in left]))
        dphi = np.abs(phi[:, None] - phi)
        dphi = np.minimum(dphi, 2 * np.pi - dphi)
        distance = (y[:, None] - y) ** 2 + dphi**2
        least = np.minimum(pt[:, None] ** -2, pt**-2) * distance / radius**2
        np.fill_diagonal(least, pt**-2)
        i, j = np.unravel_index(np.argmin(least), least.shape)
        a, b = left[i], left[j]
        if i == j:
            jets.append(a)
            left.pop(i)
        else:
            left = [entry for k, entry in enumerate(left) if k not in (i, j)]
            left.append((a[0] + b[0], a[1] | b[1]))
    return jets


@pytest.mark.parametrize("radius", [0.4, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_jets_are_those_of_the_definition(seed, radius):
    events = make_events([12, 0, 1, 25], seed)
    found = cluster_anti_kt(events, radius, 8.0)
    row = 0
    for event, start in enumerate(events.offsets[:-1]):
        momenta = events.momenta[start : events.offsets[event + 1]]
        expected = cluster_by_definition(momenta, radius)
        expected = [jet for jet in expected if np.hypot(*jet[0][:2]) > 8]
        expected.sort(key=lambda jet: -np.hypot(*jet[0][:2]))
        for rank, (momentum, members) in enumerate(expected):
            assert found.event[row] == event
            assert found.rank[row] == rank
            np.testing.assert_allclose(found.momenta[row], momentum, rtol=1e-9)
            places = found.particles[slice(*found.offsets[row : row + 2])]
            assert set(places - start) == members
            row += 1
    assert row == len(found) > 0


def test_particles_of_a_jet_fall_in_pt():
    events = make_events([60, 40], 0)
    found = cluster_anti_kt(events, 1.0, 5.0)
    jets = to_jets(found, events)
    pt = jets.constituent("pt")
    same_jet = jets.jet_index[1:] == jets.jet_index[:-1]
    assert same_jet.any()
    assert np.all(np.diff(pt)[same_jet] <= 0)


def test_chosen_jets_keep_their_particles():
    events = make_events([30, 30], 1)
    every = to_jets(cluster_anti_kt(events, 0.6, 5.0), events)
    rows = np.array([3, 0])
    chosen = to_jets(cluster_anti_kt(events, 0.6, 5.0).take(rows), events)
    assert chosen == every[rows]


def test_jets_carry_the_truth_of_their_event():
    events = make_events([30, 0, 30], 2)
    found = cluster_anti_kt(events, 0.6, 5.0)
    jets = to_jets(found, events, double=2 * found.event)
    assert set(jets.labels["pt_hat"]) == {100, 102}
    np.testing.assert_array_equal(
        jets.labels["double"] + 200, 2 * jets.labels["pt_hat"]
    )
    assert set(jets.constituent("pdgid")) == {22, -211, 2212}


def test_kinematics():
    rng = np.random.default_rng(0)
    expected = (
        rng.exponential(50, 100),
        rng.uniform(-6, 6, 100),
        rng.uniform(-np.pi, np.pi, 100),
        rng.uniform(0.1, 5, 100),
    )
    found = kinematics(to_momenta(*expected))
    for values, truth in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_allclose(values, truth, rtol=1e-9, atol=1e-9)
    # the mass is a small difference of large numbers
    np.testing.assert_allclose(found.mass, expected[3], rtol=1e-4)


def test_rapidity_of_massless_particles_is_exact_at_small_angles():
    y = np.array([-12.0, -9.0, 0.0, 9.0, 12.0])
    found = kinematics(to_momenta(np.ones(5), y, np.zeros(5), 0.0))
    np.testing.assert_allclose(found.y, y, rtol=1e-9)
