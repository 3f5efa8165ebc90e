"""A verdict in one plain sentence, and its figures one by one, each in the direction of the faster framework.

Which words belong to which figures is a table by query, as the queries are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twins.evidence.published import published_benchmarks
from twins.evidence.verdicts import rules
from twins.evidence.verdicts.claims import NOT_HERE, Verdict
from twins.evidence.verdicts.queries import Figure
from twins.evidence.verdicts.rules import CONTRADICTED, DEPENDS, SUPPORTED, UNDECIDED
from twins.timing import statistics, wording

MARKS = {SUPPORTED: "✓", CONTRADICTED: "✗", DEPENDS: "◐", UNDECIDED: "?", NOT_HERE: "–"}
RATIOS = ("speed", "export_time")  # queries whose figures are PyTorch's time over MLX's


@dataclass(frozen=True)
class Plain:
    """What a reader sees of a verdict first: word and mark, and one sentence in Markdown."""

    word: str
    mark: str
    sentence: str


def plain(verdict: Verdict, devices: Sequence[str]) -> Plain:
    """A verdict in plain words; `devices` are those of the machine whose records were judged."""
    told = TOLD[verdict.claim.query](verdict.figures) if verdict.figures else ""
    parts = [
        f"On the {' and '.join(devices)} of this machine: {told}"
        if verdict.word == NOT_HERE and told
        else told
    ]
    if verdict.word == NOT_HERE:
        parts.append(f"Needs {verdict.claim.needs}")
    if verdict.word == UNDECIDED:
        parts.append(rules.wanted(verdict.figures, verdict.claim.limits))
    sentence = " ".join(f"{_begun(part).rstrip('.')}." for part in parts if part)
    return Plain(verdict.word, MARKS[verdict.word], sentence)


def _begun(text: str) -> str:
    """A sentence with a capital, unless it begins with a name that has none."""
    return text if text.startswith("coremltools") else f"{text[0].upper()}{text[1:]}"


def figures(verdict: Verdict) -> list[str]:
    """Every figure of a verdict in words, with its interval."""
    ratios = verdict.claim.query in RATIOS
    return [_ratio(figure) if ratios else str(figure) for figure in verdict.figures]


def _ratio(figure: Figure) -> str:
    who, _ = wording.faster(figure.value)
    told = f"{figure.label}: {wording.as_fast(figure.value)}"
    return f"{told} {wording.interval(figure.low, figure.high, who)}" if figure.high > figure.low else told


def _winner(figure: Figure) -> str | None:
    """The faster framework, None where the interval meets the band of a tie."""
    band = figure.band or statistics.TIE
    if figure.low < band and figure.high > 1 / band:
        return None
    return wording.faster(figure.value)[0]


def _of(number: int, all_of: int, joined: str) -> str:
    """How many of the cases, which a single one needs not say."""
    if all_of == 1:
        return ""
    return f"{joined}{'all' if number == all_of else f'{number} of'} {all_of} cases"


def speed(found: Sequence[Figure]) -> str:
    """Who is how many times as fast in how many cases."""
    told = []
    for who in ("MLX", "PyTorch"):
        if won := [figure for figure in found if _winner(figure) == who]:
            factors = wording.between(wording.faster(figure.value)[1] for figure in won)
            told.append(f"{who} is {factors} as fast{_of(len(won), len(found), ' in ')}")
    if left := sum(_winner(figure) is None for figure in found):
        told.append(f"no difference beyond the error{_of(left, len(found), ' in ')}")
    return "; ".join(told)


def _percent(found: Sequence[Figure]) -> str:
    ends = dict.fromkeys(f"{100 * end(f.value for f in found):.2g}" for end in (min, max))
    return f"copying is {' to '.join(ends)} % of work that alternates between both sides"


def _saved(found: Sequence[Figure]) -> str:
    most = max(found, key=lambda figure: figure.value)
    return f"forced hand-overs make a step take at most {wording.times(most.value)} its time ({most.label})"


def _platforms(found: Sequence[Figure]) -> str:
    alone = {"PyTorch": [f.label for f in found if f.value], "MLX": [f.label for f in found if not f.value]}
    known = [row for row in published_benchmarks.platforms() if None not in (row.pytorch, row.mlx)]
    told = [f"only {who} runs on {', '.join(names)}" for who, names in alone.items() if names]
    return "; ".join([*told, f"both run on {len(known) - len(found)} of {len(known)} platforms"])


def _longer(found: Sequence[Figure]) -> str:
    longer = [figure for figure in found if figure.value > 1]
    told = f"PyTorch's lists are longer in {len(longer)} of {len(found)} groups"
    return f"{told}, {wording.between(f.value for f in longer)} as long" if longer else told


def _onnx(found: Sequence[Figure]) -> str:
    without = sum(not figure.value for figure in found)
    return f"{without} of {len(found)} models that convert from PyTorch do so without ONNX"


def _steps(found: Sequence[Figure]) -> str:
    more = [figure for figure in found if figure.value > 1]
    told = f"from PyTorch there are more steps in {len(more)} of {len(found)} comparisons"
    return f"{told}, {wording.between(f.value for f in more)} as many" if more else told


def _failures(found: Sequence[Figure]) -> str:
    told = []
    for figure in found:
        count, more = abs(figure.value), "fewer" if figure.value >= 0 else "more"
        models = "model" if count == 1 else "models"
        interval = f"95 % interval {figure.low:.0f} to {figure.high:.0f}"
        told.append(f"MLX failed on {count:.0f} {models} {more} than {figure.label} ({interval})")
    return "; ".join(told)


def _labels(found: Sequence[Figure]) -> str:
    return "; ".join(figure.label for figure in found)


def _core_ml(found: Sequence[Figure]) -> str:
    return f"Core ML itself predicted with {len(found)} packages"


TOLD: dict[str, Callable[[Sequence[Figure]], str]] = {
    "speed": speed,
    "copying": _percent,
    "saved_by_sharing": _saved,
    "platforms": _platforms,
    "breadth": _longer,
    "onnx_needed": _onnx,
    "export_steps": _steps,
    "export_time": speed,
    "export_failures": _failures,
    "shipped_precision": _labels,
    "tried": _labels,
    "core_ml": _core_ml,
}
