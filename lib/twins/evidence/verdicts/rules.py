"""How figures decide a claim: one figure over all cases, its interval, and five words.

A claim's figure is the mean over its cases on the logarithmic scale. Cases that were timed stand for
themselves: what differs between sessions shifts all of them together, so their errors are averaged as if
fully correlated. Models that were converted stand for others, so the error is their own scatter. A bound
holds with 95 %: a verdict is wrong in at most one of twenty claims that are at their limit; power.py shows
how often.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from twins.evidence.verdicts.queries import Figure
from twins.timing import sessions

SUPPORTED, CONTRADICTED, DEPENDS, UNDECIDED = "supported", "contradicted", "depends", "undecided"
WORDS_OF_RULES = (SUPPORTED, CONTRADICTED, DEPENDS, UNDECIDED)
FOR, AGAINST = "for", "against"
LEVEL = 0.95  # of each bound of a claim's figure
SHOWN = 3  # figures that a sentence names


@dataclass(frozen=True)
class Limits:
    """A claim's limits: its figure must lie above `above` and itself be at least `least`.

    Below `least` an advantage is not worth the name: a bound below it contradicts.
    """

    above: float
    least: float


@dataclass(frozen=True)
class Overall:
    """The mean of a claim's figures (logarithmic), its standard error, and what both rest on.

    `apart` is the standard deviation between cases, `spread` that of a session, in logs.
    """

    mean: float
    error: float
    freedom: float
    apart: float
    spread: float
    cases: int
    sessions: int

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """The lower and the upper bound of the ratio, each with this probability."""
        wide = sessions.quantile(level, self.freedom) * self.error if self.error else 0.0
        return float(np.exp(self.mean - wide)), float(np.exp(self.mean + wide))

    @property
    def value(self) -> float:
        """The ratio."""
        return float(np.exp(self.mean))

    def __str__(self) -> str:
        low, high = self.bounds()
        return f"{self.value:.3g} [{low:.3g}, {high:.3g}] {self.basis}"

    @property
    def basis(self) -> str:
        """Over how many cases and sessions, in words."""
        told = f"over {_count(self.cases, 'case')}"
        if self.cases > 1:
            told += f", which differ by a factor of {np.exp(self.apart):.2f}"
        if self.sessions == 1:
            return f"{told}, within one session: provisional"
        return f"{told}, and {_count(self.sessions, 'session')}" if self.sessions else told


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def overall(figures: Sequence[Figure]) -> Overall:
    """The one figure of some figures, which must be above 0."""
    mean = np.log([figure.value for figure in figures])
    known = [figure.over for figure in figures if figure.over]
    apart = float(mean.std(ddof=1)) if len(mean) > 1 else 0.0
    error, freedom = apart / np.sqrt(len(mean)), len(mean) - 1.0
    if known:
        error, freedom = np.mean([over.error for over in known]), min(over.freedom for over in known)
    spread = max((over.spread for over in known), default=0.0)
    count = min((over.count for over in known), default=0)
    return Overall(float(mean.mean()), float(error), freedom, apart, spread, len(figures), count)


def _side(value: float, low: float, high: float, band: float, limits: Limits) -> str:
    """Where a figure lies with its bounds: for a claim, against it, or neither."""
    if low > limits.above and value > max(limits.least, band):
        return FOR
    return AGAINST if high < limits.least else UNDECIDED


def side(figure: Figure, limits: Limits, level: float = LEVEL) -> str:
    """Whether one figure is for a claim, against it, or undecided."""
    if figure.over is None:
        return _side(figure.value, figure.low, figure.high, figure.band, limits)
    low, high = overall([figure]).bounds(level)
    return _side(figure.value, low, high, figure.band, limits)


def _pooled_side(figures: Sequence[Figure], limits: Limits, level: float) -> str:
    found = overall(figures)
    if not found.error and len(figures) == 1 and figures[0].over is None:
        return UNDECIDED  # a single point, of which no scatter is known
    band = float(np.median([figure.band for figure in figures]))
    return _side(found.value, *found.bounds(level), band, limits)


def mean(figures: list[Figure], limits: Limits) -> tuple[str, str]:
    """By the mean over the cases; "depends" where groups of cases that share a property lie on both sides."""
    found = overall(figures)
    if told := _parted(figures, limits):
        return DEPENDS, f"{told}. All: {found}"
    word = {FOR: SUPPORTED, AGAINST: CONTRADICTED}.get(_pooled_side(figures, limits, LEVEL), UNDECIDED)
    if word == UNDECIDED:
        return word, f"{found}; {named(figures)}. {_wanted(found, limits)}"
    if other := _pointing_away(figures, word, limits):
        most = max(other, key=lambda figure: abs(np.log(figure.value)))
        told = f"{found}, but {len(other)} of its cases point the other way: {named(other)}"
        return UNDECIDED, f"{told}. Of {most.label}: {_wanted(overall([most]), limits)}"
    return word, f"{found}; {named(figures)}"


def _pointing_away(figures: list[Figure], word: str, limits: Limits) -> list[Figure]:
    """The timed cases that are on the other side of a verdict, each by its own mean."""
    timed = [figure for figure in figures if figure.over]
    if word == SUPPORTED:
        return [figure for figure in timed if figure.value < limits.above]
    return [figure for figure in timed if figure.value > limits.least]


def _parted(figures: list[Figure], limits: Limits) -> str:
    """The property whose groups lie on both sides, in words; the one with the fewest groups, or none."""
    told: list[tuple[int, str]] = []
    for name in dict.fromkeys(name for figure in figures for name in figure.case):
        groups: dict[str, list[Figure]] = {}
        for figure in figures:
            groups.setdefault(figure.case.get(name, "none"), []).append(figure)
        level = 1 - (1 - LEVEL) / len(groups)
        sides = {value: _pooled_side(own, limits, level) for value, own in groups.items()}
        if {FOR, AGAINST} <= set(sides.values()):
            parts = (f"{value}: {each}, {overall(groups[value]).value:.3g}" for value, each in sides.items())
            told.append((len(groups), f"on {name}: {'; '.join(parts)}"))
    return min(told, default=(0, ""))[1]


def wanted(figures: Sequence[Figure], limits: Limits) -> str:
    """What would decide an undecided claim, in one sentence; empty for figures that have no logarithm."""
    return _wanted(overall(figures), limits) if all(figure.value > 0 for figure in figures) else ""


def _wanted(found: Overall, limits: Limits) -> str:
    """What would decide: how many sessions, or why none does."""
    edge = np.log(limits.above if found.value > limits.least else limits.least)
    if not found.sessions:
        return "More models would decide, or their scatter is too large"
    count = sessions.needed(abs(found.mean - edge), found.spread, found.sessions)
    if count is None:
        return f"No number of sessions up to {sessions.MOST} would decide, because it lies at the limit"
    return f"If the figure stays, {_count(count, 'session')} would decide"


def largest(figures: list[Figure], limits: Limits) -> tuple[str, str]:
    """By the largest case: supported when one lies above, its bound corrected for how many were looked at."""
    sides = [side(figure, limits, 1 - (1 - LEVEL) / len(figures)) for figure in figures]
    most = max(figures, key=lambda figure: figure.value)
    told = f"the largest of {_count(len(figures), 'case')} is {most}"
    if FOR in sides:
        over = sides.count(FOR)
        return SUPPORTED, f"{told}; {over} above {limits.above:g}"
    if all(side(figure, limits) == AGAINST for figure in figures):
        return CONTRADICTED, f"{told}; none reaches {limits.above:g}"
    return UNDECIDED, f"{told}. {_wanted(overall([most]), limits)}" if most.over else told


def every(figures: list[Figure], limits: Limits) -> tuple[str, str]:
    """By each case alone: supported when all lie above, contradicted when none does.

    That all lie on one side needs no correction for their number; that they lie on both sides does.
    """
    sides = [(figure, side(figure, limits)) for figure in figures]
    words = {each for _, each in sides}
    if words == {FOR}:
        return SUPPORTED, f"{len(figures)} of {len(figures)} above {limits.above:g}, {named(figures)}"
    if words == {AGAINST}:
        return CONTRADICTED, f"0 of {len(figures)} above {limits.above:g}, {named(figures)}"
    corrected = [(figure, side(figure, limits, 1 - (1 - LEVEL) / len(figures))) for figure in figures]
    if {FOR, AGAINST} <= {each for _, each in corrected}:
        return DEPENDS, f"{_separating(corrected)}{_by_side(corrected)}"
    return UNDECIDED, _by_side(sides)


def _separating(sides: list[tuple[Figure, str]]) -> str:
    """The property of the cases that separates the sides, with the fewest values; empty where none does."""
    told: list[tuple[int, str]] = []
    for name in dict.fromkeys(name for figure, _ in sides for name in figure.case):
        found: dict[str, set[str]] = {}
        for figure, each in sides:
            found.setdefault(figure.case.get(name, "none"), set()).add(each)
        if len(found) > 1 and all(len(each) == 1 for each in found.values()):
            parts = "; ".join(f"{value}: {next(iter(each))}" for value, each in found.items())
            told.append((len(found), f"on {name}: {parts}. "))
    return min(told, default=(0, ""))[1]


def _by_side(sides: Iterable[tuple[Figure, str]]) -> str:
    """The figures for, against and undecided, in words."""
    sides = list(sides)
    told = []
    for each in (FOR, AGAINST, UNDECIDED):
        if own := [figure for figure, kind in sides if kind == each]:
            told.append(f"{each} {len(own)}, {named(own)}")
    return ". ".join(told)


def named(figures: list[Figure]) -> str:
    """The first figures of some, and how many more there are."""
    more = len(figures) - SHOWN
    return "; ".join(map(str, figures[:SHOWN])) + (f"; and {more} more" if more > 0 else "")


RULES: dict[str, Callable[[list[Figure], Limits], tuple[str, str]]] = {
    "mean": mean,
    "largest": largest,
    "every": every,
}
WORDS = {
    "mean": "the mean over all cases lies above {above:g} with its bound (95 %) and is at least {least:g}; "
    "contradicted when its other bound lies below {least:g}; depends when groups of cases lie on both sides; "
    "undecided also where a timed case points the other way",
    "largest": "one case lies above {above:g} with its bound (95 %, corrected for how many cases there are); "
    "contradicted when all lie below",
    "every": "every case lies above {above:g} with its bound; contradicted when all lie below; depends when "
    "cases lie on both sides",
}
