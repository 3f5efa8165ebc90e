"""Records survive the disk, crashes and each other: every good line is read, every bad one is named."""

import fcntl
import getpass
import json
import os
import re
import signal
import socket
import sys
import threading

import msgspec
import pytest
from fresh import last_line, python
from msgspec import NODEFAULT, structs

from twins.machine import identity
from twins.records import bounds, store
from twins.records.export_types import Compressed, Conversion, Coverage
from twins.records.record_types import (
    KINDS,
    Accuracy,
    Breadth,
    Energy,
    Exchange,
    Finding,
    Fit,
    Footprint,
    Gate,
    Machine,
    Memory,
    Precision,
    Sharing,
    ThreeRuntimes,
    Timing,
    Traffic,
    Work,
)
from twins.records.store import Book, Found, Record

HERE = Machine(
    id="chip-8gb",
    chip="Chip",
    gpu="",
    cores=2,
    memory_gb=8,
    system="System 1",
    python="3.11.0",
    versions={"mlx": "0.32.4", "torch": "2.13.0"},
    device="CPU",
    blas="libtorch_cpu.so",
    threads=1,
    compiler="none",
    power="mains",
)
CASE = {"twin": "lm", "batch": 4}
COMMITTED = store.ROOT / "data" / "results"
WORK = {"twin": "lm", "case": {}, "flops": 7}
BODIES = [
    HERE,
    Timing("training step", CASE, [{"arms": {"MLX": {"first": 1.0, "wall": [0.1], "cpu": [0.1]}}}]),
    Gate("lm", CASE, False, [{"name": "outputs", "value": None, "passed": False}], {"MLX": [1.5, None]}),
    Fit("lm", CASE, "stdlib", "sha", None, {"MLX": [2.0, 1], "PyTorch": [2.0, 1.0]}, {"MLX": 1.5}),
    Fit("lm", CASE, "markov", "sha", 1.0331, {"MLX": [2.0]}, {"MLX": 1.1}),
    Accuracy("lm", CASE, "digits", "sha", {"MLX": 9, "PyTorch": 8}, 2, 10),
    Work("lm", CASE, 10**13),
    Memory("lm", CASE, "MLX eager", 2**33, None, "nothing"),
    Memory("lm", CASE, "MLX eager", 0, 5, "mx.get_peak_memory"),
    Footprint("Llama", {"heading": "LoRA"}, "MLX", 2**33, None, ""),
    Footprint("Llama", {"heading": "LoRA"}, "MLX", 7, 8, "mx.get_peak_memory"),
    Sharing("NumPy → MLX, mx.array", 4096, False, None, 4096),
    Energy("token", CASE, "MLX eager", 0.25, "a meter"),
    Conversion("lm", "MLX direct", CASE, {"save": 0.1}, 10, 5, 1e-6, True, "passes", "", "", []),
    Conversion("lm", "PyTorch, trace", CASE, {}, None, None, None, None, "", "trace", "no", ["deprecated"]),
    Coverage("MLX direct", "layers", CASE, {"right": 3, "refused": 1}, {"no lowering": 1}),
    Compressed("lm", "palettization", "4 bit", 10, 8, "perplexity", 12.5, 100, 1e-2, "passes"),
    Breadth("MLX", "layers", 100, ["LPPool1d"]),
    Finding("missing step", "largest change of a weight", 0.0, 0.001, True),
    Traffic("transformer_lm", {"batch": 4}, 10, 20),
    Precision("MLX", "as shipped", 1024, 1e-7, 1e-6),
    Exchange("MLX", "ring", 2, 4096, True, [0.001], [], "no messages"),
    ThreeRuntimes("GPT", {"precision": "fp16"}, {"interpreter against MLX": None}, 5e-3, "not finite"),
]


def record(body: object = HERE, **changes: object) -> Record:
    header = Record(
        schema=store.SCHEMA,
        kind=type(body).__name__.lower(),
        machine=HERE.id,
        device=HERE.device,
        versions=HERE.versions,
        notebook="01_machine",
        profile="quick",
        run="2026-01-01T00:00:00.000000Z",
        body=body,
    )
    return structs.replace(header, **changes)


