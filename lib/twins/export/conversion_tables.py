"""Tables of conversions and of packages for the pages about Core ML, with names for people."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from coreml_runtime import inspect
from twins.evidence.answers import route_grid
from twins.evidence.verdicts import export_queries
from twins.export import routes
from twins.export.conversions import verdict
from twins.records.export_types import CHECKED, DEEP, DIRECT, Conversion, Coverage
from twins.records.record_types import Timing
from twins.timing import comparison, statistics, wording

SIDES = ("MLX", "PyTorch", "PyTorch through ONNX")
STEPS = {step.__name__: step for steps in routes.ALL.values() for step in steps}


def every(records: Iterable[Conversion]) -> pd.DataFrame:
    """Every conversion: precision, result, seconds, size, operations, error; a dash where nothing is."""
    rows = []
    for r in records:
        row = {"model": wording.name(r.model), "route": route_grid.name(r), "asked": short(r)}
        row |= {"result": verdict(r), "seconds": route_grid.total(r) if not r.failed else None}
        row |= {"KiB": r.size / 1024 if r.size else None, "operations": r.operations, "error": r.error}
        rows.append(row)
    return pd.DataFrame(rows)


def short(record: Conversion) -> str:
    """The precision asked for, and that of the package where it is another: "fp32, is fp16"."""
    asked, kept = route_grid.SHORT[record.case["precision"]], record.case.get("computes")
    return f"{asked}, is {kept}" if kept not in (None, asked) else asked


def checks(records: Iterable[Conversion]) -> pd.DataFrame:
    """The check of every package."""
    rows = [
        (wording.name(r.model), route_grid.name(r), short(r), r.line.removeprefix("network.mlpackage "))
        for r in records
        if r.size
    ]
    return pd.DataFrame(rows, columns=["model", "route", "asked", "check"])


def failures(records: Iterable[Conversion]) -> pd.DataFrame:
    """Every error message, with the route, its step and the models it came with."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for r in records:
        if verdict(r) in ("right", "no package"):
            continue
        models = found.setdefault((route_grid.name(r), r.failed or "check", r.cause), [])
        if (model := wording.name(r.model)) not in models:
            models.append(model)
    rows = [(route, ", ".join(models), step, said) for (route, step, said), models in found.items()]
    return pd.DataFrame(rows, columns=["route", "models", "step", "error message"])


def warnings(records: Iterable[Conversion]) -> pd.DataFrame:
    """What each route warned of, once each."""
    seen = dict.fromkeys((route_grid.name(r.route), warning) for r in records for warning in r.warnings)
    return pd.DataFrame(list(seen), columns=["route", "warning"])


def coverage(records: Iterable[Coverage]) -> pd.DataFrame:
    """Routes by group: how many networks come out right, and why the others do not."""
    rows = []
    for record in records:
        causes = sorted(record.reasons.items(), key=lambda item: -item[1])
        told = "; ".join(f"{count} × {cause}" for cause, count in causes) or "–"
        row = {"route": route_grid.name(record.route), "networks": record.group}
        row |= {"right": record.outcomes.get("right", 0), "of": sum(record.outcomes.values())}
        rows.append(row | {"why not the others": told})
    return pd.DataFrame(rows)


def standings(records: Sequence[Conversion]) -> pd.DataFrame:
    """Routes: packages right by the precision asked for, and the median seconds of those."""
    rows = [(route_grid.name(e.route), e.right, e.tried, e.seconds) for e in route_grid.standings(records)]
    return pd.DataFrame(rows, columns=["route", "packages right", "of", "median seconds"])


def steps(records: Iterable[Conversion], model: str, precision: str = "float16") -> pd.DataFrame:
    """What every step of each route gives for one model, and in how many seconds."""
    rows = []
    for r in records:
        if (r.model, r.case["precision"]) != (model, precision) or r.case.get("apart"):
            continue
        for number, (step, seconds) in enumerate(r.steps.items(), 1):
            does = STEPS[step].__doc__.strip().rstrip(".")
            row = {"route": route_grid.name(r), "step": f"{number}. {does}"}
            rows.append(row | {"gives": r.case.get("gives", {}).get(step, "–"), "seconds": seconds})
    return pd.DataFrame(rows)


