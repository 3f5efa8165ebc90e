"""How a step in a half type compares with the framework's own float32 step: a table and sentences."""

from collections.abc import Iterable

import pandas as pd

from twins.records.record_types import Timing
from twins.timing import comparison, sessions, statistics
from twins.timing.ceilings import ceilings
from twins.timing.statistics import Ratio

COLUMNS = ["batch", "type", "framework", "wall ms", "÷ float32"]


def _rows(records: Iterable[Timing]) -> list[tuple[int, str, str, float, Ratio, float]]:
    """Batch, type, framework, seconds of a step, its ratio to float32, and the band of a tie."""
    rows = []
    for record in records:
        found = comparison.runs(record)
        for variant in comparison.variants(found):
            framework, dtype = variant.split()
            ratio = sessions.of([found], variant, f"{framework} float32", record.subject).ratio
            wall = statistics.median(found, variant)
            rows.append((record.case["batch"], dtype, framework, wall, ratio, statistics.band(found)))
    return rows


def table(records: Iterable[Timing], shares: pd.DataFrame | None = None) -> pd.DataFrame:
    """Per type and framework: median wall time of a step, its ratio to the framework's own in float32 with
    the interval of the next session's, and the share of the type's ceiling, which ceilings.utilisation gives
    of the same steps.
    """
    rows = [
        (batch, dtype, framework, round(1e3 * wall, 2), "1" if dtype == "float32" else str(ratio))
        for batch, dtype, framework, wall, ratio, _ in _rows(records)
    ]
    made = pd.DataFrame(rows, columns=COLUMNS)
    return made if shares is None else made.join(shares[["ceiling", ceilings.SHARE]])


def reading(records: Iterable[Timing], device: str) -> str:
    """How long each half type's step takes relative to float32, and what that does not show, in sentences."""
    rows = [row for row in _rows(records) if row[1] != "float32"]
    told = [
        f"{framework}'s {dtype} step takes {ratio.value:.2g} times its float32 step."
        for _, dtype, framework, _, ratio, _ in rows
    ]
    if any(ratio.low > band for *_, ratio, band in rows):
        told.append(
            f"A half type that is slower than float32 gains nothing on this {device}: "
            "**such rows say nothing about another device**."
        )
    return " ".join(told) or "No half type was timed."
