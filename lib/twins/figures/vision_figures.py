"""Figures and tables of the page on vision: pictures of the data, and single layers by kernel and batch.

As in training_figures.py: records in, Figure out, and every title is a finding computed from them.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from twins.figures import words
from twins.figures.axes import end_labels, log_ticks, size_ticks
from twins.figures.fitting import narrow
from twins.figures.style import (
    COLOURS,
    DASHES,
    INK,
    MARKERS,
    PAPER,
    Figure,
    blank,
    headline,
    nothing,
    twice,
)
from twins.records.record_types import Timing
from twins.timing import comparison, statistics, wording
from twins.timing.ceilings import ceilings
from twins.timing.comparison import Comparison

CONVOLUTION, BOTH_WAYS = "convolution", "forward and backward"  # as convolutions.py writes them


@twice
def pictures(
    images: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str, count: int = 8
) -> Figure:
    """The first images of a batch, (n, height, width, channels), with their classes."""
    shown = images[: min(count, 4) if narrow() else count]
    low, high = shown.min(), shown.max()
    tiles = (shown - low) / (high - low)
    gap = np.full((tiles.shape[1], 1, tiles.shape[3]), float(tiles.shape[3] > 1))  # white in either scale
    strip = np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)
    canvas, (axes,) = blank(1.9)
    grey = {"cmap": "gray_r", "vmin": 0, "vmax": 1} if strip.shape[2] == 1 else {}
    axes.imshow(strip[..., 0] if grey else strip, aspect="equal", **grey)
    centres = (np.arange(len(shown)) + 0.5) * (tiles.shape[2] + 1) - 1
    names = [classes[label] for label in labels[: len(shown)]]
    axes.set_xticks(centres, names, color=INK)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    headline(axes, title, "As both halves get them: resized, shifted, with noise; below: the class")
    return Figure(canvas, f"{title}, of the classes {', '.join(names)}.")


def label(case: dict) -> str:
    """A timed layer in words."""
    kernel = f"{case['kernel']} × {case['kernel']} " if case["kernel"] else ""
    return f"{kernel}{case['kind']}, {case['channels']} channels, batch {case['batch']}"


def _swept(records: Iterable[Timing], along: str) -> list[Timing]:
    """Convolutions, both ways, along one size, where the most values of it were timed at one other size."""
    other = {"kernel": "batch", "batch": "kernel"}[along]
    found = [r for r in records if r.case["kind"] == CONVOLUTION and r.case["work"] == BOTH_WAYS]
    values = {
        at: len({r.case[along] for r in found if r.case[other] == at})
        for at in (r.case[other] for r in found)
    }
    if not values:
        return []
    at = max(values, key=values.get)
    return sorted((r for r in found if r.case[other] == at), key=lambda r: r.case[along])


@twice
def sweep(records: Iterable[Timing], along: str, peak: float) -> Figure:
    """Share of the ceiling that convolutions reach along "kernel" or "batch", a panel per channels."""
    found = _swept(records, along)
    if not found or not peak:
        return nothing("no convolution, or no ceiling, was timed")
    widths = sorted({r.case["channels"] for r in found})
    canvas, panels = blank(0.9 + 2.2 * len(widths), len(widths), sharex=True, gridspec_kw={"hspace": 0.15})
    best = dict.fromkeys(comparison.FRAMEWORKS, 0.0)
    for axes, channels in zip(panels, widths, strict=True):
        own = [r for r in found if r.case["channels"] == channels]
        for variant, share in _panel(axes, own, along, peak):
            best[variant.split()[0]] = max(best[variant.split()[0]], share)
        axes.set_ylabel(f"{channels} channels\n% of the ceiling")
    size_ticks(panels[-1].xaxis, sorted({r.case[along] for r in found}))
    panels[-1].set_xlabel({"kernel": "side of the kernel", "batch": "batch size"}[along])
    best = {
        name: f"{float(f'{share:.2g}'):g} %" if share else ceilings.TOO_LOW for name, share in best.items()
    }
    told = " and ".join(f"{share} in {name}" for name, share in best.items())
    title = f"Convolutions reach up to {told}"
    case = found[0].case
    fixed = f"kernel {case['kernel']} × {case['kernel']}" if along == "batch" else f"batch {case['batch']}"
    headline(panels[0], title, f"{BOTH_WAYS.capitalize()}, {fixed}; both axes logarithmic; higher is faster")
    ceiling = f"of the ceiling of {ceilings.named(peak, 'float32')}"
    return Figure(canvas, f"{title}, {ceiling}; {BOTH_WAYS}, {fixed}, along the {along}.")


def _panel(axes, records: list[Timing], along: str, peak: float) -> list[tuple[str, float]]:
    """The lines of one panel, one per variant; gives every variant's best share."""
    runs = [comparison.runs(record) for record in records]
    at, ends, best = [r.case[along] for r in records], [], []
    for variant in comparison.variants(runs[0]):
        framework, _, mode = variant.partition(" ")
        share = [
            ceilings.percent(r.case["flops"] / statistics.median(f, variant), peak)
            for r, f in zip(records, runs, strict=True)
        ]
        share = pd.to_numeric(pd.Series(share, index=at), errors="coerce").dropna()
        look = {"color": COLOURS[framework], "marker": MARKERS[framework], "ls": DASHES.get(mode, "-")}
        axes.plot(share.index, share, lw=1.8, ms=6, mec=PAPER, **look)
        ends += [(last, variant, COLOURS[framework]) for last in share.iloc[-1:]]
        best.append((variant, share.max() if len(share) else 0.0))
    axes.set(xscale="log", yscale="log")
    log_ticks(axes.yaxis, *axes.get_ylim(), lambda value: f"{value:g}")
    end_labels(axes, ends, log=True)
    return best


