"""Text for language models as arrays of tokens: real text without a download, synthetic text, two downloads.

"stdlib" is the source of the Python that runs this, so every machine has it; "markov" has a known optimum.
Real text is cut into tokens by byte-level BPE (Sennrich et al., arXiv:1508.07909; on bytes, as GPT-2 does),
trained on the train split. Tokenizer and tokens are cached in the folder that `download.folder` names.
"""

import hashlib
import os
import platform
import sysconfig
import tempfile
import tokenize
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from twins.datasets import download, markov

SPLITS = ("train", "valid", "test")
FEWEST_TOKENS = 257  # 256 bytes and one merge
NOT_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
OF_THE_BUILD = ("config-", "_sysconfigdata")  # what ./configure found: two builds of one version shall agree
MARKOV_TOKENS = {"train": 1_000_000, "valid": 200_000, "test": 200_000}
# Below zero, so that markov.sample gives text of no split for every seed from 0 up.
MARKOV_SEEDS = {"train": -1, "valid": -2, "test": -3}

Documents = dict[str, list[str]]  # split -> its texts, each encoded on its own


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens of one data set, and what a record must say about them.

    train, valid, test: (tokens,) int32. vocabulary: how many different tokens there can be. digest: SHA-256
    of the text that was used. source: one sentence. bytes_per_token: of the valid split, None for synthetic
    tokens; a loss of x nats per token is x / ln 2 / bytes_per_token bits per byte. entropy: the lowest
    possible loss in nats per token, None where it is unknown.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: int
    digest: str
    source: str
    bytes_per_token: float | None
    entropy: float | None
    tokenizer: Tokenizer | None = field(repr=False)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of `tokens`, (n,); ValueError for synthetic tokens, which stand for no text."""
        if self.tokenizer is None:
            raise ValueError(
                f"the tokens of {self.name!r} are symbols without text, so there is nothing to decode"
            )
        return self.tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=False)


def load(dataset: str, vocabulary: int | None = None) -> Corpus:
    """A corpus by name: "stdlib", "markov", or after a download "tinyshakespeare" and "wikitext2".

    vocabulary: tokens of the BPE, at least 257 (1024 when None), or symbols of the Markov source, 4 to 64 (16
    when None). ValueError for an unknown name or an impossible vocabulary, download.DownloadError when a file
    cannot be had.
    """
    if dataset == "markov":
        return _synthetic(16 if vocabulary is None else vocabulary)
    if dataset not in TEXTS:
        raise ValueError(f"no data set is called {dataset!r}; known: markov, {', '.join(TEXTS)}")
    return _real(dataset, 1024 if vocabulary is None else vocabulary)


def batches(tokens: np.ndarray, batch: int, context: int, steps: int, seed: int) -> np.ndarray:
    """Random windows: (steps, batch, context + 1) int32; inputs are [..., :-1], targets [..., 1:].

    The same arguments give the same windows on every machine. ValueError when a batch has more tokens than
    `tokens`.
    """
    if min(batch, context, steps) < 1:
        raise ValueError(f"batch, context and steps must be at least 1, got {batch}, {context} and {steps}")
    needed = batch * (context + 1)
    if needed > len(tokens):
        raise ValueError(
            f"a batch of {batch} windows of {context + 1} tokens needs {needed} tokens, "
            f"more than the {len(tokens)} there are"
        )
    starts = markov.splitmix64(seed, steps * batch) % np.uint64(len(tokens) - context)
    return np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[starts.reshape(steps, batch)]


def windows(tokens: np.ndarray, context: int, limit: int | None = None) -> np.ndarray:
    """Consecutive windows without overlap, for evaluation: (windows, context + 1) int32, at most `limit`.

    A rest shorter than a window is left out. ValueError when the tokens do not fill one window.
    """
    if context < 1 or (limit is not None and limit < 1):
        raise ValueError(f"context and limit must be at least 1, got {context} and {limit}")
    count = len(tokens) // (context + 1)
    if count == 0:
        raise ValueError(
            f"a window of {context + 1} tokens is longer than the {len(tokens)} tokens there are"
        )
    return tokens[: count * (context + 1)].reshape(count, context + 1)[:limit]


def _synthetic(vocabulary: int) -> Corpus:
    splits = {s: markov.sample(MARKOV_TOKENS[s], MARKOV_SEEDS[s], vocabulary) for s in SPLITS}
    digest = hashlib.sha256(b"".join(splits[s].astype("<i4").tobytes() for s in SPLITS)).hexdigest()
    source = (
        f"Order-2 Markov source of {vocabulary} symbols, {MARKOV_TOKENS['train']:,} training tokens, "
        f"entropy rate {markov.entropy():.4f} nats per token, the same on every machine."
    )
    return Corpus(
        name="markov",
        **splits,
        vocabulary=vocabulary,
        digest=digest,
        source=source,
        bytes_per_token=None,
        entropy=markov.entropy(),
        tokenizer=None,
    )


def _real(dataset: str, vocabulary: int) -> Corpus:
    if vocabulary < FEWEST_TOKENS:
        raise ValueError(f"byte-level BPE needs a vocabulary of at least {FEWEST_TOKENS}, got {vocabulary}")
    documents, source = TEXTS[dataset]()
    digest = digest_of(documents)
    stem = download.folder() / f"{dataset}-{digest[:16]}-{vocabulary}"
    tokenizer, splits = _read_cache(stem) or _encode(dataset, documents, vocabulary, stem)
    valid_bytes = sum(len(text.encode()) for text in documents["valid"])
    return Corpus(
        name=dataset,
        **splits,
        vocabulary=vocabulary,
        digest=digest,
        source=source,
        bytes_per_token=valid_bytes / len(splits["valid"]),
        entropy=None,
        tokenizer=tokenizer,
    )


def _stdlib() -> tuple[Documents, str]:
    """The running Python's own library, without tests; split by file, so that no file is in two splits."""
    root = Path(sysconfig.get_path("stdlib"))
    documents: Documents = {split: [] for split in SPLITS}
    skipped = 0
    for path in sorted(path.relative_to(root).as_posix() for path in _library_files(root)):
        try:
            with tokenize.open(root / path) as file:  # in the encoding the file declares, PEP 263
                documents[_split(path)].append(file.read())
        except (SyntaxError, UnicodeDecodeError):
            skipped += 1
    texts = list(chain.from_iterable(documents.values()))
    if not texts:
        raise FileNotFoundError(f"the standard library's folder {root} holds no Python source")
    source = (
        f"Standard library of {platform.python_implementation()} {platform.python_version()} without tests, "
        f"{len(texts)} files, {_megabytes(texts)} MB, {skipped} undecodable files left out."
    )
    return documents, source


