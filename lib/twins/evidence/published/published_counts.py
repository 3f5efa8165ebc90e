"""Which published figures count, by the criteria in data/published/README.md, and how many in words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from twins.evidence.published import published_benchmarks
from twins.evidence.published.published_benchmarks import Audited, Benchmark
from twins.timing import wording
from twins.timing.statistics import TIE

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


def about(topics: Iterable[str], chip: str = "") -> Selection:
    """What counts of the published figures of some topics, and of one chip where it is named."""
    rows = [row for row in published_benchmarks.benchmarks() if row.topic in topics]
    return select([row for row in rows if chip in ("", row.model)], published_benchmarks.audit())


def told(chosen: Selection, limit: float) -> str:
    """How many of the counted figures lie above a limit, in words: a range only where it does as a whole."""
    rows, left = chosen.counted, _reasons(chosen, VOID, REPEATED, ELSEWHERE)
    if not rows:
        return f"none usable; left out: {left}" if left else "none collected"
    sources = len({row.source_id for row in rows})
    lows, highs = [row.span[0] for row in rows], [row.span[1] for row in rows]
    above, below = sum(low > limit for low in lows), sum(high <= limit for high in highs)
    text = (
        f"{above} of {len(rows)} pairs from {'one source' if sources == 1 else f'{sources} sources'} above "
    )
    text += f"{limit:g}" + (f", {len(rows) - above - below} undecided" if above + below < len(rows) else "")
    return f"{text}; {min(lows):.3f} to {max(highs):.3f}" + (f"; left out: {left}" if left else "")


def in_words(chosen: Selection) -> str:
    """Who leads in how many of the counted pairs, and by what factor, in one sentence."""
    rows, void = chosen.counted, len(chosen.left_out[VOID])
    if not rows:
        return f"All {void} published pairs are void." if void else "No pair is published."
    left = f" Left out: {void} void." if void else ""
    if len(rows) == 1:
        (span,) = (row.span for row in rows)
        factors = wording.between(wording.faster(end)[1] for end in span)
        who = winner(span)
        return f"The one sound published pair {f'has {who} ahead ({factors})' if who else 'is a tie'}.{left}"
    return f"Of {len(rows)} sound published pairs {leads(rows)}.{left}"


def leads(rows: Iterable[Benchmark]) -> str:
    """Who leads in how many pairs, and by what factor: "MLX leads 126 (1.06–86.5×), 24 are ties ..."."""
    spans, told = [row.span for row in rows if row.span], []
    for who in ("MLX", "PyTorch"):
        if own := [span for span in spans if winner(span) == who]:
            factors = wording.between(wording.faster(end)[1] for span in own for end in span)
            told.append(f"{who} leads {len(own)} ({factors})")
    ties = sum(winner(span) is None for span in spans)
    told += [f"{ties} {'is a tie' if ties == 1 else 'are ties'} or on both sides"] * bool(ties)
    return ", ".join(told)


def _reasons(chosen: Selection, *reasons: str) -> str:
    return ", ".join(f"{len(own)} {why}" for why in reasons if (own := chosen.left_out[why]))


def totals(rows: list[Benchmark]) -> str:
    """Of counted figures: how many lie on either side of a tie, with single operations and without."""
    if not rows:
        return "No published ratio is recorded."
    most, number = Counter(row.source_id for row in rows).most_common(1)[0]
    models = [row for row in rows if row.topic != "single operation"]
    return (
        f"Of {_sides(rows)}; {number} of them are from one source, {most}. "
        f"Without single operations, of {_sides(models)}."
    )


def _sides(rows: list[Benchmark]) -> str:
    sides = Counter(winner(row.span) for row in rows)
    return (
        f"{len(rows)} published figures that count, MLX leads in {sides['MLX']}, PyTorch in "
        f"{sides['PyTorch']}, and {sides[None]} are within {100 * (TIE - 1):.0f} % of equal or on both sides"
    )


def winner(span: tuple[float, float]) -> str | None:
    """Who is ahead in a whole span of ratios; None within a tie or on both sides of it."""
    return "MLX" if span[0] > TIE else "PyTorch" if span[1] < 1 / TIE else None


def left_out(chosen: Selection) -> str:
    """How many collected figures do not count, and why, in one sentence."""
    number = sum(map(len, chosen.left_out.values()))
    collected = number + len(chosen.counted)
    return f"{number} of {collected} collected figures do not count: {_reasons(chosen, *chosen.left_out)}."


def criteria() -> str:
    """The criteria of inclusion, as data/published/README.md writes them."""
    text = (published_benchmarks.FOLDER / "README.md").read_text(encoding="utf-8")
    return text.partition("## What is included, and what counts\n")[2].partition("\n## ")[0].strip()
