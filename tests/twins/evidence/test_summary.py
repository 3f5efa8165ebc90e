"""What the summary page makes of records: every session, machines side by side, gates, evidence."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from msgspec.structs import replace
from records import MACHINE, memory, over, step, timed
from scipy import stats

from twins.evidence import summary
from twins.evidence.verdicts import claims
from twins.records import store
from twins.records.record_types import Gate
from twins.records.store import Found, Record
from twins.timing.comparison import Comparison
from twins.timing.statistics import AGAIN

APPLE = replace(MACHINE, id="apple-m3-max-64gb", chip="Apple M3 Max", memory_gb=64, device="Apple GPU")


def written(
    *bodies, machine=MACHINE, notebook="02_transformer_lm", run="2026-01-02", profile="quick", **more
):
    """Records of one run on a machine."""
    header = {"machine": machine.id, "device": machine.device, "versions": machine.versions} | more
    return [
        Record(
            schema=1,
            kind=type(body).__name__.lower(),
            notebook=notebook,
            profile=profile,
            run=f"{run}T00:00:00Z",
            body=body,
            **header,
        )
        for body in bodies
    ]


def gate(twin: str, passed: bool) -> Gate:
    checks = [{"name": name, "passed": passed or name == "names"} for name in ("names", "outputs", "update")]
    return Gate(twin, {}, passed, checks, {})


# --- which records count ---------------------------------------------------------------------------


def test_every_session_of_a_timing_counts_the_newest_run_of_other_records_and_no_trial():
    old = written(MACHINE, step(4, 1.0, 2.0), memory(MLX_eager=1)[0], run="2026-01-01")
    new = written(MACHINE, gate("transformer_lm", True), step(4, 1.0, 2.2), memory(MLX_eager=2)[0])
    tried = written(MACHINE, step(4, 1.0, 9.0), run="2026-01-09", profile="interactive")
    machine = written(MACHINE, notebook="01_machine", run="2025-12-31", profile="full")
    other = written(APPLE, machine=APPLE)
    found = Found([*new, *old, *tried, *machine, *other], [])
    assert summary.evidence(found, MACHINE.id) == [*new, *old[:2], *machine]
    assert summary.evidence(found, APPLE.id) == other
    assert summary.evidence(found, "nobody-1gb") == []


@pytest.mark.parametrize("also", [[], memory(MLX_eager=3)])
def test_a_session_of_timings_hides_nothing_of_a_whole_run(also):
    whole = written(step(4, 1.0, 2.0), *memory(MLX_eager=1)[:1], run="2026-01-01")
    timings = written(step(4, 1.0, 2.2), *also[:1], profile="record")
    assert summary.evidence(Found([*timings, *whole], []), MACHINE.id) == [timings[0], *whole]
    assert summary.evidence(Found(timings, []), MACHINE.id) == timings


def test_versions_are_not_mixed_unless_asked_for():
    one = written(MACHINE, notebook="01_machine")
    two = written(MACHINE, versions={"mlx": "0.33.0", "torch": "2.13.0"})
    with pytest.raises(ValueError, match=r'different versions are not compared: .*"0\.32\.4".*"0\.33\.0"'):
        summary.evidence(Found(one + two, []), MACHINE.id)
    assert summary.evidence(Found(one + two, []), MACHINE.id, mixed=True) == one + two


def test_sessions_of_other_versions_are_other_figures():
    old = written(step(4, 1.0, 3.0), versions={"mlx": "0.30.0", "torch": "2.13.0"}, run="2026-01-01")
    new = written(step(4, 1.0, 2.0))
    assert summary.evidence(Found(old + new, []), MACHINE.id) == new
    (both,) = summary.headline(summary.evidence(Found(old + new, []), MACHINE.id, mixed=True))
    assert both.over.count == 2


def test_a_rerun_cannot_replace_a_session():
    """The figure is the mean over the sessions, whichever came last."""
    one, two = (written(step(4, 1.0, torch), run=f"2026-01-0{i}") for i, torch in ((1, 2.0), (2, 4.0)))
    swapped = [written(step(4, 1.0, torch), run=f"2026-01-0{i}") for i, torch in ((1, 4.0), (2, 2.0))]
    for first, second in ((one, two), swapped):
        (row,) = summary.headline(summary.evidence(Found(first + second, []), MACHINE.id))
        assert row.ratio.value == pytest.approx(8**0.5) and row.over.count == 2


# --- ratios -------------------------------------------------------------------------------------


def test_the_headline_is_eager_against_eager():
    records = written(gate("transformer_lm", True), step(4, 4e-3, 2e-3, modes=("eager", "compiled")))
    (found,) = summary.headline(records)
    assert (found.label, found.winner) == ("GPT, batch 4", "PyTorch")
    assert found.ratio.value == pytest.approx(0.5)
    assert summary.headline(written(gate("transformer_lm", True))) == []


def test_everything_is_compared_by_batch_mode_and_type():
    seconds = {"MLX float32": 1.0, "PyTorch float32": 1.0, "MLX float16": 3.0, "PyTorch float16": 1.5}
    case = {"twin": "transformer_lm", "batch": 1}
    typed = timed("training step by type", case, seconds | {"PyTorch float32" + AGAIN: 1.0})
    records = written(step(1, 1.0, 2.0, modes=("eager", "compiled")), step(4, 1.0, 1.0), typed)
    found = {row.label: row.ratio.value for row in summary.everything(records)}
    known = {
        "GPT, batch 1, eager": 2.0,
        "GPT, batch 1, compiled": 2.0,
        "GPT, batch 4, eager": 1.0,
        "GPT, batch 1, float16": 0.5,
    }
    assert found == pytest.approx(known)
    assert len(summary.headline(records)) == 2  # the report's own answer is in float32
    assert summary.everything(written(MACHINE)) == []


def test_machines_stand_side_by_side_each_with_its_own_sessions():
    made = [
        *written(MACHINE, step(4, 1.0, 2.0), step(16, 1.0, 3.0)),
        *written(MACHINE, step(4, 1.0, 4.5), run="2026-01-01"),
        *written(APPLE, step(4, 2.0, 1.0), machine=APPLE, run="2026-01-03"),
    ]
    records = summary.machines(Found(made, []))
    rows = summary.side_by_side(records, "GPT, batch 4")
    assert {row.label: row.ratio.value for row in rows} == pytest.approx({MACHINE.id: 3.0, APPLE.id: 0.5})
    assert [row.label for row in summary.side_by_side(records, "GPT, batch 16")] == [MACHINE.id]
    assert list(summary.columns(records, MACHINE.id)) == [MACHINE.id, APPLE.id]
    assert list(summary.columns(records, "nobody-1gb")) == [APPLE.id, MACHINE.id]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "No machine timed this task."),
        ([2.0], "On one machine only: m-0: MLX 2.00× as fast [1.60–2.50]."),
        (
            [2.0, 0.5, 1.0],
            "MLX is faster on 1 of 3 machines, PyTorch is faster on 1 of 3 machines; median "
            "MLX 1.00× as fast, range PyTorch 2.00× to MLX 2.00× as fast.",
        ),
    ],
)
def test_what_is_said_depends_on_how_many_machines_there_are(values, told):
    rows = [Comparison(f"m-{i}", over(value, 1.25), 1.05) for i, value in enumerate(values)]
    assert summary.across(rows) == told


def test_from_five_machines_on_the_next_is_predicted():
    values = [1.5, 1.6, 1.7, 1.8, 1.9]
    told = summary.across([Comparison("m", over(value, 1.25), 1.05) for value in values])
    logs = np.log(values)
    wide = stats.t.ppf(0.975, 4) * logs.std(ddof=1) * np.sqrt(1.2)
    low, high = np.exp(logs.mean() - wide), np.exp(logs.mean() + wide)
    mean = "Mean MLX 1.69× as fast"
    assert told.endswith(
        f"{mean}; the next machine is expected within MLX {low:.2f}–{high:.2f}× as fast (95 %)."
    )


def test_another_machine_is_chosen_by_its_name():
    records = {MACHINE.id: written(MACHINE), APPLE.id: written(APPLE, machine=APPLE)}
    assert summary.chosen(records, "", MACHINE.id) == records[MACHINE.id]
    assert summary.chosen(records, APPLE.id, MACHINE.id) == records[APPLE.id]
    assert summary.chosen(records, "", "nobody-1gb") == []
    with pytest.raises(ValueError, match="no record is of a machine called 'm'; there are chip-8gb, apple"):
        summary.chosen(records, "m", MACHINE.id)


def test_a_table_shows_as_many_machines_as_it_has_room_for():
    made = {f"m-{i}": written(MACHINE, run=f"2026-01-{i + 1:02}") for i in range(summary.COLUMNS + 3)}
    shown = list(summary.columns(made, "m-0"))
    assert shown[0] == "m-0" and len(shown) == summary.COLUMNS


# --- tables ----------------------------------------------------------------------------------------


def test_gates_say_what_failed():
    sessions = [gate("transformer_lm", True), gate("vit", False), step(1, 1.0, 1.0), gate("vit", True)]
    made = summary.gates(written(*sessions))
    assert made.to_dict("records") == [
        {"twin": "transformer_lm", "checks": 3, "runs": 1, "verdict": "passed"},
        {"twin": "vit", "checks": 3, "runs": 2, "verdict": "FAILED: outputs, update"},
    ]
    half = Gate("vit", {"dtype": "float16"}, True, [], {})
    assert summary.gates(written(half)).to_dict("records")[0]["twin"] == "vit, float16"
    assert list(summary.gates([]).columns) == ["twin", "checks", "runs", "verdict"]


def test_runs_are_one_row_per_machine_notebook_and_version():
    elsewhere = replace(MACHINE, host="0a1b2c", boot="2026-01-01T00:00Z")
    found = Found(
        [
            *written(MACHINE, gate("lm", True)),
            *written(elsewhere, run="2026-01-01"),
            *written(MACHINE, run="2026-01-09", profile="interactive"),
            *written(APPLE, machine=APPLE, notebook="01_machine", profile="full"),
            *written(MACHINE, notebook="03_bert", profile="interactive"),
        ],
        [],
    )
    versions = "mlx 0.32.4, torch 2.13.0"
    table = summary.runs(found)
    today = datetime.now(UTC).date()
    assert set(table.pop("days ago")) == {(today - date(2026, 1, 2)).days}
    last = "2026-01-02"
    assert [tuple(row.values()) for row in table.to_dict("records")] == [
        (APPLE.id, "Apple GPU", "01_machine", "full", 1, 1, 1, versions, 1, last, last),
        (MACHINE.id, "CPU", "02_transformer_lm", "quick", 2, 2, 2, versions, 3, "2026-01-01", last),
    ]
    assert list(summary.runs(Found([], [])).columns) == [*table.columns, "days ago"]


@pytest.mark.parametrize(
    ("device", "apple", "nvidia"), [("CPU", True, True), ("Apple GPU", False, True), ("CUDA", True, False)]
)
def test_what_is_missing_depends_on_the_machine(device, apple, nvidia):
    here = replace(MACHINE, device=device)
    told = summary.missing(written(step(1, 1.0, 1.0)), here)
    assert ("Apple silicon" in told, "NVIDIA" in told) == (apple, nvidia)
    assert "Training speed" not in told
    bullets = summary.missing([], here).splitlines()
    assert all(line.startswith("- ") for line in bullets)
    assert bullets[-1] == "- Training speed: no record yet, `make report` makes them."


def test_records_written_by_a_book_are_read_by_the_summary(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINS_PROFILE", "quick")
    book = store.Book("02_transformer_lm", MACHINE, tmp_path)
    book.add(step(4, 1.0, 2.0))
    (row,) = summary.headline(summary.evidence(store.read(tmp_path), MACHINE.id))
    assert str(row) == "GPT, batch 4: MLX 2.00× as fast [1.25–3.20]"


# --- two devices of one machine --------------------------------------------------------------------

ON_CPU = replace(APPLE, device="CPU")


def two_devices():
    """`make report`, then one page again with TWINS_DEVICE=cpu, on a Mac."""
    return Found(
        [
            *written(APPLE, step(4, 1.0, 2.0), machine=APPLE),
            *written(APPLE, machine=APPLE, notebook="01_machine"),
            *written(ON_CPU, step(4, 3.0, 1.0), machine=ON_CPU, run="2026-01-03"),
        ],
        [],
    )


def test_two_devices_of_a_machine_stand_side_by_side():
    found = two_devices()
    records = summary.machines(found)
    assert list(records) == [APPLE.id, f"{APPLE.id} (CPU)"]
    rows = summary.side_by_side(records, "GPT, batch 4")
    known = {APPLE.id: 2.0, f"{APPLE.id} (CPU)": 1 / 3}
    assert {row.label: row.ratio.value for row in rows} == pytest.approx(known)
    assert {r.device for r in records[APPLE.id]} == {"Apple GPU"}
    assert [len(own) for own in records.values()] == [3, 2]


def test_a_machines_own_records_are_those_of_its_gpu_or_of_the_device_in_use():
    records = summary.machines(two_devices())
    assert summary.evidence(two_devices(), APPLE.id) == records[APPLE.id]
    assert summary.evidence(two_devices(), APPLE.id, device="CPU") == records[f"{APPLE.id} (CPU)"]
    assert summary.named(records, APPLE) == APPLE.id
    assert summary.named(records, ON_CPU) == f"{APPLE.id} (CPU)"
    assert summary.chosen(records, APPLE.id, "") == records[APPLE.id]


def test_the_evidence_and_the_claims_of_two_devices_are_told_apart():
    table = summary.runs(two_devices())
    assert [tuple(row) for row in table[["device", "notebook", "records"]].itertuples(index=False)] == [
        ("Apple GPU", "01_machine", 1),
        ("Apple GPU", "02_transformer_lm", 2),
        ("CPU", "02_transformer_lm", 2),
    ]
    verdicts = claims.by_machine(claims.load(), summary.machines(two_devices()))
    assert list(verdicts.columns) == ["claim", APPLE.id, f"{APPLE.id} (CPU)"]


def test_the_committed_records_keep_their_names():
    found = store.read(store.ROOT / "data" / "results")
    assert found.problems == []
    assert list(summary.machines(found, mixed=True)) == sorted({r.machine for r in found.records})
