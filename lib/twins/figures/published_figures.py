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
from twins.figures import words
from twins.figures.axes import bar, beside_row, name_rows, ratio_axis, upright_ratio_axis
from twins.figures.fitting import narrow
from twins.figures.style import COLOURS, INK, MARKERS, MUTED, PAPER, Figure, blank, headline, nothing, twice
from twins.records.record_types import Breadth
from twins.timing import wording
from twins.timing.comparison import FRAMEWORKS, Comparison

TASKS = {"op": "operations", "train": "training", "inference": "inference", "transfer": "CPU and GPU"}
SHAPES = {"M1": "o", "M2": "s", "M3": "^", "M4": "D", "M5": "v"}


@twice
def by_generation(rows: Iterable[Benchmark]) -> Figure:
    """Published ratios by what was timed and the chip's generation."""
    return _strips(rows, lambda row: row.generation or "chip not stated", "chip generation")


@twice
def by_chip(rows: Iterable[Benchmark]) -> Figure:
    """Published ratios by what was timed and the chip, where it is stated."""
    return _strips((row for row in rows if row.model), lambda row: row.model, "chip", 0.23)


@twice
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
    names = [f"{list(TASKS.values())[task]}, {name}" for task, name in order]
    canvas, (axes,) = blank(1.7 + height * len(order), named=len(order))
    every = [row for each in groups.values() for row in each]
    ratio_axis(axes, 1.3 * max(max(row.span[1], 1 / row.span[0]) for row in every))
    axes.set(ylim=(len(order) - 0.4, -0.6))
    for y, group in enumerate(order):
        _strip(axes, y, groups[group])
    name_rows(axes, names, clear=8)
    told = [f"{name}: {_told(groups[group])}" for name, group in zip(names, order, strict=True)]
    title = _turning(groups, order)
    headline(
        axes, title, f"By what was timed and {what}. Bar: median; right: figures and sources; band: a tie"
    )
    return Figure(canvas, f"{title}. {published_counts.totals(every)} Medians: {'; '.join(told)}.")


def _strip(axes: Axes, y: int, rows: list[Benchmark]) -> None:
    """The ratios of one group, spread a little so that equal ones are seen, their median and their number."""
    ratios, half = np.array([row.ratio for row in rows]), 0.13 if narrow() else 0.22
    spread = np.random.default_rng(0).uniform(-half, half, len(rows)) if len(rows) > 1 else np.zeros(1)
    for colour in dict.fromkeys(map(_side, rows)):
        own = [i for i, row in enumerate(rows) if _side(row) == colour]
        axes.scatter(ratios[own], y + spread[own], s=12 if narrow() else 16, color=colour, alpha=0.55, lw=0)
    ranges = [(row, low) for row, low in zip(rows, spread, strict=True) if row.span[0] < row.span[1]]
    for row, low in ranges:
        axes.plot(row.span, [y + low] * 2, color=_side(row), lw=1, alpha=0.55)
    axes.plot(
        [np.median(ratios)] * 2, [y - 1.6 * half, y + 1.6 * half], color=INK, lw=2.2, solid_capstyle="butt"
    )
    text = f"{len(rows)} from {len({row.source_id for row in rows})}"
    beside_row(axes, y, text, clear=8, color=MUTED)


def _told(rows: list[Benchmark]) -> str:
    return f"{as_fast(float(np.median([row.ratio for row in rows])))} over {len(rows)}"


def as_fast(ratio: float) -> str:
    """A published ratio in words; one that is 1 to two digits says "the same"."""
    return wording.as_fast(ratio) if wording.times(wording.faster(ratio)[1]) != "1.00×" else "the same"


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
    if not both:
        return f"Published ratios agree on who is faster in all {len(many)} groups"
    return f"Published ratios disagree: both frameworks win in {len(both)} of {len(many)} groups"


