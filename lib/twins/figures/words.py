"""What figures say of a comparison: one direction, names for people."""

from collections.abc import Iterable

from twins.evidence.answers import answer, spans
from twins.figures.style import COLOURS, MUTED
from twins.timing import wording
from twins.timing.comparison import TIED, Comparison


def people(label: str) -> str:
    """A label with a twin's name for people: "transformer_lm, batch 512, filled" is GPT's."""
    twin, *rest = label.split(", ")
    return ", ".join([wording.name(twin), *rest]).replace(", filled", " (fills the machine)")


def said(found: Comparison) -> str:
    """One comparison: "GPT, batch 16: PyTorch 2.90× as fast [2.84–3.05]"."""
    return f"{people(found.label)}: {answer.faster(found)}"


def over(found: Iterable[Comparison], what: str = "cases") -> str:
    """Several comparisons in one sentence."""
    return spans.summed(list(found), what)


def colour(found: Comparison) -> str:
    """The colour of the faster framework; grey for a tie and where it is undecided."""
    return COLOURS[found.winner] if found.winner else MUTED


def factor(found: Comparison) -> str:
    """How many times as fast, without a name: "2.50×", "tie" or "undecided"."""
    if found.winner:
        return wording.times(wording.faster(found.ratio.value)[1])
    return "tie" if found.verdict == TIED else "undecided"


def named_factor(found: Comparison) -> str:
    """Who is how many times as fast: "PyTorch 2.50×", "tie" or "undecided"."""
    return f"{found.winner} {factor(found)}" if found.winner else factor(found)
