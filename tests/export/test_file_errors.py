"""What cannot be stored, and files that are not loaded."""

import json
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_hepcal import export
from sklearn_hepcal.calibration import (
    DensityRatioReweighter,
    OTCalibrator,
    SimplexTransformer,
)
from sklearn_hepcal.export._container import pack, seal, unpack
from sklearn_hepcal.export._encode import MAX_DEPTH
from sklearn_hepcal.shapes import Point, Shape, ShapinessTransformer


class OwnCalibrator(OTCalibrator):
    pass


@dataclass(frozen=True)
class Cross(Shape):
    length: float = 1.0

    def nodes(self, n_nodes):
        return np.zeros((1, 2)), np.ones(1)


@dataclass
class Anything:
    function: Callable = print


def own_function(x):
    return x


def itself():
    values = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    ("estimator", "where", "what"),
    [
        (
            make_pipeline(FunctionTransformer(lambda x: x)),
            r"Pipeline.steps\[0\]\[1\].func",
            "the function .*<lambda>",
        ),
        (
            make_pipeline(FunctionTransformer(own_function)),
            r"Pipeline.steps\[0\]\[1\].func",
            "the function own_function",
        ),
        (
            FunctionTransformer(partial(np.add, 1)),
            "FunctionTransformer.func",
            "a functools.partial",
        ),
        (FunctionTransformer(np.add), "FunctionTransformer.func", "the function add"),
        (
            ShapinessTransformer(Point() + Cross()),
            r"ShapinessTransformer.shape.shapes\[1\]",
            "a .*Cross",
        ),
        (OwnCalibrator(), "OwnCalibrator", "a .*OwnCalibrator"),
        (
            DensityRatioReweighter(RandomForestClassifier()),
            "DensityRatioReweighter.classifier",
            "a sklearn.*RandomForestClassifier",
        ),
        (GridSearchCV(OTCalibrator(), {}), "GridSearchCV", "a sklearn.*GridSearchCV"),
        (
            OTCalibrator(random_state=np.random),
            "OTCalibrator.random_state",
            "a builtins.module",
        ),
        (
            OTCalibrator(random_state=np.random.RandomState(np.random.PCG64(0))),
            "OTCalibrator.random_state",
            "a RandomState of PCG64",
        ),
        (
            OTCalibrator(random_state=np.random.Generator(np.random.Philox(0))),
            "OTCalibrator.random_state",
            "a Generator of Philox",
        ),
        (
            SimplexTransformer({"a": [0, Anything()]}),
            r"SimplexTransformer.columns\['a'\]\[1\]",
            "a .*Anything",
        ),
        (
            SimplexTransformer(np.array([1, print], dtype=object)),
            r"SimplexTransformer.columns\[1\]",
            "the builtin_function_or_method print",
        ),
        (
            SimplexTransformer(np.zeros(1, dtype="M8[s]")),
            "SimplexTransformer.columns",
            "an array of the type datetime64",
        ),
        (
            SimplexTransformer(np.ma.array([1.0], mask=[True])),
            "SimplexTransformer.columns",
            "a numpy.ma.*MaskedArray",
        ),
        (
            SimplexTransformer(pd.DataFrame({"a": pd.Series([1], dtype="Int64")})),
            "SimplexTransformer.columns",
            "a DataFrame with columns",
        ),
        (
            SimplexTransformer(itself()),
            r"SimplexTransformer.columns\[0",
            "an object in",
        ),
        (SimplexTransformer({1, 2}), "SimplexTransformer.columns", "a builtins.set"),
        (SimplexTransformer(int), "SimplexTransformer.columns", "the type int"),
    ],
)
def test_what_cannot_be_stored(estimator, where, what, tmp_path):
    with pytest.raises(TypeError, match=f"^{where}.*cannot be stored: it is {what}"):
        export.save(estimator, tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [None, {}, [OTCalibrator()], OTCalibrator, "text"])
def test_only_estimators_are_stored(value, tmp_path):
    with pytest.raises(TypeError, match="save takes an estimator"):
        export.save(value, tmp_path / "file")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    export.save(SimplexTransformer("a"), tmp_path / "file")

    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no space left"):
        export.save(SimplexTransformer("b"), tmp_path / "file")
    assert export.load(tmp_path / "file").columns == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    rng = np.random.default_rng(0)
    calibrator = OTCalibrator("quantile", random_state=np.random.RandomState(0))
    calibrator.fit_samples(*rng.normal(size=(2, 100, 2)))
    file = tmp_path_factory.mktemp("whole") / "file"
    export.save(make_pipeline(StandardScaler(), calibrator), file)
    return file.read_bytes()


