import json
import subprocess
import sys

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx_runs import OnnxFile, pad, single
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from small_dijets import fit as fit_jer
from small_dijets import make_sample
from small_fits import QUICK, make_rings
from small_taggers import SMALL, make_jets

import sklearn_hepcal
from sklearn_hepcal.calibration import (
    DensityRatioReweighter,
    OTCalibrator,
    SimplexTransformer,
)
from sklearn_hepcal.classification import FlavourTaggerClassifier, MomentEFNClassifier
from sklearn_hepcal.export import to_onnx
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.regression import GaussianAnsatzRegressor

FAST = {"selection": False, "max_epochs": 2, "batch_size": 128, "random_state": 0}


def make_table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1.0, 2.0, 3.0], size=n)
    return pd.DataFrame(p, columns=["p_b", "p_c", "p_u"]).assign(
        log_pt=rng.normal(4.0, 0.5, size=n)
    )


@pytest.fixture(scope="module")
def pipeline():
    X, y = make_table(), np.arange(600) % 2
    scores = ["p_b", "p_c", "p_u"]
    steps = make_pipeline(
        SimplexTransformer(scores),
        OTCalibrator("picnn", conditions=["log_pt"], n_knots=3, n_bootstrap=2, **FAST),
        SimplexTransformer(scores, inverse=True),
    )
    return steps.set_output(transform="pandas").fit(X, y)


@pytest.fixture(scope="module")
def bures():
    X = np.random.default_rng(0).normal(size=(400, 2))
    return OTCalibrator("bures").fit(X, np.arange(400) % 2)


def test_a_file_tells_what_it_is(pipeline, tmp_path):
    file = OnnxFile(
        pipeline,
        tmp_path / "pipeline.onnx",
        units={"log_pt": "log(GeV)"},
        metadata={"sample": "toy, 2026"},
    )
    model = onnx.load(file.path)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    assert model.producer_version == sklearn_hepcal.__version__
    text = {entry.key: entry.value for entry in model.metadata_props}
    assert file.session.get_modelmeta().custom_metadata_map == text
    assert text["version"] == sklearn_hepcal.__version__
    assert text["estimator"] == (
        "Pipeline(SimplexTransformer, OTCalibrator, SimplexTransformer)"
    )
    assert text["sample"] == "toy, 2026"
    assert json.loads(text["units"]) == {"log_pt": "log(GeV)"}
    inputs, outputs = json.loads(text["inputs"]), json.loads(text["outputs"])
    names = list(make_table())
    assert list(inputs) == file.inputs == ["features", "replica"]
    assert inputs["features"] == {
        "type": "float32",
        "shape": ["n_rows", 4],
        "columns": names,
    }
    assert inputs["replica"]["type"] == "int64"
    assert "from 0 to 1" in inputs["replica"]["description"]
    assert outputs["transformed"]["columns"] == names
    training = json.loads(text["training"])
    calibrator = pipeline["otcalibrator"]
    told = training["otcalibrator"]
    assert told["fitted"]["selection_"] == "picnn"
    assert told["fitted"]["min_curvature_"] == pytest.approx(calibrator.min_curvature_)
    assert told["parameters"]["max_epochs"] == 2
    assert training["simplextransformer-1"]["fitted"]["columns_"] == [0, 1, 2]


def test_shapes_of_inputs_and_outputs_may_vary(bures, tmp_path):
    file = OnnxFile(bures, tmp_path / "map.onnx")
    for tensors in (file.session.get_inputs(), file.session.get_outputs()):
        assert [(tensor.type, tensor.shape) for tensor in tensors] == [
            ("tensor(float)", ["n_rows", 2])
        ]


