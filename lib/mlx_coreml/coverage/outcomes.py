"""The outcomes of a run over all cases: a row per case, shares per group, causes of what is not right."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

VERDICTS = ("right", "refused", "wrong", "crash", "timeout")


@dataclass(frozen=True)
class Outcome:
    """The verdict on a case: why it is not right, the largest rms-relative error, operations, seconds."""

    group: str
    name: str
    verdict: str
    reason: str = ""
    error: float = float("nan")
    operations: int = 0
    seconds: float = 0.0


def frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row per case."""
    return pd.DataFrame([asdict(outcome) for outcome in outcomes])


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """Save one row per case as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame(outcomes).to_csv(path, index=False)


def shares(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Per group: cases of each verdict, the share that is right, seconds of conversion and checking."""
    rows = frame(outcomes)
    table = pd.crosstab(rows["group"], rows["verdict"]).reindex(columns=VERDICTS, fill_value=0)
    table = table.loc[list(dict.fromkeys(rows["group"]))]
    table.insert(0, "cases", table.sum(axis=1))
    table["right %"] = (100 * table["right"] / table["cases"]).round(1)
    table["seconds"] = rows.groupby("group")["seconds"].sum().round(1)
    return table


def causes(outcomes: Sequence[Outcome], examples: int = 4) -> str:
    """What is not right, wrong ones first and the most frequent cause of each verdict first."""
    found: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.verdict != "right":
            found[outcome.verdict, _cause(outcome.reason)].append(outcome)
    order = ("wrong", "crash", "timeout", "refused")
    lines = []
    for (verdict, _), same in sorted(found.items(), key=lambda kv: (order.index(kv[0][0]), -len(kv[1]))):
        lines.append(f"{verdict} x{len(same)}: {same[0].reason.partition('; add one with')[0]}")
        lines += [f"    {each.group}: {each.name}" for each in same[:examples]]
        if len(same) > examples:
            lines.append(f"    and {len(same) - examples} more")
    return "\n".join(lines)


def _cause(reason: str) -> str:
    """A reason without the parts that differ between cases: brackets, names and numbers."""
    return re.sub(r"\([^()]*\)|'[^']*' of [^,;]*|\d[\d.e+-]*", "", reason)
