"""Which records are evidence for a claim: each query gives figures with intervals, one per case.

A query is named in data/claims.yaml. A figure carries its case, so that a verdict which differs between cases
can say what it depends on.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twins.evidence.published import published_benchmarks
from twins.evidence.verdicts import export_queries
from twins.records import measurements
from twins.records.record_types import Breadth, Finding, Memory, Precision, Timing
from twins.records.store import Record
from twins.timing import comparison, sessions
from twins.timing.sessions import Sessions
from twins.timing.statistics import FRAMEWORKS
from twins.transfer import transfer_tables

CASE = ("twin", "dtype", "batch", "length", "frames")  # the entries of a timing's case that a label names
UNITS = {"batch": "batch {}", "length": "{} tokens", "frames": "{} frames"}


@dataclass(frozen=True)
class Figure:
    """One figure for or against a claim, with the 95 % interval of another session's figure.

    A figure that was timed carries its sessions; `band` is the harness's own error, if any.
    """

    label: str
    value: float
    low: float
    high: float
    case: dict
    band: float = 0.0
    over: Sessions | None = None

    def __str__(self) -> str:
        interval = f" [{self.low:.3g}, {self.high:.3g}]" if self.high > self.low else ""
        return f"{self.label}: {self.value:.3g}{interval}"


def timed_figure(label: str, over: Sessions, case: dict, band: float = 0.0) -> Figure:
    """A figure over sessions."""
    ratio = over.ratio
    return Figure(label, ratio.value, ratio.low, ratio.high, case, band, over)


@dataclass(frozen=True)
class Query:
    """How figures are found in records, and what they measure, in words."""

    find: Callable[..., list[Figure]]
    measure: str


def _point(label: str, value: float, **case: str) -> Figure:
    return Figure(label, value, value, value, case)


def speed(
    records: list[Record],
    subjects: list[str],
    twins: list[str] | None = None,
    bound_by_computation: bool = False,
) -> list[Figure]:
    """PyTorch's time over MLX's, eager, for every case that both frameworks were timed in, over its sessions.

    `bound_by_computation`: of a twin that was timed at a size that fills the machine, that size alone.
    """
    found = measurements.by_case(records, *subjects)
    if bound_by_computation:
        kept = comparison.bound_by_computation(each[0] for each in found)
        found = [each for each in found if each[0] in kept]
    return [
        _speed(each)
        for each in found
        if (twins is None or each[0].case["twin"] in twins) and comparison.kinds(each[0])
    ]


def _speed(own: list[Timing]) -> Figure:
    """The figure of one case from its sessions."""
    body = own[0]
    case = {"task": body.subject} | {name: str(body.case[name]) for name in CASE if name in body.case}
    words = [UNITS.get(name, "{}").format(value) for name, value in case.items() if name != "task"]
    words += ["filled"] if body.case.get("filled") else []
    label = ", ".join(words if "twin" in case else [body.subject, *words])
    found = comparison.headline(body, label, *own[1:])
    return timed_figure(label, found.over, case, found.band)


def copying(records: list[Record]) -> list[Figure]:
    """Which share of work that alternates between sides is spent copying, by size."""
    figures = []
    for own in measurements.by_case(records, "switching"):
        n, whole = own[0].case["n"], transfer_tables.whole(own[0])
        figures.append(timed_figure(f"{whole}, n = {n}", transfer_tables.copying(own), {"size": str(n)}))
    return figures


def saved_by_sharing(records: list[Record], framework: str) -> list[Figure]:
    """A training step with forced hand-overs over the same framework's without: the most sharing can save."""
    figures, none = [], f"{framework} none"
    for own in measurements.by_case(records, "step with hand-overs"):
        found = [comparison.runs(each) for each in own]
        band = comparison.middle_band(found)
        case = {name: str(own[0].case[name]) for name in ("twin", "batch")}
        for forced in comparison.variants(found[0]):
            if forced.startswith(framework) and forced != none:
                over = sessions.of(found, forced, none, "training step")
                kind = {"kind": forced.removeprefix(f"{framework} ")}
                label = f"{forced}, {case['twin']}, batch {case['batch']}"
                figures.append(timed_figure(label, over, kind | case, band))
    return figures


def tuning_memory(records: list[Record], method: str) -> list[Figure]:
    """PyTorch's memory over MLX's of fine-tuning by one method, for every case; the medians of each."""
    own = [r.body for r in records if isinstance(r.body, Memory) and r.body.case.get("method") == method]
    by: dict[str, dict[str, int]] = {}
    for body in own:
        label = f"{body.case.get('base') or method}, batch {body.case['batch']}, {body.case['length']} tokens"
        by.setdefault(label, {})[body.arm.split()[0]] = body.resident
    return [
        _point(label, sizes["PyTorch"] / sizes["MLX"], base=label.split(",")[0])
        for label, sizes in by.items()
        if len(sizes) == len(FRAMEWORKS) and sizes["MLX"]
    ]


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
    """A query of export_queries as one that gives Figures: of all kinds of route, or of one."""

    def found(records: list[Record], against: str = "") -> list[Figure]:
        figures = [Figure(*each) for each in find(records)]
        return [figure for figure in figures if not against or figure.case.get("against") == against]

    return found


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
        _point(own[0].case["package"], 1.0, package=own[0].case["package"])
        for own in measurements.by_case(records, "Core ML prediction")
    ]


def tried(records: list[Record], finding: str) -> list[Figure]:
    """What a statement that was tried live came to; nothing where not even the control worked."""
    found = [record.body for record in records if isinstance(record.body, Finding)]
    return [_point(body.told, body.effect) for body in found if body.name == finding and body.control]


QUERIES: dict[str, Query] = {
    "speed": Query(speed, "PyTorch's time ÷ MLX's"),
    "copying": Query(copying, "share of alternating work that is copying"),
    "saved_by_sharing": Query(
        saved_by_sharing, "training step with forced hand-overs ÷ the same framework's with none"
    ),
    "tuning_memory": Query(tuning_memory, "PyTorch's memory ÷ MLX's"),
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
    "tried": Query(tried, "what works of what was tried"),
    "core_ml": Query(core_ml, "packages that Core ML itself ran (1)"),
}
