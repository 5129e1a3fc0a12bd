import numpy as np
import pytest
from scipy.stats import gamma, kstest, norm

from sklearn_hepcal.datasets import smear_particles

N = 20_000
PHOTON, ELECTRON, MUON, PION, KAON, PROTON = 22, 11, -13, -211, 321, -2212
NEUTRON, K_LONG, LAMBDA, NEUTRINO = 2112, 130, -3122, 14
CHARGED, NEUTRAL = (PION, KAON, PROTON), (NEUTRON, K_LONG, LAMBDA)
NOISELESS = {"track": (0, 0), "photon": (0, 0), "hadron": (0, 0), "threshold": 0}


def measure(pt, pdgid, eta=0.0, n=N, **detector):
    """Responses of many equal particles, none of them lost by default."""
    columns = (np.full(n, value) for value in (pt, eta, pdgid))
    options = {"threshold": 0, "random_state": 0, **detector}
    return smear_particles(*columns, **options) / pt


def hadron_response(energy, h_over_e=0.5, m=0.82):
    return 1 - (1 - h_over_e) * max(energy, 1.0) ** (m - 1)


@pytest.mark.parametrize("pdgid", [PHOTON, ELECTRON, MUON])
def test_photons_and_leptons_have_a_response_of_one(pdgid):
    np.testing.assert_allclose(measure(20.0, pdgid, n=3, **NOISELESS), 1)


@pytest.mark.parametrize("pdgid", CHARGED + NEUTRAL)
@pytest.mark.parametrize(("pt", "eta"), [(0.4, 0.5), (5.0, 0.0), (300.0, -2.0)])
def test_hadrons_have_the_response_of_their_energy(pdgid, pt, eta):
    energy = pt * np.cosh(eta)
    for options in ({}, {"h_over_e": 0.7, "m": 0.9}):
        response = measure(pt, pdgid, eta, n=3, **NOISELESS, **options)
        np.testing.assert_allclose(response, hadron_response(energy, **options))


def test_response_falls_to_h_over_e_and_compensation_is_one():
    assert measure(0.2, PION, n=1, **NOISELESS, h_over_e=0.3) == pytest.approx(0.3)
    assert measure(50.0, PION, n=1, **NOISELESS, h_over_e=1) == pytest.approx(1)
    assert measure(50.0, PION, n=1, **NOISELESS, m=1) == pytest.approx(0.5)


@pytest.mark.parametrize("pdgid", CHARGED)
def test_tracker_measures_charged_hadrons_only(pdgid):
    for other in (pdgid, -pdgid):
        assert measure(9.0, other, n=1, charged="tracker", **NOISELESS) == 1
    for other in NEUTRAL:
        response = measure(9.0, other, n=1, charged="tracker", **NOISELESS)
        np.testing.assert_allclose(response, hadron_response(9.0))


@pytest.mark.parametrize("pdgid", [PHOTON, PION, NEUTRON])
@pytest.mark.parametrize(("pt", "eta"), [(2.0, 0.0), (40.0, 1.3)])
def test_calorimeter_follows_a_gamma_law(pdgid, pt, eta):
    energy = pt * np.cosh(eta)
    stochastic, constant, mean = (
        (0.1, 0.01, 1.0) if pdgid == PHOTON else (0.6, 0.05, hadron_response(energy))
    )
    variance = stochastic**2 / energy + constant**2
    response = measure(pt, pdgid, eta) / mean
    # The fourth central moment of the law is 3 v^2 + 6 v^3.
    assert abs(response.mean() - 1) < 4 * np.sqrt(variance / N)
    spread = variance * np.sqrt((2 + 6 * variance) / N)
    assert abs(response.var() - variance) < 4 * spread
    assert kstest(response, gamma(1 / variance, scale=variance).cdf).pvalue > 1e-3


@pytest.mark.parametrize("pdgid", [ELECTRON, PION])
@pytest.mark.parametrize("pt", [5.0, 500.0])
def test_tracker_is_gaussian(pdgid, pt):
    response = measure(pt, pdgid, charged="tracker")
    width = np.hypot(0.01, 1.5e-4 * pt)
    assert kstest(response, norm(1, width).cdf).pvalue > 1e-3


def test_particles_fluctuate_alone():
    response = measure(10.0, PION)
    assert abs(np.corrcoef(response[1:], response[:-1])[0, 1]) < 4 / np.sqrt(N)


def test_threshold_acts_on_what_is_measured():
    pt, threshold = 1.2, 0.6
    every = pt * measure(pt, PION)
    kept = pt * measure(pt, PION, threshold=threshold)
    np.testing.assert_array_equal(kept, np.where(every < threshold, 0, every))
    variance, mean = 0.36 / pt + 0.0025, hadron_response(pt)
    lost = gamma(1 / variance, scale=variance * mean).cdf(threshold / pt)
    assert abs((kept == 0).mean() - lost) < 4 * np.sqrt(lost * (1 - lost) / N)


def test_nothing_negative_is_measured():
    response = measure(5.0, MUON, track=(1.0, 0.0))
    assert abs((response == 0).mean() - norm.cdf(-1)) < 4 * np.sqrt(0.16 * 0.84 / N)
    assert (response >= 0).all()


def test_neutrinos_and_empty_slots_are_lost():
    assert measure(30.0, NEUTRINO, n=5).sum() == 0
    measured = smear_particles([0.0, 0.0], [0.0, 9.0], [22, 211], threshold=0)
    np.testing.assert_array_equal(measured, 0)
    assert smear_particles([], [], []).shape == (0,)


def test_seed_gives_the_noise_and_leaves_the_global_one():
    np.random.seed(3)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (measure(10.0, PION, random_state=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).all()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    generator = np.random.RandomState(1)
    np.testing.assert_array_equal(measure(10.0, PION, random_state=generator), first)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pt": [1.0]}, "one value a particle"),
        ({"pt": [[1.0, 2.0]]}, "one value a particle"),
        ({"pt": [1.0, -2.0]}, "pt must not be negative, got -2"),
        ({"eta": [0.0, np.nan]}, "eta contains NaN"),
        ({"pdgid": [22, np.inf]}, "pdgid contains infinity"),
        ({"charged": "both"}, "charged must be .* got 'both'"),
        ({"photon": 0.1}, "photon must be two terms"),
        ({"hadron": (0.6, -0.1)}, "hadron must be two terms"),
        ({"track": (0.1, np.nan)}, "track must be two terms"),
        ({"h_over_e": 1.5}, "h_over_e must be between 0 and 1"),
        ({"m": np.nan}, "m must be between 0 and 1"),
        ({"threshold": -1}, "threshold must not be negative"),
    ],
)
def test_errors(change, match):
    with pytest.raises(ValueError, match=match):
        smear_particles(
            **{"pt": [1.0, 2.0], "eta": [0.0, 0.0], "pdgid": [22, 22], **change}
        )
