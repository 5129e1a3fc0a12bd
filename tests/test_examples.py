import functools
import itertools
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem.removeprefix("plot_") for path in FOLDER.glob("plot_*.py"))


FLAVOUR = "flavour_calibration"
OPTIONAL = {"hyperparameter_search": "optuna"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run an example once, in a folder of its own; return its output and the folder."""

    @functools.cache
    def run_once(name):
        if name in OPTIONAL:
            pytest.importorskip(OPTIONAL[name])
        folder = tmp_path_factory.mktemp(name)
        result = subprocess.run(
            [sys.executable, "-W", "error", FOLDER / f"plot_{name}.py"],
            cwd=folder,
            env={**os.environ, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stderr
        return result.stdout, folder

    return run_once


@pytest.mark.parametrize("name", NAMES)
def test_example_runs_and_saves_its_figure(run, name):
    _, folder = run(name)
    assert (folder / "outputs" / f"{name}.png").stat().st_size > 10_000


# Rows of the table below a line that starts with `title`: for every cell its numbers.
# Cells are at least two spaces and numbers one "±" apart; "-" is an empty cell.
def _read_table(output, title):
    _, _, *lines = output[output.index(title) :].partition("\n\n")[0].split("\n")
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {
        name: [
            np.array(("nan" if cell == "-" else cell).split(" ± "), dtype=float)
            for cell in cells
        ]
        for name, *cells in rows
    }


@pytest.fixture(scope="module")
def flavour(run):
    return run(FLAVOUR)


def test_light_jets_close_after_the_calibration(flavour):
    table = _read_table(flavour[0], "Light jets, held out")
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
    table = _read_table(flavour[0], "Light jets, held out")
    (before, error), (moved, *errors), *_ = table[f"data/sim at {point}"]
    assert before - 1 > 3 * error
    assert abs(moved - 1) < 3 * np.hypot(*errors)


def test_only_weights_cost_jets(flavour):
    table = _read_table(flavour[0], "Light jets, held out")
    before, moved, reweighted, _ = table["effective jets"]
    assert moved == before
    assert reweighted < 0.95 * before


def test_b_jets_are_not_made_worse(flavour):
    table = _read_table(flavour[0], "b jets, held out")
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
    broad, peak = (_read_table(output, title) for title in ("Broad", "Narrow"))
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
    table = _read_table(output, "Fresh rows")
    assert list(table) == ["identity", "bures", "quantile", "picnn", "true map"]
    errors = [row[0].item() for row in table.values()]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < errors[1] / 5
    assert "kept: picnn" in output


def test_calibration_does_not_depend_on_the_spectrum(run):
    output, _ = run("prior_dependence")
    squared, ansatz = (
        float(re.search(rf"{name}: .* up to ([\d.]+)", output)[1])
        for name in ("squared error", "Gaussian Ansatz")
    )
    # the exact posterior means differ by up to .36
    assert abs(squared - 0.36) < 0.15
    assert ansatz < 0.1
    for value, error, exact in re.findall(r"(\d\.\d+) +(\d\.\d+) +(\d\.\d+)", output):
        assert abs(float(value) - float(exact)) < 3 * float(error) + 0.006


def test_constituents_tell_about_the_energy_of_jets(run):
    output, _ = run("jet_energy")
    table = _read_table(output, "341 held-out jets")
    assert list(table) == ["towers", "DNN", "EFN", "PFN"]
    towers, *fits = table.values()
    assert towers[0][0] < 0.8
    for mode, median, width, predicted, _ in fits:
        assert abs(mode[0] - 1) < 3 * mode[1] + 0.01
        assert abs(median[0] - 1) < 3 * median[1] + 0.01
        assert abs(predicted[0] - width[0]) < 3 * width[1]
    information = [row[-1] for row in fits]
    for (coarse, _), (fine, error) in itertools.pairwise(information):
        assert fine > coarse - 2 * error
    assert information[2][0] > information[0][0] + 0.2
    assert fits[2][2][0] < 0.75 * fits[0][2][0]


def test_latent_functions_are_compared_with_a_log_angularity(run):
    output, _ = run("latent_function")
    table = _read_table(output, "2400 held-out jets")
    linear, log, another, wide = table.values()
    gains = []
    for (auc, error), (turned, _), (by_radius,), (r2,), *_ in table.values():
        assert auc > 0.7
        assert turned > auc - error
        gains.append(turned - auc)
        # no function of r describes more than the mean over the directions
        assert by_radius - 0.1 < r2 < by_radius + 0.0015
    assert np.mean(gains) > 0.005
    # close to a straight line, up to a jet radius of 0.4
    c3, error = linear[-1]
    assert c3 > 0.1
    assert np.isnan(error) or error > c3 / 4
    # the scale of the coordinates, not of the jets
    assert wide[-1][0] > max(log[-1][0], another[-1][0])


def test_moments_do_the_work_of_many_functions(run):
    output, _ = run("moment_pooling")
    table = _read_table(output, "Area under the ROC curve")
    first, second, _, fourth = map(np.array, table.values())
    gains = (second - first)[:, 0]
    assert gains.min() > 0
    assert gains.mean() > 0.03
    for few, many in [(first[0], fourth[0]), (first[0], first[-1])]:
        assert many[0] - few[0] > 2 * np.hypot(few[1], many[1])
    (few, few_error), (many, many_error) = first[0], second[-1]
    assert many - few > 5 * np.hypot(few_error, many_error)


def test_references_of_moment_pooling(run):
    output, _ = run("moment_pooling")
    count, formula, poorest, best = _read_table(output, "Gluon rejection").values()
    assert 0.77 < formula[0][0] < count[0][0]
    assert best[0][0] > formula[0][0] + 2 * formula[0][1]
    assert best[0][0] > count[0][0] - 0.03
    (low, low_error), (high, high_error) = poorest[1], best[1]
    assert high - low > 2 * np.hypot(low_error, high_error)


def test_own_shape_is_found_where_it_is(run):
    output, _ = run("custom_shape")
    hollow, partons = _read_table(output, "Distances of 40 jets each").values()
    for table in (hollow, partons):
        ring, disk, annulus, gain, least_gain, _ = np.ravel(table)
        assert annulus < min(ring, disk)
        # a finite number of nodes
        assert -0.015 < least_gain < gain
    assert hollow[3] > 0.04
    assert partons[3] < 0.002
    # without a hole
    assert hollow[5] < 0.25
    assert partons[5] > 0.75
    inner, outer = map(float, re.search(r"inner (.*), outer (.*)", output).groups())
    assert inner < 0.03
    assert outer < 0.015


def test_jets_are_found_and_groomed(run):
    output, _ = run("jet_finding")
    events = _read_table(output, "Events with a share of pile-up of 0.25")
    shares, jets, groomed, everything = np.squeeze(list(events.values())).T
    assert abs(shares - 0.25).max() < 0.1
    assert abs(shares.mean() - 0.25) < 0.05
    assert (everything > 1.4 * jets).all()
    excess = (groomed - jets) / (everything - jets)
    assert abs(excess).max() < 0.5
    assert abs(excess).mean() < 0.25
    ratios = _read_table(output, "What is found over the truth, 15 jets")
    median = {name: value.item() for name, (value, *_) in ratios.items()}
    assert abs(median["radius"] - 1) < 0.12
    assert abs(median["b / a"] - 1) < 0.25
    assert abs(median["energy"] - 1) < 0.075 < median["energy of cone"] - 1
    assert median["mass"] < median["mass of cone"]


@pytest.fixture(scope="module")
def dijet_slice(run):
    output, _ = run("dijet_resolution")
    return pd.DataFrame(
        _read_table(output, "Slice,"),
        index=["closure", "width", "jer", "asymmetry", "correlation", "low", "high"],
    ).map(lambda cell: cell[0])


def test_asymmetry_in_a_loss_gives_constants_and_negative_momenta(dijet_slice):
    for name in ("softplus, f = 10", "softplus, all, f = 50"):
        constant = dijet_slice[name]
        assert constant["high"] / constant["low"] < 1.2
        assert constant["asymmetry"] < 0.5
        assert constant["jer"] > dijet_slice["measured"]["jer"]
    starts = dijet_slice.filter(like="linear, f = 10")
    assert starts.shape[1] == 5
    assert starts.loc["low"].min() < 0
    for name in [*starts, "softplus, f = 10", "softplus, all, f = 50"]:
        assert dijet_slice[name]["closure"] > 30
    assert dijet_slice["linear, f = 0"]["closure"] < 1.5


def test_asymmetry_in_a_loss_shrinks(dijet_slice):
    plain, shrunk = (dijet_slice[f"bounded, all, f = {f}"] for f in (0, 50))
    assert shrunk["width"] < 0.92 * plain["width"]
    assert shrunk["jer"] > 1.05 * plain["jer"]
    assert shrunk["closure"] > 8
    assert shrunk["asymmetry"] < 0.95 * dijet_slice["true"]["asymmetry"]
    assert shrunk["correlation"] < -0.3
    assert plain["correlation"] > -0.05
    flat, physical = (
        dijet_slice[f"bounded, {s} spectrum"] for s in ("flat", "physical")
    )
    assert physical["closure"] > max(1.5, 1.5 * flat["closure"])


def test_calibration_at_fixed_truth_does_not_cheat(dijet_slice):
    measured, exact = dijet_slice["measured"], dijet_slice["exact"]
    for name in ("supervised", "joint, f = 1", "joint, f = 10"):
        ours = dijet_slice[name]
        assert ours["closure"] < 0.5
        assert ours["low"] > 0
        assert abs(ours["correlation"]) < 0.05
        assert ours["asymmetry"] > 1.05 * dijet_slice["true"]["asymmetry"]
        assert ours["jer"] < min(0.6 * measured["jer"], 1.1 * exact["jer"])
    for name in ("supervised", "joint, f = 1"):
        assert dijet_slice[name]["jer"] < 1.06 * exact["jer"]


def test_asymmetries_correct_data(run):
    output, _ = run("dijet_resolution")
    table = _read_table(output, "Data, ")
    measured, simulated, ours, exact = (row[0][0] for row in table.values())
    assert ours < 0.8 * simulated < 0.65 * measured
    assert ours < 1.07 * exact
    # the scale is not touched
    assert abs(table["in situ"][1] - table["simulation only"][1]) < 0.5
    assert table["in situ"][2] < 0.6
    left = _read_table(output, "Spread of the response")
    for name, ((before, _), (after, _), _) in left.items():
        assert after < (before / 2 if name not in ("mu", "npv") else 1)
    resolutions = np.array(list(_read_table(output, "JER in data").values()))
    (value, error), (true, _) = np.moveaxis(resolutions, 0, -1)
    assert len(value) >= 5
    assert (abs(value - true) < 4 * error).all()
    assert abs((value / true).mean() - 1) < 0.12


def test_search_selects_what_closes(run):
    output, _ = run("hyperparameter_search")
    trials = _read_table(output, "7 trials")
    selected = int(re.search(r"selects trial (\d)", output)[1])
    closure, asymmetry, jer, jer_data = (
        np.array([row[k][0] for row in trials.values()]) for k in range(-4, 0)
    )
    assert (asymmetry > 0.98).all()
    assert selected == np.argmin(np.where(closure < 2, jer, np.inf))
    (none, small, large), (none_in_data, small_in_data, _) = jer[:3], jer_data[:3]
    assert abs(closure[:3] - closure[0]).max() < 0.5
    assert abs(small / none - 1) < 0.04
    assert large > 1.04 * none
    assert 0.93 * none_in_data < small_in_data < none_in_data
