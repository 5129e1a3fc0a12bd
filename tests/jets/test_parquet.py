import datetime as dt
import json
import sys
import tracemalloc

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sklearn_hepcal
from sklearn_hepcal.jets import (
    Jets,
    iterate_parquet,
    read_parquet,
    read_parquet_metadata,
    write_parquet,
)


@pytest.fixture
def labelled(jets):
    """Jets with labels of all types that parquet can hold."""
    rng = np.random.default_rng(0)
    n_jets, n_constituents = len(jets), len(jets.constituents)
    labels = {
        "flag": rng.random(n_jets) < 0.5,
        "small": rng.integers(-128, 128, n_jets).astype(np.int8),
        "large": rng.integers(0, 2**64, n_jets, dtype=np.uint64),
        "half": rng.normal(size=n_jets).astype(np.float16),
        "single": rng.normal(size=n_jets).astype(np.float32),
        "swapped": rng.normal(size=n_jets).astype(">f8"),
        "matrix": rng.normal(size=(n_jets, 3, 2)),
        "words": rng.choice(["b", "tt\N{OVERLINE}"], (n_jets, 2)),
        "word": rng.choice(["", "tt\N{OVERLINE}", "dijet"], n_jets),
        "bytes": rng.choice([b"QCD", b"top"], n_jets),
        "time": rng.integers(0, 2**40, n_jets).astype("datetime64[us]"),
        "missing": np.full(n_jets, np.nan),
    }
    return jets.replace(
        labels={**jets.labels, **labels},
        constituent_labels={
            **jets.constituent_labels,
            "fake": rng.random(n_constituents) < 0.1,
            "hits": rng.integers(0, 256, n_constituents).astype(np.uint8),
            "kind": rng.choice(["pion", "kaon"], n_constituents),
            "position": rng.normal(size=(n_constituents, 3)).astype(np.float32),
        },
    )


def same_types(ours, theirs):
    return all(
        ours[name].dtype.newbyteorder("=") == theirs[name].dtype
        or ours[name].dtype.kind == theirs[name].dtype.kind in "US"
        for name in ours
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip_is_exact(tmp_path, labelled, dtype):
    jets = labelled.replace(
        features=labelled.features.astype(dtype),
        constituents=labelled.constituents.astype(dtype),
    )
    write_parquet(tmp_path / "jets.parquet", jets)
    again = read_parquet(tmp_path / "jets.parquet")
    assert again == jets
    assert again.features.dtype == again.constituents.dtype == dtype
    assert again.labels.keys() == jets.labels.keys()
    assert same_types(jets.labels, again.labels)
    assert same_types(jets.constituent_labels, again.constituent_labels)


@pytest.mark.parametrize(
    "jets",
    [
        Jets([[1.0], [2.0]]),
        Jets([[1.0], [2.0]])[:0],
        Jets(None, np.ones((3, 3)), [0, 0, 3]),
        Jets(np.empty((2, 0)), labels={"word": np.array(["b", "c"], dtype=object)}),
        Jets(None, np.empty((3, 0)), [0, 3], constituent_labels={"origin": [1, 2, 3]}),
        Jets([[1.0]], np.empty((0, 3)), [0, 0]),
        Jets([[1.0]], [[2.0]], [0, 1], feature_names=["pt"], constituent_names=["pt"]),
        Jets([[np.nan], [np.inf]], labels={"time": np.array(["NaT", "NaT"], "M8[ms]")}),
    ],
)
def test_round_trip_of_parts(tmp_path, jets):
    write_parquet(tmp_path / "jets.parquet", jets)
    again = read_parquet(tmp_path / "jets.parquet")
    np.testing.assert_equal(again._state(), jets._state())


@pytest.mark.parametrize("chunk_size", [1, 7, 40, 1000])
def test_chunks_are_streamed(tmp_path, labelled, chunk_size):
    path = tmp_path / "jets.parquet"
    pieces = (labelled[i : i + 15] for i in range(0, 40, 15))
    write_parquet(path, pieces, metadata={"tune": "Monash"})
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(3)]
    assert groups == [15, 15, 10]
    chunks = list(iterate_parquet(path, chunk_size=chunk_size))
    assert max(map(len, chunks)) == min(chunk_size, 40)
    assert Jets.concatenate(chunks) == labelled


@pytest.mark.parametrize(
    ("start", "stop"), [(None, 5), (3, 3), (14, 16), (20, None), (-7, -2), (50, 99)]
)
def test_ranges_over_several_files(tmp_path, labelled, start, stop):
    for i, piece in enumerate([labelled[:25], labelled[25:25], labelled[25:]]):
        write_parquet(tmp_path / f"{i}.parquet", [piece[:10], piece[10:]])
    files = str(tmp_path / "*.parquet")
    expected = labelled[slice(start, stop)]
    assert read_parquet(files, start=start, stop=stop) == expected
    chunks = list(iterate_parquet(files, start=start, stop=stop, chunk_size=4))
    assert all(0 < len(chunk) <= 4 for chunk in chunks) or not len(expected)
    assert Jets.concatenate(chunks) == expected


