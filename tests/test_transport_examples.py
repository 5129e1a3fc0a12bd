import pickle

import numpy as np
import pandas as pd
import pytest
from example_runs import TRANSPORT, check_figure, read_table

FLAVOUR = "flavour_calibration"


@pytest.mark.parametrize("name", TRANSPORT)
def test_example_runs_and_saves_its_figure(run, name):
    _, folder = run(name)
    check_figure(name, folder)


@pytest.fixture(scope="module")
def flavour(run):
    return run(FLAVOUR)


def test_light_jets_close_after_the_calibration(flavour):
    table = read_table(flavour[0], "Light jets, held out")
    (before, error), *corrected, _ = table["closure AUC"]
    assert abs(before - 0.595) < 0.015
    assert len(corrected) == 2
    for after, after_error in corrected:
        assert after - 0.5 < (before - 0.5) / 3 + 2 * np.hypot(error, after_error)
    for name in ("p_u", "p_c", "p_b", "D_b"):
        before, moved, *_ = table[f"distance of {name}"]
        assert moved < before / 4


@pytest.mark.parametrize("point", ["77%", "85%", "90%"])
def test_mistag_rates_of_light_jets_close(flavour, point):
    table = read_table(flavour[0], "Light jets, held out")
    (before, error), (moved, *errors), *_ = table[f"data/sim at {point}"]
    assert before - 1 > 3 * error
    assert abs(moved - 1) < 3 * np.hypot(*errors)


def test_only_weights_cost_jets(flavour):
    table = read_table(flavour[0], "Light jets, held out")
    before, moved, reweighted, _ = table["effective jets"]
    assert moved == before
    assert reweighted < 0.95 * before


def test_b_jets_are_not_made_worse(flavour):
    table = read_table(flavour[0], "b jets, held out")
    (before, error), (moved, _), *_ = table["closure AUC"]
    assert moved < before + 2 * error
    for point in ("60%", "70%", "77%", "85%", "90%"):
        (before, error), (moved, *_), *_ = table[f"data/sim at {point}"]
        assert abs(moved - 1) < abs(before - 1) + 2 * error


def test_saved_calibration_gives_probabilities(flavour):
    output, folder = flavour
    assert "moves jets as before: True" in output
    calibration = pickle.loads((folder / "outputs" / f"{FLAVOUR}.pkl").read_bytes())
    scores = ["p_u", "p_c", "p_b"]
    jets = pd.DataFrame([[0.7, 0.2, 0.1, 4.0]], columns=[*scores, "log_pt"])
    moved = calibration.transform(jets)
    assert moved["log_pt"].item() == 4.0
    np.testing.assert_allclose(moved[scores].sum(axis=1), 1)
    assert moved["p_b"].item() > 0.1  # the simulation's mis-tag rate is too low


def test_data_based_calibration_closes_and_fails_elsewhere(run):
    output, _ = run("data_based_calibration")
    broad, peak = (read_table(output, title) for title in ("Broad", "Narrow"))
    _, _, broad_before = broad["simulation"]
    _, _, broad_after = broad["simulation, calibrated"]
    # 1.95 sqrt(2 / n), the 0.1 % level of two samples, and as much for those of the fit
    assert broad_after < 2 * 1.95 * np.sqrt(2 / 100_000) < broad_before
    _, _, peak_before = peak["simulation"]
    mean, _, peak_after = peak["simulation, calibrated"]
    exact_mean = 5 * np.sqrt((2.5**2 + 1.5**2) / (2.5**2 + 1))
    assert abs(mean - exact_mean) < 0.02
    assert peak_after > peak_before + 0.05


def test_solvers_are_ordered_by_their_error(run):
    output, _ = run("solvers")
    table = read_table(output, "Fresh rows")
    assert list(table) == ["identity", "bures", "quantile", "picnn", "true map"]
    errors = [row[0].item() for row in table.values()]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < errors[1] / 5
    assert "kept: picnn" in output
