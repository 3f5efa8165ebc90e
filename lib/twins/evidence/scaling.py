"""What more processes bring, out of records: speed, efficiency, exchanges beside their bandwidth bound."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from twins.evidence import projection
from twins.records.record_types import Exchange, Gate, Timing
from twins.timing import statistics, tables, wording
from twins.timing.statistics import FRAMEWORKS, Ratio

SUBJECT = "data-parallel step"  # of records of times
KIND = " eager"
MB = 1e6


@dataclass(frozen=True)
class Scaled:
    """Several processes in one framework: median seconds of a step, and what they gain.

    `speedup`: over one process with all CPU threads; `efficiency`: time of one process with a process's
    threads over `processes` times that of all.
    """

    framework: str
    processes: int
    threads: int
    seconds: float
    speedup: Ratio
    efficiency: Ratio


def label(case: dict) -> str:
    """A layout in words: "2 processes, 1 thread each"."""
    return wording.layout(case["processes"], case["threads"])


def whole(records: Sequence[Timing]) -> Timing | None:
    """One process with all threads."""
    own = [record for record in records if record.case["processes"] == 1]
    return max(own, key=lambda record: record.case["threads"], default=None)


def share(records: Sequence[Timing], many: Timing) -> Timing | None:
    """One process with as many threads as each of several has."""
    wanted = many.case | {"processes": 1}
    return next((record for record in records if record.case == wanted), None)


def ratio(over: Timing, under: Timing, framework: str) -> Ratio | None:
    """One layout's time over another's, with its interval over launches; None where one was not measured."""
    variant, runs = f"{framework}{KIND}", []
    for one, other in zip(statistics.runs(over), statistics.runs(under), strict=False):
        if variant in one.arms and variant in other.arms:
            runs.append(replace(one, arms={"over": one.arms[variant], "under": other.arms[variant]}))
    return statistics.ratio(runs, "over", "under") if runs else None


def scaled(records: Sequence[Timing]) -> list[Scaled]:
    """Every count of several processes in every framework that was timed with it."""
    found, one = [], whole(records)
    for many in (record for record in records if record.case["processes"] > 1):
        alone = share(records, many)
        for framework in FRAMEWORKS if one and alone else ():
            speedup, gained = ratio(one, many, framework), ratio(alone, many, framework)
            if speedup and gained:
                n, threads = many.case["processes"], many.case["threads"]
                efficiency = Ratio(*(each / n for each in (gained.value, gained.low, gained.high)))
                seconds = statistics.median(statistics.runs(many), f"{framework}{KIND}")
                found.append(Scaled(framework, n, threads, seconds, speedup, efficiency))
    return found


def table(records: Sequence[Timing]) -> pd.DataFrame:
    """Every layout and framework: milliseconds of a step, speed against the whole machine, efficiency."""
    gained = {(each.framework, each.processes): each for each in scaled(records)}
    rows = []
    for record in records:
        runs = statistics.runs(record)
        for framework in FRAMEWORKS:
            if f"{framework}{KIND}" in statistics.variant_names(runs):
                found = gained.get((framework, record.case["processes"]))
                speed = f"{spread(found.speedup)}×" if found else ""
                cells = speed, percent(found.efficiency) if found else ""
                ms = f"{1e3 * statistics.median(runs, f'{framework}{KIND}'):.1f}"
                rows.append((label(record.case), framework, ms, *cells))
    columns = ["processes", "framework", "ms", "as fast as one process", "efficiency"]
    return pd.DataFrame(rows, columns=columns)


def spread(found: Ratio) -> str:
    """A ratio with its interval, three digits."""
    return f"{found.value:.3g} [{found.low:.3g}–{found.high:.3g}]"


def percent(found: Ratio) -> str:
    """A share with its interval in percent."""
    return f"{100 * found.value:.0f} % [{100 * found.low:.0f}–{100 * found.high:.0f}]"


def bandwidth(records: Iterable[Exchange], framework: str, processes: int) -> float | None:
    """The fastest copy from one process to another in bytes in a second; None where there was no copy."""
    own = [r for r in records if (r.framework, r.processes) == (framework, processes) and r.copied]
    return max((r.size / float(np.median(r.copied)) for r in own), default=None)


def bound(records: Sequence[Exchange], record: Exchange) -> float | None:
    """The least seconds of an all-reduce at the bandwidth of a copy; None where that was not measured."""
    rate = bandwidth(records, record.framework, record.processes)
    return projection.exchange(record.size, record.processes, rate) if rate else None


def exchange_table(records: Sequence[Exchange]) -> pd.DataFrame:
    """Every all-reduce beside its bandwidth bound, and the copy beside it."""
    rows = []
    for r in records:
        least, reduced = bound(records, r), float(np.median(r.reduced))
        copied = f"{r.size / float(np.median(r.copied)) / 1e9:.2g}" if r.copied else r.refused
        times = (
            f"{1e3 * reduced:.3g}",
            f"{1e3 * least:.3g}" if least else "",
            f"{reduced / least:.3g}×" if least else "",
        )
        size = f"{r.size / MB:.3g}{' (gradients)' if r.gradients else ''}"
        rows.append((f"{r.framework}, {r.backend}", r.processes, size, *times, copied))
    columns = ["back end", "processes", "MB", "all-reduce ms", "bound ms", "over bound", "copy GB/s"]
    return pd.DataFrame(rows, columns=columns)


def shared(records: Sequence[Timing], device: str) -> str:
    """What several processes share on this machine, in one or two sentences; computed from their threads."""
    one = whole(records)
    several = [record.case for record in records if record.case["processes"] > 1]
    if not one or not several:
        return "Only one process was timed: this machine has no room for a second one."
    told = [
        f"{case['processes']} processes have {wording.many(case['threads'], 'CPU thread')} each, "
        f"{case['processes'] * case['threads']} together; one process alone has {one.case['threads']}"
        for case in several
    ]
    together = max(case["processes"] * case["threads"] for case in several)
    same = "so that no gain is possible but by using them better"
    other = "and have more threads together: a gain is one of threads, as one process could have"
    more = {
        "CPU": f"They share one machine's cores, {other if together > one.case['threads'] else same}.",
        "Apple GPU": "They share the one GPU.",
        "CUDA": "Each has a GPU of its own.",
    }
    return f"{'; '.join(told)}. {more.get(device, '')}"


def works(records: Sequence[Timing], exchanged: Iterable[Exchange]) -> list[projection.Work]:
    """The step of one process with all threads, in every framework whose gradients were exchanged."""
    sizes = {each.framework: each.size for each in exchanged if each.gradients}
    one = whole(records)
    if one is None:
        return []
    runs = statistics.runs(one)
    return [
        projection.Work(name, statistics.median(runs, f"{name}{KIND}"), sizes[name], one.case["batch"])
        for name in FRAMEWORKS
        if name in sizes and f"{name}{KIND}" in statistics.variant_names(runs)
    ]


def losses(gate: Gate) -> str:
    """Whether several processes give the losses of one, in one sentence; and what was not measured."""
    if not gate.checks:
        told = "No run of several processes was compared with one."
    else:
        worst = max(gate.checks, key=lambda check: np.inf if check["value"] is None else check["value"])
        value = "not finite" if worst["value"] is None else f"{worst['value']:.1g}"
        same = "have" if gate.passed else "**do not have**"
        told = (
            f"Several processes {same} the losses of one over {gate.case['steps']} steps: the largest "
            f"relative difference is {value} ({worst['name'].removeprefix('losses, ')}; "
            f"limit {worst['limit']:.0e})."
        )
    return " ".join([told, *(f"{note}." for note in gate.notes)])


def checks(gate: Gate) -> pd.DataFrame:
    """Every comparison of losses with its limit."""
    return pd.DataFrame(map(tables.check_row, gate.checks))


def reading(records: Sequence[Exchange]) -> str:
    """How far the all-reduce of the gradients is above its bandwidth bound, in one sentence for each."""
    told = []
    for r in (record for record in records if record.gradients):
        least, reduced = bound(records, r), float(np.median(r.reduced))
        name = f"{r.framework} over {r.processes} processes ({r.backend})"
        beside = f", {reduced / least:.2g}× its bandwidth bound" if least else ", no bound was measured"
        told.append(f"{name}: {wording.milliseconds(reduced)} for {r.size / MB:.2g} MB{beside}")
    return f"{'; '.join(told)}." if told else "Nothing was exchanged."
