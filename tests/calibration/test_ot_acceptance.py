"""Accuracy at full size: minutes of training, in the default configuration."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.datasets import load_flavour_scores, make_transport_problem
from sklearn_hepcal.metrics import (
    closure_auc,
    discriminant,
    efficiency_ratio,
    l2_uvp,
    monotonicity_violations,
    working_point_cuts,
)

pytestmark = pytest.mark.slow

N_ROWS = 50_000


def on_the_spectrum_of_data(problem, n, seed):
    """Fresh simulation whose condition is drawn as in data."""
    sim = problem.sample_sim(n, random_state=seed)
    for condition in problem.conditions:
        sim = problem.sample_sim(40 * n, random_state=seed)
        wanted = problem.sample_data(n, random_state=seed + 100)[:, condition]
        order = np.argsort(sim[:, condition])
        # The nearest simulated row of every data row; rows are not used twice often.
        place = np.searchsorted(sim[order, condition], np.sort(wanted))
        sim = sim[order[np.minimum(place, len(sim) - 1)]]
    return sim


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("dim", "conditional", "n_rows", "uvp", "auc"),
    [
        (2, False, 50_000, 0.10, None),
        (3, True, 50_000, 0.45, 0.55),
        (8, False, 50_000, 0.35, 0.53),
        (16, False, 50_000, 1.0, 0.53),
        (32, False, 50_000, 1.5, 0.53),
        (64, False, 20_000, 3.0, 0.56),
    ],
)
def test_pushes_by_convex_networks(dim, conditional, n_rows, uvp, auc, seed):
    problem = make_transport_problem(
        n_rows, dim=dim, conditional=conditional, random_state=seed
    )
    calibrator = OTCalibrator(
        conditions=problem.conditions or None, random_state=seed
    ).fit(problem.X, problem.y)
    assert calibrator.selection_ == "picnn"
    sim = on_the_spectrum_of_data(problem, N_ROWS, seed)
    data = problem.sample_data(N_ROWS, random_state=seed + 200)
    moved, truth = calibrator.transform(sim), problem.true_map(sim)
    reached = l2_uvp(moved[:, :dim], truth[:, :dim])
    closure = closure_auc(moved, data, random_state=seed)
    print(f"D = {dim}, seed {seed}: UVP {reached:.3f} %, AUC {closure.auc:.4f}")
    assert reached <= uvp
    if auc is None:
        # Both areas carry the error of one training, which the bootstrap lacks.
        floor = closure_auc(truth, data, random_state=seed)
        auc = floor.auc + 0.015 + np.hypot(floor.error, closure.error)
    assert closure.auc <= auc
    violations = monotonicity_violations(
        calibrator.transform,
        np.vstack([sim, 10 * sim]),
        100_000,
        conditions=problem.conditions,
        random_state=seed,
    )
    assert violations == 0


def flavour_halves(path, flavour, seed):
    """Coordinates, log pT and D_b of simulation and data, in two halves each."""
    bunch = load_flavour_scores(flavour=flavour, path=path)
    rng = np.random.default_rng(seed)
    coordinates = SimplexTransformer([0, 1, 2]).fit_transform(bunch.data[:, :3])
    rows = np.column_stack([coordinates, np.log(bunch.data[:, 3])])
    halves = []
    for side in (0, 1):
        order = rng.permutation(np.flatnonzero(bunch.target == side))
        halves.append([rows[part] for part in np.array_split(order, 2)])
    return halves


def d_b(rows):
    transformer = SimplexTransformer([0, 1, 2], inverse=True)
    return discriminant(transformer.fit_transform(rows)[:, :3])


@pytest.mark.parametrize("seed", [0, 1])
def test_light_jets_of_the_full_sample(data_dir, seed):
    path = data_dir / "flavour_scores.npz"
    sim, data = flavour_halves(path, "light", seed)
    (sim_b, _), _ = flavour_halves(path, "b", seed)
    cuts = working_point_cuts(d_b(sim_b), [0.77, 0.85, 0.90])
    images, aucs = [], []
    # Each half is moved by the map of the other: fluctuations of the halves cancel.
    for fit, test in ((0, 1), (1, 0)):
        calibrator = OTCalibrator(conditions=[2], max_epochs=80, random_state=seed)
        calibrator.fit_samples(sim[fit], data[fit])
        weight = calibrator.condition_weights(sim[test])
        images.append((calibrator.transform(sim[test]), weight))
        aucs.append(
            [
                closure_auc(
                    rows, data[test], sample_weight_sim=weight, random_state=seed
                )
                for rows in (sim[test], images[-1][0])
            ]
        )
    before, after = np.mean([[a.auc for a in pair] for pair in aucs], axis=0)
    error = np.mean([pair[1].error for pair in aucs]) / np.sqrt(2)
    assert before == pytest.approx(0.595, abs=0.015)
    assert after <= 0.52 + error
    moved, weights = (np.concatenate(parts) for parts in zip(*images, strict=True))
    ratio, error = efficiency_ratio(
        d_b(np.concatenate(data)), d_b(moved), cuts, sample_weight_den=weights
    )
    assert (np.abs(ratio - 1) < 2 * error).all()


@pytest.fixture(scope="module", params=[0, 1, 2])
def latent_areas(request, data_dir):
    """Areas of trees and of a logistic regression, before and after three maps."""
    arrays = np.load(data_dir / "flavour_latents64_light.npz")
    rng = np.random.default_rng(request.param)
    (sim, test), (data, judge) = (
        np.split(rng.permutation(arrays[side].astype(float)), [20_000])
        for side in ("sim", "data")
    )
    areas = {"before": areas_of(test, judge, rng)}
    for solver in ("bures", "picnn"):
        calibrator = OTCalibrator(solver, random_state=request.param)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the spreads", UserWarning)
            calibrator.fit_samples(sim, data)
        assert calibrator.selection_ == solver
        areas[solver] = areas_of(calibrator.transform(test), judge, rng)
    print(request.param, areas)
    return areas


def areas_of(sim, data, rng):
    rows, label = np.concatenate([sim, data]), np.repeat([0, 1], [len(sim), len(data)])
    fit, score = np.array_split(rng.permutation(len(rows)), 2)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    linear.fit(rows[fit], label[fit])
    return {
        "trees": closure_auc(sim, data, random_state=0).auc,
        "linear": roc_auc_score(label[score], linear.decision_function(rows[score])),
    }


def test_latents_come_closer(latent_areas):
    # Half of what trees see, and most of what a linear classifier sees, is gone.
    before, after = latent_areas["before"], latent_areas["picnn"]
    assert after["trees"] - 0.5 < 0.5 * (before["trees"] - 0.5)
    assert abs(after["linear"] - 0.5) < 0.2 * (before["linear"] - 0.5)
    assert latent_areas["bures"]["trees"] > before["trees"]


@pytest.mark.xfail(
    reason="0.55 is reached with 20,000 rows: the map fits their noise, too (0.504 on "
    "the rows of the fit)."
)
def test_latents_reach_what_trees_cannot_tell(latent_areas):
    assert latent_areas["picnn"]["trees"] <= 0.53


def test_atoms_of_rectified_latents(data_dir):
    arrays = np.load(data_dir / "flavour_latents_light.npz")
    sim, data = (arrays[side].astype(float) for side in ("sim", "data"))
    spread = sim.std(axis=0)
    sim, data = sim / np.where(spread, spread, 1), data / np.where(spread, spread, 1)
    closures = {}
    for atoms in ("warn", "dequantise"):
        varies = (sim[:20_000].std(axis=0) > 0) & (data[:20_000].std(axis=0) > 0)
        columns = varies if atoms == "warn" else np.ones(len(spread), dtype=bool)
        calibrator = OTCalibrator("bures", atoms=atoms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            calibrator.fit_samples(sim[:20_000, columns], data[:20_000, columns])
        moved = calibrator.transform(sim[20_000:, columns])
        closures[atoms] = closure_auc(moved, data[20_000:, columns], random_state=0).auc
    print(closures)
    assert closures["warn"] > 0.99
    assert closures["dequantise"] < 0.75


def test_b_jets_of_the_full_sample_are_not_made_worse(data_dir):
    sim, data = flavour_halves(data_dir / "flavour_scores.npz", "b", 0)
    calibrator = OTCalibrator(conditions=[2], random_state=0)
    calibrator.fit_samples(sim[0], data[0])
    weight = calibrator.condition_weights(sim[1])
    before, after = (
        closure_auc(rows, data[1], sample_weight_sim=weight, random_state=0)
        for rows in (sim[1], calibrator.transform(sim[1]))
    )
    assert after.auc <= before.auc + 2 * after.error
