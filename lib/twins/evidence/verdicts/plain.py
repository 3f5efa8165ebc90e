"""A verdict in one plain sentence, and its figures one by one, each in the direction of the faster framework.

Which words belong to which figures is a table by query, as the queries are.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twins.evidence.published import published_benchmarks
from twins.evidence.verdicts import rules
from twins.evidence.verdicts.claims import NOT_HERE, Verdict
from twins.evidence.verdicts.queries import Figure
from twins.evidence.verdicts.rules import CONTRADICTED, DEPENDS, SUPPORTED, UNDECIDED
from twins.inference.tables import SPEECH
from twins.inference.tables import WORDS as RUN
from twins.timing import statistics, wording

MARKS = {SUPPORTED: "✓", CONTRADICTED: "✗", DEPENDS: "◐", UNDECIDED: "?", NOT_HERE: "–"}
PARTS = {**RUN, **SPEECH, "filled": "filling the machine"}  # what a part of a figure's label is for people
PROPERTIES = {"twin": "network", "dtype": "number type", "length": "length of the prompt"}
COMMAND = re.compile(r"make (?:report|ios)(?:-\d+)?|swift test")
RATIOS = ("speed", "export_time")  # queries whose figures are PyTorch's time over MLX's
CLAUSES = 2  # that a sentence keeps of what was tried; the figures have the whole text


@dataclass(frozen=True)
class Plain:
    """What a reader sees of a verdict first: word and mark, and one sentence in Markdown."""

    word: str
    mark: str
    sentence: str


def plain(verdict: Verdict, devices: Sequence[str]) -> Plain:
    """A verdict in plain words; `devices` are those of the machine whose records were judged."""
    told = _decided(verdict) or (TOLD[verdict.claim.query](verdict.figures) if verdict.figures else "")
    parts = [f"On this {' and '.join(devices)} {told}" if verdict.word == NOT_HERE and told else told]
    if verdict.word == NOT_HERE:
        parts.append(COMMAND.sub(r"`\g<0>`", f"Needs {verdict.claim.needs}"))
    if verdict.word == DEPENDS and (found := re.match(r"on (\w+): ", verdict.why)):
        parts.append(f"It depends on the {PROPERTIES.get(found[1], found[1])}")
    if verdict.word == UNDECIDED:
        parts.append(rules.wanted(verdict.figures, verdict.claim.limits))
    sentence = " ".join(f"{_begun(part).rstrip('.')}." for part in parts if part)
    return Plain(verdict.word, MARKS[verdict.word], sentence)


def _begun(text: str) -> str:
    """A sentence with a capital, unless it begins with a name that has none."""
    return text if text.startswith("coremltools") else f"{text[0].upper()}{text[1:]}"


def _decided(verdict: Verdict) -> str:
    """The figure that decided on a speed of which single cases do not say so; empty where they all do."""
    found, decided = verdict.figures, verdict.word in (SUPPORTED, CONTRADICTED)
    left = 0
    if decided and verdict.claim.query in RATIOS:
        left = sum(_winner(figure) is None for figure in found)
    if not left:
        return ""
    if verdict.claim.rule == "largest":
        most = max(found, key=lambda figure: figure.value)
        return f"{_is_as_fast(most.value)} in the case that is best for MLX ({label(most)})"
    told = f"{_is_as_fast(rules.overall(found).value)} on average"
    if len(found) == 1:
        return told
    return f"{told} over {len(found)} cases, {left} of which alone would not show it"


def _is_as_fast(ratio: float) -> str:
    who, factor = wording.faster(ratio)
    return f"{who} is {wording.times(factor)} as fast"


def figures(verdict: Verdict) -> list[str]:
    """Every figure of a verdict in words, with its interval."""
    return [FIGURES[verdict.claim.query](figure) for figure in verdict.figures]


def label(figure: Figure) -> str:
    """Which case a figure is of, with names for people."""
    return ", ".join(PARTS.get(part, wording.name(part)) for part in figure.label.split(", "))


def _ratio(figure: Figure) -> str:
    who, _ = wording.faster(figure.value)
    told = f"{label(figure)}: {wording.as_fast(figure.value)}"
    return f"{told} {wording.interval(figure.low, figure.high, who)}" if figure.high > figure.low else told


def _times(figure: Figure, what: str, other: str) -> str:
    """A factor above one that is no advantage of either framework: "1.66× as long in PyTorch", or `other`."""
    value, low, high = figure.value, figure.low, figure.high
    if value < 1:
        value, low, high, what = 1 / value, 1 / high, 1 / low, other
    interval = f" [{low:.2f}–{high:.2f}]" if high > low else ""
    return f"{label(figure)}: {wording.times(value)} {what}{interval}"


def _share(figure: Figure) -> str:
    low, high = 100 * figure.low, 100 * figure.high
    interval = f" [{low:.2g}–{high:.2g}]" if high > low else ""
    return f"{label(figure)}: {100 * figure.value:.2g} %{interval}"


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
    if number == all_of:
        return f"{joined}{'both' if all_of == 2 else f'all {all_of}'} cases"
    return f"{joined}{number} of {all_of} cases"


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


def _memory(figure: Figure) -> str:
    """Which framework needs how many times the other's memory: "PyTorch needs 1.50× the memory of MLX"."""
    more, factor = ("PyTorch", figure.value) if figure.value >= 1 else ("MLX", 1 / figure.value)
    return f"{more} needs {wording.times(factor)} the memory of {'MLX' if more == 'PyTorch' else 'PyTorch'}"


