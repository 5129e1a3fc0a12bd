import numpy as np
import pytest

from sklearn_hepcal.metrics import effective_sample_size, flatten_spectrum

each_seed = pytest.mark.parametrize("seed", range(3))


def power_law(seed, n_rows=20_000, index=2.0, ratio=8.0):
    """Momenta of 50 GeV to `ratio` times that, flat weighted by pt^index."""
    u = np.random.default_rng(seed).random(n_rows)
    return 50.0 * (1 - u * (1 - ratio**-index)) ** (-1 / index)


def histogram(pt, weight, n_bins=12):
    """Sums of weights in equal bins of log(pt), over their mean, and their errors."""
    x = np.log(pt)
    edges = np.linspace(x.min(), x.max(), n_bins + 1)
    sums, _ = np.histogram(x, edges, weights=weight)
    squares, _ = np.histogram(x, edges, weights=weight**2)
    return sums / sums.mean(), np.sqrt(squares) / sums.mean()


@each_seed
@pytest.mark.parametrize("index", [0.5, 2.0, 3.0])
def test_flat_within_statistics(index, seed):
    pt = power_law(seed, index=index)
    weight, _ = flatten_spectrum(pt, max_weight=np.inf)
    height, error = histogram(pt, weight)
    assert np.all(np.abs(height - 1) < 4 * error)
    before, _ = histogram(pt, np.ones(len(pt)))
    assert before.max() / before.min() > 2 > 1.5 * height.max() / height.min()


@each_seed
def test_bump_is_flattened(seed):
    rng = np.random.default_rng(seed)
    pt = np.exp(np.append(rng.normal(5.0, 0.2, 10_000), rng.uniform(4.0, 6.5, 20_000)))
    height, error = histogram(pt, flatten_spectrum(pt).weight, n_bins=25)
    assert np.all(np.abs(height - 1) < 4 * error)


@each_seed
def test_weights_are_the_inverse_of_the_density(seed):
    """Without spikes at the sparse end, where one row can be all of a bin."""
    pt = np.sort(power_law(seed, index=3.0, ratio=40.0, n_rows=5000))
    weight, _ = flatten_spectrum(pt, max_weight=np.inf)
    log_ratio = np.log(weight / pt**3)
    log_ratio -= np.median(log_ratio)
    assert np.abs(log_ratio[pt < 200]).max() < 0.3
    error_of_twenty = 1 / np.sqrt(20)
    assert abs(np.median(log_ratio[-20:])) < 4 * error_of_twenty
    assert log_ratio[-20:].max() < 4 * error_of_twenty


@each_seed
def test_no_spikes_within_a_smooth_spectrum(seed):
    pt = np.sort(power_law(seed, n_rows=300, index=3.0, ratio=20.0))
    weight, _ = flatten_spectrum(pt, max_weight=np.inf)
    # Neighbours in log(pt) have similar weights.
    slope = np.diff(np.log(weight)) / np.diff(np.log(pt))
    assert np.abs(slope).max() < 10


def test_largest_weight_and_effective_number():
    pt = power_law(0, index=4.0, ratio=30.0)
    free, clipped = (flatten_spectrum(pt, max_weight=limit) for limit in (np.inf, 10.0))
    assert free.weight.max() > 15 and free.n_eff < len(pt) / 10
    assert clipped.weight.max() == pytest.approx(10.0)
    assert clipped.n_eff >= len(pt) / 10
    below = clipped.weight < 9.999
    ratio = clipped.weight[below] / free.weight[below]
    np.testing.assert_allclose(ratio, ratio[0])
    for weight, n_eff in (free, clipped):
        assert weight.mean() == pytest.approx(1.0)
        assert n_eff == pytest.approx(weight.sum() ** 2 / np.sum(weight**2))


def test_no_weight_above_the_smallest_limit():
    np.testing.assert_allclose(flatten_spectrum(power_law(0), max_weight=1).weight, 1)


@each_seed
def test_physical_weights_of_a_flat_sample_cancel(seed):
    pt = power_law(seed, index=1e-6, ratio=40.0)
    weight, n_eff = flatten_spectrum(pt, 1e5 * pt**-5.0)
    np.testing.assert_allclose(weight, 1.0, atol=0.35)
    assert n_eff > 0.98 * len(pt)
    assert effective_sample_size(pt**-5.0) < 0.2 * len(pt)


def test_unit_of_pt_and_of_weights():
    pt = power_law(0, n_rows=500)
    weights = np.random.default_rng(0).random(500)
    expected, _ = flatten_spectrum(pt, weights)
    scaled, _ = flatten_spectrum(1000 * pt, 1e-9 * weights)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)


def test_rows_of_weight_zero_do_not_count():
    pt, weights = power_law(0, n_rows=600), np.ones(600)
    pt[:100], weights[:100] = np.geomspace(1.0, 1e6, 100), 0
    weight, n_eff = flatten_spectrum(pt, weights)
    expected = flatten_spectrum(pt[100:])
    np.testing.assert_array_equal(weight[:100], 0)
    np.testing.assert_allclose(weight[100:], expected.weight)
    assert n_eff == pytest.approx(expected.n_eff)


@pytest.mark.parametrize("n_rows", [1, 5])
def test_equal_momenta(n_rows):
    weight, n_eff = flatten_spectrum(np.full(n_rows, 100.0))
    np.testing.assert_array_equal(weight, 1.0)
    assert n_eff == n_rows


@pytest.mark.parametrize("n_rows", [2, 3, 9])
@pytest.mark.parametrize("n_bins", [3, 51])
def test_few_rows_and_wide_gaps(n_rows, n_bins):
    weight, _ = flatten_spectrum(np.geomspace(20.0, 2e4, n_rows), n_bins=n_bins)
    np.testing.assert_allclose(weight, weight[::-1], rtol=1e-6)
    assert weight.mean() == pytest.approx(1.0)
    assert weight.min() > 0.1


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"pt": [50.0, -1.0]}, ValueError, "pt must be positive, got -1"),
        ({"pt": [50.0, np.nan]}, ValueError, "pt must be .* finite"),
        ({"pt": []}, ValueError, "pt must be a non-empty"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight has 1 entries for 2"),
        ({"sample_weight": [1.0, -1.0]}, ValueError, "sample_weight must not be neg"),
        ({"n_bins": 2}, ValueError, "n_bins must be an integer of at least 3"),
        ({"n_bins": 2.5}, TypeError, "n_bins must be an integer"),
        ({"max_weight": 0.5}, ValueError, "max_weight must be at least 1, got 0.5"),
        ({"max_weight": np.nan}, ValueError, "max_weight must be at least 1"),
    ],
)
def test_unusable_arguments(changed, error, message):
    with pytest.raises(error, match=message):
        flatten_spectrum(**{"pt": [50.0, 100.0], **changed})
