"""The summary page: what the newest records of every notebook say, machine by machine."""

from collections import defaultdict

import pandas as pd

from twins import compare, results
from twins.compare import Comparison
from twins.results import Found, Machine

PROFILES = ("quick", "full", "smoke")  # runs of the report; what was tried by hand is not evidence
STEPS = ("training step", "training step by type")
CLAIMED = 2.0  # "up to 2x faster", the claim that circulates about M3 Max


def newest(found: Found, machine: str, mixed: bool = False) -> list[results.Record]:
    """The newest run of every notebook on one machine.

    Errors: ValueError when versions or devices differ between them and `mixed` is not asked for.
    """
    names = sorted({r.notebook for r in found.records if r.machine == machine})
    kept = [r for name in names for r in results.latest(found, machine, name, PROFILES).records]
    return results.comparable(kept, mixed)


def _steps(records: list[results.Record]) -> dict[str, list[results.Timing]]:
    """Training-step timings by twin."""
    found = defaultdict(list)
    for record in records:
        if isinstance(record.body, results.Timing) and record.body.subject == "training step":
            found[record.body.case["twin"]].append(record.body)
    return dict(found)


def headline(records: list[results.Record]) -> list[Comparison]:
    """Every twin at every batch size, each framework at its best."""
    rows = []
    for twin, timings in _steps(records).items():
        for timing in timings:
            rows.append(compare.at_best(timing, f"{twin}, batch {timing.case['batch']}"))
    return rows


def everything(records: list[results.Record]) -> list[Comparison]:
    """Every twin at every batch size, in every mode and type that both frameworks were timed in."""
    bodies = [r.body for r in records if isinstance(r.body, results.Timing) and r.body.subject in STEPS]
    rows = []
    for body in bodies:
        found = compare.by_mode(body, f"{body.case['twin']}, batch {body.case['batch']}")
        rows += [row for row in found if not row.label.endswith("float32")]  # the eager step, timed above
    return rows


def claim(records: list[results.Record], here: Machine) -> str:
    """What these records say to the claim of "up to 2x faster training", in one paragraph."""
    rows = headline(records)
    if not rows:
        return "No training step is recorded on this machine yet; `make report` measures it."
    told = compare.reading(rows)
    reached = max(rows, key=lambda c: c.ratio.high)
    if here.device != "Apple GPU":
        return f"{told} The claim of up to {CLAIMED:g}× is about Apple silicon: **not measured here**."
    verdict = "is within reach of" if reached.ratio.high >= CLAIMED else "is not reached by"
    return f"{told} The claim of up to {CLAIMED:g}× {verdict} these records: at most {reached.ratio}."


def gates(records: list[results.Record]) -> pd.DataFrame:
    """Every fairness gate: how many checks, and the verdict with the checks that failed."""
    rows = []
    for gate in (r.body for r in records if isinstance(r.body, results.Gate)):
        failed = [check["name"] for check in gate.checks if not check["passed"]]
        verdict = "passed" if gate.passed else f"FAILED: {', '.join(failed)}"
        twin = ", ".join(filter(None, (gate.twin, gate.case.get("dtype"))))
        rows.append({"twin": twin, "checks": len(gate.checks), "verdict": verdict})
    return pd.DataFrame(rows, columns=["twin", "checks", "verdict"])


def evidence(found: Found) -> pd.DataFrame:
    """One row per machine and notebook: device, versions, profile, number of records and age."""
    rows = []
    for machine, name in sorted({(r.machine, r.notebook) for r in found.records}):
        kept = results.latest(found, machine, name, PROFILES).records
        if kept:
            first = kept[0]
            versions = f"mlx {first.versions['mlx']}, torch {first.versions['torch']}"
            row = {"machine": machine, "device": first.device, "notebook": name, "profile": first.profile}
            rows.append(row | {"versions": versions, "records": len(kept), "measured on": first.run[:10]})
    columns = ["machine", "device", "notebook", "profile", "versions", "records", "measured on"]
    return pd.DataFrame(rows, columns=columns)


def missing(records: list[results.Record], here: Machine) -> str:
    """What this machine could not measure or has not yet, and what is needed; one bullet each."""
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
