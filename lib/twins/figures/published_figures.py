"""Figures of what others published: ratios by chip and year, operations over time, ours beside them, breadth.

Published ratios are single figures without intervals, of different programs, sizes and versions: each is a
mark of its own; a median is drawn as a guide to the eye and estimates nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from twins.evidence.published import published_counts, published_tables
from twins.evidence.published.published_benchmarks import Benchmark
from twins.evidence.published.published_comparison import Pair
from twins.figures.style import (
    COLOURS,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    RULE,
    Figure,
    bar,
    blank,
    headline,
    name_rows,
    nothing,
    ratio_axis,
)
from twins.records.record_types import Breadth
from twins.timing import statistics
from twins.timing.comparison import FRAMEWORKS, Comparison

TASKS = {"op": "operations", "train": "training", "inference": "inference", "transfer": "CPU and GPU"}
SHAPES = {"M1": "o", "M2": "s", "M3": "^", "M4": "D", "M5": "v"}


def by_generation(rows: Iterable[Benchmark]) -> Figure:
    """Published ratios by what was timed and the chip's generation."""
    return _strips(rows, lambda row: row.generation or "chip not stated", "chip generation")


def by_chip(rows: Iterable[Benchmark]) -> Figure:
    """Published ratios by what was timed and the chip, where it is stated."""
    return _strips((row for row in rows if row.model), lambda row: row.model, "chip", 0.23)


def by_year(rows: Iterable[Benchmark]) -> Figure:
    """Published ratios by what was timed and the year it was published in."""
    return _strips(rows, lambda row: row.date_from[:4] or "undated", "year")


def _strips(
    rows: Iterable[Benchmark], key: Callable[[Benchmark], str], what: str, height: float = 0.3
) -> Figure:
    groups = defaultdict(list)
    for row in rows:
        if row.span:
            groups[list(TASKS).index(row.task), key(row)].append(row)
    if not groups:
        return nothing("no published ratio was read")
    order = sorted(groups)
    canvas, (axes,) = blank(1.7 + height * len(order))
    axes.axvspan(1 / statistics.TIE, statistics.TIE, color=RULE, alpha=0.6, lw=0)
    for y, group in enumerate(order):
        _strip(axes, y, groups[group])
    axes.set(ylim=(len(order) - 0.4, -0.6))
    axes.set_yticks(
        range(len(order)), [f"{list(TASKS.values())[task]}, {name}" for task, name in order], color=INK
    )
    every = [row for each in groups.values() for row in each]
    ratio_axis(axes, 1.3 * max(max(row.span[1], 1 / row.span[0]) for row in every))
    told = [f"{list(TASKS.values())[t]}, {name}: {_told(groups[t, name])}" for t, name in order]
    title = _turning(groups, order)
    headline(
        axes, title, f"By what was timed and {what}. Bar: median; right: figures and sources; band: a tie"
    )
    return Figure(canvas, f"{title}. {published_counts.totals(every)} Medians: {'; '.join(told)}.")


def _strip(axes: Axes, y: int, rows: list[Benchmark]) -> None:
    """The ratios of one group, spread a little so that equal ones are seen, their median and their number."""
    ratios = np.array([row.ratio for row in rows])
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(rows)) if len(rows) > 1 else np.zeros(1)
    axes.scatter(ratios, y + spread, s=16, c=[_side(row) for row in rows], alpha=0.55, lw=0)
    for row, low in zip(rows, spread, strict=True):  # a range is a line
        axes.plot(row.span, [y + low] * 2, color=_side(row), lw=1, alpha=0.55)
    axes.plot([np.median(ratios)] * 2, [y - 0.36, y + 0.36], color=INK, lw=2.2, solid_capstyle="butt")
    text = f"{len(rows)} from {len({row.source_id for row in rows})}"
    look = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, (1, y), (6, 0), color=MUTED, fontsize=9, annotation_clip=False, **look)


def _told(rows: list[Benchmark]) -> str:
    return f"{np.median([row.ratio for row in rows]):.2f} over {len(rows)}"


def _side(row: Benchmark) -> str:
    """The colour of who is ahead in a published figure."""
    return _colour(published_counts.winner(row.span))


