"""How often a trained classifier is right, with an interval, compared with naming the most frequent class.

The interval is Wilson's (1927), which is recommended for a share (Brown, Cai and DasGupta 2001,
https://doi.org/10.1214/ss/1009213286).
"""

from math import sqrt

import pandas as pd

from twins.records.record_types import Accuracy
from twins.timing.comparison import FRAMEWORKS

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
    """Every trained half: share of held-out examples it gets right, interval, and verdict on the baseline."""
    baseline = record.majority / record.total
    rows = []
    for name in FRAMEWORKS:
        low, high = interval(record.right[name], record.total)
        rows.append(
            {
                "framework": name,
                "right": record.right[name],
                "of": record.total,
                "accuracy": record.right[name] / record.total,
                "95 % interval": f"{low:.3f} to {high:.3f}",
                "majority baseline": baseline,
                "verdict": _verdict(low, high, baseline),
            }
        )
    return pd.DataFrame(rows)


def _verdict(low: float, high: float, baseline: float) -> str:
    if low > baseline:
        return "above the baseline"
    return "below the baseline" if high < baseline else "not distinguishable from the baseline"


def reading(record: Accuracy) -> str:
    """Both accuracies with interval and verdict, and the baseline, in one sentence."""
    told = " and ".join(
        f"{row['framework']} {row['accuracy']:.3f} ({row['95 % interval']}, {row['verdict']})"
        for row in table(record).to_dict("records")
    )
    baseline = record.majority / record.total
    return f"Right on {record.total:,} held-out examples: {told}; always naming one class: {baseline:.3f}."
