import pytest
import torch

from sklearn_hepcal.nn import BatchBalance

SEEDS = [0, 1, 2]


def sample(seed, n=4000, dim=3):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dim, generator=g) @ torch.randn(dim, dim, generator=g) + 2.0
    t = torch.rand(n, 1, generator=g)
    w = torch.rand(n, generator=g) + 0.5
    return x, torch.cat([t, 1 - t], 1), w / w.mean()


def balance_of(x, h, w):
    parts = list(zip(x.split(700), h.split(700), w.split(700), strict=True))
    return BatchBalance(lambda: parts)


def batches(n, size, seed, n_batches=2000):
    g = torch.Generator().manual_seed(seed + 100)
    return [torch.randperm(n, generator=g)[:size] for _ in range(n_batches)]


@pytest.mark.parametrize("seed", SEEDS)
def test_means_of_any_function_are_unbiased_and_closer(seed):
    x, h, w = sample(seed)
    balance = balance_of(x, h, w)
    value = torch.nn.functional.softplus(x @ torch.ones(3)) + h[:, 0]
    value = value - (w * value).mean() + 0.1
    exact = (w * value).mean()
    plain, adjusted = [], []
    for rows in batches(len(x), 128, seed):
        part = x[rows], h[rows], w[rows]
        plain.append((w[rows] * value[rows]).mean())
        adjusted.append((balance(*part) * value[rows]).mean())
    plain, adjusted = torch.stack(plain), torch.stack(adjusted)
    error = adjusted.std() / len(adjusted) ** 0.5
    assert abs(adjusted.mean() - exact) < 4 * error
    # What is left are the residuals of a weighted linear regression on x, h and a
    # constant, and the noise of five coefficients that a batch of 128 estimates itself.
    design = torch.cat([x, h], 1)
    root = w.sqrt()[:, None]
    solution = torch.linalg.lstsq(design * root, value[:, None] * root).solution
    residual = w * (value - (design @ solution)[:, 0])
    noise = 5 * (w * value).square().mean() / 128**2
    assert adjusted.var() < residual.var() / 128 + 2 * noise
    assert adjusted.var() < 0.2 * plain.var()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_that_is_the_sample_stays(seed):
    x, h, w = sample(seed)
    adjusted = balance_of(x, h, w)(x, h, w)
    # Up to each row's own share of the mean, four features among 4,000 rows.
    torch.testing.assert_close(adjusted, w, atol=0.2, rtol=0.0)
    assert (adjusted - w).abs().mean() < 0.005


def test_blocks_do_not_matter():
    x, h, w = sample(0)
    whole = BatchBalance(lambda: [(x, h, w)])
    torch.testing.assert_close(
        balance_of(x, h, w)(x[:50], h[:50], w[:50]),
        whole(x[:50], h[:50], w[:50]),
        atol=1e-5,
        rtol=1e-5,
    )


def test_constant_and_dependent_columns():
    x, h, w = sample(0)
    x = torch.cat([x, x[:, :1] + x[:, 1:2], torch.full((len(x), 1), 3.0)], 1)
    adjusted = balance_of(x, h, w)(x[:256], h[:256], w[:256])
    assert torch.isfinite(adjusted).all()
    assert adjusted.mean() == pytest.approx(1.0, abs=0.1)


def test_rows_far_out_do_not_dominate():
    x, h, w = sample(0)
    x[0] = 1e6
    adjusted = balance_of(x, h, w)(x[:256], h[:256], w[:256])
    assert adjusted.abs().max() < 10.0
