import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_hepcal.jets import Jets

rng = np.random.default_rng(7)
MASK = rng.random(40) < 0.4
KEYS = {
    "mask": MASK,
    "list mask": MASK.tolist(),
    "series mask": pd.Series(MASK, index=range(40, 80)),
    "permutation": rng.permutation(40),
    "repeats": rng.integers(-40, 40, 100),
    "int32": np.array([3, 0, 3], dtype=np.int32),
    "list": [5, -1, 2],
    "empty list": [],
    "nothing": np.zeros(40, dtype=bool),
    "slice": slice(3, 21),
    "negative slice": slice(-7, None),
    "empty slice": slice(20, 10),
    "slice past the end": slice(35, 100),
    "step": slice(1, 30, 3),
    "reverse": slice(None, None, -1),
}


def rows_of(jets):
    """Everything that belongs to a jet, as one tuple a jet."""
    origins = np.split(jets.constituent_labels["origin"], jets.offsets[1:-1])
    return [
        (
            *jets.features[i],
            jets.labels["flavour"][i],
            jets.labels["process"][i],
            table.tolist(),
            origin.tolist(),
        )
        for i, (table, origin) in enumerate(
            zip(jets.to_list(), origins[: len(jets)], strict=True)
        )
    ]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("ellipsis", [False, True])
def test_slicing_keeps_every_row_together(jets, key, ellipsis):
    chosen = jets[key, ...] if ellipsis else jets[key]
    expected = np.arange(len(jets))[key]
    rows = rows_of(jets)
    assert rows_of(chosen) == [rows[i] for i in expected]
    assert chosen.shape == expected.shape
    assert chosen.feature_names == jets.feature_names
    assert chosen.constituent_names == jets.constituent_names


def test_slicing_then_flattening_is_flattening_then_masking(jets):
    flat = MASK[jets.jet_index]
    np.testing.assert_array_equal(jets[MASK].constituents, jets.constituents[flat])
    np.testing.assert_array_equal(
        jets[MASK].constituent_labels["origin"], jets.constituent_labels["origin"][flat]
    )


def test_slicing_twice_is_slicing_by_the_product(jets):
    first, second = np.random.default_rng(0).integers(0, 30, (2, 30))
    assert jets[first][second] == jets[first[second]]


def test_neighbouring_jets_are_views(jets):
    part = jets[5:20]
    assert np.shares_memory(part.constituents, jets.constituents)
    assert np.shares_memory(part.features, jets.features)


@pytest.mark.parametrize("index", [0, 7, 39, -1, -40, np.int64(3), np.array(3)])
def test_integer_gives_one_jet(jets, index):
    row = int(index) % len(jets)
    assert jets[index] == jets[row : row + 1]
    assert len(jets[index]) == 1


@pytest.mark.parametrize("index", [40, -41, [0, 40], [-41], np.ones(39, dtype=bool)])
def test_rows_out_of_range(jets, index):
    with pytest.raises(IndexError):
        jets[index]


@pytest.mark.parametrize("index", ["mass", 1.5, None, (0, 1), [[0, 1]], True])
def test_keys_that_are_not_rows(jets, index):
    with pytest.raises(IndexError):
        jets[index]


def test_iteration_gives_single_jets(jets):
    assert Jets.concatenate(list(jets)) == jets
    assert [len(jet) for jet in jets] == [1] * len(jets)


def test_counts_and_jet_index(jets):
    assert jets.counts.tolist() == [len(table) for table in jets.to_list()]
    expected = [i for i, count in enumerate(jets.counts) for _ in range(count)]
    assert jets.jet_index.tolist() == expected
    assert jets.ndim == len(jets.shape) == 1


def test_columns_by_name(jets):
    np.testing.assert_array_equal(jets.feature("width"), jets.features[:, 1])
    np.testing.assert_array_equal(jets.constituent("phi"), jets.constituents[:, 2])
    with pytest.raises(ValueError, match=r"feature named \['pt'\].*'mass', 'width'"):
        jets.feature("pt")
    with pytest.raises(ValueError, match=r"constituent column named \['y'\].*'x3'"):
        jets.constituent("y")


def test_select_keeps_columns_in_the_given_order(jets):
    chosen = jets.select(features=["width"], constituents=["phi", "pt"])
    assert chosen.feature_names == ("width",)
    assert chosen.constituent_names == ("phi", "pt")
    np.testing.assert_array_equal(chosen.features, jets.features[:, [1]])
    np.testing.assert_array_equal(chosen.constituents, jets.constituents[:, [2, 0]])
    assert chosen.labels.keys() == jets.labels.keys()
    assert jets.select() == jets
    np.testing.assert_array_equal(jets.select(constituents=[]).counts, jets.counts)
    with pytest.raises(ValueError, match="No feature named"):
        jets.select(features=["pt"])


