"""A server of files on this machine, and an empty folder for what is downloaded from it."""

import http.server
import threading

import pytest

CUT_AT = 100_000


class _Server(http.server.ThreadingHTTPServer):
    """Serves `files`; a path that starts with /cut closes in the middle of the body."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.path, self.headers["User-Agent"]))
        body = self.server.files.get(self.path)
        if body is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return self.wfile.write(body[:CUT_AT] if self.path.startswith("/cut") else body)

    def log_message(self, *args):
        """Keep the test's output to what the download prints."""


@pytest.fixture
def server():
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """An empty download folder, and no proxy between the test and 127.0.0.1."""
    monkeypatch.setenv("TWINS_DATA", str(tmp_path / "raw"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "raw"
