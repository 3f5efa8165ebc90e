"""Several comparisons in one sentence."""

from collections.abc import Sequence

from twins.timing import wording
from twins.timing.comparison import FRAMEWORKS, TIED, Comparison


def summed(comparisons: Sequence[Comparison], what: str = "cases") -> str:
    """Who is how many times as fast in how many cases: "PyTorch 2.39–2.95× as fast in 6 of 6 cases"."""
    told = []
    for who in FRAMEWORKS:
        if won := [c for c in comparisons if c.winner == who]:
            factors = wording.between(wording.faster(c.ratio.value)[1] for c in won)
            told.append(f"{who} {factors} as fast in {len(won)} of {len(comparisons)} {what}")
    ties = sum(c.verdict == TIED for c in comparisons)
    left = len(comparisons) - ties - sum(c.winner is not None for c in comparisons)
    told += [f"{ties} of {len(comparisons)} {what} a tie"] * bool(ties)
    told += [f"{left} of {len(comparisons)} {what} undecided"] * bool(left)
    return "; ".join(told)
