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


def spoken(route: str) -> str:
    """A hand-over in words that can be listed: "NumPy → PyTorch (torch.from_numpy)"."""
    ends, comma, call = route.partition(", ")
    return f"{ends} ({call})" if comma else route


def time_table(records: list[Timing], proofs: Iterable[Sharing]) -> pd.DataFrame:
    """Each hand-over, whether it shares memory, and microseconds at the smallest and the largest size."""
    rows = []
    for route, shares in shared(proofs).items():
        row: dict = {"hand-over": spoken(route), "memory": "shared" if shares else "copied"}
        for record in [records[0], records[-1]] if records else []:
            micro = 1e6 * statistics.median(comparison.runs(record), route)
            row[f"µs for {written(record.case['bytes'])}"] = micro
        rows.append(row)
    return pd.DataFrame(rows)


def cost_table(records: list[Timing], proofs: Iterable[Sharing], peak: float) -> pd.DataFrame:
    """How fast each hand-over that copies moves the largest array, and the share of `peak`, bytes/s."""
    rows = []
    for route, shares in shared(proofs).items() if records else ():
        if shares:
            continue
        seconds = statistics.median(comparison.runs(records[-1]), route)
        speed = 2 * records[-1].case["bytes"] / seconds  # a copy reads and writes
        told = speed / 1e9, ceilings.named(peak), ceilings.percent(speed, peak)
        rows.append((spoken(route), *told))
    return pd.DataFrame(rows, columns=["hand-over", "GB/s moved", "ceiling", ceilings.SHARE])


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
    """By side of the matrices: the work with copies, the copies in it, and their share of the time."""
    rows = []
    for record in records:
        found, part = comparison.runs(record), share(record)
        seconds = [statistics.median(found, each) for each in (whole(record), "hand-over alone, copied")]
        interval = f"{100 * part.low:.2g}–{100 * part.high:.2g}"
        rows.append((record.case["n"], *(1e3 * each for each in seconds), 100 * part.value, interval))
    columns = ["n", "work with copies, ms", "copies, ms", "copying, %", "95 % interval"]
    return pd.DataFrame(rows, columns=columns)


def work_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Milliseconds of every kind of work and of the hand-overs alone, by side of the matrices."""
    rows = [
        (record.case["n"], each, 1e3 * statistics.median(found, each))
        for record in records
        for found in [comparison.runs(record)]
        for each in comparison.variants(found)
    ]
    return pd.DataFrame(rows, columns=["n", "work", "ms"])


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
    return f"Handing over nothing takes at most {duration(max(floors))}: the overhead of timing."


def reading(proofs: list[Sharing], records: list[Timing]) -> str:
    """How long copying and sharing the largest array take, in one sentence."""
    kinds = shared(proofs)
    if not records or len(set(kinds.values())) < 2:
        return "There is nothing to compare: not both kinds of hand-over were timed."
    found, size = comparison.runs(records[-1]), written(records[-1].case["bytes"])
    times = {route: statistics.median(found, route) for route in kinds}
    copy, share = (
        float(np.median([seconds for route, seconds in times.items() if kinds[route] == kind]))
        for kind in (False, True)
    )
    return (
        f"For {size}, copying takes {duration(copy)} and sharing {duration(share)} (medians over "
        "hand-overs). What the function is called does not say which of the two it does."
    )
