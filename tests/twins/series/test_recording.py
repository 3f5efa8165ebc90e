"""`make record`: what keeps a session from starting or being added, and what is said about one that is."""

from dataclasses import replace

import pytest
import records
from msgspec import structs

from twins.evidence.published import published_benchmarks
from twins.machine import identity
from twins.records import store
from twins.records.record_types import Gate, Work
from twins.records.store import Record
from twins.series import recording, runner

PAGES = ["01_machine", "02_transformer_lm"]
RUNS = ["2026-05-01T12:00:00.000001Z", "2026-05-01T12:01:00.000001Z"]
HOST = structs.replace(records.MACHINE, boot="2026-05-01T08:00Z", host="01ab9f")
MAC = structs.replace(HOST, chip="Apple M3 Max", device="Apple GPU", gpu_cores=40)


def record(body, page=1, machine=HOST, run=None, profile="record"):
    kind = type(body).__name__.lower()
    run = run or RUNS[page]
    return Record(1, kind, machine.id, machine.device, machine.versions, PAGES[page], profile, run, body)


def session(machine=HOST, mlx=0.01, torch=0.02, product=0.01, conditions=records.QUIET, passed=True):
    """A probe of 0.2 TFLOP/s, a gate and a step of 10^8 operations, of one machine."""
    check = {"name": "loss, eager", "value": 1.0, "limit": 0.1, "where": "step 3", "passed": passed}
    first = [machine, records.product(1024, "float32", product, product)]
    second = [machine, Gate("transformer_lm", {}, passed, [check], {})]
    second += [
        records.step(4, mlx, torch, conditions=conditions),
        Work("transformer_lm", {"batch": 4}, 10**8),
    ]
    return [record(body, 0, machine) for body in first] + [record(body, 1, machine) for body in second]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"power": "battery"}, "the machine runs on battery; connect it to mains"),
        ({"low_power": True}, "low power mode is on; switch it off"),
        (
            {"load_before": 1.5},
            "the machine is not idle: its load is 1.5 on 2 cores; close what runs, wait a minute",
        ),
        ({"others": 0.8}, "the machine is not idle: other processes use 0.8 of 2 cores; close what runs"),
        ({"pressure": 2}, "the machine is hot: thermal pressure is 2 of 4"),
        ({"throttled": 3}, "or the processor is throttled; let it cool"),
        ({"swapped": 4096}, "or it is swapped; close what needs it"),
        ({"memory_share": 0.93}, "memory is short: 93 % are in use"),
    ],
)
def test_a_session_does_not_begin_where_something_disturbs_it(change, told):
    found = recording.unfit(replace(records.QUIET, **change))
    assert len(found) == 1 and told in found[0]


def test_a_quiet_machine_is_fit_even_where_its_power_is_not_readable():
    assert recording.unfit(records.QUIET) == []
    assert recording.unfit(replace(records.QUIET, power="not readable", swapped=None)) == []


def test_every_reason_not_to_begin_is_said_and_nothing_runs(monkeypatch):
    busy = replace(records.QUIET, power="battery", others=2.0)
    monkeypatch.setattr(recording, "observed", lambda: busy)
    monkeypatch.setattr(recording, "compile_fault", lambda: "")
    monkeypatch.setattr(recording, "run", lambda out: pytest.fail("it ran"))
    with pytest.raises(SystemExit) as ended:
        recording.main()
    lines = ended.value.code.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        "not started: the machine runs on battery",
        "not started: the machine is not idle: other processes use 2.0 of 2 cores",
    ]