def test_selection(tmp_path, labelled):
    path = tmp_path / "jets.parquet"
    write_parquet(path, labelled)
    chosen = read_parquet(path, selection=lambda jets: jets.feature("mass") > 0)
    assert chosen == labelled[labelled.feature("mass") > 0]
    with pytest.raises(ValueError, match="boolean array of shape"):
        read_parquet(path, selection=lambda jets: [1, 2])
    with pytest.raises(TypeError, match="selection must be a function"):
        read_parquet(path, selection="pt > 20")
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        iterate_parquet(path, chunk_size=0)


def test_columns_asked_for(tmp_path, labelled):
    path = tmp_path / "jets.parquet"
    write_parquet(path, labelled)
    jets = read_parquet(
        path,
        features="width",
        labels=["single", "mass"],
        constituents=["x3", "hits"],
        constituent_labels=["pt"],
    )
    assert jets.feature_names == ("width",)
    assert list(jets.labels) == ["single", "mass"]
    np.testing.assert_array_equal(jets.labels["mass"], labelled.feature("mass"))
    np.testing.assert_array_equal(
        jets.constituents,
        np.column_stack(
            [labelled.constituent("x3"), labelled.constituent_labels["hits"]]
        ),
    )
    np.testing.assert_array_equal(
        jets.constituent_labels["pt"], labelled.constituent("pt")
    )
    np.testing.assert_array_equal(jets.offsets, labelled.offsets)
    defaults = read_parquet(path, features=["width"], constituents=["x3"])
    assert set(defaults.labels) == {*labelled.labels, "mass"}
    assert set(defaults.constituent_labels) == set(labelled.constituent_labels)
    nothing = {"constituents": (), "constituent_labels": ()}
    alone = read_parquet(path, features=(), labels=(), **nothing)
    assert alone == Jets(np.empty((40, 0)))
    assert len(read_parquet(path, features=(), labels=(), start=7, **nothing)) == 33


def test_metadata(tmp_path, labelled):
    path = tmp_path / "jets.parquet"
    metadata = {"process": "t\N{OVERLINE}", "cuts": {"pt": [500, 550.5]}, "seed": None}
    write_parquet(path, labelled, metadata=metadata)
    assert read_parquet_metadata(path) == metadata
    notes = json.loads(pq.read_schema(path).metadata[b"sklearn_hepcal"])
    assert notes["format"] == 1
    assert notes["version"] == sklearn_hepcal.__version__
    write_parquet(path, labelled, overwrite=True)
    assert read_parquet_metadata(path) == {}
    with pytest.raises(TypeError, match="metadata must hold what JSON can"):
        write_parquet(tmp_path / "x.parquet", labelled, metadata={"rng": object()})


def test_files_of_a_later_format(tmp_path):
    notes = {b"sklearn_hepcal": b'{"format": 2, "version": "9.0"}'}
    path = tmp_path / "later.parquet"
    pq.write_table(pa.table({"pt": [1.0]}, metadata=notes), path)
    with pytest.raises(ValueError, match=r"by sklearn_hepcal 9.0, in a format.*update"):
        read_parquet(path)


def test_files_of_pandas(tmp_path, jets):
    table, parts = jets.to_pandas()
    for name in parts:
        table[f"tracks_{name}"] = parts[name].groupby("entry").agg(list)
        table[f"tracks_{name}"] = [
            values if isinstance(values, list) else []
            for values in table[f"tracks_{name}"]
        ]
    table["eventNumber"] = np.arange(40)
    table["process"] = table["process"].astype("category")
    table.loc[table["mass"] > 0].to_parquet(tmp_path / "jets.parquet")
    again = read_parquet(tmp_path / "jets.parquet")
    kept = jets[jets.feature("mass") > 0]
    assert again.feature_names == ("mass", "width")
    assert set(again.labels) == {"flavour", "process", "eventNumber", "entry"}
    assert again.constituent_names == tuple(
        f"tracks_{n}" for n in ["pt", "eta", "phi", "x3", "origin"]
    )
    np.testing.assert_array_equal(again.features, kept.features)
    np.testing.assert_array_equal(again.constituents[:, :4], kept.constituents)
    np.testing.assert_array_equal(again.labels["process"], kept.labels["process"])


