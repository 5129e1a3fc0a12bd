from dataclasses import replace

import numpy as np
import pytest

from sklearn_hepcal.datasets._calorimeter import Calorimeter, Particles
from sklearn_hepcal.datasets._helix import GEV_PER_TESLA_MM, find_perigee
from sklearn_hepcal.datasets._matching import Axes

SEEDS = [0, 1, 2]
# Nothing is lost or fluctuates but the places of showers.
IDEAL = Calorimeter(
    inactive=0.0,
    hadronic_response=1.0,
    hadronic_stochastic=0.0,
    em_stochastic=0.0,
    constant=0.0,
    module_spread=0.0,
    min_tower_pt=0.0,
)


def draw(n, seed, is_em=None, energy=None, n_events=3):
    rng = np.random.default_rng(seed)
    pt = np.exp(rng.uniform(np.log(1), np.log(300), n))
    eta = rng.uniform(-2.5, 2.5, n)
    if energy is not None:
        pt = energy / np.cosh(eta)
    em = rng.random(n) < 0.4 if is_em is None else np.full(n, is_em)
    charge = np.where(em, 0, rng.integers(-1, 2, n))
    axes = Axes(
        np.sort(rng.integers(0, n_events, n)), eta, rng.uniform(-np.pi, np.pi, n)
    )
    return Particles(axes, pt * np.cosh(eta), pt, charge, em), rng