def _colour(winner: str | None) -> str:
    return COLOURS[winner] if winner else MUTED


def _turning(groups: dict, order: list) -> str:
    """In how many groups the published ratios contradict each other."""
    many = [group for group in order if len(groups[group]) > 1]
    both = [
        group
        for group in many
        if {"MLX", "PyTorch"} <= {published_counts.winner(row.span) for row in groups[group]}
    ]
    return f"Each framework is the faster one somewhere in {len(both)} of {len(many)} groups of figures"


def operations(rows: Iterable[Benchmark], names: list[str]) -> Figure:
    """Published ratios of single operations over time, one panel each, marked by the chip's generation.

    Errors: ValueError for an operation that no row is of.
    """
    rows = [row for row in rows if row.task == "op" and row.ratio and row.date_from]
    if not rows or not names:
        return nothing("no published operation was read")
    found = {name: [row for row in rows if row.workload == name] for name in names}
    for name, own in found.items():
        if not own:
            known = ", ".join(sorted({row.workload for row in rows if "/" not in row.workload}))
            raise ValueError(f"operations: no published row is of {name!r}; there are {known}")
    canvas, panels = blank(1.3 + 1.25 * len(names), len(names), sharex=True, gridspec_kw={"hspace": 0.3})
    for axes, (name, own) in zip(panels, found.items(), strict=True):
        _operation(axes, name, own)
    panels[-1].xaxis.set_major_locator(locator := AutoDateLocator(maxticks=7))
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    _shapes(panels[-1], [row for own in found.values() for row in own])
    moves = {name: _ends(own) for name, own in found.items()}
    most = max(moves, key=lambda name: abs(np.log(moves[name][1] / moves[name][0])))
    title = f"{most.removeprefix('op ')} moved most: from {moves[most][0]:.2f}× to {moves[most][1]:.2f}×"
    headline(
        panels[0],
        title,
        "Medians of the first and last year. Time, PyTorch ÷ MLX; above the band MLX is faster",
    )
    told = "; ".join(f"{name} from {first:.2f} to {last:.2f}" for name, (first, last) in moves.items())
    return Figure(canvas, f"{title}. Medians of PyTorch's time over MLX's, first and last year: {told}.")


def _operation(axes: Axes, name: str, rows: list[Benchmark]) -> None:
    ratios = [row.ratio for row in rows]
    axes.axhspan(1 / statistics.TIE, statistics.TIE, color=RULE, alpha=0.6, lw=0)
    for generation in sorted({row.generation for row in rows}):
        own = [row for row in rows if row.generation == generation]
        days = [np.datetime64(row.date_from) for row in own]
        colours = [_side(row) for row in own]
        axes.scatter(
            days, [r.ratio for r in own], c=colours, marker=SHAPES.get(generation, "x"), s=34, alpha=0.75
        )
    reach = 1.25 * max(1.6, *ratios, *(1 / r for r in ratios))
    ticks = [t for t in (0.02, 0.1, 0.25, 0.5, 1, 2, 4, 10, 50) if 1 / reach < t < reach]
    ticks = [t for t in ticks if reach < 12 or t in (0.02, 0.1, 1, 10, 50)]
    axes.set(yscale="log", ylim=(1 / reach, reach))
    axes.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_title(name.removeprefix("op "), loc="right", pad=3, color=INK, fontsize=10, fontweight="bold")


def _shapes(axes: Axes, rows: list[Benchmark]) -> None:
    """The legend of generations, below the last panel."""
    known = sorted({row.generation for row in rows} & set(SHAPES))
    marks = [axes.scatter([], [], c=MUTED, marker=SHAPES[generation], s=34) for generation in known]
    look = {"ncols": 5, "frameon": False, "fontsize": 9, "labelcolor": MUTED}
    axes.legend(marks, known, loc="upper left", bbox_to_anchor=(-0.02, -0.25), **look)


def _ends(rows: list[Benchmark]) -> tuple[float, float]:
    """The median ratio of the first and of the last year."""
    years = sorted({row.date_from[:4] for row in rows})
    first, last = ([r.ratio for r in rows if r.date_from.startswith(y)] for y in (years[0], years[-1]))
    return float(np.median(first)), float(np.median(last))