def test_replace(jets):
    doubled = jets.replace(features=2 * jets.features)
    np.testing.assert_array_equal(doubled.features, 2 * jets.features)
    assert doubled.replace(features=jets.features) == jets
    with pytest.raises(ValueError, match="3 columns but 2 names"):
        jets.replace(features=np.ones((len(jets), 3)))


def test_default_names():
    jets = Jets(np.ones((1, 2)), np.ones((1, 5)), [0, 1])
    assert jets.feature_names == ("x0", "x1")
    assert jets.constituent_names == ("pt", "eta", "phi", "x3", "x4")
    assert Jets.from_list([np.ones((2, 2))]).constituent_names == ("pt", "eta")


def test_data_frame_columns_become_names():
    frame = pd.DataFrame({"mass": [1.0, 2.0], "width": [0, 1]})
    assert Jets(frame).feature_names == ("mass", "width")
    frame.columns = [0, 1]
    assert Jets(frame).feature_names == ("x0", "x1")


@pytest.mark.parametrize("part", ["features", "constituents"])
@pytest.mark.parametrize(
    ("given", "kept"),
    [(np.float32, np.float32), (int, np.float64), (bool, np.float64), (">f8", float)],
)
def test_types(part, given, kept):
    table = np.ones((2, 3), dtype=given)
    offsets = [0, 2] if part == "constituents" else None
    jets = Jets(**{part: table}, offsets=offsets)
    assert getattr(jets, part).dtype == kept
    assert getattr(jets, part).dtype.isnative


def test_masked_values_become_nan():
    masked = np.ma.masked_equal([[1, 2], [3, 4]], 3)
    np.testing.assert_array_equal(Jets(masked).features, [[1, 2], [np.nan, 4]])


def test_concatenation_undoes_slicing(jets):
    assert Jets.concatenate([jets[:7], jets[7:7], jets[7:30], jets[30:]]) == jets


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_names": ["mass", "girth"]}, r"differ in feature_names.*girth"),
        ({"constituent_names": list("abcd")}, "differ in constituent_names"),
        ({"labels": {"flavour": np.zeros(40)}}, "differ in labels"),
        ({"constituent_labels": {}}, "differ in constituent_labels"),
    ],
)
def test_concatenation_of_different_jets(jets, change, message):
    with pytest.raises(ValueError, match=message):
        Jets.concatenate([jets, jets.replace(**change)])


def test_concatenation_of_nothing():
    with pytest.raises(ValueError, match="no jets to concatenate"):
        Jets.concatenate([])


@pytest.mark.parametrize(
    "rebuild",
    [lambda jets: pickle.loads(pickle.dumps(jets)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_copies_are_equal_and_immutable(jets, rebuild):
    again = rebuild(jets)
    assert again == jets
    with pytest.raises(ValueError, match="read-only"):
        again.features[0, 0] = 0


def test_deepcopy_owns_its_arrays():
    features = np.ones((2, 2))
    jets = Jets(features)
    owned = copy.deepcopy(jets)
    features[0, 0] = 5
    assert owned.features[0, 0] == 1


def test_pickle_of_a_slice_holds_the_slice_only(jets):
    assert len(pickle.dumps(jets[:2])) < len(pickle.dumps(jets)) / 2


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.zeros((40, 2))},
        {"feature_names": ["a", "b"]},
        {"constituent_names": list("abcd")},
        {"labels": {}},
        {"labels": {"flavour": np.full(40, 9), "process": np.full(40, "QCD")}},
        {"constituent_labels": {}},
    ],
)
def test_equality_sees_every_part(jets, change):
    assert jets != jets.replace(**change)
    assert jets == jets.replace()


def test_equality_sees_offsets():
    table = np.ones((3, 3))
    assert Jets(None, table, [0, 1, 3]) != Jets(None, table, [0, 2, 3])
    assert Jets(None, table, [0, 1, 3]) != Jets(None, table, [0, 1, 3, 3])


def test_equality_takes_nan_for_equal():
    labels = {"vertex": [np.nan], "name": np.array([None], dtype=object)}
    jets = Jets([[np.nan, 1.0]], labels=labels)
    assert jets == copy.deepcopy(jets)
    assert jets != Jets([[1.0, np.nan]], labels=labels)


def test_equality_of_labels_of_different_types():
    jets = Jets([[1.0]], labels={"flavour": ["b"]})
    assert jets != jets.replace(labels={"flavour": [5.0]})
    assert jets == jets.replace(labels={"flavour": np.array(["b"], dtype=object)})