@twice
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
    panels[-1].xaxis.set_major_locator(locator := AutoDateLocator(maxticks=4 if narrow() else 7))
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    _shapes(panels[-1], [row for own in found.values() for row in own])
    moves = {name: _ends(own) for name, own in found.items()}
    most = max(moves, key=lambda name: abs(np.log(moves[name][1] / moves[name][0])))
    title = f"{most.removeprefix('op ')} moved most: from {_moved(moves[most])}"
    headline(
        panels[0],
        title,
        "Medians of the first and last year. How many times as fast; above “same” MLX is faster",
        above=20,
    )
    told = "; ".join(f"{name.removeprefix('op ')} from {_moved(ends)}" for name, ends in moves.items())
    return Figure(canvas, f"{title}. Medians of the first and last year: {told}.")


def _moved(ends: tuple[float, float]) -> str:
    return " to ".join(map(as_fast, ends))


def _operation(axes: Axes, name: str, rows: list[Benchmark]) -> None:
    ratios = [row.ratio for row in rows]
    for generation in sorted({row.generation for row in rows}):
        own = [row for row in rows if row.generation == generation]
        days = [np.datetime64(row.date_from) for row in own]
        colours = [_side(row) for row in own]
        axes.scatter(
            days, [r.ratio for r in own], c=colours, marker=SHAPES.get(generation, "x"), s=34, alpha=0.75
        )
    reach = 1.25 * max(1.6, *ratios, *(1 / r for r in ratios))
    upright_ratio_axis(axes, reach, 2)
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


@twice
def beside(pairs: list[Pair], machine: str) -> Figure:
    """What others published of a kind of work, and below it what this machine measured of it."""
    shown = [pair for pair in pairs if pair.published or pair.measured]
    if not shown:
        return nothing("no figure, published or measured, was read")
    lines = [line for pair in shown for line in ((pair, None), *((pair, c) for c in pair.measured))]
    canvas, (axes,) = blank(1.7 + 0.29 * len(lines), named=len(lines))
    ratio_axis(axes, 1.4 * max(1.6, *_reaches(shown)))
    axes.set(ylim=(len(lines) - 0.4, -0.6))
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
            labels.append(f"here, {words.people(measured.label)}")
    name_rows(axes, labels)
    _bold(axes, [label for label, (_, measured) in zip(labels, lines, strict=True) if measured is None])
    title = _agreement(shown)
    headline(axes, title, f"Hollow: published, other machines and sizes. Filled: {machine}, next session")
    told = "; ".join(f"{p.label}: {len(p.published)} published, {len(p.measured)} measured" for p in shown)
    return Figure(canvas, f"{title}. {told}.")


def _bold(axes: Axes, labels: list[str]) -> None:
    """Write these names of rows in bold."""
    for text in [*axes.get_yticklabels(), *axes.texts]:
        if text.get_text().replace("\n", " ") in labels:
            text.set_fontweight("bold")


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
    return f"Same direction as published figures in {len(same)} of {len(both)} kinds of work"


@twice
def breadth(found: list[Breadth]) -> Figure:
    """How much of the other framework's list each framework has, by group."""
    if not found:
        return nothing("nothing was looked up")
    groups = list(dict.fromkeys(row.group for row in found))
    canvas, (axes,) = blank(1.4 + 0.62 * len(groups), named=len(groups))
    for row in found:
        has = row.total - len(row.lacking)
        y = groups.index(row.group) + (-0.18 if row.framework == FRAMEWORKS[0] else 0.18)
        bar(axes, y, 100 * has / row.total, row.framework, f"{row.framework} {has} of {row.total}", 0.32)
    axes.set_ylim(len(groups) - 0.5, -0.7 if narrow() else -0.5)
    name_rows(axes, groups, top=0.34, clear=1)
    axes.set(xlabel="% of the other framework's list", xlim=(0, 130))
    axes.set_xticks([0, 25, 50, 75, 100])
    title = published_tables.wider(found).partition(":")[0].rstrip(".")
    headline(axes, title, "Looked up by name, and by a reviewed map of names, in the installed packages")
    told = "; ".join(f"{r.framework}, {r.group}: {r.total - len(r.lacking)} of {r.total}" for r in found)
    return Figure(canvas, f"{title}. {told}.")
