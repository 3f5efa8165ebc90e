"""How often a trained classifier is right, with an interval, compared with guessing.

Guessing is to name the most frequent class every time.

The interval is Wilson's (1927), which is recommended for a share (Brown, Cai and DasGupta 2001,
https://doi.org/10.1214/ss/1009213286).
"""

from math import sqrt

import pandas as pd

from twins.records.record_types import Accuracy
from twins.timing.comparison import FRAMEWORKS

BETTER = "better than guessing"
Z = 1.959964  # 97.5 % of a normal variable lie below it


def interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, `right` of `total`. ValueError unless 0 <= right <= total, total > 0."""
    if not 0 <= right <= total or total == 0:
        raise ValueError(f"{right} of {total} is no share; total must be at least 1 and right within it")
    share = right / total
    middle = (share + Z**2 / (2 * total)) / (1 + Z**2 / total)
    half = Z * sqrt(share * (1 - share) / total + Z**2 / (4 * total**2)) / (1 + Z**2 / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def table(record: Accuracy) -> pd.DataFrame:
    """Every trained half: the held-out examples it gets right, with interval, and guessing."""
    baseline = record.majority / record.total
    rows = []
    for name in FRAMEWORKS:
        low, high = interval(record.right[name], record.total)
        rows.append(
            {
                "framework": name,
                "right": f"{record.right[name]:,} of {record.total:,}",
                "accuracy %": 100 * record.right[name] / record.total,
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}",
                "guessing %": 100 * baseline,
                "verdict": _verdict(low, high, baseline),
            }
        )
    return pd.DataFrame(rows)


def _verdict(low: float, high: float, baseline: float) -> str:
    if low > baseline:
        return BETTER
    return "worse than guessing" if high < baseline else "no better than guessing"


def reading(record: Accuracy) -> str:
    """Both accuracies and whether each is better than naming the most frequent class, in one sentence."""
    rows = table(record).to_dict("records")
    told = " and ".join(f"{row['framework']} {row['accuracy %']:.1f} %" for row in rows)
    verdicts = list(dict.fromkeys(row["verdict"] for row in rows))
    words = verdicts[0]
    if len(verdicts) > 1:
        words = ", ".join(f"{row['framework']} {row['verdict']}" for row in rows)
    head = f"{told} of {record.total:,} held-out examples are right: {words}"
    head += f" ({100 * record.majority / record.total:.1f} %)"
    if BETTER in verdicts:
        return f"{head}."
    return f"{head}; neither has learnt the task{_within(record)}."


def _within(record: Accuracy) -> str:
    return f" in {record.case['steps']:,} steps" if "steps" in record.case else ""
