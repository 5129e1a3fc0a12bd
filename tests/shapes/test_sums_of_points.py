"""Sums of points: N-subjettiness and N-jettiness with the best axes."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.shapes import Point, ShapinessTransformer

BETAS = [1.0, 1.2, 2.0, 3.0]
R = 0.5


def make_events(seed, counts, width=0.2):
    rng = np.random.default_rng(seed)
    return [
        np.column_stack([rng.exponential(10.0, n) + 0.1, rng.normal(0, width, (n, 2))])
        for n in counts
    ]


def costs(event, axes, beta):
    """Of each particle at each axis, in units of its energy."""
    gaps = np.linalg.norm(event[:, None, 1:] - axes, axis=2)
    return (gaps / R) ** beta / beta


def best_point(event, beta):
    """Spend the least energy on the way to one point."""
    total, places = event[:, 0].sum(), event[:, 1:]
    pt = event[:, 0] / total

    def cost_and_slope(axis):
        away = axis - places
        gaps = np.linalg.norm(away, axis=1)
        pull = pt * np.maximum(gaps, 1e-12) ** (beta - 2) / R**beta
        return pt @ (gaps / R) ** beta / beta, pull @ away

    found = minimize(
        cost_and_slope,
        pt @ places,
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    # for beta = 1 the best place may be a particle, where there is no slope
    return total * min(found.fun, (pt @ costs(event, places, beta)).min())


def best_partitions(event, n_points, beta, *, beam):
    """Try all assignments of particles to 1, 2, ... points, or to none."""
    n = len(event)
    sets = np.arange(2**n)
    holds = sets[:, None] >> np.arange(n) & 1 == 1
    one_point = np.array([0.0, *(best_point(event[h], beta) for h in holds[1:])])
    lost = holds @ event[:, 0] if beam else np.where(sets == 0, 0, np.inf)
    values, spent = [], lost
    for _ in range(n_points):
        spent = np.array(
            [(one_point[inner] + spent[outer ^ inner]).min()
             for outer in sets
             for inner in [sets[sets & outer == sets]]]
        )  # fmt: skip
        values.append(spent[-1])
    return np.array(values)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("beta", BETAS)
def test_all_assignments(beta, norm):
    # wider than R, so that some particles are better left to the beam
    events = make_events(0, [1, 2, 4], width=0.2 if norm else 0.5)
    events += make_events(1, [5, 6], width=0.2 if norm else 0.5)
    energies = np.array([event[:, 0].sum() for event in events])
    exact = np.array([best_partitions(e, 3, beta, beam=not norm) for e in events])
    if norm:
        exact /= energies[:, None]
    for n_points in (1, 2, 3):
        transformer = ShapinessTransformer("point", n_points, beta=beta, R=R, norm=norm)
        values = transformer.fit_transform(events)[:, 0]
        # both minimise in steps, to about 1e-8
        scale = 1 if norm else energies
        np.testing.assert_allclose(
            values / scale, exact[:, n_points - 1] / scale, rtol=1e-6, atol=1e-10
        )


@pytest.mark.parametrize("seed", range(3))
def test_one_point_is_the_geometric_median(seed):
    events = make_events(seed, [3, 4, 5, 10, 20, 40])
    rows = ShapinessTransformer("point", R=R).fit_transform(events)
    for event, (value, y, phi) in zip(events, rows, strict=True):
        exact = best_point(event, 1.0) / event[:, 0].sum()
        np.testing.assert_allclose(value, exact, 1e-7)
        # the median itself, as far as the bottom is not flat
        there = event[:, 0] @ costs(event, np.array([[y, phi]]), 1.0)
        np.testing.assert_allclose(there, exact * event[:, 0].sum(), 1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_one_point_with_squares_is_mean_and_variance(seed):
    events = make_events(seed, [1, 2, 3, 10, 100])
    rows = ShapinessTransformer("point", beta=2.0, R=R).fit_transform(events)
    for event, row in zip(events, rows, strict=True):
        z, places = event[:, 0] / event[:, 0].sum(), event[:, 1:]
        mean = z @ places
        variance = z @ ((places - mean) ** 2).sum(axis=1)
        exact = [variance / (2 * R**2), *mean]
        np.testing.assert_allclose(row, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_points", [1, 2, 3, 5])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("beta", BETAS)
def test_value_is_that_at_the_axes(beta, norm, n_points):
    events = make_events(2, [1, 3, 10, 40], width=0.4)
    transformer = ShapinessTransformer(n_points * Point(), beta=beta, R=R, norm=norm)
    rows = transformer.fit_transform(events)
    for event, row in zip(events, rows, strict=True):
        groups = row[1 : 1 + n_points * 3].reshape(n_points, -1) if n_points > 1 or (
            not norm
        ) else row[None, 1:]  # fmt: skip
        cost = costs(event, groups[:, :2], beta)
        nearest, least = cost.argmin(axis=1), cost.min(axis=1)
        energy = event[:, 0] if not norm else event[:, 0] / event[:, 0].sum()
        cap = np.inf if norm else 1.0
        value = energy @ np.minimum(least, cap)
        # places are rounded to some 1e-16
        np.testing.assert_allclose(row[0], value, rtol=1e-11, atol=1e-12)
        if groups.shape[1] == 3:
            kept = least < cap
            weights = np.bincount(nearest[kept], energy[kept], n_points)
            np.testing.assert_allclose(groups[:, 2], weights, rtol=1e-12, atol=1e-12)
            assert (np.diff(groups[:, 2]) <= 0).all()
        if not norm:
            np.testing.assert_allclose(
                row[-1], energy[least >= cap].sum(), rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("norm", [True, False])
def test_as_many_points_as_particles(beta, norm):
    for seed in range(2):
        for n in (1, 2, 4):
            (event,) = make_events(seed, [n])
            twins = np.vstack([event, event, event * [0, 1, 1] + [0, 5, 2]])
            for n_points in (n, n + 2):
                transformer = ShapinessTransformer(
                    "point", n_points, beta=beta, R=R, norm=norm, certificate=True
                )
                rows = transformer.fit_transform([event, twins])
                assert (rows[:, :2] == 0).all()
                assert np.isfinite(rows).all()
                weights = rows[:, 4::3] if n_points > 1 or not norm else np.ones(1)
                energies = np.array([[1], [2]]) * np.sort(event[:, 0])[::-1]
                if norm:
                    energies /= energies.sum(axis=1, keepdims=True)
                if n_points > 1 or not norm:
                    np.testing.assert_allclose(weights[:, :n], energies, 1e-12)
                    assert (weights[:, n:n_points] == 0).all()


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_more_points_are_closer(beta):
    jets, _ = load_quark_gluon_jets(n_jets=8, return_X_y=True)
    values = np.array(
        [
            ShapinessTransformer("point", n, beta=beta, R=0.4).fit_transform(jets)[:, 0]
            for n in (1, 2, 3, 4)
        ]
    )
    assert (np.diff(values, axis=0) < 0).all()


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("n_points", [1, 2, 3])
def test_beam_out_of_reach(beta, n_points):
    # all particles lie within R of each other
    events = make_events(3, [5, 10, 30], width=0.04)
    fractions, energies = (
        ShapinessTransformer("point", n_points, beta=beta, R=R, norm=norm)
        .fit_transform(events)
        for norm in (True, False)
    )  # fmt: skip
    total = [event[:, 0].sum() for event in events]
    np.testing.assert_allclose(energies[:, 0], fractions[:, 0] * total, 1e-12)
    np.testing.assert_array_equal(energies[:, -1], 0)


def test_beam_takes_what_is_far():
    # a hard core, and two soft particles that are farther from it than R
    event = np.array([[50, 0.0, 0.0], [30, 0.1, 0.0], [2, 0.9, 0.1], [1, -1.1, 0.0]])
    transformer = ShapinessTransformer("point", R=R, norm=False)
    value, y, phi, weight, beam = transformer.fit_transform([event])[0]
    assert (value, weight, beam) == pytest.approx((30 * 0.1 / R + 3, 80, 3), 1e-12)
    assert (y, phi) == pytest.approx((0, 0), abs=1e-12)
    # the second point saves the particle that costs most
    assert ShapinessTransformer("point", 2, R=R, norm=False).fit_transform([event])[
        0, 0
    ] == pytest.approx(3, 1e-12)


def test_ratio_to_the_sum_of_two_prongs():
    # prongs of known width around known axes
    rng = np.random.default_rng(4)
    places = np.repeat([[-0.15, 0.0], [0.15, 0.05]], 20, axis=0)
    event = np.column_stack([np.ones(40), places + rng.normal(0, 0.01, (40, 2))])
    one, two = (
        ShapinessTransformer("point", n, R=R).fit_transform([event])[0] for n in (1, 2)
    )
    assert two[0] / one[0] < 0.15
    axes = two[1:].reshape(2, 3)
    axes = axes[axes[:, 0].argsort()]
    # medians of 20 particles: 1.25 * 0.01 / sqrt(20) = 0.003
    np.testing.assert_allclose(axes[:, :2], places[[0, -1]], atol=0.012)
    np.testing.assert_allclose(axes[:, 2], 0.5, 1e-12)
