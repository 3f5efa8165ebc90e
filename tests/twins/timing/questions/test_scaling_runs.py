"""Scaling measured by real processes: one launch of each layout of the smallest network."""

import math
from dataclasses import asdict

import pytest
import records

from twins.records.record_types import Exchange, Gate, Timing
from twins.timing.questions import scaling_runs
from twins.timing.questions.scaling_runs import Layout, Plan
from twins.training.distributed.settings import Run

TINY = {"dataset": "markov", "vocabulary": 16, "context": 8, "width": 16, "layers": 1, "heads": 2}
RUN = Run("transformer_lm", "mlx", "", steps=5, batch=4, sizes=TINY)
SIZE = 4096
NONE: dict = {"exchanged": [], "backend": "ring", "gradients": 4}
QUIET = asdict(records.QUIET)


@pytest.fixture(scope="module")
def found():
    plan = Plan(RUN, 1, (SIZE,), 2)
    return scaling_runs.measure(plan, [Layout(1, 1), Layout(2, 1)])


def of(found, kind: type) -> list:
    return [each for each in found if isinstance(each, kind)]


def test_two_processes_have_the_losses_of_one(found):
    (gate,) = of(found, Gate)
    assert gate.notes == []
    assert gate.passed
    assert [check["name"] for check in gate.checks] == [
        "losses, MLX, 2 processes",
        "losses, PyTorch, 2 processes",
    ]
    assert all(check["value"] <= scaling_runs.SAME for check in gate.checks)
    assert all(
        len(losses) == RUN.steps and all(map(math.isfinite, losses)) for losses in gate.losses.values()
    )


def test_steps_of_both_frameworks_are_timed_in_every_layout(found):
    timings = of(found, Timing)
    assert [(each.case["processes"], each.case["threads"]) for each in timings] == [(1, 1), (2, 1)]
    for each in timings:
        (run,) = each.runs
        assert sorted(run["arms"]) == ["MLX eager", "PyTorch eager"]
        assert all(len(arm["wall"]) == RUN.steps - scaling_runs.WARM for arm in run["arms"].values())


def test_gradients_and_the_sizes_asked_for_are_exchanged(found):
    exchanged = of(found, Exchange)
    assert {each.backend for each in exchanged} == {"ring", "gloo"}
    for framework in ("MLX", "PyTorch"):
        own = [each for each in exchanged if each.framework == framework]
        assert SIZE in {each.size for each in own}
        assert [each.gradients for each in own].count(True) == 1
        assert all(len(each.reduced) == len(each.copied) == 2 for each in own)


def test_what_cannot_be_measured_is_one_sentence():
    plan = Plan(Run("transformer_lm", "mlx", "", steps=3, batch=4, sizes={"depth": 1}), 1, (), 1)
    with pytest.raises(ValueError, match=r"SET names depth; transformer_lm takes ") as error:
        scaling_runs.measure(plan, [Layout(1, 1)])
    assert "\n" not in str(error.value)


def test_one_process_with_other_threads_than_these_is_a_fresh_one(monkeypatch):
    monkeypatch.setattr(scaling_runs.frameworks, "THREADS", 2)  # of kept processes
    (found,) = scaling_runs.launched(Plan(RUN, 1, (SIZE,), 2), Layout(1, 1), ["torch"])
    assert len(found["losses"]) == RUN.steps and found["exchanged"] == []


def test_what_one_framework_cannot_is_a_note(monkeypatch):
    def launched(_plan, layout, names, _index):
        if layout.processes > 1 and names == ("torch",):
            raise ValueError("no collectives")
        return [{"wall": [0.1] * 5, "cpu": [0.1] * 5, "losses": [1.0] * 5, "conditions": QUIET} | NONE] * len(
            names
        )

    monkeypatch.setattr(scaling_runs, "launched", launched)
    found = scaling_runs.measure(Plan(RUN, 1, (), 1), [Layout(1, 1), Layout(2, 1)])
    (gate,) = of(found, Gate)
    assert gate.notes == ["PyTorch, 2 processes, 1 thread each: not measured (no collectives)"]
    assert [sorted(each.runs[0]["arms"]) for each in of(found, Timing)][1] == ["MLX eager"]


def test_layouts_fit_the_machine_and_the_batch(monkeypatch):
    monkeypatch.setattr(scaling_runs.frameworks, "THREADS", 4)
    monkeypatch.setattr(scaling_runs, "most", lambda: 4)
    assert scaling_runs.layouts([1, 2, 3, 4, 8], 16) == [
        Layout(1, 4),
        Layout(1, 2),
        Layout(2, 2),
        Layout(1, 1),
        Layout(4, 1),
    ]
