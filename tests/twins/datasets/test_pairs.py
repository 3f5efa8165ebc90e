"""Pairs: labels against every world, balanced classes, no test pair seen in training, whole batches."""

import hashlib
import io
import json
import sysconfig
import zipfile
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from twins.datasets import allnli, corpus, download, entailment, passages, text_pairs
from twins.datasets.entailment import Sentence
from twins.datasets.text_pairs import CLS, PAD, SEP, Part

# --- inference: labels against an oracle that knows only what words mean ----------------------------


def true(sentence, world):
    """Whether a sentence holds among these individuals: (narrowest noun, young, brown, narrowest verb)."""
    adjective = sentence.adjective
    who = [i for i in world if i[0] <= sentence.noun and (adjective is None or i[1 + adjective])]
    acts = [i[3] <= sentence.verb for i in who]
    return bool(who) and (all(acts), not any(acts), any(acts), not all(acts))[sentence.quantifier]


def peopled(sentence, world):
    return true(sentence, world) or true(entailment.negation(sentence), world)


# One individual is enough for what a sentence asks for, so two show all that a larger world could.
WORLDS = list(combinations_with_replacement(entailment.KINDS, 3))


def by_worlds(first, second):
    """The label from every world of up to three individuals."""
    answers = {true(second, w) for w in WORLDS if true(first, w) and peopled(second, w)}
    return {frozenset({True}): 0, frozenset({True, False}): 1, frozenset({False}): 2}[frozenset(answers)]


@pytest.mark.parametrize("number", range(0, 5184, 173))
def test_labels_hold_in_every_world(number):
    first, second = list(product(entailment.sentences(), repeat=2))[number]
    assert entailment.label(first, second) == by_worlds(first, second)


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ((0, 1, None, 1), (0, 0, None, 1), "entailment"),  # all dogs run, all poodles run
        ((0, 1, None, 0), (2, 1, None, 1), "entailment"),  # all dogs sprint, some dogs run
        ((1, 1, None, 1), (1, 0, 0, 0), "entailment"),  # no dogs run, no young poodles sprint
        ((2, 0, 1, 0), (2, 2, 1, 1), "entailment"),  # some brown poodles sprint, some brown mammals run
        ((2, 1, None, 1), (2, 0, None, 1), "neutral"),  # some dogs run, some poodles run
        ((0, 0, None, 1), (0, 1, None, 1), "neutral"),  # all poodles run, all dogs run
        ((0, 1, 0, 1), (0, 1, 1, 1), "neutral"),  # all young dogs run, all brown dogs run
        ((1, 1, None, 1), (2, 0, None, 1), "contradiction"),  # no dogs run, some poodles run
        ((0, 1, None, 1), (3, 0, 0, 1), "contradiction"),  # all dogs run, not all young poodles run
    ],
)
def test_labels_known_by_hand(first, second, known):
    assert entailment.CLASSES[entailment.label(Sentence(*first), Sentence(*second))] == known


def test_inference_is_the_same_everywhere_balanced_and_without_repetition():
    rows = entailment.pairs()
    assert rows[:2] == [
        ("all brown bumblebees whisper", "some insects speak", 0),
        ("all brown cobras whisper", "no young snakes speak", 1),
    ]
    assert len({row[:2] for row in rows}) == len(rows) == 3 * 6660
    loaded = text_pairs.load("inference", 8)
    assert loaded.digest == "f1d000477fe2a8525ca074b77d366d662669f467e8ea63bfa8c5a9c615b7d0f9"
    for part in (loaded.train, loaded.test):
        assert set(np.bincount(part.labels)) == {len(part) // 3}
    assert (len(loaded.train), len(loaded.test)) == (16_650, 3_330)
    assert loaded.majority == pytest.approx(1 / 3)
    assert not {ids.tobytes() for ids in loaded.train.ids} & {ids.tobytes() for ids in loaded.test.ids}


# --- passages --------------------------------------------------------------------------------------


def numbered(name, lines):
    return "\n".join(f"{name} = {line}\n" for line in range(lines))


def test_passages_are_whole_and_without_blank_lines():
    assert passages.cut(numbered("a", 10)) == [
        "a = 0\na = 1\na = 2\na = 3",
        "a = 4\na = 5\na = 6\na = 7",
    ]


def test_passages_are_paired_as_their_classes_say():
    files = [passages.cut(numbered(name, 40 + 8 * n)) for n, name in enumerate("abcde")]
    files.insert(2, passages.cut(numbered("short", 8)))  # two passages: none is elsewhere
    owner = [number for number, file in enumerate(files) for _ in file]
    rows = passages.pairs(files)
    assert len(rows) == sum(len(file) - 1 for file in files if len(file) > 2)
    counts = np.bincount([row[2] for row in rows])
    assert counts.max() - counts.min() <= 1
    for first, second, which in rows:
        assert owner[first] == owner[first + 1] != 2
        same, following = owner[first] == owner[second], second == first + 1
        assert (which == 0) == (same and following)
        assert (which == 1) == (same and not following)
        assert second != first
        assert owner[second] != 2
    assert len({row[1] for row in rows}) > len(rows) / 2  # what is elsewhere is not always the same
    assert passages.pairs(files) == rows


def test_passages_need_two_files():
    with pytest.raises(ValueError, match="passages need two files of at least 12 lines, found 1"):
        passages.pairs([passages.cut(numbered("a", 40)), passages.cut("b = 1")])


@pytest.fixture
def library(raw, tmp_path, monkeypatch):
    """A standard library of 60 small files, two of them with the same passages."""
    root = tmp_path / "lib"
    root.mkdir()
    for number in range(60):
        (root / f"m{number}.py").write_text(numbered(f"name_{number}", 24))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: {"stdlib": str(root)}[name])
    return root


