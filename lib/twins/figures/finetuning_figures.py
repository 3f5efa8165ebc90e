"""What public models need for a step of fine-tuning, beside what Macs have."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from twins.figures.axes import log_ticks, name_rows
from twins.figures.style import (
    COLOURS,
    LABEL,
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
from twins.finetuning import what_fits
from twins.records.record_types import Footprint
from twins.timing.statistics import FRAMEWORKS

GB = 2**30
SHOWN = ("full, float32", "QLoRA, 4 bits")  # the methods that need the most and the least


@twice
def needs(found: Sequence[Footprint]) -> Figure:
    """The memory of a step by model: every weight trained in float32, and QLoRA, in both frameworks."""
    own = [record for record in found if record.case.get("heading") in SHOWN]
    if not own:
        return nothing("no step was calculated")
    shapes = list(dict.fromkeys(record.shape for record in own))
    canvas, (axes,) = blank(1.2 + 0.34 * len(shapes), named=len(shapes))
    low, high = (end(record.calculated for record in own) / GB for end in (min, max))
    axes.set(xscale="log", xlim=(low / 1.5, high * 1.5), ylim=(len(shapes) - 0.4, -0.6))
    name_rows(axes, shapes)
    for memory in what_fits.MEMORIES:
        axes.axvline(what_fits.working_set(memory) / GB, color=RULE, lw=1)
    for record in own:
        _mark(axes, shapes.index(record.shape), record)
    log_ticks(axes.xaxis, low / 1.5, high * 1.5, lambda gigabytes: f"{gigabytes:g} GB")
    _key(axes)
    title = f"QLoRA needs {_share(own)} of the memory that training every weight needs"
    headline(axes, title, "Calculated peak of a step; lines: what Macs of each memory may use")
    return Figure(canvas, f"{title}. {_told(own, shapes)}")


def _share(own: Sequence[Footprint]) -> str:
    """What QLoRA needs of what training every weight needs, from the least to the most: "4–59 %"."""
    full, low = ({(r.shape, r.framework): r.calculated for r in own if r.case["heading"] == h} for h in SHOWN)
    shares = sorted({round(100 * size / full[case]) for case, size in low.items()})
    return f"{'–'.join(map(str, dict.fromkeys((shares[0], shares[-1]))))} %"


def _mark(axes: Axes, y: int, record: Footprint) -> None:
    """One calculated peak: filled where every weight is trained, hollow for QLoRA."""
    colour, full = COLOURS[record.framework], record.case["heading"] == SHOWN[0]
    shift = -0.12 if record.framework == FRAMEWORKS[0] else 0.12
    fill = {"mfc": colour if full else PAPER, "mec": colour, "ms": 6}
    axes.plot(record.calculated / GB, y + shift, MARKERS[record.framework], **fill)


def _key(axes: Axes) -> None:
    """Which mark is which, below the axes."""
    look = {"textcoords": "offset points", "fontsize": LABEL}
    for place, key, glyph in ((0, "MLX", "●○"), (56, "PyTorch", "■□")):
        told = {"color": COLOURS[key], "fontweight": "bold"}
        axes.annotate(f"{glyph} {key}", (0, 0), (place, -34), "axes fraction", **look, **told)
    axes.annotate("filled: full, hollow: QLoRA", (0, 0), (128, -34), "axes fraction", color=MUTED, **look)


def _told(own: Sequence[Footprint], shapes: Sequence[str]) -> str:
    sizes = {(r.shape, r.case["heading"], r.framework): r.calculated / GB for r in own}
    parts = []
    for shape in shapes:
        each = "; ".join(
            f"{heading}: " + ", ".join(f"{f} {sizes[shape, heading, f]:.3g} GB" for f in FRAMEWORKS)
            for heading in SHOWN
        )
        parts.append(f"{shape}: {each}.")
    return " ".join(parts)
