"""One function per figure: records in, Figure out. Titles are findings, computed from the records.

Ratios lie on a symmetric logarithmic axis, so that twice as fast and twice as slow look alike; spread is
always shown; a difference within the harness's own error is called a tie.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from twins.evidence import equal_loss
from twins.figures import words
from twins.figures.axes import bar, beside_row, end_labels, log_ticks, name_rows, ratio_axis, size_ticks
from twins.figures.fitting import narrow
from twins.figures.style import (
    COLOURS,
    DASHES,
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
from twins.records.record_types import Fit, Memory, Timing
from twins.timing import comparison, statistics
from twins.timing.ceilings import ceilings
from twins.timing.comparison import Comparison
from twins.timing.statistics import duration

INTERVAL = "Bar: where 95 % of next sessions lie; band: a tie"


def _variant_style(variant: str) -> dict:
    """Colour by framework, dash by mode."""
    framework, _, mode = variant.partition(" ")
    return {"color": COLOURS[framework], "marker": MARKERS[framework], "linestyle": DASHES.get(mode, "-")}


@twice
def ratios(comparisons: list[Comparison], what: str) -> Figure:
    """Who is how many times as fast, or a tie: one row per comparison, sorted by value."""
    if not comparisons:
        return nothing("no timing was recorded")
    rows = sorted(comparisons, key=lambda c: c.ratio.value)
    height = 1.5 + 0.34 * min(len(rows), 20) + 0.26 * max(0, len(rows) - 20)
    canvas, (axes,) = blank(height, named=len(rows))
    reach = max(1.6, *(max(c.ratio.high, 1 / c.ratio.low) for c in rows)) * (2 if narrow() else 1.6)
    ratio_axis(axes, reach)
    axes.set(ylim=(-0.6, len(rows) - 0.4))
    for y, row in enumerate(rows):
        _ratio_row(axes, y, row)
    name_rows(axes, [words.people(row.label) for row in rows])
    title = f"{what}: {words.over(rows)}"
    headline(axes, title, f"How many times as fast, on either side of the same time. {INTERVAL}")
    return Figure(canvas, f"{title}. " + "; ".join(map(words.said, rows)) + ".")


def _ratio_row(axes: Axes, y: int, row: Comparison) -> None:
    """One comparison: a stem from 1, its interval, its mark and its factor in words."""
    r, right, colour = row.ratio, row.ratio.value > 1, words.colour(row)
    axes.plot([1, r.value], [y, y], color=colour, lw=1.2, alpha=0.5)
    axes.plot([r.low, r.high], [y, y], color=colour, lw=4.5, alpha=0.55, solid_capstyle="round")
    axes.plot(r.value, y, MARKERS["MLX" if right else "PyTorch"], color=colour, ms=7.5, mec=PAPER)
    axes.annotate(
        words.factor(row),
        (r.high if right else r.low, y),
        (9 if right else -9, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        color=colour,
        fontsize=9.5,
    )


@twice
def losses(fit: Fit) -> Figure:
    """Both losses over training, and below their difference with torch's own floor."""
    canvas, (above, below) = blank(4.8, 2, sharex=True, height_ratios=[3, 1.3], gridspec_kw={"hspace": 0.12})
    count = len(fit.losses["MLX"])
    step = np.arange(count)
    for name, dash in (("MLX", "-"), ("PyTorch", (0, (3, 2)))):
        above.plot(step, fit.losses[name], color=COLOURS[name], lw=1.8, ls=dash)
    if fit.entropy is not None:
        above.axhline(fit.entropy, color=MUTED, lw=1)
        above.annotate(
            "entropy of the source", (0, fit.entropy), (2, 3), textcoords="offset points", color=MUTED
        )
    end_labels(above, [(fit.losses[n][-1], n, COLOURS[n]) for n in comparison.FRAMEWORKS], log=False)
    apart, floor = equal_loss.losses_apart(fit)
    below.fill_between(step, 1e-8, np.maximum(np.maximum.accumulate(floor), 1e-8), color=RULE, lw=0)
    below.plot(step, np.maximum(apart, 1e-8), color=INK, lw=1.2)
    top = max(apart.max(), floor.max(), 1e-6) * 3
    below.set(
        yscale="log", ylim=(1e-7, top), xlabel="training step", ylabel="difference, nats", xlim=(0, count - 1)
    )
    below.yaxis.set_major_locator(FixedLocator([10.0**p for p in range(-7, 1, 2)]))
    below.yaxis.set_minor_locator(NullLocator())
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.power(value)))
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    above.set_ylabel("cross-entropy, nats")
    title = words.equality(fit, apart)
    headline(
        above,
        title,
        f"Same weights, same batches. Shade below: PyTorch against itself, rows permuted ({floor.max():.2g})",
    )
    again = f"PyTorch with permuted rows differs from itself by {floor.max():.2g}"
    furthest = f"At most {apart.max():.2g} nats apart in {count} steps on {fit.dataset}"
    alt = f"{title}. {furthest}; {again}."
    return Figure(canvas, alt)