def test_passages_are_split_by_file_and_seen_pairs_left_out(library):
    documents, _ = corpus.TEXTS["stdlib"]()
    held = documents["valid"] + documents["test"]
    loaded = text_pairs.load("passages", 24, vocabulary=300)
    assert len(loaded.train) == 5 * len(documents["train"])
    assert len(loaded.test) == 5 * len(held) > 0
    assert "0 test pairs seen in training were left out" in loaded.source
    assert loaded.vocabulary == 303
    assert text_pairs.load("passages", 24, vocabulary=300).digest == loaded.digest
    assert [row[2] for row in loaded.examples] == list(passages.CLASSES)
    copied = min(library.iterdir())
    for path in library.iterdir():
        path.write_text(copied.read_text())
    with pytest.raises(ValueError, match="every test pair is also a training pair"):
        text_pairs.load("passages", 24, vocabulary=257)


# --- arrays ----------------------------------------------------------------------------------------


def part(lengths, context=16):
    """Pairs of these lengths, (pairs, 2), their tokens and labels numbered by row."""
    ids = np.full((len(lengths), 2, context), PAD, np.int32)
    for row, pair in enumerate(lengths):
        for text, length in enumerate(pair):
            ids[row, text, :length] = 100 + row
    return Part(ids, np.arange(len(lengths), dtype=np.int32))


def test_texts_stand_between_their_marks_and_are_cut_to_the_context():
    made = text_pairs._ids([[0, 1], [5] * 20], 8)
    assert made.tolist() == [[CLS, 3, 4, SEP, 0, 0, 0, 0], [CLS, 8, 8, 8, 8, 8, 8, SEP]]
    assert made.dtype == np.int32


LENGTHS = np.random.default_rng(0).integers(1, 17, (200, 2))


def test_batches_hold_pairs_of_about_one_length():
    for ids, mask, labels in text_pairs.batches(part(LENGTHS), 8, 50, seed=0):
        longest = LENGTHS[labels].max(axis=1)
        assert ids.shape == mask.shape == (8, 2, ids.shape[2])
        assert ids.shape[2] in (4, 8, 12, 16)
        assert ((ids.shape[2] - 4 < longest) & (longest <= ids.shape[2])).all()
        assert np.array_equal(mask.sum(axis=2), LENGTHS[labels])
        assert np.array_equal(ids[mask], np.repeat(100 + labels, LENGTHS[labels].sum(axis=1)))
        assert np.array_equal(mask, ids != PAD)


