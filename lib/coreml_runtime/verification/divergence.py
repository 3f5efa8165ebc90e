"""Finds the first operation of a package whose value diverges from the source it was converted from.

A value of the program agrees if the source computed one with the same elements in a plausible layout.
Converters split and merge operations, so not every value has a counterpart: an operation diverges if
neither its value nor any value computed from it agrees. The one that is named is the first on which a
failing output depends.

A value also agrees if rounding explains its error. What rounding changes is measured: the program runs once
more with each result changed by the spacing of its type at random (the discrete stochastic arithmetic of J.
Vignes, "A stochastic arithmetic for reliable scientific computation", 1993). So a failure that only
rounding causes names no operation, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.execution.model import Model, State
from coreml_runtime.verification.layouts import SAMPLE, flattened, positions, rms_relative
from coreml_runtime.verification.matching import NEAR, Matcher, Value, value_of

if TYPE_CHECKING:
    import torch

    from coreml_runtime.execution.scope import Operation
    from coreml_runtime.format.dtypes import TensorType

EXPLAINED = 10  # errors up to so many times what rounding changed once are rounding
JUMP = 4  # an operation that only passes on the error of its arguments makes it at most so much larger
SPACING = {"FLOAT16": 2.0**-10, "FLOAT32": 2.0**-23}
Observe = Callable[[Callable[[np.ndarray, float], None]], None]


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


@dataclass(frozen=True)
class Call:
    """One call of a model that went wrong: its inputs, the state before it, and what was expected of it.

    `errors` has the rms-relative error of each failing output.
    """

    inputs: Mapping[str, Any]
    state: State | None
    expected: Mapping[str, np.ndarray]
    errors: Mapping[str, float]


def find_divergence(model: Model, call: Call, observe: Observe, tolerance: float) -> Divergence | str:
    """The first operation of `model` that diverges, or one sentence that says why none can be named.

    `observe` calls its argument with every value that the source computes and the spacing of its type.
    """
    values: list[Value] = []

    def record(operation: Operation, name: str, value: Any) -> None:
        if hasattr(value, "numpy"):
            values.append(value_of(operation, name, value.numpy()))

    model.predict(call.inputs, _copied(call.state), hook=record)
    matcher = Matcher(values, tolerance)
    for given in call.inputs.values():
        matcher.see(np.asarray(given))
    observe(matcher.see)
    _measure_rounding(model, call, values, matcher.rounding)
    roots = [value for value in values if value.name in call.errors]
    if not roots:  # `classify` renames its results
        roots = values[-1:]
    swapped = [root for root in roots if _is_elsewhere(root, call, tolerance)]
    for root in roots:
        if root not in swapped:
            root.error = call.errors.get(root.name, root.error)
    half = model.precision == "strict" and model.uses_fp16
    spacing = max(matcher.rounding, SPACING["FLOAT16" if half else "FLOAT32"])
    failing = {root.name for root in roots}
    first = _first(values, failing, tolerance) or _sensitive(values, failing, tolerance, spacing)
    if first is None:
        return _no_operation(values, failing, tolerance, matcher.rounding)
    return _verdict(values, failing, first)


def _copied(state: State | None) -> State | None:
    return None if state is None else state.copy()


def _is_elsewhere(root: Value, call: Call, tolerance: float) -> bool:
    """Whether a failing output is a value of the source, but not the one that the source returns there."""
    expected = flattened(call.expected[root.name]) if root.name in call.expected else np.zeros(0)
    if expected.size != np.prod(root.shape) or root.error > tolerance or root.moved:
        return False
    return rms_relative(root.sample, expected[positions(expected.size)]) > tolerance


def _measure_rounding(model: Model, call: Call, values: list[Value], spacing: float) -> None:
    """Set what rounding alone changes of each value, by one run with random rounding."""
    import torch

    generator = torch.Generator().manual_seed(0)
    strict = model.precision == "strict"
    left = iter(values)

    def rounded(value: torch.Tensor, declared: TensorType) -> torch.Tensor:
        own = SPACING["FLOAT16" if strict and declared.dtype.name == "FLOAT16" else "FLOAT32"]
        own = max(own, spacing)
        change = torch.rand(value.shape, generator=generator).mul_(2).sub_(1).mul_(own).mul_(value)
        # A small whole number, such as a mask's or a rounded one, is exact.
        exact = (value == value.round()) & (value.abs() <= 1 / (8 * own))
        return torch.where(exact, value, value + change)

    def compare(operation: Operation, name: str, value: Any) -> None:
        known = next(left, None) if hasattr(value, "numpy") else None
        if known is not None and known.name == name and known.shape == tuple(value.shape):
            flat = flattened(value.numpy())
            changed = rms_relative(flat[positions(flat.size)][:SAMPLE], known.sample)
            known.noise = changed if np.isfinite(changed) else 0.0

    model.run(call.inputs, _copied(call.state), hook=compare, rounded=rounded)


def _verdict(values: list[Value], failing: set[str], first: Value) -> Divergence | str:
    inherited = _inherited(values, first)
    if inherited is not None and first.error <= JUMP * inherited.error:
        # It only passes an error on: look for where that begins, though it is within the tolerance there.
        source = _first(values, failing, 0.0)
        if source is None or source is first or source.error > NEAR:
            return _gradual(values, failing, first)
        first = source
    return Divergence(first.operation.type, first.name, first.shape, first.error, first.mark.finite)


def _agrees(value: Value, tolerance: float) -> bool:
    return value.error <= max(tolerance, EXPLAINED * value.noise)


def _first(values: list[Value], failing: set[str], tolerance: float) -> Value | None:
    """The first value on which a failing output depends, but no agreeing value does."""
    worst: dict[str, Value] = {}
    for value in values:  # a loop computes a name several times
        if value.name not in worst or value.error > worst[value.name].error:
            worst[value.name] = value
    reaches = {name for name, value in worst.items() if _agrees(value, tolerance)}
    needed = _needed(values, failing)
    for value in reversed(values):
        if value.name in reaches:
            reaches.update(value.operation.inputs)
    found = [value for value in worst.values() if value.name in needed and value.name not in reaches]
    # A single number that the source does not have, such as a loop's condition, is named only for want of
    # more.
    return next((v for v in found if v.sample.size > 1 or np.isfinite(v.error)), next(iter(found), None))


def _sensitive(values: list[Value], failing: set[str], tolerance: float, spacing: float) -> Value | None:
    """The first value whose error rounding explains, but which is much larger than that and its arguments'
    errors.

    There an operation makes of the rounding of its arguments what no tolerance allows, as sampling at
    coordinates in half precision does.
    """
    needed = _needed(values, failing)
    # A larger error than the outputs have is that of a value without a counterpart in the source.
    largest = min(NEAR, JUMP * max(value.error for value in values if value.name in failing))
    for value in values:
        if value.name in needed and max(tolerance, EXPLAINED * spacing) < value.error <= largest:
            inherited = _inherited(values, value)
            if inherited is not None and value.error > EXPLAINED * inherited.error and not value.moved:
                return value
    return None


def _needed(values: list[Value], failing: set[str]) -> set[str]:
    """The names on which failing outputs depend."""
    needed = set(failing)
    for value in reversed(values):
        if value.name in needed:
            needed.update(value.operation.inputs)
    return needed


def _inherited(values: list[Value], first: Value) -> Value | None:
    """The argument of an operation, or what that was computed from, with the largest error to a
    counterpart.
    """
    known = {value.name: value for value in values}
    waiting, seen, found = list(first.operation.inputs), set(), []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        value = known[name]
        if value.error <= NEAR:
            found.append(value)
        else:
            waiting += value.operation.inputs
    return max(found, key=lambda value: value.error, default=None)


def _gradual(values: list[Value], failing: set[str], first: Value) -> str:
    counted = [value for value in values if 0 < value.error <= NEAR]
    start = counted[0] if counted else first
    return (
        f"no operation: the error grows gradually, from {start.error:.1e} at {start.operation.type} "
        f"'{start.name}' past the tolerance at {first.operation.type} '{first.name}' ({first.error:.1e}), "
        "so it is accumulated and no single operation makes it"
    )


def _no_operation(values: list[Value], failing: set[str], tolerance: float, spacing: float) -> str:
    """Why every value on which a failing output depends agrees."""
    roots = [value for value in values if value.name in failing]
    elsewhere = [value for value in roots if value.error <= tolerance]
    if elsewhere:
        return (
            f"no operation: output '{elsewhere[0].name}' is a value that the source computes, "
            "but not the one that it returns there"
        )
    worst = max(roots, key=lambda value: value.error)
    cause = "the half precision in which the source computes" if spacing > SPACING["FLOAT32"] else "rounding"
    return (
        f"no operation: {cause} alone explains the error; rounding every result anew changes "
        f"'{worst.name}' by {worst.noise:.1e}"
    )
