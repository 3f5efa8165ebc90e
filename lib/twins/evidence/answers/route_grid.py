"""Routes to Core ML against models: which packages are right, in how many seconds, and otherwise why not.

A package counts by the precision that was asked for. Routes that write no package, and those that do not
exist on this system, are in no row.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from twins.records.export_types import COMPUTES, DIRECT, LIMITS, Conversion
from twins.timing import wording

MOST = 7  # models that a grid has room for beside the route
SHORT = {"float16": "fp16", "float32": "fp32"}
ONE_CALL = "MLX, one call"
THROUGH = "PyTorch, ONNX"  # how the names of routes through ONNX begin
SAYS = (  # where an error message names the operation that a route does not know
    r"[Uu]nsupported fx node (?P<what>\w+)",
    r"ONNX op '(?P<what>\w+)' is not supported",
    r"operator '(?:\w+::)?(?P<what>\w+)' to ONNX",
    r"convert function for op '(?P<what>\w+)'",
    r"operation_type='(?P<what>\w+)'",
)


@dataclass(frozen=True)
class Standing:
    """What a route made: packages right by the precision asked for, of how many, and their median seconds."""

    route: str
    right: int
    tried: int
    seconds: float | None

    @property
    def whole(self) -> bool:
        """Whether every package is right."""
        return self.right == self.tried

    def __str__(self) -> str:
        return f"{self.right} of {self.tried} right"


def name(record: Conversion | str) -> str:
    """A route's name for people; one that was run in an environment of its own says so."""
    route = record if isinstance(record, str) else record.route
    told = ONE_CALL if route == DIRECT else route
    if route.startswith(THROUGH):
        told = " → ".join(route.replace(" (tracing)", " by tracing").split(", "))
    separate = not isinstance(record, str) and record.case.get("apart")
    return f"{told} (separate environment)" if separate else told


def with_packages(records: Iterable[Conversion]) -> list[Conversion]:
    """The conversions by routes that can write a package here."""
    own = [record for record in records if not record.absent]
    writes = {record.route for record in own if record.size}
    tried = {record.route for record in own if record.steps and "front_end" not in record.failed}
    return [r for r in own if r.route in writes | tried and (r.failed or r.right is not None)]


def standings(records: Iterable[Conversion]) -> list[Standing]:
    """Every route in the order of the records, the direct one from MLX first."""
    found: dict[str, list[Conversion]] = {}
    for record in sorted(with_packages(records), key=lambda r: r.route != DIRECT):
        if not record.case.get("apart"):
            found.setdefault(record.route, []).append(record)
    return [_standing(route, own) for route, own in found.items()]


def _standing(route: str, own: list[Conversion]) -> Standing:
    right = [record for record in own if record.as_asked]
    seconds = median(map(total, right)) if right else None
    return Standing(route, len(right), len(own), seconds)


def total(record: Conversion) -> float:
    """The seconds of all steps of a conversion."""
    return sum(record.steps.values())


def chosen(records: Sequence[Conversion]) -> dict[str, str]:
    """The precision that stands for each model: half precision where it was asked for."""
    found: dict[str, str] = {}
    for record in records:
        kept = found.setdefault(record.model, record.case["precision"])
        found[record.model] = max(kept, record.case["precision"], key=lambda each: each == "float16")
    return found


def grid(records: Sequence[Conversion], most: int = MOST) -> pd.DataFrame:
    """Routes down, the first models across; each row begins with its total over all models."""
    records = with_packages(records)
    models = dict(list(chosen(records).items())[:most])
    totals = {name(each.route): each for each in standings(records)}
    cells: dict[str, dict[str, str]] = {}
    for record in sorted(records, key=lambda r: r.route != DIRECT):
        row = cells.setdefault(name(record), {})
        if models.get(record.model) == record.case["precision"]:
            row[record.model] = cell(record)
    heads = {model: f"{wording.name(model)} {SHORT[precision]}" for model, precision in models.items()}
    rows = []
    for route, own in cells.items():
        told = f"{route}: {totals[route]}" if route in totals else route
        rows.append({"route": told} | {head: own.get(model, "– not tried") for model, head in heads.items()})
    return pd.DataFrame(rows)


def cell(record: Conversion) -> str:
    """A check mark and the seconds of one conversion, or a cross and the short cause."""
    if not record.as_asked:
        return f"✗ {short_cause(record)}"
    return "✓" if record.case.get("apart") else f"✓ {total(record):.2f} s"


def short_cause(record: Conversion) -> str:
    """Why a conversion is not right as asked, in two or three words."""
    if record.failed:
        for pattern in SAYS:
            if found := re.search(pattern, record.message):
                return f"no {found['what']}"
        return record.message.partition(":")[0] or record.failed
    kept = record.case.get("computes", "")
    if record.right and COMPUTES.get(kept) not in (None, record.case["precision"]):
        return f"{kept} only"
    if record.error is None:
        return "does not run"
    return "off by " + re.sub(r"e-0?", "e-", f"{record.error:.0e}")


def legend() -> str:
    """What the marks of a grid mean, in a sentence."""
    limits = " or ".join(f"{limit:.0e} ({SHORT[name]})" for name, limit in LIMITS.items())
    return (
        "✓ and the seconds of one conversion; ✗ and the cause. Right means that the package, run by the "
        f"[reference runtime](../docs/glossary.md#reference-runtime), is within {limits} of its source "
        "([rms-relative error](../docs/glossary.md#rms-relative-error))."
    )