def test_batches_are_the_same_for_the_same_seed_and_no_pair_comes_twice_in_a_pass():
    made = [labels for _, _, labels in text_pairs.batches(part(LENGTHS), 8, 40, seed=3)]
    again = [labels for _, _, labels in text_pairs.batches(part(LENGTHS), 8, 60, seed=3)]
    other = [labels for _, _, labels in text_pairs.batches(part(LENGTHS), 8, 40, seed=4)]
    assert len(made) == 40
    assert np.array_equal(made, again[:40])
    assert not np.array_equal(made, other)
    buckets = np.bincount(-(-LENGTHS.max(axis=1) // 4))
    first = np.concatenate(made[: sum(buckets // 8)])
    assert len(set(first)) == len(first) == 8 * sum(buckets // 8)
    assert set(np.concatenate(made)) - set(first)  # what one pass left out comes in another


@pytest.mark.parametrize(("batch", "limit"), [(7, None), (64, None), (7, 50), (500, 1)])
def test_whole_has_every_pair_once(batch, limit):
    labels = np.concatenate([labels for _, _, labels in text_pairs.whole(part(LENGTHS), batch, limit)])
    assert len(set(labels)) == len(labels) == (limit or len(LENGTHS))
    assert limit is None or not np.array_equal(np.sort(labels), np.arange(limit))  # not just the first


@pytest.mark.parametrize(
    ("batch", "steps", "sentence"),
    [
        (0, 1, "batch and steps must be at least 1, got 0 and 1"),
        (150, 1, "a batch of 150 pairs of one length is more than the "),
    ],
)
def test_impossible_batches_are_refused(batch, steps, sentence):
    with pytest.raises(ValueError, match=sentence):
        text_pairs.batches(part(LENGTHS), batch, steps, seed=0)


def test_unknown_pairs_and_an_empty_context_are_refused():
    with pytest.raises(
        ValueError, match="no pairs are called 'snli'; known: beginnings, passages, inference, allnli"
    ):
        text_pairs.load("snli", 64)
    with pytest.raises(ValueError, match="a context of 2 holds no text between"):
        text_pairs.load("inference", 2)


# --- AllNLI ----------------------------------------------------------------------------------------

LABELLED = [
    ("A dog runs.", "An animal moves.", "entailment"),
    ("A dog runs.", "A dog is old.", "neutral"),
    ("A dog runs.", "No dog runs.", "contradiction"),
    ("A dog runs.", "Annotators did not agree.", "-"),
]


def offer(server, monkeypatch, name, folder, rows):
    """Serve an archive in the layout of SNLI and MultiNLI, with these rows in both of its splits."""
    packed, members = io.BytesIO(), download.FILES[name].members
    with zipfile.ZipFile(packed, "w") as archive:
        for number, member in enumerate(members):
            lines = [
                json.dumps({"sentence1": f"{number}{folder} {a}", "sentence2": b, "gold_label": c})
                for a, b, c in rows
            ]
            archive.writestr(member, "\n".join(lines))
    server.files[f"/{name}.zip"] = packed.getvalue()
    old = download.FILES[name]
    url = f"http://127.0.0.1:{server.server_port}/{name}.zip"
    sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    made = download.Remote(old.file, url, sha256, len(packed.getvalue()), old.what, old.terms, members)
    monkeypatch.setitem(download.FILES, name, made)


def test_allnli_is_both_sets_without_disputed_pairs(server, raw, monkeypatch):
    offer(server, monkeypatch, "snli", "s", LABELLED)
    offer(server, monkeypatch, "multinli", "m", LABELLED)
    loaded = text_pairs.load("allnli", 32, vocabulary=270)
    assert (len(loaded.train), len(loaded.test)) == (6, 6)
    assert loaded.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert loaded.examples[2] == ("0s A dog runs.", "No dog runs.", "contradiction")
    assert loaded.vocabulary == 273
    assert sorted(path.name for path in raw.iterdir()) == ["multinli_1.0.zip", "snli_1.0.zip"]


def test_allnli_takes_no_more_than_it_says(server, raw, monkeypatch):
    offer(server, monkeypatch, "snli", "s", LABELLED * 5)
    offer(server, monkeypatch, "multinli", "m", LABELLED)
    monkeypatch.setattr(allnli, "MOST", 4)
    train, test = allnli.pairs()
    assert (len(train), len(test)) == (4 + 3, 15 + 3)


def test_allnli_that_cannot_be_had_is_one_sentence(server, raw, monkeypatch):
    offer(server, monkeypatch, "snli", "s", LABELLED)
    server.files.clear()
    with pytest.raises(download.DownloadError, match="could not download snli from"):
        text_pairs.load("allnli", 32)


# --- beginnings ------------------------------------------------------------------------------------


def test_one_of_two_passages_begins_its_file_and_it_is_another_file():
    files = [passages.cut(numbered(name, 40 + 8 * n)) for n, name in enumerate("abcde")]
    files.insert(2, passages.cut(numbered("short", 4)))  # one passage: it has no later one
    owner = [number for number, file in enumerate(files) for _ in file]
    starts = {owner.index(number) for number in range(len(files))}
    rows = passages.beginnings(files)
    assert len(rows) == sum(len(file) - 1 for file in files)
    for number, row in enumerate(rows):
        assert [passage in starts for passage in row[:2]] == [row[2] == 0, row[2] == 1]
        assert row[2] == number % 2 and owner[row[0]] != owner[row[1]]
        assert 2 not in (owner[row[0]], owner[row[1]])
    assert passages.beginnings(files) == rows


def test_beginnings_need_two_files():
    with pytest.raises(ValueError, match="beginnings need two files of at least 8 lines, found 1"):
        passages.beginnings([passages.cut(numbered("a", 40)), passages.cut("b = 1")])
