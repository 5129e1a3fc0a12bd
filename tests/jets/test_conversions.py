import sys

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from sklearn_hepcal.jets import Jets


@pytest.fixture
def bare(jets):
    """The jets with constituents alone."""
    return Jets(None, jets.constituents, jets.offsets)


@pytest.mark.parametrize("fill_value", [0.0, np.nan])
def test_padded_round_trip(bare, fill_value):
    padded, mask = bare.to_padded(fill_value=fill_value)
    assert padded.shape == (40, 6, 4)
    np.testing.assert_array_equal(mask.sum(axis=1), bare.counts)
    np.testing.assert_array_equal(padded[mask], bare.constituents)
    np.testing.assert_array_equal(padded[~mask], fill_value)
    assert Jets.from_padded(padded) == bare


@pytest.mark.parametrize("value", [0.0, np.nan, -10_000.0, -999.0])
def test_values_of_padding(bare, value):
    padded, mask = bare.to_padded()
    array = np.where(mask[:, :, None], padded, value)
    assert Jets.from_padded(array) == Jets.from_padded(padded, mask=mask)


def test_negative_momenta_are_no_padding():
    array = [[[-10.0, 0.1, -10.0], [-10.0, -10.0, -10.0]]]
    np.testing.assert_array_equal(Jets.from_padded(array).constituents, [array[0][0]])


def test_padding_may_stand_anywhere(bare):
    padded, _ = bare.to_padded()
    spread = np.zeros((40, 13, 4))
    spread[:, 1:13:2] = padded
    assert Jets.from_padded(spread) == bare


def test_padded_mask_keeps_constituents_of_zero_pt():
    table = np.array([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]])
    jets = Jets.from_list([table, table[:1], table[:0]])
    padded, mask = jets.to_padded()
    assert Jets.from_padded(padded, mask=mask) == jets
    assert Jets.from_padded(padded).counts.tolist() == [1, 0, 0]


def test_masked_arrays_are_padding(bare):
    padded, mask = bare.to_padded(fill_value=9.0)
    hidden = np.broadcast_to(~mask[:, :, np.newaxis], padded.shape)
    assert Jets.from_padded(np.ma.array(padded, mask=hidden)) == bare


def test_padded_features_and_labels_follow(jets):
    padded, mask = jets.to_padded()
    origin = np.full(mask.shape, -1)
    origin[mask] = jets.constituent_labels["origin"]
    again = Jets.from_padded(
        padded,
        features=jets.features,
        feature_names=jets.feature_names,
        labels=jets.labels,
        constituent_labels={"origin": origin},
    )
    assert again == jets


@pytest.mark.parametrize("width", [0, 2, 6, 9])
def test_padding_truncates_to_the_leading_constituents(jets, width):
    padded, mask = jets.to_padded(width, fill_value=-1)
    assert padded.shape == (40, width, 4)
    for row, kept, table in zip(padded, mask, jets.to_list(), strict=True):
        n_kept = min(width, len(table))
        assert kept.tolist() == [True] * n_kept + [False] * (width - n_kept)
        np.testing.assert_array_equal(row[:n_kept], table[:n_kept])
        np.testing.assert_array_equal(row[n_kept:], -1)


