import re

import numpy as np
import pandas as pd
import pytest
from example_runs import DIJETS, check_figure, read_table


@pytest.mark.parametrize("name", DIJETS)
def test_example_runs_and_saves_its_figure(run, name):
    _, folder = run(name)
    check_figure(name, folder)


@pytest.fixture(scope="module")
def dijet_slice(run):
    output, _ = run("dijet_resolution")
    return pd.DataFrame(
        read_table(output, "Slice,"),
        index=["closure", "width", "jer", "asymmetry", "correlation", "low", "high"],
    ).map(lambda cell: cell[0])


def test_asymmetry_in_a_loss_gives_constants_and_negative_momenta(dijet_slice):
    for name in ("softplus, f = 10", "softplus, all, f = 50"):
        constant = dijet_slice[name]
        assert constant["high"] / constant["low"] < 1.2
        assert constant["asymmetry"] < 0.5
        assert constant["jer"] > dijet_slice["measured"]["jer"]
    starts = dijet_slice.filter(like="linear, f = 10")
    assert starts.shape[1] == 3
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
    for name in ("supervised", "joint, f = 10"):
        ours = dijet_slice[name]
        assert ours["closure"] < 0.5
        assert ours["low"] > 0
        assert abs(ours["correlation"]) < 0.05
        assert ours["asymmetry"] > 1.05 * dijet_slice["true"]["asymmetry"]
        assert ours["jer"] < min(0.6 * measured["jer"], 1.1 * exact["jer"])
    assert dijet_slice["supervised"]["jer"] < 1.06 * exact["jer"]


def test_asymmetries_correct_data(run):
    output, _ = run("dijet_resolution")
    table = read_table(output, "Data, ")
    measured, simulated, ours, exact = (row[0][0] for row in table.values())
    assert ours < 0.8 * simulated < 0.65 * measured
    assert ours < 1.07 * exact
    # the scale is not touched
    assert abs(table["in situ"][1] - table["simulation only"][1]) < 0.5
    assert table["in situ"][2] < 0.6
    left = read_table(output, "Spread of the response")
    for name, ((before, _), (after, _), _) in left.items():
        assert after < (before / 2 if name not in ("mu", "npv") else 1)
    resolutions = np.array(list(read_table(output, "JER in data").values()))
    (value, error), (true, _) = np.moveaxis(resolutions, 0, -1)
    assert len(value) >= 5
    assert (abs(value - true) < 4 * error).all()
    assert abs((value / true).mean() - 1) < 0.12


def test_search_selects_what_closes(run):
    output, _ = run("hyperparameter_search")
    trials = read_table(output, "5 trials")
    selected = int(re.search(r"selects trial (\d)", output)[1])
    closure, asymmetry, jer, jer_data = (
        np.array([row[k][0] for row in trials.values()]) for k in range(-4, 0)
    )
    assert (asymmetry > 0.98).all()
    assert selected == np.argmin(np.where(closure < 2, jer, np.inf))
    (none, small, large), (none_in_data, small_in_data, _) = jer[:3], jer_data[:3]
    assert abs(closure[:3] - closure[0]).max() < 0.5
    assert abs(small / none - 1) < 0.04
    # 2.7 and 4.4 per cent worse
    assert large > max(1.01 * none, 1.03 * small)
    assert 0.93 * none_in_data < small_in_data < none_in_data
