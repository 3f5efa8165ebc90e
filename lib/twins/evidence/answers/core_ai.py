"""The answer of the page about Core AI: what moves over from both frameworks, beside Core ML."""

from collections.abc import Sequence
from statistics import median

from twins.evidence.answers.answer import Answer
from twins.records.export_types import (
    BESIDE,
    DIRECT,
    FROM_MLX,
    FROM_TORCH,
    TO_CORE_AI,
    Conversion,
    ThreeRuntimes,
)
from twins.records.store import Record
from twins.timing import wording

NAMES = {  # of the routes, for people
    FROM_MLX: "MLX to Core AI",
    FROM_TORCH: "PyTorch to Core AI",
    DIRECT: "MLX to Core ML",
}
NOT_COVERED = (
    "A device with OS 27, where others saw wrong results in half precision{}. Speed on a device; models of "
    "full size."
)
INTERPRETED = ": Apple's interpreter ran every asset here"


def answer(records: list[Record]) -> Answer | None:
    """How many models each route brings to Core AI, what both formats cost, where three runtimes differ."""
    bodies = [record.body for record in records]
    made = [body for body in bodies if isinstance(body, Conversion) and body.case.get("group") == BESIDE]
    if not made:
        return None
    compared = [body for body in bodies if isinstance(body, ThreeRuntimes)]
    found = [_routes(made), _beside(made), _against_torch(made), _runtimes(compared)]
    told = [sentence for sentence in found if sentence]
    line = told[0].replace("**", "").replace("`", "").rstrip(".")
    ran = any(judged(made, route) for route in TO_CORE_AI)
    return Answer(line, tuple(told), NOT_COVERED.format(INTERPRETED if ran else ""))


def judged(records: Sequence[Conversion], route: str) -> list[Conversion]:
    """The conversions by one route, where it exists here."""
    return [r for r in records if r.route == route and not r.absent]


def _routes(made: Sequence[Conversion]) -> str:
    """How many files of each route are right, and what to install for those that are not here."""
    parts, gone = [], dict.fromkeys(r.message for r in made if r.absent)
    for route, name in NAMES.items():
        if own := judged(made, route):
            right = [r for r in own if r.as_asked]
            seconds = f", median {median(map(_seconds, right)):.2f} s" if right else ""
            parts.append(f"{name}: {len(right)} of {len(own)} right{seconds}")
    return " ".join([f"**{'; '.join(parts)}.**", *gone])


def _seconds(record: Conversion) -> float:
    return sum(record.steps.values())


def both_formats(made: Sequence[Conversion]) -> list[tuple[Conversion, Conversion]]:
    """The package and the asset of each model and precision that are right in both formats."""
    ai = {(r.model, r.case["precision"]): r for r in judged(made, FROM_MLX) if r.as_asked}
    ml = {(r.model, r.case["precision"]): r for r in judged(made, DIRECT) if r.as_asked}
    return [(ml[key], ai[key]) for key in ml if key in ai]


def _beside(made: Sequence[Conversion]) -> str:
    """Seconds and size of Core AI against Core ML, from MLX: medians over models and precisions."""
    pairs = both_formats(made)
    if not pairs:
        return ""
    faster = median(_seconds(ml) / _seconds(ai) for ml, ai in pairs)
    size = median((ai.size or 0) / (ml.size or 1) for ml, ai in pairs)
    format_, factor = ("Core AI", faster) if faster >= 1 else ("Core ML", 1 / faster)
    return (
        f"**Beside Core ML**, from MLX: converting to {format_} is {wording.times(factor)} as fast, and an "
        f"asset has {size:.0%} of the size of a package (medians of {len(pairs)})."
    )


def _against_torch(made: Sequence[Conversion]) -> str:
    """Seconds of this project's converter against coreai-torch, where both are right."""
    ours = {(r.model, r.case["precision"]): r for r in judged(made, FROM_MLX) if r.as_asked}
    theirs = {(r.model, r.case["precision"]): r for r in judged(made, FROM_TORCH) if r.as_asked}
    ratios = [_seconds(theirs[key]) / _seconds(ours[key]) for key in ours if key in theirs]
    if not ratios:
        return ""
    told = f"{wording.as_fast(median(ratios))}, median of {len(ratios)}"
    return f"**To Core AI**, one conversion after another: {told}; both sides unchecked."


def _runtimes(compared: Sequence[ThreeRuntimes]) -> str:
    """How many calls agree in all three runtimes, and the causes of the others."""
    if not compared:
        return ""
    causes = list(dict.fromkeys(r.cause for r in compared if not r.agree))
    told = f"**Three runtimes** agree in {sum(r.agree for r in compared)} of {len(compared)} calls"
    return f"{told}; otherwise: {'; '.join(causes)}." if causes else f"{told}."
