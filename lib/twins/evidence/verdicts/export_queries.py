"""What conversions to Core ML say about MLX and PyTorch: one definition of the best route for every figure.

A model counts once. It is right from a side when, in every precision asked for, one of the side's routes that
exist on this system gives a package within the limit of that precision; so it fails from PyTorch only when
every route from PyTorch fails. A figure is (label, value, low, high, case).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

import numpy as np

from twins.records import measurements
from twins.records.export_types import (
    BESIDE,
    CHECKED,
    DEEP,
    DIRECT,
    FROM_MLX,
    FROM_TORCH,
    OURS,
    TO_CORE_AI,
    Conversion,
)
from twins.records.record_types import Timing
from twins.records.store import Record
from twins.timing import comparison, sessions, statistics

KINDS_OF_ROUTE = {"PyTorch's best route": None, "PyTorch through ONNX": True}
APPLES = FROM_TORCH.partition(", ")[2]  # Apple's converter from PyTorch to Core AI
Found = tuple[str, float, float, float, dict]
Rows = dict[str, list[Conversion]]


def by_model(records: Iterable[Record], to_core_ai: bool = False) -> dict[str, Rows]:
    """Conversions by model and precision, without routes that do not exist here and those never judged.

    One network at several depths is no model of its own. Those of the page about Core AI are left out, with
    `to_core_ai` only its routes to Core AI are taken.
    """
    found: dict[str, Rows] = {}
    for body in (record.body for record in records if isinstance(record.body, Conversion)):
        beside = body.case.get("group") == BESIDE
        if body.absent or body.case.get("apart") or body.case.get("group") == DEEP or beside != to_core_ai:
            continue
        if to_core_ai and body.route not in TO_CORE_AI:
            continue
        if body.as_asked is not None:
            rows = found.setdefault(body.model, {})
            rows.setdefault(body.case["precision"], []).append(body)
    return found


def ours(rows: Iterable[Conversion]) -> list[Conversion]:
    """The conversions by this project's routes from MLX: to Core ML, or to Core AI."""
    return [row for row in rows if row.route in (DIRECT, FROM_MLX)]


def from_pytorch(rows: Iterable[Conversion], onnx: bool | None = None) -> list[Conversion]:
    """The conversions by routes from PyTorch: all, or those through ONNX, or those without it."""
    own = [row for row in rows if row.route.startswith("PyTorch")]
    return own if onnx is None else [row for row in own if ("ONNX" in row.route) == onnx]


def right(rows: Rows, side: Callable[[list[Conversion]], list[Conversion]]) -> bool | None:
    """Whether a model is right from a side in every precision that the side tried; None if it tried none."""
    tried = [own for own in map(side, rows.values()) if own]
    return all(any(row.as_asked for row in own) for own in tried) if tried else None


def onnx_needed(records: list[Record]) -> list[Found]:
    """Of models that a route from PyTorch converts: 1 if it does only with one through ONNX, otherwise 0."""
    figures = []
    for model, rows in by_model(records).items():
        if right(rows, from_pytorch):
            needed = float(not right(rows, lambda own: from_pytorch(own, onnx=False)))
            figures.append((model, needed, needed, needed, {"model": model}))
    return figures


def _ratios(
    rows: Rows, cost: Callable[[Conversion], float], onnx: bool | None
) -> Iterator[tuple[str, float]]:
    """PyTorch's least cost over the direct route's, by precision in which both are right."""
    for precision, own in rows.items():
        mine = [cost(row) for row in ours(own) if row.as_asked]
        theirs = [cost(row) for row in from_pytorch(own, onnx) if row.as_asked]
        if mine and theirs:
            yield precision, min(theirs) / min(mine)


def _against(records: list[Record], cost: Callable[[Conversion], float]) -> list[Found]:
    """A figure for each model and kind of route: the precision that is worse for MLX."""
    figures = []
    for model, rows in by_model(records).items():
        for kind, onnx in KINDS_OF_ROUTE.items():
            if found := list(_ratios(rows, cost, onnx)):
                value = min(ratio for _, ratio in found)
                figures.append((f"{model}, {kind}", value, value, value, {"against": kind, "model": model}))
    return figures


