"""The chart of an answer: a row per case, both times on one logarithmic axis, who is how many times as fast.

Positions along a common scale are what the eye compares best: Cleveland and McGill 1984, Graphical
Perception, https://doi.org/10.1080/01621459.1984.10478080.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from twins.evidence.answers import answer
from twins.evidence.answers.answer import Case
from twins.figures import words
from twins.figures.axes import beside_row, log_ticks, name_rows
from twins.figures.fitting import narrow
from twins.figures.style import COLOURS, LABEL, MARKERS, MUTED, PAPER, Figure, blank, headline, nothing, twice
from twins.timing import wording
from twins.timing.statistics import duration

GLYPHS = {"MLX": "●", "PyTorch": "■"}  # their markers as text
BESIDE = 62  # points that a written time takes beside its mark
WIDTHS = (330, 250)  # points of the axes, wide and narrow, that are left at least


@twice
def steps(cases: Sequence[Case], finding: str) -> Figure:
    """Both frameworks' times in every case, left is faster; titled with the finding."""
    if not cases:
        return nothing("no case was timed in both frameworks")
    canvas, (axes,) = blank(1.1 + 0.34 * len(cases), named=len(cases))
    every = [seconds for case in cases for seconds in (case.mlx, case.torch)]
    low, high = min(every), max(every)
    taken = 2 * BESIDE / WIDTHS[narrow()]  # of the axis, by the times at both ends
    room = max(high / low, 1.5) ** (taken / (1 - taken) / 2)
    axes.set(xscale="log", xlim=(low / room, high * room), ylim=(len(cases) - 0.4, -0.6))
    name_rows(axes, [case.label for case in cases])
    for y, case in enumerate(cases):
        _row(axes, y, case)
    log_ticks(axes.xaxis, low / room, high * room, duration)
    for place, key in ((0, "MLX"), (50, "PyTorch")):
        look = {"textcoords": "offset points", "color": COLOURS[key], "fontweight": "bold"}
        axes.annotate(f"{GLYPHS[key]} {key}", (0, 0), (place, -32), "axes fraction", **look)
    headline(axes, finding, "Time per step on a logarithmic scale; left is faster")
    return Figure(canvas, f"{finding}. {'; '.join(map(_told, cases))}.")


def _row(axes: Axes, y: int, case: Case) -> None:
    """One case: a line between both times, which are written outside of it, and the verdict at the right."""
    axes.plot([case.mlx, case.torch], [y, y], color=MUTED, lw=1.4, alpha=0.6, zorder=1)
    look = {"textcoords": "offset points", "va": "center", "fontsize": LABEL}
    for name, seconds, other in (("MLX", case.mlx, case.torch), ("PyTorch", case.torch, case.mlx)):
        left = seconds < other or (seconds == other and name == "PyTorch")
        axes.plot(seconds, y, MARKERS[name], color=COLOURS[name], ms=8, mec=PAPER, zorder=2)
        text, place = wording.milliseconds(seconds), (-9 if left else 9, 0)
        side = "right" if left else "left"
        axes.annotate(text, (seconds, y), place, ha=side, color=COLOURS[name], **look)
    found = case.comparison
    beside_row(axes, y, words.named_factor(found), color=words.colour(found), fontweight="bold")


def _told(case: Case) -> str:
    times = f"MLX {wording.milliseconds(case.mlx)}, PyTorch {wording.milliseconds(case.torch)}"
    return f"{case.label}: {times}, {answer.faster(case.comparison)}"