def _memories(found: Sequence[Figure]) -> str:
    return "; ".join(f"{label(figure)}: {_memory(figure)}" for figure in found)


def _percent(found: Sequence[Figure]) -> str:
    ends = dict.fromkeys(f"{100 * end(f.value for f in found):.2g}" for end in (min, max))
    return f"copying is {' to '.join(ends)} % of work that alternates between both sides"


def _saved(found: Sequence[Figure]) -> str:
    most = max(found, key=lambda figure: figure.value)
    return f"forced hand-overs make a step take at most {wording.times(most.value)} its time ({label(most)})"


def platform(name: str) -> str:
    """A platform with what computes first: "AMD GPU (Linux)"."""
    system, _, processor = name.rpartition(", ")
    return f"{processor} ({system})" if system else processor


def alone() -> dict[str, list[str]]:
    """The platforms that were looked up and that one framework alone runs on, by framework."""
    known = [row for row in published_benchmarks.platforms() if None not in (row.pytorch, row.mlx)]
    return {
        "PyTorch": [platform(row.platform) for row in known if row.pytorch and not row.mlx],
        "MLX": [platform(row.platform) for row in known if row.mlx and not row.pytorch],
    }


def both() -> str:
    """On how many of the platforms that were looked up both frameworks run."""
    known = [row for row in published_benchmarks.platforms() if None not in (row.pytorch, row.mlx)]
    return f"both run on {sum(bool(row.pytorch and row.mlx) for row in known)} of {len(known)} platforms"


def _platforms(found: Sequence[Figure]) -> str:
    told = [f"only {who} runs on {', '.join(names)}" for who, names in alone().items() if names]
    return "; ".join([*told, both()])


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
        interval = f"the 95 % interval is {figure.low:.0f} to {figure.high:.0f}"
        interval += " and includes none" if figure.low <= 0 <= figure.high else ""
        told.append(f"MLX failed on {count:.0f} {models} {more} than {figure.label}; {interval}")
    return "; ".join(told)


def _tried(found: Sequence[Figure]) -> str:
    """What was tried and what came of it: the first clauses."""
    first = (re.split(r"\. (?=[A-Z])", figure.label)[0] for figure in found)
    return "; ".join("; ".join(each.split("; ")[:CLAUSES]) for each in first)


def _exact(found: Sequence[Figure]) -> str:
    """Who computes float32 less exactly than asked, where nothing is set."""
    who = found[0].label.rpartition(", ")[2].removesuffix(" less exact")
    told = "both frameworks compute float32 as exactly by default as when asked to"
    return told if found[0].value else f"float32 is less exact by default than when asked for, in {who}"


def _core_ml(found: Sequence[Figure]) -> str:
    return f"Core ML itself predicted with {wording.many(len(found), 'package')}"


TOLD: dict[str, Callable[[Sequence[Figure]], str]] = {
    "speed": speed,
    "copying": _percent,
    "saved_by_sharing": _saved,
    "tuning_memory": _memories,
    "platforms": _platforms,
    "breadth": _longer,
    "onnx_needed": _onnx,
    "export_steps": _steps,
    "export_time": speed,
    "export_failures": _failures,
    "shipped_precision": _exact,
    "tried": _tried,
    "core_ml": _core_ml,
}
FIGURES: dict[str, Callable[[Figure], str]] = {
    "speed": _ratio,
    "copying": _share,
    "saved_by_sharing": lambda figure: _times(
        figure, "the time without hand-overs", "the time with hand-overs, when there are none"
    ),
    "tuning_memory": lambda figure: f"{label(figure)}: {_memory(figure)}",
    "platforms": lambda figure: f"{platform(figure.label)}: only {'PyTorch' if figure.value else 'MLX'}",
    "breadth": lambda figure: _times(figure, "as long in PyTorch", "as long in MLX"),
    "onnx_needed": lambda figure: f"{label(figure)}: {'only through' if figure.value else 'without'} ONNX",
    "export_steps": lambda figure: _times(figure, "as many steps from PyTorch", "as many steps from MLX"),
    "export_time": _ratio,
    "export_failures": lambda figure: _failures([figure]),
    "shipped_precision": lambda figure: _exact([figure]),
    "tried": lambda figure: figure.label,
    "core_ml": lambda figure: figure.label,
}