def test_padding_keeps_the_type():
    jets = Jets.from_list([np.ones((2, 3), dtype=np.float32)])
    assert jets.to_padded()[0].dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Jets.from_padded(np.ones((2, 3))), r"3-D.*\(2, 3\)"),
        (lambda: Jets.from_padded(np.ones((2, 3, 0))), "no columns"),
        (
            lambda: Jets.from_padded(np.ones((2, 3, 4)), mask=np.ones((2, 3))),
            r"boolean array of shape \(2, 3\), got dtype float64",
        ),
        (
            lambda: Jets.from_padded(
                np.ones((2, 3, 4)), constituent_labels={"origin": np.ones(6)}
            ),
            r"constituent_labels\['origin'\] must be padded to \(2, 3\)",
        ),
        (
            lambda: Jets.from_list([np.ones((2, 3))]).to_padded(-1),
            "must not be negative, got -1",
        ),
    ],
)
def test_bad_padding(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_list_round_trip(jets):
    tables = jets.to_list()
    assert Jets.from_list(tables) == Jets(None, jets.constituents, jets.offsets)
    assert all(np.shares_memory(t, jets.constituents) for t in tables if t.size)
    assert [table.shape for table in tables] == [(count, 4) for count in jets.counts]


def test_lists_of_numbers_and_empty_lists():
    jets = Jets.from_list([[], [[1, 2, 3]], np.empty((0, 3))], labels={"q": [0, 1, 2]})
    assert jets.counts.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(jets.constituents, [[1, 2, 3]])


def test_no_jet_and_only_empty_jets():
    names = ["pt", "y", "phi"]
    nothing = Jets.from_list([], constituent_names=names)
    empty = Jets.from_list([[], []], constituent_names=names)
    assert nothing == empty[:0]
    for jets in (nothing, empty, Jets.from_list([np.empty((0, 3))])):
        assert jets.constituents.shape == (0, 3)
        padded, mask = jets.to_padded()
        assert padded.shape == (len(jets), 0, 3)
        assert mask.shape == (len(jets), 0)
        assert Jets.concatenate(jets.replace() for _ in range(2)).shape == (
            2 * len(jets),
        )
        assert Jets.from_awkward(jets.to_awkward()) == jets


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.ones((2, 3)), np.ones((1, 4))], r"same number of columns, got \[3, 4\]"),
        ([np.ones((2, 3)), np.ones((0, 4))], r"same number of columns, got \[3, 4\]"),
        ([np.ones((2, 3)), np.ones(3)], r"got shape \(3,\) for jet 1"),
        ([1.0, 2.0], r"got shape \(\) for jet 0"),
    ],
)
def test_bad_lists(arrays, message):
    with pytest.raises(ValueError, match=message):
        Jets.from_list(arrays)


LABELS = {"labels": ["flavour", "process"], "constituent_labels": ["origin"]}


def test_pandas_round_trip(jets):
    features, constituents = jets.to_pandas()
    assert list(features.columns) == ["mass", "width", "flavour", "process"]
    assert list(constituents.columns) == ["pt", "eta", "phi", "x3", "origin"]
    assert constituents.index.names == ["entry", "subentry"]
    assert Jets.from_pandas(features, constituents, **LABELS) == jets


def test_pandas_parts(jets):
    features, constituents = jets.select(features=[]).to_pandas()
    without_features = jets.select(features=[])
    assert Jets.from_pandas(features, constituents, **LABELS) == without_features
    only_features = Jets(jets.features, feature_names=jets.feature_names)
    assert Jets.from_pandas(*only_features.to_pandas()) == only_features
    assert Jets.from_pandas(only_features.to_pandas()[0]) == only_features


def test_pandas_constituents_alone_lose_empty_jets(bare):
    assert Jets.from_pandas(None, bare.to_pandas()[1]) == bare[bare.counts > 0]


def test_pandas_constituents_in_any_order_of_jets(jets):
    features, constituents = jets.to_pandas()
    column = constituents.reset_index("subentry", drop=True).reset_index()
    order = np.argsort(np.random.default_rng(0).integers(0, 9, len(jets)))
    # whole jets change places, and the name of a jet is any value of the index
    names = np.array([f"jet{i}" for i in range(len(jets))])
    column["entry"] = names[column["entry"]]
    shuffled = pd.concat([column[column["entry"] == names[i]] for i in order])
    features.index = names
    kwargs = {"entry": "entry", **LABELS}
    assert Jets.from_pandas(features, shuffled, **kwargs) == jets
    assert Jets.from_pandas(features.iloc[order], column, **kwargs) == jets[order]


FEATURES = pd.DataFrame({"mass": [1.0, 2.0]})
CONSTITUENTS = pd.DataFrame({"entry": [0, 2], "pt": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give features, constituents or both"),
        ({"features": FEATURES, "labels": ["q"]}, r"labels \['q'\] are not columns"),
        ({"constituents": CONSTITUENTS, "labels": ["q"]}, "the data frame that holds"),
        (
            {"features": FEATURES, "constituent_labels": ["q"]},
            "the data frame that holds",
        ),
        ({"constituents": CONSTITUENTS, "entry": "jet"}, "a column 'jet'"),
        (
            {"constituents": CONSTITUENTS.assign(entry=[0.0, np.nan])},
            "1 constituents have no jet: their 'entry' is NaN",
        ),
        (
            {"features": FEATURES, "constituents": CONSTITUENTS},
            "1 jets that are not in the index of features, the first being 2",
        ),
        (
            {"features": FEATURES.loc[[0, 0]], "constituents": CONSTITUENTS},
            "must name each jet once",
        ),
    ],
)
def test_bad_data_frames(arguments, message):
    with pytest.raises(ValueError, match=message):
        Jets.from_pandas(**arguments)


