"""The tables of a page that times training steps, out of records; comparisons are in comparison.py."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from twins.records.record_types import Gate, Machine, Memory, Timing
from twins.timing import statistics
from twins.timing.statistics import FRAMEWORKS, runs


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


def counted(records: Iterable[Memory]) -> bool:
    """Whether every framework kept a count of its own, as on GPUs."""
    return all(record.allocator is not None for record in records)


def added(record: Memory, records: Iterable[Memory]) -> float:
    """Megabytes that one variant adds, median: the framework's own count where all of `records` have one."""
    own = record.allocator if counted(records) else None
    return float(np.median([own] if own is not None else record.readings or [record.resident])) / 2**20


def megabytes(readings: Sequence[int]) -> str:
    """The median of some readings in megabytes, and their range where there are several: "66 (61 to 104)"."""
    found = np.array(readings) / 2**20
    several = f" ({found.min():.0f} to {found.max():.0f})" if len(found) > 1 else ""
    return f"{np.median(found):.0f}{several}"


def memory_sources(records: Iterable[Memory]) -> str:
    """What each framework's own count includes, or that it reports none, one bullet each."""
    told = dict.fromkeys(
        f"- {name} reports no peak of its own here; compare the {record.process} instead."
        if record.allocator is None
        else f"- {name}: {record.source}."
        for record in records
        for name in record.arm.split()[:1]
    )
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
