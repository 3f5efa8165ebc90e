"""What an answer of a page holds, and how a page that has just run gets its own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from twins.evidence import summary
from twins.records import store
from twins.records.store import Record
from twins.timing import wording
from twins.timing.comparison import FRAMEWORKS, TIED, Comparison

MOST = 4  # sentences that a page has in short
NOTHING = "Nothing was measured."


@dataclass(frozen=True)
class Case:
    """One case that both frameworks were timed in, as a table and a chart show it.

    Times are medians in seconds; `amount` is how many `unit` (plural: "tokens", "images") one step handles.
    """

    label: str
    mlx: float
    torch: float
    comparison: Comparison
    amount: float = 0
    unit: str = ""


@dataclass(frozen=True)
class Answer:
    """What a page says first: one line for the list of pages, sentences, and what they do not cover.

    All texts are Markdown, and every number in them is computed from records. Cases are shown as one chart
    and one table, whose heading is `finding`.
    """

    line: str
    sentences: tuple[str, ...]
    not_covered: str
    finding: str = ""
    cases: tuple[Case, ...] = ()

    def __post_init__(self):
        if not 1 <= len(self.sentences) <= MOST:
            raise ValueError(f"an answer has 1 to {MOST} sentences, found {len(self.sentences)}")


def here(book: store.Book, make: Callable[[list[Record]], Answer | None]) -> Answer:
    """The answer of a page that has just run, over every session that this machine's records hold."""
    found = store.read(book.path.parents[1])
    own = store.Found([record for record in found.records if record.notebook == book.notebook], [])
    evidence = summary.evidence(own, book.machine.id, device=book.machine.device)
    return make(evidence) or Answer(NOTHING, (NOTHING,), "")


def table(cases: Iterable[Case]) -> pd.DataFrame:
    """Cases with both times, what each handles in a second, and the faster framework with its interval."""
    rows = []
    for case in cases:
        times = [_time(seconds, case) for seconds in (case.mlx, case.torch)]
        rows.append((case.label, *times, faster(case.comparison)))
    return pd.DataFrame(rows, columns=["case", "MLX", "PyTorch", "as fast [95 % interval]"])


def _time(seconds: float, case: Case) -> str:
    rate = f", {case.amount / seconds:,.0f} {case.unit}/s" if case.amount else ""
    return f"{wording.milliseconds(seconds)}{rate}"


def faster(found: Comparison) -> str:
    """Who is how many times as fast, with the interval of the next session; or a tie, or undecided."""
    ratio, (who, _) = found.ratio, wording.faster(found.ratio.value)
    told = f"{wording.as_fast(ratio.value)} {wording.interval(ratio.low, ratio.high, who)}"
    if found.winner:
        return told
    return "tie" if found.verdict == TIED else f"undecided: {told}"


def summed(comparisons: Sequence[Comparison], what: str = "cases") -> str:
    """Who is how many times as fast in how many cases: "PyTorch 2.39–2.95× as fast in all 6 cases".

    Empty without a comparison.
    """
    told = []
    for who in FRAMEWORKS:
        if won := [c for c in comparisons if c.winner == who]:
            factors = wording.between(wording.faster(c.ratio.value)[1] for c in won)
            told.append(_counted(f"{who} {factors} as fast", len(won), len(comparisons), what))
    ties = sum(c.verdict == TIED for c in comparisons)
    left = len(comparisons) - ties - sum(c.winner is not None for c in comparisons)
    told += [_counted("a tie", ties, len(comparisons), what)] * bool(ties)
    told += [_counted("undecided", left, len(comparisons), what)] * bool(left)
    return "; ".join(told)


def _counted(text: str, number: int, of: int, what: str) -> str:
    """The text with how many cases it holds for, which a single one needs not say."""
    if of == 1:
        return text
    if number == of:
        return f"{text} in {'both' if of == 2 else f'all {of}'} {what}"
    return f"{text} in {number} of {of} {what}"
