"""Sharing a machine's records and merging those of others: what is written, and what is refused."""

import dataclasses
import gzip
import hashlib
import json
import os
import re

import pytest
import records
from msgspec.structs import asdict, replace

from twins.evidence import summary
from twins.machine import identity
from twins.records import leaks, store
from twins.records.export_types import Compressed
from twins.records.record_types import (
    Accuracy,
    Breadth,
    Energy,
    Machine,
    Memory,
    Precision,
    Timing,
    Traffic,
    Work,
)
from twins.records.store import Record
from twins.series import sharing

RUN = "2026-05-01T12:00:00.000001Z"
SIZES = {"batch": 4, "context": 16}


def record(body, run=RUN, machine=records.MACHINE.id, notebook="02_transformer_lm"):
    kind = type(body).__name__.lower()
    return Record(1, kind, machine, "CPU", records.MACHINE.versions, notebook, "quick", run, body)


def step(mlx, torch, **more):
    """A training step whose case has what the pages read."""
    made = records.step(4, mlx, torch, **more)
    return replace(made, case=made.case | SIZES)


def good():
    """A machine, a probe, a step, its work and its accuracy: all possible."""
    bodies = [records.MACHINE, records.product(1024, "float32", 0.1, 0.1), step(0.01, 0.02)]
    bodies += [Work("transformer_lm", SIZES, 10**6), Accuracy("bert", {}, "d", "x", {"MLX": 5}, 3, 9)]
    return [record(body) for body in bodies]


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    """Data, hence the machine's tag, in a folder of the test."""
    monkeypatch.setenv("TWINS_DATA", str(tmp_path / "raw"))


def shared(folder, kept=None, name="a.jsonl", machine="chip-8gb-abcdef"):
    """A shared file whose records were not checked; its header is right."""
    kept = [sharing.renamed(r, machine) for r in (good() if kept is None else kept)]
    text = "".join(json.dumps(r, default=asdict) + "\n" for r in kept)
    digest = hashlib.sha256(text.encode()).hexdigest()
    header = sharing.Header(sharing.FORMAT, 1, machine, len(kept), digest)
    path = folder / name
    path.write_text(store.json_line(header) + "\n" + text)
    return path


