"""Corpora: what is read, how it is split and cached, and the windows that are cut from it."""

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

from twins.datasets import corpus, download, markov

SENTENCE = re.compile(r"[^\n.]+(\.\d[^\n.]*)*\.")  # one full stop, apart from those in numbers


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small standard library: 100 files, one in Latin-1, two undecodable ones, and much to leave out."""
    root = tmp_path / "lib"
    texts = {f"m{i}.py": f"def f{i}(x):\n    return x * {i}\n".encode() * 5 for i in range(98)}
    texts["package/latin.py"] = "# coding: latin-1\nname = 'Müller'\n".encode("latin-1")
    texts["package/utf.py"] = "name = 'Müller, 東京'\n".encode()
    texts["bad_bytes.py"] = b"name = '\xff'\n"
    texts["bad_cookie.py"] = b"# coding: no-such-code\n"
    for folder in (
        "test",
        "package/tests",
        "idlelib/idle_test",
        "site-packages/torch",
        "__pycache__",
        "config-3.11",
    ):
        texts[f"{folder}/left_out.py"] = b"LEFT_OUT = 1\n"
    texts["_sysconfigdata__linux.py"] = b"LEFT_OUT = 1\n"
    texts["notes.txt"] = b"LEFT_OUT"
    for path, content in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: {"stdlib": str(root)}[name])
    return root


def _all_text(loaded):
    return "".join(loaded.decode(getattr(loaded, split)) for split in corpus.SPLITS)


def _same(one, other):
    assert one.digest == other.digest
    assert one.tokenizer.to_str() == other.tokenizer.to_str()
    for split in corpus.SPLITS:
        assert getattr(other, split).dtype == np.int32
        assert np.array_equal(getattr(one, split), getattr(other, split))


def test_real_standard_library(raw):
    loaded = corpus.load("stdlib", 512)
    tokens = {split: getattr(loaded, split) for split in corpus.SPLITS}
    total = sum(map(len, tokens.values()))
    assert total > 2_000_000
    assert 0.85 < len(tokens["train"]) / total < 0.95
    assert min(len(tokens["valid"]), len(tokens["test"])) / total > 0.02
    assert {part.dtype for part in tokens.values()} == {np.dtype(np.int32)}
    assert loaded.vocabulary == 512 == loaded.tokenizer.get_vocab_size()
    assert max(part.max() for part in tokens.values()) < 512
    assert loaded.entropy is None
    text = loaded.decode(loaded.valid)
    assert len(text.encode()) / len(loaded.valid) == pytest.approx(loaded.bytes_per_token, abs=1e-12)
    assert "import " in text and "def " in text
    assert SENTENCE.fullmatch(loaded.source) and sys.version.split()[0] in loaded.source


def test_library_is_decoded_and_split_by_file(raw, library):
    loaded = corpus.load("stdlib", 300)
    text = _all_text(loaded)
    assert "LEFT_OUT" not in text
    assert text.count("Müller") == 2 and "東京" in text
    assert all(text.count(f"return x * {i}\n") == 5 for i in range(98))
    assert "100 files" in loaded.source and "2 undecodable files left out" in loaded.source
    holders = [
        [s for s in corpus.SPLITS if f"return x * {i}\n" in loaded.decode(getattr(loaded, s))]
        for i in range(98)
    ]
    assert all(len(splits) == 1 for splits in holders)
    assert {split for (split,) in holders} == set(corpus.SPLITS)


def test_a_file_keeps_its_split():
    paths = ["argparse.py", "heapq.py", "statistics.py", "glob.py", "json/encoder.py"]
    assert [corpus._split(path) for path in paths] == ["train", "valid", "valid", "test", "test"]


def test_digest_follows_the_text(raw, library):
    first = corpus.load("stdlib", 300)
    assert corpus.load("stdlib", 257).digest == first.digest
    (library / "m0.py").write_text("def f0(x):\n    return None\n")
    assert corpus.load("stdlib", 300).digest != first.digest


def test_text_is_encoded_without_loss(raw, library):
    (library / "odd.py").write_bytes("s = '\\x00\\t é 😀 \u2028'\r\n\n\n\t\tpass  \n".encode())
    texts = [t for split in corpus._stdlib()[0].values() for t in split]
    assert _all_text(corpus.load("stdlib", 300)) == "".join(texts)


def test_second_load_reads_the_cache(raw, library, monkeypatch):
    first = corpus.load("stdlib", 300)
    files = sorted(f.name for f in raw.iterdir())
    assert files == [f"stdlib-{first.digest[:16]}-300.{end}" for end in ("json", "npz")]
    monkeypatch.delattr(corpus, "train_bpe")
    _same(first, corpus.load("stdlib", 300))


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _empty(path):
    path.write_bytes(b"")


def _halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("end", ["json", "npz"])
@pytest.mark.parametrize("damage", [_flip, _halve, _empty, Path.unlink])
def test_damaged_cache_is_made_again(raw, library, monkeypatch, end, damage):
    first = corpus.load("stdlib", 300)
    (file,) = raw.glob(f"*.{end}")
    intact = file.read_bytes()
    damage(file)
    _same(first, corpus.load("stdlib", 300))
    assert zipfile.is_zipfile(file) if end == "npz" else file.read_bytes() == intact
    monkeypatch.delattr(corpus, "train_bpe")
    _same(first, corpus.load("stdlib", 300))


def test_tokens_of_another_tokenizer_are_not_used(raw, library):
    first = corpus.load("stdlib", 300)
    corpus.load("stdlib", 290)
    stem = raw / f"stdlib-{first.digest[:16]}"
    Path(f"{stem}-290.json").replace(f"{stem}-300.json")
    _same(first, corpus.load("stdlib", 300))


def test_failed_write_leaves_nothing(raw):
    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        corpus._write_atomically(raw / "x.json", fail)
    assert list(raw.iterdir()) == []


LOAD_AND_PRINT = """
import hashlib, sysconfig
sysconfig.get_path = lambda name: {library!r}
from twins.datasets import corpus
loaded = corpus.load("stdlib", 300)
print(loaded.digest, hashlib.sha256(loaded.train.tobytes() + loaded.tokenizer.to_str().encode()).hexdigest())
"""


def test_processes_that_load_at_once_agree(raw, library):
    program = [sys.executable, "-c", LOAD_AND_PRINT.format(library=str(library))]
    threads = ("1", "2", "1", "2")
    running = [
        subprocess.Popen(
            program, env=os.environ | {"RAYON_NUM_THREADS": n}, stdout=subprocess.PIPE, text=True
        )
        for n in threads
    ]
    printed = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert len(printed[0].split()) == 2 and set(printed) == {printed[0]}
    assert sorted(f.suffix for f in raw.iterdir()) == [".json", ".npz"]


def test_markov_corpus():
    loaded = corpus.load("markov")
    assert [len(getattr(loaded, split)) for split in corpus.SPLITS] == [1_000_000, 200_000, 200_000]
    assert loaded.vocabulary == 16
    assert loaded.entropy == markov.entropy()
    assert loaded.bytes_per_token is None
    assert loaded.digest == "923f424614049aa8edb63ee45d9a5f23621378f03106d6ee6af013d210b79a5d"
    assert SENTENCE.fullmatch(loaded.source)
    assert all(not np.array_equal(loaded.valid[:1000], markov.sample(1000, seed)) for seed in range(3))
    assert not np.array_equal(loaded.valid, loaded.test)
    with pytest.raises(ValueError, match="tokens of 'markov' are symbols without text"):
        loaded.decode(loaded.valid)


def _place(raw, monkeypatch, name, content):
    """Put a file where a download would be, so that no network is asked."""
    row = download.FILES[name]
    sha256 = hashlib.sha256(content).hexdigest()
    fields = {f: getattr(row, f) for f in ("file", "url", "bytes", "what", "terms", "members")}
    monkeypatch.setitem(download.FILES, name, download.Remote(**fields, sha256=sha256))
    raw.mkdir()
    (raw / row.file).write_bytes(content)


def test_tinyshakespeare_is_split_in_order(raw, monkeypatch):
    play = "".join(f"Line {i} of the play.\n" for i in range(1000))
    _place(raw, monkeypatch, "tinyshakespeare", play.encode())
    loaded = corpus.load("tinyshakespeare", 280)
    assert loaded.decode(loaded.train) == play[: len(play) * 90 // 100]
    assert _all_text(loaded) == play
    assert SENTENCE.fullmatch(loaded.source)


def test_wikitext2_has_the_splits_of_its_archive(raw, monkeypatch, tmp_path):
    texts = {s: f" = The {s} article = \n \n Some <unk> text . \n" * 20 for s in corpus.SPLITS}
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for split, text in reversed(texts.items()):
            archive.writestr(f"wikitext-2/wiki.{split}.tokens", text)
    _place(raw, monkeypatch, "wikitext2", (tmp_path / "packed.zip").read_bytes())
    loaded = corpus.load("wikitext2", 270)
    assert {split: loaded.decode(getattr(loaded, split)) for split in corpus.SPLITS} == texts
    assert SENTENCE.fullmatch(loaded.source)


def test_unknown_data_set_names_the_known():
    with pytest.raises(ValueError) as caught:
        corpus.load("c4")
    known = "markov, stdlib, tinyshakespeare, wikitext2"
    assert str(caught.value) == f"no data set is called 'c4'; known: {known}"


def test_vocabulary_below_the_bytes_is_refused(raw):
    with pytest.raises(ValueError, match="needs a vocabulary of at least 257, got 256"):
        corpus.load("stdlib", 256)


def test_vocabulary_beyond_the_text_is_refused(raw, library):
    with pytest.raises(ValueError, match=r"stdlib yields only \d+ tokens; ask for a vocabulary of 257 to"):
        corpus.load("stdlib", 5000)
    assert not raw.exists()


def test_missing_library_is_named(raw, monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "nothing"))
    with pytest.raises(
        FileNotFoundError, match=r"the standard library's folder .*nothing holds no Python source"
    ):
        corpus.load("stdlib", 300)


def test_batches_are_windows_of_the_tokens():
    tokens = np.arange(1000, dtype=np.int32)
    cut = corpus.batches(tokens, batch=8, context=16, steps=500, seed=3)
    assert cut.shape == (500, 8, 17)
    assert cut.dtype == np.int32
    assert np.array_equal(cut, cut[:, :, :1] + np.arange(17))
    assert (cut.min(), cut.max()) == (0, 999)
    assert cut[0, :, 0].tolist() == [501, 537, 225, 719, 870, 271, 456, 742]


def test_batches_depend_on_the_seed_alone():
    tokens = np.arange(1000, dtype=np.int32)
    one = corpus.batches(tokens, batch=4, context=16, steps=10, seed=0)
    assert np.array_equal(one, corpus.batches(tokens, batch=4, context=16, steps=10, seed=0))
    assert np.array_equal(one[:5], corpus.batches(tokens, batch=4, context=16, steps=5, seed=0))
    assert not np.array_equal(one, corpus.batches(tokens, batch=4, context=16, steps=10, seed=1))


def test_batch_of_exactly_the_tokens_is_allowed_and_one_more_is_not():
    tokens = np.arange(40, dtype=np.int32)
    assert corpus.batches(tokens, batch=8, context=4, steps=1, seed=0).shape == (1, 8, 5)
    with pytest.raises(ValueError) as caught:
        corpus.batches(tokens[:-1], batch=8, context=4, steps=1, seed=0)
    assert str(caught.value) == "a batch of 8 windows of 5 tokens needs 40 tokens, more than the 39 there are"


def test_batches_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0, 4 and 2"):
        corpus.batches(np.arange(40, dtype=np.int32), batch=0, context=4, steps=2, seed=0)


def test_windows_follow_each_other_without_overlap():
    tokens = np.arange(23, dtype=np.int32)
    assert corpus.windows(tokens, context=4).tolist() == np.arange(20).reshape(4, 5).tolist()
    assert corpus.windows(tokens, context=4, limit=2).tolist() == np.arange(10).reshape(2, 5).tolist()
    assert corpus.windows(tokens, context=22).shape == (1, 23)
    with pytest.raises(ValueError, match="a window of 24 tokens is longer than the 23 tokens there are"):
        corpus.windows(tokens, context=23)
    with pytest.raises(ValueError, match="at least 1, got 4 and 0"):
        corpus.windows(tokens, context=4, limit=0)