@pytest.fixture
def load_bytes(tmp_path):
    def load(content):
        (tmp_path / "file").write_bytes(content)
        return export.load(tmp_path / "file")

    return load


@pytest.fixture
def refuses(load_bytes):
    def check(content, match):
        with pytest.raises(export.FileError, match=match) as caught:
            load_bytes(content)
        assert isinstance(caught.value, ValueError)

    return check


def test_every_truncation_is_noticed(content, refuses):
    for length in [*range(200), *range(200, len(content), 97), len(content) - 1]:
        refuses(content[:length], "file: (not written by|truncated|it has the format)")
    refuses(content + b"\0", "truncated or changed")


def test_every_changed_byte_is_noticed(content, refuses):
    step = max(1, len(content) // 200)
    for place in [*range(110), *range(110, len(content), step)]:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        refuses(bytes(changed), "not written by|truncated|it has the format")


def test_other_files(refuses):
    for other in (b"", b"\n", b"\x80\x04N.", b"PK\x03\x04", b"{}", bytes(1000)):
        refuses(other, "not written by sklearn_hepcal.export.save")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        export.load(tmp_path / "none")


# Files as somebody would make them who repairs the checksum.
@pytest.fixture
def forge(content):
    header, arrays = unpack(content)

    def change(**fields):
        return pack({**header, **fields}, arrays)

    return change


def test_repaired_files_load(content, forge, load_bytes):
    assert forge() == content
    assert forge(comment="kept for later") != content
    assert len(load_bytes(forge(comment="kept for later")).steps) == 2


@pytest.mark.parametrize("version", ["0.0.1", "0.1.0", "0.99.3.dev1"])
def test_versions_that_load(version, forge, load_bytes):
    load_bytes(forge(sklearn_hepcal=version))


@pytest.mark.parametrize("version", ["1.0.0", "17.2"])
def test_later_major_versions(version, forge, refuses):
    refuses(forge(sklearn_hepcal=version), "later major version is needed")


@pytest.mark.parametrize("version", [None, 0, "", "x.y", [], "1" * 10_000])
def test_versions_that_are_none(version, forge, refuses):
    refuses(forge(sklearn_hepcal=version), "does not say which version")


def test_later_formats(content, refuses):
    refuses(content.replace(b"format 1", b"format 2", 1), "format '2'.* later one")


def test_another_version_of_scikit_learn(load_bytes):
    text = {"StandardScaler": {"_sklearn_version": "1.0.0"}}
    header = {"sklearn_hepcal": "0.1", "estimator": text}
    with pytest.warns(InconsistentVersionWarning, match=r"version 1\.0\.0"):
        load_bytes(pack(header, []))


def forged(estimator, arrays=()):
    return pack({"sklearn_hepcal": "0.1", "estimator": estimator}, list(arrays))


def with_column(node, arrays=()):
    return forged({"SimplexTransformer": {"columns": node}}, arrays)


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "builtins.eval", "subprocess.Popen", "print", "__import__"),
        *("sklearn.svm.SVC", "SVC", "object", "type", "OTCalibrator.__init__", ""),
        *("sklearn_hepcal.calibration:OTCalibrator", "RandomForestClassifier"),
    ],
)
def test_foreign_types(name, refuses):
    before = set(sys.modules)
    refuses(forged({name: {}}), "which no estimator of ours does")
    refuses(with_column({name: ["echo"]}), "which no estimator of ours does")
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "estimator", [None, 1, "OTCalibrator", [], {"dict": {}}, {"Ring": {}}]
)
def test_what_is_no_estimator(estimator, refuses):
    refuses(forged(estimator), "holds no estimator")


def test_nothing_at_all(refuses):
    refuses(pack({"sklearn_hepcal": "0.1"}, []), "holds no estimator")


def pcg64(state):
    parts = {"bit_generator": "PCG64", "state": {"dict": state}}
    return {"Generator": {"dict": parts | {"has_uint32": 0, "uinteger": 0}}}


