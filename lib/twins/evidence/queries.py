"""Which records are evidence for a claim: each query gives figures with intervals, one per case.

A query is named in data/claims.yaml. A figure carries its case, so that a verdict which differs between cases
can say what it depends on.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twins.evidence import export_queries
from twins.evidence.published import published_benchmarks
from twins.records.record_types import Breadth, Precision, Timing
from twins.records.store import Record
from twins.timing import comparison, statistics

CASE = ("twin", "dtype", "batch", "length", "frames")  # the entries of a timing's case that a label names
UNITS = {"batch": "batch {}", "length": "{} tokens", "frames": "{} frames"}


@dataclass(frozen=True)
class Figure:
    """One figure for or against a claim, with its interval; `band` is the harness's own error, if any."""

    label: str
    value: float
    low: float
    high: float
    case: dict
    band: float = 0.0

    def __str__(self) -> str:
        interval = f" [{self.low:.3g}, {self.high:.3g}]" if self.high > self.low else ""
        return f"{self.label}: {self.value:.3g}{interval}"


@dataclass(frozen=True)
class Query:
    """How figures are found in records, and what they measure, in words."""

    find: Callable[..., list[Figure]]
    measure: str


def _point(label: str, value: float, **case: str) -> Figure:
    return Figure(label, value, value, value, case)


def _timings(records: Iterable[Record], subjects: Iterable[str]) -> list[Timing]:
    """The timing records of these subjects."""
    bodies = [record.body for record in records]
    return [body for body in bodies if isinstance(body, Timing) and body.subject in subjects]


def speed(
    records: list[Record],
    subjects: list[str],
    twins: list[str] | None = None,
    bound_by_computation: bool = False,
) -> list[Figure]:
    """PyTorch's time over MLX's, each at its best, for every case that both frameworks were timed in.

    `bound_by_computation`: of a twin that was timed at a size that fills the machine, that size alone.
    """
    figures, found = [], _timings(records, subjects)
    for body in comparison.bound_by_computation(found) if bound_by_computation else found:
        if twins is not None and body.case["twin"] not in twins:
            continue
        if {variant.split()[0] for variant in body.runs[0]["arms"]} != set(comparison.FRAMEWORKS):
            continue
        case = {"task": body.subject} | {name: str(body.case[name]) for name in CASE if name in body.case}
        words = [UNITS.get(name, "{}").format(value) for name, value in case.items() if name != "task"]
        words += ["filled"] if body.case.get("filled") else []
        found = comparison.at_best(body, ", ".join(words if "twin" in case else [body.subject, *words]))
        ratio = found.ratio
        figures.append(Figure(found.label, ratio.value, ratio.low, ratio.high, case, found.band))
    return figures


def copying(records: list[Record]) -> list[Figure]:
    """Which share of work that alternates between sides is spent copying."""
    figures = []
    for body in _timings(records, ["switching"]):
        runs = comparison.runs(body)
        whole = next(
            variant
            for variant in comparison.variants(runs)
            if "then" in variant and variant.endswith("copied")
        )
        ratio = statistics.ratio(runs, "hand-over alone, copied", whole)
        figures.append(Figure(whole, ratio.value, ratio.low, ratio.high, {"size": str(body.case["n"])}))
    return figures


def platforms(records: list[Record]) -> list[Figure]:
    """Platforms that one framework runs on and the other does not, read from a table."""
    figures = []
    for row in published_benchmarks.platforms():
        if None not in (row.pytorch, row.mlx) and row.pytorch != row.mlx:
            figures.append(_point(row.platform, float(row.pytorch), platform=row.platform))
    return figures


def breadth(records: list[Record]) -> list[Figure]:
    """How many names PyTorch's list has over MLX's, by group."""
    totals = {(r.body.framework, r.body.group): r.body.total for r in records if isinstance(r.body, Breadth)}
    groups = dict.fromkeys(group for _, group in totals)
    # A record's total counts the other framework's list: what of it the record's own framework lacks.
    return [
        _point(group, totals["MLX", group] / totals["PyTorch", group], group=group)
        for group in groups
        if ("MLX", group) in totals and totals.get(("PyTorch", group))
    ]


def _figures(find: Callable[[list[Record]], Iterable[export_queries.Found]]) -> Callable[..., list[Figure]]:
    """A query of export_queries as one that gives Figures."""
    return lambda records: [Figure(*each) for each in find(records)]


def shipped_precision(records: list[Record]) -> list[Figure]:
    """1 where float32 as shipped is as exact in both frameworks as when asked for, 0 where it is not."""
    found = [record.body for record in records if isinstance(record.body, Precision)]
    if not found:
        return []
    other = comparison.differing(found)
    label = f"{' and '.join(other)} less exact" if other else "both as exact"
    return [_point(f"float32 as shipped, {label}", float(not other))]


def core_ml(records: list[Record]) -> list[Figure]:
    """Packages with which Core ML itself predicted, one each."""
    return [
        _point(body.case["package"], 1.0, package=body.case["package"])
        for body in _timings(records, ["Core ML prediction"])
    ]


QUERIES: dict[str, Query] = {
    "speed": Query(speed, "PyTorch's time ÷ MLX's"),
    "copying": Query(copying, "share of alternating work that is copying"),
    "platforms": Query(platforms, "platforms that only PyTorch reaches (1) or only MLX (0)"),
    "breadth": Query(breadth, "length of PyTorch's list ÷ MLX's"),
    "onnx_needed": Query(
        _figures(export_queries.onnx_needed),
        "models that PyTorch brings over only through ONNX (1) or without (0)",
    ),
    "export_steps": Query(_figures(export_queries.export_steps), "PyTorch's steps ÷ MLX's"),
    "export_time": Query(_figures(export_queries.export_time), "PyTorch's seconds ÷ MLX's"),
    "export_failures": Query(
        _figures(export_queries.export_failures), "models that fail from PyTorch − models that fail from MLX"
    ),
    "shipped_precision": Query(
        shipped_precision, "float32 of both frameworks as exact as shipped as when asked for (1) or not (0)"
    ),
    "core_ml": Query(core_ml, "packages that Core ML itself ran (1)"),
}
