from dataclasses import replace

import numpy as np
import pytest

from sklearn_hepcal.datasets._helix import find_perigee
from sklearn_hepcal.datasets._tracker import Tracker

N = 40_000
SEEDS = [0, 1, 2]
CLEAN = Tracker(tail_fraction=0.0, error_spread=0.0)


def draw(seed, radius=5.0):
    rng = np.random.default_rng(seed)
    pt = np.exp(rng.uniform(np.log(0.6), np.log(200), N))
    phi, eta = rng.uniform(-np.pi, np.pi, N), rng.uniform(-2.4, 2.4, N)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    position = rng.uniform(-radius, radius, (N, 3))
    return position, momentum, rng.choice([-1, 1], N), rng


def pulls(tracker, seed):
    position, momentum, charge, rng = draw(seed)
    tracks = tracker.measure(position, momentum, charge, rng)
    perigee = find_perigee(position, momentum, charge, tracker.field)
    pt = np.hypot(*momentum.T[:2])
    sine = pt / np.linalg.norm(momentum, axis=1)
    true = {
        "d0": perigee.d0,
        "z0SinTheta": perigee.z0 * sine,
        "qOverP": charge * sine / pt,
    }
    return {
        name: (tracks[name] - value) / tracks[f"{name}Uncertainty"]
        for name, value in true.items()
    }


def assert_width(pull, width, tolerance=0.02):
    assert abs(pull.mean()) < 4 * width / np.sqrt(N)
    assert pull.std() == pytest.approx(width, rel=tolerance)


@pytest.mark.parametrize("seed", SEEDS)
def test_pulls_are_normal(seed):
    for name, pull in pulls(CLEAN, seed).items():
        # errors from measured momenta widen them by less than a per cent
        assert pull.std() == pytest.approx(1, abs=0.03), name
        assert abs(np.mean(np.abs(pull) < 1) - 0.6827) < 0.01, name


@pytest.mark.parametrize("seed", SEEDS)
def test_impact_parameters_of_data_are_worse_than_told(seed):
    for name, pull in pulls(replace(CLEAN, impact_scale=1.3), seed).items():
        assert_width(pull, 1 if name == "qOverP" else 1.3, tolerance=0.03)


def test_tails_are_common_to_both_impact_parameters():
    pull = pulls(Tracker(error_spread=0.0), 0)
    far = [np.abs(pull[name]) > 4 for name in ("d0", "z0SinTheta")]
    # a Gaussian of width 3 is beyond 4 with 18.2 per cent
    assert far[0].mean() == pytest.approx(0.05 * 0.182, rel=0.2)
    assert far[1][far[0]].mean() == pytest.approx(0.182, abs=0.08)


def test_errors_follow_the_told_resolution():
    position, momentum, charge, rng = draw(4)
    tracks = Tracker().measure(position, momentum, charge, rng)
    sine = 1 / np.cosh(tracks["eta"])
    innermost = tracks["numberOfInnermostPixelLayerHits"] > 0
    for name, constant, scattering, worse in (
        ("d0", 0.012, 0.070, 1.8),
        ("z0SinTheta", 0.035, 0.090, 1.5),
    ):
        sigma = np.hypot(constant, scattering / (tracks["pt"] * np.sqrt(sine)))
        sigma *= np.where(innermost, 1, worse)
        off = np.log(tracks[f"{name}Uncertainty"] / sigma)
        assert_width(off, 0.08)


# Given the measured momentum, no column may tell the true one.
def test_errors_are_functions_of_measured_momenta():
    position, momentum, charge, rng = draw(5)
    tracks = CLEAN.measure(position, momentum, charge, rng)
    pt = tracks["pt"]
    assert np.std(pt / np.hypot(*momentum.T[:2])) > 0.01
    relative = np.hypot(0.01, 4e-4 * pt)
    np.testing.assert_allclose(
        tracks["qOverPUncertainty"], np.abs(tracks["qOverP"]) * relative, rtol=1e-12
    )
    np.testing.assert_allclose(
        np.abs(tracks["qOverP"]), 1 / (pt * np.cosh(tracks["eta"])), rtol=1e-9
    )
    for name in ("phiUncertainty", "thetaUncertainty"):
        np.testing.assert_allclose(tracks[name], 1e-4 + 1e-3 / pt, rtol=1e-12)


def test_hits():
    position, momentum, charge, rng = draw(6)
    position[: N // 2] = [34, 0, 0]
    tracks = Tracker().measure(position, momentum, charge, rng)
    innermost = tracks["numberOfInnermostPixelLayerHits"]
    pixels, strips = tracks["numberOfPixelHits"], tracks["numberOfSCTHits"]
    assert (innermost[: N // 2] == 0).all()
    error = 4 * np.sqrt(0.25 / N)
    assert innermost[N // 2 :].mean() == pytest.approx(0.94, abs=error)
    assert set(pixels - innermost) == {2, 3}
    assert np.mean(pixels - innermost == 2) == pytest.approx(0.08, abs=error)
    assert set(strips) == {5, 6, 7, 8}
    assert np.mean(strips == 8) == pytest.approx(0.88**3, abs=error)


def test_acceptance():
    momentum = np.array([[1.0, 0, 0], [0.4, 0, 0], [1.0, 0, 6.1], [1.0, 0, 0]])
    position = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [40, 40, 0]])
    accepted = Tracker().accepts(position, momentum)
    np.testing.assert_array_equal(accepted, [True, False, False, False])


def test_efficiency():
    is_electron = np.arange(N) % 2 == 0
    found = Tracker().finds(is_electron, np.random.default_rng(0))
    error = 4 * np.sqrt(0.25 / (N / 2))
    assert found[~is_electron].mean() == pytest.approx(0.95, abs=error)
    assert found[is_electron].mean() == pytest.approx(0.76, abs=error)


def test_vertices_are_smeared():
    shifts = Tracker().smear_vertices(N, np.random.default_rng(0))
    np.testing.assert_allclose(shifts.std(axis=0), [0.008, 0.008, 0.020], rtol=0.02)
