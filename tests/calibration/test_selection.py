import numpy as np
import pytest
from seeds import FIRST_SEED_ELSE_SLOW

from sklearn_hepcal.calibration import OTCalibrator
from sklearn_hepcal.calibration._maps import Sample
from sklearn_hepcal.calibration._selection import simplest_that_closes, within_error
from sklearn_hepcal.datasets import make_transport_problem


@pytest.mark.parametrize("seed", [2, 3, 6, 7])
def test_folds_that_leave_a_constant_column(seed):
    # Only two rows of the simulation differ in the first column: with these seeds one
    # fold takes both.
    X = np.array([[i, j] for i in (1, 2, 3) for j in (1, 2, 3, 4)], dtype=float)
    y = [0] * 4 + [1] * 4 + [0, 0, 1, 1]
    calibrator = OTCalibrator(random_state=seed).fit(X, y)
    assert calibrator.selection_ == "identity"
    assert np.isnan(calibrator.held_out_gain_["bures"][0])


def test_rows_too_few_in_every_fold():
    X = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.raises(ValueError, match="not positive"):
        OTCalibrator(shrinkage=0, random_state=0).fit(X, np.arange(6) % 2)


def parts(rng, n_rows, shift=0.0, weight=1.0):
    """Rows of two columns and one of conditions, in two parts."""
    x = rng.normal(size=(n_rows, 2)) + shift
    h, w = rng.uniform(size=(n_rows, 1)), np.full(n_rows, weight)
    sample = Sample(x, h, w)
    return [sample.take(rows) for rows in np.array_split(np.arange(n_rows), 2)]


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_a_classifier_has_a_say(seed):
    rng = np.random.default_rng(seed)
    data, good, fair = (parts(rng, 2000) for _ in range(3))
    bad = parts(rng, 2000, shift=0.5)
    state = np.random.RandomState(seed)
    moved = {"simple": bad, "more": good, "most": fair}
    assert simplest_that_closes(moved, data, state) == "more"
    assert simplest_that_closes({"simple": good, "more": bad}, data, state) == "simple"


def test_no_classifier_for_few_rows():
    rng = np.random.default_rng(0)
    data, good, bad = (parts(rng, 800, shift) for shift in (0.0, 0.0, 0.5))
    moved = {"simple": bad, "more": good}
    state = np.random.RandomState(0)
    assert simplest_that_closes(moved, data, state) == "simple"


# Rows of negative weight are judged on the other side: the last quarter of the data is
# background, which cancels the one before.
@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_a_classifier_judges_signed_samples(seed):
    rng = np.random.default_rng(seed)
    good, bad = parts(rng, 4000), parts(rng, 4000, shift=0.5)
    signal = parts(rng, 4000)
    fake = [parts(rng, 2000, shift=2.0, weight=weight) for weight in (1.0, -1.0)]
    data = [
        Sample(*(np.concatenate(columns) for columns in zip(*part, strict=True)))
        for part in zip(signal, *fake, strict=True)
    ]
    state = np.random.RandomState(seed)
    assert simplest_that_closes({"bad": bad, "good": good}, data, state) == "good"
    assert simplest_that_closes({"good": good, "bad": bad}, data, state) == "good"


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ({"a": (0.0, 0.1), "b": (0.5, 0.1), "c": (0.55, 0.0)}, ["b", "c"]),
        ({"a": (0.0, 0.1), "b": (0.5, 0.0), "c": (0.45, 0.1)}, ["b", "c"]),
        ({"a": (0.5, 0.0), "b": (0.4, 0.2)}, ["a", "b"]),
        ({"a": (0.0, 0.1), "b": (np.nan, np.nan), "c": (0.05, 0.0)}, ["a", "c"]),
    ],
)
def test_maps_within_the_error_of_the_best(gains, expected):
    assert within_error(gains) == expected


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(0.44, ["picnn"]), (0.46, ["bures", "picnn"])],
)
def test_parts_of_a_network_need_half_the_error(gain, expected):
    gains = {"identity": (0.0, 0.1), "bures": (gain, 0.1), "picnn": (0.5, 0.0)}
    assert within_error(gains, parts=True) == expected
    assert within_error(gains) == ["bures", "picnn"]
    # Nothing is moved for less than a whole one.
    gains["identity"] = gain, 0.1
    assert "identity" in within_error(gains, parts=True)


# The Gaussian map is the truth: parts of a network's are not kept for their noise.
@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [300, 1000])
def test_gaussian_maps_are_kept(n_rows):
    choices = []
    for seed in range(8):
        problem = make_transport_problem(
            n_rows, kind="gaussian", dim=2, random_state=seed
        )
        calibrator = OTCalibrator(random_state=seed).fit(problem.X, problem.y)
        choices.append(calibrator.selection_)
    assert choices.count("bures") >= 6