def _library_files(root: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in NOT_LIBRARY and not f.startswith(OF_THE_BUILD)]
        yield from (Path(parent, f) for f in files if f.endswith(".py") and not f.startswith(OF_THE_BUILD))


def _split(path: str) -> str:
    """By the path alone, so that a file stays in its split from one Python version to the next."""
    percent = int(hashlib.sha256(path.encode()).hexdigest(), 16) % 100
    return "train" if percent < 90 else "valid" if percent < 95 else "test"


def _tinyshakespeare() -> tuple[Documents, str]:
    text = download.read("tinyshakespeare")[0].decode()
    first, second = len(text) * 90 // 100, len(text) * 95 // 100
    documents = {"train": [text[:first]], "valid": [text[first:second]], "test": [text[second:]]}
    return documents, f"Tiny Shakespeare, 1 file, {_megabytes([text])} MB."


def _wikitext2() -> tuple[Documents, str]:
    texts = [content.decode() for content in download.read("wikitext2")]
    documents = {split: text.splitlines(keepends=True) for split, text in zip(SPLITS, texts, strict=True)}
    return documents, f"WikiText-2 with rare words as <unk>, 3 files, {_megabytes(texts)} MB."


TEXTS: dict[str, Callable[[], tuple[Documents, str]]] = {
    "stdlib": _stdlib,
    "tinyshakespeare": _tinyshakespeare,
    "wikitext2": _wikitext2,
}


def _megabytes(texts: list[str]) -> str:
    return f"{sum(len(text.encode()) for text in texts) / 1e6:.2f}"


def digest_of(documents: Documents) -> str:
    """SHA-256 of all texts with their splits."""
    sha = hashlib.sha256()
    for split in SPLITS:
        sha.update(split.encode())
        for text in documents[split]:
            content = text.encode()
            sha.update(len(content).to_bytes(8, "big") + content)
    return sha.hexdigest()


def _encode(
    dataset: str, documents: Documents, vocabulary: int, stem: Path
) -> tuple[Tokenizer, dict[str, np.ndarray]]:
    tokenizer = train_bpe(documents["train"], vocabulary)
    found = tokenizer.get_vocab_size()
    if found != vocabulary:
        raise ValueError(
            f"{dataset} yields only {found} tokens; ask for a vocabulary of {FEWEST_TOKENS} to {found}"
        )
    splits = {}
    for split in SPLITS:
        encodings = tokenizer.encode_batch_fast(documents[split])
        splits[split] = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32)
    _write_cache(stem, tokenizer, splits)
    return tokenizer, splits


def train_bpe(texts: list[str], vocabulary: int) -> Tokenizer:
    """Byte-level BPE of at most so many tokens, trained on these texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _cache_files(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".npz")


def _read_cache(stem: Path) -> tuple[Tokenizer, dict[str, np.ndarray]] | None:
    """The cached tokenizer and its tokens; None where a file is missing, damaged, or not made with the other.

    An .npz holds .npy arrays with a CRC each; this one also holds the SHA-256 of the tokenizer's file.
    """
    tokenizer_file, tokens_file = _cache_files(stem)
    try:
        text = tokenizer_file.read_bytes()
        with np.load(tokens_file, allow_pickle=False) as stored:
            splits = {split: stored[split] for split in SPLITS}
            intact = stored["tokenizer"].tobytes() == hashlib.sha256(text).digest()
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
        return None  # RuntimeError: a flipped bit can make zipfile believe in encryption or a newer format
    return (Tokenizer.from_str(text.decode()), splits) if intact else None


def _write_cache(stem: Path, tokenizer: Tokenizer, splits: dict[str, np.ndarray]) -> None:
    tokenizer_file, tokens_file = _cache_files(stem)
    text = tokenizer.to_str().encode()
    checksum = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)
    _write_atomically(tokenizer_file, lambda file: file.write(text))
    _write_atomically(tokens_file, lambda file: np.savez(file, tokenizer=checksum, **splits))


def _write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Other processes see the old file or the whole new one, and an interrupted write leaves nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            write(file)
            file.close()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
