"""What the summary page makes of records: the newest runs, machines side by side, gates, evidence."""

from datetime import UTC, date, datetime

import pytest
from msgspec.structs import replace
from records import MACHINE, step, timed

from twins.evidence import claims, summary
from twins.records import store
from twins.records.record_types import Gate
from twins.records.store import Found, Record
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


def test_the_newest_run_of_every_notebook_counts_and_trials_do_not():
    old = written(MACHINE, run="2026-01-01")
    new = written(MACHINE, gate("transformer_lm", True))
    tried = written(MACHINE, run="2026-01-09", profile="interactive")
    machine = written(MACHINE, notebook="01_machine", run="2025-12-31", profile="full")
    other = written(APPLE, machine=APPLE)
    found = Found([*new, *old, *tried, *machine, *other], [])
    assert summary.newest(found, MACHINE.id) == [*machine, *new]
    assert summary.newest(found, APPLE.id) == other
    assert summary.newest(found, "nobody-1gb") == []


def test_versions_are_not_mixed_unless_asked_for():
    one = written(MACHINE, notebook="01_machine")
    two = written(MACHINE, versions={"mlx": "0.33.0", "torch": "2.13.0"})
    with pytest.raises(ValueError, match=r'different versions are not compared: .*"0\.32\.4".*"0\.33\.0"'):
        summary.newest(Found(one + two, []), MACHINE.id)
    assert summary.newest(Found(one + two, []), MACHINE.id, mixed=True) == one + two


# --- ratios -------------------------------------------------------------------------------------


def test_the_headline_takes_each_framework_at_its_best():
    records = written(gate("transformer_lm", True), step(4, 4e-3, 2e-3, modes=("eager", "compiled")))
    (found,) = summary.headline(records)
    assert (found.label, found.ratio.value, found.winner) == ("transformer_lm, batch 4", 0.5, "PyTorch")
    assert summary.headline(written(gate("transformer_lm", True))) == []


def test_everything_is_compared_by_batch_mode_and_type():
    seconds = {"MLX float32": 1.0, "PyTorch float32": 1.0, "MLX float16": 3.0, "PyTorch float16": 1.5}
    case = {"twin": "transformer_lm", "batch": 1}
    typed = timed("training step by type", case, seconds | {"PyTorch float32" + AGAIN: 1.0})
    records = written(step(1, 1.0, 2.0, modes=("eager", "compiled")), step(4, 1.0, 1.0), typed)
    found = {row.label: row.ratio.value for row in summary.everything(records)}
    assert found == {
        "transformer_lm, batch 1, eager": 2.0,
        "transformer_lm, batch 1, compiled": 2.0,
        "transformer_lm, batch 4, eager": 1.0,
        "transformer_lm, batch 1, float16": 0.5,
    }
    assert len(summary.headline(records)) == 2  # the report's own answer is in float32
    assert summary.everything(written(MACHINE)) == []


def test_machines_stand_side_by_side_each_with_its_own_newest_run():
    made = [
        *written(MACHINE, step(4, 1.0, 2.0), step(16, 1.0, 3.0)),
        *written(MACHINE, step(4, 9.0, 1.0), run="2026-01-01"),
        *written(APPLE, step(4, 2.0, 1.0), machine=APPLE, run="2026-01-03"),
    ]
    records = summary.machines(Found(made, []))
    rows = summary.side_by_side(records, "transformer_lm, batch 4")
    assert {row.label: row.ratio.value for row in rows} == {MACHINE.id: 2.0, APPLE.id: 0.5}
    assert [row.label for row in summary.side_by_side(records, "transformer_lm, batch 16")] == [MACHINE.id]
    assert list(summary.columns(records, MACHINE.id)) == [MACHINE.id, APPLE.id]
    assert list(summary.columns(records, "nobody-1gb")) == [APPLE.id, MACHINE.id]


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
    made = summary.gates(written(gate("transformer_lm", True), gate("vit", False), step(1, 1.0, 1.0)))
    assert made.to_dict("records") == [
        {"twin": "transformer_lm", "checks": 3, "verdict": "passed"},
        {"twin": "vit", "checks": 3, "verdict": "FAILED: outputs, update"},
    ]
    half = Gate("vit", {"dtype": "float16"}, True, [], {})
    assert summary.gates(written(half)).to_dict("records")[0]["twin"] == "vit, float16"
    assert list(summary.gates([]).columns) == ["twin", "checks", "verdict"]


def test_evidence_is_one_row_per_machine_and_notebook():
    found = Found(
        [
            *written(MACHINE, gate("lm", True)),
            *written(MACHINE, run="2026-01-01"),
            *written(MACHINE, run="2026-01-09", profile="interactive"),
            *written(APPLE, machine=APPLE, notebook="01_machine", profile="full"),
            *written(MACHINE, notebook="03_bert", profile="interactive"),
        ],
        [],
    )
    versions = "mlx 0.32.4, torch 2.13.0"
    table = summary.evidence(found)
    today = datetime.now(UTC).date()
    assert set(table.pop("days ago")) == {(today - date(2026, 1, 2)).days}
    assert [tuple(row.values()) for row in table.to_dict("records")] == [
        (APPLE.id, "Apple GPU", "01_machine", "full", versions, 1, "2026-01-02"),
        (MACHINE.id, "CPU", "02_transformer_lm", "quick", versions, 2, "2026-01-02"),
    ]
    assert list(summary.evidence(Found([], [])).columns) == [*table.columns, "days ago"]


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
    (row,) = summary.headline(summary.newest(store.read(tmp_path), MACHINE.id))
    assert str(row) == "transformer_lm, batch 4: MLX is 2.00× faster [2.00, 2.00]"


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
    rows = summary.side_by_side(records, "transformer_lm, batch 4")
    assert {row.label: row.ratio.value for row in rows} == {APPLE.id: 2.0, f"{APPLE.id} (CPU)": 1 / 3}
    assert {r.device for r in records[APPLE.id]} == {"Apple GPU"}
    assert [len(own) for own in records.values()] == [3, 2]


def test_a_machines_own_records_are_those_of_its_gpu_or_of_the_device_in_use():
    records = summary.machines(two_devices())
    assert summary.newest(two_devices(), APPLE.id) == records[APPLE.id]
    assert summary.newest(two_devices(), APPLE.id, device="CPU") == records[f"{APPLE.id} (CPU)"]
    assert summary.named(records, APPLE) == APPLE.id
    assert summary.named(records, ON_CPU) == f"{APPLE.id} (CPU)"
    assert summary.chosen(records, APPLE.id, "") == records[APPLE.id]


def test_the_evidence_and_the_claims_of_two_devices_are_told_apart():
    table = summary.evidence(two_devices())
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
