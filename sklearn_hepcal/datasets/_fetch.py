"""What fetched data sets share: where files are kept, their checksums, what is read."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from importlib import resources
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

from sklearn.utils import Bunch, check_scalar

from .._optional import import_optional
from ..jets import Jets
from ..jets._files import PathLike, replacing
from ._download import NETWORK_ERRORS, ResumingDownloader
from ._lock import hold

ZENODO = "https://zenodo.org/records"
CERN_OPEN_DATA = "https://opendata.cern.ch/record"
CACHE_VARIABLE = "SKLEARN_HEPCAL_CACHE"
_BLOCK = 1 << 20


# A file of a record of Zenodo or of the CERN Open Data portal; `size` is in words.
class RemoteFile(NamedTuple):
    folder: str
    record: str
    name: str
    size: str

    @property
    def base_url(self) -> str:
        return f"{self.record}/files/"


# Return a file that is there already or is downloaded now, after a check.
def fetch_file(
    file: RemoteFile,
    data_home: PathLike | None,
    download_if_missing: bool,
    verbose: int,
) -> Path:
    path = _folder(data_home) / file.folder / file.name
    record = path.with_name(f"{path.name}.sha256")
    expected = read_checksums().get(file.name) or _read_record(record)
    if path.exists():
        _verify(path, expected, "Delete it to download it again.")
    else:
        _download(file, path, expected, download_if_missing, verbose)
    if expected is None:
        digest = checksum(path, "sha256").partition(":")[2]
        with replacing(record) as part:
            part.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return path


def _folder(data_home: PathLike | None) -> Path:
    chosen = data_home or os.environ.get(CACHE_VARIABLE)
    if not chosen:
        chosen = import_optional("pooch", "fetch").os_cache("sklearn_hepcal")
    return Path(chosen).expanduser().absolute()


# Return the published checksums of files by their names.
@cache
def read_checksums() -> dict[str, str]:
    listing = resources.files(__package__).joinpath("data", "checksums.txt")
    lines = listing.read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines)


def _read_record(record: Path) -> str | None:
    if not record.exists():
        return None
    return f"sha256:{record.read_text(encoding='utf-8').split()[0]}"


def _verify(path: Path, expected: str | None, advice: str) -> None:
    if expected is None:
        return
    found = checksum(path, expected.partition(":")[0])
    if found != expected:
        raise ValueError(
            f"{path} is damaged or another file: its checksum is {found} instead of "
            f"{expected}. {advice}"
        )


# Return the checksum of a file, computed once unless the file changes.
def checksum(path: Path, algorithm: str) -> str:
    status = path.stat()
    return _checksum(path, algorithm, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _checksum(path: Path, algorithm: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        if algorithm == "adler32":
            value = 1
            while block := file.read(_BLOCK):
                value = zlib.adler32(block, value)
            return f"adler32:{value:08x}"
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _download(
    file: RemoteFile,
    path: Path,
    expected: str | None,
    download_if_missing: bool,
    verbose: int,
) -> None:
    by_hand = (
        f"To do it by hand, download {file.base_url}{file.name} ({file.size}) and "
        f"put it in the folder {path.parent}."
    )
    if not download_if_missing:
        raise FileNotFoundError(
            f"There is no {path}, and download_if_missing is False. {by_hand}"
        )
    pooch = import_optional("pooch", "fetch")
    downloader = ResumingDownloader(
        path.with_name(f"{path.name}.part"),
        partial(_verify, expected=expected, advice="It was removed, try again."),
        verbose,
    )
    files = pooch.create(path.parent, file.base_url, registry={file.name: None})
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # another process may have downloaded it while this one was waiting
        with hold(downloader.part), _quiet(pooch.get_logger()):
            if not path.exists():
                files.fetch(file.name, downloader=downloader)
    except NETWORK_ERRORS as error:
        raise ConnectionError(
            f"{file.name} could not be downloaded: {error}. What has come of it is "
            f"kept, and the next attempt continues from there. {by_hand}"
        ) from error


# pooch announces downloads on standard error.
@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_choice(value: str, name: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}.")


# Check which jets are asked for; `available` is None where it is not known beforehand.
def check_range(start: int, stop: int | None, available: int | None = None) -> None:
    last = None if available is None else available - 1
    check_scalar(start, "start", Integral, min_val=0, max_val=last)
    if stop is not None:
        check_scalar(stop, "stop", Integral, min_val=start + 1)


def as_bunch(jets: Jets, name: str, files: list[Path], **parts: object) -> Bunch:
    descr = resources.files(__package__).joinpath("data", f"{name}.rst")
    return Bunch(
        data=jets,
        **parts,
        feature_names=list(jets.feature_names),
        constituent_names=list(jets.constituent_names),
        files=[str(file) for file in files],
        DESCR=descr.read_text(encoding="utf-8"),
    )