def line(**changes: object) -> str:
    return json.dumps(msgspec.to_builtins(record(Work("lm", CASE, 7))) | changes)


# --- writing and reading ---------------------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_every_kind_comes_back(tmp_path, body):
    path = tmp_path / HERE.id / "x.jsonl"
    store.append(path, [record(body)])
    assert store.read_file(path) == Found([record(body)], [])


def test_every_kind_is_tried():
    assert {type(body) for body in BODIES} == set(KINDS.values())


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "Input data was truncated"),
        ("", "Input data was truncated"),
        (line()[:-40], "Input data was truncated"),
        (line() + "}", r"JSON is malformed: trailing characters \(byte \d+\)"),
        ("[1]", "Expected `object`, got `array`"),
        (line(schema=99), "schema version 99; this version of twins reads 1"),
        (line(schema=True), r"Expected `int`, got `bool` - at `\$\.schema`"),
        ('{"kind": "work"}', "Object missing required field `schema`"),
        (line(kind="guess"), "kind 'guess'; known: accuracy, breadth, compressed, conversion, coverage"),
        (line(kind=["work"]), r"Expected `str`, got `array` - at `\$\.kind`"),
        (line(device=None), r"Expected `str`, got `null` - at `\$\.device`"),
        (line(versions={"mlx": 1}), r"Expected `str`, got `int` - at `\$\.versions\[\.\.\.\]`"),
        (line(host="name"), "Object contains unknown field `host`"),
        (line(body=None), r"Expected `object`, got `null` - at `\$\.body`"),
        (line(body={"twin": "lm", "case": {}}), r"Object missing required field `flops` - at `\$\.body`"),
        (line(body=WORK | {"flops": 7.5}), r"Expected `int`, got `float` - at `\$\.body\.flops`"),
        (line(body=WORK | {"flops": 7.0}), r"Expected `int`, got `float` - at `\$\.body\.flops`"),
        (line(body=WORK | {"flops": "7"}), r"Expected `int`, got `str` - at `\$\.body\.flops`"),
        (line(body=WORK | {"flops": True}), r"Expected `int`, got `bool` - at `\$\.body\.flops`"),
        (line(body=WORK | {"case": []}), r"Expected `object`, got `array` - at `\$\.body\.case`"),
        (line(body=WORK | {"more": 1}), r"Object contains unknown field `more` - at `\$\.body`"),
        (line(kind="fit"), r"Object contains unknown field `flops` - at `\$\.body`"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_kept(tmp_path, bad, why):
    path = tmp_path / HERE.id / "x.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join([line(), bad, line(), ""]))
    found = store.read_file(path)
    assert found.records == [record(Work("lm", CASE, 7))] * 2
    assert len(found.problems) == 1
    assert re.match(rf"chip-8gb/x\.jsonl, line 2: {why}", found.problems[0])


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        (
            Gate,
            "losses",
            {"MLX": [1.0, "x"]},
            "Expected `float | null`, got `str` - at `$.body.losses[...][1]`",
        ),
        (Gate, "passed", 1, "Expected `bool`, got `int` - at `$.body.passed`"),
        (Fit, "entropy", "low", "Expected `float | null`, got `str` - at `$.body.entropy`"),
        (Fit, "held_out", {"MLX": None}, "Expected `float`, got `null` - at `$.body.held_out[...]`"),
        (Fit, "losses", {"MLX": [True]}, "Expected `float`, got `bool` - at `$.body.losses[...][0]`"),
        (Memory, "allocator", 1.5, "Expected `int | null`, got `float` - at `$.body.allocator`"),
        (Timing, "runs", {"arms": 1}, "Expected `array`, got `object` - at `$.body.runs`"),
        (Timing, "runs", [{}, 1], "Expected `object`, got `int` - at `$.body.runs[1]`"),
    ],
)
def test_a_wrong_type_deep_inside_is_named(kind, name, value, why):
    body = next(each for each in BODIES if isinstance(each, kind))
    values = msgspec.to_builtins(record(body))
    values["body"][name] = value
    with pytest.raises(ValueError) as raised:
        store.parse(json.dumps(values))
    assert str(raised.value) == why


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("NaN", "JSON is malformed: invalid character"),
        ("-Infinity", "JSON is malformed: invalid character"),
        ("1e999", "Number out of range - at `$.body.case[...]`"),
        ("-1e999", "Number out of range - at `$.body.case[...]`"),
        ("9" * 5000, "Integer value out of range - at `$.body.case[...]`"),
        ("01", "JSON is malformed: invalid number"),
        ("'x'", "JSON is malformed: invalid character"),
        ("1, }", "JSON is malformed: trailing comma in object"),
        (r'"\ud800 and more"', "JSON is malformed: unexpected end of hex escape"),
        (r'"\udc00 and more"', "JSON is malformed: invalid utf-16 surrogate pair"),
        ('"\t"', "JSON is malformed: invalid character"),
        ("[" * 100_000 + "]" * 100_000, "maximum recursion depth exceeded while deserializing an object"),
        ('{"x":' * 100_000 + "1" + "}" * 100_000, "maximum recursion depth exceeded"),
    ],
    ids=lambda text: text[:20],
)
def test_values_that_json_or_a_computer_cannot_hold_are_refused(case, why):
    good = store.json_line(record(Work("lm", {"x": "HERE"}, 7)))
    with pytest.raises(ValueError) as raised:
        store.parse(good.replace('"HERE"', case))
    assert str(raised.value).startswith(why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1e999", "Number out of range - at `$.body.losses[...][0]`"),
        ("1" + "0" * 400, "Number out of range - at `$.body.losses[...][0]`"),
        ('"NaN"', "Expected `float`, got `str` - at `$.body.losses[...][0]`"),
        ("true", "Expected `float`, got `bool` - at `$.body.losses[...][0]`"),
    ],
)
def test_a_loss_is_a_finite_number(text, why):
    body = Fit("lm", CASE, "stdlib", "sha", None, {"MLX": [0.125]}, {})
    with pytest.raises(ValueError) as raised:
        store.parse(store.json_line(record(body)).replace("0.125", text))
    assert str(raised.value) == why


