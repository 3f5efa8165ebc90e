"""A natural task from text that every Python has: does this passage of source follow that one?

BERT's own second task asks whether a sentence follows another or was taken from elsewhere (Devlin et al.
2019, section 3.1, https://arxiv.org/abs/1810.04805). Here a passage is a few lines of a file, and what was
taken from elsewhere is from the same file or from another one. That takes longer to learn than a page has, so
there is an easier question too: which of two passages begins its file?
"""

from collections.abc import Iterator

import numpy as np

from twins.datasets import markov

CLASSES = ("next", "same file", "other file")
BEGINNINGS = ("the first", "the second")  # which of two passages begins its file
LINES = 4  # of a passage; blank ones are left out
SEED = int.from_bytes(b"passages", "big")
Row = tuple[int, int, int]  # a passage, another one, and the class of the two


def cut(text: str) -> list[str]:
    """The passages of a file, LINES lines each; a rest shorter than that is left out."""
    lines = [line for line in text.splitlines() if line.strip()]
    return ["\n".join(lines[i : i + LINES]) for i in range(0, len(lines) - LINES + 1, LINES)]


def pairs(files: list[list[str]]) -> list[Row]:
    """Every passage that has a next one, paired with one of each class in turn, as numbers of all passages.

    Files of fewer than three passages are left out. ValueError when fewer than two files remain.
    """
    starts = np.cumsum([0, *(len(file) for file in files)]).tolist()
    spans = [(start, len(file)) for start, file in zip(starts, files, strict=False) if len(file) > 2]
    if len(spans) < 2:
        raise ValueError(f"passages need two files of at least {3 * LINES} lines, found {len(spans)}")
    return list(_paired(spans))


def beginnings(files: list[list[str]]) -> list[Row]:
    """Every passage that begins no file, paired with the beginning of another file, first and second in turn.

    Numbers are those of all passages. ValueError when fewer than two files have more than one passage.
    """
    starts = np.cumsum([0, *(len(file) for file in files)]).tolist()
    spans = [(start, len(file)) for start, file in zip(starts, files, strict=False) if len(file) > 1]
    if len(spans) < 2:
        raise ValueError(f"beginnings need two files of at least {2 * LINES} lines, found {len(spans)}")
    later = [(n, start + place) for n, (start, length) in enumerate(spans) for place in range(1, length)]
    random = (markov.splitmix64(SEED, len(later)) >> np.uint64(32)).tolist()
    rows = []
    for row, ((number, passage), draw) in enumerate(zip(later, random, strict=True)):
        begin = spans[(number + 1 + draw % (len(spans) - 1)) % len(spans)][0]
        rows.append((passage, begin, 1) if row % 2 else (begin, passage, 0))
    return rows


def _paired(spans: list[tuple[int, int]]) -> Iterator[Row]:
    """Rows from the (first passage, passages) of every file; random numbers choose what is not next."""
    count = sum(length - 1 for _, length in spans)
    random = (markov.splitmix64(SEED, 2 * count) >> np.uint64(32)).reshape(count, 2).tolist()
    row = 0
    for number, (start, length) in enumerate(spans):
        for place in range(length - 1):
            which, (one, two) = row % len(CLASSES), random[row]
            other, size = spans[(number + 1 + one % (len(spans) - 1)) % len(spans)]
            elsewhere = start + (place + 2 + one % (length - 2)) % length
            second = (start + place + 1, elsewhere, other + two % size)[which]
            yield start + place, second, which
            row += 1
