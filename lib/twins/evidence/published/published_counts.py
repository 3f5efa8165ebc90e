"""Which published figures count, in all and for a claim, and sentences that say how many.

What a figure must be to come in and to count is written in data/published/README.md. Every printed count of
published figures is of what `select` counts.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from twins.evidence.published import published_benchmarks
from twins.evidence.published.published_benchmarks import Audited, Benchmark
from twins.timing.statistics import TIE

CRITERIA = published_benchmarks.FOLDER / "README.md"
NO_PAIR, ELSEWHERE, VOID, REPEATED = "without a comparable pair", "not on an Apple GPU", "void", "repeated"


@dataclass(frozen=True)
class Selection:
    """The published figures that count, and by reason those that do not."""

    counted: list[Benchmark]
    left_out: dict[str, list[Benchmark]]


def select(rows: Iterable[Benchmark], audited: Iterable[Audited]) -> Selection:
    """The rows that count: a pair that can be compared, on an Apple GPU, not void, and no repetition."""
    void = {f"{each.source_id}/{each.benchmark}" for each in audited if each.favours == "void"}
    chosen = Selection([], {reason: [] for reason in (NO_PAIR, ELSEWHERE, VOID, REPEATED)})
    for row in rows:
        reason = _reason(row, void)
        (chosen.left_out[reason] if reason else chosen.counted).append(row)
    return chosen


def _reason(row: Benchmark, void: set[str]) -> str:
    """Why a row does not count; empty where it does."""
    if row.span is None:
        return NO_PAIR
    if not row.on_gpu:
        return ELSEWHERE
    whole = f"{row.benchmark.partition('/')[0]}/all"  # a finding about all of a source
    if row.benchmark and {row.benchmark, whole} & void:
        return VOID
    return REPEATED if row.same_as else ""


def selection() -> Selection:
    """What counts of the published figures in data/published."""
    return select(published_benchmarks.benchmarks(), published_benchmarks.audit())


def about(chosen: Selection, topics: Iterable[str], chip: str = "") -> Selection:
    """The part of a selection that is of some topics, and of one chip where it is named."""
    wanted = set(topics)

    def keep(rows: list[Benchmark]) -> list[Benchmark]:
        return [row for row in rows if row.topic in wanted and chip in ("", row.model)]

    return Selection(keep(chosen.counted), {why: keep(rows) for why, rows in chosen.left_out.items()})


def told(chosen: Selection, limit: float) -> str:
    """How many of the counted figures lie above a limit, in words: a range only where it does as a whole."""
    rows = chosen.counted
    left = [f"{len(own)} {why}" for why, own in chosen.left_out.items() if own and why != NO_PAIR]
    rest = f"; left out: {', '.join(left)}" if left else ""
    if not rows:
        return f"none usable{rest}" if rest else "none collected"
    above = sum(row.span[0] > limit for row in rows)
    open_ = sum(row.span[0] <= limit <= row.span[1] and row.span[0] < row.span[1] for row in rows)
    low, high = min(row.span[0] for row in rows), max(row.span[1] for row in rows)
    return (
        f"{above} of {len(rows)} {'pair' if len(rows) == 1 else 'pairs'} from {_sources(rows)} above "
        f"{limit:g}{f', {open_} undecided' if open_ else ''}; {low:.3f} to {high:.3f}{rest}"
    )


def _sources(rows: list[Benchmark]) -> str:
    number = len({row.source_id for row in rows})
    return "one source" if number == 1 else f"{number} sources"


def totals(rows: list[Benchmark]) -> str:
    """Of counted figures: how many lie on either side of a tie, with single operations and without."""
    if not rows:
        return "No published ratio is recorded."
    most, number = Counter(row.source_id for row in rows).most_common(1)[0]
    models = [row for row in rows if row.topic != "single operation"]
    apart = f"Without single operations: {_sides(models)}." if models else "All are of single operations."
    return f"Published figures on GPUs: {_sides(rows)}; {number} of them from one source, {most}. {apart}"


def _sides(rows: list[Benchmark]) -> str:
    sides = Counter(winner(row.span) for row in rows)
    return (
        f"of {len(rows)} that count, MLX is ahead in {sides['MLX']}, PyTorch in {sides['PyTorch']}, and "
        f"{sides[None]} are within {100 * (TIE - 1):.0f} % of equal or on both sides of it"
    )


def winner(span: tuple[float, float]) -> str | None:
    """Who is ahead in a whole span of ratios; None within a tie or on both sides of it."""
    return "MLX" if span[0] > TIE else "PyTorch" if span[1] < 1 / TIE else None


def left_out(chosen: Selection) -> str:
    """How many collected figures do not count, and why, in one sentence."""
    number = sum(map(len, chosen.left_out.values()))
    why = ", ".join(f"{len(rows)} {reason}" for reason, rows in chosen.left_out.items())
    return f"{number} of {number + len(chosen.counted)} collected figures do not count: {why}."


def criteria() -> str:
    """The criteria of inclusion, as data/published/README.md writes them."""
    text = CRITERIA.read_text(encoding="utf-8")
    return text.partition("## What comes in, and what counts\n")[2].partition("\n## ")[0].strip()
