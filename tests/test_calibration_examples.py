import numpy as np
import pytest
from example_runs import CALIBRATION, check_figure, read_table

# Seven degrees of freedom: the 0.1 % level.
CHI2_LEVEL = 24.3


@pytest.mark.parametrize("name", CALIBRATION)
def test_example_runs_and_saves_its_figure(run, name):
    _, folder = run(name)
    check_figure(name, folder)


# Numbers of errors by which the first value is above the second.
def excess(first, second):
    return (first[0] - second[0]) / np.hypot(first[1], second[1])


@pytest.fixture(scope="module")
def latent(run):
    output, _ = run("latent_closure")
    return read_table(output, "jets of data, held out")


def test_classifiers_tell_calibrated_latent_vectors_less_well(latent):
    before, gaussian, after, _ = latent["closure AUC, trees"]
    assert excess(before, after) > 2
    assert excess(gaussian, after) > 3
    assert gaussian[0] > before[0]
    before, *corrected, _ = latent["closure AUC, logistic"]
    for after in corrected:
        assert excess(before, after) > 4
        assert after[0] - 0.5 < 3 * after[1]


@pytest.mark.parametrize("name", ["D_b", "D_c", "mass", "tracks"])
def test_what_is_computed_from_latent_vectors_closes(latent, name):
    before, gaussian, after, floor = np.squeeze(latent[f"distance of {name}"])
    assert before > 4 * floor
    assert after < gaussian
    assert after < before / 3
    # mass and tracks, which the tagger was not trained for, close best
    assert after < (2 if name in ("mass", "tracks") else 3.5) * floor
    _, _, (ratio, error), _ = latent[f"data/sim of {name}"]
    assert abs(ratio - 1) < 2.5 * error


@pytest.mark.parametrize("name", ["mass", "tracks"])
def test_efficiencies_are_wrong_before_the_calibration(latent, name):
    (ratio, error), *_ = latent[f"data/sim of {name}"]
    assert 1 - ratio > 5 * error


def test_zeros_are_told_apart_unless_they_are_dequantised(run):
    output, _ = run("latent_closure")
    assert "share a value" in output[output.index("Warning") :]
    table = read_table(output, "Rectified")
    (_, before), (no_zeros, smooth), (zeros, after) = table.values()
    in_data = float(output.partition("Rectified; ")[2].split()[0])
    assert no_zeros == 0
    assert smooth[0] > 0.95
    assert abs(zeros - in_data) < 0.01
    assert excess(before, after) > 2


@pytest.fixture(scope="module")
def mixtures(run):
    output, _ = run("control_regions")
    return output


def test_flavours_are_calibrated_in_mixtures(mixtures):
    table = read_table(mixtures, "Part of the mis-modelling that is left, purity")
    assert (np.array(table["background ignored"])[:, 0] > 1).all()
    first, *_, last = (table[way] for way in table if way.startswith("round"))
    assert (np.array(last)[:, 0] < 0.7).all()
    pure = table["no background"]
    # b jets gain by the calibration of their background, c jets less
    assert last[2][0] < 0.7 * first[2][0]
    assert last[1][0] < first[1][0]
    for k in (1, 2):
        assert last[k][0] < 0.3
        assert excess(last[k], pure[k]) < 3
    # light jets
    assert first[0][0] - last[0][0] < last[0][1]
    assert last[0][0] > 2 * pure[0][0]


def test_calibrated_c_and_b_jets_close(mixtures):
    table = read_table(mixtures, "Closure AUC of jets")
    for before, after in table.values():
        assert excess(before, after) > 3
    for name in ("c", "b"):
        before, (auc, error) = table[name]
        assert excess(before, (auc, error)) > 5
        assert auc - 0.5 < 3 * error
    _, (auc, error) = table["light"]
    assert auc - 0.5 > 5 * error


def test_alike_regions_do_not_tell_flavours_apart(mixtures):
    table = read_table(mixtures, "Part of the mis-modelling that is left, median")
    condition, worst, refused = np.squeeze(list(table.values())).T
    assert (np.diff(condition) > 0).all()
    assert worst[0] < 0.5
    assert worst[-1] > 1
    assert refused[0] == 0
    assert refused.sum() > 0


@pytest.fixture(scope="module")
def decorrelated(run):
    output, _ = run("decorrelation")
    return read_table(output, "gluon jets, held out")


@pytest.mark.parametrize("case", ["number", "both"])
def test_scores_depend_on_the_mass(decorrelated, case):
    (auc, error), chi2, *_ = decorrelated[case]
    assert auc - 0.5 > 5 * error
    assert chi2 > 4 * CHI2_LEVEL


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("number", "number, moved"),
        ("both", "both, moved separately"),
        ("both", "both, moved together"),
    ],
)
def test_moved_scores_are_independent_of_the_mass(decorrelated, before, after):
    auc_before, _, passed_before, separation_before = decorrelated[before]
    auc, chi2, passed, separation = decorrelated[after]
    assert excess(auc_before, auc) > 4
    assert abs(auc[0] - 0.5) < 3 * auc[1]
    assert chi2 < CHI2_LEVEL
    # the price
    assert 2 * passed_before < passed < 4 * passed_before
    assert separation[0] - 0.5 > 0.7 * (separation_before[0] - 0.5)


def test_shuffled_masses_show_the_floor(decorrelated):
    (auc, error), chi2, *_ = decorrelated["both, masses shuffled"]
    assert abs(auc - 0.5) < 3 * error
    assert chi2 < CHI2_LEVEL