def test_an_integer_is_a_number_and_large_ones_are_kept():
    body = Fit("lm", {"seed": 2**70}, "stdlib", "sha", 1, {"MLX": [2, -0.0, 5e-324]}, {})
    read = store.parse(store.json_line(record(body))).body
    assert read == body and read.case["seed"] == 2**70
    assert [type(loss) for loss in read.losses["MLX"]] == [float] * 3


def test_of_a_key_that_is_there_twice_the_last_value_is_read_and_all_are_checked():
    """As Python's json reads it, so that no other reader of the file sees another record."""
    twice = line().replace('"flops": 7', '"flops": 7, "flops": 8')
    assert store.parse(twice).body.flops == json.loads(twice)["body"]["flops"] == 8
    with pytest.raises(ValueError, match="Expected `int`, got `str`"):
        store.parse(line().replace('"flops": 7', '"flops": "7", "flops": 8'))
    with pytest.raises(ValueError, match="schema version 2"):
        store.parse(line().replace('"schema": 1', '"schema": 1, "schema": 2'))
    with pytest.raises(ValueError, match="unknown field `twin`"):
        store.parse(line().replace('"kind": "work"', '"kind": "work", "kind": "machine"'))


@pytest.mark.parametrize("change", [{"a\nb\x1b[31m" + "x" * 10_000: 1}, {"kind": "a\nb\x1b" + "x" * 10_000}])
def test_a_refusal_is_one_short_sentence_whatever_the_line_says(change):
    with pytest.raises(ValueError) as raised:
        store.parse(line(**change))
    assert str(raised.value).isprintable() and len(str(raised.value)) <= store.LONGEST


def default(field: structs.FieldInfo) -> object:
    return field.default_factory() if field.default is NODEFAULT else field.default


def test_the_committed_records_are_read_as_json_reads_them_and_written_as_they_were():
    """Python's json is the other reader; what came later is written with its default."""
    lines = [each for path in sorted(COMMITTED.glob("*/*.jsonl")) for each in path.read_text().splitlines()]
    assert len(lines) > 400
    for each in lines:
        values = json.loads(each)
        kind = structs.fields(KINDS[values["kind"]])
        later = {field.name: default(field) for field in kind if field.name not in values["body"]}
        read = store.parse(each)
        assert store.json_line(read) == json.dumps(values | {"body": values["body"] | later})
        assert store.parse(store.json_line(read)) == read


