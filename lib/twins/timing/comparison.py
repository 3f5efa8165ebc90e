"""Comparisons made from timing records: who is faster, by how much, or a tie; and the tables of a page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twins.records.record_types import (
    AS_SHIPPED,
    EQUAL,
    Gate,
    Machine,
    Memory,
    Precision,
    Timing,
)
from twins.timing import sessions, statistics
from twins.timing.sessions import Sessions
from twins.timing.statistics import AGAIN, Ratio

FRAMEWORKS = ("MLX", "PyTorch")
SERIES = ("02_transformer_lm", "03_bert", "04_vision", "12_your_model")  # where training steps are timed
FACTOR = 4.0  # an error this many times larger is another arithmetic; rounding differs by less


TIED, UNDECIDED = "tie", "undecided"


@dataclass(frozen=True)
class Comparison:
    """PyTorch's time over MLX's for one task, above 1 MLX is faster, over the sessions that timed it.

    `band` is the factor below which no difference is published: the tie band, or the harness's own error.
    """

    label: str
    over: Sessions
    band: float

    @property
    def ratio(self) -> Ratio:
        """The ratio with the 95 % interval of another session's."""
        return self.over.ratio

    @property
    def winner(self) -> str | None:
        """The faster framework, None where the interval meets the band."""
        if self.ratio.tie(self.band):
            return None
        return "MLX" if self.ratio.value > 1 else "PyTorch"

    @property
    def verdict(self) -> str:
        """Who is faster, "tie" where the whole interval lies in the band, or "undecided"."""
        if self.winner:
            return f"{self.winner} faster"
        return TIED if self.ratio.deviation <= self.band else UNDECIDED

    def __str__(self) -> str:
        if self.verdict == TIED:
            return f"{self.label}: a tie"
        value, ends = self.ratio.value, (self.ratio.low, self.ratio.high)
        if self.winner is None:
            return f"{self.label}: undecided, {value:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
        low, high = sorted(max(1 / end, end) for end in ends)
        return f"{self.label}: {self.winner} is {max(value, 1 / value):.2f}× faster [{low:.2f}, {high:.2f}]"


def runs(record: Timing) -> list[statistics.Run]:
    """The runs of a timing record."""
    return [statistics.run_from(run) for run in record.runs]


def variants(found: list[statistics.Run]) -> list[str]:
    """The variants of a measurement without those for A/A."""
    return [name for name in statistics.variant_names(found) if not name.endswith(AGAIN)]


def best(found: list[statistics.Run], framework: str) -> str:
    """The framework's fastest variant."""
    own = [variant for variant in variants(found) if variant.split()[0].rstrip(",") == framework]
    return min(own, key=lambda variant: statistics.median(found, variant))


def kinds(record: Timing) -> list[str]:
    """What follows the framework's name in the variants that both frameworks ran, eager before compiled."""
    names = {name for run in record.runs for name in run["arms"] if not name.endswith(AGAIN)}
    both = ({name.removeprefix(each) for name in names if name.startswith(each)} for each in FRAMEWORKS)
    return sorted(set.intersection(*both), reverse=True)


def by_mode(record: Timing, label: str, *more: Timing) -> list[Comparison]:
    """One comparison per mode that both frameworks ran; `more` are other sessions of the same measurement."""
    return [
        compared([record, *more], kind, ", ".join(filter(None, (label, kind.strip(", ")))))
        for kind in kinds(record)
    ]


def headline(record: Timing, label: str, *more: Timing) -> Comparison:
    """Eager against eager, the mode that was fixed before anything was timed; or the one mode there is."""
    return compared([record, *more], kinds(record)[0], label)


def compared(records: Sequence[Timing], kind: str, label: str) -> Comparison:
    """PyTorch against MLX in one mode, over the sessions that some records of one measurement are of."""
    found = [runs(record) for record in records if kind in kinds(record)]
    over = sessions.of(found, f"PyTorch{kind}", f"MLX{kind}", records[0].subject)
    return Comparison(label, over, middle_band(found))