def edited(path, old, new):
    """A shared file whose last line was changed by hand; its header is right again."""
    header, *lines = path.read_text().splitlines()
    assert old in lines[-1]
    lines[-1] = lines[-1].replace(old, new)
    text = "\n".join(lines) + "\n"
    header = json.loads(header) | {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    path.write_text(json.dumps(header) + "\n" + text)
    return path


def refusal(folder, path):
    """The one sentence that refuses a file; nothing was written."""
    written, refused = sharing.merge([path], folder / "results")
    assert written == [] and len(refused) == 1 and not (folder / "results").exists()
    assert refused[0].startswith(path.name)
    return refused[0]


def test_what_one_shares_another_reads(tmp_path):
    store.append(tmp_path / "mine" / "chip-8gb" / "02_transformer_lm.jsonl", good())
    path = sharing.share("chip-8gb", folder=tmp_path / "mine", target=tmp_path / "out")
    written, refused = sharing.merge([path], tmp_path / "theirs")
    assert refused == [] and len(written) == 1
    found = store.read(tmp_path / "theirs")
    assert found.problems == [] and len(found.records) == len(good())
    machine = f"chip-8gb-{identity.tag()}"
    assert {r.machine for r in found.records} == {machine} == {written[0].parent.name}
    assert found.bodies(Machine)[0].id == machine
    assert found.bodies(Work) == [good()[3].body]


def test_two_machines_of_one_model_are_kept_apart(tmp_path, monkeypatch):
    store.append(tmp_path / "one" / "chip-8gb" / "n.jsonl", good())
    later = [replace(r, run=RUN.replace("May", "Jun").replace("-05-", "-06-")) for r in good()]
    store.append(tmp_path / "two" / "chip-8gb" / "n.jsonl", later)
    paths = []
    for folder in ("one", "two"):
        monkeypatch.setenv("TWINS_DATA", str(tmp_path / folder / "raw"))
        paths.append(sharing.share("chip-8gb", folder=tmp_path / folder, target=tmp_path / "out"))
    written, refused = sharing.merge(paths, tmp_path / "all")
    assert refused == [] and len({path.parent for path in written}) == 2


def test_only_later_runs_when_asked(tmp_path):
    later = [replace(r, run="2026-06-01T12:00:00.000001Z") for r in good()]
    store.append(tmp_path / "chip-8gb" / "n.jsonl", good() + later)
    path = sharing.share("chip-8gb", since=RUN, folder=tmp_path, target=tmp_path / "out")
    assert {r.run for r in sharing.read(path)} == {later[0].run}
    with pytest.raises(ValueError, match="no record of chip-8gb since 2027"):
        sharing.share("chip-8gb", since="2027", folder=tmp_path, target=tmp_path / "out")


@pytest.mark.parametrize("leak", ["/Users/somebody/x.py", "computer-of-mine", "somebody-here"])
def test_names_of_user_host_and_folder_are_not_shared(tmp_path, monkeypatch, leak):
    monkeypatch.setattr(leaks.socket, "gethostname", lambda: "computer-of-mine")
    monkeypatch.setattr(leaks.getpass, "getuser", lambda: "somebody-here")
    told = record(Energy("step", {"note": f"read from {leak}"}, "MLX", 1.0, "counter"))
    store.append(tmp_path / "chip-8gb" / "n.jsonl", [*good(), told])
    with pytest.raises(ValueError, match="not shared: it names"):
        sharing.share("chip-8gb", folder=tmp_path, target=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_user_named_as_everybody_is_no_leak(monkeypatch):
    monkeypatch.setattr(leaks.getpass, "getuser", lambda: "python")
    assert leaks.leaks("python 3.11") == []


def test_what_is_there_already_is_refused_under_any_name(tmp_path):
    first = shared(tmp_path)
    again = shared(tmp_path, name="b.jsonl", machine="chip-8gb-123456")
    written, refused = sharing.merge([first, first, again], tmp_path / "results")
    assert len(written) == 1 and len(refused) == 2
    assert all("already there, under chip-8gb-abcdef" in sentence for sentence in refused)
    assert len(store.read(tmp_path / "results").records) == len(good())


def test_a_refused_file_leaves_the_others_alone(tmp_path):
    bad = shared(tmp_path, [*good(), record(Work("t", {}, 0))], name="bad.jsonl", machine="chip-9gb-abcdef")
    written, refused = sharing.merge([bad, shared(tmp_path)], tmp_path / "results")
    assert len(written) == 1 and refused == ["bad.jsonl: line 7: work.flops is 0, it must be at least 1"]
    assert [path.name for path in (tmp_path / "results").glob("*/")] == ["chip-8gb-abcdef"]


def test_an_edit_is_noticed(tmp_path):
    path = shared(tmp_path)
    path.write_text(path.read_text().replace("0.01", "0.02", 1))
    assert "edited" in refusal(tmp_path, path)


def test_a_missing_line_is_noticed(tmp_path):
    path = shared(tmp_path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "holds 4 records, its first line says 5" in refusal(tmp_path, path)


HEADER = '{"format": "twins records", "schema": 1, "machine": "m", "records": 0, "sha256": "x"}\n'
NO_HEADERS = ["", "[]\n", "{}\n", "no JSON\n", '{"format": "x"}\n', "[" * 100_000, HEADER.replace("0", '"0"')]
NO_HEADERS += [HEADER.replace("0", "false"), HEADER.replace("0", '0, "more": 1'), HEADER.replace('"m"', "1")]


@pytest.mark.parametrize("text", NO_HEADERS, ids=lambda text: text[:90])
def test_what_is_no_shared_file_is_refused(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    assert "line 1: not the header" in refusal(tmp_path, path)


def test_bytes_that_are_no_text_and_files_that_are_missing_are_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    assert "No such file" in refusal(tmp_path, path)
    path.write_bytes(b"\xff\xfe")
    assert "decode" in refusal(tmp_path, path)


def test_another_schema_is_refused(tmp_path):
    path = shared(tmp_path)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2', 1))
    assert "reads 'twins records' of schema 1" in refusal(tmp_path, path)
    other = shared(tmp_path, [replace(good()[0], schema=2), *good()])
    assert "line 2: schema version 2" in refusal(tmp_path, other)


@pytest.mark.parametrize("machine", ["../x", "a/b", ".", "", "A b", "x" + "/.." * 3])
def test_a_machine_that_is_no_folder_name_is_refused(tmp_path, machine):
    assert "a plain folder name" in refusal(tmp_path, shared(tmp_path, machine=machine))


@pytest.mark.parametrize("machine", ["chip-8gb", "chip-8gb-ABCDEF", "chip-8gb-abcde", "a" * 200])
def test_a_file_cannot_speak_for_a_machine_that_runs_here(tmp_path, machine):
    refused = refusal(tmp_path, shared(tmp_path, machine=machine))
    assert "six hexadecimal digits" in refused or "line 1: not the header" in refused


def test_a_machine_with_records_of_its_own_is_left_alone(tmp_path):
    later = [replace(r, run=RUN.replace("-05-", "-04-"), machine="chip-8gb-abcdef") for r in good()]
    store.append(tmp_path / "results" / "chip-8gb-abcdef" / "02_transformer_lm.jsonl", later)
    written, (sentence,) = sharing.merge([shared(tmp_path)], tmp_path / "results")
    assert written == [] and "has records of its own here" in sentence


def test_what_is_there_is_never_written_over(tmp_path):
    (path,), _ = sharing.merge([shared(tmp_path)], tmp_path / "other")
    target = tmp_path / "results" / path.parent.name / path.name
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    written, (sentence,) = sharing.merge([shared(tmp_path)], tmp_path / "results")
    assert written == [] and "is there already" in sentence and target.read_text() == "mine"


def test_links_and_what_is_compressed_or_no_file_are_refused(tmp_path):
    path = shared(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(path)
    assert "it is a link" in refusal(tmp_path, tmp_path / "link.jsonl")
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(path.read_bytes()))
    assert "it is compressed" in refusal(tmp_path, tmp_path / "packed.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "it is no file" in refusal(tmp_path, tmp_path / "pipe.jsonl")
    assert "it is no file" in refusal(tmp_path, tmp_path)


def test_a_file_that_is_too_large_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    with (tmp_path / "x.jsonl").open("wb") as file:
        file.truncate(10**12)  # without a block on the disk
    assert "bytes, at most 50000000 are read" in refusal(tmp_path, tmp_path / "x.jsonl")


def test_records_that_the_pages_cannot_show_are_refused(tmp_path):
    odd = replace(records.step(4, 0.01, 0.02), case={"twin": "transformer_lm", "batch": ["x"]})
    sentence = refusal(tmp_path, shared(tmp_path, [*good()[:2], record(odd)]))
    assert "cannot be shown" in sentence


@pytest.mark.parametrize("name", ["twin", "chip", "subject", "arm", "key"])
def test_markup_in_a_name_is_refused(tmp_path, name):
    bad = "<img src=x onerror=a>"
    made = {
        "twin": Work(bad, {}, 1),
        "chip": replace(records.MACHINE, chip=bad),
        "subject": replace(timing(), subject=bad),
        "arm": records.timed("step", {}, {bad: 1.0}),
        "key": Work("t", {bad: 1}, 1),
    }
    assert "a name of letters, digits" in refusal(tmp_path, shared(tmp_path, [*good(), record(made[name])]))


def test_records_of_two_machines_in_a_file_are_refused(tmp_path):
    path = edited(shared(tmp_path), "chip-8gb-abcdef", "chip-9gb")
    assert "line 6: machine is 'chip-9gb'" in refusal(tmp_path, path)


HOSTILE = [
    ('"total": 9', '"total": NaN', "line 6: JSON is malformed: invalid character"),
    ('"total": 9', '"total": "9"', "line 6: Expected `int`, got `str` - at `$.body.total`"),
    ('"total": 9', '"total": true', "line 6: Expected `int`, got `bool` - at `$.body.total`"),
    ('"total": 9', '"total": 9.0', "line 6: Expected `int`, got `float` - at `$.body.total`"),
    ('"total": 9', '"total": 9, "more": 1', "line 6: Object contains unknown field `more` - at `$.body`"),
    (', "total": 9', "", "line 6: Object missing required field `total` - at `$.body`"),
    ('"case": {}', '"case": {"x": 1e999}', "line 6: Number out of range - at `$.body.case[...]`"),
    ('"case": {}', '"case": {"x": "\\ud800, "}', "line 6: JSON is malformed"),
    ('"case": {}', f'"case": {{"x": {"9" * 5000}}}', "line 6: Integer value out of range"),
]


@pytest.mark.parametrize(("old", "new", "why"), HOSTILE, ids=[why for *_, why in HOSTILE])
def test_a_line_that_is_no_record_is_refused_by_number_and_path(tmp_path, old, new, why):
    assert f"a.jsonl: {why}" in refusal(tmp_path, edited(shared(tmp_path), old, new))


@pytest.mark.parametrize("depth", [6, 8, 100, 950, 100_000])
def test_deep_values_are_refused(tmp_path, depth):
    path = edited(shared(tmp_path), '"case": {}', f'"case": {{"x": {"[" * depth + "]" * depth}}}')
    written, refused = sharing.merge([path], tmp_path / "results")
    assert len(written) == (depth <= 7) and len(refused) == (depth > 7)
    assert all(re.match(r"a.jsonl: line 6: (nested deeper than 8|maximum recursion)", r) for r in refused)


@pytest.mark.parametrize("name", ["first", "n", "flops"])
def test_integers_that_no_float_holds_are_refused(tmp_path, name):
    huge = 10**400
    made = {"first": timing(first=huge), "flops": Work("transformer_lm", SIZES, huge)}
    made["n"] = records.timed("matmul", {"n": huge, "dtype": "float32"}, {"MLX": 1.0})
    kept = [r for r in good() if r.kind != "work"]
    sentence = refusal(tmp_path, shared(tmp_path, [*kept, record(made[name])]))
    assert "an integer above" in sentence or "Expected `int` <=" in sentence


def test_a_product_whose_size_is_no_number_is_refused(tmp_path):
    odd = records.timed("matmul", {"n": "1024", "dtype": "float32"}, {"MLX": 1.0})
    assert "line 7: timing.case.n is '1024', it must be int" in refusal(
        tmp_path, shared(tmp_path, [*good(), record(odd)])
    )


def timing(**change):
    """A timing whose first run's first variant is changed."""
    body = records.product(1024, "float32", 0.1, 0.1)
    runs = json.loads(json.dumps(body.runs))
    runs[0]["arms"]["MLX"] |= change
    return replace(body, runs=runs)


def kept(calls):
    """A timing that says of its first run how many calls of a round it keeps."""
    body = timing()
    return replace(body, runs=[body.runs[0] | {"kept": calls}, *body.runs[1:]])


SMALL = Compressed("m", "f", "s", 100, 90, "accuracy", 0.5, 10, 0.1, "line")
IMPOSSIBLE = [
    (timing(wall=[-1.0] * 5), "times from -1 to"),
    (timing(wall=[0.0] * 5), "must be above 0"),
    (timing(first=float("nan")), "JSON is malformed: invalid character"),
    (timing(wall=[float("inf")] * 5), "JSON is malformed: invalid character"),
    (timing(wall=[]), "0 wall and 5 CPU"),
    (timing(cpu=[-1.0] * 5), "CPU time"),
    (timing(odd=1), "not runs of a measurement"),
    (kept(2), "5 times: no rounds of 2"),
    (kept(0), "5 times: no rounds of 0"),
    (kept("1"), "5 times: no rounds of '1'"),
    (replace(timing(), runs=[]), "no sample"),
    (records.product(4096, "float16", 1e-9, 1e-9), "no chip does"),
    (records.timed("addition", {}, {"MLX": 1e-9}), "an addition at 2.0e+17 bytes/s; no memory does"),
    (
        records.timed("stream", {"numbers": 10**9}, {"MLX, copy": 1e-6}),
        "a kernel of STREAM at 8.0e+15 bytes/s",
    ),
    (records.timed("stream", {"numbers": "1"}, {"MLX, copy": 1.0}), "timing.case.numbers is '1'"),
    (Work("t", {}, 0), "flops is 0"),
    (Accuracy("t", {}, "d", "x", {"MLX": 10}, 3, 9), "right on 10 of 9"),
    (Memory("t", {}, "MLX", -1, None, "s"), "resident is -1"),
    (Energy("t", {}, "MLX", -0.5, "s"), "joules is -0.5"),
    (replace(SMALL, weights=101), "101 bytes of a package of 100"),
    (replace(SMALL, value=1.5), "above 1"),
    (replace(SMALL, size=-5), "size is -5"),
    (Breadth("MLX", "layers", 1, ["a", "b"]), "2 of 1"),
    (Traffic("t", {}, 10, 9), "9 bytes unfused are fewer"),
    (replace(records.MACHINE, cores=0), "cores is 0"),
    (records.fit(apart=-9.0), "below 0"),
]


@pytest.mark.parametrize(("body", "why"), IMPOSSIBLE, ids=[why for _, why in IMPOSSIBLE])
def test_what_cannot_be_is_refused_with_its_line(tmp_path, body, why):
    sentence = refusal(tmp_path, shared(tmp_path, [*good(), record(body)]))
    assert "line 7: " in sentence and why in sentence


@pytest.mark.parametrize("run", ["2199-01-01T00:00:00.000000Z", "1999-01-01T00:00:00.000000Z", "today"])
def test_a_date_that_cannot_be_is_refused(tmp_path, run):
    assert "line 2: run is" in refusal(tmp_path, shared(tmp_path, [replace(r, run=run) for r in good()]))


def test_a_step_above_the_machines_own_ceiling_is_refused(tmp_path):
    ceiling = 2 * 1024**3 / 0.1  # of the probe among the good records; the fastest step takes 0.01 s
    kept = [r for r in good() if r.kind != "work"]
    for share_of_it, passes in ((1.4, True), (1.6, False)):
        work = record(Work("transformer_lm", SIZES, int(share_of_it * ceiling * 0.01)))
        path = shared(tmp_path, [*kept, work])
        if passes:
            assert len(sharing.read(path)) == 5
        else:
            assert "this machine's ceiling" in refusal(tmp_path, path)


def test_the_same_samples_twice_are_refused(tmp_path):
    assert "the same samples as line 3" in refusal(tmp_path, shared(tmp_path, [*good(), good()[1]]))


def test_a_file_without_a_machine_is_refused(tmp_path):
    assert "what machine" in refusal(tmp_path, shared(tmp_path, good()[1:]))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = shared(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        sharing.merge([path], tmp_path / "results")
    assert list((tmp_path / "results").rglob("*.jsonl*")) == []


def test_the_committed_records_can_be_shared(tmp_path):
    for folder in sorted((store.ROOT / "data" / "results").glob("*/")):
        path = sharing.share(folder.name, target=tmp_path)
        assert len(sharing.read(path)) == sum(
            len(store.read_file(each).records) for each in folder.glob("*.jsonl")
        )


def test_a_macs_records_of_two_devices_are_shared_and_merged(tmp_path):
    """GPU cores, the wheel of MLX, the physical footprint and thermal pressure go there and come back."""
    mac = replace(records.MACHINE, id="apple-m5-10-core-gpu-24gb", chip="Apple M5", gpu_cores=10)
    mac = replace(mac, mlx_wheel="py3-none-macosx_26_0_arm64")
    memory = Memory("vit", {"batch": 4}, "MLX eager", 5, 3, "mx.get_peak_memory", "physical footprint")
    warm = dataclasses.replace(records.QUIET, pressure=1, low_power=False, swapped=None)
    made = []
    for device, hour in (("Apple GPU", 12), ("CPU", 13)):
        bodies = [replace(mac, device=device), memory, step(0.01, 0.02, conditions=warm)]
        run = f"2026-05-01T{hour}:00:00.000001Z"
        made += [replace(record(body, run=run, machine=mac.id), device=device) for body in bodies]
    store.append(tmp_path / "mine" / mac.id / "02_transformer_lm.jsonl", made)
    path = sharing.share(mac.id, folder=tmp_path / "mine", target=tmp_path / "out")
    written, refused = sharing.merge([path], tmp_path / "theirs")
    found = store.read(tmp_path / "theirs")
    assert (refused, found.problems, len(written)) == ([], [], 1)
    name = f"{mac.id}-{identity.tag()}"
    assert found.bodies(Machine) == [replace(mac, id=name, device=d) for d in ("Apple GPU", "CPU")]
    assert found.bodies(Memory) == [memory, memory]
    assert [r.device for r in found.records] == ["Apple GPU"] * 3 + ["CPU"] * 3
    assert found.bodies(Timing)[0].runs[0]["conditions"]["pressure"] == 1
    assert list(summary.machines(found)) == [name, f"{name} (CPU)"]


def test_an_error_below_zero_is_impossible(tmp_path):
    wrong = record(Precision("MLX", "as shipped", 64, -1e-7, 1e-6))
    path = shared(tmp_path, [*good(), wrong])
    assert "precision.product is -1e-07, it must be at least 0" in refusal(tmp_path, path)


def test_a_gpu_without_a_core_is_impossible(tmp_path):
    mac = replace(records.MACHINE, gpu_cores=0)
    path = shared(tmp_path, [record(mac)])
    assert "machine.gpu_cores is 0, it must be at least 1" in refusal(tmp_path, path)
