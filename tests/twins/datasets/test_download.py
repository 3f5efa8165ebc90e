"""Downloads from a server on this machine: success, and every way to fail, none of which leaves a file."""

import gzip
import hashlib
import io
import resource
import socket
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from twins.datasets import download

CONTENT = b"To be, or not to be, that is the question.\n" * 50_000


def _offer(monkeypatch, url, content, **changes):
    """Put a file of that content into the table under the name "play"."""
    sha256 = hashlib.sha256(content).hexdigest()
    row = {"file": "play.txt", "url": url, "sha256": sha256, "bytes": len(content), "what": "", "terms": ""}
    monkeypatch.setitem(download.FILES, "play", download.Remote(**row | changes))


def _serve(server, monkeypatch, path, content, **changes):
    server.files[path] = content
    _offer(monkeypatch, f"http://127.0.0.1:{server.server_port}{path}", content, **changes)


def _failure(raw):
    """The message of a failed download: one sentence, about this file, and nothing left in the folder."""
    with pytest.raises(download.DownloadError) as caught:
        download.fetch("play")
    message = str(caught.value)
    assert message.startswith(f"could not download play from {download.FILES['play'].url}: ")
    assert message.endswith(f"may be put by hand at {raw / 'play.txt'}")
    assert "\n" not in message and ". " not in message
    assert not raw.exists() or list(raw.iterdir()) == []
    return message


def test_fetch_downloads_once(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/play", CONTENT)
    assert download.fetch("play") == raw / "play.txt"
    assert download.fetch("play").read_bytes() == CONTENT
    assert server.requests == [("/play", "Mozilla/5.0")]
    assert list(raw.iterdir()) == [raw / "play.txt"]


def test_damaged_file_is_fetched_again(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/play", CONTENT)
    raw.mkdir()
    (raw / "play.txt").write_bytes(CONTENT[:-1])
    assert download.fetch("play").read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_wrong_checksum(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/play", CONTENT, sha256="0" * 64)
    message = _failure(raw)
    assert "wrong checksum" in message
    assert "0" * 64 in message and hashlib.sha256(CONTENT).hexdigest() in message


def test_missing_file(server, raw, monkeypatch):
    _offer(monkeypatch, f"http://127.0.0.1:{server.server_port}/gone", CONTENT)
    assert "the server refused (404 Client Error: Not Found)" in _failure(raw)


def test_cut_connection(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/cut", CONTENT)
    assert "the connection was cut (IncompleteRead(" in _failure(raw)
    assert len(server.requests) == 1


def test_refused_connection(raw, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound but not listening: every connection is refused
        _offer(monkeypatch, f"http://127.0.0.1:{port}/play", CONTENT)
        message = _failure(raw)
    assert "no connection ([Errno" in message and "refused" in message


def test_host_that_does_not_resolve(raw, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    _offer(monkeypatch, "http://host.invalid/play", CONTENT)
    assert "no connection ([Errno -2] Name or service not known)" in _failure(raw)


@contextmanager
def _files_limited_to(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_that_fails_half_way(server, raw, monkeypatch):
    """A limit on file sizes stands for the full disk: both fail in the middle of writing."""
    _serve(server, monkeypatch, "/play", CONTENT)
    with _files_limited_to(len(CONTENT) // 2):
        message = _failure(raw)
    assert "the file could not be written ([Errno 27] File too large)" in message


def test_folder_that_cannot_be_made(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/play", CONTENT)
    raw.write_text("a file where the folder should be")
    with pytest.raises(download.DownloadError, match="the file could not be written") as caught:
        download.fetch("play")
    assert "\n" not in str(caught.value)
    assert server.requests == []


def test_failed_update_keeps_nothing_but_what_was_there(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/cut", CONTENT)
    raw.mkdir()
    (raw / "play.txt").write_bytes(b"older")
    with pytest.raises(download.DownloadError):
        download.fetch("play")
    assert [(f.name, f.read_bytes()) for f in raw.iterdir()] == [("play.txt", b"older")]


def test_archive_gives_only_the_wanted_members_and_unpacks_nothing(server, raw, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("text/b", "../escaped", "/rooted", "text/a", "text/other"):
            archive.writestr(name, name * 3)
    _serve(server, monkeypatch, "/zip", packed.getvalue(), file="play.zip", members=("text/a", "text/b"))
    assert download.read("play") == (b"text/a" * 3, b"text/b" * 3)
    assert [f.name for f in raw.parent.rglob("*")] == ["raw", "play.zip"]


def test_plain_file_is_read_whole(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/play", CONTENT)
    assert download.read("play") == (CONTENT,)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no download is called 'cifar'; known: tinyshakespeare, wikitext2"):
        download.fetch("cifar")


def test_a_compressed_file_is_read_as_what_it_holds(server, raw, monkeypatch):
    _serve(server, monkeypatch, "/gz", gzip.compress(CONTENT), file="play.gz")
    assert download.read("play") == (CONTENT,)


def test_members_come_from_a_tar_archive_too(server, raw, monkeypatch):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("text/b", "text/a"):
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    _serve(server, monkeypatch, "/tar", packed.getvalue(), file="play.tar.gz", members=("text/a", "text/b"))
    assert download.read("play") == (b"text/a", b"text/b")
    assert [f.name for f in raw.parent.rglob("*")] == ["raw", "play.tar.gz"]


def test_folder_is_the_projects_unless_named(monkeypatch, tmp_path):
    project = Path(__file__).resolve().parents[3]
    monkeypatch.delenv("TWINS_DATA", raising=False)
    assert download.folder() == project / "data" / "raw"
    monkeypatch.setenv("TWINS_DATA", str(tmp_path))
    assert download.folder() == tmp_path


@pytest.mark.parametrize("name", download.FILES)
def test_readme_says_what_the_table_says(name):
    remote = download.FILES[name]
    readme = (Path(__file__).resolve().parents[3] / "data" / "README.md").read_text("utf-8")
    row = f"| `{name}` | [{remote.file}]({remote.url}) | {remote.bytes:,} | `{remote.sha256}` |"
    assert row in readme
    assert f"{remote.terms} |" in readme


def test_a_table_that_holds_something_else_is_refused(tmp_path):
    path = tmp_path / "downloads.yaml"
    path.write_text("play: {file: play.txt}")
    with pytest.raises(
        ValueError, match=r"downloads.yaml: Object missing required field `url` - at `\$\[...\]`"
    ):
        download.table(path)
