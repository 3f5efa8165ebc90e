"""Prompts and completions from functions: what is learnt, what is cut, and what is refused."""

import numpy as np
import pytest

from twins.datasets import completions, corpus
from twins.datasets.completions import IGNORED, Completions

SOURCE = '''
def one(a):
    """Add one."""
    return a + 1


class Thing:
    async def two(self):
        """Do
        nothing."""
        pass

    def no_docstring(self):
        return 2

    def no_body(self):
        """Only words."""
'''


def test_functions_with_a_docstring_and_a_body():
    found = list(completions.functions(SOURCE))
    assert [head.split("(")[0].strip() for head, _ in found] == ["def one", "async def two"]
    assert found[0] == ('def one(a):\n    """Add one."""\n', "    return a + 1\n")
    assert found[1][0].endswith('nothing."""\n') and found[1][1] == "        pass\n"


def test_what_is_no_python_has_none():
    assert list(completions.functions("def broken(:")) == []


def rows(*lengths: tuple[int, int]) -> Completions:
    train = np.arange(1, 1 + 9 * len(lengths), dtype=np.int32).reshape(len(lengths), 9)
    known = np.array(lengths, np.int32)
    return Completions(train, known, train, known, 64, "digest", "source.", ("", ""))


def test_only_completions_are_learnt():
    data = rows((3, 6), (1, 9))
    ids, targets = completions.targets(data.train, data.train_lengths)
    assert np.array_equal(ids, data.train[:, :-1])
    assert targets[0].tolist() == [IGNORED] * 2 + [4, 5, 6] + [IGNORED] * 3
    assert targets[1].tolist() == data.train[1, 1:].tolist()


def test_every_row_is_drawn_before_any_comes_again():
    drawn = completions.batches(rows(*[(1, 9)] * 6), 2, 6, seed=0)
    assert [ids.shape for ids, _ in drawn] == [(2, 8)] * 6
    for half in (drawn[:3], drawn[3:]):
        assert sorted(int(row[0]) for ids, _ in half for row in ids) == [1 + 9 * n for n in range(6)]
    again = completions.batches(rows(*[(1, 9)] * 6), 2, 6, seed=0)
    assert all(
        np.array_equal(a, b)
        for one, two in zip(drawn, again, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert [len(ids) for ids, _ in completions.tested(rows(*[(1, 9)] * 5), 2)] == [2, 2, 1]


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A library of one function in each split."""
    documents = {split: [SOURCE] for split in corpus.SPLITS}
    monkeypatch.setitem(corpus.TEXTS, "stdlib", lambda: (documents, "Two functions."))
    tokenizer = corpus.train_bpe([SOURCE], 260)
    (tmp_path / "base").mkdir()
    tokenizer.save(str(tmp_path / "base" / "tokenizer.json"))
    return str(tmp_path / "base")


def test_rows_of_a_folder_with_its_tokenizer(library):
    data = completions.load(64, rows=1, tested=1, folder=library)
    assert data.train.shape == (1, 65) and data.vocabulary == 260 and data.source == "Two functions."
    prompt, filled = data.train_lengths[0]
    assert 0 < prompt <= 48 and prompt < filled <= 65
    assert not data.train[0, filled:].any()


def test_too_few_functions_and_no_tokenizer_are_one_sentence(library, tmp_path):
    with pytest.raises(ValueError, match="has 2 functions whose prompts fit into 64 tokens, 9 are asked for"):
        completions.load(64, rows=9, folder=library)
    with pytest.raises(ValueError, match=r"checkpoint empty holds no tokenizer\.json"):
        completions.load(64, folder=str(tmp_path / "empty"))
