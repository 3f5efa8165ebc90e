"""How every figure looks, and what it must carry: one style, SVG for two columns, a PNG beside it, alt text.

One colour, marker and dash per framework everywhere. The site swaps the colours below for those of its theme.
"""

import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from twins.figures import fitting
from twins.figures.fitting import POINTS, narrow, wrapped

INK, MUTED, RULE, PAPER = "#1b1f24", "#5f6b7a", "#d5dae1", "#ffffff"
COLOURS = {"MLX": "#0072b2", "PyTorch": "#c24e00"}
MARKERS = {"MLX": "o", "PyTorch": "s"}
DASHES = {"eager": "-", "compiled": (0, (4, 2))}
NARROW = "application/vnd.twins.narrow-svg"  # as twins.series.show calls it
TITLE, SUBTITLE, LABEL = 12.5, 9.5, 9  # points
LABELS = 0.2  # inches of a row's name above what it names
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
    """A figure as SVG, with a PNG for code hosts and editors, that says in words what it shows.

    `narrow` is the SVG for a phone; a figure has one when a function drew it that is drawn `twice`.
    """

    def __init__(self, canvas: Canvas, alt: str):
        if not alt.strip():
            raise ValueError("a figure needs alt text that states its finding")
        self.alt, self.narrow = alt, ""
        with mpl.rc_context(STYLE):
            part = fitting.fit(canvas)
            self.svg = fitting.svg(canvas, part)
            self.png = b"" if narrow() else fitting.png(canvas, part, PAPER)

    def _repr_mimebundle_(self, include=None, exclude=None):
        told = {"alt": self.alt, "needs_background": "light"}
        data = {"image/svg+xml": self.svg, "image/png": self.png, "text/plain": self.alt}
        data |= {NARROW: self.narrow} if self.narrow else {}
        return data, {"image/svg+xml": told, "image/png": told}


P = ParamSpec("P")


def twice(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws a figure, which then carries its narrow version too.

    A figure that another figure function asks for is drawn once, for the column that one draws for.
    """

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        if fitting.once():
            return draw(*args, **kwargs)
        given = [list(each) if isinstance(each, Iterator) else each for each in args]
        with fitting.column(fitting.WIDE):
            figure = draw(*given, **kwargs)  # type: ignore[arg-type]
        with fitting.column(fitting.NARROW):
            figure.narrow = draw(*given, **kwargs).svg  # type: ignore[arg-type]
        return figure

    return drawn


def blank(height: float, rows: int = 1, named: int = 0, **options) -> tuple[Canvas, list[Axes]]:
    """An empty canvas in the house style with its axes, one below the other.

    `height` is in inches; in a narrow column `named` rows of bars have their names above them.
    """
    if narrow():
        height += LABELS * named
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(fitting.width(), height))
        axes = canvas.subplots(rows, 1, squeeze=False, **options)[:, 0]
    return canvas, list(axes)


def headline(axes: Axes, title: str, subtitle: str, above: float = 9) -> None:
    """The finding above the axes, and below it what is drawn, both as wide as the figure.

    `above` is how many points the lower one stands over the axes.
    """
    room = fitting.width() - 2 * fitting.EDGE
    below = wrapped(subtitle, room, SUBTITLE)
    _over(axes, below, above, color=MUTED, fontsize=SUBTITLE)
    title = wrapped(title, room, TITLE, "bold")
    lines = 1 + below.count("\n")
    _over(axes, title, above + 5 + 1.2 * SUBTITLE * lines, color=INK, fontsize=TITLE, fontweight="bold")


def _over(axes: Axes, text: str, points: float, **look) -> None:
    """Text at the left edge of the figure, so many points over the axes."""
    canvas = axes.figure
    place = blended_transform_factory(canvas.transFigure, axes.transAxes)
    place += ScaledTranslation(0, points / POINTS, canvas.dpi_scale_trans)
    canvas.text(0, 1, text, transform=place, va="bottom", ha="left", **look)


@twice
def nothing(reason: str) -> Figure:
    """The figure that stands where there is nothing to draw, and says why."""
    canvas, (axes,) = blank(0.7)
    axes.set_axis_off()
    text = wrapped(f"Nothing to draw: {reason}", fitting.width() - 0.1, 10)
    axes.text(0, 0.5, text, color=MUTED, transform=axes.transAxes)
    return Figure(canvas, f"Nothing to draw: {reason}")
