"""Optional downloads: each file has a checksum; a failure leaves nothing behind and says why in one sentence.

pooch (https://www.fatiando.org/pooch) writes to a temporary file and moves it into place once its SHA-256 is
right. Files lie in data/raw/, or in the folder that the environment variable TWINS_DATA names.
"""

import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests


class DownloadError(OSError):
    """A file could not be had; the message is one sentence for the reader of a notebook."""


@dataclass(frozen=True)
class Remote:
    """A file on the network; `members` are those wanted of an archive, in the order `read` gives them."""

    file: str
    url: str
    sha256: str
    bytes: int
    what: str
    terms: str
    members: tuple[str, ...] = ()


FILES = {
    "tinyshakespeare": Remote(
        file="tinyshakespeare.txt",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        bytes=1_115_394,
        what="Plays of Shakespeare in one file, collected by Andrej Karpathy for char-rnn.",
        terms="The plays are in the public domain; the repository with the file states the MIT licence.",
    ),
    "wikitext2": Remote(
        file="wikitext-2-v1.zip",
        # The author's own copy; the first address, an S3 bucket, answers 403 (pytorch/text issue 2255).
        url="https://wikitext.smerity.com/wikitext-2-v1.zip",
        # SHA-256 and size as in huggingface/datasets, datasets/wikitext/dataset_infos.json.
        sha256="92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
        bytes=4_475_746,
        what="WikiText-2 (Merity et al., arXiv:1609.07843): Wikipedia articles, rare words as <unk>.",
        terms="Wikipedia's text, under Creative Commons Attribution-ShareAlike.",
        members=tuple(f"wikitext-2/wiki.{split}.tokens" for split in ("train", "valid", "test")),
    ),
}

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
    return (
        Path(chosen).expanduser().resolve()
        if chosen
        else Path(__file__).resolve().parents[3] / "data" / "raw"
    )


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
        return (path.read_bytes(),)
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
