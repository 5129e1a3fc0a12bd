import contextlib
import hashlib
import io
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import h5py
import numpy as np
import pytest
from ftag_tables import random_tables, write_tables

from sklearn_hepcal.datasets import (
    _download,
    _fetch,
    _mod_jets,
    _open_flavour_jets,
    _qg_jets,
    fetch_atlas_jetset,
    fetch_mod_jets,
    fetch_qg_jets,
    fetch_salt_tutorial,
)
from sklearn_hepcal.datasets._fetch import RemoteFile, fetch_file
from sklearn_hepcal.jets import Jets, read_ftag_h5

CONTENT = np.random.default_rng(0).bytes(3_000_000)
WRONG = bytes(len(CONTENT))


class Server(ThreadingHTTPServer):
    """A server of a few files that misbehaves as told, request by request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        # of each of the next requests: bytes to send before breaking off, or a status
        self.faults = []
        self.has_ranges = True
        self.tells_length = True
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        wanted = self.headers.get("Range")
        self.server.requests.append((name, wanted))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "status":
            return self.answer(503, {}, b"")
        if name not in self.server.files:
            return self.answer(404, {}, b"")
        content = self.server.files[name]
        start = 0
        if wanted and self.server.has_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            headers = {"Content-Range": f"bytes */{len(content)}"}
            return self.answer(416, headers, b"")
        headers = {}
        if start:
            last = len(content) - 1
            headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        if self.server.tells_length:
            headers["Content-Length"] = str(len(content) - start)
        body = content[start:] if fault is None else content[start:][:fault]
        return self.answer(206 if start else 200, headers, body)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A running server to which all records of Zenodo and CERN point."""
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.delenv(_fetch.CACHE_VARIABLE, raising=False)
        monkeypatch.setattr(_download, "FIRST_PAUSE", 0.001)
        for module in (_mod_jets, _open_flavour_jets, _qg_jets):
            monkeypatch.setattr(module, "ZENODO", server.url)
        monkeypatch.setattr(_open_flavour_jets, "CERN_OPEN_DATA", server.url)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def checksums(monkeypatch):
    """The published checksums, for tests to fill."""
    published = {}
    monkeypatch.setattr(_fetch, "read_checksums", lambda: published)
    return published


@pytest.fixture
def file(server, checksums):
    """One file on the server, with its checksum."""
    server.files["jets.h5"] = CONTENT
    checksums["jets.h5"] = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    return RemoteFile("set", server.url, "jets.h5", "3 MB")


def fetch(file, folder, **options):
    options = {"download_if_missing": True, "verbose": 0} | options
    return fetch_file(file, folder, **options)


def ranges(server):
    return [wanted for _, wanted in server.requests]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_download_once(server, file, tmp_path, capfd):
    path = fetch(file, tmp_path)
    assert path == tmp_path / "set" / "jets.h5"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["jets.h5"]
    assert fetch(file, tmp_path) == path
    assert ranges(server) == [None]
    assert capfd.readouterr() == ("", "")


def test_progress_bar(file, tmp_path, capfd):
    fetch(file, tmp_path, verbose=1)
    assert "jets.h5: 100%" in capfd.readouterr().err


def test_broken_download_continues(server, file, tmp_path):
    server.faults = [1_000_000, 500_000]
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000000-", "bytes=1500000-"]


def test_any_number_of_breaks_with_progress(server, file, tmp_path):
    server.faults = 3 * _download.MAX_FAILURES * [1000]
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server)[-1] == f"bytes={3000 * _download.MAX_FAILURES}-"


def test_busy_server_is_asked_again(server, file, tmp_path):
    server.faults = ["status", 10, "status", "status"]
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, None, "bytes=10-", "bytes=10-", "bytes=10-"]


def test_later_session_continues(server, file, tmp_path):
    server.faults = [1_000_000] + (_download.MAX_FAILURES - 1) * ["status"]
    with pytest.raises(ConnectionError, match="next attempt continues"):
        fetch(file, tmp_path)
    assert names(tmp_path / "set") == ["jets.h5.part"]
    assert (tmp_path / "set" / "jets.h5.part").read_bytes() == CONTENT[:1_000_000]
    server.requests.clear()
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=1000000-"]
    assert names(tmp_path / "set") == ["jets.h5"]


def test_no_byte_is_sent(server, file, tmp_path):
    server.faults = _download.MAX_FAILURES * [0]
    with pytest.raises(ConnectionError, match="closed after 0 of 3000000 bytes"):
        fetch(file, tmp_path)
    assert len(server.requests) == _download.MAX_FAILURES


def test_server_without_ranges_begins_anew(server, file, tmp_path):
    server.has_ranges = False
    server.faults = [1_000_000, 2_000_000]
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000000-", "bytes=2000000-"]


def test_length_is_not_told(server, file, tmp_path):
    server.tells_length = False
    assert fetch(file, tmp_path).read_bytes() == CONTENT


def leave_part(folder, content):
    folder.mkdir()
    (folder / "jets.h5.part").write_bytes(content)