# An object that is no estimator needs no parameters.
def test_objects_without_parameters(load_bytes):
    assert isinstance(load_bytes(with_column({"KFold": {}})).columns, KFold)


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"tuple": [], "dict": {}},
        {"float": "1e5"},
        {"float": []},
        {"dict": []},
        {"items": {}},
        {"items": [[1]]},
        {"items": [[[1], 2]]},
        {"items": [[1, 2], [1, 3]]},
        {"array": 0},
        {"array": -1},
        {"array": True},
        {"array": "0"},
        {"scalar": 10**30},
        {"objects": 1},
        {"objects": [[2], [1]]},
        {"objects": [[10**12], []]},
        {"objects": [[-1, -1], [1]]},
        {"text": 5},
        {"slice": [1]},
        {"tuple": 5},
        {"function": "add"},
        {"function": "system"},
        {"function": ["log"]},
        {"dtype": "O"},
        {"dtype": "i8,f8"},
        {"dtype": "<V8"},
        {"dtype": "<f8"[:2] + "3"},
        {"dtype": {"dict": {"names": ["a"], "formats": ["O"]}}},
        {"Estimate": {}},
        {"Estimate": {"value": 1, "error": 2, "more": 3}},
        {"Ring": {"__class__": "x"}},
        {"Ring": {"": 1}},
        {"Ring": {"a.b": 1}},
        {"Ring": []},
        {"RandomState": {"dict": {}}},
        {"Generator": {"dict": {"bit_generator": "MT19937"}}},
        {"Generator": {"dict": {"bit_generator": "PCG64", "state": 1}}},
        pcg64({"state": 2**127}),
        pcg64({"state": 2**127, "inc": 2}),
        pcg64({"state": 2**127, "inc": 2**128 + 1}),
        pcg64({"state": "text", "inc": 3}),
        {"DataFrame": {"dict": {"columns": ["a"], "index": [0], "values": []}}},
        {"MetadataRequest": {"dict": {"no_method": {"dict": {}}}}},
        {"MetadataRequest": {"dict": {"fit": {"dict": {"a b": "c d"}}}}},
        {"TreePredictor": {"dict": {}}},
    ],
    ids=repr,
)
def test_values_that_are_none(node, refuses):
    refuses(with_column(node), "file: ")


def test_names_that_are_given_twice(refuses):
    text = b'{"sklearn_hepcal":"0.1","estimator":{"Ring":{},"Ring":{}},"arrays":[]}'
    refuses(seal(text, b""), "given twice")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"", "no JSON"),
        (b"[]", "what arrays"),
        (b"{}", "what arrays"),
        (b'{"arrays":{}}', "what arrays"),
        (b'{"arrays":[],"x":NaN}', "holds NaN"),
        (b'{"arrays":[],"x":-Infinity}', "holds -Infinity"),
        (b"\xff\xfe", "no text"),
        (b'{"arrays":[],"x":' + b"[" * 100_000, "nested too deeply"),
        (b'{"arrays":[],"x":' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"arrays":[],"x":' + b"1" * 10_000 + b"}", "a value that is none"),
    ],
)
def test_texts_that_are_none(text, match, refuses):
    refuses(seal(text, b""), match)


def test_values_that_are_nested_too_deeply(refuses, load_bytes):
    node = 1
    for _ in range(MAX_DEPTH + 1):
        node = [node]
    refuses(with_column(node), "nested too deeply")
    load_bytes(with_column(node[0][0]))


@pytest.mark.parametrize(
    ("place", "data", "match"),
    [
        (["<f8", [2], "C"], bytes(8), "larger than the file"),
        (["<f8", [10**18], "C"], bytes(8), "larger than the file"),
        (["<f8", [10**30, 0], "C"], b"", "shape"),
        (["<f8", [0] * 100, "C"], b"", "shape"),
        (["<f8", [-1], "C"], bytes(8), "has the shape"),
        (["<f8", [1.0], "C"], bytes(8), "has the shape"),
        (["<f8", [True], "C"], bytes(8), "has the shape"),
        (["<f8", [1], "K"], bytes(8), "in order"),
        (["<f8", [1], 1], bytes(8), "in order"),
        (["<f8", 1, "C"], bytes(8), "no type and shape"),
        (["<f8", [1]], bytes(8), "no type and shape"),
        ({}, bytes(8), "no type and shape"),
        (["|O", [1], "C"], bytes(8), "unknown type"),
        (["|V8", [1], "C"], bytes(8), "unknown type"),
        (["<f16", [1], "C"], bytes(16), "unknown type"),
        (["f8", [1], "C"], bytes(8), "unknown type"),
        (["<M8[s]", [1], "C"], bytes(8), "unknown type"),
        (["<U0", [1], "C"], b"", "unknown type"),
        (["<U99999999999", [1], "C"], b"", "unknown type"),
        (["<i8,<i8", [1], "C"], bytes(16), "unknown type"),
        ([["<i8"], [1], "C"], bytes(8), "unknown type"),
        (["|b1", [1], "C"], b"\2", "booleans holds other bytes"),
        (["<U1", [1], "C"], b"\xff" * 4, "text holds other bytes"),
        (["<f8", [1], "C"], bytes(9), "has 9 bytes of arrays where 8 are named"),
    ],
)
def test_arrays_that_are_none(place, data, match, refuses):
    text = json.dumps(
        {
            "sklearn_hepcal": "0.1",
            "estimator": {"SimplexTransformer": {}},
            "arrays": [place],
        }
    )
    refuses(seal(text.encode(), data), match)


