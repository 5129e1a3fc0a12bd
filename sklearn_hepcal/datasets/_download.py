"""Downloads that continue where they were broken off."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

# What may be better a moment later, unlike a full disk.
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_TIMEOUT = 60.0
_BLOCK = 1 << 20
# Failures in a row, without a byte in between, before a download is given up.
MAX_FAILURES = 5
# Seconds before the first new attempt; the pause doubles from one failure to the next.
FIRST_PAUSE = 1.0


# A downloader for pooch. It collects the file in `part`, which survives failures: the
# next download asks the server for what is missing only. `check` raises a ValueError
# if the complete file is not the right one.
@dataclass
class ResumingDownloader:
    part: Path
    check: Callable[[Path], None]
    verbose: int = 0

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        failures = 0
        while True:
            before = _size(self.part)
            try:
                self._continue(url)
                break
            except NETWORK_ERRORS as error:
                if isinstance(error, HTTPError) and error.code not in _BUSY:
                    raise
                failures = 1 if _size(self.part) > before else failures + 1
                if failures >= MAX_FAILURES:
                    raise
            time.sleep(FIRST_PAUSE * 2 ** (failures - 1))
        try:
            self.check(self.part)
        except ValueError:
            self.part.unlink()
            raise
        os.replace(self.part, output_file)

    # Ask for the rest of the file once.
    def _continue(self, url: str) -> None:
        have = _size(self.part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
        except HTTPError as error:
            error.close()
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            # it is complete if the file ends where the range would begin
            if error.headers.get("Content-Range") != f"bytes */{have}":
                self.part.unlink()
                raise ConnectionError("the file has changed, begin anew") from error
            return
        with response:
            self._append(response)

    def _append(self, response: HTTPResponse) -> None:
        start = _start(response)
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        bar = tqdm(
            desc=self.part.stem,
            initial=start,
            total=total,
            unit="B",
            unit_scale=True,
            disable=not self.verbose,
        )
        with open(self.part, "ab") as file, bar:
            # a server that does not send ranges begins anew
            file.truncate(start)
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        received = _size(self.part)
        # a connection that is closed early looks like the end of the file
        if total is not None and received < total:
            raise ConnectionError(
                f"the connection was closed after {received} of {total} bytes"
            )


# Return where in the file the answer of a server begins.
def _start(response: HTTPResponse) -> int:
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return 0
    # such as "bytes 100-199/200"
    return int(response.headers["Content-Range"].split()[1].partition("-")[0])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
