"""Several comparisons in one sentence."""

from collections.abc import Sequence

from twins.timing import wording
from twins.timing.comparison import FRAMEWORKS, TIED, Comparison


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
