import numpy as np
import pytest

from sklearn_hepcal.metrics import (
    discriminant,
    efficiency,
    efficiency_ratio,
    working_point_cuts,
)


@pytest.fixture
def proba():
    return np.random.default_rng(0).dirichlet([1, 1, 1], size=200)


def test_default_discriminant(proba):
    u, c, b = proba.T
    np.testing.assert_allclose(discriminant(proba), np.log(b / (0.2 * c + 0.8 * u)))


def test_other_signal_order_and_scale(proba):
    u, c, b = proba.T
    score = discriminant(
        5 * np.column_stack([b, u, c]),
        signal="c",
        fractions={"b": 0.3, "light": 0.7},
        order=("b", "light", "c"),
    )
    np.testing.assert_allclose(score, np.log(c / (0.3 * b + 0.7 * u)))


def test_discriminant_of_zeros_is_finite_and_ordered():
    score = discriminant([[1.0, 0.0, 0.0], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0]])
    assert np.isfinite(score).all()
    assert score[0] < -700
    assert score[2] > 700


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": "tau"}, r"signal must be one of \['u', 'c', 'b'\], got 'tau'"),
        ({"order": ("u", "b")}, "proba has 3 columns"),
        ({"fractions": {"u": 1.0}}, r"fractions must name the classes \['u', 'c'\]"),
        ({"fractions": {"u": 0.9, "c": 0.2}}, "sum to 1"),
        ({"fractions": {"u": 1.1, "c": -0.1}}, "must be non-negative"),
    ],
)
def test_unusable_discriminant(proba, options, message):
    with pytest.raises(ValueError, match=message):
        discriminant(proba, **options)


def test_negative_probability(proba):
    with pytest.raises(ValueError, match="proba must not be negative"):
        discriminant(proba - 0.5)


@pytest.mark.parametrize("n", [10, 37, 1000])
def test_cuts_are_the_tightest_that_pass_the_wanted_part(n):
    scores = np.random.default_rng(n).normal(size=n)
    wanted = np.array([0.6, 0.7, 0.77, 0.85, 0.9, 1.0])
    cuts = working_point_cuts(scores, wanted)
    assert set(cuts) <= set(scores)
    passed = efficiency(scores, cuts).value
    assert np.all(passed >= wanted - 1e-12)
    assert np.all(passed < wanted + 1 / n - 1e-12)


def test_cuts_with_weights_are_those_of_repeated_jets():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=300).round(1)
    counts = rng.integers(0, 4, 300)
    wanted = np.linspace(0.05, 1, 20)
    np.testing.assert_array_equal(
        working_point_cuts(scores, wanted, counts),
        working_point_cuts(np.repeat(scores, counts), wanted),
    )


@pytest.mark.parametrize("wanted", [0.0, -0.1, 1.01])
def test_unusable_working_points(wanted):
    with pytest.raises(ValueError, match="efficiencies must be above 0"):
        working_point_cuts([1.0, 2.0], [wanted])


def test_efficiency_is_binomial():
    scores = np.random.default_rng(0).normal(size=400)
    cuts = np.array([-9.0, 0.3, 1.0, 9.0])
    value, error = efficiency(scores, cuts)
    expected = np.mean(scores >= cuts[:, None], axis=1)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(
        error, np.sqrt(expected * (1 - expected) / 400), atol=1e-12
    )


def test_efficiency_counts_scores_on_the_cut():
    assert efficiency([1.0, 2.0, 2.0, 3.0], [2.0]).value[0] == pytest.approx(0.75)


def test_weighted_efficiency_is_that_of_repeated_jets():
    rng = np.random.default_rng(0)
    scores, counts = rng.normal(size=300), rng.integers(0, 4, 300)
    cuts = np.linspace(-2, 2, 9)
    repeated = np.repeat(scores, counts)
    np.testing.assert_allclose(
        efficiency(scores, cuts, counts).value, efficiency(repeated, cuts).value
    )


def pseudo_experiments(n_experiments, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n_experiments):
        scores = rng.normal(size=300)
        # weights that depend on the score, some of them negative
        yield scores, np.exp(0.7 * scores) * rng.choice([1, 1, 1, -0.3], 300)


def test_weighted_error_is_the_scatter():
    results = [
        (estimate.value[0], estimate.error[0])
        for scores, weights in pseudo_experiments(1500, 0)
        for estimate in [efficiency(scores, [1.0], weights)]
    ]
    values, errors = np.transpose(results)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.08)


def test_ratio_and_its_scatter():
    results = []
    experiments = list(pseudo_experiments(2000, 1))
    for (num, weights), (den, _) in zip(
        experiments[::2], experiments[1::2], strict=True
    ):
        estimate = efficiency_ratio(num, den, [0.0], sample_weight_num=weights)
        results.append((estimate.value[0], estimate.error[0]))
    values, errors = np.transpose(results)
    # P(x > 0) is .758 for a Gaussian of mean .7 and .5 for one of mean 0
    assert np.mean(values) == pytest.approx(0.758 / 0.5, rel=0.01)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_ratio_of_nothing_is_not_a_number():
    value, error = efficiency_ratio([1.0, 2.0], [1.0, 2.0], [1.5, 3.0])
    np.testing.assert_array_equal(np.isnan(value), [False, True])
    np.testing.assert_array_equal(np.isnan(error), [False, True])


def test_unusable_weights():
    with pytest.raises(ValueError, match="sample_weight must have a positive sum"):
        efficiency([1.0, 2.0], [1.5], [1.0, -1.0])
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        working_point_cuts([1.0, 2.0], [0.5], [1.0, -0.5])