def test_complete_part(server, file, tmp_path):
    leave_part(tmp_path / "set", CONTENT)
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=3000000-"]


def test_part_of_a_longer_file(server, file, tmp_path):
    leave_part(tmp_path / "set", CONTENT + b"more")
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=3000004-", None]


def test_wrong_checksum(server, file, checksums, tmp_path):
    server.files["jets.h5"] = WRONG
    with pytest.raises(ValueError, match="removed, try again") as raised:
        fetch(file, tmp_path)
    assert checksums["jets.h5"] in str(raised.value)
    assert f"md5:{hashlib.md5(WRONG).hexdigest()}" in str(raised.value)
    assert names(tmp_path / "set") == []
    server.files["jets.h5"] = CONTENT
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_wrong_part(server, file, tmp_path):
    leave_part(tmp_path / "set", WRONG[:1_000_000])
    with pytest.raises(ValueError, match="removed, try again"):
        fetch(file, tmp_path)
    assert fetch(file, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "checksum",
    [
        f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        f"adler32:{zlib.adler32(CONTENT):08x}",
    ],
)
def test_other_checksums(server, file, checksums, tmp_path, checksum):
    checksums["jets.h5"] = checksum
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    server.files["jets.h5"] = WRONG
    with pytest.raises(ValueError, match=checksum):
        fetch(file, tmp_path / "other")


def test_file_by_hand(server, file, checksums, tmp_path):
    path = tmp_path / "set" / "jets.h5"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch(file, tmp_path, download_if_missing=False) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=f"{checksums['jets.h5']}.*Delete it"):
        fetch(file, tmp_path)
    # it is the user's
    assert path.read_bytes() == CONTENT[:-1]
    assert server.requests == []


@pytest.mark.parametrize("by_hand", [False, True])
def test_first_checksum_is_kept(file, checksums, tmp_path, by_hand):
    checksums.clear()
    path = tmp_path / "set" / "jets.h5"
    if by_hand:
        path.parent.mkdir()
        path.write_bytes(CONTENT)
    assert fetch(file, tmp_path) == path
    record = path.with_name("jets.h5.sha256")
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert record.read_text() == f"{digest}  jets.h5\n"
    assert names(path.parent) == ["jets.h5", "jets.h5.sha256"]
    fetch(file, tmp_path)
    path.write_bytes(WRONG)
    with pytest.raises(ValueError, match=f"instead of sha256:{digest}"):
        fetch(file, tmp_path)


def test_kept_checksum_holds_for_a_new_download(server, file, checksums, tmp_path):
    checksums.clear()
    fetch(file, tmp_path).unlink()
    server.files["jets.h5"] = WRONG
    with pytest.raises(ValueError, match="removed, try again"):
        fetch(file, tmp_path)


def check_advice(error, file, folder):
    for text in (f"{file.base_url}jets.h5", "(3 MB)", f"folder {folder / 'set'}"):
        assert text in str(error)


def test_offline(server, file, tmp_path):
    # nobody listens on the port of a server that is closed
    with Server() as closed:
        pass
    file = file._replace(record=closed.url)
    with pytest.raises(ConnectionError, match=r"jets\.h5 could not be") as raised:
        fetch(file, tmp_path)
    check_advice(raised.value, file, tmp_path)


def test_no_download_is_wanted(server, file, tmp_path):
    with pytest.raises(FileNotFoundError, match="download_if_missing") as raised:
        fetch(file, tmp_path, download_if_missing=False)
    check_advice(raised.value, file, tmp_path)
    assert server.requests == []
    assert not (tmp_path / "set").exists()


def test_file_that_the_server_lacks(server, file, tmp_path):
    server.files.clear()
    with pytest.raises(ConnectionError, match="404"):
        fetch(file, tmp_path)
    assert ranges(server) == [None]


def test_folder_cannot_be_made(server, file, tmp_path):
    home = tmp_path / "home"
    home.touch()
    with pytest.raises(NotADirectoryError, match=str(home)):
        fetch(file, home)
    assert server.requests == []


def test_folder_of_the_environment(file, tmp_path, monkeypatch):
    monkeypatch.setenv(_fetch.CACHE_VARIABLE, str(tmp_path / "env"))
    assert fetch(file, None).parent == tmp_path / "env" / "set"
    assert fetch(file, tmp_path / "own").parent == tmp_path / "own" / "set"


def test_folder_of_the_user(file, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    assert fetch(file, None).parent == tmp_path / "sklearn_hepcal" / "set"


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


# Publish a file of the server as it is.
def publish(server, checksums, name, content):
    server.files[name] = content
    checksums[name] = f"md5:{hashlib.md5(content).hexdigest()}"


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
    assert names(folder) == [name, f"{name}.sha256"]
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


def test_pooch_is_needed_to_download_only(file, tmp_path, monkeypatch):
    path = fetch(file, tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert fetch(file, tmp_path) == path
    with pytest.raises(ImportError, match=r"sklearn_hepcal\[fetch\]"):
        fetch(file, tmp_path / "other")
