"""What figures say of comparisons and losses: one direction, names for people."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from twins.evidence.answers import answer
from twins.figures.style import COLOURS, MUTED
from twins.records.record_types import Fit
from twins.timing import comparison, statistics, wording
from twins.timing.comparison import TIED, Comparison
from twins.timing.statistics import duration

EQUAL = 0.01  # nats: losses that lie no further apart are called equal
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def people(label: str) -> str:
    """A label with a twin's name for people: "transformer_lm, batch 512, filled" is GPT's."""
    twin, *rest = label.split(", ")
    return ", ".join([wording.name(twin), *rest]).replace(", filled", " (fills the machine)")


def said(found: Comparison) -> str:
    """One comparison: "GPT, batch 16: PyTorch 2.90× as fast [2.84–3.05]"."""
    return f"{people(found.label)}: {answer.faster(found)}"


def over(found: Iterable[Comparison], what: str = "cases") -> str:
    """Several comparisons in one sentence."""
    return answer.summed(list(found), what)


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


def equality(fit: Fit, apart: np.ndarray) -> str:
    """For how long the losses are equal, and where they end: the mean of the last tenth of the steps."""
    last = max(1, len(apart) // 10)
    ends = {name: float(np.mean(fit.losses[name][-last:])) for name in comparison.FRAMEWORKS}
    told = f"they end near {ends['MLX']:.2f} nats in MLX and {ends['PyTorch']:.2f} in PyTorch"
    if len(texts := {f"{end:.2f}" for end in ends.values()}) == 1:
        told = f"both end near {texts.pop()} nats"
    if apart.max() == 0:
        return f"The losses are the same; {told}"
    if apart.max() <= EQUAL:
        within = 10.0 ** max(-4, np.ceil(np.log10(apart.max())))
        return f"The losses stay within {within:g} nats of each other; {told}"
    steps = int(np.argmax(apart > EQUAL))
    return f"The losses are equal within {EQUAL:g} nats for {steps} steps; {told}"


def part_verdict(mlx: float, torch: float) -> str:
    """Who is how many times as fast in one part; empty where a time is lost in noise."""
    if min(mlx, torch) <= 0:
        return ""
    who, factor = wording.faster(torch / mlx)
    return "tie" if factor <= statistics.TIE else f"{who} {wording.times(factor)}"


def part_told(table: pd.DataFrame, part: str) -> str:
    """One part's times in both frameworks."""
    times = (f"{name} {duration(max(0.0, table.loc[name, part]) / 1e3)}" for name in comparison.FRAMEWORKS)
    return f"{part}: {', '.join(times)}"


def power(value: float) -> str:
    """A power of ten in letters of one size: "10⁻⁵"."""
    return f"10{str(round(np.log10(value))).translate(RAISED)}"