def codes(names: Iterable[str]) -> str:
    """The code of some routes, as Markdown."""
    return "\n\n".join(f"**{route_grid.name(n)}**\n\n```python\n{routes.code(n)}\n```" for n in names)


def contents(packages: dict[str, Path]) -> pd.DataFrame:
    """A row per package, by its label: size, operations, how it computes, what goes in and comes out."""
    rows = []
    for label, path in packages.items():
        found = inspect(path)
        rows.append(
            {
                "package": label,
                "KiB": found.size / 1024,
                "operations": found.count,
                "computes in": "fp16" if found.uses_fp16 else "fp32",
                "inputs": ", ".join(map(str, found.inputs)),
                "outputs": ", ".join(map(str, found.outputs)),
            }
        )
    return pd.DataFrame(rows)


def operations(packages: dict[str, Path]) -> pd.DataFrame:
    """How often each operation occurs in each package, the most frequent first."""
    counts = {label: inspect(path).operations for label, path in packages.items()}
    names = sum(counts.values(), Counter())
    rows = [
        {"operation": name} | {label: own[name] for label, own in counts.items()}
        for name, _ in names.most_common()
    ]
    return pd.DataFrame(rows)


def times(records: Iterable[Timing]) -> pd.DataFrame:
    """Seconds of interleaved conversions, ours with and without its check, and who is as fast how often."""
    rows = []
    for record in records:
        runs = comparison.runs(record)
        for _, *ratio, case in export_queries.ratios_of([record]):
            own = [n for n in comparison.variants(runs) if n.startswith("PyTorch")]
            onnx = export_queries.KINDS_OF_ROUTE[case["against"]]
            own = [n for n in own if onnx is None or onnx == ("ONNX" in n)]
            fastest = min(own, key=lambda n: statistics.median(runs, n))
            who = wording.faster(ratio[0])[0]
            row = {"model": f"{wording.name(case['model'])} {route_grid.SHORT[case['precision']]}"}
            row |= {
                "MLX, s": statistics.median(runs, CHECKED),
                "unchecked, s": statistics.median(runs, DIRECT),
            }
            row |= {"against": route_grid.name(fastest), "it takes, s": statistics.median(runs, fastest)}
            told = f"{wording.as_fast(ratio[0])} {wording.interval(ratio[1], ratio[2], who)}"
            rows.append(row | {"as fast [95 %], with the check": told})
    return pd.DataFrame(rows)


def depths(records: Iterable[Conversion]) -> pd.DataFrame:
    """Seconds by depth of one network and route, with the operations of the package."""
    rows = []
    for r in (r for r in records if r.case.get("group") == DEEP):
        seconds = None if r.failed else route_grid.total(r)
        rows.append((wording.name(r.model), route_grid.name(r), r.operations, seconds))
    return pd.DataFrame(rows, columns=["network", "route", "operations", "seconds"])


def comes_out(records: Sequence[Conversion], model: str, precision: str = "float16") -> str:
    """Size and operations of one model's packages by side, in a sentence."""
    own = [r for r in route_grid.with_packages(records) if r.as_asked and r.size]
    own = [r for r in own if (r.model, r.case["precision"]) == (model, precision)]
    told = []
    for side in SIDES:
        if found := [r for r in own if _side(r) == side]:
            kib, count = _span(r.size / 1024 for r in found), _span(r.operations for r in found)
            told.append(f"{kib} KiB and {count} operations from {side}")
    name = f"{wording.name(model)} in {route_grid.SHORT[precision]}"
    return f"{name}: {'; '.join(told)}." if told else f"{name}: no package is right."


def _side(record: Conversion) -> str:
    return SIDES[0 if record.route == DIRECT else 1 + record.route.startswith(route_grid.THROUGH)]


def _span(values: Iterable[float]) -> str:
    """The least and the greatest of some numbers, or the one where both read the same."""
    found = sorted(values)
    return "–".join(dict.fromkeys(f"{each:,.0f}" for each in (found[0], found[-1])))


def checked(records: Iterable[Conversion]) -> str:
    """How many packages were made and how many pass, in a sentence."""
    made = [r for r in records if r.size]
    asked, own = (sum(map(bool, each)) for each in ((r.as_asked for r in made), (r.right for r in made)))
    return (
        f"{len(made)} packages were made and checked; {asked} are right by the limit of the precision asked "
        f"for, {own} by that of the precision they compute in."
    )