@twice
def samples(record: Timing | None) -> Figure:
    """Every raw sample of one measurement, by variant: how far single steps and processes scatter."""
    if record is None:
        return nothing("no timing was recorded")
    found = comparison.runs(record)
    names = statistics.variant_names(found)
    frame = pd.DataFrame(
        {"step": variant, "framework": variant.split()[0], "milliseconds": 1e3 * seconds}
        for variant in names
        for seconds in np.concatenate(statistics.values(found, variant))
    )
    canvas, (axes,) = blank(1.5 + 0.4 * len(names), named=len(names))
    jitter = 0.2 if narrow() else 0.3  # of a row
    look = {
        "hue": "framework",
        "palette": COLOURS,
        "size": 3,
        "alpha": 0.6,
        "jitter": jitter,
        "legend": False,
    }
    np.random.seed(0)  # noqa: NPY002  (seaborn's jitter draws from the global state)
    sns.stripplot(frame, x="milliseconds", y="step", order=names, ax=axes, **look)
    name_rows(axes, names, top=jitter, clear=3)
    axes.set(xscale="log", xlabel="milliseconds per step", ylabel="")
    log_ticks(axes.xaxis, *axes.get_xlim(), lambda value: f"{value:g}")
    spread = frame.groupby("step").milliseconds.agg(lambda x: x.quantile(0.95) / x.quantile(0.05))
    title = f"Single steps scatter by up to {spread.max():.2f}×"
    case = f"batch {record.case['batch']}, {len(frame)} samples of {len(found)} processes"
    headline(axes, title, f"From 5th to 95th percentile, in {spread.idxmax()}; {case}")
    return Figure(canvas, f"{title} from 5th to 95th percentile, in {spread.idxmax()}; {case}.")


@twice
def scaling(records: list[Timing], unit: str) -> Figure:
    """Time per example over batch size for every variant; the verdict turns where the curves cross."""
    if not records:
        return nothing("no timing was recorded")
    canvas, (axes,) = blank(4.4)
    found = {record.case["batch"]: comparison.runs(record) for record in records}
    batches, ends = sorted(found), []
    for variant in comparison.variants(found[batches[0]]):
        per = [[float(np.median(x)) / b for x in statistics.values(found[b], variant)] for b in batches]
        middle = [float(np.median(values)) for values in per]
        style = _variant_style(variant)
        axes.fill_between(
            batches, [min(v) for v in per], [max(v) for v in per], color=style["color"], alpha=0.15, lw=0
        )
        axes.plot(batches, middle, lw=1.8, ms=6, mec=PAPER, **style)
        ends.append((middle[-1], variant, style["color"]))
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel=f"time per {unit}")
    size_ticks(axes.xaxis, batches)
    log_ticks(axes.yaxis, *axes.get_ylim(), duration)
    end_labels(axes, ends, log=True)
    best = comparison.headlines(sorted(records, key=lambda r: r.case["batch"]))
    title = words.over(best, "batch sizes")
    subtitle = "Line: median over processes; shade: fastest to slowest process. Both axes logarithmic"
    headline(axes, title, f"{subtitle}; lower is faster")
    told = "; ".join(map(words.said, best))
    return Figure(canvas, f"{title}. {told}. {comparison.provisional(best)}")


@twice
def parts(records: list[Timing]) -> Figure:
    """Where a step's time goes: data, forward, backward and optimizer in each framework."""
    table = comparison.part_table(records).set_index("framework")
    if table.empty:
        return nothing("no timing was recorded")
    names = list(table.columns)
    canvas, (axes,) = blank(2.6, named=len(names))
    for framework, offset in (("MLX", -0.17), ("PyTorch", 0.17)):
        for y, part in enumerate(names):
            milliseconds = max(0.0, table.loc[framework, part])  # backward is a difference
            text = f"{framework} {duration(milliseconds / 1e3)}"
            bar(axes, y + offset, milliseconds, framework, text, 0.3)
    axes.set(xlabel="milliseconds, eager step", xlim=(0, 1.25 * table.to_numpy().max()))
    axes.set_ylim(len(names) - 0.5, -0.7 if narrow() else -0.5)
    name_rows(axes, names, top=0.34, clear=1)
    for y, part in enumerate(names):
        beside_row(
            axes, y, words.part_verdict(*table.loc[["MLX", "PyTorch"], part]), top=0.34, clear=1, color=MUTED
        )
    largest = {name: table.loc[name].idxmax() for name in comparison.FRAMEWORKS}
    title = f"{largest['MLX'].capitalize()} takes longest in MLX, {largest['PyTorch']} in PyTorch"
    if largest["MLX"] == largest["PyTorch"]:
        title = f"{largest['MLX'].capitalize()} takes longest in both"
    headline(axes, title, "Median of each part timed alone; backward: forward and backward less forward")
    return Figure(canvas, f"{title}. {'; '.join(words.part_told(table, name) for name in names)}.")


