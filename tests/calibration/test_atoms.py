import warnings

import numpy as np
import pandas as pd
import pytest
from seeds import FIRST_SEED_ELSE_SLOW

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.calibration._atoms import AtomSplitter, find_atoms
from sklearn_hepcal.metrics import closure_auc

SEEDS = [0, 1, 2]


def splitter_of(x, y=None):
    return AtomSplitter.from_atoms(find_atoms(x, x if y is None else y))


def mixed(rng, n=5000):
    """Three columns: with an edge at zero, with an atom inside, and smooth."""
    x = rng.normal(size=(n, 3))
    x[:, 0] = np.maximum(x[:, 0], 0.0)
    x[rng.random(n) < 0.3, 1] = -0.25
    return x


@pytest.mark.parametrize("seed", SEEDS)
def test_splitting_is_undone_exactly(seed):
    x = mixed(np.random.default_rng(seed))
    splitter = splitter_of(x)
    split = splitter.split(x)
    assert splitter.columns.tolist() == [0, 1]
    assert (np.unique(split[:, 0], return_counts=True)[1] == 1).all()
    merged = splitter.merge(split)
    atoms = (x == 0.0) | (x == -0.25)
    np.testing.assert_array_equal(merged[atoms], x[atoms])
    np.testing.assert_allclose(merged, x, atol=1e-12)
    np.testing.assert_array_equal(split[:, 2], x[:, 2])


@pytest.mark.parametrize("seed", SEEDS)
def test_order_is_kept(seed):
    x = mixed(np.random.default_rng(seed))
    split = splitter_of(x).split(x)
    for before, after in zip(x.T, split.T, strict=True):
        order = np.argsort(after)
        assert (np.diff(before[order]) >= 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gap_is_filled_evenly_and_independently(seed):
    x = mixed(np.random.default_rng(seed), 40_000)
    splitter = splitter_of(x)
    split = splitter.split(x)
    both = (x[:, 0] == 0.0) & (x[:, 1] == -0.25)
    widths = [part[0] for part in splitter.widths]
    first = split[both, 0] / widths[0]
    second = (split[both, 1] + 0.25) / widths[1]
    # Means, variances and the correlation of two even laws, within four errors.
    n = both.sum()
    for u in (first, second):
        assert u.min() >= 0.0 and u.max() < 1.0
        assert abs(u.mean() - 1 / 2) < 4 / np.sqrt(12 * n)
        assert abs(u.var() - 1 / 12) < 4 / np.sqrt(180 * n)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(n)


def test_place_in_the_gap_depends_on_the_row_alone():
    x = mixed(np.random.default_rng(0))
    splitter = splitter_of(x)
    order = np.random.default_rng(1).permutation(len(x))
    np.testing.assert_array_equal(splitter.split(x)[order], splitter.split(x[order]))
    np.testing.assert_array_equal(
        splitter.split(np.where(x == 0, -0.0, x)), splitter.split(x)
    )


def test_whole_numbers_are_atoms_all_over():
    x = np.random.default_rng(0).poisson(2.0, (5000, 1)).astype(float)
    splitter = splitter_of(x)
    np.testing.assert_array_equal(splitter.merge(splitter.split(x)), x)


def test_few_equal_values_are_no_atoms():
    x = np.round(np.random.default_rng(0).normal(size=(5000, 2)), 3)
    assert find_atoms(x, x) == []


def rectified(rng, n, shift):
    """Latent vectors behind rectified linear units; the first column is smooth."""
    z = rng.normal(shift, 1.0, (n, 3)) @ np.array(
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]
    )
    z[:, 1:] = np.maximum(z[:, 1:], 0.0)
    return z


def test_atoms_are_named():
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(rectified(rng, 500, shift), columns=["z0", "z1", "z2"])
        for shift in (0.0, 0.2)
    ]
    with pytest.warns(UserWarning, match=r"share a value: z[12] \(0 in .*z[12] \(0 in"):
        OTCalibrator("bures").fit_samples(*frames)
    with pytest.raises(ValueError, match='atoms="dequantise"'):
        OTCalibrator("bures", atoms="error").fit_samples(*frames)


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_dequantised_atoms_close(seed):
    rng = np.random.default_rng(seed)
    sim, data, fresh, judge = (
        rectified(rng, 20_000, shift) for shift in (0.0, 0.4, 0.0, 0.4)
    )
    closures = {}
    for how in ("warn", "dequantise"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            calibrator = OTCalibrator("bures", atoms=how).fit_samples(sim, data)
        moved = calibrator.transform(fresh)
        closures[how] = closure_auc(moved, judge, random_state=seed).auc
    assert closures["warn"] > 0.8
    assert closures["dequantise"] < 0.58
    # As many zeros as in data, to the statistics and the Gaussian map's bias.
    zeros, wanted = ((rows[:, 1:] == 0).mean(axis=0) for rows in (moved, judge))
    before = (fresh[:, 1:] == 0).mean(axis=0)
    assert (np.abs(zeros - wanted) < 0.3 * np.abs(before - wanted)).all()


def test_constant_columns_stay():
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.normal(size=(2, 500, 3))
    X_sim[:, 1] = X_data[:, 1] = 3.0
    calibrator = OTCalibrator("bures").fit_samples(X_sim, X_data)
    assert calibrator.moved_.tolist() == [0, 2]
    np.testing.assert_array_equal(calibrator.transform(X_sim)[:, 1], 3.0)
    with pytest.raises(ValueError, match="nothing is left to move"):
        OTCalibrator("bures").fit_samples(X_sim[:, [1]], X_data[:, [1]])
