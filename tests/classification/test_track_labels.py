import numpy as np
import pytest
from small_taggers import make_jets, pad, without_labels

from sklearn_hepcal._track_labels import (
    add_labels,
    label_tracks,
    linked_tracks,
    number_groups,
    pad_labels,
)
from sklearn_hepcal.jets import Jets

BOTH = ["origin", "vertex"]


@pytest.fixture
def jets():
    return make_jets(20, np.random.default_rng(0), min_tracks=0)[0]


def test_labels_that_are_given_are_those_that_jets_bring(jets):
    given = {name: pad(jets, name) for name in BOTH}
    added = add_labels(without_labels(jets), given)
    assert added == jets.replace(labels={})
    for name in BOTH:
        np.testing.assert_array_equal(
            pad_labels(jets, jets.constituent_labels[name]), given[name]
        )


def test_labels_that_are_given_come_first(jets):
    other = np.where(pad(jets, "origin") < 0, -1, 7)
    added = add_labels(jets, {"origin": other, "vertex": None})
    assert (added.constituent_labels["origin"] == 7).all()
    assert set(added.constituent_labels) == set(BOTH)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_more_places_than_tracks(jets, dtype):
    wide = np.full((20, 40), -1, dtype)
    origin = pad(jets, "origin")
    wide[:, : origin.shape[1]] = origin
    added = add_labels(without_labels(jets), {"origin": wide})
    expected = jets.constituent_labels["origin"]
    np.testing.assert_array_equal(added.constituent_labels["origin"], expected)


@pytest.mark.parametrize(
    "names",
    [
        ("origin", "vertex"),
        ("ftagTruthOriginLabel", "ftagTruthVertexIndex"),
        ("truthOriginLabel", "truthVertexIndex"),
    ],
)
def test_names_of_readers(jets, names):
    labels = dict(zip(names, jets.constituent_labels.values(), strict=True))
    expected, origins = label_tracks(jets, None)
    other, _ = label_tracks(jets.replace(constituent_labels=labels), None)
    assert other == expected
    assert origins.tolist() == [0, 1, 2]
    assert set(expected.constituent_labels) == {*BOTH, "heavy"}


def test_origins_are_numbered():
    origin = np.array([7, -2, 3, 40, 3, -1])
    jets = Jets(
        constituents=np.ones((6, 1)),
        offsets=[0, 2, 2, 6],
        constituent_labels={"origin": origin, "vertex": np.array([0, 0, 1, 1, -1, 2])},
    )
    labelled, origins = label_tracks(jets, BOTH)
    assert origins.tolist() == [3, 7, 40]
    labels = labelled.constituent_labels
    assert labels["origin"].tolist() == [1, -1, 0, 2, 0, -1]
    assert labels["vertex"].tolist() == [0, 0, 1, 1, -1, 2]
    assert labels["heavy"].tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("task", BOTH)
def test_tasks_that_are_chosen(jets, task):
    labels, origins = label_tracks(jets, [task])
    expected = {"origin": {"origin"}, "vertex": {"vertex", "heavy"}}[task]
    assert set(labels.constituent_labels) == expected
    assert len(origins) == 3 * (task == "origin")


def test_labels_that_are_not_known_make_no_task(jets):
    assert label_tracks(without_labels(jets), None)[0] == without_labels(jets)
    unknown = np.full(len(jets.constituents), -1)
    labels = {"origin": unknown, "vertex": jets.constituent_labels["vertex"]}
    labelled, origins = label_tracks(jets.replace(constituent_labels=labels), None)
    assert set(labelled.constituent_labels) == {"vertex", "heavy"}
    assert len(origins) == 0


@pytest.mark.parametrize("tasks", [["origin"], ["vertex"], BOTH])
def test_labels_that_are_asked_for_and_missing(jets, tasks):
    with pytest.raises(ValueError, match=r"aux needs labels of tracks, but \['"):
        label_tracks(without_labels(jets), tasks)
    unknown = {name: np.full(len(jets.constituents), -1) for name in BOTH}
    with pytest.raises(ValueError, match="is negative, which means unknown, for all"):
        label_tracks(jets.replace(constituent_labels=unknown), tasks)