@pytest.mark.parametrize("write", [Jets.to_pandas, Jets.to_awkward])
def test_labels_with_the_name_of_a_feature_are_refused(jets, write):
    clash = jets.replace(labels={"mass": np.zeros(len(jets))})
    with pytest.raises(ValueError, match=r"\['mass'\] have the names of columns"):
        write(clash)


def test_labels_of_two_dimensions_do_not_fit_a_data_frame(jets):
    with pytest.raises(ValueError, match=r"\['p4'\] have more than one dimension"):
        jets.replace(labels={"p4": np.zeros((len(jets), 4))}).to_pandas()


def test_awkward_round_trip(jets):
    array = jets.to_awkward()
    assert array.fields == ["mass", "width", "flavour", "process", "constituents"]
    assert ak.num(array.constituents).tolist() == jets.counts.tolist()
    assert Jets.from_awkward(array, **LABELS) == jets


def test_awkward_parts(jets, bare):
    assert Jets.from_awkward(bare.to_awkward()) == bare
    only_features = Jets(jets.features, feature_names=jets.feature_names)
    assert Jets.from_awkward(only_features.to_awkward()) == only_features


def test_awkward_labels_of_two_dimensions(jets):
    wide = jets.replace(labels={"p4": np.arange(160.0).reshape(40, 4)})
    again = Jets.from_awkward(
        wide.to_awkward(), labels=["p4"], constituent_labels=["origin"]
    )
    assert again == wide


def test_awkward_layouts_agree(bare):
    records = bare.to_awkward().constituents
    numbers = ak.Array(bare.to_list())
    assert Jets.from_awkward(records) == bare
    assert Jets.from_awkward(numbers) == bare
    assert Jets.from_awkward(ak.to_regular(numbers, axis=2)) == bare
    columns = ak.zip({name: records[name] for name in records.fields}, depth_limit=1)
    assert Jets.from_awkward(columns) == bare
    named = Jets.from_awkward(numbers, constituent_names=list("abcd"))
    assert named == bare.replace(constituent_names=list("abcd"))


def test_awkward_numbers_of_empty_jets():
    empty = ak.Array([[[1.0, 2.0, 3.0]], []])[1:]
    names = ["pt", "y", "phi"]
    jets = Jets.from_awkward(empty, constituent_names=names)
    assert jets == Jets.from_list([[]], constituent_names=names)


def test_awkward_keeps_single_precision():
    jets = Jets.from_list([np.ones((2, 3), dtype=np.float32)])
    again = Jets.from_awkward(jets.to_awkward())
    assert again.constituents.dtype == np.float32


@pytest.mark.parametrize(
    ("array", "arguments", "message"),
    [
        (ak.Array([[1.0], [2.0]]), {}, "must have records"),
        (ak.Array([{"a": 1.0}]), {"labels": ["q"]}, r"labels \['q'\] are not among"),
        (
            ak.Array([{"a": 1.0}]),
            {"constituent_labels": ["q"]},
            r"constituent_labels \['q'\] are not among",
        ),
        (ak.Array([{"a": 1.0}]), {"constituent_names": ["q"]}, "without fields"),
        (ak.Array([{"a": 1.0}, {"a": None}]), {}, "'a' cannot be made.*fill_none"),
        (ak.Array([[{"pt": 1.0}], None]), {}, "'pt' cannot be made.*fill_none"),
        (ak.Array([[[1.0, 2.0], [1.0]]]), {}, "array.*as many numbers"),
        (ak.Array([{"a": [1.0], "b": [1.0, 2.0]}]), {}, "'a' and 'b' have different"),
        (ak.Array([{"p4": {"pt": 1.0}}]), {}, "'p4' is"),
        (ak.Array([{"a": [[1.0]]}]), {}, "'a' is"),
        (
            ak.Array([{"pt": [1.0], "tracks": [{"pt": 1.0}]}]),
            {},
            r"several fields named \['pt'\]",
        ),
    ],
)
def test_bad_awkward_arrays(array, arguments, message):
    with pytest.raises(ValueError, match=message):
        Jets.from_awkward(array, **arguments)


def test_awkward_feature_named_constituents(jets):
    clash = jets.replace(feature_names=["mass", "constituents"])
    with pytest.raises(ValueError, match="named 'constituents'"):
        clash.to_awkward()


def test_awkward_is_optional(jets, monkeypatch):
    monkeypatch.setitem(sys.modules, "awkward", None)
    with pytest.raises(ImportError, match=r"pip install sklearn_hepcal\[awkward\]"):
        jets.to_awkward()
