import itertools
import re

import numpy as np
import pytest
from example_runs import OTHERS, check_figure, read_table


@pytest.mark.parametrize("name", OTHERS)
def test_example_runs_and_saves_its_figure(run, name):
    _, folder = run(name)
    check_figure(name, folder)


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
    table = read_table(output, "331 held-out jets")
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
    table = read_table(output, "2400 held-out jets")
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
    table = read_table(output, "Area under the ROC curve")
    first, second, fourth = map(np.array, table.values())
    gains = (second - first)[:, 0]
    assert gains.min() > 0
    assert gains.mean() > 0.03
    for few, many in [(first[0], fourth[0]), (first[0], first[-1])]:
        assert many[0] - few[0] > 2 * np.hypot(few[1], many[1])
    (few, few_error), (many, many_error) = first[0], second[-1]
    assert many - few > 5 * np.hypot(few_error, many_error)


def test_references_of_moment_pooling(run):
    output, _ = run("moment_pooling")
    count, formula, poorest, best = read_table(output, "Gluon rejection").values()
    assert 0.77 < formula[0][0] < count[0][0]
    assert best[0][0] > formula[0][0] + 2 * formula[0][1]
    assert best[0][0] > count[0][0] - 0.03
    (low, low_error), (high, high_error) = poorest[1], best[1]
    assert high - low > 2 * np.hypot(low_error, high_error)


def test_own_shape_is_found_where_it_is(run):
    output, _ = run("custom_shape")
    hollow, partons = read_table(output, "Distances of 24 jets each").values()
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
    events = read_table(output, "Events with a share of pile-up of 0.25")
    shares, jets, groomed, everything = np.squeeze(list(events.values())).T
    assert abs(shares - 0.25).max() < 0.1
    assert abs(shares.mean() - 0.25) < 0.05
    assert (everything > 1.4 * jets).all()
    excess = (groomed - jets) / (everything - jets)
    assert abs(excess).max() < 0.5
    assert abs(excess).mean() < 0.25
    ratios = read_table(output, "What is found over the truth, 12 jets")
    median = {name: value.item() for name, (value, *_) in ratios.items()}
    assert abs(median["radius"] - 1) < 0.12
    assert abs(median["b / a"] - 1) < 0.25
    assert abs(median["energy"] - 1) < 0.075 < median["energy of cone"] - 1
    assert median["mass"] < median["mass of cone"]


def test_shipped_calibration_gives_the_same_numbers(run):
    output, folder = run("ship_calibration")
    difference = re.search(r"difference to Python: (\S+)", output)[1]
    assert float(difference) < 1e-5
    assert (folder / "outputs" / "light_jets.onnx").stat().st_size > 10_000
    # too few jets pass the tightest cut
    _, *rates = read_table(output, "Mistag rates in per cent").values()
    for (simulated,), (rate, systematic), (in_data, error) in rates[1:]:
        assert abs(rate - in_data) < 0.5 * abs(simulated - in_data)
        assert 0 < systematic < 0.2 * rate
        assert error > 0
