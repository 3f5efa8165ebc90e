"""Tables of the same models in Core AI and in Core ML, and of the three runtimes that ran them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

import pandas as pd

from coreml_runtime.verification.comparison import CORE_ML_TOLERANCE
from mlx_coreml.backends.coreai import installed
from mlx_coreml.backends.coreai.refused import OPTIONS, REASONS
from mlx_coreml.swift import asset_package, swift_package
from mlx_coreml.verification.side_by_side import CORE_AI, LIMITS, REFERENCE, SOURCE
from twins.evidence.answers import route_grid
from twins.evidence.answers.core_ai import NAMES, both_formats, judged
from twins.export.core_ai.three_runtimes import MODELS, SHORT, SUMS
from twins.records import export_types, store
from twins.records.export_types import TO_CORE_AI, Conversion, ThreeRuntimes
from twins.timing import wording

PAIRS = (f"{REFERENCE} against {SOURCE}", f"{CORE_AI} against {SOURCE}", f"{CORE_AI} against {REFERENCE}")
ERRORS = dict(zip(PAIRS, ("Core ML to MLX", "Core AI to MLX", "Core AI to Core ML"), strict=True))  # headings
CHOICES = {  # what an app needs -> whether each format gives it, by the name of an option of `convert`
    "a KV cache, or another state": "states",
    "any length in one file": "flexible",
    "a picture as an input": "image_inputs",
}


def grid(records: Sequence[Conversion]) -> pd.DataFrame:
    """Routes down, models in half precision or the only one asked across; a row begins with its total."""
    chosen = route_grid.chosen(records)
    rows = []
    for route, name in NAMES.items():
        own = judged(records, route)
        if not own:
            continue
        cells = {r.model: route_grid.cell(r) for r in own if chosen[r.model] == r.case["precision"]}
        told = f"{name}: {sum(bool(r.as_asked) for r in own)} of {len(own)} right"
        heads = {m: f"{wording.name(m)} {SHORT[p]}" for m, p in list(chosen.items())[: route_grid.MOST]}
        rows.append({"route": told} | {head: cells.get(m, "– not tried") for m, head in heads.items()})
    return pd.DataFrame(rows)


def every(records: Sequence[Conversion]) -> pd.DataFrame:
    """Every model by every route: right or the cause, error and the runtime it is of, seconds and size.

    A route that is not installed is one row, which says what to install.
    """
    rows, absent = [], {r.route: r for r in records if r.absent}
    for r in records:
        if r.absent:
            continue
        row = {"model": wording.name(r.model), "route": NAMES[r.route]}
        row |= {"asked": SHORT[r.case["precision"]], "result": "right" if r.as_asked else r.cause}
        row |= {"error against its source": r.error, "run by": _runtimes(r)}
        row |= {"seconds": route_grid.total(r) if not r.failed else None}
        rows.append(row | {"KiB": r.size / 1024 if r.size else None})
    columns = ["model", "route", "asked", "result", "error against its source", "run by", "seconds", "KiB"]
    gone = [{"model": "all", "route": NAMES[route], "result": r.message} for route, r in absent.items()]
    return pd.DataFrame(rows + gone, columns=columns)


def _runtimes(record: Conversion) -> str:
    """Who ran a file, once each: the reference runtime counts once for both of its readings."""
    found = (name.rpartition(" ")[0] if name.startswith("reference") else name for name in _ran(record))
    named = {"reference": REFERENCE}
    return ", ".join(dict.fromkeys(named.get(name, name) for name in found)) or "–"


def _ran(record: Conversion) -> Sequence[str]:
    return record.case.get("runtimes", ())


def installation(records: Iterable[Conversion]) -> str:
    """What to install for the routes that are not here, once each; empty where all are here."""
    return " ".join(dict.fromkeys(r.message for r in records if r.absent))


def both(records: Sequence[Conversion]) -> pd.DataFrame:
    """Models that MLX brings into both formats: seconds and size of each, in each precision."""
    rows = []
    for ml, ai in both_formats(records):
        row = {"model": wording.name(ml.model), "asked": SHORT[ml.case["precision"]]}
        row |= {"Core ML, s": route_grid.total(ml), "Core AI, s": route_grid.total(ai)}
        row |= {"Core ML, KiB": ml.size / 1024, "Core AI, KiB": ai.size / 1024}
        rows.append(row | {"Core ML, error": ml.error, "Core AI, error": ai.error})
    return pd.DataFrame(rows)


def runtimes(found: Sequence[ThreeRuntimes]) -> pd.DataFrame:
    """How often the three runtimes agree, and the largest error of each pair that is finite."""
    rows = []
    for group, precision in dict.fromkeys((r.case["group"], r.case["precision"]) for r in found):
        own = [r for r in found if (r.case["group"], r.case["precision"]) == (group, precision)]
        row = {"what": f"{group}s".replace("ss", "s"), "asked": SHORT[precision]}
        row |= {"calls": len(own), "all agree": sum(r.agree for r in own)}
        row |= {"limit": max(r.limit for r in own)}
        rows.append(row | {short: _largest(own, pair) for pair, short in ERRORS.items()})
    return pd.DataFrame(rows)


def _largest(found: Iterable[ThreeRuntimes], pair: str) -> float | None:
    return max((error for r in found if (error := r.errors.get(pair)) is not None), default=None)


def disagreements(found: Iterable[ThreeRuntimes]) -> pd.DataFrame:
    """Each call in which a pair is beyond its limit: the error of every pair and the cause."""
    rows = []
    for r in (r for r in found if not r.agree):
        row = {"call": wording.name(r.model), "asked": SHORT[r.case["precision"]]}
        row |= {short: r.errors.get(pair) for pair, short in ERRORS.items()}
        rows.append(row | {"limit": r.limit, "cause": r.cause})
    return pd.DataFrame(rows, columns=["call", "asked", *ERRORS.values(), "limit", "cause"])


def agreement(found: Sequence[ThreeRuntimes]) -> str:
    """How many calls agree in each precision, in a sentence; or why nothing was compared."""
    if not found:
        return "No call was made in three runtimes: Core AI's interpreter is not installed here."
    parts = []
    for precision, short in SHORT.items():
        if own := [r for r in found if r.case["precision"] == precision]:
            parts.append(f"{short}: {sum(r.agree for r in own)} of {len(own)} calls")
    return f"All three runtimes agree in {'; '.join(parts)}."


def rounding(found: Sequence[ThreeRuntimes]) -> str:
    """How much larger the interpreter's error is in half precision, and up to which length it adds ones."""
    half = [r for r in found if r.case["precision"] == "float16" and r.case["group"] == MODELS]
    ratios = [
        r.errors[PAIRS[1]] / r.errors[PAIRS[0]] for r in half if all(r.errors.get(p) for p in PAIRS[:2])
    ]
    told = []
    if ratios:
        told.append(
            f"In half precision the interpreter's error is {wording.times(median(ratios))} that of the "
            f"reference runtime (median of {len(ratios)} models)."
        )
    if wrong := [r for r in found if r.case["group"] == SUMS and not r.agree]:
        told.append(
            f"{wrong[0].model.capitalize()} in {SHORT[wrong[0].case['precision']]}: off by "
            f"{wrong[0].errors[PAIRS[1]]:.0%} in the interpreter, by {wrong[0].errors[PAIRS[0]]:.0%} in the "
            "reference runtime: the interpreter adds a matrix product in half precision."
        )
    return " ".join(told) or "Nothing was compared in half precision."