def test_a_line_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(line().encode() + b"\n\xff\xfe{}\n" + line().encode() + b"\n")
    found = store.read_file(path)
    assert len(found.records) == 2
    assert "x.jsonl, line 2: 'utf-8' codec can't decode byte 0xff" in found.problems[0]


def test_a_clock_that_is_set_back_makes_no_run_older_than_the_last(tmp_path):
    ahead = "2999-12-31T23:59:59.000001Z"
    folder = tmp_path / HERE.id
    store.append(folder / "x.jsonl", [structs.replace(record(), run=ahead, notebook="x")])
    book = Book("x", HERE, tmp_path)
    book.add(Work("lm", CASE, 7))
    assert book.run == "2999-12-31T23:59:59.000002Z"
    newest = store.latest(store.read(tmp_path), HERE.id, "x")
    assert [r.body for r in newest.records] == [HERE, Work("lm", CASE, 7)]


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_cut_by_a_crash_is_named_until_records_are_added(tmp_path, cut):
    path = tmp_path / "x.jsonl"
    store.append(path, [record(), record()])
    path.write_bytes(path.read_bytes()[:-cut])
    whole = [HERE] * (2 if cut == 1 else 1)  # only its end is missing
    found = store.read_file(path)
    assert [r.body for r in found.records] == whole
    assert [p.partition(", ")[2] for p in found.problems] == ["line 2: Input data was truncated"] * (cut > 1)
    store.append(path, [record(Work("lm", CASE, 3))])
    assert store.read_file(path) == Found([*map(record, whole), record(Work("lm", CASE, 3))], [])


def test_what_json_cannot_hold_is_not_written(tmp_path):
    path = tmp_path / "x.jsonl"
    store.append(path, [record()])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.append(path, [record(), record(Fit("lm", CASE, "d", "s", float("nan"), {}, {}))])
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.append(path, [record(Work("lm", {"deep": [{"inside": float("-inf")}]}, 1))])
    assert path.read_bytes() == before


FULL = """
import resource, signal
from pathlib import Path
from twins.records import store
path = Path(PATH)
kept = store.read_file(path).records
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + ROOM, resource.RLIM_INFINITY))
store.append(path, kept * 50)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit on the size of files")
@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, room):
    path = tmp_path / "x.jsonl"
    store.append(path, [record(), record(Work("lm", CASE, 3))])
    before = path.read_bytes()
    said = last_line(python(FULL.replace("PATH", repr(str(path))).replace("ROOM", str(room))))
    assert said == f"OSError: [Errno 27] File too large; no record was added: '{path}'"
    assert path.read_bytes() == before
    assert store.read_file(path) == Found([record(), record(Work("lm", CASE, 3))], [])


def test_one_that_adds_waits_for_another(tmp_path):
    """A failed append cuts a file back to the size it found, which may hold nothing of another's by then."""
    path = tmp_path / "x.jsonl"
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=store.append, args=(path, [record()]))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive() and path.read_bytes() == b""
        other.write(f"{line()}\n".encode())
    waiting.join()
    assert store.read_file(path) == Found([record(Work("lm", CASE, 7)), record()], [])