@pytest.mark.parametrize("name", BOTH)
def test_labels_that_are_no_integers(jets, name):
    labels = dict(jets.constituent_labels)
    for value in (0.5, np.nan, np.inf):
        labels[name] = np.full(len(jets.constituents), value)
        with pytest.raises(ValueError, match=f"{name} must hold integers, got NaN"):
            label_tracks(jets.replace(constituent_labels=labels), None)
    labels[name] = np.full(len(jets.constituents), "b")
    with pytest.raises(ValueError, match=f"{name} must hold integers, got <U1"):
        label_tracks(jets.replace(constituent_labels=labels), None)
    labels[name] = np.zeros((len(jets.constituents), 2), dtype=int)
    with pytest.raises(ValueError, match=f"{name} must hold one integer a track"):
        label_tracks(jets.replace(constituent_labels=labels), None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[:-1], r"vertex must have the shape \(20, 5\) or more"),
        (lambda table: table[:, :-1], r"got \(20, 4\)"),
        (lambda table: table[:, :, None], r"got \(20, 5, 1\)"),
        (lambda table: table[table >= 0], "one row a jet and one column a track"),
        (lambda table: np.abs(table), "must be negative behind the last track"),
        (
            lambda table: np.where(table < 0, np.nan, table),
            "must hold integers, got NaN",
        ),
        (lambda table: table + 0.5, "NaN, infinity or fractions"),
        (
            lambda table: np.where(table < 0, -np.inf, table),
            "NaN, infinity or fractions",
        ),
        (lambda table: table.astype(str), "vertex must hold integers, got <U"),
        (lambda table: table.astype(object), "vertex must hold integers, got object"),
        (
            lambda table: np.full_like(table, -1),
            "vertex is negative, which means unknown",
        ),
        (lambda table: [row[row >= 0] for row in table], "vertex must be one array"),
    ],
)
def test_labels_of_the_wrong_shape_or_kind(jets, change, message):
    with pytest.raises(ValueError, match=message):
        add_labels(jets, {"vertex": change(pad(jets, "vertex"))})


def test_no_tracks():
    jets = Jets(constituents=np.zeros((0, 2)), offsets=[0, 0, 0])
    assert pad_labels(jets, np.arange(0)).shape == (2, 0)
    with pytest.raises(ValueError, match="for all tracks"):
        add_labels(jets, {"origin": np.full((2, 3), -1)})


def partition(n_tracks, links):
    """Groups of tracks, by looking for links until nothing changes."""
    group = list(range(n_tracks))
    for _ in range(n_tracks):
        for a, b in links:
            group[a] = group[b] = min(group[a], group[b])
    return group


@pytest.mark.parametrize("seed", range(5))
def test_linked_tracks_share_a_group(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, size=30)
    starts = np.cumsum(counts) - counts
    links, expected = [], []
    for start, count in zip(starts, counts, strict=True):
        pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
        linked = [pair for pair in pairs if rng.uniform() < 0.2]
        links += [(start + a, start + b) for a, b in linked]
        groups = partition(count, linked)
        expected += [sorted(set(groups)).index(group) for group in groups]
    first, second = np.array(links).T
    jets = Jets(
        constituents=np.ones((counts.sum(), 1)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
    )
    group = linked_tracks(first, second, counts)
    np.testing.assert_array_equal(number_groups(jets, group), expected)
    renamed = rng.permutation(1000)[group]
    np.testing.assert_array_equal(number_groups(jets, renamed), expected)
    none = np.arange(0)
    alone = number_groups(jets, linked_tracks(none, none, counts))
    np.testing.assert_array_equal(alone, np.concatenate([np.arange(c) for c in counts]))
