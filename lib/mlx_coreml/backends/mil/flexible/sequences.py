"""Whole numbers as runs of equal steps: positions that are clipped, mirrored, reversed or joined."""

from dataclasses import dataclass

import numpy as np

MOST = 12  # runs


@dataclass(frozen=True)
class Run:
    """start, start + step, ... `count` numbers."""

    start: int
    step: int
    count: int


def runs(numbers: np.ndarray) -> list[Run] | None:
    """The longest runs from the start on; None for more than a few, which are no positions."""
    found, i = [], 0
    steps = np.diff(numbers.astype(np.int64))
    while i < len(numbers):
        step = int(steps[i]) if i < len(steps) else 0
        changed = np.nonzero(steps[i:] != step)[0]
        count = int(changed[0]) + 1 if len(changed) else len(numbers) - i
        found.append(Run(int(numbers[i]), step if count > 1 else 0, count))
        i += count
        if len(found) > MOST:
            return None
    return found