BROKEN = {
    "a torn last line": (line()[:-20].encode(), 1),
    "NUL": (b"\0" * 50 + line().encode(), 1),
    "a byte order mark": (b"\xef\xbb\xbf" + line().encode(), 0),
    "CRLF": (line().encode() + b"\r", 0),
    "nothing": (b"", 1),
    "NaN": (line().replace('"flops": 7', '"flops": NaN').encode(), 1),
    "infinity": (line().replace('"flops": 7', '"flops": -Infinity').encode(), 1),
    "1e400": (line().replace('"batch": 4', '"batch": 1e400').encode(), 1),
    "10**400": (line().replace('"batch": 4', f'"batch": {10**400}').encode(), 1),
    "deep lists": (b"[" * 100_000, 1),
    "deep dictionaries": (b'{"a":' * 100_000, 1),
    "a deep case": (line().replace('"batch": 4', f'"batch": {"[" * 9}{"]" * 9}').encode(), 1),
    "an unknown kind": (line().replace('"work"', '"<b>"').encode(), 1),
    "an unknown version": (line().replace('"schema": 1', '"schema": 9').encode(), 1),
    "markup": (line().replace('"lm"', '"<b>"').encode(), 1),
    "a long name": (line().replace('"lm"', f'"{"a" * 201}"').encode(), 1),
    "a long line": (line().replace('"lm"', f'"{"a" * 9_000_000}"').encode(), 1),
}


@pytest.mark.parametrize(("bad", "named"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named_and_the_rest_is_kept(tmp_path, bad, named):
    path = tmp_path / "x.jsonl"
    good = line().encode()
    path.write_bytes(b"\n".join([bad, good, good, b""]))
    found = store.read_file(path)
    assert len(found.records) == 3 - bool(named) and len(found.problems) == named
    assert all(re.match(r".*x\.jsonl, line \d: ", each) and each.isprintable() for each in found.problems)
    assert all(len(each) <= store.LONGEST + 100 for each in found.problems)


def test_a_file_of_nothing_but_bad_lines_is_read_in_bounds(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"{}\n" * 10_000)
    assert len(store.read_file(path).problems) == store.NAMED + 1
    assert store.read_file(path).problems[-1].endswith("x.jsonl: 9980 more lines are no records")
    monkeypatch.setattr(bounds, "FILE", 1000)
    path.write_bytes(f"{line()}\n".encode() * 100)
    found = store.read_file(path)
    assert 0 < len(found.records) < 10 and len(found.problems) == 1


def test_a_link_and_a_pipe_are_no_records(tmp_path):
    store.append(tmp_path / "a.jsonl", [record()])
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    os.mkfifo(tmp_path / "c.jsonl")
    for name in ("b", "c"):
        found = store.read_file(tmp_path / f"{name}.jsonl")
        assert found.records == [] and len(found.problems) == 1


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    book = Book("02_transformer_lm", HERE, tmp_path)
    with pytest.raises(ValueError, match="a record of kind work is not written: Expected a name of letters"):
        book.add(Work("<b>", CASE, 1))
    assert len(store.read_file(book.path).records) == 1


# --- choosing --------------------------------------------------------------------------------------


def test_a_folder_is_read_by_machine_and_notebook(tmp_path):
    store.append(tmp_path / "a" / "02.jsonl", [record(machine="a")])
    store.append(tmp_path / "b" / "01.jsonl", [record(machine="b")])
    (tmp_path / "b" / "01.jsonl").open("a").write("{}\n")
    found = store.read(tmp_path)
    assert [r.machine for r in found.records] == ["a", "b"]
    assert found.problems == ["b/01.jsonl, line 2: Object missing required field `schema`"]
    assert store.read(tmp_path / "nowhere") == Found([], [])


def test_bodies_are_chosen_by_kind_and_field():
    work = [Work(twin, CASE, 1) for twin in ("lm", "vit", "lm")]
    found = Found([record(), *map(record, work)], [])
    assert found.bodies(Machine) == [HERE]
    assert found.bodies(Work, twin="lm") == [work[0], work[2]]
    assert found.bodies(Work, twin="lm", flops=2) == []


def test_the_latest_run_of_a_notebook_on_a_machine():
    runs = [
        record(run="2026-01-02", profile="quick"),
        record(run="2026-01-03", profile="interactive"),
        record(Work("lm", CASE, 1), run="2026-01-02", profile="quick"),
        record(run="2026-01-01", profile="full"),
        record(run="2026-01-09", notebook="02_transformer_lm"),
        record(run="2026-01-09", machine="other"),
    ]
    found = Found(runs, ["a problem"])
    assert store.latest(found, HERE.id, "01_machine").records == [runs[1]]
    assert store.latest(found, HERE.id, "01_machine", ("quick", "full")).records == [runs[0], runs[2]]
    assert store.latest(found, HERE.id, "01_machine", ("full",)).records == [runs[3]]
    assert store.latest(found, HERE.id, "03_bert").records == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"machine": "other-16gb"}, 'different machine are not compared: "chip-8gb"; "other-16gb"'),
        ({"device": "Apple GPU"}, 'different device are not compared: "Apple GPU"; "CPU"'),
        ({"versions": {"mlx": "0.33.0", "torch": "2.13.0"}}, "different versions are not compared: .*0.33.0"),
    ],
)
def test_records_that_differ_are_not_compared(change, what):
    records = [record(), record(**change)]
    with pytest.raises(ValueError, match=what):
        store.comparable(records)
    assert store.comparable(records, mixed=True) == records
    assert store.comparable(records[:1] * 2) == records[:1] * 2
    assert store.comparable([]) == []


