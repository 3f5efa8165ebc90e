"""The frontier of size against quality: a panel per model, families by colour and marker.

As in training_figures.py: records in, Figure out, and every title is a finding computed from them.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from twins.evidence.answers.frontier import CLOSE, FROM_MLX, UNCOMPRESSED, close, pareto
from twins.evidence.answers.frontier import base as _base
from twins.evidence.answers.frontier import models as _models
from twins.figures import words
from twins.figures.axes import log_ticks
from twins.figures.fitting import narrow
from twins.figures.style import INK, MUTED, PAPER, Figure, blank, headline, nothing, twice
from twins.records.export_types import Compressed

# after Okabe and Ito 2008; MLX keeps its colour and marker of every other figure
LOOKS = {
    UNCOMPRESSED: (INK, "*"),
    FROM_MLX: ("#0072b2", "o"),
    "linear": ("#c24e00", "s"),
    "palettes": ("#007a5a", "D"),
    "pruning": ("#a8467f", "^"),
    "joint": ("#7a5c00", "v"),
    "activations": (MUTED, "P"),
}
BEYOND = 3.0  # times the float32 value: worse perplexities are not drawn to scale


@twice
def frontier(records: Sequence[Compressed]) -> Figure:
    """Package size against the task's metric, a panel per model, the frontier as a line."""
    if not records:
        return nothing("nothing was compressed")
    models = _models(records)
    canvas, panels = blank(1.1 + 1.7 * len(models), len(models), gridspec_kw={"hspace": 0.42})
    for axes, model in zip(panels, models, strict=True):
        _panel(axes, [r for r in records if r.model == model], model)
    panels[-1].set_xlabel("KiB of the package, logarithmic")
    handles, labels = {}, []
    for axes in panels:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    labels = [name for name in (*LOOKS, "frontier") if name in handles]
    canvas.legend(
        [handles[name] for name in labels], labels, loc="upper center", ncols=2 if narrow() else 4,
        fontsize=9, bbox_to_anchor=(0.5, 0.0), frameon=False, labelcolor=MUTED,
    )  # fmt: skip
    title = finding(records)
    headline(panels[0], title, "Left is smaller. Line: no other package is both smaller and better")
    return Figure(canvas, f"{title}. {told(records)}")


def _panel(axes: Axes, records: list[Compressed], model: str) -> None:
    base = _base(records)
    worst = BEYOND * base.value if base.metric == "perplexity" else None
    line = [r for r in pareto(records) if worst is None or r.value <= worst]
    axes.step([r.size / 1024 for r in line], [r.value for r in line], where="post", color=MUTED, lw=1,
              label="frontier", zorder=1)  # fmt: skip
    for family in dict.fromkeys(r.family for r in records):
        own = [r for r in records if r.family == family]
        colour, marker = LOOKS.get(family.removesuffix(" on Core ML"), (MUTED, "x"))
        x, y = [r.size / 1024 for r in own], [min(r.value, worst or r.value) for r in own]
        size = 110 if family == UNCOMPRESSED else 46
        axes.scatter(x, y, size, color=colour, marker=marker, ec=PAPER, lw=0.6, label=family, zorder=2)
    beyond = [r for r in records if worst is not None and r.value > worst]
    for each in beyond:
        axes.annotate(f"{each.value:.3g}", (each.size / 1024, worst), (0, 6), textcoords="offset points",
                      ha="center", fontsize=8, color=MUTED)  # fmt: skip
    sizes = [r.size / 1024 for r in records]
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.15, max(sizes) * 1.15)
    log_ticks(axes.xaxis, min(sizes), max(sizes), lambda value: f"{value:,.0f}")
    lower = "lower is better" if base.metric == "perplexity" else "higher is better"
    axes.set_ylabel(f"{words.people(model)}: {base.metric},\n{lower}", fontsize=9)


def finding(records: Sequence[Compressed]) -> str:
    """By how much each model shrinks at a small loss."""
    parts = []
    for model in _models(records):
        own = [r for r in records if r.model == model]
        best = close(own)
        parts.append(f"{words.people(model)} at {100 * best.size / _base(own).size:.0f} %")
    return f"Within {100 * CLOSE:g} % of float32: {', '.join(parts)} of the size"


def told(records: Sequence[Compressed]) -> str:
    """Per model the smallest package with a small loss, and which families the frontier is made of."""
    sentences = []
    for model in _models(records):
        own = [r for r in records if r.model == model]
        best, base = close(own), _base(own)
        line = [r for r in pareto(own) if r.family != UNCOMPRESSED]
        mlx = sum(r.family == FROM_MLX for r in line)
        sentences.append(
            f"{words.people(model)}: {base.metric} {base.value:.4g} in float32 "
            f"at {base.size / 1024:,.0f} KiB, "
            f"{best.value:.4g} with {best.family}, {best.setting}, at {best.size / 1024:,.0f} KiB; "
            f"of {len(line)} compressed points on the frontier {mlx} are MLX's own quantization."
        )
    return " ".join(sentences)
