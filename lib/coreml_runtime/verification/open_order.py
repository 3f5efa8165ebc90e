"""Compares outputs whose order MIL leaves open by what they select, not by the order in which it
stands there.
"""

from __future__ import annotations

import numpy as np

from coreml_runtime.execution.unordered import Unordered

TIED = 4  # spacings of the type by which elements may differ that count as equal


def settled(
    found: np.ndarray, expected: np.ndarray, operand: np.ndarray, rule: Unordered, spacing: float
) -> np.ndarray:
    """`found` in the order of `expected` where it selects the same elements of `operand`; else as it is."""
    if found.shape != expected.shape or not found.size:
        return found
    if not rule.indices:
        return found if rule.sorted else _in_order_of(found, expected, rule.axis)
    axis = rule.axis % operand.ndim
    a, b = (each if rule.kept else np.expand_dims(each, axis) for each in (found, expected))
    a, b = a.astype(np.int64), b.astype(np.int64)
    size = operand.shape[axis]
    if a.ndim != operand.ndim or min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= size:
        return found
    if any((np.diff(np.sort(each, axis), axis=axis) == 0).any() for each in (a, b)):
        return found
    chosen, wanted = (np.take_along_axis(operand, each, axis) for each in (a, b))
    if not rule.sorted:
        chosen, wanted = np.sort(chosen, axis), np.sort(wanted, axis)
    limit = TIED * spacing * np.abs(wanted)
    with np.errstate(invalid="ignore"):
        same = (chosen == wanted) | (np.abs(chosen - wanted) <= limit)
    return expected.astype(found.dtype) if same.all() else found


def _in_order_of(found: np.ndarray, expected: np.ndarray, axis: int) -> np.ndarray:
    """The elements of `found` such that its k-th largest stands where `expected` has its own."""
    ranks = np.argsort(np.argsort(expected, axis, kind="stable"), axis, kind="stable")
    return np.take_along_axis(np.sort(found, axis), ranks, axis)


def told(name: str, rule: Unordered) -> str:
    """One sentence for a report in which `settled` changed an output."""
    why = "sort=False" if not rule.sorted else "equal elements"
    return f"the order of output '{name}' is not compared, because {rule.operation} leaves it open ({why})"
