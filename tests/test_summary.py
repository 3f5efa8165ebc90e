"""What the summary page makes of records: the newest runs, the claim, the gates, the evidence."""

from dataclasses import replace

import pytest
from records import MACHINE, step, timed

from twins import results, summary
from twins.results import Found, Gate, Record
from twins.timing import AGAIN

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


# --- the claim -------------------------------------------------------------------------------------


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


def test_nothing_measured_is_said():
    told = "No training step is recorded on this machine yet; `make report` measures it."
    assert summary.claim([], MACHINE) == summary.claim(written(MACHINE), APPLE) == told


@pytest.mark.parametrize("device", ["CPU", "CUDA"])
def test_elsewhere_the_claim_is_not_measured(device):
    told = summary.claim(written(step(4, 1.0, 3.0)), replace(MACHINE, device=device))
    assert told == (
        "transformer_lm, batch 4: MLX is 3.00× faster [3.00, 3.00]. "
        "The claim of up to 2× is about Apple silicon: **not measured here**."
    )


@pytest.mark.parametrize(
    ("torch", "told"),
    [
        (2.5, "The claim of up to 2× is within reach of these records: at most 2.500 [2.500, 2.500]."),
        (2.0, "The claim of up to 2× is within reach of these records: at most 2.000 [2.000, 2.000]."),
        (1.5, "The claim of up to 2× is not reached by these records: at most 1.500 [1.500, 1.500]."),
        (0.2, "The claim of up to 2× is not reached by these records: at most 1.000 [1.000, 1.000]."),
    ],
)
def test_on_an_apple_gpu_the_claim_is_held_against_the_best_case(torch, told):
    records = written(step(1, 1.0, 1.0), step(4, 1.0, torch), machine=APPLE)
    assert summary.claim(records, APPLE).endswith(told)
    assert summary.claim(records, APPLE).startswith(
        "transformer_lm, batch 1: a tie. transformer_lm, batch 4: "
    )


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
    assert [tuple(row.values()) for row in summary.evidence(found).to_dict("records")] == [
        (APPLE.id, "Apple GPU", "01_machine", "full", versions, 1, "2026-01-02"),
        (MACHINE.id, "CPU", "02_transformer_lm", "quick", versions, 2, "2026-01-02"),
    ]
    assert list(summary.evidence(Found([], [])).columns) == list(summary.evidence(found).columns)


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
    book = results.Book("02_transformer_lm", MACHINE, tmp_path)
    book.add(step(4, 1.0, 2.0))
    found = results.read(tmp_path)
    assert summary.claim(summary.newest(found, MACHINE.id), MACHINE).startswith(
        "transformer_lm, batch 4: MLX is 2.00× faster"
    )
