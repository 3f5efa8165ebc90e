"""The summary page: what the newest records of every notebook say, machine by machine."""

from collections import defaultdict
from datetime import UTC, datetime

import pandas as pd

from twins.records import store
from twins.records.record_types import Gate, Machine, Timing
from twins.records.store import Found, Record
from twins.timing import comparison
from twins.timing.comparison import Comparison

PROFILES = ("quick", "full", "record", "share", "smoke")  # `share` is what `record` was called
STEPS = ("training step", "training step by type")
CPU = "CPU"  # a machine's last device
COLUMNS = 6  # machines side by side in a table; a figure takes any number


def newest(found: Found, machine: str, mixed: bool = False, device: str | None = None) -> list[store.Record]:
    """The newest run of every notebook on one device of a machine, by default its GPU where it has records.

    Errors: ValueError when versions differ between them and `mixed` is not asked for.
    """
    own = Found([r for r in found.records if r.machine == machine], [])
    own = own.on(device or next(iter(devices(own, machine)), ""))
    names = sorted({r.notebook for r in own.records})
    kept = [r for name in names for r in store.latest(own, machine, name, PROFILES).records]
    return store.comparable(kept, mixed)


def devices(found: Found, machine: str) -> list[str]:
    """The devices of a machine that records were computed on, a GPU before the CPU."""
    return sorted({r.device for r in found.records if r.machine == machine}, key=lambda d: (d == CPU, d))


def label(machine: str, device: str, first: str) -> str:
    """The name of one device of a machine: that of the machine for the `first` of its devices."""
    return machine if device == first else f"{machine} ({device})"


def machines(found: Found, mixed: bool = False) -> dict[str, list[store.Record]]:
    """The newest records of every machine, by its name, never pooled; a second device has a name of its own.

    Errors as in `newest`.
    """
    grouped = defaultdict(list)
    for record in found.records:
        grouped[record.machine].append(record)
    made: dict[str, list[Record]] = {}
    for name in sorted(grouped):
        own = Found(grouped[name], [])
        known = devices(own, name)
        made |= {label(name, each, known[0]): newest(own, name, mixed, each) for each in known}
    return made


def _steps(records: list[store.Record]) -> list[tuple[str, Timing]]:
    """Training-step timings with their labels, twin by twin."""
    found = defaultdict(list)
    for record in records:
        if isinstance(record.body, Timing) and record.body.subject == "training step":
            case = record.body.case
            found[case["twin"]].append((f"{case['twin']}, {comparison.size(case)}", record.body))
    return [step for steps in found.values() for step in steps]


def headline(records: list[store.Record]) -> list[Comparison]:
    """Every twin at the size that fills the machine, or else at every size; each framework at its best."""
    found = _steps(records)
    kept = comparison.bound_by_computation([timing for _, timing in found])
    return [comparison.at_best(timing, label) for label, timing in found if timing in kept]


def everything(records: list[store.Record]) -> list[Comparison]:
    """Every twin at every batch size, in every mode and type that both frameworks were timed in."""
    bodies = [r.body for r in records if isinstance(r.body, Timing) and r.body.subject in STEPS]
    rows = []
    for body in bodies:
        found = comparison.by_mode(body, f"{body.case['twin']}, {comparison.size(body.case)}")
        rows += [row for row in found if not row.label.endswith("float32")]  # the eager step, timed above
    return rows


def side_by_side(records: dict[str, list[store.Record]], task: str) -> list[Comparison]:
    """One task on every machine that timed it, each framework at its best; a row's label is the machine.

    `task` is a label of `headline`, such as "transformer_lm, batch 16".
    """
    return [
        comparison.at_best(timing, machine)
        for machine, own in records.items()
        for label, timing in _steps(own)
        if label == task
    ]


def chosen(records: dict[str, list[store.Record]], name: str, here: str) -> list[store.Record]:
    """The newest records of a machine by its name, or of this one when the name is empty.

    Errors: ValueError for a name that has no record.
    """
    if name and name not in records:
        raise ValueError(f"no record is of a machine called {name!r}; there are {', '.join(records)}")
    return records.get(name or here, [])


def named(records: dict[str, list[store.Record]], here: Machine) -> str:
    """The name of the records of this machine and the device in use."""
    own = f"{here.id} ({here.device})"
    return own if own in records else here.id


def columns(records: dict[str, list[store.Record]], first: str) -> dict[str, list[store.Record]]:
    """As many machines as a table has room for, this one first and then those measured last."""
    newest_run = {name: max((r.run for r in own), default="") for name, own in records.items()}
    ordered = sorted(records, key=lambda name: (name == first, newest_run[name]), reverse=True)
    return {name: records[name] for name in ordered[:COLUMNS]}


def gates(records: list[store.Record]) -> pd.DataFrame:
    """Every fairness gate: how many checks, and the verdict with the checks that failed."""
    rows = []
    for gate in (r.body for r in records if isinstance(r.body, Gate)):
        failed = [check["name"] for check in gate.checks if not check["passed"]]
        verdict = "passed" if gate.passed else f"FAILED: {', '.join(failed)}"
        twin = ", ".join(filter(None, (gate.twin, gate.case.get("dtype"))))
        rows.append((twin, len(gate.checks), verdict))
    return pd.DataFrame(rows, columns=["twin", "checks", "verdict"])


def evidence(found: Found) -> pd.DataFrame:
    """One row per machine and notebook: device, versions, profile, number of records and age."""
    rows = []
    for machine, device, name in sorted({(r.machine, r.device, r.notebook) for r in found.records}):
        kept = store.latest(found.on(device), machine, name, PROFILES).records
        if kept:
            first = kept[0]
            versions = f"mlx {first.versions['mlx']}, torch {first.versions['torch']}"
            run = versions, len(kept), first.run[:10], _age(first.run)
            rows.append((machine, first.device, name, first.profile, *run))
    columns = ["machine", "device", "notebook", "profile", "versions", "records", "measured on", "days ago"]
    return pd.DataFrame(rows, columns=columns)


def _age(run: str) -> int:
    """Whole days since a run, by the date it carries."""
    return (datetime.now(UTC).date() - datetime.fromisoformat(run[:10]).date()).days


def missing(records: list[store.Record], here: Machine) -> str:
    """What was not measured on this machine, and what is needed for it; one bullet each."""
    lines = []
    if here.device != "Apple GPU":
        lines.append(
            "Anything on Apple silicon (Metal, MPS, Core ML's own predictions): needs an M-series Mac."
        )
    if here.device != "CUDA":
        lines.append("Anything on an NVIDIA GPU: needs Linux with CUDA and the extra `cuda`.")
    if not headline(records):
        lines.append("Training speed: no record yet, `make report` makes them.")
    return "\n".join(f"- {line}" for line in lines)
