"""A server on this machine that stands for Zenodo and CERN, and misbehaves as told."""

import contextlib
import hashlib
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from sklearn_hepcal.datasets import (
    _download,
    _fetch,
    _mod_jets,
    _open_flavour_jets,
    _qg_jets,
)


class Server(ThreadingHTTPServer):
    """A server of a few files that misbehaves as told, request by request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        # of each of the next requests: bytes to send before breaking off, or a status
        self.faults = []
        # seconds before each answer
        self.delay = 0
        self.has_ranges = True
        self.tells_length = True
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        wanted = self.headers.get("Range")
        self.server.requests.append((name, wanted))
        time.sleep(self.server.delay)
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


@contextlib.contextmanager
def serving(monkeypatch):
    """Run a server to which all records of Zenodo and CERN point."""
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


# Publish a file of the server as it is.
def publish(server, checksums, name, content):
    server.files[name] = content
    checksums[name] = f"md5:{hashlib.md5(content).hexdigest()}"