def middle_band(found: Sequence[list[statistics.Run]]) -> float:
    """The median over sessions of the band of a tie: one noisy session does not hide every other."""
    return float(np.median([statistics.band(each) for each in found]))


def provisional(comparisons: Iterable[Comparison]) -> str:
    """How many sessions the figures are of, and what their intervals hold, in one sentence."""
    counts = sorted({comparison.over.count for comparison in comparisons})
    if not counts:
        return ""
    if counts[-1] == 1:
        return (
            "Within one session, provisional: the intervals are widened by what sessions are known to "
            "differ; `make record` after a restart adds a session."
        )
    told = " to ".join(dict.fromkeys(map(str, (counts[0], counts[-1]))))
    return f"Over {told} sessions: the intervals are those in which the next session's figure lies."


def size(case: dict) -> str:
    """A training step's size in words: "batch 16", or "batch 512, filled" where it fills the machine."""
    return f"batch {case['batch']}{', filled' if case.get('filled') else ''}"


def bound_by_computation(records: Iterable[Timing]) -> list[Timing]:
    """The filled measurements of each twin that has any, and all of every other twin.

    Records made before sizes were filled have none.
    """
    records = list(records)
    filled = {record.case["twin"] for record in records if record.case.get("filled")}
    return [r for r in records if r.case["twin"] not in filled or r.case.get("filled")]


def batches(records: Iterable[Timing]) -> list[int]:
    """The batch sizes of some measurements, in order."""
    return list(dict.fromkeys(record.case["batch"] for record in records))


def steps(records: Iterable[Timing]) -> list[Comparison]:
    """Comparisons of training-step records by batch size and mode."""
    return [c for record in records for c in by_mode(record, size(record.case))]


def headlines(records: Iterable[Timing]) -> list[Comparison]:
    """Comparisons of training-step records by batch size, eager against eager."""
    return [headline(record, f"{size(record.case)}, eager") for record in records]


def reading(comparisons: list[Comparison]) -> str:
    """What the comparisons show, one sentence each, and over how many sessions."""
    told = [*(f"{c}." for c in comparisons), provisional(comparisons)]
    return " ".join(filter(None, told)) or "Nothing was timed."


def aa(records: Iterable[Timing]) -> str:
    """The error of the harness, measured by comparing each framework with itself, in one sentence."""
    found = [(name, ratio) for record in records for name, ratio in statistics.same(runs(record)).items()]
    if not found:
        return "Nothing was timed."
    told, least = [], max([statistics.TIE, *(ratio.deviation for _, ratio in found)])
    for framework in FRAMEWORKS:
        if ratios := [ratio for name, ratio in found if framework in name]:
            worst = max(ratios, key=lambda ratio: ratio.deviation)
            told.append(f"{framework} timed against itself gives {worst} over {len(ratios)} measurements")
    where = f"where it is furthest from 1; no difference below {least:.2f}× is published there"
    return f"A/A: {' and '.join(told)}, {where}."


def warnings(records: Iterable[Timing]) -> list[str]:
    """What disturbed the machine during these measurements, one sentence for each kind."""
    return statistics.warnings([run for record in records for run in runs(record)])


def step_table(records: Iterable[Timing], tokens: int, unit: str = "tokens") -> pd.DataFrame:
    """Per batch size and variant: median wall and CPU time, cores busy (CPU over wall), first call, rate."""
    rows = []
    for record in records:
        found, batch = runs(record), record.case["batch"]
        for variant in statistics.variant_names(found):
            wall, cpu = (statistics.median(found, variant, clock) for clock in ("wall", "cpu"))
            first = round(statistics.first_call(found, variant), 2)
            times = round(wall * 1e3, 2), round(cpu * 1e3, 2), round(cpu / wall, 2)
            rows.append((batch, variant, *times, first, round(batch * tokens / wall)))
    columns = ["batch", "step", "wall ms", "CPU ms", "cores busy", "first call s", f"{unit}/s"]
    return pd.DataFrame(rows, columns=columns)


