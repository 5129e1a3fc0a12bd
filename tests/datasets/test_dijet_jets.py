import numpy as np
import pytest

from sklearn_hepcal.datasets._calorimeter import Particles, Towers
from sklearn_hepcal.datasets._dijet_detector import DETECTORS, JetTracks, PileUp
from sklearn_hepcal.datasets._dijet_jets import (
    Selection,
    describe_towers,
    describe_tracks,
    find_jets,
    list_towers,
    select_pairs,
)
from sklearn_hepcal.datasets._matching import Axes

pytest.importorskip("fastjet")

# Events of towers (event, pt, eta, phi), far from each other but for the first two.
TOWERS = [
    (0, 60.0, 0.0, 0.0),
    (0, 39.0, 0.0, 0.2),
    (0, 1.0, 0.3, 0.0),
    (0, 90.0, 0.5, 3.0),
    (1, 100.0, 0.0, 1.0),
    (1, 80.0, 0.0, -2.0),
    (1, 40.0, 1.2, 2.5),  # too hard a third jet
    (2, 100.0, 0.0, 1.0),
    (2, 80.0, 0.0, -1.0),  # not back to back
    (3, 100.0, 1.6, 1.0),  # not central
    (3, 95.0, 0.0, -2.0),
    (4, 50.0, 0.0, 1.0),  # alone
    (5, 50.0, 0.0, 1.0),
    (5, 45.0, 0.0, -2.0),
    (5, 20.0, 1.2, 2.5),
    (6, 44.0, 0.0, 1.0),
    (6, 41.0, 0.0, -2.0),  # too soft
]
CUTS = Selection(min_mean_pt=43.0)


@pytest.fixture(scope="module")
def jets():
    event, pt, eta, phi = np.array(TOWERS).T
    layers = np.array([0.5, 0.1, 0.2, 0.15, 0.05])
    energies = (pt * np.cosh(eta))[:, None] * layers
    towers = Towers(Axes(event.astype(int), eta, phi), energies, 0.1 * pt)
    return find_jets(towers, 8)


@pytest.fixture(scope="module")
def pairs(jets):
    return select_pairs(jets, CUTS)


def test_pairs_pass_the_selection(pairs):
    np.testing.assert_array_equal(pairs.jets.axes.event, [0, 0, 5, 5])
    np.testing.assert_allclose(pairs.jets.pt, [99.6, 90, 50, 45], atol=1)
    np.testing.assert_allclose(pairs.jet3_pt, [0, 20])
    np.testing.assert_allclose(pairs.dphi12, [2.92, 3.0], atol=0.01)


def test_order_is_that_of_measured_momenta(jets):
    shifted = jets._replace(pt=jets.pt - 8 * (np.abs(jets.pt - 50) < 1))
    pairs = select_pairs(shifted, CUTS)
    np.testing.assert_allclose(pairs.jets.pt[2:], [45, 42])
    np.testing.assert_allclose(pairs.jets.axes.phi[2:], [-2, 1])
    towers = list_towers(pairs.jets, 1)[0]
    np.testing.assert_allclose(towers[2:, 0], [45, 50])


def test_what_towers_tell(pairs):
    described = describe_towers(pairs.jets, 5.0, np.random.default_rng(0))
    for name, share in (("f_em12", 0.5), ("f_em3", 0.1), ("f_tile0", 0.2)):
        np.testing.assert_allclose(described[name], share)
    np.testing.assert_array_equal(described["n_tower"], [3, 1, 1, 1])
    np.testing.assert_array_equal(described["n90"], [2, 1, 1, 1])
    eta, phi = pairs.jets.axes.eta[0], pairs.jets.axes.phi[0]
    weights = np.array([60.0, 39, 1])
    distance = np.hypot(np.array([0, 0, 0.3]) - eta, np.array([0, 0.2, 0]) - phi)
    expected = weights @ distance / 100
    np.testing.assert_allclose(described["w_calo"], [expected, 0, 0, 0], atol=1e-9)


def test_segments_are_a_poisson_number(pairs):
    rng = np.random.default_rng(0)
    numbers = [describe_towers(pairs.jets, 5.0, rng)["n_segments"] for _ in range(600)]
    mean = np.array([100, 90, 50, 45]) * 0.1 / 5
    np.testing.assert_allclose(np.mean(numbers, axis=0), mean, rtol=0.15)
    np.testing.assert_allclose(np.var(numbers, axis=0), mean, rtol=0.25)


def test_what_tracks_tell(pairs):
    eta, phi = pairs.jets.axes.eta, pairs.jets.axes.phi
    axes = Axes(
        np.array([0, 0, 0, 0, 5]),
        np.array([eta[0], eta[0] + 0.2, eta[0], eta[0], eta[3] + 0.5]),
        np.array([phi[0], phi[0], phi[0], phi[0], phi[3]]),
    )
    pt = np.array([30.0, 10.0, 0.5, 20.0, 10.0])
    charge = np.array([1, -1, 1, 0, 1])
    particles = Particles(axes, pt, pt, charge, np.zeros(5, dtype=bool))
    ideal = JetTracks(efficiency=1.0, dense_pt=np.inf, constant=0.0, slope=0.0)
    described = describe_tracks(pairs.jets, particles, ideal, np.random.default_rng(0))
    np.testing.assert_array_equal(described["n_track"], [2, 0, 0, 0])
    np.testing.assert_allclose(described["f_charged"][0], 40 / pairs.jets.pt[0])
    np.testing.assert_allclose(described["lead_track_frac"][0], 30 / pairs.jets.pt[0])
    np.testing.assert_allclose(described["w_track"], [0.05, 0, 0, 0], atol=1e-9)


def test_leading_towers(pairs):
    table, counts = list_towers(pairs.jets, 2)
    np.testing.assert_array_equal(counts, [2, 1, 1, 1])
    np.testing.assert_allclose(table[:, 0], [60, 39, 90, 50, 45])
    np.testing.assert_allclose(table[:, 3], 0.6)


def test_pile_up():
    pile_up, rng = PileUp(), np.random.default_rng(0)
    mu, npv = pile_up.draw(50_000, rng)
    assert 8 <= mu.min() < mu.max() <= 70
    assert mu.mean() == pytest.approx(34, abs=0.2)
    assert npv.mean() == pytest.approx(0.62 * 34, abs=0.2)
    assert npv.min() >= 1
    offset = pile_up.offset(mu, npv, rng)
    design = np.column_stack([mu - mu.mean(), npv - npv.mean(), np.ones_like(mu)])
    fit, *_ = np.linalg.lstsq(design, offset, rcond=None)
    np.testing.assert_allclose(fit[:2], [0.05, 0.145], atol=0.01)
    assert np.std(offset - design @ fit) == pytest.approx(2.75, rel=0.02)


def test_data_differ_as_described():
    sim, data = DETECTORS["sim"], DETECTORS["data"]
    assert data.tracks.efficiency == pytest.approx(0.98 * sim.tracks.efficiency)
    for name, of_sim, of_data in (
        ("hadronic_response", 0.62, 0.57),
        ("inactive", 0.40, 0.50),
        ("depth_scale", 1.0, 0.92),
        ("hadronic_stochastic", 0.45, 0.50),
        ("constant", 0.02, 0.03),
        ("module_spread", 0.008, 0.02),
        ("scale", 1.0, 0.985),
        ("modulation", 0.0, 0.02),
    ):
        assert getattr(sim.calorimeter, name) == of_sim
        assert getattr(data.calorimeter, name) == of_data
