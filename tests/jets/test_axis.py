import numpy as np
import pytest

from sklearn_hepcal.jets import Jets, relative_constituents


def make(seed, n_jets=30):
    """Narrow jets anywhere, one of them without constituents."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, n_jets)
    counts[3] = 0
    jet = np.repeat(np.arange(n_jets), counts)
    y, phi = rng.uniform(-2, 2, n_jets), rng.uniform(-np.pi, np.pi, n_jets)
    phi[:2] = np.pi, -np.pi
    shift = rng.normal(0, 0.2, (2, len(jet)))
    pt = rng.exponential(20, len(jet))
    azimuth = (phi[jet] + shift[1] + np.pi) % (2 * np.pi) - np.pi
    return Jets(
        constituents=np.column_stack([pt, y[jet] + shift[0], azimuth]),
        offsets=np.concatenate([[0], counts.cumsum()]),
    )


@pytest.mark.parametrize("seed", range(3))
def test_axis_is_where_the_momenta_balance(seed):
    jets = make(seed)
    relative = relative_constituents(jets)
    full = jets.counts > 0

    def total(column):
        return np.bincount(jets.jet_index, column, len(jets))

    np.testing.assert_allclose(total(relative.fraction), full)
    np.testing.assert_allclose(total(relative.fraction * relative.dy), 0, atol=1e-14)
    transverse = relative.fraction * np.sin(relative.dphi)
    np.testing.assert_allclose(total(transverse), 0, atol=1e-14)
    np.testing.assert_allclose(relative.pt, total(jets.constituent("pt")))
    np.testing.assert_allclose(
        relative.dy + relative.y[jets.jet_index], jets.constituent("eta")
    )
    assert np.abs(relative.dphi).max() < 1.5  # also for jets at an azimuth of pi


@pytest.mark.parametrize("seed", range(3))
def test_splitting_and_turning_do_not_matter(seed):
    jets = make(seed)
    relative = relative_constituents(jets)
    turned = jets.constituents + np.array([0, 0, 2.0])
    other = relative_constituents(jets.replace(constituents=turned))
    np.testing.assert_allclose(other.dphi, relative.dphi, atol=1e-13)
    halves = np.repeat(jets.constituents * np.array([0.5, 1, 1]), 2, axis=0)
    split = jets.replace(constituents=halves, offsets=2 * jets.offsets)
    other = relative_constituents(split)
    for name in ("pt", "y"):
        np.testing.assert_allclose(getattr(other, name), getattr(relative, name))
    for name in ("dy", "dphi"):
        np.testing.assert_allclose(
            getattr(other, name), np.repeat(getattr(relative, name), 2), atol=1e-13
        )


def test_negative_momenta_leave_fractions_bounded():
    jets = Jets.from_list([[[100.0, 0, 0], [-99.999, 0, 0], [0.001, 1, 1]]])
    assert np.abs(relative_constituents(jets).fraction).sum() == pytest.approx(1)


def test_coordinates_are_needed():
    jets = Jets.from_list([[[1.0, 0, 0]]], constituent_names=["pt", "phi", "eta"])
    with pytest.raises(ValueError, match="must be 'pt', 'y' or 'eta', and 'phi'"):
        relative_constituents(jets)
