"""Figures and tables of the routes to Core ML: what converts, in how long, how large, how right.

As in training_figures.py: records in, Figure out, and every title is a finding computed from them.
"""

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes

from twins.evidence.verdicts import export_queries
from twins.export import routes
from twins.export.conversions import verdict
from twins.figures import words
from twins.figures.axes import beside_row, name_rows
from twins.figures.fitting import narrow
from twins.figures.style import COLOURS, LABEL, MUTED, PAPER, Figure, blank, headline, nothing, twice
from twins.records.export_types import CHECKED, DIRECT, FROM_MLX, OURS, Conversion, Coverage
from twins.records.record_types import Timing
from twins.timing import comparison, statistics, wording

SHADES = (1.0, 0.55, 0.8, 0.4, 0.68)  # of the steps of a route, in order
APART = "run apart"


def _total(record: Conversion) -> float:
    return sum(record.steps.values())


def _made(records: Iterable[Conversion], precision: str) -> list[Conversion]:
    """The right conversions in one precision, but for those run apart: their seconds are of another run."""
    own = [r for r in records if not r.case.get("apart")]
    return [r for r in own if r.case["precision"] == precision and verdict(r) == "right"]


def route_name(record: Conversion) -> str:
    """The route, marked when it was run in an environment of its own; the direct one says whose it is."""
    name = OURS if record.route in (DIRECT, FROM_MLX) else record.route
    return f"{name} ({APART})" if record.case.get("apart") else name


def grid(records: Iterable[Conversion], precision: str = "float16") -> pd.DataFrame:
    """Routes down, models across: right, or what came instead and at which step."""
    rows: dict[str, dict[str, str]] = {}
    for record in records:
        if record.case["precision"] == precision:
            came = verdict(record)
            told = f"{came} at {record.failed}" if record.failed and came != "absent" else came
            rows.setdefault(route_name(record), {})[record.model] = told
    return pd.DataFrame([{"route": route} | cells for route, cells in rows.items()])


def conversion_table(records: Iterable[Conversion]) -> pd.DataFrame:
    """Every conversion: steps and seconds, size, operations, error; a dash where nothing came."""
    rows = [
        {
            "model": r.model,
            "route": route_name(r),
            "asked": r.case["precision"],
            "computes": r.case.get("computes"),
            "verdict": verdict(r),
            "steps": len(routes.ALL[r.route]),
            "seconds": _total(r) if not r.failed else None,
            "KiB": r.size / 1024 if r.size else None,
            "operations": r.operations,
            "error": r.error,
        }
        for r in records
    ]
    return pd.DataFrame(rows)


def lines(records: Iterable[Conversion]) -> pd.DataFrame:
    """The verification of every package."""
    rows = []
    for r in (r for r in records if r.size):
        row = {"model": r.model, "route": route_name(r), "precision": r.case["precision"]}
        rows.append(row | {"verification": r.line.removeprefix("network.mlpackage ")})
    return pd.DataFrame(rows)


