import io

import h5py
import numpy as np
import pytest
from ftag_tables import random_tables, write_tables
from local_server import publish, serving

from sklearn_hepcal.datasets import (
    _fetch,
    _mod_jets,
    _qg_jets,
    fetch_atlas_jetset,
    fetch_mod_jets,
    fetch_qg_jets,
    fetch_salt_tutorial,
)
from sklearn_hepcal.jets import Jets, read_ftag_h5


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch) as server:
        yield server


@pytest.fixture
def checksums(monkeypatch):
    """The published checksums, for tests to fill."""
    published = {}
    monkeypatch.setattr(_fetch, "read_checksums", lambda: published)
    return published


def test_published_checksums():
    published = _fetch.read_checksums()
    lengths = {"sha256": 64, "md5": 32, "adler32": 8}
    for checksum in published.values():
        algorithm, _, digest = checksum.partition(":")
        assert len(digest) == lengths[algorithm]
        int(digest, 16)
    assert len(set(published.values())) == len(published) == 80 + 3 + 730


def test_all_files_of_the_records_have_a_checksum():
    wanted = {f"mc-flavtag-ttbar-{size}.h5" for size in ("small", "medium", "large")}
    for generator in ("pythia", "herwig"):
        for with_bc in (False, True):
            for i in range(20):
                wanted.add(_qg_jets._remote_file(generator, with_bc, i).name)
    for sample in ("sim", "gen"):
        for pt_hat in _mod_jets._SIMULATION:
            wanted |= {file.name for file in _mod_jets._remote_files(sample, pt_hat)}
    wanted |= {file.name for file in _mod_jets._remote_files("cms", None)}
    assert wanted == set(_fetch.read_checksums())


# Padded particles, at least one a jet; phi leaves the usual range at some.
def random_particles(rng, n_jets, width):
    particles = np.zeros((n_jets, width, 4))
    filled = np.arange(width) < rng.integers(1, width + 1, n_jets)[:, None]
    particles[filled, 0] = rng.exponential(10, filled.sum())
    particles[filled, 1:3] = rng.uniform(-5, 5, (filled.sum(), 2))
    particles[filled, 3] = rng.choice([22, -211, 211, 130], filled.sum())
    return particles, rng.integers(0, 2, n_jets).astype(float)


@pytest.fixture
def qg_files(server, checksums, monkeypatch):
    """Three files of ten jets, with different widths of their padding."""
    monkeypatch.setattr(_qg_jets, "_JETS_PER_FILE", 10)
    monkeypatch.setattr(_qg_jets, "_N_FILES", 3)
    rng = np.random.default_rng(1)
    parts = []
    names = ("QG_jets.npz", "QG_jets_1.npz", "QG_jets_2.npz")
    for name, width in zip(names, (5, 8, 6), strict=True):
        particles, quark = random_particles(rng, 10, width)
        content = io.BytesIO()
        np.savez_compressed(content, X=particles, y=quark)
        publish(server, checksums, name, content.getvalue())
        parts.append((particles, quark))
    return parts


def flatten(particles):
    return particles[particles[..., 0] > 0]


def test_qg_jets(server, qg_files, tmp_path):
    bunch = fetch_qg_jets(stop=10, data_home=tmp_path)
    particles, quark = qg_files[0]
    assert isinstance(bunch.data, Jets)
    assert bunch.data.constituent_names == ("pt", "y", "phi", "pdgid")
    np.testing.assert_array_equal(bunch.data.counts, (particles[..., 0] > 0).sum(1))
    flat = flatten(particles)
    np.testing.assert_array_equal(
        bunch.data.constituents[:, [0, 1, 3]], flat[:, [0, 1, 3]]
    )
    phi = bunch.data.constituent("phi")
    assert np.abs(phi).max() <= np.pi
    np.testing.assert_allclose(np.cos(phi), np.cos(flat[:, 2]), atol=1e-14)
    np.testing.assert_allclose(np.sin(phi), np.sin(flat[:, 2]), atol=1e-14)
    np.testing.assert_array_equal(bunch.target, quark)
    assert bunch.target.dtype == np.int64
    assert bunch.target_names == ["gluon", "quark"]
    assert bunch.feature_names == []
    assert bunch.constituent_names == ["pt", "y", "phi", "pdgid"]
    assert bunch.files == [str(tmp_path / "qg_jets" / "QG_jets.npz")]
    assert bunch.DESCR.startswith("Quark and gluon jets of EnergyFlow")
    assert [name for name, _ in server.requests] == ["QG_jets.npz"]
    X, y = fetch_qg_jets(stop=10, data_home=tmp_path, return_X_y=True)
    assert bunch.data == X
    np.testing.assert_array_equal(y, quark)


