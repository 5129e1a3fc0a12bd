import io
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from sklearn_hepcal.metrics import (
    WorkingPoints,
    discriminant,
    efficiency,
    working_point_cuts,
)

yaml = pytest.importorskip("yaml")


@pytest.fixture
def scores():
    return np.random.default_rng(0).normal(size=1000)


@pytest.fixture
def points(scores):
    return WorkingPoints.from_scores(
        scores, tagger="GN2v01", signal="bjets", fractions={"c": 0.2, "u": 0.8}
    )


def read(text, tagger=None):
    return WorkingPoints.from_yaml(io.StringIO(text), tagger)


def test_points_pass_their_efficiency(points, scores):
    assert points.efficiencies == (0.65, 0.7, 0.77, 0.85, 0.9)
    value, error = points.measure(scores)
    np.testing.assert_allclose(value, points.efficiencies)
    np.testing.assert_allclose(error, np.sqrt(value * (1 - value) / 1000))
    for wanted in points.efficiencies:
        assert points.tag(scores, wanted).mean() == pytest.approx(wanted)


def test_points_are_sorted_from_tight_to_loose(scores):
    points = WorkingPoints.from_scores(scores, [0.9, 0.5, 0.7])
    assert points.efficiencies == (0.5, 0.7, 0.9)
    assert points.cuts == tuple(working_point_cuts(scores, [0.5, 0.7, 0.9]))
    assert points == WorkingPoints(points.cuts[::-1], points.efficiencies[::-1])


def test_weights_and_ties_are_those_of_repeated_jets(scores):
    scores = scores.round(1)
    counts = np.random.default_rng(1).integers(0, 4, 1000)
    repeated = np.repeat(scores, counts)
    points = WorkingPoints.from_scores(scores, sample_weight=counts)
    assert points == WorkingPoints.from_scores(repeated)
    for weighted, single in (
        (points.measure(scores, counts), points.measure(repeated)),
        (points.measure_bins(scores, counts), points.measure_bins(repeated)),
    ):
        np.testing.assert_allclose(weighted.value, single.value)


def test_bins_count_the_cuts_that_are_passed(points, scores):
    bins = points.digitize(scores)
    passed = [points.tag(scores, wanted) for wanted in points.efficiencies]
    np.testing.assert_array_equal(bins, np.sum(passed, axis=0))
    np.testing.assert_array_equal(points.digitize(points.cuts), [5, 4, 3, 2, 1])
    np.testing.assert_array_equal(points.digitize([-99.0, 99.0]), [0, 5])


def test_parts_in_bins_are_differences_of_efficiencies(points, scores):
    weights = np.random.default_rng(1).exponential(size=1000)
    value, error = points.measure_bins(scores, weights)
    passing = np.concatenate([[0], points.measure(scores, weights).value, [1]])
    np.testing.assert_allclose(value, np.diff(passing)[::-1])
    mean = np.average(points.digitize(scores), weights=weights)
    assert value @ np.arange(6) == pytest.approx(mean)
    # one bin is a sample of its own, in or out
    in_first = (points.digitize(scores) == 0).astype(float)
    assert error[0] == efficiency(in_first, [1.0], weights).error[0]


def test_points_with_the_same_cut():
    points = WorkingPoints.from_scores([1.0, 1.0, 1.0, 2.0], [0.5, 0.75, 0.2])
    assert points.cuts == (2.0, 1.0, 1.0)
    np.testing.assert_array_equal(points.digitize([0.0, 1.0, 2.0]), [0, 2, 3])
    np.testing.assert_allclose(points.measure_bins([1.0, 0.0]).value, [0.5, 0, 0.5, 0])


def test_points_do_not_change(points):
    with pytest.raises(FrozenInstanceError):
        points.cuts = (1.0,)
    copied = pickle.loads(pickle.dumps(points))
    assert copied == points
    assert hash(copied) == hash(points)


def test_labels_get_short_names():
    points = WorkingPoints([0.0], [0.5], signal=5, fractions={4: 0.2, "light": 0.8})
    assert points.signal == "b"
    assert points.fractions == {"c": 0.2, "u": 0.8}
    proba = [[0.1, 0.2, 0.7]]
    options = {"signal": points.signal, "fractions": points.fractions}
    assert discriminant(proba, **options, order=[0, 4, 5]) == discriminant(proba)


def test_round_trip_is_exact(points, tmp_path):
    path = tmp_path / "points.yaml"
    text = points.to_yaml(path)
    assert path.read_text(encoding="utf-8") == text
    assert WorkingPoints.from_yaml(path) == points
    assert WorkingPoints.from_yaml(str(path)) == points
    assert read(text) == points


@pytest.mark.parametrize("seed", range(3))
def test_round_trip_of_any_numbers(seed):
    rng = np.random.default_rng(seed)
    cuts = np.append(
        np.sort(rng.normal(size=8) * 10.0 ** rng.integers(-9, 9, 8)), -1e99
    )
    wanted = np.append(rng.uniform(size=7), [1e-7, 1.0])
    points = WorkingPoints(np.sort(cuts)[::-1], np.sort(wanted))
    assert read(points.to_yaml()) == points


