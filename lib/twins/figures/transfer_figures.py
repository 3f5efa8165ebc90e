"""The figures of hand-overs: seconds over bytes, shared or copied, and the share of copying over sizes."""

from twins.figures.axes import end_labels, log_ticks, size_ticks
from twins.figures.style import COLOURS, INK, MUTED, Figure, blank, headline, nothing, twice
from twins.records.record_types import Sharing, Timing
from twins.timing import comparison, statistics
from twins.timing.statistics import duration
from twins.transfer.transfer_tables import LIMIT, crossed, crossing, share, shared, whole, written

SHARED_DASH, COPIED_DASH = (0, (1, 1.5)), "-"


def receiver(route: str) -> str:
    """Who receives an array: a framework or NumPy; a route that only names devices stays in its framework."""
    source, _, target = route.partition(" → ")
    word = target.split()[0].rstrip(",")
    return word if word in (*COLOURS, "NumPy") else source.split()[0]


@twice
def times(records: list[Timing], proofs: list[Sharing]) -> Figure:
    """Seconds over bytes for every hand-over: flat lines share, rising ones copy."""
    if not records or not proofs:
        return nothing("no hand-over was timed")
    sizes = [record.case["bytes"] for record in records]
    found = [comparison.runs(record) for record in records]
    canvas, (axes,) = blank(3.4)
    kinds = shared(proofs)
    lines = {route: [statistics.median(runs, route) for runs in found] for route in kinds}
    for route, seconds in lines.items():
        colour = COLOURS.get(receiver(route), MUTED)
        dash = SHARED_DASH if kinds[route] else COPIED_DASH
        axes.plot(sizes, seconds, color=colour, linestyle=dash, lw=1.6, marker=".", ms=4)
    axes.set(xscale="log", yscale="log")
    every = [second for seconds in lines.values() for second in seconds]
    size_ticks(axes.xaxis, sizes, written)
    axes.set(xlabel="size of the array", ylabel="time")
    log_ticks(axes.yaxis, min(every), max(every), duration)
    copies = [seconds[-1] for route, seconds in lines.items() if not kinds[route]]
    ends = [(max(copies), "copies", MUTED)] if copies else []
    shares = [seconds[-1] for route, seconds in lines.items() if kinds[route]]
    ends += [(max(shares), "shared", MUTED)] if shares else []
    end_labels(axes, ends, log=True)
    title = f"{sum(kinds.values())} of {len(kinds)} hand-overs share memory, {len(copies)} copy"
    headline(axes, title, "Time over bytes; blue: to MLX, orange: to PyTorch, grey: to NumPy; dotted: shared")
    told = "; ".join(
        f"{route} {'shares' if kinds[route] else 'copies'}, {duration(seconds[-1])} for {written(sizes[-1])}"
        for route, seconds in lines.items()
    )
    return Figure(canvas, f"{title}: {told}.")


@twice
def shares(records: list[Timing]) -> Figure:
    """The share of copying over the side of the matrices, and where it crosses the limit."""
    if not records:
        return nothing("no work that changes sides was timed")
    sizes, found = [record.case["n"] for record in records], [share(record) for record in records]
    canvas, (axes,) = blank(3.0)
    lines = [[100 * getattr(each, end) for each in found] for end in ("low", "value", "high")]
    axes.set(xscale="log", yscale="log", xlabel="n: rows and columns of the matrices")
    axes.fill_between(sizes, lines[0], lines[2], color=INK, alpha=0.15, lw=0)
    axes.plot(sizes, lines[1], color=INK, lw=1.6, marker="o", ms=5)
    axes.axhline(100 * LIMIT, color=MUTED, lw=1, linestyle=SHARED_DASH)
    end_labels(axes, [(100 * LIMIT, f"limit {100 * LIMIT:g} %", MUTED)], log=True)
    if at := crossing(sizes, [each.value for each in found]):
        axes.plot(at, 100 * LIMIT, "D", color=MUTED, ms=7)
    size_ticks(axes.xaxis, sizes)
    log_ticks(axes.yaxis, min(*lines[0], 100 * LIMIT), max(*lines[2], 100 * LIMIT), lambda p: f"{p:g} %")
    title = crossed(records).partition(" (")[0].rstrip(".")
    headline(
        axes,
        title,
        f"Copying alone ÷ “{whole(records[0])}”; shade: next session, 95 %; diamond: crossing",
    )
    told = "; ".join(f"n = {n}: {100 * each.value:.2g} %" for n, each in zip(sizes, found, strict=True))
    return Figure(canvas, f"{title}: {told}.")
