"""The harness on work whose answer is known: what it keeps, what it drops, and how far to trust a ratio."""

import gc
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from twins.machine.conditions import Conditions
from twins.timing import harness, statistics
from twins.timing.harness import Plan, Variant
from twins.timing.statistics import AGAIN, Ratio, Run, Samples

QUIET = Conditions(2, 0.5, 0.1, 0, 0.3, 1.0, 0, "mains")
MIDDLE = 1e-3  # seconds


def counted(log: list[str], name: str) -> Variant:
    return Variant(lambda: log.append(name), lambda: log.append("wait"))


# --- what one process does -------------------------------------------------------------------------


def interleaved(plan: Plan, names: str = "abc") -> tuple[list[str], dict[str, Samples]]:
    """Every call in order, and the samples."""
    log: list[str] = []
    variants = {name: counted(log, name) for name in names}
    samples = harness.interleave(variants, plan, np.random.default_rng(plan.seed))
    assert log[1::2] == ["wait"] * (len(log) // 2)  # every call is waited for
    return log[::2], samples


def test_first_calls_and_warm_up_stay_outside():
    plan = Plan(processes=1, rounds=4, block=3, warmup=2)
    calls, samples = interleaved(plan)
    assert calls[:9] == ["a", "b", "c", "a", "a", "b", "b", "c", "c"]
    for each in samples.values():
        assert len(each.wall) == len(each.cpu) == plan.rounds * (plan.block - 1)
        assert each.first > 0


def test_every_variant_runs_equally_often_in_random_order():
    plan = Plan(rounds=60, block=2, warmup=0)
    calls, _ = interleaved(plan)
    rounds = np.array(calls[3:]).reshape(plan.rounds, 3, plan.block)
    assert (rounds == rounds[:, :, :1]).all()  # a block is one variant's
    orders = ["".join(row) for row in rounds[:, :, 0]]
    assert {"".join(sorted(order)) for order in orders} == {"abc"}
    assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert calls == interleaved(plan)[0]
    assert calls != interleaved(Plan(rounds=60, block=2, warmup=0, seed=1))[0]


def test_the_first_call_of_a_block_is_dropped(monkeypatch):
    taken = iter((float(n), -float(n)) for n in range(100))
    monkeypatch.setattr(harness, "once", lambda variant: next(taken))
    plan = Plan(rounds=2, block=3, warmup=1)
    samples = harness.interleave({"a": Variant(None, None)}, plan, np.random.default_rng(0))["a"]
    assert samples.first == 0  # 1 is the warm-up; 2 and 5 begin a block
    assert samples.wall == [3, 4, 6, 7]
    assert samples.cpu == [-3, -4, -6, -7]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"processes": 0}, "processes and rounds must be at least 1"),
        ({"rounds": 0}, "processes and rounds must be at least 1"),
        ({"warmup": -1}, "warm-up at least 0"),
        ({"block": 1}, "block is 1; it must be at least 2, since the first call is dropped"),
    ],
)
def test_an_impossible_plan_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Plan(**wrong)


# --- fresh processes -------------------------------------------------------------------------------


def note_process(file: str) -> dict[str, Variant]:
    """Variants for a fresh process, which writes down who it is."""
    with Path(file).open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return {name: Variant(lambda: None, lambda: None) for name in ("x", "y", "x" + AGAIN)}


def refuse() -> dict[str, Variant]:
    raise OSError("no variants today")


