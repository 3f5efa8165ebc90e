"""The roofline figure: what chips can do at best, where counted steps lie under it, and what was reached."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from twins.evidence import roofline
from twins.evidence.roofline import Load, Roof
from twins.figures import words
from twins.figures.axes import end_labels, log_ticks, name_rows
from twins.figures.fitting import narrow
from twins.figures.style import (
    COLOURS,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    RULE,
    Figure,
    blank,
    headline,
    nothing,
    twice,
)
from twins.records.record_types import Timing
from twins.timing import comparison, statistics


@twice
def roofs(loads: list[Load], chips: list[Roof], here: Roof | None, timings: Iterable[Timing]) -> Figure:
    """Roofs over operations per byte, steps measured here as marks; below, each step by both counts."""
    if not loads or not chips:
        return nothing("no step was counted, or no chip chosen")
    rows = (0.42 if narrow() else 0.24) * len(loads)
    canvas, (above, below) = blank(
        4.0 + rows, 2, sharex=True, height_ratios=[3.4, rows], gridspec_kw={"hspace": 0.06}
    )
    low = min(load.flops / load.unfused for load in loads) / 1.6
    high = max(*(load.intensity for load in loads), *(roof.ridge for roof in chips)) * 2.5
    x = np.geomspace(low, high, 200)
    ends = [_roof(above, x, roof, "-", INK) for roof in chips]
    if here:
        ends.append(_roof(above, x, here, (0, (4, 2)), MUTED))
        _reached(above, loads, timings)
    for y, load in enumerate(loads):
        _step(below, y, load)
    above.set(xscale="log", yscale="log", ylabel="GFLOP/s at best", xlim=(low, high))
    above.set_ylim(top=4 * max(roof.flops for roof in chips))
    log_ticks(above.xaxis, low, high, lambda value: f"{value:g}")
    log_ticks(above.yaxis, *above.get_ylim(), lambda value: f"{value / 1e9:,.0f}")
    end_labels(above, ends, log=True)
    below.set(ylim=(len(loads) - 0.4, -0.6), xlabel="operations per byte")
    name_rows(below, [words.people(load.label) for load in loads])
    title = _finding(loads, chips)
    told = "Below: hollow, nothing fused; filled, compulsory bytes only"
    headline(above, title, f"{told}. Marks above: measured here" if here else told)
    return Figure(canvas, f"{title}. {roofline.sides(loads, chips)} {_ridges(chips)}")


@twice
def shares(table: pd.DataFrame) -> Figure:
    """How much of each published time the chip's bound is, by workload and chip."""
    if table.empty:
        return nothing("no published time states its sizes")
    ordered = table.assign(label=table["workload"] + ", " + table["chip"])
    top = ordered.groupby("label")[roofline.SHARE].max().sort_values()
    canvas, (axes,) = blank(1.5 + 0.27 * len(top), named=len(top))
    for framework, rows in ordered.groupby("framework"):
        places = [top.index.get_loc(label) for label in rows["label"]]
        look = {"color": COLOURS[framework], "marker": MARKERS[framework], "ls": "none", "mec": PAPER}
        axes.plot(rows[roofline.SHARE], places, ms=7.5, label=framework, **look)
    name_rows(axes, list(top.index))
    axes.set(xlim=(0, 100), ylim=(-0.6, len(top) - 0.4), xlabel="% of the published time that the bound is")
    axes.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=MUTED)
    low, high = table[roofline.SHARE].agg(["min", "max"])
    title = f"Published training reached {low:.0f} to {high:.0f} % of its chip's best"
    headline(
        axes,
        title,
        "Least time on paper ÷ published time, batch × length. Star: a figure of the chip was inferred",
    )
    told = "; ".join(f"{label} {share:.0f} %" for label, share in top[::-1].items())
    return Figure(canvas, f"{title}. Best of each: {told}.")


def _roof(axes: Axes, x: np.ndarray, roof: Roof, dash, colour: str) -> tuple[float, str, str]:
    """One roof, and where its name goes."""
    y = np.minimum(roof.flops, roof.bandwidth * x)
    axes.plot(x, y, color=colour, lw=1.5, ls=dash, alpha=0.85)
    return float(y[-1]), roof.name, colour


def _reached(axes: Axes, loads: list[Load], timings: Iterable[Timing]) -> None:
    """What each framework's best step measured here reaches, at its compulsory intensity."""
    for timed in timings:
        runs = comparison.runs(timed)
        for load in loads:
            if roofline.same_step(load, timed):
                for name in comparison.FRAMEWORKS:
                    rate = load.flops / statistics.median(runs, comparison.best(runs, name))
                    look = {"color": COLOURS[name], "marker": MARKERS[name], "mec": PAPER, "ms": 6.5}
                    axes.plot(load.intensity, rate, **look)


def _step(axes: Axes, y: int, load: Load) -> None:
    """A step between its two counts of bytes."""
    unfused = load.flops / load.unfused
    axes.plot([unfused, load.intensity], [y, y], color=RULE, lw=3, zorder=1)
    axes.plot(unfused, y, "o", mfc=PAPER, mec=INK, ms=6, zorder=2)
    axes.plot(load.intensity, y, "o", color=INK, ms=6, zorder=2)


def _finding(loads: list[Load], chips: list[Roof]) -> str:
    """For how many steps the same side binds on every chip drawn."""
    sides = [{roofline.bound(load.flops, load.compulsory, roof)[1] for roof in chips} for load in loads]
    arithmetic, memory = ([each == {side} for each in sides].count(True) for side in ("arithmetic", "memory"))
    return f"Arithmetic binds {arithmetic} of {len(loads)} steps on every chip drawn, memory {memory}"


def _ridges(chips: list[Roof]) -> str:
    told = ", ".join(f"{roof.name} {roof.ridge:.0f}" for roof in chips)
    return f"Operations per byte above which arithmetic binds: {told}."
