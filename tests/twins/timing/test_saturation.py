"""A size grows until the faster framework is bound by computation, or until memory says stop."""

import pytest
from records import MACHINE, step
from test_summary import written

from twins.evidence import roofline, summary
from twins.evidence.roofline import Load
from twins.evidence.verdicts import claims
from twins.machine import fresh_process
from twins.records.record_types import Gate
from twins.timing import comparison, saturation, study
from twins.timing.harness import Plan
from twins.timing.study import Study

ONCE = Plan(1, 1)
TWIN = Study("transformer_lm", {"vocabulary": 32, "context": 8, "width": 8, "layers": 1, "heads": 1})


def cost(dispatch: float, each: float):
    """Seconds of a step: starting its operations, and so much an example."""
    return lambda size: dispatch + each * size


@pytest.mark.parametrize(
    ("dispatch", "each", "first", "most", "expected"),
    [
        (2e-3, 1e-5, 16, 10**9, (2048, "computation")),  # a fast GPU: 2.2 ms at 16, 22.5 ms at 2048
        (2e-3, 1e-5, 16, 1000, (512, "memory")),
        (1e-4, 5e-3, 4, 10**9, (4, "computation")),  # a CPU: the fixed size is long enough
        (1e-3, 0.0, 1, 10**9, (saturation.MOST, "memory")),  # what never grows ends at the cap
    ],
)
def test_a_size_doubles_until_a_step_is_long(dispatch, each, first, most, expected):
    assert saturation.grow(first, cost(dispatch, each), lambda size: size <= most) == expected


@pytest.fixture
def machine(monkeypatch) -> list[int]:
    """A machine with a start of 2 ms and 10 us an example, where batch 4096 is the largest; sizes timed."""
    timed = []
    seconds = cost(2e-3, 1e-5)

    def room(twin, batch, models=1):
        if batch > 4096:
            raise MemoryError("no room")
        return 1

    def timed_steps(twin, batch, modes, plan, **more):
        timed.append(batch)
        record = step(batch, seconds(batch), 2 * seconds(batch))
        record.case.update(more)
        yield record

    monkeypatch.setattr(fresh_process, "call", lambda target, arguments: seconds(arguments["batch"]))
    monkeypatch.setattr(study, "room", room)
    monkeypatch.setattr(study, "timed_steps", timed_steps)
    return timed


def test_the_filled_size_is_timed_once_and_named(machine):
    fixed = [step(batch, 2e-3 + 1e-5 * batch, 1.0) for batch in (1, 16)]
    (made,) = saturation.steps(TWIN, fixed, ["eager"], ONCE)
    assert machine == [2048] and (made.case["filled"], made.case["bound"]) == (True, "computation")
    assert comparison.steps([made])[0].label == "batch 2048, filled, eager"
    told = saturation.reading([*fixed, made])
    assert told.startswith("Batch 2048 fills this machine: the faster framework's step takes 22.5 ms")


def test_memory_ends_the_growth(machine, monkeypatch):
    monkeypatch.setattr(saturation, "FULL", 1.0)
    (made,) = saturation.steps(TWIN, [step(16, 2.16e-3, 1.0)], ["eager"], ONCE)
    assert (made.case["batch"], made.case["bound"]) == (4096, "memory")
    assert "Batch 4096 is the largest that memory holds" in saturation.reading([made])


@pytest.mark.parametrize("fixed", [[], [step(16, 0.5, 0.025)]], ids=["nothing timed", "long enough"])
def test_nothing_is_timed_twice(machine, fixed):
    assert list(saturation.steps(TWIN, fixed, ["eager"], ONCE)) == [] and machine == []


@pytest.mark.parametrize(
    ("seconds", "names", "told"),
    [
        (0.025, [None, True], "Batch 16 fills this machine: the faster framework's step takes 25.0 ms"),
        (
            0.002,
            [None, None],
            "At the largest fixed size, batch 16, the faster framework's step takes 2.00 ms;",
        ),
    ],
)
def test_a_fixed_size_that_fills_the_machine_is_the_filled_one(monkeypatch, seconds, names, told):
    monkeypatch.setattr(
        study, "steps", lambda twin, gate, sizes, modes, plan: [step(b, 9.0, seconds) for b in sizes]
    )
    made = list(saturation.fixed(TWIN, Gate("transformer_lm", {}, True, [], {}), [1, 16], ["eager"], ONCE))
    assert [record.case.get("filled") for record in made] == names
    assert saturation.reading(made).startswith(told)


def test_a_real_step_is_timed_in_a_fresh_process():
    seconds = fresh_process.call(
        "twins.timing.saturation:once",
        {"model": TWIN.model, "config": TWIN.config, "batch": 2, "mode": "eager", "variant": "MLX eager"},
    )
    assert 0 < seconds < 10


# --- what the filled size decides ------------------------------------------------------------------


def filled(batch: int, mlx: float, torch: float):
    record = step(batch, mlx, torch)
    record.case.update(filled=True, bound="computation")
    return record


@pytest.mark.parametrize(
    ("records", "twice", "headline"),
    [
        ([step(1, 1, 4), filled(512, 1, 1.3)], claims.CONTRADICTED, ["GPT, batch 512, filled"]),
        ([step(1, 1, 1), filled(512, 1, 3.5)], claims.SUPPORTED, ["GPT, batch 512, filled"]),
        (  # records of before: every size counts
            [step(1, 1, 4), step(16, 1, 1.3)],
            claims.SUPPORTED,
            ["GPT, batch 1", "GPT, batch 16"],
        ),
    ],
)
def test_headline_and_verdict_are_of_the_filled_size(records, twice, headline):
    claim = next(claim for claim in claims.load() if claim.id == "twice-as-fast")
    found = written(MACHINE, *records)
    assert claims.judge(claim, claims.queries.speed(found, **claim.of))[0] == twice
    assert [comparison.label for comparison in summary.headline(found)] == headline


def test_a_filled_step_has_its_roof():
    load = Load("transformer_lm", {"batch": 512}, 10**9, 10**6, 10**7)
    assert roofline.same_step(load, filled(512, 0.1, 0.2))
    assert not roofline.same_step(load, filled(256, 0.1, 0.2))


def test_a_twin_that_failed_its_gate_is_not_filled():
    failed = Gate("transformer_lm", {}, False, [], {})
    timings = list(study.steps(TWIN, failed, [1, 2], ["eager"], ONCE))
    assert list(saturation.steps(TWIN, timings, ["eager"], ONCE)) == []