def test_files_of_awkward(tmp_path, labelled):
    jets = labelled.replace(
        labels={"flavour": labelled.labels["flavour"]},
        constituent_labels={"origin": labelled.constituent_labels["origin"]},
    )
    ak.to_parquet(jets.to_awkward(), tmp_path / "records.parquet")
    assert read_parquet(tmp_path / "records.parquet") == jets
    records = jets.to_awkward()
    flat = {name: records[name] for name in ["mass", "width", "flavour"]}
    inner = records["constituents"]
    flat |= {name: inner[name] for name in inner.fields}
    ak.to_parquet(ak.zip(flat, depth_limit=1), tmp_path / "lists.parquet")
    assert read_parquet(tmp_path / "lists.parquet") == jets
    ours = tmp_path / "ours.parquet"
    write_parquet(ours, jets)
    read = ak.from_parquet(ours)
    assert ak.all(read["constituent_pt"] == inner["pt"])


def test_several_collections(tmp_path):
    events = ak.Array(
        {
            "tracks": [[{"pt": 1.0, "d0": 0.1}, {"pt": 2.0, "d0": 0.2}], []],
            "cells": [[{"pt": 3.0}], [{"pt": 4.0}]],
        }
    )
    path = tmp_path / "events.parquet"
    ak.to_parquet(events, path)
    tracks = read_parquet(path, constituents=["tracks.pt", "d0"], constituent_labels=())
    np.testing.assert_array_equal(tracks.constituents, [[1.0, 0.1], [2.0, 0.2]])
    assert tracks.counts.tolist() == [2, 0]
    message = r"'d0' and 'cells.pt' differ in length, first 2 and 1"
    with pytest.raises(ValueError, match=message):
        read_parquet(path, constituents=["d0", "cells.pt"])


def write_table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_truth_is_no_input(tmp_path):
    path = write_table(
        tmp_path / "x.parquet",
        pt=[1.0],
        HadronConeExclTruthLabelID=[5],
        d0=[[1.0]],
        truthOriginLabel=[[3]],
    )
    jets = read_parquet(path)
    assert jets.feature_names == ("pt",) and jets.constituent_names == ("d0",)
    renamed = read_parquet(path, labels=["flavour"], constituent_labels=["origin"])
    assert renamed.labels["flavour"].tolist() == [5]
    assert renamed.constituent_labels["origin"].tolist() == [3]
    with pytest.raises(ValueError, match="must not hold the truth"):
        read_parquet(path, features=["flavour"])


def test_our_features_may_have_any_name(tmp_path):
    jets = Jets([[1.0]], feature_names=["truth_pt"])
    write_parquet(tmp_path / "x.parquet", jets)
    assert read_parquet(tmp_path / "x.parquet") == jets
    assert read_parquet(tmp_path / "x.parquet", features=["truth_pt"]) == jets


def test_missing_numbers_are_nan(tmp_path):
    path = write_table(
        tmp_path / "x.parquet",
        pt=pa.array([1.0, None], pa.float32()),
        n=pa.array([1, None], pa.int8()),
        is_b_label=pa.array([True, None]),
        time_label=pa.array([dt.date(2026, 1, 1), None]),
        p3_label=pa.array([[1.0, None], [2.0, 3.0]], pa.list_(pa.float64(), 2)),
        d0=[[None, 2.0], [3.0]],
    )
    jets = read_parquet(path)
    np.testing.assert_array_equal(jets.features, [[1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(jets.labels["is_b_label"], [1, np.nan])
    np.testing.assert_array_equal(jets.labels["p3_label"], [[1, np.nan], [2, 3]])
    assert np.isnat(jets.labels["time_label"]).tolist() == [False, True]
    np.testing.assert_array_equal(jets.constituents[:, 0], [np.nan, 2, 3])


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"word": ["b", None]}, {}, "'word' of .* has 1 missing"),
        ({"x": [[1.0], None]}, {}, "'x' of .* has 1 missing"),
        ({"x": [[{"pt": 1.0}, None]]}, {}, "'pt' of .* has 1 missing"),
        (
            {"x": pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2))},
            {},
            "'x' of .* has 1 missing",
        ),
        (
            {"a": [[1.0], [1.0]], "b": [[1.0], []]},
            {},
            "'a' and 'b' differ in length, first 1 and 0",
        ),
        (
            {"x": [[[1.0]]]},
            {"constituents": ["x"]},
            "constituents: 'x' of .* holds nested lists",
        ),
        (
            {"x": [[[1.0]]]},
            {"constituent_labels": ["x"]},
            "constituent_labels: 'x' of .* holds nested lists",
        ),
        ({"x": [{"a": 1}]}, {"labels": ["x"]}, "labels: 'x' of .* neither numbers"),
        ({"word": ["b"]}, {"features": ["word"]}, "one number a row; read it as a"),
        (
            {"jet_mass": [1.0], "width": [1.0]},
            {"features": ["jetmass"]},
            r"features: .* has no column 'jetmass'; the nearest are \['jet_mass'\]",
        ),
        (
            {"d0": [[1.0]]},
            {"constituents": ["D0"]},
            r"\(columns of lists\) has no column 'D0'; the nearest are \['d0'\]",
        ),
    ],
)
def test_bad_columns(tmp_path, columns, arguments, message):
    path = write_table(tmp_path / "x.parquet", **columns)
    with pytest.raises(ValueError, match=message):
        read_parquet(path, **arguments)


