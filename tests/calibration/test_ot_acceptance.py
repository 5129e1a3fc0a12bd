"""Accuracy at full size: minutes of training, in the default configuration."""

import numpy as np
import pytest

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
    ("dim", "conditional", "uvp", "auc"),
    [(2, False, 0.10, None), (8, False, 0.35, 0.54), (3, True, 0.45, 0.55)],
)
def test_pushes_by_convex_networks(dim, conditional, uvp, auc, seed):
    problem = make_transport_problem(
        N_ROWS, dim=dim, conditional=conditional, random_state=seed
    )
    calibrator = OTCalibrator(
        conditions=problem.conditions or None, random_state=seed
    ).fit(problem.X, problem.y)
    assert calibrator.selection_ == "picnn"
    sim = on_the_spectrum_of_data(problem, N_ROWS, seed)
    data = problem.sample_data(N_ROWS, random_state=seed + 200)
    moved, truth = calibrator.transform(sim), problem.true_map(sim)
    assert l2_uvp(moved[:, :dim], truth[:, :dim]) <= uvp
    closure = closure_auc(moved, data, random_state=seed)
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