@pytest.mark.parametrize(
    ("start", "stop", "n_files"), [(0, 10, 1), (10, 20, 1), (7, 23, 3), (4, None, 3)]
)
def test_range_of_qg_jets(server, qg_files, tmp_path, start, stop, n_files):
    X, y = fetch_qg_jets(start=start, stop=stop, data_home=tmp_path, return_X_y=True)
    pt = [row[row > 0] for particles, _ in qg_files for row in particles[..., 0]]
    np.testing.assert_array_equal(X.constituent("pt"), np.concatenate(pt[start:stop]))
    quark = np.concatenate([quark for _, quark in qg_files])
    np.testing.assert_array_equal(y, quark[start:stop])
    assert len(server.requests) == n_files


def test_names_of_qg_files():
    def name(*sample):
        return _qg_jets._remote_file(*sample)

    assert (
        name("pythia", False, 0).base_url == "https://zenodo.org/records/3164691/files/"
    )
    assert name("pythia", True, 0).name == "QG_jets_withbc_0.npz"
    assert name("herwig", False, 3).name == "QG_jets_herwig_3.npz"
    assert name("herwig", True, 0).record == "https://zenodo.org/records/3066475"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"generator": "sherpa"}, ValueError, "generator must be one of .*'sherpa'"),
        ({"start": -1}, ValueError, "start == -1, must be >= 0"),
        ({"start": 2_000_000, "stop": None}, ValueError, "must be <= 1999999"),
        ({"start": 5, "stop": 5}, ValueError, "stop == 5, must be >= 6"),
        ({"stop": 1e4}, TypeError, "stop must be an instance of"),
    ],
)
def test_wrong_arguments_of_qg_jets(server, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        fetch_qg_jets(data_home=tmp_path, **options)
    assert server.requests == []


def test_atlas_jetset(server, checksums, tmp_path):
    jets, tracks = random_tables(50, seed=2)
    # so low that a guess of the unit would be GeV
    assert jets["pt"].max() < 1000
    name = "mc-flavtag-ttbar-small.h5"
    local = write_tables(tmp_path / "local.h5", jets, tracks)
    publish(server, checksums, name, local.read_bytes())
    bunch = fetch_atlas_jetset(start=10, stop=30, data_home=tmp_path)
    path = tmp_path / "atlas_jetset" / name
    assert bunch.files == [str(path)]
    assert bunch.data == read_ftag_h5(local, start=10, stop=30, unit="MeV")
    np.testing.assert_allclose(bunch.data.feature("pt"), jets["pt"][10:30] / 1000)
    np.testing.assert_array_equal(
        bunch.target, jets["HadronConeExclTruthLabelID"][10:30]
    )
    np.testing.assert_array_equal(bunch.event_id, jets["eventNumber"][10:30])
    assert bunch.target_names == ["light", "c", "b", "tau"]
    assert bunch.DESCR.startswith("JetSet of ATLAS")
    X, y = fetch_atlas_jetset(stop=None, data_home=tmp_path, return_X_y=True)
    assert len(X) == 50
    assert X[10:30] == bunch.data
    np.testing.assert_array_equal(y, jets["HadronConeExclTruthLabelID"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_salt_tutorial(server, checksums, tmp_path, split):
    name = {"test": "pp_output_test_ttbar.h5"}.get(split, f"pp_output_{split}.h5")
    rng = np.random.default_rng(3)
    jets = np.zeros(40, dtype=[("pt", "f4"), ("eta", "f4"), ("flavour", "i4")])
    jets["pt"], jets["flavour"] = rng.uniform(20, 250, 40), rng.choice([0, 4, 5], 40)
    dtype = [("valid", "?"), ("d0", "f4"), ("truth_origin_label", "i4")]
    consts = np.zeros((40, 6), dtype=dtype)
    consts["valid"] = rng.random((40, 6)) < 0.5
    consts["d0"] = rng.normal(size=(40, 6))
    consts["truth_origin_label"] = rng.integers(0, 8, (40, 6))
    with h5py.File(tmp_path / "local.h5", "w") as file:
        file["jets"], file["consts"] = jets, consts
    server.files[name] = (tmp_path / "local.h5").read_bytes()
    bunch = fetch_salt_tutorial(split=split, stop=25, data_home=tmp_path)
    folder = tmp_path / "salt_tutorial"
    assert bunch.files == [str(folder / name)]
    assert {path.name for path in folder.iterdir()} == {name, f"{name}.sha256"}
    np.testing.assert_array_equal(bunch.data.feature("pt"), jets["pt"][:25])
    assert bunch.data.constituent_names == ("d0",)
    valid = consts[:25][consts["valid"][:25]]
    np.testing.assert_array_equal(bunch.data.constituent("d0"), valid["d0"])
    np.testing.assert_array_equal(
        bunch.data.constituent_labels["truth_origin_label"], valid["truth_origin_label"]
    )
    np.testing.assert_array_equal(bunch.target, jets["flavour"][:25])
    assert bunch.target_names == ["light", "c", "b"]
    assert bunch.DESCR.startswith("Flavour-tagging sample")
    X, y = fetch_salt_tutorial(split=split, data_home=tmp_path, return_X_y=True)
    assert X[:25] == bunch.data
    np.testing.assert_array_equal(y, jets["flavour"])


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (fetch_atlas_jetset, {"size": "tiny"}, "size must be one of .*'tiny'"),
        (fetch_salt_tutorial, {"split": "all"}, "split must be one of .*'all'"),
        (fetch_atlas_jetset, {"start": -1}, "start == -1"),
        (fetch_salt_tutorial, {"stop": 0}, "stop == 0"),
    ],
)
def test_wrong_arguments_of_flavour_jets(server, tmp_path, function, options, message):
    with pytest.raises(ValueError, match=message):
        function(data_home=tmp_path, **options)
    assert server.requests == []


MOD_INTEGERS = {
    "cms": ["fn", "rn", "lbn", "evn", "npv", "quality"],
    "sim": ["fn", "rn", "lbn", "evn", "npv", "quality", "hard_pid"],
    "gen": ["fn", "rn", "lbn", "evn", "hard_pid"],
}
MOD_KINEMATICS = ["jet_pt", "jet_y", "jet_phi", "jet_m", "jet_eta"]
MOD_DETECTOR = ["jec", "jet_area", "jet_max_nef"]
MOD_TRUTH = ["hard_pt", "hard_y", "hard_phi"]
MOD_GEN_JET = ["gen_jet_pt", "gen_jet_y", "gen_jet_phi", "gen_jet_m", "gen_jet_eta"]
MOD_FLOATS = {
    "cms": [*MOD_KINEMATICS, *MOD_DETECTOR, "weight"],
    "sim": [*MOD_KINEMATICS, *MOD_DETECTOR, *MOD_GEN_JET, *MOD_TRUTH, "weight"],
    "gen": [*MOD_KINEMATICS, *MOD_TRUTH, "weight"],
}
MOD_PARTICLES = {"cms": ["pfcs"], "sim": ["pfcs", "gens"], "gen": ["gens"]}
MOD_FEATURES = ("pt", "eta", "phi", "mass", "y")


# Write one file in the MOD HDF5 format, and return its tables.
def write_mod(path, sample, n_jets, seed):
    rng = np.random.default_rng(seed)
    tables = {
        "jets_i": rng.integers(0, 4, (n_jets, len(MOD_INTEGERS[sample]))),
        "jets_f": rng.random((n_jets, len(MOD_FLOATS[sample]))),
    }
    columns = {"jets_i": MOD_INTEGERS[sample], "jets_f": MOD_FLOATS[sample]}
    for particles in MOD_PARTICLES[sample]:
        index = np.append(0, np.cumsum(rng.integers(1, 6, n_jets)))
        tables[f"{particles}_index"] = index.astype(np.uint32)
        tables[particles] = rng.random((index[-1], 6))
        columns[particles] = ["pt", "y", "phi", "m", "pid", "vertex"]
    with h5py.File(path, "w") as file:
        for name, table in tables.items():
            file.create_dataset(name, data=table, compression="gzip")
            if name in columns:
                file[name].attrs["cols"] = np.array(columns[name], dtype="S")
    return tables


MOD_NAMES = {
    "cms": "CMS_Jet300_pT375-infGeV_{}_compressed.h5",
    "sim": "SIM470_Jet300_pT375-infGeV_{}_compressed.h5",
    "gen": "GEN470_pT375-infGeV_{}_compressed.h5",
}


@pytest.fixture
def mod_files(server, checksums, tmp_path):
    """For each sample the tables of two files of seven and nine jets."""
    files = {}
    for sample, pattern in MOD_NAMES.items():
        files[sample] = []
        for i, n_jets in enumerate((7, 9)):
            path = tmp_path / f"local_{sample}_{i}.h5"
            files[sample].append(write_mod(path, sample, n_jets, seed=i))
            publish(server, checksums, pattern.format(i), path.read_bytes())
    return files


@pytest.mark.parametrize(
    ("sample", "particles"),
    [("cms", None), ("sim", None), ("sim", "gens"), ("gen", None)],
)
def test_mod_jets(server, mod_files, tmp_path, sample, particles):
    pt_hat = None if sample == "cms" else 470
    bunch = fetch_mod_jets(
        sample=sample, pt_hat=pt_hat, particles=particles, stop=7, data_home=tmp_path
    )
    tables = mod_files[sample][0]
    jets = bunch.data
    measured = () if sample == "gen" else ("jec", "area", "max_nef", "npv")
    assert jets.feature_names == (*MOD_FEATURES, *measured)
    columns = dict(zip(MOD_FLOATS[sample], tables["jets_f"].T, strict=True))
    columns |= dict(zip(MOD_INTEGERS[sample], tables["jets_i"].T, strict=True))
    renamed = {"jet_m": "mass"} | {
        column: column.removeprefix("jet_") for column in columns if column != "jet_m"
    }
    for column, values in columns.items():
        name = renamed[column]
        known = jets.feature(name) if name in jets.feature_names else jets.labels[name]
        np.testing.assert_array_equal(known, values)
    assert len(jets.labels) == len(columns) - len(jets.feature_names)
    assert jets.labels["rn"].dtype == np.int64
    particles = particles or MOD_PARTICLES[sample][0]
    assert jets.constituent_names == ("pt", "y", "phi", "mass", "pdgid", "vertex")
    np.testing.assert_array_equal(jets.constituents, tables[particles])
    np.testing.assert_array_equal(jets.offsets, tables[f"{particles}_index"])
    assert bunch.feature_names == list(jets.feature_names)
    assert bunch.DESCR.startswith("Jets of CMS's open data")
    name = MOD_NAMES[sample].format(0)
    assert bunch.files == [str(tmp_path / "mod_jets" / name)]
    assert server.requests == [(name, None)]


@pytest.mark.parametrize(
    ("start", "stop", "n_files"), [(0, 3, 1), (2, 7, 1), (5, 11, 2), (8, 16, 2)]
)
def test_range_of_mod_jets(server, mod_files, tmp_path, start, stop, n_files):
    bunch = fetch_mod_jets(start=start, stop=stop, data_home=tmp_path)
    jets = bunch.data
    pt = np.concatenate([tables["jets_f"][:, 0] for tables in mod_files["cms"]])
    np.testing.assert_array_equal(jets.feature("pt"), pt[start:stop])
    particles = [
        part
        for tables in mod_files["cms"]
        for part in np.split(tables["pfcs"], tables["pfcs_index"][1:-1])
    ]
    np.testing.assert_array_equal(
        jets.constituents, np.concatenate(particles[start:stop])
    )
    numbers = np.column_stack([jets.labels[name] for name in ("rn", "lbn", "evn")])
    same = (numbers[:, None] == numbers).all(axis=2)
    np.testing.assert_array_equal(bunch.event_id[:, None] == bunch.event_id, same)
    assert len(bunch.files) == len(server.requests) == n_files


def test_all_mod_jets(mod_files, tmp_path, monkeypatch):
    monkeypatch.setattr(_mod_jets, "_N_CMS_FILES", 2)
    assert len(fetch_mod_jets(stop=None, data_home=tmp_path).data) == 16
    assert len(fetch_mod_jets(stop=100, data_home=tmp_path).data) == 16
    with pytest.raises(ValueError, match="number of jets, 16; got 16"):
        fetch_mod_jets(start=16, data_home=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": "data"}, "sample must be one of .*'data'"),
        ({"pt_hat": 470}, "pt_hat must be None for data, got 470"),
        ({"sample": "sim"}, "pt_hat must be one of .* got None"),
        ({"sample": "gen", "pt_hat": 400}, "pt_hat must be one of .* got 400"),
        ({"particles": "gens"}, "particles must be one of .*'gens'"),
        ({"start": 3, "stop": 2}, "stop == 2"),
    ],
)
def test_wrong_arguments_of_mod_jets(server, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fetch_mod_jets(data_home=tmp_path, **options)
    assert server.requests == []
