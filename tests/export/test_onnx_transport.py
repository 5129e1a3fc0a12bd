import functools

import numpy as np
import pytest
from onnx_runs import OnnxFile, check_close
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.calibration._bures import BuresMap

FAST = {"selection": False, "max_epochs": 3, "batch_size": 128, "random_state": 0}
FLOW = {"n_bootstrap": 1, "learning_rate": 0.03, "n_layers": 3}
# Rows that are compared.
SIZES = [2000, pytest.param(100_000, marks=pytest.mark.slow)]
N_MOVED = 3


def make_samples(n_conditions, n_moved=N_MOVED, n=600):
    """Simulation and skewed data, which differ more where conditions are large."""
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.normal(size=(2, n, n_moved + n_conditions))
    x, c = X_data[:, :n_moved], X_data[:, n_moved:].sum(axis=1, keepdims=True)
    x += 0.3 * np.tanh(x) + 0.2 * x[:, ::-1] + (0.3 + 0.2 * np.sin(c)) * x**2
    # Far from zero, as masses and momenta are.
    return X_sim + 1000.0, X_data + 1000.0


def make_rows(n, n_columns):
    """Rows of the sample, those of its corners, and rows far outside."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(n, n_columns)) * rng.choice([1.0, 3.0], size=(n, 1))
    rows[:4] = 0.0
    rows[4:8] = np.array([-4.0, 4.0, -50.0, 3000.0])[:, None]
    rows[8:20] *= 100.0
    return (rows + 1000.0).astype(np.float32)


@functools.cache
def fit(solver, n_conditions, n_moved=N_MOVED, **arguments):
    conditions = list(range(n_moved, n_moved + n_conditions))
    calibrator = OTCalibrator(
        solver,
        conditions=conditions,
        n_knots=3,
        match_conditions=False,
        **{**FAST, **arguments},
    )
    return calibrator.fit_samples(*make_samples(n_conditions, n_moved))


def check_maps(calibrator, path, n_rows):
    """All maps of a calibrator are in its file."""
    file = OnnxFile(calibrator, path)
    rows = make_rows(n_rows, calibrator.n_features_in_)
    replicas = range(calibrator.n_bootstrap)
    assert file.inputs == (["features", "replica"] if replicas else ["features"])
    assert file.outputs == ["transformed"]
    for number, replica in enumerate([None, *replicas]):
        feeds = {"features": rows, "replica": np.array([number - 1])}
        expected = calibrator.transform(rows.astype(np.float64), replica)
        check_close(file(feeds)["transformed"], expected)
        passing = calibrator.conditions_
        np.testing.assert_array_equal(
            file(feeds)["transformed"][:, passing], rows[:, passing]
        )
    assert file(feeds | {"features": rows[:0]})["transformed"].shape == rows[:0].shape
    one = file(feeds | {"features": rows[-1:]})["transformed"]
    np.testing.assert_allclose(one, file(feeds)["transformed"][-1:], rtol=1e-6)


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize(
    ("solver", "n_conditions", "arguments"),
    [
        ("bures", 1, {"n_bootstrap": 2}),
        ("quantile", 0, {}),
        ("quantile", 2, {"n_bootstrap": 2}),
        ("picnn", 0, {"n_bootstrap": 1}),
        ("picnn", 1, {"n_layers": 3}),
        ("picnn", 1, {"n_moved": 1, "n_layers": 1}),
        ("picnn", 2, {"n_moved": 10, "n_bootstrap": 1, "hidden_width": 16}),
        ("flow", 0, {"n_moved": 1, "n_layers": 2}),
        ("flow", 1, FLOW),
    ],
)
def test_every_map_is_that_of_python(tmp_path, solver, n_conditions, arguments, n_rows):
    if solver == "flow":
        pytest.importorskip("zuko")
    calibrator = fit(solver, n_conditions, **arguments)
    assert calibrator.selection_ == solver
    check_maps(calibrator, tmp_path / "map.onnx", n_rows)


def test_maps_of_the_tests_are_not_trivial():
    rows = make_rows(500, N_MOVED + 1)[20:].astype(np.float64)
    gaussian = fit("bures", 1)
    for calibrator in (
        fit("quantile", 1),
        fit("picnn", 1, n_layers=3),
        fit("flow", 1, **FLOW),
    ):
        moved = calibrator.transform(rows)
        assert np.std(moved - gaussian.transform(rows)) > 0.02
        assert np.std(gaussian.transform(rows) - rows) > 0.1


def test_replicas_of_the_identity_are_gaussian_maps(tmp_path):
    X_sim, X_data = np.random.default_rng(0).normal(size=(2, 1000, 2))
    calibrator = OTCalibrator(
        "bures", selection=True, n_bootstrap=2, random_state=0
    ).fit_samples(X_sim, X_data)
    assert calibrator.selection_ == "identity"
    assert isinstance(calibrator._replicas[0], BuresMap)
    check_maps(calibrator, tmp_path / "map.onnx", 500)


def test_a_replica_that_does_not_exist_fails(tmp_path):
    file = OnnxFile(fit("bures", 1, n_bootstrap=2), tmp_path / "map.onnx")
    rows = make_rows(30, N_MOVED + 1)
    for replica in (-2, -4, 2, 100):
        with pytest.raises(Exception, match="out of data bounds"):
            file({"features": rows, "replica": np.array([replica])})


def make_atoms(rng, n, fraction):
    """Rows with atoms at the lower end, in the middle and at minus zero."""
    x = rng.normal(size=(n, 3)) ** 2
    x[rng.random(n) < fraction, 0] = 0.0
    x[rng.random(n) < fraction / 2, 1] = 1.5
    x[rng.random(n) < fraction, 2] *= -0.0
    return x.astype(np.float32)


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize("solver", ["bures", "picnn"])
def test_atoms_are_spread_as_in_python(tmp_path, solver, n_rows):
    rng = np.random.default_rng(0)
    calibrator = OTCalibrator(solver, atoms="dequantise", **FAST)
    calibrator.fit_samples(make_atoms(rng, 1000, 0.3), make_atoms(rng, 1000, 0.4))
    assert list(calibrator._frame.atoms.columns) == [0, 1, 2]
    rows = make_atoms(rng, n_rows, 0.5)
    # Next to powers of two, where exponents may be rounded, and extreme numbers.
    powers = np.float32(2.0) ** np.arange(-20, 20, dtype=np.float32)
    rows[: len(powers), 0] = np.nextafter(powers, np.float32(0.0))
    rows[: len(powers), 1] = np.nextafter(powers, np.float32(np.inf))
    rows[: len(powers), 2] = -powers
    rows[50:53] = [[1e-45, 1e-38, 0.0], [3e20, 0.0, 1.5], [0.0, 1.5, -0.0]]
    file = OnnxFile(calibrator, tmp_path / "map.onnx")
    expected = calibrator.transform(rows.astype(np.float64))
    moved = file({"features": rows})["transformed"]
    check_close(moved, expected)
    # Of the rows at an atom, the same ones are put together again, up to rounding.
    for column, value in enumerate(np.float32([0.0, 1.5, 0.0])):
        atoms = rows[:, column] == value
        whole, known = (part[atoms, column] == value for part in (moved, expected))
        assert np.mean(whole != known) < 1e-4
        assert 0.1 < np.mean(whole) < 1.0


def make_probabilities(rng, n, log=False):
    """Probabilities of three classes, and a condition."""
    scores = 2.0 * rng.normal(size=(n, 3))
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return np.column_stack([np.log(p) if log else p, rng.exponential(50.0, size=n)])


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize(
    ("kind", "log"), [("ilr", False), ("alr", False), ("logit", False), ("ilr", True)]
)
def test_pipelines_of_probabilities_are_one_graph(tmp_path, kind, log, n_rows):
    rng = np.random.default_rng(0)
    condition = 3 if kind == "logit" else 2
    options = {"kind": kind, "log": log}
    pipeline = make_pipeline(
        SimplexTransformer([0, 1, 2], **options),
        "passthrough",
        make_pipeline(OTCalibrator(conditions=[condition], n_bootstrap=2, **FAST)),
        SimplexTransformer([0, 1, 2], inverse=True, **options),
    )
    sim, data = (make_probabilities(rng, 800, log) for _ in range(2))
    data[:, 0] *= 0.9 if log else 0.5
    X, y = np.concatenate([sim, data]), np.repeat([0, 1], 800)
    with np.errstate(over="raise", invalid="raise"):
        pipeline.fit(X, y)
    file = OnnxFile(pipeline, tmp_path / "pipeline.onnx")
    rows = make_probabilities(rng, n_rows, log).astype(np.float32)
    if log:
        rows[:2, :3] = [[0.0, -80.0, -500.0], [-2000.0, 0.0, -1e-6]]
    else:
        rows[:3, :3] = [[1.0, 0.0, 0.0], [0.0, 1e-30, 1.0], [1e-42, 3e-7, 0.5]]
    rows[3:5, 3] = [0.0, 1e5]
    calibrator, back = pipeline[2][0], pipeline[3]
    assert np.isin(calibrator.conditions_, [condition])
    coordinates = pipeline[0].transform(rows.astype(np.float64))
    for number, replica in enumerate([None, 0, 1]):
        moved = file({"features": rows, "replica": np.array([number - 1])})
        expected = back.transform(calibrator.transform(coordinates, replica))
        check_close(moved["transformed"], expected)
        p = moved["transformed"][:, :3].astype(np.float64)
        np.testing.assert_allclose((np.exp(p) if log else p).sum(1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(moved["transformed"][:, 3], rows[:, 3])


def test_rows_without_any_probability_are_uniform(tmp_path):
    step = SimplexTransformer(kind="ilr").fit(np.full((2, 3), 0.3))
    file = OnnxFile(step, tmp_path / "step.onnx")
    assert (
        np.abs(file({"features": np.zeros((2, 3), np.float32)})["transformed"]).max()
        < 1e-7
    )


@pytest.mark.parametrize("scaling", [{}, {"with_mean": False}, {"with_std": False}])
def test_scaled_columns_are_moved(tmp_path, scaling):
    X_sim, X_data = make_samples(0)
    X, y = np.concatenate([X_sim, X_data]), np.repeat([0, 1], len(X_sim))
    pipeline = make_pipeline(StandardScaler(**scaling), OTCalibrator("bures", **FAST))
    pipeline.fit(X, y)
    file = OnnxFile(pipeline, tmp_path / "pipeline.onnx")
    rows = make_rows(500, N_MOVED)
    expected = pipeline.transform(rows.astype(np.float64))
    check_close(file({"features": rows})["transformed"], expected)
