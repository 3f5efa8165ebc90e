"""How often a rule is right, by simulation: `make bench-evidence`.

Machines are made up whose true ratio is known. Every session shifts the ratio; half of that variance is
shared by all cases of a session, the other half is each case's own; processes scatter within a session. The
figures go through the same pooling and the same rules as measured ones. Coverage: how often the printed
interval holds the figure of one session more.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twins.evidence.verdicts import rules
from twins.evidence.verdicts.queries import Figure, timed_figure
from twins.evidence.verdicts.rules import Limits
from twins.timing import sessions

# Standard deviations of the log ratio: between sessions, by what is timed, and between processes.
SESSION = {"training step": 0.08, "switching": 0.04}
PROCESS, PROCESSES = 0.03, 5
FASTER, TWICE = Limits(1.0, 1.05), Limits(2.0, 2.0)


@dataclass(frozen=True)
class Situation:
    """A rule, its limits, how many cases it has, and the truth of each machine."""

    rule: str
    limits: Limits
    cases: int
    true: float
    sessions: int
    subject: str = "training step"


def situations(counts: tuple[int, ...]) -> Iterator[Situation]:
    """The rules of data/claims.yaml with as many cases as their claims have, at truths on both sides."""
    for sessions_run in counts:
        for cases in (1, 3, 12):
            for true in (0.8, 1.0, 1.1, 1.2, 1.5):
                yield Situation("mean", FASTER, cases, true, sessions_run)
        for cases in (2, 8):
            for true in (1.5, 1.8, 2.0, 2.5, 3.0):
                yield Situation("largest", TWICE, cases, true, sessions_run)
        for true in (0.8, 1.0, 1.2, 1.5):
            yield Situation("every", FASTER, 5, true, sessions_run, "switching")


def made(situation: Situation, rng: np.random.Generator) -> list[Figure]:
    """The figures of one machine that is as the situation says."""
    spread = SESSION[situation.subject] / np.sqrt(2)
    shared = rng.normal(0, spread, situation.sessions)
    figures = []
    for case in range(situation.cases):
        own = shared + rng.normal(0, spread, situation.sessions)
        logs = np.log(situation.true) + own[:, None] + rng.normal(0, PROCESS, (situation.sessions, PROCESSES))
        over = sessions.pooled(logs, situation.subject)
        figures.append(timed_figure(str(case), over, {"batch": str(case)}, 1.05))
    return figures


def verdicts(situation: Situation, draws: int, seed: int = 0) -> dict[str, float]:
    """The share of machines that get each verdict."""
    rng = np.random.default_rng(seed)
    judge = rules.RULES[situation.rule]
    words = Counter(judge(made(situation, rng), situation.limits)[0] for _ in range(draws))
    return {word: words[word] / draws for word in rules.WORDS_OF_RULES}


def coverage(count: int, spread: float, draws: int, seed: int = 0) -> float:
    """How often the interval of `count` sessions holds the next one, whose standard deviation is `spread`."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(draws):
        logs = rng.normal(0, spread, (count + 1, 1)) + rng.normal(0, PROCESS, (count + 1, PROCESSES))
        ratio = sessions.pooled(logs[:-1], "training step").ratio
        held += ratio.low <= np.exp(logs[-1].mean()) <= ratio.high
    return held / draws


def table(draws: int = 1000, counts: tuple[int, ...] = (1, 2, 3, 5)) -> pd.DataFrame:
    """Per cent of verdicts in every situation, with so many sessions."""
    rows = []
    for each in situations(counts):
        shares = {word: round(100 * share, 1) for word, share in verdicts(each, draws).items()}
        rows.append(
            {"rule": each.rule, "limit": each.limits.above, "cases": each.cases}
            | {"true ratio": each.true, "sessions": each.sessions, **shares}
        )
    return pd.DataFrame(rows)


def coverage_table(draws: int = 2000) -> pd.DataFrame:
    """Per cent of next sessions that lie in the printed interval."""
    rows = []
    for count in (1, 2, 3, 5):
        shares = {f"session SD {sd}": 100 * coverage(count, sd, draws) for sd in (0.04, 0.08, 0.12)}
        rows.append({"sessions": count} | shares)
    return pd.DataFrame(rows).round(1)


if __name__ == "__main__":
    print("Verdicts, % of simulated machines:", table().to_string(index=False), sep="\n")
    print(
        "\nThe next session lies in the printed interval, %:",
        coverage_table().to_string(index=False),
        sep="\n",
    )