def choices(records: Sequence[Conversion]) -> pd.DataFrame:
    """What an app needs, and what each format gives; seconds and sizes are medians over the same models."""
    rows = [("a device today", "iOS 15 and macOS 12 on", "OS 27 alone; a beta")]
    rows += [
        (need, "yes", f"no: {OPTIONS[option]}" if option in OPTIONS else "yes")
        for need, option in CHOICES.items()
    ]
    pairs = both_formats(records)
    if pairs:
        seconds, sizes = ([[f(r) for r in side] for side in zip(*pairs, strict=True)] for f in (_s, _kib))
        told = [f"{median(side):.2f} s" for side in seconds]
        rows.append(("seconds to convert, median", *told))
        rows.append(("size on disk, median", *(f"{median(side):,.0f} KiB" for side in sizes)))
    rows.append(("who runs it off a Mac", "the reference runtime of this project", "Apple's own interpreter"))
    return pd.DataFrame(rows, columns=["needed", "Core ML", "Core AI"])


def _s(record: Conversion) -> float:
    return route_grid.total(record)


def _kib(record: Conversion) -> float:
    return (record.size or 0) / 1024


def limits() -> pd.DataFrame:
    """What a file's error must stay within to be right, and what each pair of runtimes must."""
    rows = [
        (SHORT[name], limit, max(limit, CORE_ML_TOLERANCE), LIMITS[SHORT[name]])
        for name, limit in export_types.LIMITS.items()
    ]
    return pd.DataFrame(rows, columns=["asked", "a package", "an asset", "a pair of runtimes"])


def is_here() -> bool:
    """Whether Core AI is installed here, in the release that the converter is written for."""
    return not installed.missing()


def here() -> str:
    """Whether Core AI's interpreter is installed here, and what to install otherwise."""
    return installed.missing() or f"Core AI is here as {installed.PACKAGE} {installed.RELEASE}, a beta."


def in_an_app(asset: str, folder: Path, source: Callable, inputs: Sequence) -> str:
    """Where a Swift package around an asset was written, and how far it could be checked here.

    `inputs` are the source's, in order; what to install where Core AI is not here.
    """
    if told := installed.missing():
        return told
    from mlx_coreml.backends.coreai.interpreter import Interpreter

    interpreter = Interpreter(asset)
    names = list(interpreter.input_types)
    interpreter.close()
    written = asset_package.write(
        asset, folder, source=source, examples=dict(zip(names, inputs, strict=True))
    )
    return f"Written to `{written.relative_to(store.ROOT)}`: {swift_package.check(written)}."


def refused() -> pd.DataFrame:
    """The options and primitives that do not move over to Core AI, and why."""
    rows = [(f"{name}=", why) for name, why in OPTIONS.items()] + sorted(REASONS.items())
    return pd.DataFrame(rows, columns=["option or primitive", "why it is refused"])


def to_core_ai(records: Iterable[Conversion]) -> list[Conversion]:
    """The conversions to Core AI, without those to Core ML beside them."""
    return [r for r in records if r.route in TO_CORE_AI]