def comparison_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Task, ratio with interval, and verdict."""
    rows = []
    for c in comparisons:
        interval = f"{c.ratio.low:.3f} to {c.ratio.high:.3f}"
        rows.append((c.label, round(c.ratio.value, 3), interval, c.over.count, c.verdict))
    columns = ["task", "PyTorch ÷ MLX", "95 %, next session", "sessions", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def gate_table(*gates: Gate) -> pd.DataFrame:
    """Every check of a fairness gate, or of several, and what was not checked."""
    rows = [check_row(check) for gate in gates for check in gate.checks]
    left = {"check": "float64", "worst": "", "limit": "", "verdict": "not checked"}
    return pd.DataFrame(rows + [left | {"where": note} for gate in gates for note in gate.notes])


def check_row(check: dict) -> dict[str, str]:
    """One check of a gate as a row of a table."""
    return {
        "check": check["name"],
        "worst": "not finite" if check["value"] is None else f"{check['value']:.2g}",
        "limit": f"{check['limit']:.2g}",
        "where": check["where"],
        "verdict": "passed" if check["passed"] else "FAILED",
    }


def part_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Milliseconds of each part of a step; backward is what forward and backward takes beyond forward."""
    rows = []
    for record in records:
        found = runs(record)
        for framework in FRAMEWORKS:
            ms = {p: 1e3 * statistics.median(found, f"{framework} {p}") for p in PARTS}
            both = ms.pop("forward and backward")
            rows.append({"framework": framework, **ms, "backward": both - ms["forward"]})
    return pd.DataFrame(rows, columns=["framework", "data", "forward", "backward", "optimizer"])


PARTS = ("data", "forward", "forward and backward", "optimizer")


def memory_table(records: Iterable[Memory]) -> pd.DataFrame:
    """Megabytes that training adds, by variant, median and range; the heading says what was read."""
    records = list(records)
    process = f"{' or '.join(dict.fromkeys(r.process for r in records)) or 'process'} MB"
    rows = []
    for r in records:
        counted = "not counted" if r.allocator is None else round(r.allocator / 2**20)
        rows.append((r.arm, megabytes(r.readings or [r.resident]), counted))
    return pd.DataFrame(rows, columns=["step", process, "allocator's peak MB"])


def megabytes(readings: Sequence[int]) -> str:
    """The median of some readings in megabytes, and their range where there are several: "66 (61 to 104)"."""
    found = np.array(readings) / 2**20
    several = f" ({found.min():.0f} to {found.max():.0f})" if len(found) > 1 else ""
    return f"{np.median(found):.0f}{several}"


def memory_sources(records: Iterable[Memory]) -> str:
    """What each framework's own count includes, one bullet each."""
    told = dict.fromkeys(f"- {record.arm.split()[0]}: {record.source}." for record in records)
    return "\n".join(told) or "Nothing was measured."


def machine_table(machine: Machine) -> pd.DataFrame:
    """The machine and its software, one row a fact."""
    facts = {
        "chip": machine.chip,
        "GPU": machine.gpu or ("none that both use" if machine.device == "CPU" else machine.device),
        **({"GPU cores": machine.gpu_cores} if machine.gpu_cores else {}),
        "cores": machine.cores,
        "memory, GB": machine.memory_gb,
        "system": machine.system,
        "Python": machine.python,
        **machine.versions,
        "computed on": machine.device,
        **({"wheel of MLX's back end": machine.mlx_wheel} if machine.mlx_wheel else {}),
        "BLAS of MLX": machine.blas,
        "CPU threads of each framework": machine.threads,
        "C++ compiler of mx.compile": machine.compiler,
        "float32": "full precision on both, no TF32",
        "power": machine.power,
    }
    return pd.DataFrame({"what": facts.keys(), "this machine": map(str, facts.values())})


def differing(found: Iterable[Precision]) -> list[str]:
    """The frameworks whose float32 is another arithmetic as shipped than as this report sets it."""
    by = {(each.framework, each.setting): each for each in found}
    pairs = {name: (by[name, AS_SHIPPED], by[name, EQUAL]) for name in dict.fromkeys(name for name, _ in by)}
    return [
        name
        for name, (shipped, equal) in pairs.items()
        if shipped.product > FACTOR * equal.product or shipped.gradients > FACTOR * equal.gradients
    ]