# --- a notebook's book -----------------------------------------------------------------------------


def test_a_book_writes_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINS_PROFILE", "smoke")
    book = Book("02_transformer_lm", HERE, tmp_path)
    path = tmp_path / HERE.id / "02_transformer_lm.jsonl"
    assert [r.body for r in store.read_file(path).records] == [HERE]
    assert book.add(BODIES[5]) is BODIES[5]
    assert len(store.read_file(path).records) == 2
    made = book.extend(store.read_file(path).records[n].body for n in (0, 1, 0))  # read as it is written
    assert made == [HERE, BODIES[5], HERE]
    read = store.read_file(path).records
    assert read == book.records
    assert {(r.profile, r.notebook, r.machine, r.run) for r in read} == {
        ("smoke", "02_transformer_lm", HERE.id, book.run)
    }


def test_a_book_without_a_profile_is_interactive(tmp_path, monkeypatch):
    monkeypatch.delenv("TWINS_PROFILE", raising=False)
    monkeypatch.setenv("TWINS_RESULTS", str(tmp_path))
    book = Book("01_machine", HERE)
    assert book.path == tmp_path / HERE.id / "01_machine.jsonl"
    assert book.records[0].profile == "interactive"
    monkeypatch.delenv("TWINS_RESULTS")
    assert store.default_folder() == store.ROOT / "build" / "interactive" / "results"


def test_opened_by_hand_a_notebook_reads_the_evidence_too(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    for place in (("data", "results"), ("build", "interactive", "results")):
        store.append(tmp_path.joinpath(*place, "m", f"{place[0]}.jsonl"), [record()])
    monkeypatch.delenv("TWINS_RESULTS", raising=False)
    assert len(store.read().records) == 2
    monkeypatch.setenv("TWINS_RESULTS", str(tmp_path / "data" / "results"))
    assert len(store.read().records) == 1


def test_later_runs_sort_later(tmp_path):
    runs = [Book("01_machine", HERE, tmp_path).run for _ in range(3)]
    assert runs == sorted(set(runs))


def test_nothing_written_names_the_user_the_host_or_a_folder(tmp_path):
    written = Book("01_machine", identity.fingerprint(), tmp_path).path.read_text()
    for private in (socket.gethostname(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(private)}\b", written)
    assert str(store.ROOT) not in written
    assert sys.prefix not in written
    assert '"/' not in written


def test_a_field_that_came_later_may_be_missing_and_others_may_not():
    body = {k: v for k, v in msgspec.to_builtins(HERE).items() if k not in ("gpu_cores", "mlx_wheel")}
    header = {"schema": 1, "kind": "machine", "machine": HERE.id, "device": "CPU", "versions": {}}
    header |= {"notebook": "01_machine", "profile": "quick", "run": "2026-01-01"}
    read = store.parse(json.dumps(header | {"body": body})).body
    assert (read.gpu_cores, read.mlx_wheel) == (None, "")
    with pytest.raises(ValueError, match="missing required field `chip`"):
        store.parse(json.dumps(header | {"body": {k: v for k, v in body.items() if k != "chip"}}))
    with pytest.raises(ValueError, match=r"Expected `int \| null`, got `str` - at `\$\.body\.gpu_cores`"):
        store.parse(json.dumps(header | {"body": body | {"gpu_cores": "ten"}}))