def failures(records: Iterable[Conversion]) -> pd.DataFrame:
    """Every error message, with the route, its step and the models it came with."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for r in records:
        if verdict(r) in ("right", "no package"):
            continue
        models = found.setdefault((route_name(r), r.failed or "verify", r.cause), [])
        if r.model not in models:
            models.append(r.model)
    rows = [(route, ", ".join(models), step, said) for (route, step, said), models in found.items()]
    return pd.DataFrame(rows, columns=["route", "models", "step", "error message"])


def coverage_table(records: Iterable[Coverage]) -> pd.DataFrame:
    """Routes by group: how many networks come out right, and why the others do not."""
    rows = []
    for record in records:
        causes = sorted(record.reasons.items(), key=lambda item: -item[1])
        told = "; ".join(f"{count} × {cause}" for cause, count in causes) or "–"
        route = OURS if record.route == DIRECT else record.route
        row = {"route": route, "networks": record.group, "right": record.outcomes.get("right", 0)}
        rows.append(row | {"of": sum(record.outcomes.values()), "why not the others": told})
    return pd.DataFrame(rows)


def warning_table(records: Iterable[Conversion]) -> pd.DataFrame:
    """What each route warned of, once each."""
    seen = dict.fromkeys((r.route, warning) for r in records for warning in r.warnings)
    return pd.DataFrame(list(seen), columns=["route", "warning"])


@twice
def seconds(records: Iterable[Conversion], precision: str = "float16") -> Figure:
    """Seconds by model and route, stacked by step; at the end operations and size."""
    found = _made(records, precision)
    if not found:
        return nothing("no conversion was right")
    models = list(dict.fromkeys(r.model for r in found))
    most = max(sum(r.model == model for r in found) for model in models)
    height = 1.2 + 0.3 * most * len(models) + (0.25 * len(models) if narrow() else 0)
    space = {"hspace": 0.3 if narrow() else 0.28}
    canvas, panels = blank(height, len(models), most * len(models), sharex=True, gridspec_kw=space)
    for axes, model in zip(panels, models, strict=True):
        own = sorted((r for r in found if r.model == model), key=_total)
        _panel(axes, own, words.people(model))
    widest = max(map(_total, found))
    panels[-1].set(xlim=(0, (1.15 if narrow() else 1.9) * widest), xlabel="seconds to convert")
    counted = any(r.operations is not None for r in found)
    title, packages = (
        _finding(found),
        "operations and size of the package" if counted else "size of the asset",
    )
    above = 26 if narrow() else 9
    headline(panels[0], title, f"Parts of a bar: the route's steps, in order. Beside it: {packages}", above)
    told = "; ".join(f"{words.people(r.model)}, {route_name(r)}: {_total(r):.2g} s" for r in found)
    return Figure(canvas, f"{title}. {told}.")


def _panel(axes: Axes, records: list[Conversion], model: str) -> None:
    look = {"fontsize": 8.5}
    axes.set_ylim(len(records) - 0.5, -0.5)
    for y, record in enumerate(records):
        colour, left = COLOURS[routes.framework(record.route)], 0.0
        height = 0.4 if narrow() else 0.62
        for shade, took in zip(SHADES, record.steps.values(), strict=False):
            axes.barh(
                y + (0.62 - height) / 2, took, height, left, color=colour, alpha=shade, ec=PAPER, lw=0.8
            )
            left += took
        operations = "ops" if narrow() else "operations"
        package = f"{record.size / 1024:,.0f} KiB"
        if record.operations is not None:  # an asset does not show its operations
            package = f"{record.operations} {operations}, {package}"
        text = f"{left:.2g} s" if narrow() else f"{left:.2g} s, {package}"
        place = {"textcoords": "offset points", "va": "center"}
        axes.annotate(text, (left, y + (0.62 - height) / 2), (4, 0), color=colour, **place, **look)
        if narrow():
            beside_row(axes, y, package, clear=3, color=MUTED, **look)
    name_rows(axes, [route_name(r) for r in records], clear=3, **look)
    if narrow():
        axes.set_title(model, loc="left", pad=5, color=MUTED, fontsize=LABEL, fontweight="bold")
    else:
        place = {"ha": "right", "va": "center", "fontweight": "bold"}
        axes.annotate(model, (1, 0.5), xycoords="axes fraction", color=MUTED, **place)


def _finding(records: list[Conversion]) -> str:
    """Who is first at how many models."""
    models = list(dict.fromkeys(r.model for r in records))
    first = [min((r for r in records if r.model == model), key=_total).route for model in models]
    if len({r.route for r in records}) == 1:
        taken = sorted(map(_total, records))
        return f"{route_name(records[0])} takes {taken[0]:.2g} to {taken[-1]:.2g} s a model"
    kinds = {routes.framework(r.route) for r in records}
    if len(kinds) == 1:
        best = max(set(first), key=first.count)
        return f"The fastest route is {best} for {first.count(best)} of {len(models)} models"
    ours = sum(routes.framework(route) == "MLX" for route in first)
    return f"{OURS} is the fastest route for {ours} of {len(models)} models"


def reading(records: Iterable[Conversion], precision: str = "float16") -> str:
    """How the direct route and the best from PyTorch compare, in sentences; or that one side is not there."""
    records = list(records)
    found = _made(records, precision)
    direct = {r.model: r for r in found if r.route == DIRECT}
    theirs = [r for r in found if r.route != DIRECT]
    told = [_tally([r for r in records if r.route == route]) for route in routes.ROUTES]
    sentences = [f"Right in every precision asked: {'; '.join(filter(None, told))}."]
    both = [model for model in direct if any(r.model == model for r in theirs)]
    for model in both:
        best = min((r for r in theirs if r.model == model), key=_total)
        ratio = _total(best) / _total(direct[model])
        sentences.append(
            f"{model}: {OURS} took {_total(direct[model]):.2g} s in {len(routes.ROUTES[DIRECT])} steps, "
            f"{best.route} {_total(best):.2g} s in {len(routes.ROUTES[best.route])} ({ratio:.2g} times), "
            f"with {direct[model].operations} and {best.operations} operations."
        )
    if not both:
        sentences.append("One side alone was converted here, so the routes are not compared.")
    return " ".join(sentences)


def _tally(records: list[Conversion]) -> str:
    """How many models come out right wherever they were tried."""
    by_model: dict[str, list[str]] = {}
    for record in records:
        by_model.setdefault(record.model, []).append(verdict(record))
    right = sum(all(each == "right" for each in verdicts) for verdicts in by_model.values())
    return f"{route_name(records[0])} {right} of {len(by_model)}" if by_model else ""


def verified(records: Iterable[Conversion]) -> str:
    """How many packages there are and how many pass, in a sentence."""
    made = [r for r in records if r.size]
    asked, own = (
        sum(bool(x) for x in each) for each in ((r.as_asked for r in made), (r.right for r in made))
    )
    return (
        f"{len(made)} packages were made and checked, strict and exact; {asked} are right by the limit of "
        f"the precision that was asked for, {own} by that of their own."
    )


def time_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Seconds of interleaved conversions, and who is as fast how often: our route against PyTorch's fastest.

    An interval is that of the next session.
    """
    rows = []
    for record in records:
        runs = comparison.runs(record)
        row = {"model": record.case["model"], "precision": record.case["precision"]}
        names = {OURS: DIRECT, "with its check": CHECKED}
        row |= {f"{told}, s": statistics.median(runs, name) for told, name in names.items()}
        alone, checked = (export_queries.ratios_of([record], over) for over in (DIRECT, CHECKED))
        for (_label, *ratio, case), (_, *full, _) in zip(alone, checked, strict=True):
            both = {"without the check": ratio, "with it": full}
            told = {f"as fast {name}": _as_fast(*each) for name, each in both.items()}
            rows.append(row | {"against": case["against"]} | told)
    return pd.DataFrame(rows)


def _as_fast(ratio: float, low: float, high: float) -> str:
    return f"{wording.as_fast(ratio)} {wording.interval(low, high, wording.faster(ratio)[0])}"
