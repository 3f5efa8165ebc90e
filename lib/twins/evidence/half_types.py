"""How a step in a half type compares with the framework's own float32 step: a table and sentences."""

from collections.abc import Iterable

import pandas as pd

from twins.records.record_types import Timing
from twins.timing import comparison, sessions, statistics, wording
from twins.timing.ceilings import ceilings
from twins.timing.statistics import Ratio

COLUMNS = ["batch", "type", "framework", "wall ms", "faster type [95 % interval]"]


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
    """Per type and framework: median wall time of a step, whether it or float32 is how many times as fast
    with the interval of the next session's, and the share of the type's ceiling, which ceilings.utilisation
    gives of the same steps.
    """
    rows = [
        (
            batch,
            dtype,
            framework,
            round(1e3 * wall, 2),
            "" if dtype == "float32" else _told(dtype, ratio, band),
        )
        for batch, dtype, framework, wall, ratio, band in _rows(records)
    ]
    made = pd.DataFrame(rows, columns=COLUMNS)
    return made if shares is None else made.join(shares[["ceiling", ceilings.SHARE]])


def _told(dtype: str, ratio: Ratio, band: float) -> str:
    """Which type is how many times as fast, with its interval, or that neither is shown to be."""
    if ratio.tie(band):
        return "no difference shown"
    found = wording.interval(ratio.low, ratio.high, "MLX" if ratio.value >= 1 else "PyTorch")
    return f"{'float32' if ratio.value >= 1 else dtype} {_factor(ratio)} {found}"


def _factor(ratio: Ratio) -> str:
    return wording.times(wording.faster(ratio.value)[1])


def reading(records: Iterable[Timing], device: str) -> str:
    """Which type is how many times as fast in each framework, and what that does not show, in sentences."""
    rows = [row for row in _rows(records) if row[1] != "float32"]
    if not rows:
        return "No half type was timed."
    told = [_sentence(name, rows) for name in comparison.FRAMEWORKS]
    if all(ratio.low > band for *_, ratio, band in rows):
        told.insert(0, f"**float32 is the faster type in both frameworks** on this {device}.")
    if any(ratio.low > band for *_, ratio, band in rows):
        told.append("This says nothing about other hardware.")
    return " ".join(told)


def _sentence(framework: str, rows: list) -> str:
    """What each half type gains or loses in one framework, in one sentence."""
    told = []
    for _, dtype, _, _, ratio, band in (row for row in rows if row[2] == framework):
        fast, slow = ("float32", dtype) if ratio.value >= 1 else (dtype, "float32")
        same = f"{dtype} as fast as float32 within the noise"
        told.append(same if ratio.tie(band) else f"{fast} {_factor(ratio)} as fast as {slow}")
    return f"{framework}: {', '.join(told)}."
