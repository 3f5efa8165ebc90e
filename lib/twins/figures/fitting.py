"""How a figure fits its column: drawn twice, wide and narrow, text wrapped, margins as its labels need.

A figure's SVG is as wide as its column and as high as what is drawn, whatever stands beside its axes.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox
from PIL import Image

POINTS = 72  # per inch
WIDE, NARROW = 7.58, 3.62  # inches: 728 and 348 CSS pixels, a column of text and a phone
EDGE = 0.02  # inches that stay free at either side
LEAST = 0.3  # of the width, which the axes keep whatever stands beside them
COLOURS = 96  # of a PNG: a figure has few, and its notebook becomes smaller
FAMILIES = "'DejaVu Sans', Verdana, sans-serif"  # as wide as each other, on any system
_width: ContextVar[float | None] = ContextVar("width", default=None)


def width() -> float:
    """The width of the column that is drawn for, in inches."""
    return _width.get() or WIDE


def narrow() -> bool:
    """Whether the column that is drawn for is a phone's."""
    return width() == NARROW


@contextmanager
def column(inches: float) -> Iterator[None]:
    """Draw for a column of this width."""
    token = _width.set(inches)
    try:
        yield
    finally:
        _width.reset(token)


def once() -> bool:
    """Whether a column is being drawn for."""
    return _width.get() is not None


def wrapped(text: str, inches: float, size: float, weight: str = "normal") -> str:
    """The text in lines that are no wider than so many inches at a font size in points."""
    font = FontProperties(family=["DejaVu Sans"], size=size, weight=weight)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        wide = text_to_path.get_text_width_height_descent(longer, font, False)[0]
        if lines[-1] and wide > inches * POINTS:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def fit(canvas: Canvas) -> Bbox:
    """Set the margins to what stands beside the axes; the part of the canvas that is saved, in inches."""
    renderer, inches, dpi = FigureCanvasAgg(canvas).get_renderer(), canvas.get_figwidth(), canvas.dpi
    for _ in range(4):  # what stands at a mark moves with the axes
        boxes = [axes.get_tightbbox(renderer) for axes in canvas.axes]
        left, right = min(box.x0 for box in boxes) / dpi, max(box.x1 for box in boxes) / dpi
        before, after = EDGE - left, inches - EDGE - right
        margins = canvas.subplotpars
        start = min(max(margins.left + before / inches, 0.0), 1 - LEAST)
        end = min(max(margins.right + after / inches, start + LEAST), 1.0)
        canvas.subplots_adjust(left=start, right=end)
        if max(abs(before), abs(after)) < EDGE / 4:
            break
    for axes in canvas.axes:
        axes.apply_aspect()
    boxes += [each.get_window_extent(renderer) for each in (*canvas.texts, *canvas.legends)]
    low, high = min(box.y0 for box in boxes) / dpi, max(box.y1 for box in boxes) / dpi
    return Bbox([[0, low - 2 * EDGE], [inches, high + 2 * EDGE]])


def svg(canvas: Canvas, part: Bbox) -> str:
    """A part of a canvas as SVG, without what no reader needs: a thousandth of a pixel, the editor's name."""
    text = io.StringIO()
    canvas.savefig(text, format="svg", bbox_inches=part, metadata={"Date": None, "Creator": None})
    whole = text.getvalue().replace("'DejaVu Sans'", FAMILIES)
    whole = re.sub(r' transform="rotate\(-0 [^"]*"', "", whole)
    rounded = re.compile(r"(?<=\d\.)(\d\d)\d+(?=[ \"\n])")
    whole = re.sub(r"<[^>]*>", lambda tag: rounded.sub(r"\1", tag[0]), whole)  # places, no words
    return whole[whole.index("<svg") :]


def png(canvas: Canvas, part: Bbox, paper: str) -> bytes:
    """A part of a canvas as PNG in few colours."""
    image, small = io.BytesIO(), io.BytesIO()
    canvas.savefig(
        image, format="png", dpi=144, bbox_inches=part, facecolor=paper, metadata={"Software": None}
    )
    drawn = Image.open(image).convert("RGB")
    drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()