def test_the_same_estimator_gives_the_same_file(pipeline, tmp_path):
    paths = tmp_path / "one.onnx", tmp_path / "two.onnx"
    for path in paths:
        to_onnx(pipeline, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_cannot_be_exported_is_told(tmp_path):
    path = tmp_path / "none.onnx"
    X = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(TypeError, match=r"LinearReg.*supported are Asymm.*OTCal"):
        to_onnx(LinearRegression().fit(X, X[:, 0]), path)
    with pytest.raises(TypeError, match="DensityRatioReweighter cannot be exported"):
        to_onnx(DensityRatioReweighter(), path)
    with pytest.raises(TypeError, match="str cannot be exported"):
        to_onnx("estimator", path)

    class Mine(OTCalibrator):
        pass

    with pytest.raises(TypeError, match="Mine cannot be exported"):
        to_onnx(Mine(), path)
    with pytest.raises(
        TypeError, match="step 'minmaxscaler' of the pipeline is a MinM"
    ):
        to_onnx(make_pipeline(MinMaxScaler(), StandardScaler()).fit(X), path)
    with pytest.raises(ValueError, match="no steps"):
        to_onnx(Pipeline([("nothing", "passthrough")]).fit(X), path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "estimator",
    [
        OTCalibrator(),
        SimplexTransformer(),
        make_pipeline(StandardScaler(), OTCalibrator()),
        GaussianAnsatzRegressor(),
        FlavourTaggerClassifier(),
        MomentEFNClassifier(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_must_be_fitted(estimator, tmp_path):
    with pytest.raises(NotFittedError):
        to_onnx(estimator, tmp_path / "none.onnx")
    assert not list(tmp_path.iterdir())


def test_units_and_metadata_are_checked(bures, tmp_path):
    path = tmp_path / "none.onnx"
    with pytest.raises(ValueError, match=r"units names \['pt'\].*\['x0', 'x1'\]"):
        to_onnx(bures, path, units={"pt": "GeV", "x0": "m"})
    with pytest.raises(ValueError, match=r"metadata must not hold \['version'\]"):
        to_onnx(bures, path, metadata={"version": "2"})


def test_replicas_of_a_pipeline_must_agree(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(400, 2)), np.arange(400) % 2
    pipeline = make_pipeline(
        OTCalibrator("bures", n_bootstrap=2), OTCalibrator("bures", n_bootstrap=3)
    ).fit(X, y)
    with pytest.raises(ValueError, match=r"different numbers of replicas, \[2, 3\]"):
        to_onnx(pipeline, tmp_path / "none.onnx")


def test_atoms_behind_other_steps_are_refused(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(1000, 2)), np.arange(1000) % 2
    X[::3, 0] = 0.0
    calibrator = OTCalibrator("bures", atoms="dequantise")
    pipeline = make_pipeline(StandardScaler(with_mean=False), calibrator).fit(X, y)
    with pytest.raises(ValueError, match="as the first step"):
        to_onnx(pipeline, tmp_path / "none.onnx")


def test_a_write_that_fails_leaves_the_old_file(bures, tmp_path, monkeypatch):
    path = tmp_path / "map.onnx"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        to_onnx(bures, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_onnx_is_told(bures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install sklearn_hepcal\[onnx\]"):
        to_onnx(bures, tmp_path / "none.onnx")


# Runs every file of a folder where there is neither torch nor this package.
ALONE = """
import pathlib
import sys

BLOCKED = {"torch", "sklearn", "sklearn_hepcal", "scipy", "onnx", "zuko", "pandas"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
for name in BLOCKED:
    try:
        __import__(name)
    except ImportError:
        pass
    else:
        raise SystemExit(f"{name} was imported")

import numpy as np
import onnxruntime

files = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
for file in files:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    stored = np.load(file.with_suffix(".npz"))
    inputs = {tensor.name: stored[tensor.name] for tensor in session.get_inputs()}
    names = [tensor.name for tensor in session.get_outputs()]
    for name, found in zip(names, session.run(names, inputs)):
        np.testing.assert_allclose(found, stored["out_" + name], rtol=1e-5, atol=1e-6)
assert not BLOCKED & set(sys.modules)
print(len(files), "files")
"""


def test_files_run_without_torch_and_without_this_package(pipeline, tmp_path):
    rng = np.random.default_rng(0)
    rings, radius = make_rings(200, rng)
    tracks, flavour = make_jets(200, rng)
    tracks = tracks.replace(labels={}, constituent_labels={})
    dijets = make_sample(300, 300)
    X = rng.normal(size=(400, 3))
    cases = {
        "pipeline": (pipeline, Jets(make_table(50, seed=1).to_numpy())),
        "efn": (MomentEFNClassifier(2, 2, **QUICK).fit(rings, radius), rings),
        "tagger": (
            FlavourTaggerClassifier("rnn", **SMALL).fit(tracks, flavour),
            tracks,
        ),
        "ansatz": (
            GaussianAnsatzRegressor(max_epochs=1, random_state=0).fit(X, X[:, :2]),
            Jets(X),
        ),
        "jer": (fit_jer(dijets), Jets(dijets.X)),
    }
    for name, (estimator, jets) in cases.items():
        file = OnnxFile(estimator, tmp_path / f"{name}.onnx")
        feeds = pad(single(jets), rng) | {"replica": np.array([1])}
        outputs = {f"out_{key}": table for key, table in file(feeds).items()}
        np.savez(tmp_path / f"{name}.npz", **feeds, **outputs)
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", ALONE, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "5 files\n"


def test_steps_that_are_pipelines_are_looked_into(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 2))
    pipeline = make_pipeline(make_pipeline(StandardScaler(), MinMaxScaler())).fit(X)
    with pytest.raises(TypeError, match="step 'minmaxscaler' of the pipeline is a"):
        to_onnx(pipeline, tmp_path / "none.onnx")