def test_comparison_with_something_else(jets):
    assert jets != "jets"
    assert (jets == jets.features) is False
    assert (jets.features == jets) is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(jets)


def test_jets_are_immutable(jets):
    arrays = [
        jets.features,
        jets.constituents,
        jets.offsets,
        jets.labels["flavour"],
        jets.constituent_labels["origin"],
        jets[3:5].constituents,
        jets[[1, 2]].constituents,
        *jets.to_list(),
    ]
    for array in arrays:
        assert not array.flags.writeable
    with pytest.raises(TypeError):
        jets.labels["new"] = np.zeros(len(jets))
    for name in ("features", "counts", "something"):
        with pytest.raises(AttributeError):
            setattr(jets, name, None)
    with pytest.raises(TypeError):
        jets[0] = jets[1]


def test_the_callers_arrays_stay_writeable():
    features, constituents = np.ones((2, 2)), np.ones((3, 3))
    offsets, flavour = np.array([0, 1, 3]), np.array([5, 0])
    jets = Jets(features, constituents, offsets, labels={"flavour": flavour})
    assert np.shares_memory(jets.features, features)
    for array in (features, constituents, offsets, flavour):
        array[0] = 0


def test_jets_are_not_an_array(jets):
    with pytest.raises(TypeError, match=r"Jets are ragged.*to_padded"):
        np.asarray(jets)


def test_repr(jets):
    offsets = np.arange(0, 3002, 3)[:1001]
    long = Jets(
        np.ones((1000, 2)),
        np.ones((3000, 2)),
        offsets,
        feature_names=["pt", "eta"],
        labels={"flavour": np.zeros(1000)},
        constituent_labels={"origin": np.zeros(3000)},
    )
    assert repr(long) == (
        "Jets(n=1000, features=['pt', 'eta'], constituents=3.0 per jet ['pt', 'eta'], "
        "labels=['flavour'], constituent_labels=['origin'])"
    )
    assert repr(Jets(np.ones((2, 1)))) == "Jets(n=2, features=['x0'])"
    assert repr(Jets.from_list([])) == "Jets(n=0)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "Give features, or constituents"),
        ({"constituents": np.ones((2, 3))}, ValueError, "constituents with offsets"),
        (
            {"features": np.ones((2, 3)), "offsets": [0, 0, 0]},
            ValueError,
            "constituents with offsets",
        ),
        ({"features": [1.0, 2.0]}, ValueError, r"features must be a 2-D.*\(2,\)"),
        ({"features": 1.0}, ValueError, r"features must be a 2-D"),
        ({"features": [["a"]]}, TypeError, "features must hold real numbers"),
        ({"features": [[{}]]}, TypeError, "features must hold real numbers"),
        ({"features": [[1j]]}, ValueError, "Complex data not supported: features"),
        (
            {"features": [[1, 2]], "feature_names": ["a"]},
            ValueError,
            r"features has 2 columns but 1 names: \['a'\]",
        ),
        (
            {"features": [[1, 2]], "feature_names": ["a", "a"]},
            ValueError,
            r"must differ, got \['a'\]",
        ),
        ({"features": [[1, 2]], "feature_names": [0, 1]}, TypeError, "be strings"),
        ({"features": [[1, 2]], "feature_names": "ab"}, TypeError, "be a list"),
        (
            {"features": [[1]], "labels": {"flavour": [1, 2]}},
            ValueError,
            r"labels\['flavour'\] must have 1 rows, got .*\(2,\)",
        ),
        ({"features": [[1]], "labels": {"flavour": 5}}, ValueError, "must have 1 rows"),
        ({"features": [[1]], "labels": {3: [5]}}, TypeError, "labels must be strings"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Jets(**arguments)


@pytest.mark.parametrize(
    "offsets",
    [[1, 2], [0, 1], [0, 3], [0, 2, 1, 2], [0.0, 2.0], [[0, 2]], [], 2, ["0", "2"]],
)
def test_bad_offsets(offsets):
    with pytest.raises(ValueError, match="offsets must"):
        Jets(constituents=np.ones((2, 3)), offsets=offsets)


def test_features_and_offsets_disagree():
    with pytest.raises(ValueError, match="3 rows but offsets are for 2 jets"):
        Jets(np.ones((3, 1)), np.ones((2, 3)), [0, 1, 2])


def test_unsigned_offsets_that_step_back():
    offsets = np.array([0, 2, 1, 2], dtype=np.uint64)
    with pytest.raises(ValueError, match="offsets must rise"):
        Jets(constituents=np.ones((2, 3)), offsets=offsets)