def test_layout(points, scores):
    y = np.repeat([5, 4, 0], [600, 300, 100])
    weights = np.random.default_rng(1).exponential(size=1000)
    samples = {"ttbar": (scores, y), "zprime": (scores, y.astype(str), weights)}
    entry = yaml.safe_load(points.to_yaml(samples=samples, decimals=3))["GN2v01"]
    assert list(entry) == ["signal", "fc", "fu", "65", "70", "77", "85", "90"]
    assert (entry["signal"], entry["fc"], entry["fu"]) == ("bjets", 0.2, 0.8)
    point = entry["77"]
    assert point["cut_value"] == round(points.cuts[2], 3)
    # of the cuts as they are written
    passed = scores >= point["cut_value"]
    parts = point["ttbar"]["eff"]
    assert parts == {
        "ujets": pytest.approx(passed[y == 0].mean()),
        "cjets": pytest.approx(passed[y == 4].mean()),
        "bjets": pytest.approx(passed[y == 5].mean()),
    }
    assert point["ttbar"]["rej"]["cjets"] == pytest.approx(1 / parts["cjets"])
    assert point["zprime"]["eff"]["5"] == pytest.approx(
        np.average(passed[y == 5], weights=weights[y == 5])
    )


def test_rejection_of_everything_is_infinite():
    points = WorkingPoints([1.0], [0.5])
    text = points.to_yaml(samples={"toy": ([0.0, 2.0], ["u", "b"])})
    assert yaml.safe_load(text)["tagger"]["50"]["toy"]["rej"]["ujets"] == np.inf
    assert read(text) == points


FILE_OF_ATLAS = """
DL1dv01:
  signal: bjets
  fc: 0.018
  ftau: 0
  fu: 0.982
  '60':
    cut_value: 4.854
    ttbar:
      eff: {bjets: 0.6, cjets: 0.02}
      rej: {bjets: 1.67, cjets: 50}
  '77': {cut_value: 2}
GN2v01:
  signal: cjets
  70: {cut_value: 1.5}
"""


def test_files_of_atlas():
    points = read(FILE_OF_ATLAS, "DL1dv01")
    assert points == WorkingPoints(
        (4.854, 2.0),
        (0.6, 0.77),
        "DL1dv01",
        "b",
        {"c": 0.018, "tau": 0.0, "u": 0.982},
    )
    assert read(FILE_OF_ATLAS, "GN2v01") == WorkingPoints([1.5], [0.7], "GN2v01", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE_OF_ATLAS, r"tagger must be one of \['DL1dv01', 'GN2v01'\]"),
        ("", "source must map taggers to their working points, got None"),
        ("- 3", "source must map taggers"),
        ("{a: [}", "source is not valid YAML"),
        ("GN2: 3", "GN2 must hold working points, got 3"),
        ("GN2: {signal: bjets, fc: 0.2}", r"no working points.*\['signal', 'fc'\]"),
        ("GN2: {'70': {ttbar: 3}}", "cut_value is missing in working point 70 of GN2"),
        (
            "GN2: {'70': 1.5}",
            "cut_value is missing in working point 70 of GN2, got 1.5",
        ),
        ("GN2: {'70': {cut_value: x}}", "cut_value in .* 70 of GN2 must be a number"),
        ("GN2: {fc: x, '70': {cut_value: 1}}", "fc of GN2 must be a number, got 'x'"),
        ("GN2: {'70': {cut_value: 1}, '77': {cut_value: 2}}", "cuts must not rise"),
        ("GN2: {'170': {cut_value: 1}}", "efficiencies must be .* up to 1"),
    ],
)
def test_malformed_files(text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_missing_tagger():
    with pytest.raises(ValueError, match="tagger 'GN3' is missing in source; it has"):
        read(FILE_OF_ATLAS, "GN3")


@pytest.mark.parametrize(
    ("cuts", "efficiencies", "message"),
    [
        ([1.0, 2.0], [0.7], "must have the same length, got 2 and 1"),
        ([1.0, 2.0], [0.7, 0.9], "cuts must not rise with the efficiency"),
        ([2.0, 1.0], [0.7, 0.7], "efficiencies must be different"),
        ([1.0], [0.0], "efficiencies must be different, above 0 and up to 1"),
        ([np.nan], [0.5], "cuts must be a non-empty array of finite numbers"),
        ([], [], "cuts must be a non-empty array"),
    ],
)
def test_unusable_points(cuts, efficiencies, message):
    with pytest.raises(ValueError, match=message):
        WorkingPoints(cuts, efficiencies)


def test_unusable_calls(points, scores):
    with pytest.raises(ValueError, match=r"efficiency must be one of .*, got 0.5"):
        points.tag(scores, 0.5)
    with pytest.raises(ValueError, match="scores must be a non-empty array of finite"):
        points.digitize([np.nan])
    with pytest.raises(TypeError, match="Labels must be strings, or 0, 4, 5 and 15"):
        WorkingPoints([1.0], [0.5], signal=3)
    with pytest.raises(ValueError, match="y has 2 entries for 1000 scores"):
        points.to_yaml(samples={"toy": (scores, ["u", "b"])})
    with pytest.raises(ValueError, match=r"samples must hold \(scores, y\) or .* toy="):
        points.to_yaml(samples={"toy": (scores,)})