def export_steps(records: list[Record]) -> list[Found]:
    """The steps of PyTorch's shortest right route over those of this project's converter, by model."""
    return _against(records, lambda row: len(row.steps))


def export_time(records: list[Record]) -> list[Found]:
    """The seconds of PyTorch's fastest right route over those of this project's converter with its check.

    From interleaved conversions in fresh processes; without them, of older records, points without the check.
    """
    timed = measurements.by_case(records, "conversion")
    return [each for own in timed for each in ratios_of(own)] or _against(
        records, lambda row: sum(row.steps.values())
    )


def ratios_of(own: Sequence[Timing], over: str = CHECKED) -> Iterator[Found]:
    """PyTorch's fastest route of each kind over a variant of ours, over the sessions of one model."""
    found, case = [comparison.runs(body) for body in own], own[0].case
    for kind, onnx in KINDS_OF_ROUTE.items():
        names = [name for name in comparison.variants(found[0]) if name.startswith("PyTorch")]
        names = [name for name in names if onnx is None or ("ONNX" in name) == onnx]
        if names:
            fastest = min(names, key=lambda name: statistics.median(found[0], name))
            same = [runs for runs in found if {fastest, over} <= set(statistics.variant_names(runs))]
            ratio = sessions.of(same, fastest, over, "conversion").ratio
            told = {"against": kind, "model": case["model"], "precision": case["precision"]}
            label = f"{case['model']}, {case['precision']}, {kind}"
            yield label, ratio.value, ratio.low, ratio.high, told


def export_failures(records: list[Record]) -> list[Found]:
    """How many more models fail from PyTorch than from MLX, of those that both took, by kind of route.

    The interval is a paired bootstrap over models.
    """
    found, figures = by_model(records).values(), []
    for kind, onnx in KINDS_OF_ROUTE.items():
        both = [(right(rows, ours), right(rows, lambda own, o=onnx: from_pytorch(own, o))) for rows in found]
        figures += _parted(kind, both)
    beside = by_model(records, to_core_ai=True).values()
    return figures + _parted(APPLES, [(right(rows, ours), right(rows, from_pytorch)) for rows in beside])


def _parted(kind: str, both: Sequence[tuple[bool | None, bool | None]]) -> list[Found]:
    """The figure of one kind of route, from whether each model is right from MLX and from PyTorch."""
    parted = np.array([int(mine) - int(theirs) for mine, theirs in both if None not in (mine, theirs)])
    if not parted.size:
        return []
    picks = np.random.default_rng(0).choice(parted, (statistics.RESAMPLES, parted.size))
    low, high = np.percentile(picks.sum(axis=1), [2.5, 97.5])
    label = f"{kind}, of {parted.size} models"
    return [(label, float(parted.sum()), float(low), float(high), {"against": kind})]


SIDES = {OURS: ours, "PyTorch's best route": from_pytorch}


def sides(records: Iterable[Record]) -> dict[str, tuple[int, int, float]]:
    """For every side that took any model: how many are right, of how many, median of the least seconds."""
    found = by_model(records)
    return {name: taken for name, side in SIDES.items() if (taken := _taken(found, side))}


def recommended(records: Iterable[Record]) -> tuple[str, str] | None:
    """The side with the larger share of right models, of equal ones the faster, and why; or None."""
    told = sides(records)
    if not told:
        return None
    best = min(told, key=lambda name: (-told[name][0] / told[name][1], told[name][2]))
    words = [f"{name}: {yes} of {of} models right, median {s:.2g} s" for name, (yes, of, s) in told.items()]
    return best, "; ".join(words)


def _taken(
    found: dict[str, Rows], side: Callable[[list[Conversion]], list[Conversion]]
) -> tuple[int, int, float] | None:
    """How many models are right from a side, of how many, and the median of its least seconds."""
    verdicts = [verdict for rows in found.values() if (verdict := right(rows, side)) is not None]
    own = (side(each) for rows in found.values() for each in rows.values())
    fastest = (min((sum(r.steps.values()) for r in each if r.as_asked), default=None) for each in own)
    seconds = median([s for s in fastest if s is not None] or [float("inf")])
    return (sum(verdicts), len(verdicts), seconds) if verdicts else None
