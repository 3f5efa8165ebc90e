"""Whether compiling pays: after how many steps the seconds it takes are earned back.

Compiling costs the first compiled call minus the first eager one; every later call saves the difference of
their medians. First calls are medians over fresh processes, most of which find compiled code of earlier ones
on disk, as the second run of a program does: the longest is shown beside it. Libraries, PyTorch's
compiler among them, are imported before the first call, and what importing takes is not counted (harness.py).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twins.records.record_types import Timing
from twins.timing import comparison, statistics, wording

MODES = ("eager", "compiled")


@dataclass(frozen=True)
class Payback:
    """Seconds of a framework's eager and compiled call, of compiling, and the steps that earn it back.

    `longest` is compiling in the slowest process; `steps` and its interval from `low` to `high` are infinite
    where a compiled call is not faster.
    """

    label: str
    framework: str
    eager: float
    compiled: float
    compiling: float
    longest: float
    steps: float
    low: float
    high: float


def steps(compiling: float, eager: float, speedup: float) -> float:
    """Calls after which `compiling` seconds are saved by calls `speedup` times as fast as `eager` seconds."""
    if speedup <= 1:
        return np.inf
    return float(np.ceil(round(max(0.0, compiling) / (eager * (1 - 1 / speedup)), 6)))


def size(record: Timing) -> str:
    """The label of a training step."""
    return wording.case(record.case)


def paybacks(records: Iterable[Timing], label: Callable[[Timing], str] = size) -> list[Payback]:
    """One per record and framework that was timed both eager and compiled."""
    found = []
    for record in records:
        runs = comparison.runs(record)
        for name in comparison.FRAMEWORKS:
            eager, compiled = (f"{name} {mode}" for mode in MODES)
            if {eager, compiled} <= set(comparison.variants(runs)):
                found.append(_payback(label(record), name, runs, eager, compiled))
    return found


def _payback(label: str, name: str, runs: list[statistics.Run], eager: str, compiled: str) -> Payback:
    first, speedup = statistics.first_call(runs, eager), statistics.ratio(runs, eager, compiled)
    compiling = statistics.first_call(runs, compiled) - first
    longest = max(run.arms[compiled].first for run in runs) - first
    wall = [statistics.median(runs, variant) for variant in (eager, compiled)]
    ends = [steps(compiling, wall[0], end) for end in (speedup.value, speedup.high, speedup.low)]
    return Payback(label, name, *wall, compiling, longest, *ends)


def table(found: Iterable[Payback], unit: str = "steps") -> pd.DataFrame:
    """Eager and compiled milliseconds, seconds of compiling, and the steps until it pays, with the interval
    of this session.
    """
    rows = [
        {
            "case": each.label,
            "framework": each.framework,
            "eager ms": round(1e3 * each.eager, 2),
            "compiled ms": round(1e3 * each.compiled, 2),
            "compiling s": round(each.compiling, 2),
            "longest s": round(each.longest, 2),
            f"pays after, {unit}": _written(each.steps),
            "95 % interval": _interval(each),
        }
        for each in found
    ]
    return pd.DataFrame(rows)


def reading(found: list[Payback], count: int | None = None, unit: str = "steps") -> str:
    """When compiling pays, by framework, and in how many cases within the `count` steps of this page."""
    told = []
    for name in dict.fromkeys(each.framework for each in found):
        own = [each.steps for each in found if each.framework == name]
        pays = sorted(each for each in own if each < np.inf)
        span = "–".join(dict.fromkeys(map(_written, (pays[0], pays[-1])))) if pays else ""
        after = f"pays after {span} {unit} in {len(pays)} of {len(own)} cases" if pays else "never pays"
        told.append(f"Compiling {name} {after}{', otherwise never' if 0 < len(pays) < len(own) else ''}.")
    if found and count is not None:
        within = sum(each.steps <= count for each in found)
        told.append(f"Within the {count:,} {unit} of this page it pays in {within} of {len(found)} cases.")
    return " ".join(told) or "Nothing was timed both eager and compiled."


def _written(count: float) -> str:
    return f"{count:,.0f}" if count < np.inf else "never"


def _interval(found: Payback) -> str:
    ends = dict.fromkeys(map(_written, (found.low, found.high)))
    return " to ".join(ends)
