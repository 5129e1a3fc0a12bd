"""Files that chance has changed: each is refused by our own error, or loads."""

import json
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer

from sklearn_hepcal import export
from sklearn_hepcal.calibration import (
    DensityRatioReweighter,
    OTCalibrator,
    ScaleFactorCalibrator,
)
from sklearn_hepcal.export._allowed import ALLOWED
from sklearn_hepcal.export._container import seal, unpack
from sklearn_hepcal.export._values import CODECS
from sklearn_hepcal.shapes import Ring, ShapinessTransformer, Uniform

N_EXAMPLES = 1000
NAMES = [*ALLOWED, *CODECS, "float", "dict", "items", "array", "scalar", "objects"]
# What none of the files may bring about.
FORBIDDEN = {"exec", "compile", "os.system", "subprocess.Popen", "pickle.find_class"}


def make_files(folder):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.arange(60) % 2
    generators = [np.random.RandomState(0), np.random.default_rng(0)]
    estimators = [
        make_pipeline(
            FunctionTransformer(np.arcsinh),
            QuantileTransformer(n_quantiles=5, random_state=generators[0]),
            OTCalibrator("quantile", n_bootstrap=1, random_state=0),
        ).fit(X, y),
        OTCalibrator("bures").fit(X, y).set_params(random_state=generators[1]),
        ScaleFactorCalibrator([0.0]).fit(X, y),
        DensityRatioReweighter(LogisticRegression(), cv=2).fit(X, y),
        DensityRatioReweighter(cv=2, random_state=0).fit(X, y),
        ShapinessTransformer(2 * Ring() + Uniform(0.4)).fit([np.ones((3, 3))]),
    ]
    files = []
    for estimator in estimators:
        export.save(estimator, folder / "file")
        files.append((folder / "file").read_bytes())
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def load_bytes(tmp_path_factory):
    file = tmp_path_factory.mktemp("changed") / "file"

    def load(content):
        file.write_bytes(content)
        heard.clear()
        listening.append(True)
        try:
            with warnings.catch_warnings():
                # of versions of scikit-learn
                warnings.simplefilter("ignore")
                return export.load(file)
        except export.FileError as error:
            assert str(error).startswith(f"{file}: ")
            return None
        finally:
            listening.clear()
            assert not heard

    return load


# What Python does is heard; a hook cannot be taken away again.
listening, heard = [], []


def listen(event, arguments):
    if listening and event in FORBIDDEN:
        # Modules that are allowed may be imported, which runs their code.
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_name == "_find_and_load":
                return
            frame = frame.f_back
        heard.append((event, arguments))


sys.addaudithook(listen)


fuzz = settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@fuzz
@given(data=st.data())
def test_changed_bytes(files, load_bytes, data):
    content = bytearray(data.draw(st.sampled_from(files), "file"))
    place = data.draw(st.integers(0, len(content) - 1), "place")
    match data.draw(st.sampled_from(["flip", "cut", "insert", "splice"]), "change"):
        case "flip":
            content[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del content[place:]
        case "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=50))
        case "splice":
            other = data.draw(st.sampled_from(files))
            content[place:] = other[data.draw(st.integers(0, len(other))) :]
    if bytes(content) not in files:
        assert load_bytes(bytes(content)) is None


# Whatever JSON can hold, with the names that mean something.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, -1.5, 1e999]),
    st.sampled_from(["", "nan", "log", "<f8", "|O", "PCG64", "fit", "__class__"]),
    st.text(max_size=3),
)
nodes = st.recursive(
    scalars,
    lambda parts: st.one_of(
        st.lists(parts, max_size=4),
        st.dictionaries(st.sampled_from(NAMES), parts, min_size=1, max_size=1),
        st.dictionaries(st.text(max_size=3), parts, max_size=2),
    ),
    max_leaves=6,
)


def places(node):
    """Every list and dictionary in a JSON, and its keys."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from places(node[key])


def change_tree(data, header):
    holder, key = data.draw(st.sampled_from(list(places(header))), "place")
    match data.draw(st.sampled_from(["set", "delete", "rename", "copy"]), "change"):
        case "set":
            holder[key] = data.draw(nodes)
        case "delete":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[data.draw(st.sampled_from(NAMES))] = holder.pop(key)
        case _:
            other, name = data.draw(st.sampled_from(list(places(header))))
            holder[key] = json.loads(json.dumps(other[name]))


# The parser itself: the checksum is right whatever the content.
@fuzz
@given(data=st.data())
def test_repaired_files(files, load_bytes, data):
    content = data.draw(st.sampled_from(files), "file")
    header, _ = unpack(content)
    _, _, text, arrays = content.split(b"\n", 3)
    header = json.loads(text)
    for _ in range(data.draw(st.integers(1, 3))):
        change_tree(data, header)
    arrays = bytearray(arrays)
    if arrays and data.draw(st.booleans()):
        arrays[data.draw(st.integers(0, len(arrays) - 1))] ^= 255
    loaded = load_bytes(seal(json.dumps(header).encode(), bytes(arrays)))
    if loaded is not None:
        assert type(loaded).__name__ in ALLOWED


@fuzz
@given(node=nodes, arrays=st.binary(max_size=20))
def test_files_of_anything(load_bytes, node, arrays):
    header = {"sklearn_hepcal": "0.1", "estimator": node, "arrays": []}
    load_bytes(seal(json.dumps(header).encode(), arrays))
    load_bytes(seal(json.dumps(node).encode(), arrays))
    load_bytes(seal(arrays, arrays))
