"""Rows that stay in a file, and networks for many columns."""

import tracemalloc

import numpy as np
import pytest
import torch

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import l2_uvp, monotonicity_violations


def on_disk(path, X, dtype=np.float32):
    stored = np.memmap(path, dtype=dtype, mode="w+", shape=X.shape)
    stored[:] = X
    stored.flush()
    return np.memmap(path, dtype=dtype, mode="r", shape=X.shape)


@pytest.fixture(scope="module")
def problem():
    return make_transport_problem(3000, dim=3, conditional=True, random_state=0)


@pytest.mark.parametrize("solver", ["bures", "quantile"])
def test_stored_rows_give_the_same_map(problem, tmp_path, solver):
    stored = on_disk(tmp_path / "X", problem.X, np.float64)
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(stored))
    maps = [
        OTCalibrator(solver, conditions=[3]).fit(X, problem.y, weight)
        for X in (problem.X, stored)
    ]
    moved = [calibrator.transform(problem.X_sim) for calibrator in maps]
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-10)


def test_selection_with_stored_rows(problem, tmp_path):
    stored = on_disk(tmp_path / "X", problem.X)
    calibrator = OTCalibrator("bures", conditions=[3], selection=True, random_state=0)
    assert calibrator.fit(stored, problem.y).selection_ == "bures"


def test_networks_read_batches(problem, tmp_path):
    stored = on_disk(tmp_path / "X", problem.X)
    calibrator = OTCalibrator(
        conditions=[3], selection=False, max_epochs=15, random_state=0
    ).fit(stored, problem.y)
    truth = problem.true_map(problem.X_sim)
    moved = calibrator.transform(problem.X_sim)
    gaussian = OTCalibrator("bures", conditions=[3]).fit(problem.X, problem.y)
    before = l2_uvp(gaussian.transform(problem.X_sim)[:, :3], truth[:, :3])
    assert l2_uvp(moved[:, :3], truth[:, :3]) < before


def test_stored_rows_are_not_loaded(tmp_path):
    n, dim = 60_000, 64
    rng = np.random.default_rng(0)
    shape = (2 * n, dim)
    stored = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=shape)
    for start in range(0, 2 * n, 10_000):
        block = rng.normal(size=(10_000, dim))
        stored[start : start + 10_000] = block + (start >= n)
    y = np.repeat([0, 1], n)
    calibrator = OTCalibrator(selection=False, max_epochs=1, batch_size=2048)
    calibrator.set_params(random_state=0, hidden_width=16)
    calibrator.fit(stored[:2000:2], y[:2000:2] + np.arange(1000) % 2)  # imports torch
    tracemalloc.start()
    calibrator.fit(stored, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # In double precision all rows take 61 MB, and copies of them more.
    assert peak < 8 * np.prod(shape)
    shift = calibrator.transform(stored[:1000]) - stored[:1000]
    # Thirty steps of the network: the Gaussian map before it is exact.
    assert shift.mean() == pytest.approx(1.0, abs=0.1)


@pytest.fixture(scope="module", params=[32, 128])
def wide(request):
    problem = make_transport_problem(1500, dim=request.param, random_state=0)
    calibrator = OTCalibrator(
        selection=False, max_epochs=6, shrinkage="auto", random_state=0
    )
    return problem, calibrator.fit(problem.X, problem.y)


def test_wide_maps_are_monotone(wide):
    problem, calibrator = wide
    X = np.vstack([problem.X_sim, 10 * problem.X_sim])
    violations = monotonicity_violations(
        calibrator.transform, X, 20_000, random_state=0
    )
    assert violations == 0
    assert calibrator.min_curvature_ > 0


def test_wide_maps_have_an_inverse(wide):
    problem, calibrator = wide
    X = problem.X_sim[:200]
    back = calibrator.inverse_transform(calibrator.transform(X))
    np.testing.assert_allclose(back, X, atol=1e-5)


def test_wide_jacobians_are_those_of_autograd(wide):
    problem, calibrator = wide
    X = problem.X_sim[:3]
    fitted, centre = calibrator._map, calibrator._frame.origin
    gaussian = fitted.gaussian
    h = torch.ones(1, 1, dtype=torch.float64)
    expected = []
    for row in X - centre:
        white = gaussian.whiten_source(row[None], np.ones((1, 1))) / fitted.scale
        jacobian = torch.autograd.functional.jacobian(
            lambda x: fitted.module.gradient(x[None], h)[0], torch.tensor(white[0])
        )
        inner = torch.linalg.slogdet(jacobian)[1].item()
        expected.append(inner + 2 * np.linalg.slogdet(gaussian.root[0])[1])
    np.testing.assert_allclose(
        calibrator.log_abs_det_jacobian(X), expected, rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_automatic_shrinkage_helps_where_rows_are_few(seed):
    # 120 rows of 64 independent columns: correlations are noise.
    rng = np.random.default_rng(seed)
    X_sim, X_data = rng.normal(size=(2, 120, 64))
    X = rng.normal(size=(1000, 64))
    errors = {}
    for shrinkage in (1e-4, "auto"):
        calibrator = OTCalibrator("bures", shrinkage=shrinkage)
        calibrator.fit_samples(X_sim, X_data)
        errors[shrinkage] = np.square(calibrator.transform(X) - X).mean()
    assert errors["auto"] < 0.25 * errors[1e-4]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_automatic_shrinkage_is_small_where_rows_are_many(seed):
    problem = make_transport_problem(20_000, dim=8, kind="gaussian", random_state=seed)
    moved = [
        OTCalibrator("bures", shrinkage=shrinkage)
        .fit(problem.X, problem.y)
        .transform(problem.X_sim)
        for shrinkage in (0.0, "auto")
    ]
    assert l2_uvp(moved[1], moved[0]) < 0.02
