"""One ratio per machine, side by side and never pooled, in one figure for three or a thousand machines."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from twins.figures import training_figures, words
from twins.figures.axes import upright_ratio_axis
from twins.figures.style import Figure, blank, headline, twice
from twins.figures.training_figures import INTERVAL
from twins.timing.comparison import Comparison

NAMED = 40  # more rows than this have no room for names


@twice
def machines(rows: list[Comparison], what: str) -> Figure:
    """Who is faster, machine by machine, sorted; each row's label names its machine.

    Beyond 40 machines all lie in one panel, from the lowest ratio to the highest, without their names.
    """
    what = words.people(what)
    if len(rows) <= NAMED:
        return training_figures.ratios(rows, what)
    ordered = sorted(rows, key=lambda row: row.ratio.value)
    canvas, (axes,) = blank(4.0)
    _marks(axes, ordered)
    reach = 1.2 * max(1.6, *(max(row.ratio.high, 1 / row.ratio.low) for row in ordered))
    upright_ratio_axis(axes, reach)
    axes.set(xlim=(-1, len(ordered)), xlabel="machines, in order; above “same” MLX is faster")
    title = f"{what}: {words.over(rows, 'machines')}"
    headline(axes, title, f"How many times as fast, on either side of the same time. {INTERVAL}")
    ends = "; ".join(map(words.said, (ordered[0], ordered[-1])))
    return Figure(canvas, f"{title}. The machines at both ends: {ends}.")


def _marks(axes: Axes, ordered: list[Comparison]) -> None:
    """Intervals and medians of all machines, drawn at once."""
    places = np.arange(len(ordered))
    colours = [words.colour(row) for row in ordered]
    lines = [[(x, row.ratio.low), (x, row.ratio.high)] for x, row in zip(places, ordered, strict=True)]
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=1.2, alpha=0.55))
    axes.scatter(places, [row.ratio.value for row in ordered], s=5, c=colours, zorder=3)
