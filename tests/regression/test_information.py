import numpy as np
import pytest

from sklearn_hepcal.datasets import make_resolution_problem
from sklearn_hepcal.regression._information import (
    log_normaliser,
    mutual_information_bound,
)

N_SHUFFLES = 32


def exact_values(problem, n, seed):
    X, y = problem.sample(n, random_state=seed)
    shifts = range(N_SHUFFLES + 1)
    return np.stack([problem.log_ratio(X, np.roll(y, -s, axis=0)) for s in shifts])


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_bound_of_the_exact_ratio_and_its_error(prior):
    problem = make_resolution_problem(10, prior=prior, random_state=0)
    pulls = []
    for seed in range(100):
        values = exact_values(problem, 2000, seed)
        value, error = mutual_information_bound(values, np.ones(2000))
        pulls.append((value - problem.mutual_information) / error)
    # mean and width of 100 pulls, five standard deviations
    assert abs(np.mean(pulls)) < 0.5 + 0.1
    assert abs(np.std(pulls) - 1) < 5 / np.sqrt(200)


def test_constants_drop_out():
    problem = make_resolution_problem(10, random_state=0)
    values = exact_values(problem, 500, 0)
    weight = np.random.default_rng(0).uniform(0.5, 2, 500)
    shifted = mutual_information_bound(values + 1000.0, 3 * weight)
    np.testing.assert_allclose(shifted, mutual_information_bound(values, weight))
    assert log_normaliser(values + 1000.0, weight) == pytest.approx(
        log_normaliser(values, weight) + 1000.0
    )


def test_weights_are_those_of_both_events():
    rng = np.random.default_rng(0)
    values, weight = 0.3 * rng.normal(size=(3, 200)), rng.uniform(0.5, 2, 200)
    pairs = [(s, i) for s in (1, 2) for i in range(200)]
    product = [weight[i] * weight[(i + s) % 200] for s, i in pairs]
    mean = np.average([np.exp(values[p]) for p in pairs], weights=product)
    bound = np.average(values[0], weights=weight) - np.log(mean)
    assert mutual_information_bound(values, weight)[0] == pytest.approx(bound)


# One event of which the network thinks far too much, with every z.
def test_one_event_does_not_decide():
    problem = make_resolution_problem(10, random_state=0)
    values = exact_values(problem, 20_000, 0)
    expected, error = mutual_information_bound(values, np.ones(20_000))
    shift = log_normaliser(values, np.ones(20_000))
    values[:, 7] = 40.0
    value, _ = mutual_information_bound(values, np.ones(20_000))
    assert expected - 0.06 < value < expected + error
    assert log_normaliser(values, np.ones(20_000)) == pytest.approx(shift, abs=0.06)


def test_mean_of_the_cut_ratio_is_one():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(scale=8, size=(5, 1000)), rng.uniform(0.5, 2, 1000)
    shift = log_normaliser(values, weight)
    limit = np.log(0.05 * weight.sum() ** 2 / (weight @ weight))
    pairs = np.stack([weight * np.roll(weight, -s) for s in range(1, 5)])
    ratio = np.exp(np.minimum(values[1:] - shift, limit))
    assert ratio.max() == pytest.approx(np.exp(limit))
    assert np.average(ratio, weights=pairs) == pytest.approx(1)


# A pair without weight is cut, and the others need no shift for it.
@pytest.mark.parametrize("first", [0.0, 50.0, 700.0])
def test_pairs_without_weight_do_not_count(first):
    rng = np.random.default_rng(0)
    values, weight = 0.1 * rng.normal(size=(4, 20)), np.ones(20)
    weight[3] = 0.0
    expected = log_normaliser(values, weight)
    values[1:, 3] = first
    assert log_normaliser(values, weight) == pytest.approx(expected)


# Half of the pairs have all of the ratio, which is then two, the limit, up to rounding.
@pytest.mark.parametrize("level", np.linspace(-300.0, 300.0, 25))
def test_ratios_at_the_limit(level):
    values = np.full((3, 4), level - 80.0)
    values[1:, :2] = level
    expected = level - np.log(2.0)
    assert log_normaliser(values, np.ones(4)) == pytest.approx(expected)
