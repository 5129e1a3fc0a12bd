import hashlib
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from local_server import Server, publish, serving

from sklearn_hepcal.datasets import _download, _fetch, _lock
from sklearn_hepcal.datasets._fetch import RemoteFile, fetch_file

CONTENT = np.random.default_rng(0).bytes(3_000_000)
WRONG = bytes(len(CONTENT))


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


@pytest.fixture
def file(server, checksums):
    """One file on the server, with its checksum."""
    publish(server, checksums, "jets.h5", CONTENT)
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


# Locks are of open files, so that threads stand for processes.
def test_several_at_once_download_once(server, file, tmp_path):
    server.delay = 0.1
    server.faults = [1_000_000]
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(file, tmp_path), range(4)))
    assert paths == 4 * [tmp_path / "set" / "jets.h5"]
    assert paths[0].read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000000-"]
    assert names(tmp_path / "set") == ["jets.h5"]


def test_the_next_one_goes_on_where_another_has_failed(server, file, tmp_path):
    server.delay = 0.1
    server.faults = [1_000_000] + (_download.MAX_FAILURES - 1) * ["status"]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(fetch, file, tmp_path) for _ in range(2)]
    (error,) = (run.exception() for run in runs if run.exception())
    assert isinstance(error, ConnectionError)
    (path,) = (run.result() for run in runs if not run.exception())
    assert path.read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=1000000-"


# As on Windows, and on file systems of computing centres.
@pytest.mark.parametrize("lock", ["missing", "failing"])
def test_download_without_locks(server, file, tmp_path, monkeypatch, lock):
    def fail(file, operation):
        raise OSError("no locks available")

    monkeypatch.setattr(_lock, "flock", None if lock == "missing" else fail)
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path / "set") == ["jets.h5"]


def test_pooch_is_needed_to_download_only(file, tmp_path, monkeypatch):
    path = fetch(file, tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert fetch(file, tmp_path) == path
    with pytest.raises(ImportError, match=r"sklearn_hepcal\[fetch\]"):
        fetch(file, tmp_path / "other")
