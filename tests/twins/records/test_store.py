"""Records survive the disk, crashes and each other: every good line is read, every bad one is named."""

import dataclasses
import getpass
import json
import re
import signal
import socket
import sys

import pytest
from fresh import last_line, python

from twins.machine import identity
from twins.records import store
from twins.records.store import (
    Accuracy,
    Book,
    Breadth,
    Compressed,
    Conversion,
    Coverage,
    Energy,
    Finding,
    Fit,
    Found,
    Gate,
    Machine,
    Memory,
    Precision,
    Record,
    Sharing,
    Timing,
    Traffic,
    Work,
)

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
    return dataclasses.replace(header, **changes)


def line(**changes: object) -> str:
    return json.dumps(dataclasses.asdict(record(Work("lm", CASE, 7))) | changes)


# --- writing and reading ---------------------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_every_kind_comes_back(tmp_path, body):
    path = tmp_path / HERE.id / "x.jsonl"
    store.append(path, [record(body)])
    assert store.read_file(path) == Found([record(body)], [])


def test_every_kind_is_tried():
    assert {type(body) for body in BODIES} == set(store.KINDS.values())


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", r"not JSON \(Expecting property name enclosed in double quotes at column 2\)"),
        ("", r"not JSON \(Expecting value at column 1\)"),
        (line()[:-40], "not JSON"),
        ("[1]", "a list, not an object"),
        (line(schema=99), "schema version 99; this version of twins reads 1"),
        (line(schema=True), "record.schema is True, it must be int"),
        ('{"kind": "work"}', "schema version None"),
        (line(kind="guess"), "kind 'guess'; known: machine, timing, gate, fit, accuracy"),
        (line(kind=["work"]), r"kind \['work'\]; known"),
        (line(device=None), "record.device is None, it must be str"),
        (line(versions={"mlx": 1}), r"record.versions is \{'mlx': 1\}, it must be dict\[str, str\]"),
        (line(host="name"), "record has fields that are missing or unknown: host"),
        (line(body=None), "work is NoneType, it must be an object"),
        (line(body={"twin": "lm", "case": {}}), "work has fields that are missing or unknown: flops"),
        (line(body={"twin": "lm", "case": {}, "flops": 7.5}), "work.flops is 7.5, it must be int"),
        (line(body={"twin": "lm", "case": [], "flops": 7}), r"work.case is \[\], it must be dict"),
        (line(body={"twin": "lm", "case": {}, "flops": 7, "more": 1}), "missing or unknown: more"),
        (line(kind="fit"), "fit has fields that are missing or unknown: dataset, digest, entropy, flops"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_kept(tmp_path, bad, why):
    path = tmp_path / HERE.id / "x.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join([line(), bad, line(), ""]))
    found = store.read_file(path)
    assert found.records == [record(Work("lm", CASE, 7))] * 2
    assert len(found.problems) == 1
    assert re.match(rf"chip-8gb/x\.jsonl, line 2: .*{why}", found.problems[0])


@pytest.mark.parametrize(
    ("kind", "name", "value", "wanted"),
    [
        (Gate, "losses", {"MLX": [1.0, "x"]}, "dict[str, list[float | None]]"),
        (Gate, "passed", 1, "bool"),
        (Fit, "entropy", "low", "float | None"),
        (Fit, "held_out", {"MLX": None}, "dict[str, float]"),
        (Fit, "losses", {"MLX": [True]}, "dict[str, list[float]]"),
        (Memory, "allocator", 1.5, "int | None"),
        (Timing, "runs", {"arms": 1}, "list[dict]"),
    ],
)
def test_a_wrong_type_deep_inside_is_named(kind, name, value, wanted):
    body = next(each for each in BODIES if isinstance(each, kind))
    values = dataclasses.asdict(record(body))
    values["body"][name] = value
    with pytest.raises(ValueError) as raised:
        store.parse(json.dumps(values))
    assert str(raised.value) == f"{kind.__name__.lower()}.{name} is {value!r}, it must be {wanted}"


def test_a_line_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(line().encode() + b"\n\xff\xfe{}\n" + line().encode() + b"\n")
    found = store.read_file(path)
    assert len(found.records) == 2
    assert "x.jsonl, line 2: 'utf-8' codec can't decode byte 0xff" in found.problems[0]


def test_a_line_cut_by_a_crash_spoils_none_but_itself(tmp_path):
    path = tmp_path / "x.jsonl"
    store.append(path, [record(), record()])
    path.write_bytes(path.read_bytes()[:-30])
    store.append(path, [record(Work("lm", CASE, 3))])
    found = store.read_file(path)
    assert [r.body for r in found.records] == [HERE, Work("lm", CASE, 3)]
    assert len(found.problems) == 1
    assert "x.jsonl, line 2: not JSON" in found.problems[0]
    assert path.read_bytes().count(b"\n") == 3


def test_what_json_cannot_hold_is_not_written(tmp_path):
    path = tmp_path / "x.jsonl"
    store.append(path, [record()])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.append(path, [record(), record(Fit("lm", CASE, "d", "s", float("nan"), {}, {}))])
    assert path.read_bytes() == before


FULL = """
import resource, signal
from pathlib import Path
from twins import results
path = Path(PATH)
kept = results.read_file(path).records
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + ROOM, resource.RLIM_INFINITY))
results.append(path, kept * 50)
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


# --- choosing --------------------------------------------------------------------------------------


def test_a_folder_is_read_by_machine_and_notebook(tmp_path):
    store.append(tmp_path / "a" / "02.jsonl", [record(machine="a")])
    store.append(tmp_path / "b" / "01.jsonl", [record(machine="b")])
    (tmp_path / "b" / "01.jsonl").open("a").write("{}\n")
    found = store.read(tmp_path)
    assert [r.machine for r in found.records] == ["a", "b"]
    assert found.problems == ["b/01.jsonl, line 2: schema version None; this version of twins reads 1"]
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
    body = {k: v for k, v in dataclasses.asdict(HERE).items() if k not in ("gpu_cores", "mlx_wheel")}
    header = {"schema": 1, "kind": "machine", "machine": HERE.id, "device": "CPU", "versions": {}}
    header |= {"notebook": "01_machine", "profile": "quick", "run": "2026-01-01"}
    read = store.parse(json.dumps(header | {"body": body})).body
    assert (read.gpu_cores, read.mlx_wheel) == (None, "")
    with pytest.raises(ValueError, match="missing or unknown: chip"):
        store.parse(json.dumps(header | {"body": {k: v for k, v in body.items() if k != "chip"}}))
    with pytest.raises(ValueError, match=r"machine.gpu_cores is 'ten', it must be int \| None"):
        store.parse(json.dumps(header | {"body": body | {"gpu_cores": "ten"}}))
