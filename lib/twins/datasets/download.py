"""Optional downloads: each file has a checksum; a failure leaves nothing behind and says why in one sentence.

pooch (https://www.fatiando.org/pooch) writes to a temporary file and moves it into place once its SHA-256 is
right. Files lie in data/raw/, or in the folder that the environment variable TWINS_DATA names.
"""

import gzip
import os
import sys
import tarfile
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


# Checksums as many loaders of these files state them, all alike.
FASHION_MNIST = (
    (
        "train_images",
        "train-images-idx3",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    (
        "train_labels",
        "train-labels-idx1",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    (
        "test_images",
        "t10k-images-idx3",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    (
        "test_labels",
        "t10k-labels-idx1",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)

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
    # SHA-256 and sizes as in huggingface/datasets, datasets/{snli,multi_nli}/dataset_infos.json
    "snli": Remote(
        file="snli_1.0.zip",
        url="https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
        sha256="afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e",
        bytes=94_550_081,
        what="SNLI (Bowman et al., arXiv:1508.05326): pairs of sentences, entailed, ruled out or neither.",
        terms="Creative Commons Attribution-ShareAlike 4.0.",
        members=tuple(f"snli_1.0/snli_1.0_{split}.jsonl" for split in ("train", "dev")),
    ),
    "multinli": Remote(
        file="multinli_1.0.zip",
        url="https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip",
        sha256="049f507b9e36b1fcb756cfd5aeb3b7a0cfcb84bf023793652987f7e7e0957822",
        bytes=226_850_426,
        what="MultiNLI (Williams et al., arXiv:1704.05426): the same task over ten kinds of text.",
        terms="Most of it under the OANC's licence, the fiction under several; see section 3 of its paper.",
        members=tuple(f"multinli_1.0/multinli_1.0_{split}.jsonl" for split in ("train", "dev_matched")),
    ),
    "cifar10": Remote(
        file="cifar-10-binary.tar.gz",  # the Python version is a pickle
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        bytes=170_052_171,
        what="CIFAR-10 (Krizhevsky 2009): 60,000 colour photographs of 32 x 32 in 10 classes.",
        terms="No licence is stated; the authors ask to cite their technical report.",
        members=tuple(
            f"cifar-10-batches-bin/{name}.bin"
            for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
        ),
    ),
    **{
        f"fashion_mnist_{name}": Remote(
            file=f"fashion-{file}-ubyte.gz",
            url=f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{file}-ubyte.gz",
            sha256=sha256,
            bytes=size,
            what=f"Fashion-MNIST (Xiao et al., arXiv:1708.07747), {name.replace('_', ' ')}.",
            terms="The MIT licence.",
        )
        for name, file, size, sha256 in FASHION_MNIST
    },
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
