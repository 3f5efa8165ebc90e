"""Shared files that are spoilt, by chance or on purpose: refused in one sentence, or merged and shown."""

import copy
import hashlib
import json
import resource
import shutil
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from twins.evidence.answers import pages
from twins.records import store
from twins.records.markup import HIDDEN
from twins.series import sharing
from twins.series.pages import front_page, machines

MACHINE = "amd-epyc-24gb"
PER_KIND = 2  # records of each kind and page
VALUES = [
    *(None, True, 0, 1, -1, 2**31, 2**63, 2**130, 10**400, 0.0, -1.5, 1e-320, 1e308, [], {}, [[]], ""),
    *(
        "a",
        "MLX",
        "bert",
        "CPU",
        "Apple GPU",
        "../..",
        "a" * 300,
        "<img src=x onerror=a>",
        "$\\frac$",
        "\0",
        "\x1b[",
    ),
    *("\ud800", "`", "[x](javascript:a)", {"a": {"b": [1]}}, ["x"] * 3, [0.1] * 3, [float("nan")]),
    *([float("inf")], {"MLX eager": 1}, "2026-01-31T12:00:00.000000Z", [[[[[[[[[[1]]]]]]]]]]),
]


def places(value, path=()):
    """Every place in a value: the keys that lead to it."""
    yield path
    few = enumerate(value[:2]) if isinstance(value, list) else ()
    for key, each in value.items() if isinstance(value, dict) else few:
        yield from places(each, (*path, key))


@pytest.fixture(scope="module")
def lines():
    """Records of a committed machine: a few of each kind of every page."""
    seen: dict[tuple, int] = {}
    kept = []
    for record in store.read(store.ROOT / "data" / "results").records:
        if record.machine == MACHINE:
            seen[record.notebook, record.kind] = count = seen.get((record.notebook, record.kind), 0) + 1
            kept += [record] * (count <= PER_KIND)
    assert len({record.kind for record in kept}) > 10
    return [json.loads(store.json_line(sharing.renamed(record, f"{MACHINE}-abcdef"))) for record in kept]


def change(line, draw):
    """One value of a record is another's, or is gone, or has another name."""
    path = draw(st.sampled_from([each for each in places(line) if each]))
    *above, last = path
    target = line
    for key in above:
        target = target[key]
    how = draw(st.sampled_from(("set", "set", "set", "drop", "name")))
    if how == "set":
        target[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    elif how == "drop":
        del target[last]
    elif isinstance(target, dict):
        target[str(draw(st.sampled_from(VALUES)))] = target.pop(last)


def write(path, lines, header):
    """A shared file; its header is right but for what is given."""
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    digest = hashlib.sha256(text.encode()).hexdigest()
    right = {"format": sharing.FORMAT, "schema": 1, "machine": f"{MACHINE}-abcdef"}
    right |= {"records": len(lines), "sha256": digest} | header
    path.write_text(f"{json.dumps(right)}\n{text}")


SOME = settings(
    max_examples=100,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # making a failure smaller would take minutes
    suppress_health_check=list(HealthCheck),
)


MANY = settings(SOME, max_examples=2000)
SECONDS = 2.0  # of a processor, for one file
MEMORY = 500 * 2**20  # bytes that all of them together may add to the peak
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, getrusage(2)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Looking at all these files takes little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * UNIT < MEMORY


def merged(path, folder):
    """What merging a file gives, in bounded time."""
    start = time.process_time()
    found = sharing.merge([path], folder)
    assert time.process_time() - start < SECONDS
    return found


@SOME
@given(st.data())
def test_a_spoilt_file_is_refused_in_one_sentence_or_shown(lines, tmp_path_factory, data):
    check(lines, tmp_path_factory, data)


@pytest.mark.oracle
@MANY
@given(st.data())
def test_many_spoilt_files_are_refused_in_one_sentence_or_shown(lines, tmp_path_factory, data):
    check(lines, tmp_path_factory, data)


def check(lines, tmp_path_factory, data):
    """A few values of a few records are others: the file is refused, or its pages are harmless."""
    spoilt = json.loads(json.dumps(lines))
    first = data.draw(st.integers(0, len(spoilt) - 1))
    spoilt = spoilt[first : first + 8] + [line for line in spoilt if line["kind"] == "machine"][:1]
    for _ in range(data.draw(st.integers(1, 3))):
        change(data.draw(st.sampled_from(spoilt)), data.draw)
    header = {}
    if data.draw(st.integers(0, 9)) == 0:
        name = data.draw(st.sampled_from(["format", "machine", "records", "more"]))
        header = {name: data.draw(st.sampled_from(VALUES))}
    folder = tmp_path_factory.mktemp("spoilt")
    write(folder / "a.jsonl", spoilt, header)
    written, refused = merged(folder / "a.jsonl", folder / "results")
    assert len(written) + len(refused) == 1
    for sentence in refused:
        assert sentence.startswith("a.jsonl: ") and len(sentence) < 800
        assert not HIDDEN.search(sentence) and "\n" not in sentence
        assert not (folder / "results").exists()
    if written:
        found = store.read(folder / "results")
        assert found.problems == []
        known = machines.known(found)
        shown = front_page.answers(known, set(), found)
        shown += front_page.page_lines(dict.fromkeys(pages.MAKERS, ""), known, set())
        assert "<img" not in shown and "javascript:" not in shown
    shutil.rmtree(folder)


@settings(SOME, max_examples=400)
@given(st.data())
def test_spoilt_bytes_are_refused_in_one_sentence(lines, tmp_path_factory, data):
    check_bytes(lines, tmp_path_factory, data)


@pytest.mark.oracle
@MANY
@given(st.data())
def test_many_spoilt_bytes_are_refused_in_one_sentence(lines, tmp_path_factory, data):
    check_bytes(lines, tmp_path_factory, data)


def same(one: bytes, other: bytes) -> bool:
    """Whether two files say the same: the digest is of the records, so a header may have other spaces."""
    (first, _, rest), (second, _, others) = one.partition(b"\n"), other.partition(b"\n")
    try:
        return rest == others and json.loads(first) == json.loads(second)
    except ValueError:
        return False


def check_bytes(lines, tmp_path_factory, data):
    """A few bytes of a file are others, which its digest shows."""
    path: Path = tmp_path_factory.getbasetemp() / "bytes" / "a.jsonl"
    path.parent.mkdir(exist_ok=True)
    write(path, lines[:3], {})
    held = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(held) - 1))
        held[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    if same(bytes(held), path.read_bytes()):
        return
    path.write_bytes(held)
    written, (sentence,) = merged(path, path.parent / "results")
    assert written == [] and sentence.startswith("a.jsonl: ") and not HIDDEN.search(sentence)
