"""The tables and sentences of the page on hand-overs, made from records."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from twins.records.record_types import Sharing, Timing
from twins.timing import comparison, sessions, statistics
from twins.timing.ceilings import ceilings
from twins.timing.sessions import Sessions
from twins.timing.statistics import duration

LIMIT = 0.05  # above this share of the time, copying counts; the claim's limit as well


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


def copying(records: Sequence[Timing]) -> Sessions:
    """The share of copying over the sessions of one size: the hand-over alone over the work with copies."""
    found = (comparison.runs(record) for record in records)
    return sessions.of(found, "hand-over alone, copied", whole(records[0]), "switching")


def share(record: Timing) -> statistics.Ratio:
    """The share of copying in one session, with the interval of the next."""
    return copying([record]).ratio


def whole(record: Timing) -> str:
    """The variant that changes sides by copies."""
    return next(each for each in record.runs[0]["arms"] if "then" in each and each.endswith("copied"))


def switch_table(records: Iterable[Timing]) -> pd.DataFrame:
    """By side of the matrices: milliseconds of every kind of work, and the share of copying."""
    rows = []
    for record in records:
        found, part = comparison.runs(record), share(record)
        times = {f"{each}, ms": 1e3 * statistics.median(found, each) for each in comparison.variants(found)}
        interval = f"{100 * part.low:.2g} to {100 * part.high:.2g}"
        told = {"copying, %": 100 * part.value, "95 %, next session": interval}
        rows.append({"n": record.case["n"], **times, **told})
    return pd.DataFrame(rows)


def crossing(sizes: list[int], shares: list[float], limit: float = LIMIT) -> float | None:
    """The size from which on shares stay at or below the limit, on a straight line between logarithms.

    None where the last share is above it, or where none is.
    """
    above = [place for place, each in enumerate(shares) if each > limit]
    if not above or above[-1] == len(shares) - 1:
        return None
    here = slice(above[-1], above[-1] + 2)
    (x, end), (y, low) = np.log(sizes[here]), np.log(shares[here])
    return float(np.exp(x + (end - x) * (y - np.log(limit)) / (y - low)))


def crossed(records: list[Timing], limit: float = LIMIT) -> str:
    """Below which size copies take more than the limit of the time, in one sentence."""
    if not records:
        return "No work that changes sides was timed."
    sizes, found = [record.case["n"] for record in records], [share(record) for record in records]
    at = [crossing(sizes, [getattr(each, end) for each in found], limit) for end in ("value", "low", "high")]
    told = f"more than {100 * limit:g} % of the time"
    if at[0] is None:
        if found[-1].value > limit:
            return f"Copies are {told} at n = {sizes[-1]}, the largest size timed."
        return f"Copies are at no size {told}; the smallest is n = {sizes[0]}."
    ends = [f"{each:.3g}" if each else "outside these sizes" for each in at[1:]]
    return f"Copies are {told} below n = {at[0]:.3g} (95 % of next sessions: {ends[0]} to {ends[1]})."


def left_out(sides: Iterable[int], records: Iterable[Timing]) -> str:
    """Which sides were not timed because a product takes too long; empty when all were."""
    missing = sorted(set(sides) - {record.case["n"] for record in records})
    return (
        f"Left out because a product takes too long here: n = {', '.join(map(str, missing))}."
        if missing
        else ""
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
