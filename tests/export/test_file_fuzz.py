"""Files that chance has changed: each is refused by our own error, or loads."""

import json
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
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
from sklearn_hepcal.export._container import seal
from sklearn_hepcal.export._values import CODECS
from sklearn_hepcal.shapes import Ring, ShapinessTransformer, Uniform

# Of each kind of change: more than a thousand files, and ten times more.
N_EXAMPLES, N_SLOW = 350, 3500
NAMES = [*ALLOWED, *CODECS, "float", "dict", "items", "array", "scalar", "objects"]
# What none of the files may bring about.
FORBIDDEN = {
    *("exec", "pickle.find_class", "ctypes.dlopen", "socket.__new__"),
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.putenv"),
}


class Files(list):
    def __repr__(self):  # theirs would fill the reports of hypothesis
        return f"{len(self)} files"


def make_files(folder):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.arange(60) % 2
    trees = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=5)
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
        DensityRatioReweighter(trees, cv=2, random_state=0).fit(X, y),
        ShapinessTransformer(2 * Ring() + Uniform(0.4)).fit([np.ones((3, 3))]),
    ]
    files = Files()
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


def fuzz(check, *strategies):
    """A test, and a slow one with more examples."""
    return [
        settings(
            max_examples=n,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )(given(*strategies)(check))
        for n in (N_EXAMPLES, N_SLOW)
    ]


# Numbers are places in lists whose lengths are not known before.
numbers = st.integers(0, 2**20)
byte_changes = st.sampled_from(["flip", "cut", "insert", "splice"])


def check_bytes(files, load_bytes, file, place, change, other, inserted):
    content = bytearray(files[file % len(files)])
    place %= len(content)
    if change == "flip":
        content[place] ^= 1 + other % 255
    elif change == "cut":
        del content[place:]
    elif change == "insert":
        content[place:place] = inserted
    else:
        spliced = files[other % len(files)]
        content[place:] = spliced[other % len(spliced) :]
    if bytes(content) not in files:
        assert load_bytes(bytes(content)) is None


bytes_to_insert = st.binary(min_size=1, max_size=20)
test_changed_bytes, slow = fuzz(
    check_bytes, numbers, numbers, byte_changes, numbers, bytes_to_insert
)
test_many_changed_bytes = pytest.mark.slow(slow)


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


def change_tree(header, change, place, other, name, node):
    known = list(places(header))
    if not known:
        return
    holder, key = known[place % len(known)]
    if change == "set":
        holder[key] = node
    elif change == "delete":
        del holder[key]
    elif change == "rename" and isinstance(holder, dict):
        holder[name] = holder.pop(key)
    else:
        source, key_of_source = known[other % len(known)]
        holder[key] = json.loads(json.dumps(source[key_of_source]))


tree_changes = st.tuples(
    st.sampled_from(["set", "delete", "rename", "copy"]),
    numbers,
    numbers,
    st.sampled_from(NAMES),
    nodes,
)


# The parser itself: the checksum is right whatever the content.
def check_repaired(files, load_bytes, file, changes, flipped):
    _, _, text, arrays = files[file % len(files)].split(b"\n", 3)
    header, arrays = json.loads(text), bytearray(arrays)
    for change in changes:
        change_tree(header, *change)
    if arrays and flipped is not None:
        arrays[flipped % len(arrays)] ^= 255
    loaded = load_bytes(seal(json.dumps(header).encode(), bytes(arrays)))
    if loaded is not None:
        assert type(loaded).__name__ in ALLOWED


some_changes = st.lists(tree_changes, min_size=1, max_size=3)
test_repaired_files, slow = fuzz(
    check_repaired, numbers, some_changes, st.none() | numbers
)
test_many_repaired_files = pytest.mark.slow(slow)


def check_anything(load_bytes, node, arrays):
    header = {"sklearn_hepcal": "0.1", "estimator": node, "arrays": []}
    load_bytes(seal(json.dumps(header).encode(), arrays))
    if arrays[:1] < b"2":
        load_bytes(seal(arrays, arrays))


test_files_of_anything, slow = fuzz(check_anything, nodes, st.binary(max_size=20))
test_many_files_of_anything = pytest.mark.slow(slow)