def layers(records: Iterable[Timing]) -> list[Comparison]:
    """Comparisons by mode, both ways, of every layer at the batch that most kinds of layer were timed at."""
    found = [r for r in records if r.case["work"] == BOTH_WAYS]
    batches = [r.case["batch"] for r in found if r.case["kind"] != CONVOLUTION]
    widest = max((r.case["channels"] for r in found), default=0)
    own = [r for r in found if r.case["batch"] in batches and r.case["channels"] == widest]
    return [c for r in own for c in comparison.by_mode(r, label(r.case))]


def layer_table(records: Iterable[Timing], peak: float) -> pd.DataFrame:
    """Every layer: eager time in each framework, their ratio, and each one's share of the ceiling."""
    rows = []
    for record in records:
        found, case = comparison.runs(record), record.case
        seconds = {name: statistics.median(found, f"{name} eager") for name in comparison.FRAMEWORKS}
        known = peak if case["flops"] else 0.0
        share = {n: ceilings.percent(case["flops"] / s, known) for n, s in seconds.items()}
        rows.append(
            {
                "layer": label(case),
                "work": case["work"],
                **{f"{name} ms": 1e3 * s for name, s in seconds.items()},
                "as fast, this session": _as_fast(statistics.ratio(found, "PyTorch eager", "MLX eager")),
                **{f"{name} %": share[name] for name in seconds},
            }
        )
    return pd.DataFrame(rows)


def _as_fast(ratio: statistics.Ratio) -> str:
    who, _ = wording.faster(ratio.value)
    return f"{wording.as_fast(ratio.value)} {wording.interval(ratio.low, ratio.high, who)}"


def layer_reading(comparisons: Sequence[Comparison]) -> str:
    """Where MLX does best and where worst among layers, in two sentences."""
    if not comparisons:
        return "No layer was timed."
    ordered = sorted(comparisons, key=lambda c: c.ratio.value)
    worst, best = words.said(ordered[0]), words.said(ordered[-1])
    return f"Among the layers MLX does worst in {worst}. It does best in {best}."
