"""The tables and figure of hand-overs: records in, what a page shows out."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from twins import compare, results, timing
from twins.drawing import COLOURS, MUTED, Figure, blank, duration, end_labels, headline, log_ticks, nothing

SHARED_DASH, COPIED_DASH = (0, (1, 1.5)), "-"


def shared(proofs: Iterable[results.Sharing]) -> dict[str, bool]:
    """Whether each route shares memory, by the write that was seen or not."""
    return {proof.route: proof.written for proof in proofs}


def proof_table(proofs: Iterable[results.Sharing]) -> pd.DataFrame:
    """What each hand-over showed."""
    return pd.DataFrame(
        [
            {
                "hand-over": proof.route,
                "write seen": "yes" if proof.written else "no",
                "one address": {True: "yes", False: "no", None: "cannot be read"}[proof.address],
                "MB added": proof.added / 2**20,
                "memory": "shared" if proof.written else "copied",
            }
            for proof in proofs
        ]
    )


def cost_table(records: list[results.Timing], proofs: Iterable[results.Sharing], peak: float) -> pd.DataFrame:
    """Microseconds at the smallest and largest size, and for copies the share of the probed bandwidth."""
    if not records:
        return pd.DataFrame(columns=["hand-over"])
    small, large = (compare.runs(record) for record in (records[0], records[-1]))
    sizes = [record.case["bytes"] for record in (records[0], records[-1])]
    rows = []
    for route, shares in shared(proofs).items():
        seconds = timing.median(large, route)
        speed = None if shares else 2 * sizes[1] / seconds  # a copy reads and writes
        rows.append(
            {
                "hand-over": route,
                f"µs for {written(sizes[0])}": 1e6 * timing.median(small, route),
                f"µs for {written(sizes[1])}": 1e6 * seconds,
                "GB/s moved": speed and speed / 1e9,
                "of bandwidth, %": speed and 100 * speed / peak,
            }
        )
    return pd.DataFrame(rows)


def written(size: int) -> str:
    """Bytes in the unit a person would choose."""
    for unit, scale in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return f"{size} bytes"


def receiver(route: str) -> str:
    """Who receives an array: a framework or NumPy; a route that only names devices stays in its framework."""
    source, _, target = route.partition(" → ")
    word = target.split()[0].rstrip(",")
    return word if word in (*COLOURS, "NumPy") else source.split()[0]


def times(records: list[results.Timing], proofs: list[results.Sharing]) -> Figure:
    """Seconds over bytes for every hand-over: flat lines share, rising ones copy."""
    if not records or not proofs:
        return nothing("no hand-over was timed")
    sizes = [record.case["bytes"] for record in records]
    found = [compare.runs(record) for record in records]
    canvas, (axes,) = blank(4.6)
    kinds = shared(proofs)
    lines = {route: [timing.median(runs, route) for runs in found] for route in kinds}
    for route, seconds in lines.items():
        colour = COLOURS.get(receiver(route), MUTED)
        dash = SHARED_DASH if kinds[route] else COPIED_DASH
        axes.plot(sizes, seconds, color=colour, linestyle=dash, lw=1.6, marker=".", ms=4)
    axes.set(xscale="log", yscale="log")
    every = [second for seconds in lines.values() for second in seconds]
    log_ticks(axes.xaxis, sizes[0], sizes[-1], lambda size: written(round(size)))
    axes.set_xticks(sizes, [written(size) for size in sizes])
    log_ticks(axes.yaxis, min(every), max(every), duration)
    copies = [seconds[-1] for route, seconds in lines.items() if not kinds[route]]
    ends = [(sizes[-1], max(copies), "copies", MUTED)] if copies else []
    shares = [seconds[-1] for route, seconds in lines.items() if kinds[route]]
    ends += [(sizes[-1], max(shares), "shared", MUTED)] if shares else []
    end_labels(axes, ends, log=True)
    title = f"{sum(kinds.values())} of {len(kinds)} hand-overs share memory, {len(copies)} copy"
    headline(axes, title, "Time over bytes; blue: to MLX, orange: to PyTorch, grey: to NumPy; dotted: shared")
    told = "; ".join(
        f"{route} {'shares' if kinds[route] else 'copies'}, {duration(seconds[-1])} for {written(sizes[-1])}"
        for route, seconds in lines.items()
    )
    return Figure(canvas, f"{title}: {told}.")


def switch_table(record: results.Timing) -> pd.DataFrame:
    """Milliseconds of the workload on one side, alternating, and of the hand-overs alone."""
    found = compare.runs(record)
    rows = [{"work": arm, "ms": 1e3 * timing.median(found, arm)} for arm in compare.arms(found)]
    return pd.DataFrame(rows)


def switch_share(record: results.Timing) -> str:
    """What share of the alternating work its copies are, in one sentence."""
    found = compare.runs(record)
    copied = next(arm for arm in compare.arms(found) if "then" in arm and "copied" in arm)
    ratio = timing.ratio(found, "hand-over alone, copied", copied)
    return (
        f"Of '{copied}', copying is {100 * ratio.value:.2g} % of the time "
        f"[{100 * ratio.low:.2g} %, {100 * ratio.high:.2g} %]: the rest is the products."
    )


def absent(routes: list[str], device: str) -> str:
    """Which hand-overs this machine has not, in one sentence."""
    if not routes:
        return "Every hand-over that this page knows exists here."
    return f"Not measured here: {'; '.join(routes)}. They need a GPU; both frameworks ran on the {device}."


def harness(records: list[results.Timing]) -> str:
    """What the harness itself costs, in one sentence: times near it are not the hand-over's."""
    if not records:
        return "Nothing was timed."
    floors = [timing.median(compare.runs(record), "nothing") for record in records]
    return f"Handing over nothing, which is the harness alone, reads at most {duration(max(floors))}."


def reading(proofs: list[results.Sharing], records: list[results.Timing]) -> str:
    """What the page shows: who shares, and what copying the largest array costs beside sharing it."""
    kinds = shared(proofs)
    if not records or len(set(kinds.values())) < 2:
        return "There is nothing to compare: not both kinds of hand-over were timed."
    found, size = compare.runs(records[-1]), written(records[-1].case["bytes"])
    copy, share = (
        float(
            np.median(
                [timing.median(found, route) for route, is_shared in kinds.items() if is_shared == kind]
            )
        )
        for kind in (False, True)
    )
    names = ", ".join(route for route, is_shared in kinds.items() if is_shared)
    return (
        f"Memory is shared by: {names}. Every other hand-over copies, whatever its name "
        f"suggests. For {size}, copying takes {duration(copy)} and sharing {duration(share)} "
        "(medians over hand-overs)."
    )