def beside(pairs: list[Pair], machine: str) -> Figure:
    """What others published of a kind of work, and below it what this machine measured of it."""
    shown = [pair for pair in pairs if pair.published or pair.measured]
    if not shown:
        return nothing("no figure, published or measured, was read")
    lines = [line for pair in shown for line in ((pair, None), *((pair, c) for c in pair.measured))]
    canvas, (axes,) = blank(1.7 + 0.29 * len(lines))
    axes.axvspan(1 / statistics.TIE, statistics.TIE, color=RULE, alpha=0.6, lw=0)
    axes.axvline(1, color=MUTED, lw=1)
    labels = []
    for y, (pair, measured) in enumerate(lines):
        if measured is None:
            ratios = [row.ratio for row in pair.published]
            for row in pair.published:
                axes.plot(row.span, [y, y], color=MUTED, lw=1.3)
            axes.plot(ratios, [y] * len(ratios), "D", ms=6.5, mfc=PAPER, mec=MUTED, mew=1.3, ls="none")
            labels.append(f"{pair.label}{'' if ratios else ': none published'}")
        else:
            _own(axes, y, measured)
            labels.append(f"here, {measured.label}")
    axes.set(ylim=(len(lines) - 0.4, -0.6))
    axes.set_yticks(range(len(lines)), labels, color=INK)
    for label, (_, measured) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("normal" if measured else "bold")
    ratio_axis(axes, 1.4 * max(1.6, *_reaches(shown)))
    title = _agreement(shown)
    headline(axes, title, f"Hollow: published, other machines and sizes. Filled: {machine}, next session")
    told = "; ".join(f"{p.label}: {len(p.published)} published, {len(p.measured)} measured" for p in shown)
    return Figure(canvas, f"{title}. {told}.")


def _own(axes: Axes, y: int, row: Comparison) -> None:
    colour, r = _colour(row.winner), row.ratio
    axes.plot([r.low, r.high], [y, y], color=colour, lw=4.5, alpha=0.55, solid_capstyle="round")
    axes.plot(r.value, y, MARKERS["MLX" if r.value > 1 else "PyTorch"], color=colour, ms=7.5, mec=PAPER)


def _reaches(pairs: list[Pair]) -> list[float]:
    """How far from 1 every figure lies, as a factor."""
    ratios = [end for pair in pairs for row in pair.published for end in row.span]
    ratios += [end for pair in pairs for row in pair.measured for end in (row.ratio.low, row.ratio.high)]
    return [max(ratio, 1 / ratio) for ratio in ratios]


def _agreement(pairs: list[Pair]) -> str:
    both = [pair for pair in pairs if pair.published and pair.measured]
    if not both:
        return "Nothing that others published was measured on this machine yet"
    same = [
        pair
        for pair in both
        if {published_counts.winner(row.span) for row in pair.published}
        & {row.winner for row in pair.measured}
    ]
    return f"This machine is on a side that others published in {len(same)} of {len(both)} kinds of work"


def breadth(found: list[Breadth]) -> Figure:
    """How much of the other framework's list each framework has, by group."""
    if not found:
        return nothing("nothing was looked up")
    groups = list(dict.fromkeys(row.group for row in found))
    canvas, (axes,) = blank(1.4 + 0.62 * len(groups))
    for row in found:
        has = row.total - len(row.lacking)
        y = groups.index(row.group) + (-0.18 if row.framework == FRAMEWORKS[0] else 0.18)
        bar(axes, y, 100 * has / row.total, row.framework, f"{row.framework} {has} of {row.total}", 0.32)
    name_rows(axes, groups)
    axes.invert_yaxis()
    axes.set(xlabel="% of the other framework's list", xlim=(0, 130))
    axes.set_xticks([0, 25, 50, 75, 100])
    title = published_tables.wider(found).partition(":")[0].rstrip(".")
    headline(axes, title, "Looked up by name, and by a reviewed map of names, in the installed packages")
    told = "; ".join(f"{r.framework}, {r.group}: {r.total - len(r.lacking)} of {r.total}" for r in found)
    return Figure(canvas, f"{title}. {told}.")
