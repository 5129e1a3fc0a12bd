import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sklearn_hepcal.datasets._helix import GEV_PER_TESLA_MM, find_perigee

FIELD = 2.0
SEEDS = [0, 1, 2]


def draw(n, rng):
    """Return pT, angles and charges of particles."""
    pt = np.exp(rng.uniform(np.log(0.4), np.log(1000), n))
    phi, eta = rng.uniform(-np.pi, np.pi, n), rng.uniform(-2.5, 2.5, n)
    return pt, phi, eta, rng.choice([-1, 1], n)


def to_momentum(pt, phi, eta):
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


@pytest.mark.parametrize("seed", SEEDS)
def test_perigee_from_which_helices_were_started(seed):
    rng = np.random.default_rng(seed)
    n = 2000
    pt, phi0, eta, charge = draw(n, rng)
    d0, z0 = rng.normal(0, 3, n), rng.normal(0, 50, n)
    length = rng.uniform(-60, 60, n)
    curvature = -charge * GEV_PER_TESLA_MM * FIELD / pt
    half = curvature * length / 2
    # the chord of the arc, which is at half the angle
    chord = length * np.sinc(half / np.pi)
    x = -d0 * np.sin(phi0) + chord * np.cos(phi0 + half)
    y = d0 * np.cos(phi0) + chord * np.sin(phi0 + half)
    z = z0 + length * np.sinh(eta)
    momentum = to_momentum(pt, phi0 + 2 * half, eta)
    perigee = find_perigee(np.stack([x, y, z], axis=1), momentum, charge, FIELD)
    np.testing.assert_allclose(perigee.d0, d0, atol=3e-12, rtol=1e-12)
    np.testing.assert_allclose(perigee.z0, z0, atol=1e-10)
    np.testing.assert_allclose(wrap(perigee.phi - phi0), 0, atol=1e-13)


# Integrate the Lorentz force backwards to where the particle moves across the radius.
def swim(position, momentum, charge):
    speed = momentum / np.hypot(*momentum[:2])
    turning = charge * GEV_PER_TESLA_MM * FIELD / np.hypot(*momentum[:2])

    def derivative(_, state):
        u = state[3:]
        return np.concatenate([u, turning * np.cross(u, [0, 0, 1])])

    def radial(_, state):
        return state[0] * state[3] + state[1] * state[4]

    radial.terminal = True
    ends = []
    for direction in (1, -1):
        solution = solve_ivp(
            derivative,
            (0, direction * 500),
            np.concatenate([position, speed]),
            method="DOP853",
            events=radial,
            rtol=1e-12,
            atol=1e-12,
        )
        ends += [state for events in solution.y_events for state in events]
    return min(ends, key=lambda state: np.hypot(*state[:2]))


def test_numerical_swim():
    rng = np.random.default_rng(5)
    n = 20
    pt, phi, eta, charge = draw(n, rng)
    position, momentum = rng.normal(0, 5, (n, 3)), to_momentum(pt, phi, eta)
    perigee = find_perigee(position, momentum, charge, FIELD)
    for i in range(n):
        x, y, z, ux, uy, _ = swim(position[i], momentum[i], charge[i])
        assert perigee.d0[i] == pytest.approx(y * ux - x * uy, abs=1e-8)
        assert perigee.z0[i] == pytest.approx(z, abs=1e-7)
        assert wrap(perigee.phi[i] - np.arctan2(uy, ux)) == pytest.approx(0, abs=1e-9)


def test_particle_from_the_beam_has_no_impact_parameter():
    pt, phi, eta, charge = draw(100, np.random.default_rng(0))
    perigee = find_perigee(np.zeros((100, 3)), to_momentum(pt, phi, eta), charge, FIELD)
    np.testing.assert_array_equal(perigee.d0, 0)
    np.testing.assert_array_equal(perigee.z0, 0)
    np.testing.assert_allclose(wrap(perigee.phi - phi), 0, atol=1e-14)


def test_without_curvature_the_track_is_a_line():
    pt, phi, eta, charge = draw(100, np.random.default_rng(1))
    position = np.random.default_rng(2).normal(0, 5, (100, 3))
    momentum = to_momentum(1e9 * pt, phi, eta)
    perigee = find_perigee(position, momentum, charge, FIELD)
    x, y, z = position.T
    ahead = x * np.cos(phi) + y * np.sin(phi)
    np.testing.assert_allclose(perigee.d0, y * np.cos(phi) - x * np.sin(phi), atol=1e-6)
    np.testing.assert_allclose(perigee.z0, z - ahead * np.sinh(eta), atol=1e-5)


def test_mirrored_particle_of_the_other_charge():
    pt, phi, eta, charge = draw(100, np.random.default_rng(3))
    position = np.random.default_rng(4).normal(0, 5, (100, 3))
    momentum, mirror = to_momentum(pt, phi, eta), np.array([1, -1, 1])
    one = find_perigee(position, momentum, charge, FIELD)
    other = find_perigee(position * mirror, momentum * mirror, -charge, FIELD)
    np.testing.assert_allclose(other.d0, -one.d0, rtol=1e-12)
    np.testing.assert_allclose(other.z0, one.z0, rtol=1e-12)
    np.testing.assert_allclose(wrap(other.phi + one.phi), 0, atol=1e-13)