def test_files_without_arrays(refuses):
    first = seal(b"{}", b"")
    assert first.endswith(b"{}\n")
    refuses(first[:-1], "truncated")


def state(position=0, n_words=624, dtype=np.uint32, word=1):
    parts = {"key": {"array": 0}, "position": position, "has_gauss": 0, "gauss": 0.0}
    return {"RandomState": {"dict": parts}}, [np.full(n_words, word, dtype)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 625},
        {"position": -1},
        {"position": 2**40},
        {"position": 1.0},
        {"n_words": 623},
        {"dtype": np.int64},
        {"word": 0},
    ],
    ids=repr,
)
def test_random_states_that_are_none(wrong, refuses, load_bytes):
    node, arrays = state(**wrong)
    refuses(with_column(node, arrays), "RandomState")
    load_bytes(with_column(*state(624))).columns.normal(size=10)


FIELDS = {
    "value": np.float64,
    "count": np.uint32,
    "feature_idx": np.int64,
    "num_threshold": np.float64,
    "missing_go_to_left": np.uint8,
    "left": np.uint32,
    "right": np.uint32,
    "gain": np.float64,
    "depth": np.uint32,
    "is_leaf": np.uint8,
    "bin_threshold": np.uint8,
    "is_categorical": np.uint8,
    "bitset_idx": np.uint32,
}


def tree(**changes):
    """A node and its two leaves."""
    columns = {name: np.zeros(3, dtype) for name, dtype in FIELDS.items()}
    columns["left"][0], columns["right"][0], columns["is_leaf"][1:] = 1, 2, 1
    for name, value in changes.items():
        columns[name][0] = value
    parts = {name: {"array": i} for i, name in enumerate(columns)}
    return {"TreePredictor": {"dict": parts}}, list(columns.values())


def boosting(predictors, categories=(False, False)):
    version = {"_sklearn_version": sklearn.__version__}
    mapper = {"BinMapper": {"is_categorical_": list(categories), **version}}
    fields = {"_predictors": predictors, "_bin_mapper": mapper, "n_features_in_": 2}
    return {"HistGradientBoostingClassifier": fields | version}


def test_trees(load_bytes):
    node, arrays = tree()
    classifier = load_bytes(forged(boosting([[node]]), arrays))
    ((predictor,),) = classifier._predictors
    assert predictor.get_n_leaf_nodes() == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"left": 0},
        {"left": 3},
        {"right": 2**32 - 1},
        {"is_categorical": 1},
        {"feature_idx": 2},
        {"feature_idx": -1},
    ],
    ids=repr,
)
def test_trees_that_are_none(changes, refuses):
    node, arrays = tree(**changes)
    refuses(forged(boosting([[node]]), arrays), "ValueError: a tree")


def test_classifiers_that_are_none(refuses):
    node, arrays = tree()
    refuses(forged(boosting([[node]], [True, False]), arrays), "columns of categories")
    refuses(forged(boosting([["tree"]]), arrays), "a value that is none")
    refuses(forged(boosting([{"Ring": {}}]), arrays), "a value that is none")


def test_memory_is_bounded(refuses):
    large = [
        with_column({"objects": [[10**9], []]}),
        seal(b'{"arrays":[["<f8",[1000000000],"C"]]}', bytes(1000)),
        seal(b'{"arrays":[["<U250000000",[1],"C"]]}', bytes(1000)),
    ]
    tracemalloc.start()
    for content in large:
        refuses(content, "file: ")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