@pytest.fixture
def importable(monkeypatch):
    """Let fresh processes import this file."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.mark.usefixtures("importable")
def test_every_run_is_a_process_of_its_own(tmp_path):
    told: list[str] = []
    plan = Plan(processes=3, rounds=2, block=2, warmup=0)
    runs = harness.measure("test_harness:note_process", {"file": str(tmp_path / "who")}, plan, told.append)
    pids = (tmp_path / "who").read_text().split()
    assert len({*pids, str(os.getpid())}) == 4
    assert told == ["process 1 of 3", "process 2 of 3", "process 3 of 3"]
    assert statistics.variant_names(runs[0:1]) == ["x", "y", "x again"]
    assert [len(values) for values in statistics.values(runs, "y")] == [2, 2, 2]
    assert all(run.conditions.cores == os.cpu_count() for run in runs)


@pytest.mark.usefixtures("importable")
def test_every_measurement_has_processes_of_its_own(tmp_path):
    file, plan = tmp_path / "who", Plan(processes=2, rounds=1, block=2, warmup=0)
    for environment in (None, None, {"TWINS_SOMETHING": "1"}):
        harness.measure("test_harness:note_process", {"file": str(file)}, plan, environment=environment)
    assert len(set(file.read_text().split())) == 6


def test_warm_up_ends_when_it_has_taken_long_enough(monkeypatch):
    calls = []
    monkeypatch.setattr(harness, "once", lambda variant: calls.append(variant) or (0.6 * harness.WARM, 0))
    harness.warm("long", 5)
    assert len(calls) == 2
    monkeypatch.setattr(harness, "once", lambda variant: calls.append(variant) or (0.0, 0))
    harness.warm("short", 5)
    assert len(calls) == 7


@pytest.mark.usefixtures("importable")
def test_a_failing_process_stops_the_measurement():
    with pytest.raises(
        RuntimeError, match=r"twins\.timing\.harness:timed .* ended with 1: OSError: no variants today"
    ):
        harness.measure("test_harness:refuse", {}, Plan(processes=2))


# --- ratios ----------------------------------------------------------------------------------------


def synthetic(rng: np.random.Generator, truth: float, processes: int = 10, spread: float = 0.05) -> list[Run]:
    """Runs of variants a, b and b again: log-normal calls around a log-normal level of every process.

    The median of a is `truth` times that of b; levels of the variants are independent, the hardest case.
    """
    runs = []
    for _ in range(processes):
        variants = {}
        for name, factor in (("a", truth), ("b", 1.0), ("b" + AGAIN, 1.0)):
            level = MIDDLE * factor * np.exp(rng.normal(0, spread))
            wall = (level * np.exp(rng.normal(0, 0.05, 12))).tolist()
            variants[name] = Samples(10 * level, wall, [value / 2 for value in wall])
        runs.append(Run(variants, QUIET))
    return runs


def constant(seconds: dict[str, float], processes: int = 3) -> list[Run]:
    """Runs whose every call takes the same time."""
    variants = {name: Samples(9 * value, [value] * 4, [value / 4] * 4) for name, value in seconds.items()}
    return [Run(variants, QUIET)] * processes


def test_the_interval_covers_the_truth():
    """Fewer than 89 of 100 true 95 % intervals cover less than once in a hundred times."""
    rng = np.random.default_rng(0)
    ratios = [statistics.ratio(synthetic(rng, 1.3), "a", "b") for _ in range(100)]
    assert 89 <= sum(ratio.low <= 1.3 <= ratio.high for ratio in ratios) <= 100
    assert abs(np.median([ratio.value for ratio in ratios]) - 1.3) < 0.03
    assert np.median([ratio.high / ratio.low for ratio in ratios]) < 1.2  # and says something


def test_a_thing_against_itself_is_a_tie():
    rng = np.random.default_rng(0)
    ratios = [statistics.same(synthetic(rng, 1.3, spread=0.01))["b"] for _ in range(50)]
    assert all(ratio.tie() for ratio in ratios)
    assert sum(ratio.low <= 1 <= ratio.high for ratio in ratios) >= 44


def test_more_processes_say_more():
    rng = np.random.default_rng(0)
    widths = []
    for processes in (5, 20):
        ratios = [statistics.ratio(synthetic(rng, 1.3, processes), "a", "b") for _ in range(10)]
        widths.append(np.median([ratio.high / ratio.low for ratio in ratios]))
    assert widths[1] < widths[0]


def test_a_ratio_of_constants_is_exact():
    runs = constant({"a": 3e-3, "b": 2e-3, "b" + AGAIN: 2e-3})
    assert statistics.ratio(runs, "a", "b") == Ratio(1.5, 1.5, 1.5)
    assert statistics.ratio(runs, "b", "a", "cpu").value == pytest.approx(2 / 3)
    assert statistics.same(runs) == {"b": Ratio(1.0, 1.0, 1.0)}
    assert statistics.band(runs) == statistics.TIE


def test_one_slow_process_does_not_decide():
    runs = constant({"a": 2.0, "b": 1.0}, 4) + constant({"a": 90.0, "b": 1.0}, 1)
    assert statistics.median(runs, "a") == 2.0
    assert statistics.ratio(runs, "a", "b").value == 2.0
    assert statistics.ratio(runs, "a", "b").high > 2.0  # but it is not hidden
    assert statistics.first_call(runs, "a") == 18.0


def test_an_interval_does_not_change_when_read_again():
    runs = synthetic(np.random.default_rng(3), 0.7)
    assert statistics.ratio(runs, "a", "b") == statistics.ratio(runs, "a", "b")


@pytest.mark.parametrize(
    ("ratio", "tie", "deviation"),
    [
        (Ratio(1.0, 0.99, 1.01), True, 1 / 0.99),
        (Ratio(1.2, 1.04, 1.4), True, 1.4),
        (Ratio(1.2, 1.06, 1.4), False, 1.4),
        (Ratio(0.5, 0.4, 0.96), True, 2.5),
        (Ratio(0.5, 0.4, 0.95), False, 2.5),
        (Ratio(1.0, 0.5, 2.0), True, 2.0),
    ],
)
def test_a_tie_is_an_interval_that_meets_the_band(ratio, tie, deviation):
    assert ratio.tie() is tie
    assert ratio.deviation == pytest.approx(deviation)
    mirrored = Ratio(1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
    assert mirrored.tie() is tie
    assert mirrored.deviation == pytest.approx(deviation)


def test_a_wider_band_makes_more_ties():
    assert not Ratio(1.3, 1.2, 1.4).tie(1.1)
    assert Ratio(1.3, 1.2, 1.4).tie(1.25)


def test_the_band_is_the_error_of_the_harness():
    runs = constant({"b": 1.0, "b" + AGAIN: 1.5})
    assert statistics.same(runs)["b"].value == 1.5
    assert statistics.band(runs) == pytest.approx(1.5)


def test_the_band_is_the_larger_error_of_two():
    runs = constant({"a": 2.0, "b": 1.0, "b" + AGAIN: 1.1, "a" + AGAIN: 1.0})
    assert {name: ratio.value for name, ratio in statistics.same(runs).items()} == {
        "a": 0.5,
        "b": pytest.approx(1.1),
    }
    assert statistics.band(runs) == pytest.approx(2.0)
    assert statistics.band(constant({"a": 1.0})) == statistics.TIE


def test_rounds_are_drawn_whole():
    """Calls of one round are alike: drawn one by one they would say more than they do, and miss the truth."""
    rng, inside = np.random.default_rng(0), {1: 0, 4: 0}
    for _ in range(200):
        rounds = {name: np.exp(rng.normal(0, 0.1, (5, 1)) + rng.normal(0, 0.01, (5, 4))) for name in "ab"}
        variants = {name: Samples(1.0, x.ravel().tolist(), x.ravel().tolist()) for name, x in rounds.items()}
        for kept in inside:
            ratio = statistics.ratio([Run(variants, QUIET, kept)], "a", "b")
            inside[kept] += ratio.low <= 1 <= ratio.high
    assert inside[1] < 160 < 170 < inside[4]


def test_a_run_says_how_many_calls_of_a_round_it_keeps(monkeypatch):
    nothing = Variant(lambda: None, lambda: None)
    monkeypatch.setattr(harness.fresh_process, "find", lambda target: lambda: {"x": nothing})
    made = harness.timed("anything:x", {}, asdict(Plan(1, rounds=2, block=4, warmup=0)), 0)
    assert made["kept"] == 3 and len(made["arms"]["x"]["wall"]) == 6
    older = {name: value for name, value in made.items() if name != "kept"}
    assert statistics.run_from(older).kept == 1
    assert statistics.run_from(made).part("").kept == 3


def test_what_was_there_before_is_not_collected_while_something_is_timed():
    before = gc.get_freeze_count()
    with harness.small_heap():
        assert gc.get_freeze_count() > max(before, 10_000)
    assert gc.get_freeze_count() == 0


def test_each_warning_is_given_once():
    busy = Conditions(2, 9.0, 0.1, 0, 0.3, 1.0, 0, "mains")
    runs = [Run({}, conditions) for conditions in (busy, QUIET, busy)]
    assert statistics.warnings(runs) == ["The machine was busy: load up to 9.0 on 2 cores (in 2 of 3 runs)."]


def test_a_run_survives_its_plain_form():
    run = synthetic(np.random.default_rng(0), 1.0)[0]
    assert statistics.run_from(asdict(run)) == run


def test_a_session_may_leave_out_a_mode():
    both = {name: Samples(9.0, [seconds] * 4, [seconds] * 4) for name, seconds in (("a", 1.0), ("b", 2.0))}
    runs = [Run({"a": Samples(5.0, [3.0] * 4, [3.0] * 4)}, QUIET, 2), Run(both, QUIET, 2)]
    assert statistics.variant_names(runs) == ["a", "b"]
    assert statistics.median(runs, "a") == 2.0 and statistics.median(runs, "b") == 2.0
    assert (statistics.first_call(runs, "a"), statistics.first_call(runs, "b")) == (7.0, 9.0)
    assert statistics.ratio(runs, "b", "a").value == 2.0
    with pytest.raises(KeyError, match="no process timed 'c'; timed are a, b"):
        statistics.median(runs, "c")


# --- a system that sleeps meanwhile -------------------------------------------------------------------


def slept_at(calls: list[int], file: str) -> dict[str, Variant]:
    """Variants in a process; in the measurements of these numbers the system seems to sleep for a minute."""
    number = len(Path(file).read_text()) if Path(file).exists() else 0
    Path(file).write_text("x" * (number + 1))
    seconds = iter([0.0, 60.0 if number in calls else 0.0])
    harness.conditions.asleep = lambda: next(seconds)
    return {"a": Variant(lambda: None, lambda: None)}


def test_a_measurement_that_sleep_interrupts_is_dropped(importable, tmp_path):
    plan, file = Plan(processes=2, rounds=1, block=2, warmup=0), tmp_path / "calls"
    given = {"calls": [0, 1, 3], "file": str(file)}
    told: list[str] = []
    runs = harness.measure("test_harness:slept_at", given, plan, told.append)
    assert len(runs) == 2 and len(file.read_text()) == 5
    assert told == ["process 1 of 2", "process 2 of 2"]


def test_a_machine_that_always_sleeps_is_one_sentence(importable, tmp_path):
    plan = Plan(processes=1, rounds=1, block=2, warmup=0)
    given = {"calls": list(range(harness.TRIES)), "file": str(tmp_path / "calls")}
    with pytest.raises(
        RuntimeError, match=rf"^the machine slept during each of {harness.TRIES} measurements"
    ):
        harness.measure("test_harness:slept_at", given, plan)
