import numpy as np
import pytest

from sklearn_hepcal.metrics import kinematic_weights

LABELS = np.array(["u", "c", "b"])


# Momenta and rapidities of classes with different spectra; c jets are the fewest.
def sample(seed, n_jets=6000):
    rng = np.random.default_rng(seed)
    flavour = rng.choice(3, n_jets, p=[0.6, 0.1, 0.3])
    pt = 20 + rng.exponential(np.array([40.0, 50.0, 60.0])[flavour])
    eta = 2.5 * rng.beta(1.0, np.array([1.0, 1.2, 1.5])[flavour])
    return np.column_stack([pt, eta]), LABELS[flavour]


def spectrum(values, edges, weights):
    counts, _ = np.histogramdd(values, edges, weights=weights)
    return counts / counts.sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", [None, "c", "b", "u"])
def test_all_classes_get_the_spectrum_of_the_target(target, weighted):
    values, y = sample(0)
    weights = np.random.default_rng(1).exponential(size=len(y)) if weighted else None
    edges = [np.array([20.0, 40.0, 60.0, 100.0, 1000.0]), np.array([0, 0.5, 1, 2.5])]
    result = kinematic_weights(
        values, y, target=target, bins=edges, sample_weight=weights
    )
    aim = y == (target or "c")
    before = np.ones(len(y)) if weights is None else weights
    expected = spectrum(values[aim], edges, before[aim])
    for label in LABELS:
        jets = y == label
        np.testing.assert_allclose(
            spectrum(values[jets], edges, result[jets]), expected, atol=1e-12
        )
        assert result[jets].mean() == pytest.approx(1.0)
    # the target itself is only scaled
    ratio = result[aim] / before[aim]
    np.testing.assert_allclose(ratio, ratio[0])


def test_weights_are_the_ratio_of_exact_densities():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [100_000, 50_000])
    # the densities 1 and 2 x
    x = np.where(y == 1, np.sqrt(rng.random(150_000)), rng.random(150_000))
    weights = kinematic_weights(x, y, target=1, bins=np.linspace(0, 1, 11))
    centres = (np.floor(10 * x[y == 0]) + 0.5) / 10
    np.testing.assert_allclose(weights[y == 0], 2 * centres, rtol=0.05, atol=0.015)


def test_quantile_bins_hold_equal_numbers_of_the_target():
    values, y = sample(0)
    pt = values[:, 0]
    edges = np.quantile(pt[y == "c"], np.linspace(0, 1, 6))
    np.testing.assert_array_equal(
        kinematic_weights(pt, y, bins=5), kinematic_weights(pt, y, bins=edges)
    )
    for bins in ([5, edges], (edges, 5), np.array([5, 5])):
        by_column = kinematic_weights(np.column_stack([pt, pt]), y, bins=bins)
        np.testing.assert_allclose(by_column, kinematic_weights(pt, y, bins=5))


def test_one_column_is_a_vector():
    values, y = sample(0)
    pt, edges = values[:, 0], [20.0, 30.0, 50.0, 100.0]
    expected = kinematic_weights(pt, y, bins=edges)
    for bins in (edges, [edges], np.array(edges)):
        np.testing.assert_array_equal(
            kinematic_weights(pt[:, None], y, bins=bins), expected
        )


def test_outer_bins_reach_to_infinity():
    x, y = [0.0, 1.0, 2.0, 9.0, 0.0, 1.5, 1.6, 99.0], ["c"] * 4 + ["b"] * 4
    weights = kinematic_weights(x, y, target="c", bins=[0.5, 1.2, 2.5])
    np.testing.assert_allclose(weights[4:], [2, 2 / 3, 2 / 3, 2 / 3])


def test_bins_without_target_get_zero():
    x, y = [0.0, 1.0, 1.0, 0.5, 1.5, 2.5, 2.5], ["c"] * 3 + ["b"] * 4
    weights = kinematic_weights(x, y, target="c", bins=[0, 1, 2, 3])
    np.testing.assert_allclose(weights, [1, 1, 1, 4 / 3, 8 / 3, 0, 0])


def test_repeated_jets_and_jets_of_weight_zero():
    values, y = sample(0, 2000)
    counts = np.random.default_rng(1).integers(0, 3, 2000)
    edges = [[20.0, 40.0, 80.0], [0.0, 1.0, 2.5]]
    weighted = kinematic_weights(
        values, y, target="b", bins=edges, sample_weight=counts
    )
    repeated = kinematic_weights(
        np.repeat(values, counts, axis=0), np.repeat(y, counts), target="b", bins=edges
    )
    assert not weighted[counts == 0].any()
    for label in LABELS:
        jets = (y == label) & (counts > 0)
        assert weighted[jets].mean() == pytest.approx(1.0)
        copies = np.repeat(weighted[jets] / counts[jets], counts[jets])
        np.testing.assert_allclose(
            copies / copies.mean(), repeated[np.repeat(y, counts) == label]
        )


def test_default_target_has_the_fewest_effective_jets():
    values, y = sample(0)
    weights = np.ones(len(y))
    weights[y == "u"] = np.random.default_rng(0).pareto(0.5, (y == "u").sum())
    result = kinematic_weights(values, y, sample_weight=weights)
    np.testing.assert_array_equal(
        result, kinematic_weights(values, y, target="light", sample_weight=weights)
    )


def test_spellings_of_the_target():
    values, y = sample(0)
    numbers = np.select([y == "u", y == "c", y == "b"], [0, 4, 5])
    np.testing.assert_array_equal(
        kinematic_weights(values, y, target="b"),
        kinematic_weights(values, numbers, target="bjets"),
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"target": "tau"},
            ValueError,
            r"target must be one of \['b', 'c'\], got 'tau'",
        ),
        ({"bins": 0}, ValueError, "bins must be an integer of at least 1, got 0"),
        ({"bins": 2.5}, TypeError, "bins must be an integer of at least 1, got 2.5"),
        ({"bins": []}, ValueError, "bins must be a non-empty array"),
        ({"bins": [1.0]}, ValueError, "bins must be increasing edges, at least two"),
        ({"bins": [1.0, 1.0]}, ValueError, "bins must be increasing edges"),
        ({"bins": [[0, 1], [0, 1]]}, ValueError, "each of the 1 columns .* got 2"),
        ({"bins": [0, 2, 9], "target": "c"}, ValueError, r"wide enough .* \['b'\]"),
        (
            {"sample_weight": [1, 1, 0, 0]},
            ValueError,
            r"each class, got none for \['b'",
        ),
        ({"sample_weight": [1, 1, 1, -1]}, ValueError, "must not be negative"),
    ],
)
def test_unusable_weights(options, error, message):
    with pytest.raises(error, match=message):
        kinematic_weights([0.0, 1.0, 3.0, 4.0], ["c", "c", "b", "b"], **options)


def test_unusable_values():
    with pytest.raises(ValueError, match="values must be a non-empty array of finite"):
        kinematic_weights([0.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        kinematic_weights([0.0, 1.0], [0, 1, 1])
