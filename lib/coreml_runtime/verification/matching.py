"""Matches what a package computes with what its source computes, one value of the source at a time.

Of a package's values only samples are kept, of the source's none, so memory does not grow with their size.
A value of the source is compared with the values of its size that have nearly its fingerprint, in every
plausible layout, and with a few that come next in the order of the program, so time grows with the number
of operations.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coreml_runtime.verification.layouts import (
    QUICK,
    ROUNDED,
    SAMPLE,
    Fingerprint,
    fingerprint,
    flattened,
    orders,
    positions,
    quick_error,
    rms_relative,
    sampled,
)

if TYPE_CHECKING:
    from coreml_runtime.execution.scope import Operation

NEAR = 0.1  # values that differ by more are no counterparts of each other
TRIED = 64  # of one size and fingerprint, those nearest in the order of the program
AROUND = 4  # of one size and any fingerprint


@dataclass
class Value:
    """One value of a package: where it is computed, a sample, and how far it is from the source's nearest
    value.

    `error` is rms-relative, inf as long as the source has no value of this size. `noise` is what rounding
    alone changes. `moved` says that its counterpart of the same shape has another order of the axes.
    """

    operation: Operation
    name: str
    shape: tuple[int, ...]
    sample: np.ndarray
    mark: Fingerprint
    error: float = np.inf
    noise: float = 0.0
    moved: bool = False


def value_of(operation: Operation, name: str, array: np.ndarray) -> Value:
    """The record of a value that a package computes."""
    flat = flattened(array)
    return Value(operation, name, array.shape, flat[positions(flat.size)], fingerprint(flat))


class Matcher:
    """The values of a package, each with the least error to any value of the source seen so far."""

    def __init__(self, values: list[Value], tolerance: float):
        self.tolerance = tolerance
        self.rounding = 2.0**-23  # of the coarsest type in which the source computes
        self._at = 0
        self._groups: dict[int, list[int]] = defaultdict(list)
        self._values = values
        for i, value in enumerate(values):
            self._groups[int(np.prod(value.shape, dtype=np.int64))].append(i)
        self._marks = {size: self._table(group) for size, group in self._groups.items()}

    def _table(self, group: list[int]) -> np.ndarray:
        marks = [self._values[i].mark for i in group]
        return np.array([[mark.mean, mark.rms] for mark in marks]).T

    def wants(self, size: int) -> bool:
        """Whether the package computes any value of a size."""
        return size in self._groups

    def see(self, array: np.ndarray, rounding: float = 0.0) -> None:
        """Compare a value that the source computes, and the spacing of its type, with the package's
        values.
        """
        self.rounding = max(self.rounding, rounding)
        array = np.asarray(array)
        if array.dtype.kind == "c" or not self.wants(array.size):
            return
        flat = flattened(array)
        mark = fingerprint(flat)
        near = self._near(array.size, mark)
        for rank, i in enumerate(near):
            close = self._values[i].mark.near(mark, 2 * self.tolerance)
            self._compare(i, flat, array.shape, mark, every_layout=close or rank < AROUND)
        for i in set(self._around(array.size)) - set(near):
            self._compare(i, flat, array.shape, mark, every_layout=False)

    def _near(self, size: int, mark: Fingerprint) -> list[int]:
        """The values with nearly this fingerprint, nearest in the program first."""
        mean, rms = self._marks[size]
        limit = (NEAR + 1e-6) * np.maximum(rms, mark.rms)
        fits = (np.abs(mean - mark.mean) <= limit) & (np.abs(rms - mark.rms) <= limit)
        found = [self._groups[size][i] for i in np.flatnonzero(fits)]
        return sorted(found, key=lambda i: abs(i - self._at))[:TRIED]

    def _around(self, size: int) -> list[int]:
        group = self._groups[size]
        start = int(np.searchsorted(group, self._at))
        return group[max(0, start - AROUND) : start + AROUND]

    def _compare(
        self, i: int, flat: np.ndarray, shape: tuple[int, ...], mark: Fingerprint, every_layout: bool
    ) -> None:
        value = self._values[i]
        least = value.mark.distance(mark)  # it sees a fault that no element of the sample has
        least = least if least > ROUNDED else 0.0
        count = min(QUICK, value.sample.size)
        searched = every_layout and value.error > self.tolerance
        for order in orders(value.shape, shape, count) if searched else ((),):
            quick = quick_error(value.sample[:count], sampled(flat, value.shape, shape, order, count))
            if quick > 2 * value.error or (quick > NEAR and np.isfinite(value.error)):
                continue
            error = rms_relative(value.sample, sampled(flat, value.shape, shape, order, SAMPLE))
            error = max(error, least)
            if error < value.error:
                value.error, value.moved = error, bool(order) and shape == value.shape
                self._at = i if error <= self.tolerance else self._at
