"""What more processes bring, from records whose figures are known, and the answer of the page."""

import pytest
from records import MACHINE, timed

from twins.evidence import scaling
from twins.evidence.answers import pages
from twins.records import store
from twins.records.record_types import Exchange, Gate
from twins.records.store import Record

PAGE = "14_scaling"


def layout(processes: int, threads: int, mlx: float, torch: float | None = None):
    case = {"twin": "transformer_lm", "batch": 8, "processes": processes, "threads": threads}
    seconds = {"MLX eager": mlx} | ({"PyTorch eager": torch} if torch else {})
    return timed(scaling.SUBJECT, case, seconds)


TIMINGS = [layout(1, 2, 0.10, 0.02), layout(1, 1, 0.16, 0.03), layout(2, 1, 0.10, 0.04)]
EXCHANGED = [
    Exchange("MLX", "ring", 2, 1000, True, [0.004] * 3, [0.002, 0.001, 0.003]),
    Exchange("MLX", "ring", 2, 8000, False, [0.016], [0.008]),
    Exchange("PyTorch", "nccl", 2, 1000, True, [0.5], [], "no messages"),
]


def check(value: float, passed: bool = True) -> Gate:
    checks = [{"name": "losses, MLX, 2 processes", "value": value, "limit": 1e-5, "passed": passed}]
    checks[0]["where"] = "step 1 of 9"
    return Gate("transformer_lm data-parallel", {"batch": 8, "steps": 9}, passed, checks, {}, "", [])


def test_efficiency_compares_with_a_share_of_the_machine_and_speed_with_all_of_it():
    found = {each.framework: each for each in scaling.scaled(TIMINGS)}
    assert found["MLX"].speedup.value == pytest.approx(1.0)
    assert found["MLX"].efficiency.value == pytest.approx(0.8)
    assert found["PyTorch"].speedup.value == pytest.approx(0.5)
    assert found["PyTorch"].efficiency.value == pytest.approx(0.375)


def test_a_framework_that_was_not_measured_is_left_out():
    found = scaling.scaled([*TIMINGS[:2], layout(2, 1, 0.1)])
    assert [each.framework for each in found] == ["MLX"]
    assert list(scaling.table([layout(2, 1, 0.1)])["framework"]) == ["MLX"]
    assert scaling.scaled([]) == []


def test_the_bound_is_at_the_fastest_copy():
    assert scaling.bandwidth(EXCHANGED, "MLX", 2) == pytest.approx(1e6)
    assert scaling.bound(EXCHANGED, EXCHANGED[0]) == pytest.approx(0.001)
    assert scaling.bound(EXCHANGED, EXCHANGED[2]) is None
    told = scaling.reading(EXCHANGED)
    assert "MLX over 2 processes (ring): 4.00 ms for 0.001 MB, 4× its bandwidth bound" in told
    assert "no bound was measured" in told
    assert list(scaling.exchange_table(EXCHANGED)["copy GB/s"])[-1] == "no messages"


def test_what_processes_share_is_computed_from_their_threads():
    told = scaling.shared(TIMINGS, "CPU")
    assert told.startswith("2 processes have 1 CPU thread each, 2 together; one process alone has 2. ")
    assert "GPU of its own" in scaling.shared(TIMINGS, "CUDA")
    assert scaling.shared(TIMINGS[:1], "CPU").startswith("Only one process")


def test_losses_that_differ_are_said_to():
    assert "have the losses of one over 9 steps" in scaling.losses(check(2e-7))
    assert "**do not have** the losses" in scaling.losses(check(2e-3, False))
    assert scaling.losses(Gate("lm", {}, True, [], {})).startswith("No run of several")


def records(*bodies) -> list[Record]:
    head = store.SCHEMA, "timing", MACHINE.id, "CPU", MACHINE.versions, PAGE, "quick"
    return [Record(*head, "2026-01-01T00:00:00.000000Z", body) for body in bodies]


def test_the_page_answers_in_four_sentences():
    told = pages.of(PAGE, records(*TIMINGS, *EXCHANGED, check(2e-7)))
    assert len(told.sentences) == 4
    assert "MLX with 2 processes is 1× as fast as one, efficiency 80 %" in told.line
    assert told.sentences[-1].startswith("**Projection, not measured**")
    assert [case.label for case in told.cases] == [
        "1 process, 2 threads",
        "1 process, 1 thread",
        "2 processes, 1 thread each",
    ]


def test_one_process_alone_is_an_answer_too():
    told = pages.of(PAGE, records(TIMINGS[0]))
    assert told.line == "only one process was timed"
    assert len(told.sentences) == 1
