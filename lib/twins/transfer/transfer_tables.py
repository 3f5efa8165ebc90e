"""The tables and sentences of the page on hand-overs, made from records."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from twins.records.record_types import Sharing, Timing
from twins.timing import comparison, statistics
from twins.timing.ceilings import ceilings
from twins.timing.statistics import duration


def shared(proofs: Iterable[Sharing]) -> dict[str, bool]:
    """Whether each route shares memory, by the write that was seen or not."""
    return {proof.route: proof.written for proof in proofs}


def proof_table(proofs: Iterable[Sharing]) -> pd.DataFrame:
    """The evidence of each hand-over on whether memory was shared."""
    words = {True: "yes", False: "no", None: "cannot be read"}
    rows = [
        {
            "hand-over": proof.route,
            "write seen": words[proof.written],
            "one address": words[proof.address],
            "MB added": proof.added / 2**20,
            "memory": "shared" if proof.written else "copied",
        }
        for proof in proofs
    ]
    return pd.DataFrame(rows)


def cost_table(records: list[Timing], proofs: Iterable[Sharing], peak: float) -> pd.DataFrame:
    """Microseconds at the smallest and largest size, and for copies the share of `peak`, bytes per second."""
    if not records:
        return pd.DataFrame(columns=["hand-over"])
    small, large = (comparison.runs(record) for record in (records[0], records[-1]))
    sizes = [record.case["bytes"] for record in (records[0], records[-1])]
    rows = []
    for route, shares in shared(proofs).items():
        seconds = statistics.median(large, route)
        speed = None if shares else 2 * sizes[1] / seconds  # a copy reads and writes
        rows.append(
            {
                "hand-over": route,
                f"µs for {written(sizes[0])}": 1e6 * statistics.median(small, route),
                f"µs for {written(sizes[1])}": 1e6 * seconds,
                "GB/s moved": speed and speed / 1e9,
                "ceiling": speed and ceilings.named(peak),
                ceilings.SHARE: speed and ceilings.percent(speed, peak),
            }
        )
    return pd.DataFrame(rows)


def written(size: int) -> str:
    """Bytes in the unit a person would choose."""
    for unit, scale in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return f"{size} bytes"


def switch_table(record: Timing) -> pd.DataFrame:
    """Milliseconds of the workload on one side, alternating, and of the hand-overs alone."""
    found = comparison.runs(record)
    names = comparison.variants(found)
    return pd.DataFrame({"work": each, "ms": 1e3 * statistics.median(found, each)} for each in names)


def switch_share(record: Timing) -> str:
    """What share of the alternating work its copies are, in one sentence."""
    found = comparison.runs(record)
    copied = next(each for each in comparison.variants(found) if "then" in each and "copied" in each)
    ratio = statistics.ratio(found, "hand-over alone, copied", copied)
    return (
        f"Of '{copied}', copying is {100 * ratio.value:.2g} % of the time "
        f"[{100 * ratio.low:.2g} %, {100 * ratio.high:.2g} %]: the rest is the products."
    )


def absent(routes: list[str], device: str) -> str:
    """Which hand-overs do not exist on this machine, in one sentence."""
    if not routes:
        return "Every hand-over that this page knows exists here."
    return f"Not measured here: {'; '.join(routes)}. They need a GPU; both frameworks ran on the {device}."


def harness(records: list[Timing]) -> str:
    """What the harness itself costs, in one sentence: times near it are not the hand-over's."""
    if not records:
        return "Nothing was timed."
    floors = [statistics.median(comparison.runs(record), "nothing") for record in records]
    return f"Handing over nothing, which is the harness alone, reads at most {duration(max(floors))}."


def reading(proofs: list[Sharing], records: list[Timing]) -> str:
    """Which hand-overs share memory, and how long copying and sharing the largest array take."""
    kinds = shared(proofs)
    if not records or len(set(kinds.values())) < 2:
        return "There is nothing to compare: not both kinds of hand-over were timed."
    found, size = comparison.runs(records[-1]), written(records[-1].case["bytes"])
    times = {route: statistics.median(found, route) for route in kinds}
    copy, share = (
        float(np.median([seconds for route, seconds in times.items() if kinds[route] == kind]))
        for kind in (False, True)
    )
    names = ", ".join(route for route, is_shared in kinds.items() if is_shared)
    return (
        f"Memory is shared by: {names}. Every other hand-over copies, whatever its name "
        f"suggests. For {size}, copying takes {duration(copy)} and sharing {duration(share)} "
        "(medians over hand-overs)."
    )