def test_columns_that_cannot_be_held_are_left_out(tmp_path):
    path = write_table(
        tmp_path / "x.parquet", pt=[1.0], x=[{"a": 1}], y=[[[1.0]]], d0=[[2.0]]
    )
    assert read_parquet(path) == Jets(
        [[1.0]], [[2.0]], [0, 1], feature_names=["pt"], constituent_names=["d0"]
    )


def test_all_files_must_have_the_columns(tmp_path):
    write_table(tmp_path / "a.parquet", pt=[1.0], eta=[1.0])
    write_table(tmp_path / "b.parquet", pt=[1.0])
    with pytest.raises(ValueError, match=r"b\.parquet has no column 'eta'"):
        iterate_parquet([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_broken_files(tmp_path, labelled):
    path = tmp_path / "jets.parquet"
    write_parquet(path, Jets.concatenate([labelled] * 50))
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 4] ^= 0xFF
    for broken in (b"", b"pt,eta\n" * 30, content[: len(content) // 2], flipped):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"jets\.parquet cannot be read as parq"):
            read_parquet(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        read_parquet(tmp_path / "none.parquet")


def test_files_are_not_overwritten_unasked(tmp_path, labelled):
    path = tmp_path / "jets.parquet"
    write_parquet(path, labelled)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_parquet(path, labelled[:3])
    assert read_parquet(path) == labelled
    write_parquet(path, labelled[:3], overwrite=True)
    assert read_parquet(path) == labelled[:3]


def test_what_cannot_be_written_leaves_no_file(tmp_path, labelled):
    def refused(jets, message, error=ValueError):
        with pytest.raises(error, match=message):
            write_parquet(tmp_path / "x.parquet", jets)

    ones = np.ones(len(labelled))
    for values in (
        ones.astype(complex),
        ones.astype(np.longdouble),
        ones[:, None][:, :0],
    ):
        refused(labelled.replace(labels={"x": values}), "'x' of type .* cannot be")
    objects = np.array([None] * len(labelled), dtype=object)
    refused(labelled.replace(labels={"x": objects}), "'x' of type object")
    refused(labelled.replace(labels={"mass": ones}), "names of columns")
    refused(labelled.replace(labels={"constituent_pt": ones}), "rename one")
    refused(Jets(np.empty((2, 0))), "at least one feature or label")
    refused(Jets([[1.0]], np.empty((3, 0)), [0, 3]), "Constituents have no column")
    refused([], "at least one chunk")
    refused(ones, "jets must be Jets, got float64", TypeError)
    refused([labelled, 1], "jets must be Jets, got int", TypeError)
    other = labelled.replace(features=labelled.features.astype(np.float32))
    refused([labelled, other], "'mass: double'.*another.*'mass: float'")
    assert not list(tmp_path.iterdir())


def test_interrupted_writing_changes_nothing(tmp_path, labelled, interrupted):
    path = tmp_path / "jets.parquet"
    path.write_text("as before")
    with pytest.raises(KeyboardInterrupt):
        write_parquet(path, labelled, overwrite=True)
    assert path.read_text() == "as before"
    assert list(tmp_path.iterdir()) == [path]


def test_progress_bar(tmp_path, labelled, capsys):
    write_parquet(tmp_path / "jets.parquet", labelled)
    read_parquet(tmp_path / "jets.parquet", verbose=1)
    assert "40/40" in capsys.readouterr().err


def test_memory_is_that_of_a_chunk(tmp_path):
    path = tmp_path / "jets.parquet"
    rng = np.random.default_rng(0)
    chunk = Jets(None, rng.normal(size=(100_000, 4)), np.arange(0, 100_001, 50))
    write_parquet(path, (chunk for _ in range(10)))
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    peak = 0
    for jets in iterate_parquet(path, chunk_size=500):
        peak = max(peak, pool.bytes_allocated() - before)
        assert len(jets) == 500
    numpy_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + numpy_peak < 5 * chunk.constituents.nbytes < path.stat().st_size


def test_pyarrow_is_optional(tmp_path, labelled, monkeypatch):
    write_parquet(tmp_path / "jets.parquet", labelled)
    for name in ("pyarrow", "pyarrow.parquet", "pyarrow.types"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (read_parquet, read_parquet_metadata):
        with pytest.raises(ImportError, match=r"sklearn_hepcal\[parquet\]"):
            call(tmp_path / "jets.parquet")
    with pytest.raises(ImportError, match=r"sklearn_hepcal\[parquet\]"):
        write_parquet(tmp_path / "new.parquet", labelled)
