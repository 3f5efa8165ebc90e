"""One ratio per machine, side by side and never pooled, in one figure for three or a thousand machines."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from twins.figures import training_figures
from twins.figures.style import COLOURS, MUTED, RULE, Figure, blank, headline
from twins.timing import comparison, statistics
from twins.timing.comparison import Comparison

NAMED = 40  # more rows than this have no room for names
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def machines(rows: list[Comparison], what: str) -> Figure:
    """Who is faster, machine by machine, sorted; each row's label names its machine.

    Beyond 40 machines all lie in one panel, from the lowest ratio to the highest, without their names.
    """
    if len(rows) <= NAMED:
        return training_figures.ratios(rows, what)
    ordered = sorted(rows, key=lambda row: row.ratio.value)
    canvas, (axes,) = blank(4.0)
    axes.axhspan(1 / statistics.TIE, statistics.TIE, color=RULE, alpha=0.6, lw=0)
    axes.axhline(1, color=MUTED, lw=1)
    _marks(axes, ordered)
    reach = 1.2 * max(1.6, *(max(row.ratio.high, 1 / row.ratio.low) for row in ordered))
    axes.set(yscale="log", ylim=(1 / reach, reach), xlim=(-1, len(ordered)), xlabel="machines, by ratio")
    ticks = [tick for tick in TICKS if 1 / reach <= tick <= reach]
    axes.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.set_yticks([], minor=True)
    wins = {name: sum(row.winner == name for row in rows) for name in comparison.FRAMEWORKS}
    title = f"{what}: MLX is faster on {wins['MLX']} of {len(rows)} machines, PyTorch on {wins['PyTorch']}"
    headline(axes, title, "Time, PyTorch ÷ MLX. Bar: where 95 % of next sessions lie; band: a tie")
    low, high = (f"{row.label}, {row.ratio}" for row in (ordered[0], ordered[-1]))
    return Figure(canvas, f"{title}. The lowest ratio is that of {low}; the highest that of {high}.")


def _marks(axes: Axes, ordered: list[Comparison]) -> None:
    """Intervals and medians of all machines, drawn at once."""
    places = np.arange(len(ordered))
    colours = [COLOURS[row.winner] if row.winner else MUTED for row in ordered]
    lines = [[(x, row.ratio.low), (x, row.ratio.high)] for x, row in zip(places, ordered, strict=True)]
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=1.2, alpha=0.55))
    axes.scatter(places, [row.ratio.value for row in ordered], s=5, c=colours, zorder=3)
