"""Data weighted by how probably they are not background."""

import numpy as np
import pytest
from scipy.stats import norm

from sklearn_hepcal.calibration._maps import IdentityMap, Sample
from sklearn_hepcal.calibration._purity import weigh_by_purity

N_ROWS = 20_000
PART = 0.3


def sample(x, weight):
    return Sample(x[:, None], np.ones((len(x), 1)), np.broadcast_to(weight, len(x)))


def mixture(seed):
    """Simulation that is right, data, background, and which rows are background."""
    rng = np.random.default_rng(seed)
    is_background = rng.random(N_ROWS) < PART
    data = rng.normal(2.0 * is_background, 1.0)
    rows = np.concatenate([data, rng.normal(2.0, 1.0, N_ROWS)])
    target = sample(rows, np.repeat([1.0, -PART], N_ROWS))
    return sample(rng.normal(size=N_ROWS), 1.0), target, np.repeat([0, 1], N_ROWS) == 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_are_the_probability_of_the_signal(seed):
    source, target, background = mixture(seed)
    weighted = weigh_by_purity(IdentityMap(), source, target, background, seed)
    x = target.x[~background]
    np.testing.assert_array_equal(weighted.x, x)
    signal, other = (1 - PART) * norm.pdf(x[:, 0]), PART * norm.pdf(x[:, 0] - 2)
    exact = signal / (signal + other)
    assert np.abs(weighted.w - exact).mean() < 0.02
    # As many as there are, and their mean, which subtraction knows less well.
    error = np.sqrt(exact @ np.square(x[:, 0])) / exact.sum()
    assert np.average(weighted.x[:, 0], weights=weighted.w) == pytest.approx(
        0.0, abs=4 * error
    )
    assert weighted.w.sum() == pytest.approx((1 - PART) * N_ROWS, rel=0.02)


def test_events_that_weigh_more_count_more():
    source, target, background = mixture(0)
    twice = target._replace(w=2 * target.w)
    once, again = (
        weigh_by_purity(IdentityMap(), source, rows, background, 0)
        for rows in (target, twice)
    )
    np.testing.assert_allclose(again.w, 2 * once.w)


@pytest.mark.parametrize("side", ["simulation", "background"])
def test_signed_weights_stay_subtracted(side):
    source, target, background = mixture(0)
    weights = source.w.copy(), target.w.copy()
    weights[side == "background"][-1] *= -1
    source, target = source._replace(w=weights[0]), target._replace(w=weights[1])
    assert weigh_by_purity(IdentityMap(), source, target, background, 0) is target


def test_no_background_changes_nothing():
    source, target, background = mixture(0)
    data = target.take(np.flatnonzero(~background))
    nothing = np.zeros(len(data.w), dtype=bool)
    assert weigh_by_purity(IdentityMap(), source, data, nothing, 0) is data
