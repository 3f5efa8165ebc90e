"""Finds the first operation of a package whose value diverges from the source it was converted from.

A value of the program agrees if the source computed one with the same elements, in any layout. Converters
split and merge operations, so not every value has a counterpart: an operation diverges if neither its value
nor any value computed from it agrees. The one that is named is the first on which a failing output depends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.execution.model import Model

if TYPE_CHECKING:
    from coreml_runtime.execution.scope import Operation

    Steps = list[tuple[Operation, str, np.ndarray]]


@dataclass(frozen=True)
class Divergence:
    """The operation that diverges: its MIL type, the name and shape of its value, and whether that is finite.

    `error` is the least rms-relative error to any value of the source of that size, or inf if there is none.
    """

    type: str
    name: str
    shape: tuple[int, ...]
    error: float
    finite: bool

    def __str__(self) -> str:
        value = "" if self.finite else ", not finite"
        if np.isinf(self.error):
            return f"{self.type} '{self.name}' {self.shape}{value}: the source computes no value of this size"
        return f"{self.type} '{self.name}' {self.shape}{value}: rms-relative error {self.error:.1e}"


def find_divergence(
    model: Model, inputs: dict[str, Any], known: Iterable[np.ndarray], tolerance: float, state: Any = None
) -> Divergence | None:
    """The first operation of `model` that diverges from the `known` values of the source, or None."""
    steps: Steps = []

    def record(operation: Operation, name: str, value: Any) -> None:
        if hasattr(value, "numpy"):
            steps.append((operation, name, np.array(value.numpy(), np.float64)))

    model.predict(inputs, state, hook=record)
    by_size = defaultdict(list)
    for value in known:
        flat = np.asarray(value, np.float64).reshape(-1)
        by_size[flat.size].append(flat)
    errors = {name: least_error(value, by_size[value.size], tolerance) for _, name, value in steps}
    operation_of = {name: (operation, value) for operation, name, value in steps}
    for name in _diverging(model, steps, errors, tolerance):
        operation, value = operation_of[name]
        return Divergence(operation.type, name, value.shape, errors[name], bool(np.isfinite(value).all()))
    return None


def least_error(value: np.ndarray, candidates: Sequence[np.ndarray], tolerance: float) -> float:
    """The least rms-relative error to a candidate, in order or sorted; inf without candidates."""
    flat = value.reshape(-1)
    errors = [rms_relative(flat, candidate) for candidate in candidates]
    least = min(errors, default=np.inf)
    if least <= tolerance:
        return least
    ordered = np.sort(flat)
    return min([least, *(rms_relative(ordered, np.sort(candidate)) for candidate in candidates)])


def rms_relative(found: np.ndarray, expected: np.ndarray) -> float:
    """RMS of the difference over RMS of the expected values; inf if only one of the two is finite."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    if same.all():
        return 0.0
    difference = np.where(same, 0.0, found.astype(np.float64) - np.where(same, 0.0, expected))
    if not np.isfinite(difference).all():
        return np.inf
    size = np.sqrt(np.mean(np.square(np.where(np.isfinite(expected), expected, 0.0), dtype=np.float64)))
    return float(np.sqrt(np.mean(np.square(difference))) / max(size, 1e-30))


def _diverging(model: Model, steps: Steps, errors: dict[str, float], tolerance: float) -> Iterable[str]:
    """The values on which a failing output depends but no agreeing value does, in program order."""
    reaches = {name for name, error in errors.items() if error <= tolerance}
    failing = {name for name in model.outputs if errors.get(name, np.inf) > tolerance}
    needed = set(failing)
    for operation, name, _ in reversed(steps):
        if name in reaches:
            reaches.update(operation.inputs)
        if name in needed:
            needed.update(operation.inputs)
    return [name for _, name, _ in steps if name in needed and name not in reaches]
