"""How every figure looks, and what it must carry: one style, SVG with a PNG beside it, alt text.

One colour, marker and dash per framework everywhere. The site swaps the colours below for those of its theme.
"""

import io

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullLocator

INK, MUTED, RULE, PAPER = "#1b1f24", "#5f6b7a", "#d5dae1", "#ffffff"
COLOURS = {"MLX": "#0072b2", "PyTorch": "#c24e00"}
MARKERS = {"MLX": "o", "PyTorch": "s"}
DASHES = {"eager": "-", "compiled": (0, (4, 2))}
WIDTH = 7.6  # inches
STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.bottom": False,
    "ytick.left": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "twins",
    "legend.frameon": False,
}


class Figure:
    """A figure as SVG, with a PNG for code hosts and editors, that says in words what it shows."""

    def __init__(self, canvas: Canvas, alt: str):
        if not alt.strip():
            raise ValueError("a figure needs alt text that states its finding")
        self.alt = alt
        with mpl.rc_context(STYLE):
            text, image = io.StringIO(), io.BytesIO()
            canvas.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
            metadata = {"Software": None}
            canvas.savefig(
                image, format="png", dpi=144, bbox_inches="tight", facecolor=PAPER, metadata=metadata
            )
        svg = text.getvalue()
        self.svg, self.png = svg[svg.index("<svg") :], image.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        told = {"alt": self.alt, "needs_background": "light"}
        data = {"image/svg+xml": self.svg, "image/png": self.png, "text/plain": self.alt}
        return data, {"image/svg+xml": told, "image/png": told}


def blank(height: float, rows: int = 1, **options) -> tuple[Canvas, list[Axes]]:
    """An empty canvas in the house style with its axes, one below the other."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height))
        axes = canvas.subplots(rows, 1, squeeze=False, **options)[:, 0]
    return canvas, list(axes)


def headline(axes: Axes, title: str, subtitle: str) -> None:
    """The finding above the axes, and below it what is drawn."""
    axes.set_title(title, pad=26, loc="left", color=INK, fontsize=12.5, fontweight="bold")
    axes.annotate(
        subtitle, (0, 1), (0, 9), "axes fraction", textcoords="offset points", color=MUTED, fontsize=9.5
    )


def log_ticks(axis, low: float, high: float, label) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, labelled by `label`, none between."""
    powers = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if high / low < 200 else (1,)
    axis.set_major_locator(FixedLocator([s * 10.0**p for p in powers for s in steps]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_locator(NullLocator())


def end_labels(axes: Axes, ends: list[tuple[float, float, str, str]], log: bool) -> None:
    """Names at the ends of lines (x, y, text, colour), pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    scale = np.log10 if log else np.asarray
    height = float(scale(high) - scale(low)) or 1.0
    placed: list[float] = []
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        at = float(scale(y) - scale(low)) / height
        at = max([at, *(spot + 0.065 for spot in placed[-1:])])
        placed.append(at)
        axes.annotate(
            text,
            (x, at),
            (8, 0),
            axes.get_xaxis_transform(),
            textcoords="offset points",
            color=colour,
            fontweight="bold",
            fontsize=9,
            va="center",
            annotation_clip=False,
        )


def size_ticks(axis, sizes: list[int]) -> None:
    """Ticks at these sizes only, written as they are."""
    axis.set_major_locator(FixedLocator(sizes))
    axis.set_major_formatter(FixedFormatter([str(size) for size in sizes]))
    axis.set_minor_locator(NullLocator())


def bar(axes: Axes, y: float, length: float, framework: str, text: str, height: float) -> None:
    """A horizontal bar in a framework's colour and hatch, labelled at its end."""
    colour, hatch = COLOURS[framework], "" if framework == "MLX" else "///"
    axes.barh(y, length, height, color=colour, hatch=hatch, ec=PAPER, lw=0)
    place = {"textcoords": "offset points", "va": "center"}
    axes.annotate(text, (length, y), (4, 0), color=colour, fontsize=9, **place)


def ratio_axis(axes: Axes, reach: float) -> None:
    """A symmetric logarithmic x axis of PyTorch's time over MLX's, in words: 2×, 1.5×, same, 1.5×, 2×."""
    axes.set(xscale="log", xlim=(1 / reach, reach))
    steps = [s for s in (1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000) if s < reach]
    if len(steps) > 4:
        steps = [s for s in steps if s not in (1.5, 3)]
    axes.xaxis.set_major_locator(FixedLocator([*(1 / s for s in steps), 1, *steps]))
    axes.xaxis.set_major_formatter(
        FixedFormatter([*(f"{s:g}×" for s in steps), "same", *(f"{s:g}×" for s in steps)])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", lw=0.7)
    axes.grid(visible=False, axis="y")
    look = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    axes.annotate("←  PyTorch faster", (0, 0), (0, -30), ha="left", color=COLOURS["PyTorch"], **look)
    axes.annotate("MLX faster  →", (1, 0), (0, -30), ha="right", color=COLOURS["MLX"], **look)


def name_rows(axes: Axes, labels: list[str]) -> None:
    """Name horizontal bars, first at the top, and rule the figure along them."""
    axes.set_yticks(range(len(labels)))
    axes.set_yticklabels(labels, color=INK)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")


def nothing(reason: str) -> Figure:
    """The figure that stands where there is nothing to draw, and says why."""
    canvas, (axes,) = blank(0.9)
    axes.set_axis_off()
    axes.text(0, 0.5, f"Nothing to draw: {reason}", color=MUTED, transform=axes.transAxes)
    return Figure(canvas, f"Nothing to draw: {reason}")
