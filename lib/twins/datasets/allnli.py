"""AllNLI, optional: SNLI and MultiNLI, the two sets that sentence encoders are trained on together.

Bowman et al. 2015 (https://arxiv.org/abs/1508.05326), Williams et al. 2018 (https://arxiv.org/abs/1704.05426).
Read line by line from the two archives; nothing is unpacked to disk.
"""

import json
import zipfile
from collections.abc import Iterator
from itertools import islice

from twins.datasets import download

CLASSES = ("entailment", "neutral", "contradiction")
MOST = 100_000  # pairs taken of each training set; more than any page trains on
NAMES = ("snli", "multinli")
Pair = tuple[str, str, int]


def pairs() -> tuple[list[Pair], list[Pair]]:
    """Training pairs, at most MOST of each set, and test pairs (both development sets).

    Errors: download.DownloadError.
    """
    train, test = [], []
    for name in NAMES:
        path, (training, development) = download.fetch(name), download.FILES[name].members
        with zipfile.ZipFile(path) as archive:
            train += islice(_labelled(archive, training), MOST)
            test += _labelled(archive, development)
    return train, test


def _labelled(archive: zipfile.ZipFile, member: str) -> Iterator[Pair]:
    """The pairs of one file whose annotators agreed; "-" marks those where they did not."""
    with archive.open(member) as lines:
        for line in lines:
            row = json.loads(line)
            if row["gold_label"] in CLASSES:
                yield row["sentence1"], row["sentence2"], CLASSES.index(row["gold_label"])
