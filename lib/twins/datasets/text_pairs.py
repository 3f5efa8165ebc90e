"""Labelled pairs of texts as arrays of tokens: a natural and a synthetic task without a download, and AllNLI.

"passages" and "beginnings" are the source of the Python that runs this, "inference" has exact labels and
is the same on every machine. Each text begins with [CLS], ends with [SEP] and is filled up with [PAD], as in
Devlin et al. 2019 (https://arxiv.org/abs/1810.04805). All of it is made once, as NumPy arrays, before
anything is timed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd

from twins.datasets import allnli, corpus, entailment, markov, passages

PAD, CLS, SEP = range(3)
SPECIAL = 3  # how many tokens come before those of the text
BUCKETS = 4  # lengths that batches are filled up to: quarters of the context
TEST_SHARE = 6  # of the synthetic pairs, one in so many tests
BPE_TOKENS = 1024

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]  # ids and mask (B, 2, T), labels (B,)


@dataclass(frozen=True, eq=False)
class Part:
    """Pairs of one split: ids (pairs, 2, context) int32, PAD after a text's end; labels (pairs,) int32."""

    ids: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def mask(self) -> np.ndarray:
        """True at tokens of a text: (pairs, 2, context)."""
        return self.ids != PAD


@dataclass(frozen=True, eq=False)
class Pairs:
    """One task and what a record must say about it.

    vocabulary: how many different tokens there can be. digest: SHA-256 of all ids and labels. entropy: the
    lowest possible loss in nats, None where it is unknown. examples: a pair of texts of each class.
    """

    name: str
    classes: tuple[str, ...]
    train: Part
    test: Part
    vocabulary: int
    digest: str
    source: str
    entropy: float | None
    examples: list[tuple[str, str, str]]

    @property
    def majority(self) -> float:
        """What naming the most frequent class of the test pairs every time gets right, as a share."""
        return float(np.bincount(self.test.labels).max() / len(self.test))

    def table(self) -> pd.DataFrame:
        """A pair of texts of each class, to look at; a line's end shows as ⏎."""
        rows = [[" ⏎ ".join(map(str.strip, text.splitlines())) for text in row] for row in self.examples]
        return pd.DataFrame(rows, columns=["first", "second", "class"])


def load(dataset: str, context: int, vocabulary: int = BPE_TOKENS) -> Pairs:
    """A task by name, of SOURCES; "allnli" needs a download. Texts are cut to the context.

    vocabulary: tokens of the byte-level BPE; "inference" consists of words and does not use it. ValueError
    for an unknown name or a context that holds no text, download.DownloadError when a file cannot be had.
    """
    if dataset not in SOURCES:
        raise ValueError(f"no pairs are called {dataset!r}; known: {', '.join(SOURCES)}")
    if context <= 2:
        raise ValueError(
            f"a context of {context} holds no text between [CLS] and [SEP]; it must be at least 3"
        )
    return SOURCES[dataset](context, vocabulary)


def batches(part: Part, batch: int, steps: int, seed: int) -> list[Batch]:
    """Training batches, each of pairs of about one length and no longer than these need.

    The pairs pass in random order, again and again until there are `steps` batches; a rest smaller than a
    batch waits for the next pass. The same arguments give the same batches on every machine. ValueError when
    no length has enough pairs for a batch.
    """
    if min(batch, steps) < 1:
        raise ValueError(f"batch and steps must be at least 1, got {batch} and {steps}")
    edges = _edges(part)
    largest = int(np.bincount(edges).max())
    if batch > largest:
        raise ValueError(f"a batch of {batch} pairs of one length is more than the {largest} there are")
    passes = (_pass(edges, batch, int(s)) for s in markov.splitmix64(seed, steps))
    chosen = islice((rows for each in passes for rows in each if len(rows) == batch), steps)
    return [_batch(part, rows, edges[rows[0]]) for rows in chosen]


def whole(part: Part, batch: int, limit: int | None = None) -> list[Batch]:
    """Batches for evaluation: every pair once, or `limit` of them, always the same, chosen at random."""
    edges = _edges(part)
    order = np.argsort(markov.splitmix64(0, len(part)), kind="stable")[:limit]
    order = order[np.argsort(edges[order], kind="stable")]
    return [_batch(part, rows, edges[rows[0]]) for rows in _cut(edges, order, batch)]


def _edges(part: Part) -> np.ndarray:
    """The length every pair is filled up to: (pairs,) int64."""
    context = part.ids.shape[-1]
    edges = np.ceil(np.arange(1, BUCKETS + 1) * context / BUCKETS).astype(np.int64)
    return edges[np.searchsorted(edges, part.mask.sum(axis=2).max(axis=1))]


def _cut(edges: np.ndarray, order: np.ndarray, batch: int) -> list[np.ndarray]:
    """Rows in this order, cut where the length changes and into batches."""
    groups = np.split(order, np.flatnonzero(np.diff(edges[order])) + 1)
    return [group[i : i + batch] for group in groups for i in range(0, len(group), batch)]


def _pass(edges: np.ndarray, batch: int, seed: int) -> list[np.ndarray]:
    """The rows of every batch of one pass over the pairs, in random order."""
    order = np.argsort(markov.splitmix64(seed, len(edges)), kind="stable")
    cut = _cut(edges, order[np.argsort(edges[order], kind="stable")], batch)
    return [cut[i] for i in np.argsort(markov.splitmix64(seed + 1, len(cut)), kind="stable")]