@pytest.mark.parametrize("seed", SEEDS)
def test_energy_is_conserved_without_losses(seed):
    particles, rng = draw(500, seed)
    shares = IDEAL.deposit(particles, rng)
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(axis=1), particles.energy, rtol=1e-12)
    towers = IDEAL.measure(particles, rng)
    total = towers.energies.sum(axis=1) + towers.leak
    for event in range(3):
        np.testing.assert_allclose(
            total[towers.axes.event == event].sum(),
            particles.energy[particles.axes.event == event].sum(),
            rtol=1e-12,
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_inactive_material_takes_energy(seed):
    particles, rng = draw(500, seed)
    deposits = replace(IDEAL, inactive=0.4).deposit(particles, rng)
    lost = particles.energy - deposits.sum(axis=1)
    assert lost.min() > -1e-9 * particles.energy.max()
    assert lost.sum() > 0.01 * particles.energy.sum()


def test_layers():
    photons, rng = draw(2000, 0, is_em=True, energy=20.0)
    shares = IDEAL.deposit(photons, rng) / 20
    assert shares[:, :2].sum(axis=1).min() > 0.9
    assert shares[:, 0].min() > 0.8
    hadrons, rng = draw(2000, 1, is_em=False, energy=20.0)
    shares = IDEAL.deposit(hadrons, rng).mean(axis=0) / 20
    assert shares[2:5].sum() > 0.3
    assert shares[5] < 0.02
    # showers of more energy are longer
    hard, rng = draw(2000, 1, is_em=False, energy=500.0)
    assert IDEAL.deposit(hard, rng).mean(axis=0)[5] / 500 > shares[5]


def test_depth_that_is_left_out_leaks():
    hadrons, _ = draw(2000, 2, is_em=False, energy=200.0)
    leaks = [
        replace(IDEAL, depth_scale=scale).deposit(hadrons, np.random.default_rng(0))
        for scale in (1.0, 0.92, 0.5)
    ]
    assert (np.diff([leak[:, 5].mean() for leak in leaks]) > 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_response_to_hadrons(seed):
    response = []
    for energy in (5.0, 50.0, 500.0):
        hadrons, rng = draw(4000, seed, is_em=False, energy=energy)
        detector = replace(IDEAL, hadronic_response=0.62)
        response.append(detector.deposit(hadrons, rng).sum(axis=1).mean() / energy)
        em_part = np.clip(1 - (energy / 4.5) ** -0.2, 0.01, 0.99)
        assert response[-1] == pytest.approx(0.62 + 0.38 * em_part, abs=0.01)
    assert (np.diff(response) > 0).all()


@pytest.mark.parametrize(("is_em", "stochastic"), [(True, 0.10), (False, 0.45)])
def test_resolution(is_em, stochastic):
    detector = replace(
        IDEAL, em_stochastic=0.10, hadronic_stochastic=0.45, constant=0.02
    )
    particles, rng = draw(20_000, 3, is_em=is_em, energy=50.0)
    relative = detector.deposit(particles, rng).sum(axis=1) / 50
    sigma = np.hypot(stochastic / np.sqrt(50), 0.02)
    assert relative.mean() == pytest.approx(1, abs=4 * sigma / np.sqrt(20_000))
    assert relative.std() == pytest.approx(sigma, rel=0.03)


def test_towers_are_where_neutral_particles_are():
    particles, rng = draw(1000, 4, is_em=True, n_events=1000)
    event = np.arange(1000)
    particles = particles._replace(axes=particles.axes._replace(event=event))
    towers = IDEAL.measure(particles, rng)
    np.testing.assert_array_equal(towers.axes.event, event)
    assert np.abs(towers.axes.eta - particles.axes.eta).max() <= 0.025 + 1e-9
    distance = (towers.axes.phi - particles.axes.phi + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(distance).max() <= np.pi / IDEAL.n_phi + 1e-9
    pt = towers.energies.sum(axis=1) / np.cosh(towers.axes.eta)
    np.testing.assert_allclose(towers.pt, pt)
    np.testing.assert_allclose(
        towers.em_fraction,
        towers.energies[:, :2].sum(axis=1) / (towers.pt * np.cosh(towers.axes.eta)),
    )


# Where the helix of the tracker is at the radius of the calorimeter.
def test_charged_particles_turn_like_helices():
    detector = replace(IDEAL, granularity=0.001, max_eta=0.01)
    pt, radius = 2.0, detector.radius
    for charge in (-1, 1):
        axes = Axes(np.array([0]), np.array([0.0]), np.array([0.3]))
        particle = Particles(
            axes,
            np.array([pt]),
            np.array([pt]),
            np.array([charge]),
            np.array([False]),
        )
        towers = detector.measure(particle, np.random.default_rng(0))
        phi = towers.axes.phi[0]
        position = radius * np.array([[np.cos(phi), np.sin(phi), 0]])
        turn = 2 * (phi - 0.3)
        direction = 0.3 + turn
        momentum = pt * np.array([[np.cos(direction), np.sin(direction), 0]])
        perigee = find_perigee(position, momentum, np.array([charge]), detector.field)
        assert perigee.d0[0] == pytest.approx(0, abs=2)
        assert perigee.phi[0] == pytest.approx(0.3, abs=0.002)


def test_soft_charged_particles_do_not_arrive():
    limit = 0.5 * GEV_PER_TESLA_MM * IDEAL.field * IDEAL.radius
    pt = np.array([0.99, 1.01, 0.5]) * limit
    charge = np.array([1, -1, 0])
    axes = Axes(np.arange(3), np.zeros(3), np.zeros(3))
    particles = Particles(axes, pt, pt, charge, np.zeros(3, dtype=bool))
    towers = IDEAL.measure(particles, np.random.default_rng(0))
    np.testing.assert_array_equal(towers.axes.event, [1, 2])


@pytest.mark.parametrize("seed", SEEDS)
def test_detector_does_not_know_phi(seed):
    particles, _ = draw(4000, seed, n_events=1)
    axes = particles.axes
    detector = replace(Calorimeter(), module_spread=0.0)
    step = 2 * np.pi / detector.n_phi
    turned = particles._replace(axes=axes._replace(phi=axes.phi + 7 * step))
    one, other = (
        detector.measure(p, np.random.default_rng(seed)) for p in (particles, turned)
    )
    assert len(one.leak) == len(other.leak)
    assert one.energies.sum() == pytest.approx(other.energies.sum(), rel=1e-9)
    order = [np.lexsort([t.leak, t.axes.eta, t.energies[:, 0]]) for t in (one, other)]
    np.testing.assert_allclose(
        one.energies[order[0]], other.energies[order[1]], rtol=1e-6
    )


def test_threshold():
    particles, _ = draw(3000, 0)
    all_towers, kept = (
        replace(IDEAL, min_tower_pt=least).measure(particles, np.random.default_rng(0))
        for least in (0.0, 2.0)
    )
    assert kept.pt.min() > 2
    assert len(kept.pt) == np.sum(all_towers.pt > 2) < len(all_towers.pt)


def test_response_map():
    spread = Calorimeter(module_spread=0.02).response
    assert spread.shape == (112, 126)
    assert spread.mean() == pytest.approx(1, abs=0.002)
    assert spread.std() == pytest.approx(0.02, rel=0.1)
    np.testing.assert_array_equal(spread[::2], spread[1::2])
    np.testing.assert_array_equal(spread[:, ::2], spread[:, 1::2])
    np.testing.assert_array_equal(spread, Calorimeter(module_spread=0.02).response)
    modulated = Calorimeter(module_spread=0.0, modulation=0.02)
    np.testing.assert_allclose(
        modulated.response[:, 5], 1 + 0.02 * np.cos(4 * modulated.eta)
    )


def test_scale():
    particles, _ = draw(100, 0)
    one, half = (
        replace(IDEAL, scale=scale).deposit(particles, np.random.default_rng(0))
        for scale in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, one / 2)