def test_a_good_session_has_no_refusal():
    assert recording.refusals(session()) == []
    assert recording.refusals([record(HOST)]) == ["Nothing was timed."]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"load_before": 3.0}, "The machine was busy: load up to 3.0 on 2 cores (in 3 of 6 runs)."),
        ({"others": 1.5}, "Other processes used up to 1.5 of 2 cores (in 3 of 6 runs)."),
        ({"swapped": 2**27}, "Memory was paged: up to 128 MB swapped (in 3 of 6 runs)."),
        ({"drift": 1.3}, "The clock was not steady: fixed work changed its time up to 1.30-fold"),
        ({"throttled": 2}, "The processor was throttled, up to 2 times in a run (in 3 of 6 runs)."),
        ({"pressure": 1}, "The system reported thermal pressure, up to level 1 of 4 (in 3 of 6 runs)."),
        ({"power": "battery"}, "The machine ran on battery (in 3 of 6 runs)."),
        ({"low_power": True}, "Low power mode was on (in 3 of 6 runs)."),
    ],
)
def test_a_disturbed_session_is_refused(change, told):
    found = recording.refusals(session(conditions=replace(records.QUIET, **change)))
    assert len(found) == 1 and found[0].startswith(told)


def test_a_failed_gate_is_named():
    found = recording.refusals(session(passed=False))
    assert found == ["The gate of transformer_lm failed: loss, eager at step 3."]


def test_a_step_above_the_machines_own_ceiling_is_refused():
    # 2 * 1024^3 operations in 0.01 s are 215 GFLOP/s; 10^8 in 0.45 ms are 222, in 0.4 ms 250
    assert recording.refusals(session(mlx=0.00045)) == []
    found = recording.refusals(session(mlx=0.0004))
    assert found == [
        "A training step of transformer_lm is above 105 % of the machine's ceiling, 215 GFLOP/s in float32."
    ]


@pytest.mark.parametrize(
    ("machine", "refused"),
    [
        (MAC, "A float32 product reaches 17.9 TFLOP/s; the published peak of M3 Max is 14.3."),
        (structs.replace(MAC, gpu_cores=30), "the published peak of M3 Max is 10.7."),
        (structs.replace(MAC, chip="Apple M99"), ""),
        (structs.replace(MAC, device="CPU"), ""),
    ],
)
def test_a_probe_above_the_published_peak_of_the_chip_is_refused(machine, refused):
    chips = published_benchmarks.chips()
    found = recording.refusals(session(machine, product=0.00012), chips)
    assert (len(found) == 1 and refused in found[0]) if refused else found == []
    assert recording.refusals(session(MAC, product=0.00015), chips) == []  # 14.3 TFLOP/s


def test_memory_above_the_published_bandwidth_is_refused():
    case = {"numbers": 2**24, "new_pages": {}}
    probe = records.timed(
        "stream", case, {"MLX, add": 0.0004, "PyTorch, add": 0.01, "PyTorch, add again": 0.01}
    )
    chips = published_benchmarks.chips()
    found = recording.refusals([*session(MAC), record(probe, 0, MAC)], chips)
    assert found == ["Memory reaches 503 GB/s; the published peak of M3 Max is 400."]


def test_an_impossible_record_is_refused():
    found = recording.refusals([*session(), record(structs.replace(HOST, host="annas-mac"))])
    assert len(found) == 1
    assert "machine.host is 'annas-mac', it must be as this project writes it" in found[0]


def test_a_session_is_added_in_a_file_of_its_own_and_only_once(tmp_path):
    before = tmp_path / HOST.id / "02_transformer_lm.jsonl"
    store.append(before, [record(HOST, run="2026-04-01T12:00:00.000001Z")])
    kept = before.read_bytes()
    path = recording.add(session(), tmp_path)
    assert path.name == "record-20260501t120000000001z.jsonl" and before.read_bytes() == kept
    assert store.read_file(path) == store.Found(session(), [])
    with pytest.raises(FileExistsError, match="a session is added once"):
        recording.add(session(), tmp_path)
    assert store.read_file(path).records == session()


def test_a_session_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "write", full)
    with pytest.raises(OSError, match="no record was added"):
        recording.add(session(), tmp_path)
    assert list((tmp_path / HOST.id).iterdir()) == []


def again(boot, run, machine=HOST):
    """A later session: its machine records alone."""
    later = structs.replace(machine, boot=boot)
    return [record(later, page, later, run) for page in (0, 1)]