def _batch(part: Part, rows: np.ndarray, length: int) -> Batch:
    ids = np.ascontiguousarray(part.ids[rows, :, :length])
    return ids, ids != PAD, part.labels[rows]


def _ids(texts: Sequence[Sequence[int]], context: int) -> np.ndarray:
    """Tokens of texts between [CLS] and [SEP], cut and filled up to the context: (texts, context) int32."""
    ids = np.full((len(texts), context), PAD, np.int32)
    for row, tokens in zip(ids, texts, strict=True):
        kept = tokens[: context - 2]
        row[: len(kept) + 2] = [CLS, *(token + SPECIAL for token in kept), SEP]
    return ids


def _made(train: Part, test: Part, **facts) -> Pairs:
    """The task with test pairs that are also training pairs left out."""
    seen = {ids.tobytes() for ids in train.ids}
    new = np.array([ids.tobytes() not in seen for ids in test.ids])
    if not new.any():
        raise ValueError(f"{facts['name']}: every test pair is also a training pair")
    test = Part(test.ids[new], test.labels[new])
    arrays = (train.ids, train.labels, test.ids, test.labels)
    digest = hashlib.sha256(b"".join(array.astype("<i4").tobytes() for array in arrays)).hexdigest()
    counts = f"{len(train):,} training and {len(test):,} test pairs of {len(facts['classes'])} classes"
    source = (
        f"{facts.pop('source')} {counts}; {len(new) - len(test)} test pairs seen in training were left out."
    )
    return Pairs(train=train, test=test, digest=digest, source=source, **facts)


def _examples(rows: Sequence[tuple], classes: tuple[str, ...], text: Callable) -> list[tuple[str, str, str]]:
    """The first pair of each class, as texts."""
    first = [next(row for row in rows if row[2] == number) for number in range(len(classes))]
    return [(text(one), text(other), classes[number]) for one, other, number in first]


def _passages(name: str, classes: tuple[str, ...], pairs: Callable, context: int, vocabulary: int) -> Pairs:
    documents, origin = corpus.TEXTS["stdlib"]()
    tokenizer = corpus.load("stdlib", vocabulary).tokenizer
    parts, rows, texts = {}, {}, {}
    for part, splits in {"train": ("train",), "test": ("valid", "test")}.items():
        files = [passages.cut(text) for split in splits for text in documents[split]]
        texts[part] = [passage for file in files for passage in file]
        rows[part] = pairs(files)
        ids = _ids([e.ids for e in tokenizer.encode_batch_fast(texts[part])], context)
        numbers = np.array(rows[part])
        parts[part] = Part(ids[numbers[:, :2]], numbers[:, 2].astype(np.int32))
    return _made(
        **parts,
        name=name,
        classes=classes,
        vocabulary=vocabulary + SPECIAL,
        source=f"Passages of {passages.LINES} lines. {origin} Split by file:",
        entropy=None,
        examples=_examples(rows["train"], classes, texts["train"].__getitem__),
    )


def _inference(context: int, _: int) -> Pairs:
    rows = entailment.pairs()
    words = sorted({word for one, other, _ in rows for word in f"{one} {other}".split()})
    number = {word: place for place, word in enumerate(words)}
    texts = [[number[word] for word in text.split()] for row in rows for text in row[:2]]
    ids = _ids(texts, context).reshape(len(rows), 2, context)
    labels = np.array([row[2] for row in rows], np.int32)
    size = len(rows) // TEST_SHARE
    return _made(
        test=Part(ids[:size], labels[:size]),
        train=Part(ids[size:], labels[size:]),
        name="inference",
        classes=entailment.CLASSES,
        vocabulary=len(words) + SPECIAL,
        source=f"Sentences of {len(words)} words with exact labels, the same on every machine:",
        entropy=0.0,
        examples=_examples(rows, entailment.CLASSES, str),
    )


def _allnli(context: int, vocabulary: int) -> Pairs:
    splits = dict(zip(("train", "test"), allnli.pairs(), strict=True))
    texts = {split: [text for row in rows for text in row[:2]] for split, rows in splits.items()}
    tokenizer = corpus.train_bpe(texts["train"], vocabulary)
    parts = {}
    for split, rows in splits.items():
        ids = _ids([e.ids for e in tokenizer.encode_batch_fast(texts[split])], context)
        labels = np.array([row[2] for row in rows], np.int32)
        parts[split] = Part(ids.reshape(len(rows), 2, context), labels)
    return _made(
        **parts,
        name="allnli",
        classes=allnli.CLASSES,
        vocabulary=vocabulary + SPECIAL,
        source=f"SNLI and MultiNLI, at most {allnli.MOST:,} training pairs of each:",
        entropy=None,
        examples=_examples(splits["train"], allnli.CLASSES, str),
    )


SOURCES: dict[str, Callable[[int, int], Pairs]] = {
    "beginnings": partial(_passages, "beginnings", passages.BEGINNINGS, passages.beginnings),
    "passages": partial(_passages, "passages", passages.CLASSES, passages.pairs),
    "inference": _inference,
    "allnli": _allnli,
}
