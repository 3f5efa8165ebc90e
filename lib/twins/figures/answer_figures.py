"""The chart of an answer: a row per case, both times on one logarithmic axis, who is how many times as fast.

Positions along a common scale are what the eye compares best: Cleveland and McGill 1984, Graphical Perception,
https://doi.org/10.1080/01621459.1984.10478080.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from twins.evidence.answers import answer
from twins.evidence.answers.answer import Case
from twins.figures.style import (
    COLOURS,
    MARKERS,
    MUTED,
    PAPER,
    Figure,
    blank,
    headline,
    log_ticks,
    name_rows,
    nothing,
)
from twins.timing import wording
from twins.timing.comparison import TIED


def steps(cases: Sequence[Case], finding: str) -> Figure:
    """Milliseconds of both frameworks in every case, left is faster; titled with the finding."""
    if not cases:
        return nothing("no case was timed in both frameworks")
    canvas, (axes,) = blank(1.3 + 0.36 * len(cases))
    every = [seconds for case in cases for seconds in (case.mlx, case.torch)]
    axes.set(xscale="log", xlim=(min(every) / 1.6, max(every) * 1.6), ylim=(len(cases) - 0.4, -0.6))
    for y, case in enumerate(cases):
        _row(axes, y, case)
    name_rows(axes, [case.label for case in cases])
    log_ticks(axes.xaxis, min(every), max(every), wording.milliseconds)
    headline(
        axes, finding, "Milliseconds per step, logarithmic; left is faster. Circle: MLX, square: PyTorch"
    )
    return Figure(canvas, f"{finding}. {'; '.join(map(_told, cases))}.")


def _row(axes: Axes, y: int, case: Case) -> None:
    """One case: a line between both times, which are written outside of it, and the verdict at the right."""
    axes.plot([case.mlx, case.torch], [y, y], color=MUTED, lw=1.4, alpha=0.6, zorder=1)
    look = {"textcoords": "offset points", "va": "center", "fontsize": 9}
    for name, seconds, other in (("MLX", case.mlx, case.torch), ("PyTorch", case.torch, case.mlx)):
        left = seconds < other or (seconds == other and name == "PyTorch")
        axes.plot(seconds, y, MARKERS[name], color=COLOURS[name], ms=8, mec=PAPER, zorder=2)
        text, place = wording.milliseconds(seconds), (-9 if left else 9, 0)
        axes.annotate(text, (seconds, y), place, ha="right" if left else "left", color=COLOURS[name], **look)
    text, colour = verdict(case)
    at, where = (1, y), axes.get_yaxis_transform()
    axes.annotate(text, at, (8, 0), where, color=colour, fontweight="bold", annotation_clip=False, **look)


def verdict(case: Case) -> tuple[str, str]:
    """What stands at the right of a row, and its colour: "PyTorch 2.50×", "tie" or "undecided"."""
    found = case.comparison
    if found.winner:
        return f"{found.winner} {wording.times(wording.faster(found.ratio.value)[1])}", COLOURS[found.winner]
    return ("tie" if found.verdict == TIED else "undecided"), MUTED


def _told(case: Case) -> str:
    times = f"MLX {wording.milliseconds(case.mlx)}, PyTorch {wording.milliseconds(case.torch)}"
    return f"{case.label}: {times}, {answer.faster(case.comparison)}"
