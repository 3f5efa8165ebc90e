"""The summary page: what the records of every session say, machine by machine."""

from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from twins.records import measurements, store
from twins.records.record_types import Gate, Machine, Timing
from twins.records.store import Found, Record
from twins.timing import comparison, sessions, wording
from twins.timing.comparison import Comparison

PROFILES = ("quick", "full", "record", "share", "smoke")  # `share` is what `record` was called
SHORT = ("record", "share")  # sessions of timings, in which the rest is cut short
STEPS = ("training step", "training step by type")
CPU = "CPU"  # a machine's last device
EVERY_SESSION = (Timing, Gate, Machine)  # what of every session counts, not of the newest alone
MANY = 5  # machines from which a mean over them is given
COLUMNS = 6  # machines side by side in a table; a figure takes any number


def evidence(found: Found, machine: str, mixed: bool = False, device: str | None = None) -> list[Record]:
    """A machine's records on one device, by default its GPU where it has records: of timings and gates those
    of every session, so that no rerun replaces another, and of the rest each notebook's newest run that has
    its kind, and a session of timings alone (SHORT) only where nothing else has: its losses are cut short.

    Sessions of other versions than the newest one are left out unless `mixed`. Errors: ValueError when the
    newest runs of the notebooks differ in their versions and `mixed` is not asked for.
    """
    own = [r for r in found.records if r.machine == machine and r.profile in PROFILES]
    kept = Found(own, []).on(device or next(iter(devices(Found(own, []), machine)), "")).records
    newest: dict[str, str] = {}
    for record in kept:
        newest[record.notebook] = max(record.run, newest.get(record.notebook, ""))
    last = store.comparable([r for r in kept if r.run == newest[r.notebook]], mixed)
    same = [r for r in kept if mixed or r.versions == last[0].versions]
    newest_of: dict[tuple, tuple] = {}
    for record in same:
        kind = record.notebook, type(record.body)
        newest_of[kind] = max(_rank(record), newest_of.get(kind, ()))
    return [
        r
        for r in same
        if isinstance(r.body, EVERY_SESSION) or _rank(r) == newest_of[r.notebook, type(r.body)]
    ]


def _rank(record: Record) -> tuple:
    return record.profile not in SHORT, record.run


def devices(found: Found, machine: str) -> list[str]:
    """The devices of a machine that records were computed on, a GPU before the CPU."""
    return sorted({r.device for r in found.records if r.machine == machine}, key=lambda d: (d == CPU, d))


def label(machine: str, device: str, first: str) -> str:
    """The name of one device of a machine: that of the machine for the `first` of its devices."""
    return machine if device == first else f"{machine} ({device})"


def machines(found: Found, mixed: bool = False) -> dict[str, list[Record]]:
    """The evidence of every machine, by its name, never pooled; a second device has a name of its own.

    Errors as in `evidence`.
    """
    grouped = defaultdict(list)
    for record in found.records:
        grouped[record.machine].append(record)
    made: dict[str, list[Record]] = {}
    for name in sorted(grouped):
        own = Found(grouped[name], [])
        known = devices(own, name)
        made |= {label(name, each, known[0]): evidence(own, name, mixed, each) for each in known}
    return made


def _steps(records: list[Record], *subjects: str) -> list[tuple[str, list[Timing]]]:
    """Training-step timings with their labels, twin by twin; each with its sessions."""
    found = defaultdict(list)
    for own in measurements.by_case(records, *(subjects or STEPS[:1])):
        case = own[0].case
        found[case["twin"]].append((f"{wording.name(case['twin'])}, {comparison.size(case)}", own))
    return [step for steps in found.values() for step in steps]


def headline(records: list[Record]) -> list[Comparison]:
    """Every twin at the size that fills the machine, or else at every size; eager against eager."""
    found = _steps(records)
    kept = comparison.bound_by_computation([own[0] for _, own in found])
    return [comparison.headline(own[0], label, *own[1:]) for label, own in found if own[0] in kept]


def everything(records: list[Record]) -> list[Comparison]:
    """Every twin at every batch size, in every mode and type that both frameworks were timed in."""
    rows = []
    for label, own in _steps(records, *STEPS):
        found = comparison.by_mode(own[0], label, *own[1:])
        rows += [row for row in found if not row.label.endswith("float32")]  # the eager step, timed above
    return rows


def side_by_side(records: dict[str, list[Record]], task: str) -> list[Comparison]:
    """One task on every machine that timed it, eager against eager; a row's label is the machine.

    `task` is a label of `headline`, such as "GPT, batch 16", which may fill one machine alone.
    """
    return [
        comparison.headline(found[0], machine, *found[1:])
        for machine, own in records.items()
        for label, found in _steps(own)
        if task in (label, label.removesuffix(", filled"))
    ]


