"""What axes carry in every figure: ticks in words, names of rows and lines, bars, the axis of a ratio."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullLocator

from twins.figures.fitting import POINTS, narrow, width, wrapped
from twins.figures.style import COLOURS, INK, LABEL, MUTED, PAPER, RULE
from twins.timing import statistics

ROOM = 0.42  # of the width, which the names of rows may take at the left
LINE = 1.2 * LABEL  # points
FACTORS = (1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def log_ticks(axis: Axis, low: float, high: float, label: Callable[[float], str]) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, labelled by `label`, none between."""
    powers = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    most = 20 if narrow() and axis.axis_name == "x" else 200
    steps = (1, 2, 5) if high / low < most else (1,)
    axis.set_major_locator(FixedLocator([s * 10.0**p for p in powers for s in steps]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_locator(NullLocator())


def size_ticks(axis: Axis, sizes: Sequence[int], label: Callable[[int], str] = str) -> None:
    """Ticks at these sizes only, on a phone at every second of many."""
    sizes = sorted(set(sizes))
    shown = sizes[::-1][::2][::-1] if narrow() and len(sizes) > 5 else sizes
    axis.set_major_locator(FixedLocator(shown))
    axis.set_major_formatter(FixedFormatter([label(size) for size in shown]))
    axis.set_minor_locator(NullLocator())


def end_labels(axes: Axes, ends: list[tuple[float, str, str]], log: bool) -> None:
    """Names of lines (y at the end, text, colour) right of the axes, moved apart where they overlap."""
    low, high = axes.get_ylim()
    scale = np.log10 if log else np.asarray
    reach = float(scale(high) - scale(low)) or 1.0
    line = LINE / (POINTS * axes.figure.get_figheight() * axes.get_position().height)
    ends = sorted(ends)
    texts = [text.replace(" ", "\n", 1) if narrow() and len(text) > 10 else text for _, text, _ in ends]
    heights = [line * (1 + text.count("\n")) for text in texts]
    places = apart([float(scale(y) - scale(low)) / reach for y, _, _ in ends], heights)
    look = {"fontweight": "bold", "fontsize": LABEL, "va": "center", "annotation_clip": False}
    look |= {"xycoords": "axes fraction", "textcoords": "offset points", "linespacing": 1.0}
    for (_, _, colour), text, place in zip(ends, texts, places, strict=True):
        axes.annotate(text, (1, place), (3, 0), color=colour, **look)


def apart(wanted: list[float], heights: list[float]) -> list[float]:
    """Rising places as near to the wanted ones as text of these heights allows, none above 1."""
    places: list[float] = []
    for at, height in zip(wanted, heights, strict=True):
        least = places[-1] + (heights[len(places) - 1] + height) / 2 if places else at
        places.append(max(at, least))
    top = 1.0
    for i in reversed(range(len(places))):
        places[i] = min(places[i], max(top - heights[i] / 2, wanted[i] if i == len(places) - 1 else 0))
        top = places[i] - heights[i] / 2
    return places


def bar(axes: Axes, y: float, length: float, framework: str, text: str, height: float) -> None:
    """A horizontal bar in a framework's colour and hatch, labelled at its end."""
    colour, hatch = COLOURS[framework], "" if framework == "MLX" else "///"
    axes.barh(y, length, height, color=colour, hatch=hatch, ec=PAPER, lw=0)
    place = {"textcoords": "offset points", "va": "center"}
    axes.annotate(text, (length, y), (4, 0), color=colour, fontsize=LABEL, **place)


def ratio_axis(axes: Axes, reach: float) -> None:
    """A symmetric logarithmic x axis of PyTorch's time over MLX's, in words: 2×, 1.5×, same, 1.5×, 2×."""
    axes.set(xscale="log", xlim=(1 / reach, reach))
    axes.axvspan(1 / statistics.TIE, statistics.TIE, color=RULE, alpha=0.6, lw=0)
    axes.axvline(1, color=MUTED, lw=1)
    _factors(axes.xaxis, reach, 3 if narrow() else 5)
    axes.grid(axis="x", lw=0.7)
    axes.grid(visible=False, axis="y")
    look = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    axes.annotate("←  PyTorch ahead", (0, 0), (0, -30), ha="left", color=COLOURS["PyTorch"], **look)
    axes.annotate("MLX ahead  →", (1, 0), (0, -30), ha="right", color=COLOURS["MLX"], **look)


def upright_ratio_axis(axes: Axes, reach: float, most: int = 3) -> None:
    """The same as a y axis, MLX lies above "same"."""
    axes.set(yscale="log", ylim=(1 / reach, reach))
    axes.axhspan(1 / statistics.TIE, statistics.TIE, color=RULE, alpha=0.6, lw=0)
    axes.axhline(1, color=MUTED, lw=1)
    _factors(axes.yaxis, reach, most)


def _factors(axis: Axis, reach: float, most: int) -> None:
    """Ticks at factors on both sides of "same", at most so many on each."""
    steps = spaced([s for s in FACTORS if s < reach], reach, most)
    texts = [f"{s:g}×" for s in steps]
    axis.set_major_locator(FixedLocator([*(1 / s for s in steps), 1, *steps]))
    axis.set_major_formatter(FixedFormatter([*texts, "same", *texts]))
    axis.set_minor_locator(NullLocator())


def spaced(steps: Sequence[float], reach: float, most: int) -> list[float]:
    """The steps where they are few; otherwise those that stand well apart on the way to the reach."""
    if len(steps) < most:
        return list(steps)
    kept: list[float] = [1.0]
    for step in steps:
        if np.log(step / kept[-1]) > 0.8 * np.log(reach) / most:
            kept.append(step)
    return kept[1:]


def name_rows(axes: Axes, labels: Sequence[str], top: float = 0, clear: float = 6, **look) -> None:
    """Name horizontal rows and rule the figure along them: at the left, on a phone above each row.

    There a name stands `clear` points above what is drawn, which reaches `top` of a row above its middle.
    """
    look = {"color": INK, "fontsize": LABEL} | look
    axes.set_yticks(range(len(labels)))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    if not narrow():
        texts = [wrapped(label, ROOM * width(), look["fontsize"]) for label in labels]
        axes.set_yticklabels(texts, **look)
        return
    axes.set_yticklabels([])
    for y, label in enumerate(labels):
        _over_row(axes, 0, _above(axes, y, top), label, clear, ha="left", **look)


def beside_row(axes: Axes, y: float, text: str, top: float = 0, clear: float = 6, **look) -> None:
    """Text at the right of a row, on a phone at the right of its name."""
    look = {"fontsize": LABEL, "annotation_clip": False} | look
    if narrow():
        _over_row(axes, 1, _above(axes, y, top), text, clear, ha="right", **look)
    else:
        place = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
        axes.annotate(text, (1, y), (8, 0), **place, **look)


def _above(axes: Axes, y: float, top: float) -> float:
    return y - top if axes.yaxis_inverted() else y + top


def _over_row(axes: Axes, x: float, y: float, text: str, clear: float, **look) -> None:
    place = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "bottom"}
    axes.annotate(text, (x, y), (0, clear), **place, **look)
