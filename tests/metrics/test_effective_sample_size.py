import numpy as np
import pytest

from sklearn_hepcal.metrics import effective_sample_size


def test_equal_weights_count_rows():
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7)


def test_scale_does_not_matter():
    weights = np.random.default_rng(0).exponential(size=50)
    expected = weights.sum() ** 2 / np.sum(weights**2)
    for scale in (1.0, 1e-200, 1e200):
        assert effective_sample_size(scale * weights) == pytest.approx(expected)


def test_it_predicts_the_variance_of_a_mean():
    rng = np.random.default_rng(1)
    weights = rng.exponential(size=100)
    means = rng.normal(size=(20_000, 100)) @ weights / weights.sum()
    assert 1 / np.var(means) == pytest.approx(effective_sample_size(weights), rel=0.04)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [], [1.0, np.nan]])
def test_unusable_weights(weights):
    with pytest.raises(ValueError, match="sample_weight must"):
        effective_sample_size(weights)