def across(rows: list[Comparison]) -> str:
    """What one, few or many machines allow to be said of a task, one point per machine, in sentences."""
    if len(rows) < 2:
        return f"On one machine only: {rows[0]}." if rows else "No machine timed this task."
    logs = np.log([row.ratio.value for row in rows])
    won = {name: sum(row.winner == name for row in rows) for name in comparison.FRAMEWORKS}
    told = ", ".join(f"{name} is faster on {count} of {len(rows)} machines" for name, count in won.items())
    low, middle, high = np.exp([logs.min(), np.median(logs), logs.max()])
    told = f"{told}; median {wording.as_fast(middle)}, range {wording.span(low, high)}."
    if len(rows) < MANY:
        return told
    wide = sessions.quantile(sessions.LEVEL, len(rows) - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(rows))
    low, middle, high = np.exp(logs.mean() + np.array([-wide, 0, wide]))
    mean, following = wording.as_fast(middle), wording.span(low, high)
    return f"{told} Mean {mean}; the next machine is expected within {following} (95 %)."


def chosen(records: dict[str, list[Record]], name: str, here: str) -> list[Record]:
    """The evidence of a machine by its name, or of this one when the name is empty.

    Errors: ValueError for a name that has no record.
    """
    if name and name not in records:
        raise ValueError(f"no record is of a machine called {name!r}; there are {', '.join(records)}")
    return records.get(name or here, [])


def named(records: dict[str, list[Record]], here: Machine) -> str:
    """The name of the records of this machine and the device in use."""
    own = f"{here.id} ({here.device})"
    return own if own in records else here.id


def columns(records: dict[str, list[Record]], first: str) -> dict[str, list[Record]]:
    """As many machines as a table has room for, this one first and then those measured last."""
    newest_run = {name: max((r.run for r in own), default="") for name, own in records.items()}
    ordered = sorted(records, key=lambda name: (name == first, newest_run[name]), reverse=True)
    return {name: records[name] for name in ordered[:COLUMNS]}


def gates(records: list[Record]) -> pd.DataFrame:
    """Every fairness gate over all sessions: how many checks, and the verdict with the checks that failed."""
    found: dict[str, list[Gate]] = {}
    for gate in (r.body for r in records if isinstance(r.body, Gate)):
        name = ", ".join(filter(None, (gate.twin, gate.case.get("dtype"))))
        found.setdefault(name, []).append(gate)
    rows = []
    for twin, own in found.items():
        failed = dict.fromkeys(c["name"] for gate in own for c in gate.checks if not c["passed"])
        passed = sum(gate.passed for gate in own)
        verdict = "passed" if passed == len(own) else f"FAILED: {', '.join(failed)}"
        rows.append((twin, max(len(gate.checks) for gate in own), len(own), verdict))
    return pd.DataFrame(rows, columns=["twin", "checks", "runs", "verdict"])


def runs(found: Found) -> pd.DataFrame:
    """One row per machine, device and notebook: its sessions by versions, and where and when they were run.

    Sessions before hosts and boots were recorded count as one of each.
    """
    rows = []
    keys = {(r.machine, r.device, r.notebook, _versions(r)) for r in found.records if r.profile in PROFILES}
    for machine, device, name, versions in sorted(keys):
        own = [
            r
            for r in found.on(device).records
            if (r.machine, r.notebook, _versions(r)) == (machine, name, versions) and r.profile in PROFILES
        ]
        when = measurements.sessions(own)
        facts = [r.body for r in own if isinstance(r.body, Machine)]
        hosts, boots = ({getattr(each, what) for each in facts} for what in ("host", "boot"))
        profiles = ", ".join(dict.fromkeys(r.profile for r in own))
        told = versions, len(own), when[0][:10], when[-1][:10], _age(when[-1])
        rows.append((machine, device, name, profiles, len(when), len(hosts), len(boots), *told))
    columns = ["machine", "device", "notebook", "profile", "sessions", "hosts", "starts", "versions"]
    return pd.DataFrame(rows, columns=[*columns, "records", "first", "last", "days ago"])


def _versions(record: Record) -> str:
    return f"mlx {record.versions['mlx']}, torch {record.versions['torch']}"


def _age(run: str) -> int:
    """Whole days since a run, by the date it carries."""
    return (datetime.now(UTC).date() - datetime.fromisoformat(run[:10]).date()).days


def missing(records: list[Record], here: Machine) -> str:
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
