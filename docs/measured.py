"""Figures on the page "How we measure", computed from records and the limits of the gate."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd

import mlx_startup  # noqa: F401  (before torch)
from twins.parity.limits import THRESHOLDS
from twins.records import store
from twins.records.record_types import Gate, Machine, Timing
from twins.records.store import Record
from twins.timing import comparison, statistics, wording


def gates() -> str:
    """One row for each pair of models: how many checks it has, and how many runs of the gate passed."""
    found: dict[str, list[Gate]] = {}
    for record in committed():
        if isinstance(gate := record.body, Gate):
            label = ", ".join(filter(None, (wording.name(gate.twin), gate.case.get("dtype"))))
            found.setdefault(label, []).append(gate)
    rows = [
        {
            "pair": label,
            "checks": span(len(gate.checks) for gate in own),
            "runs that passed": f"{sum(gate.passed for gate in own)} of {len(own)}",
        }
        for label, own in found.items()
    ]
    return markdown(pd.DataFrame(rows))


def limits_of_the_gate() -> str:
    """The limit of each check, what correct pairs reached, and the smallest mistake above it."""
    rows = [
        {
            "check": name,
            "limit": f"{each.limit:.0e}" if 0 < each.limit < 1 else f"{each.limit:g}",
            "correct pairs reach": f"{each.matched:.2g}",
            "a planted mistake reaches": each.defect,
        }
        for name, each in THRESHOLDS.items()
    ]
    return markdown(pd.DataFrame(rows))


def timings() -> str:
    """How often, in how many processes and with how many calls training steps were timed, in one sentence."""
    found = [record for record in committed() if of_steps(record)]
    runs = [run for record in found for run in record.body.runs]
    processes = span(len(record.body.runs) for record in found)
    calls = span(min(len(samples["wall"]) for samples in run["arms"].values()) for run in runs)
    sessions = len({record.run for record in found})
    machines = len({record.machine for record in found})
    return (
        f"Training steps were timed {len(found)} times, in {sessions} sessions on {machines} machines: in "
        f"{processes} processes each, with {calls} calls of every variant in a process."
    )


def own_error() -> str:
    """The difference below which the measurements of each machine count as ties: median and largest."""
    found: dict[str, list[float]] = {}
    for record in committed():
        if of_steps(record):
            band = statistics.band(comparison.runs(record.body))
            found.setdefault(record.machine, []).append(band)
    rows = [
        {
            "machine": chip(name),
            "measurements": len(bands),
            "ties below, median": wording.times(float(np.median(bands))),
            "ties below, noisiest": wording.times(max(bands)),
        }
        for name, bands in found.items()
    ]
    return markdown(pd.DataFrame(rows))


def devices() -> str:
    """Which devices the committed records are of, and whether an Apple GPU is among them."""
    found = committed()
    names = sorted({f"{chip(record.machine)} ({record.device})" for record in found})
    apple = any(record.device == "Apple GPU" for record in found)
    return f"- The records are of {', '.join(names)}." + (
        "" if apple else " **No Apple GPU was measured yet.**"
    )


@cache
def committed() -> list[Record]:
    """All committed records, in the order of their runs."""
    return sorted(store.read(store.ROOT / "data" / "results").records, key=lambda record: record.run)


def of_steps(record: Record) -> bool:
    """Whether a record times whole training steps."""
    return isinstance(record.body, Timing) and record.body.subject == "training step"


def chip(machine: str) -> str:
    """The newest name of the chip of a machine, or its id where no record tells it."""
    told = [r.body for r in committed() if r.machine == machine and isinstance(r.body, Machine)]
    return told[-1].chip if told else machine


def span(counts: Iterable[int]) -> str:
    """The smallest and the largest of some counts: "18 to 20", or "18"."""
    found = sorted(counts)
    return f"{found[0]}" if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