@twice
def shares(table: pd.DataFrame) -> Figure:
    """Share of its type's probed ceiling that every step reaches; shares above it are left out."""
    share = pd.to_numeric(table[ceilings.SHARE], errors="coerce")
    table = table.assign(share=share)[share.notna()]
    if table.empty:
        return nothing("no timing, or no probed ceiling that is high enough, was recorded")
    ceiling = " and ".join(dict.fromkeys(table["ceiling"]))
    canvas, (axes,) = blank(3.6)
    ends = []
    for variant, rows in table.groupby("step"):
        style = _variant_style(variant)
        axes.plot(rows["batch"], rows["share"], lw=1.8, ms=6, mec=PAPER, **style)
        ends.append((rows["share"].iloc[-1], variant, style["color"]))
    batches = sorted(set(table["batch"]))
    axes.set(
        xscale="log", xlabel="batch size", ylabel="% of the ceiling", ylim=(0, 1.05 * table["share"].max())
    )
    size_ticks(axes.xaxis, batches)
    end_labels(axes, ends, log=False)
    top = table.loc[table["share"].idxmax()]
    title = f"{top['step']} reaches {top['share']:.0f} % of what this machine can do"
    headline(axes, title, f"Counted operations ÷ time ÷ the best product measured here, {ceiling}")
    return Figure(canvas, title + f", at batch {top['batch']}; the ceiling is {ceiling}.")


@twice
def memory(records: list[Memory]) -> Figure:
    """Memory that training adds, by variant: the frameworks' own counts where both keep one, as on GPUs."""
    if not records:
        return nothing("no memory was recorded")
    counted = all(record.allocator is not None for record in records)
    readings = {r.arm: [r.allocator] if counted else r.readings or [r.resident] for r in records}
    sizes = {arm: float(np.median(found)) / 2**20 for arm, found in readings.items()}
    ordered = sorted(sizes, key=sizes.get, reverse=True)
    canvas, (axes,) = blank(1.4 + 0.4 * len(records), named=len(records))
    for y, variant in enumerate(ordered):
        bar(
            axes, y, sizes[variant], variant.split()[0], f"{comparison.megabytes(readings[variant])} MB", 0.55
        )
    name_rows(axes, ordered, top=0.275, clear=1)
    axes.set(xlabel="megabytes", xlim=(0, 1.15 * max(1.0, sizes[ordered[0]])))
    title = f"{ordered[-1]} needs the least memory, {ordered[0]} the most"
    if min(readings[ordered[0]]) <= statistics.TIE * max(readings[ordered[-1]]):
        title = "A tie: all need the same memory within 5 % or their range"
    reading = "Each framework's own count" if counted else f"Peak of the {records[0].process} above its start"
    headline(axes, title, f"{reading}; median and range of fresh processes")
    return Figure(
        canvas, f"{title}: {', '.join(f'{variant} {sizes[variant]:.0f} MB' for variant in ordered)}."
    )


@twice
def products(probes: list[Timing]) -> Figure:
    """FLOP/s of square products by size and type in both frameworks."""
    rows = [record for record in probes if record.subject == "matmul"]
    if not rows:
        return nothing("no product was timed")
    canvas, (axes,) = blank(4.2)
    ends, reached = [], {}
    dashes = dict(
        zip(dict.fromkeys(r.case["dtype"] for r in rows), ["-", (0, (4, 2)), (0, (1, 1.5))], strict=False)
    )
    for dtype, dash in dashes.items():
        mine = sorted((r for r in rows if r.case["dtype"] == dtype), key=lambda r: r.case["n"])
        for name in comparison.FRAMEWORKS:
            rate = [2 * r.case["n"] ** 3 / statistics.median(comparison.runs(r), name) for r in mine]
            sizes = [r.case["n"] for r in mine]
            axes.plot(
                sizes, rate, color=COLOURS[name], marker=MARKERS[name], ls=dash, lw=1.8, ms=6, mec=PAPER
            )
            ends.append((rate[-1], f"{name} {dtype}", COLOURS[name]))
            reached[name, dtype] = max(rate)
    axes.set(xscale="log", yscale="log", xlabel="side of the square matrices", ylabel="GFLOP/s")
    sizes = sorted({r.case["n"] for r in rows})
    size_ticks(axes.xaxis, sizes)
    log_ticks(axes.yaxis, *axes.get_ylim(), lambda value: f"{value / 1e9:g}")
    end_labels(axes, ends, log=True)
    best = max(reached, key=reached.get)
    title = f"The best product here runs at {reached[best] / 1e9:.0f} GFLOP/s ({best[0]}, {best[1]})"
    headline(axes, title, "Median over processes, both axes logarithmic; higher is faster")
    told = "; ".join(f"{name} {dtype} {rate / 1e9:.0f}" for (name, dtype), rate in reached.items())
    return Figure(canvas, f"{title}. Best of each in GFLOP/s: {told}.")