def test_a_second_session_is_wanted_and_one_after_a_restart_more_so():
    first = session()
    assert recording.boots(first, HOST, PAGES) == ["2026-05-01T08:00Z"]
    told = recording.advice(recording.boots(first, HOST, PAGES))
    assert "first session" in told and "provisional. Run it again after a restart." in told
    same = first + again("2026-05-01T08:01Z", "2026-05-01T13:00:00.000001Z")  # the clock was set meanwhile
    told = recording.advice(recording.boots(same, HOST, PAGES))
    assert "has 2 sessions" in told and "same time of boot: a session after a restart tells more" in told
    restarted = first + again("2026-05-02T08:00Z", "2026-05-02T09:00:00.000001Z")
    told = recording.advice(recording.boots(restarted, HOST, PAGES))
    assert told == "This machine now has 2 sessions with these versions."


def test_only_whole_sessions_of_this_machine_with_these_versions_count():
    run = "2026-05-02T09:00:00.000001Z"
    other = again("2026-05-02T08:00Z", run, structs.replace(HOST, host="ffffff"))
    newer = again("2026-05-02T08:00Z", run, structs.replace(HOST, versions={"mlx": "0.33.0"}))
    unknown = again("", run, structs.replace(HOST, host=""))
    cut_short = again("2026-05-02T08:00Z", run)[:1]
    by_hand = [structs.replace(each, profile="smoke") for each in again("2026-05-02T08:00Z", run)]
    for more in (other, newer, unknown, cut_short, by_hand):
        assert len(recording.boots(session() + more, HOST, PAGES)) == 1
    quick = [structs.replace(each, profile="quick") for each in again("2026-05-02T08:00Z", run)]
    assert len(recording.boots(session() + quick, HOST, PAGES)) == 2


def results(monkeypatch, tmp_path, made, wrong=()):
    """The command, with a run that was made already."""
    monkeypatch.setattr(recording, "observed", lambda: records.QUIET)
    monkeypatch.setattr(recording, "compile_fault", lambda: "")
    monkeypatch.setattr(recording, "run", lambda out: (made, list(wrong), PAGES))
    monkeypatch.setattr(recording, "FOLDER", tmp_path)
    recording.main()


def test_what_was_recorded_is_told(monkeypatch, tmp_path, capsys):
    results(monkeypatch, tmp_path, session())
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "transformer_lm, training step, batch 4, eager: 2.000 [1.249, 3.204]"
    assert lines[2].endswith("record-20260501t120000000001z.jsonl")
    assert "Run it again after a restart" in lines[3]
    assert "on this chip, with these versions" in lines[4] and "prediction interval" in lines[4]


def test_a_refused_session_adds_nothing(monkeypatch, tmp_path):
    with pytest.raises(SystemExit) as ended:
        results(monkeypatch, tmp_path, session(), ["The machine ran on battery (in 1 of 2 runs)."])
    told = ended.value.code
    assert told.startswith("refused: The machine ran on battery") and "build/record/" in told
    assert "nothing was added to data/results" in told
    assert list(tmp_path.iterdir()) == []


def test_the_tag_and_the_boot_are_in_the_fingerprint_and_name_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINS_DATA", str(tmp_path))
    here = identity.fingerprint()
    assert here.host == identity.tag() == (tmp_path / "machine-tag").read_text()
    monkeypatch.setattr(identity.psutil, "boot_time", lambda: 1767225659.9)
    assert identity.boot() == "2026-01-01T00:00Z"
    assert [what for what in recording.refusals([*session(), record(here)]) if "machine.id" not in what] == []


def test_the_profile_runs_the_fixed_list_in_five_processes():
    paths = runner.pages("record", [])
    given = runner.parameters(paths, "record", [])
    assert [path.stem for path in paths] == list(given)
    declared = {
        path.stem: recording.runner.notebook_files.declared(path) | given[path.stem] for path in paths
    }
    assert {page: values["processes"] for page, values in declared.items()} == dict.fromkeys(given, 5)
    assert all("bfloat16" in values.get("half_types", ["bfloat16"]) for values in declared.values())
    assert all(values.get("filled", True) for values in declared.values())
