import json
import re
import signal
import subprocess
import sys
import time

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from ftag_tables import random_tables, write_tables

import sklearn_hepcal
from sklearn_hepcal import datasets
from sklearn_hepcal._command_line import main
from sklearn_hepcal._command_line._calibration import Calibration
from sklearn_hepcal._command_line._sample import Sample, read_sample
from sklearn_hepcal.jets import Jets, read_parquet, read_physlite, write_parquet


def make_jets(n_jets, seed, shift=0.0):
    """Jets whose score rises by `shift`, and with the logarithm of pt."""
    rng = np.random.default_rng(seed)
    pt = np.exp(rng.normal(4, 0.5, n_jets))
    score = rng.normal(0.1 * np.log(pt), 1.0) + shift * np.log(pt)
    counts = rng.integers(0, 4, n_jets)
    return Jets(
        np.column_stack([pt, score]),
        rng.normal(size=(counts.sum(), 2)),
        np.concatenate([[0], np.cumsum(counts)]),
        feature_names=["pt", "score"],
        labels={"flavour": rng.choice([0, 5], n_jets), "w": rng.uniform(1, 2, n_jets)},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples, and a calibration of them by the Gaussian map."""
    folder = tmp_path_factory.mktemp("samples")
    write_parquet(folder / "sim.parquet", make_jets(4000, 0), metadata={"tune": "A"})
    write_parquet(folder / "data.parquet", make_jets(4000, 1, shift=0.3))
    assert main(calibrate(folder, "map.pkl")) == 0
    return folder


def calibrate(folder, out, *options):
    samples = [str(folder / name) for name in ("sim.parquet", "data.parquet", out)]
    columns = ["--columns", "score", "--conditions", "pt", "--log", "pt"]
    seed = [
        "--solver",
        "bures",
        "--random-state",
        "0",
        "--report",
        f"{samples[2]}.json",
    ]
    return ["calibrate", *samples, *columns, *seed, *options]


def apply(folder, source, target, *options):
    return ["apply", str(folder / "map.pkl"), str(source), str(target), *options]


def test_report(folder):
    report = json.loads((folder / "map.pkl.json").read_text())
    assert report["simulation"]["fitted"] == report["data"]["fitted"] == 3200
    assert report["selection"] == report["solver"] == "bures"
    assert report["version"] == sklearn_hepcal.__version__
    before, after = (report["held_out"][when] for when in ("before", "after"))
    # the score rises by 1.2 of its standard deviations
    assert before["closure_auc"] > 0.65
    assert abs(after["closure_auc"] - 0.5) < 4 * after["closure_auc_error"]
    assert before["ratio_of_means"]["score"] == pytest.approx(0.25, abs=0.05)
    assert after["ratio_of_means"]["score"] == pytest.approx(1, abs=0.06)


def test_report_on_the_standard_output(folder, tmp_path, capsys):
    samples = [str(folder / "sim.parquet"), str(folder / "data.parquet")]
    out = str(tmp_path / "map.pkl")
    columns = ["--columns", "score", "--solver", "quantile", "--test-size", "0.5"]
    assert main(["calibrate", *samples, out, *columns]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["held_out"]["data"] == report["data"]["fitted"] == 2000


def test_calibration_is_that_of_the_estimator(folder):
    def sample(name):
        return read_sample(str(folder / name), ["score", "pt"], None).split(0.2, 0)[0]

    direct = sklearn_hepcal.calibration.OTCalibrator(
        "bures", conditions=[1], random_state=0
    )
    tables = [sample(name).table for name in ("sim.parquet", "data.parquet")]
    direct.fit_samples(*(t.assign(pt=np.log(t["pt"])).to_numpy() for t in tables))
    jets = make_jets(50, 3)
    table = pd.DataFrame(jets.features, columns=jets.feature_names)
    expected = direct.transform(np.column_stack([table["score"], np.log(table["pt"])]))
    moved = Calibration.load(folder / "map.pkl").move(table)
    np.testing.assert_array_equal(moved["score"], expected[:, 0])


def test_weights_are_used(folder, tmp_path):
    jets = read_parquet(folder / "sim.parquet")
    half = np.arange(len(jets)) % 2
    write_parquet(tmp_path / "sim.parquet", jets.replace(labels={"w": half * 1.0}))
    (tmp_path / "data.parquet").symlink_to(folder / "data.parquet")
    assert main(calibrate(tmp_path, "map.pkl", "--weights", "w")) == 0
    calibration = Calibration.load(tmp_path / "map.pkl")
    direct = Calibration.make(("score",), ("pt",), ("pt",), solver="bures")
    sim, data = (
        read_sample(str(tmp_path / name), ["score", "pt"], weight).split(0.2, 0)[0]
        for name, weight in (("sim.parquet", "w"), ("data.parquet", None))
    )
    kept = sim.weight > 0
    direct.fit(Sample(sim.table[kept], sim.weight[kept]), data)
    moved, expected = (c.move(sim.table)["score"] for c in (calibration, direct))
    np.testing.assert_allclose(moved, expected, rtol=1e-6)


@pytest.mark.parametrize("chunk_size", ["100", "333", "10000"])
def test_apply_leaves_all_else_alone(folder, tmp_path, chunk_size):
    jets = make_jets(1000, 2)
    jets = jets.replace(features=jets.features.astype(np.float32))
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write_parquet(source, jets, metadata={"process": "QCD"})
    assert main(apply(folder, source, target, "--chunk-size", chunk_size)) == 0
    before, after = pq.read_table(source), pq.read_table(target)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.drop(["score"]) == before.drop(["score"])
    table = pd.DataFrame(jets.features, columns=jets.feature_names).astype(float)
    moved = Calibration.load(folder / "map.pkl").move(table)["score"]
    np.testing.assert_array_equal(after["score"], moved.astype(np.float32))
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_apply_to_tables_of_others(folder, tmp_path):
    rng = np.random.default_rng(0)
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    frame = pd.DataFrame(
        {
            "id": [None, "b", "c"] * 5,
            "score": rng.normal(size=15),
            "kind": pd.Categorical(["x", "y", "y"] * 5),
            "nested": [[[1.0], []], [], None] * 5,
            "pt": rng.integers(20, 99, 15),
        },
        index=rng.permutation(15),
    )
    frame.to_parquet(source)
    assert main(apply(folder, source, target, "--chunk-size", "4")) == 0
    again, before = pd.read_parquet(target), pd.read_parquet(source)
    assert (again["score"] != before["score"]).all()
    columns = ["id", "kind", "pt"]
    pd.testing.assert_frame_equal(again[columns], before[columns])
    nested = [pq.read_table(path)["nested"] for path in (source, target)]
    assert nested[0] == nested[1]


@pytest.mark.parametrize("unit", ["GeV", "MeV"])
def test_apply_to_files_of_flavour_tagging(folder, tmp_path, unit):
    jets, tracks = random_tables(500)
    scale = 1000 if unit == "MeV" else 1
    jets["pt"] *= scale
    columns = {"eta": "score"}
    jets.dtype.names = tuple(columns.get(name, name) for name in jets.dtype.names)
    source, target = tmp_path / "in.h5", tmp_path / "out.h5"
    write_tables(source, jets, tracks, compression="gzip")
    with h5py.File(source, "a") as file:
        file.attrs["sample"] = "ttbar"
    assert main(apply(folder, source, target, "--chunk-size", "99")) == 0
    table = pd.DataFrame({"score": jets["score"], "pt": jets["pt"] / scale})
    moved = Calibration.load(folder / "map.pkl").move(table.astype(float))["score"]
    with h5py.File(target) as file:
        assert file.attrs["sample"] == "ttbar"
        assert file["jets"].dtype == jets.dtype
        np.testing.assert_array_equal(file["tracks"], tracks)
        np.testing.assert_allclose(file["jets"]["score"], moved, rtol=1e-6)
        for name in set(jets.dtype.names) - {"score"}:
            np.testing.assert_array_equal(file["jets"][name], jets[name])


def test_moved_energies_keep_their_unit(tmp_path):
    jets, tracks = random_tables(400)
    paths = [tmp_path / f"{name}.h5" for name in ("sim", "data", "moved")]
    jets["pt"] *= 1000
    write_tables(paths[0], jets, tracks)
    jets["pt"] *= 2
    write_tables(paths[1], jets, tracks)
    options = ["--columns", "pt", "--log", "pt", "--solver", "bures"]
    names = [str(path) for path in paths]
    out = str(tmp_path / "map.pkl")
    seed = ["--random-state", "0"]
    assert main(["calibrate", *names[:2], out, *options, *seed]) == 0
    assert main(["apply", out, names[0], names[2]]) == 0
    with h5py.File(paths[2]) as file:
        # the same rows are held out on both sides
        np.testing.assert_allclose(file["jets"]["pt"], jets["pt"], rtol=1e-5)


def test_probabilities_stay_on_the_simplex(tmp_path):
    names = ["p_u", "p_c", "p_b"]
    for seed, side in enumerate(["sim", "data"]):
        rng = np.random.default_rng(seed)
        scores = rng.dirichlet([3 + seed, 2, 1 + seed], 2000)
        frame = pd.DataFrame(scores, columns=names).assign(pt=rng.uniform(20, 99, 2000))
        frame[["pt", *names]].to_parquet(tmp_path / f"{side}.parquet")
    sim, data, moved = (str(tmp_path / f"{n}.parquet") for n in ("sim", "data", "out"))
    out = str(tmp_path / "map.pkl")
    options = ["--simplex", "--conditions", "pt", "--solver", "bures"]
    report = ["--report", str(tmp_path / "report.json")]
    columns = ["--columns", *names]
    assert main(["calibrate", sim, data, out, *columns, *options, *report]) == 0
    assert main(["apply", out, sim, moved]) == 0
    before, after = pd.read_parquet(sim), pd.read_parquet(moved)
    assert list(after.columns) == ["pt", *names]
    np.testing.assert_array_equal(after["pt"], before["pt"])
    np.testing.assert_allclose(after[names].sum(axis=1), 1)
    means = [pd.read_parquet(path)[names].mean() for path in (sim, moved, data)]
    # a standard error of the difference of two samples is 0.006
    assert abs(means[0] - means[2]).max() > 0.07
    np.testing.assert_allclose(means[1], means[2], atol=0.02)


def test_empty_files_pass(folder, tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write_parquet(source, make_jets(5, 0)[:0])
    assert main(apply(folder, source, target)) == 0
    assert read_parquet(target) == read_parquet(source)


@pytest.mark.parametrize(
    ("recipe", "function", "options", "expected"),
    [
        ("quark-gluon", "generate_quark_gluon_jets", ["--n-jets", "7"], {}),
        ("top-qcd", "generate_top_qcd_jets", ["--n-jets", "7"], {}),
        (
            "flavour",
            "generate_flavour_jets",
            ["--n-jets", "7", "--side", "data"],
            {"side": "data"},
        ),
        ("dijets", "generate_dijets", ["--n-events", "7"], {"side": "sim"}),
    ],
)
def test_generate(monkeypatch, recipe, function, options, expected):
    calls = []
    monkeypatch.setattr(
        datasets, function, lambda *args, **kwargs: calls.append((args, kwargs))
    )
    arguments = ["generate", recipe, "x.parquet", *options]
    assert main([*arguments, "--random-state", "3", "--n-jobs", "2"]) == 0
    common = {"path": "x.parquet", "random_state": 3, "n_jobs": 2, "verbose": 0}
    assert calls == [((7,), common | expected)]


def fails(capsys, arguments):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert not captured.out and captured.err.count("\n") == 1
    return captured.err


def test_errors_of_files(folder, tmp_path, capsys):
    sim, target = folder / "sim.parquet", tmp_path / "out.parquet"
    for name in ("text", "broken.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 and more" if "." in name else b"a,b")
    error = fails(capsys, apply(folder, tmp_path / "none.parquet", target))
    assert error.startswith("sklearn_hepcal apply: error:") and "none.parquet" in error
    assert "neither parquet" in fails(capsys, apply(folder, tmp_path / "text", target))
    broken = apply(folder, tmp_path / "broken.parquet", target)
    assert "truncated, corrupt" in fails(capsys, broken)
    assert "named twice" in fails(capsys, apply(folder, sim, sim))
    nowhere = apply(folder, sim, tmp_path / "x" / "y.parquet")
    assert "no folder" in fails(capsys, nowhere)
    assert "is a folder" in fails(capsys, apply(folder, sim, tmp_path))
    no_calibration = ["apply", str(sim), str(sim), str(target)]
    assert "no calibration that" in fails(capsys, no_calibration)
    (tmp_path / "events.root").write_bytes(b"root")
    root = apply(folder, tmp_path / "events.root", target)
    assert "ROOT, which is not written" in fails(capsys, root)
    target.write_text("as before")
    assert "--overwrite" in fails(capsys, apply(folder, sim, target))
    assert target.read_text() == "as before"
    assert main(apply(folder, sim, target, "--overwrite")) == 0
    assert len(read_parquet(target)) == 4000
    assert "exists" in fails(capsys, calibrate(folder, "map.pkl"))


def test_errors_of_columns(folder, tmp_path, capsys):
    target = tmp_path / "out.parquet"

    def table(**columns):
        pq.write_table(pa.table(columns), tmp_path / "in.parquet")
        return apply(folder, tmp_path / "in.parquet", target)

    assert "no column 'pt'; the nearest are ['PT']" in fails(
        capsys, table(score=[1.0], PT=[20.0])
    )
    assert "'score' must hold floating numbers, got int64" in fails(
        capsys, table(score=[1], pt=[20.0])
    )
    assert "not positive" in fails(capsys, table(score=[1.0], pt=[-20.0]))
    assert "'score' has missing" in fails(
        capsys, table(score=[None, 1.0], pt=[20.0, 20.0])
    )
    assert "--chunk-size" in fails(
        capsys, [*table(score=[1.0], pt=[20.0]), "--chunk-size", "0"]
    )
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--columns", "score", "score"], r"\['score'\] twice"),
        (["--log", "flavour"], r"\['flavour'\] are no columns"),
        (["--simplex", "--log", "score"], "takes logarithms itself"),
        (["--columns", "scor"], "nearest are \\['score'\\]"),
        (["--test-size", "2"], "test_size"),
        (["--report", "map.pkl"], "named twice"),
    ],
)
def test_errors_of_calibrate(folder, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    arguments = calibrate(folder, "other.pkl")
    arguments[3] = "map.pkl"
    assert re.search(message, fails(capsys, [*arguments, *options]))
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(capsys):
    for arguments in ([], ["calibrate"], ["generate", "x"], ["apply", "--chunk-size"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    for arguments in ([], ["generate"], ["generate", "flavour"], ["calibrate"]):
        with pytest.raises(SystemExit, match="0"):
            main([*arguments, "--help"])
    assert "--simplex" in capsys.readouterr().out


def test_warnings_are_lines(folder, tmp_path, capsys, recwarn):
    for side in ("sim", "data"):
        jets = read_parquet(folder / f"{side}.parquet")
        score = np.where(np.arange(4000) % 3, jets.feature("score"), 0.0)
        write_parquet(
            tmp_path / f"{side}.parquet",
            Jets(
                np.column_stack([jets.feature("pt"), score]),
                feature_names=jets.feature_names,
            ),
        )
    assert main(calibrate(tmp_path, "map.pkl")) == 0
    assert capsys.readouterr().err.startswith("sklearn_hepcal calibrate: warning: ")


COMMAND = [sys.executable, "-m", "sklearn_hepcal"]


# Runs a command and tells its peak memory in kB. To a child, the system counts the
# memory of the process that starts it, so that this must be a small one.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_large(path, n_jets, n_chunks):
    """Write chunks of jets with 40 constituents of four columns."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(40 * n_jets, 4)).astype(np.float32)
    features = np.column_stack([np.full(n_jets, 50.0), np.zeros(n_jets)])
    jets = Jets(
        features,
        numbers,
        40 * np.arange(n_jets + 1),
        feature_names=["pt", "score"],
    )
    write_parquet(path, (jets for _ in range(n_chunks)))


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (signal.SIGKILL, -9),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_killed_half_way(folder, tmp_path, how, code):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write_large(source, 5_000, 2)
    arguments = apply(folder, source, target, "--chunk-size", "2")
    process = subprocess.Popen([*COMMAND, *arguments])
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size > 1000 for part in tmp_path.glob(".out*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(60) == code
    assert list(tmp_path.glob("out*")) == []
    # nobody can clean up after SIGKILL
    hidden = list(tmp_path.glob(".*"))
    assert len(hidden) == (how == signal.SIGKILL)
    assert main(apply(folder, source, target)) == 0
    assert len(read_parquet(target)) == 10_000


@pytest.mark.slow
def test_as_a_program(folder, tmp_path):
    target = tmp_path / "out.parquet"
    run = subprocess.run(
        [*COMMAND, *apply(folder, folder / "sim.parquet", target, "-v")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "4000/4000" in run.stderr and not run.stdout
    assert len(read_parquet(target)) == 4000


def write_large_h5(path, n_jets, n_chunks):
    """Write the same jets in the layout of ATLAS's flavour tagging."""
    rng = np.random.default_rng(0)
    jets = np.zeros(n_jets, [("pt", "f4"), ("score", "f4")])
    jets["pt"] = 50
    columns = [(name, "f4") for name in ("d0", "z0", "phi", "theta")]
    tracks = np.empty((n_jets, 40), [*columns, ("valid", "?")])
    for name, _ in columns:
        tracks[name] = rng.normal(size=tracks.shape)
    tracks["valid"] = True
    with h5py.File(path, "w") as file:
        for name, block in (("jets", jets), ("tracks", tracks)):
            shape = (n_jets * n_chunks, *block.shape[1:])
            table = file.create_dataset(name, shape, block.dtype, chunks=True)
            for i in range(n_chunks):
                table[n_jets * i : n_jets * (i + 1)] = block


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "write"), [("parquet", write_large), ("h5", write_large_h5)]
)
def test_a_large_file_needs_little_memory(folder, tmp_path, suffix, write):
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    write(source, 20_000, 85)
    gigabyte = 1_000_000_000
    assert source.stat().st_size > gigabyte
    command = [sys.executable, "-c", MEASURED, *COMMAND, *apply(folder, source, target)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = 1024 * int(run.stdout)
    print(f"{suffix}: {peak / gigabyte:.2f} GB")
    assert peak < 0.7 * gigabyte
    assert target.stat().st_size > gigabyte
    scores = read_sample(str(target), ["score"], None).table["score"]
    assert len(scores) == 1_700_000 and scores.nunique() == 1


@pytest.mark.slow
def test_generate_truly(tmp_path):
    path = str(tmp_path / "jets.parquet")
    options = ["--n-jets", "20", "--random-state", "1"]
    assert main(["generate", "quark-gluon", path, *options]) == 0
    assert read_parquet(path) == datasets.generate_quark_gluon_jets(20, random_state=1)


def test_samples_from_nanoaod(tmp_path):
    jets = {
        "pt": ak.Array([[30.0, 20.0], []]),
        "eta": ak.Array([[0.1, 1.0], []]),
        "phi": ak.Array([[0.2, 2.0], []]),
        "mass": ak.Array([[3.0, 4.0], []]),
    }
    with uproot.recreate(tmp_path / "events.root") as file:
        file["Events"] = {"Jet": ak.zip(jets), "event": np.array([1, 2])}
    sample = read_sample(str(tmp_path / "events.root"), ["eta", "pt"], "pt")
    assert sample.table.to_dict("list") == {"eta": [0.1, 1.0], "pt": [30.0, 20.0]}
    np.testing.assert_array_equal(sample.weight, [30.0, 20.0])


@pytest.mark.slow
def test_samples_from_physlite(data_dir):
    path = data_dir / "atlas_physlite.root"
    table = read_sample(str(path), ["pt", "eta"], None).table
    jets = read_physlite(path)
    for name in table:
        np.testing.assert_array_equal(table[name], jets.feature(name))
