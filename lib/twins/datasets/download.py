"""Optional downloads: each file has a checksum; a failure leaves nothing behind and says why in one sentence.

pooch (https://www.fatiando.org/pooch) writes to a temporary file and moves it into place once its SHA-256 is
right. Files lie in data/raw/, or in the folder that the environment variable TWINS_DATA names.
"""

import gzip
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pooch
import requests


class DownloadError(OSError):
    """A file could not be had; the message is one sentence for the reader of a notebook."""


class Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file on the network; `members` are those wanted of an archive, in the order `read` gives them."""

    file: str
    url: str
    sha256: str
    bytes: int
    what: str
    terms: str
    members: tuple[str, ...] = ()


TABLE = Path(__file__).resolve().parents[3] / "data" / "downloads.yaml"


def table(path: Path = TABLE) -> dict[str, Remote]:
    """Every file that can be downloaded, by name. Errors: ValueError, one sentence that names the table."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=dict[str, Remote])
    except msgspec.DecodeError as error:
        raise ValueError(f"{path.name}: {' '.join(str(error).split())}") from None


FILES = table()
HEADERS = {"User-Agent": "Mozilla/5.0"}  # wikitext.smerity.com refuses Python's own name
CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30
REASONS = (  # the first that fits
    (requests.HTTPError, "the server refused"),
    (requests.exceptions.ChunkedEncodingError, "the connection was cut"),
    (requests.RequestException, "no connection"),
    (ValueError, "wrong checksum"),
    (OSError, "the file could not be written"),
)


def folder() -> Path:
    """Where downloads and caches lie: data/raw/ of this project, or what TWINS_DATA names."""
    chosen = os.environ.get("TWINS_DATA")
    return Path(chosen).expanduser().resolve() if chosen else TABLE.with_name("raw")


def fetch(name: str) -> Path:
    """The path of the named file, downloaded unless it is there with the right checksum.

    ValueError for an unknown name; DownloadError when the file cannot be had, and then no part of it is kept.
    """
    if name not in FILES:
        raise ValueError(f"no download is called {name!r}; known: {', '.join(FILES)}")
    remote = FILES[name]
    target = folder() / remote.file
    transfer = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=CHUNK_BYTES, headers=HEADERS, timeout=TIMEOUT_SECONDS
    )
    try:
        pooch.retrieve(remote.url, f"sha256:{remote.sha256}", target.name, target.parent, downloader=transfer)
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"could not download {name} from {remote.url}: {_reason(error, remote.url)}; "
            f"nothing was kept, and a file with the right checksum may be put by hand at {target}"
        ) from error
    return target


def read(name: str) -> tuple[bytes, ...]:
    """The content of the named file, or of an archive's wanted members; nothing is unpacked to disk."""
    path = fetch(name)
    members = FILES[name].members
    if not members:
        return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes(),)
    if path.suffix == ".gz":
        with tarfile.open(path) as archive:
            return tuple(archive.extractfile(member).read() for member in members)
    with zipfile.ZipFile(path) as archive:
        return tuple(archive.read(member) for member in members)


def _reason(error: OSError | ValueError, url: str) -> str:
    kind = next(words for kind, words in REASONS if isinstance(error, kind))
    detail = str(_innermost(error)).removesuffix(f" for url: {url}").partition(". ")[0]  # pooch adds advice
    return f"{kind} ({detail})"


def _innermost(error: BaseException) -> BaseException:
    """requests wraps the error that says what happened in up to three others, as cause or as argument."""
    inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    return _innermost(inner) if inner else error
