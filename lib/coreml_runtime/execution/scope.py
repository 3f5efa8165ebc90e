"""What prepared steps share: a prediction's frame, the scope of names, reading and store_results values."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from coreml_runtime.format.dtypes import TensorType
from coreml_runtime.format.package import Package


@dataclass(frozen=True)
class Operation:
    """One operation as a hook receives it: its MIL type, and the names that it reads and writes."""

    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type} '{', '.join(self.outputs)}'"


Hook = Callable[[Operation, str, Any], None]


@dataclass
class Frame:
    """The data of one prediction: a value for each slot, the state by name, the hook, and how to round
    anew.
    """

    slots: list
    state: dict
    hook: Hook | None
    rounded: Callable[[Any, TensorType], Any] | None = None


Step = Callable[[Frame], None]


@dataclass
class Scope:
    """The names visible in a block and those around it: slots of values, functions that read constants.

    `large` has the names of constants that are read anew for each operation that takes them.
    """

    package: Package
    strict: bool
    opset: int
    slots: dict[str, int] = field(default_factory=dict)
    constants: dict[str, Callable] = field(default_factory=dict)
    states: dict[str, TensorType] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    counter: list[int] = field(default_factory=lambda: [0])

    def inner(self) -> "Scope":
        """The scope of a nested block, which numbers its slots after the ones in use."""
        names = (dict(self.slots), dict(self.constants), self.states, set(self.large), self.counter)
        return Scope(self.package, self.strict, self.opset, *names)

    def define(self, name: str) -> int:
        """A new slot for `name`."""
        self.slots[name] = self.counter[0]
        self.counter[0] += 1
        return self.slots[name]


def getter(name: str, scope: Scope) -> Callable[[Any], Any]:
    """A function of the frame that returns the value of `name`; ValueError for a name nothing defines."""
    if name in scope.constants:
        thunk = scope.constants[name]
        return lambda frame: thunk()
    if name not in scope.slots:
        raise ValueError(f"{scope.package.path} reads the value '{name}', which nothing before it defines")
    slot = scope.slots[name]
    return lambda frame: frame.slots[slot]


def store_results(operation, call: Callable[[Frame], tuple], scope: Scope) -> Step:
    """A step that stores the results of `call` in new slots and shows them to the hook."""
    places = [(scope.define(result.name), result.name) for result in operation.outputs]
    seen = operation_record(operation)

    def run(frame: Frame) -> None:
        for (slot, name), result in zip(places, call(frame), strict=True):
            frame.slots[slot] = result
            if frame.hook is not None:
                frame.hook(seen, name, result)

    return run


def memoized(thunk: Callable[[], Any]) -> Callable[..., Any]:
    """A function that calls `thunk` at its first call only and ignores its arguments."""
    kept = cache(thunk)
    return lambda *_: kept()


def operation_record(operation) -> Operation:
    """The record by which hooks and error messages name an operation."""
    return Operation(
        operation.type, tuple(names_read(operation)), tuple(result.name for result in operation.outputs)
    )


def names_read(operation) -> Iterator[str]:
    """The names that an operation and its blocks read."""
    for argument in operation.inputs.values():
        yield from (binding.name for binding in argument.arguments if binding.WhichOneof("binding") == "name")
    for nested in operation.blocks:
        yield from nested.outputs
        for inner in nested.operations:
            yield from names_read(inner)


def run_steps(steps: Iterable[Step], frame: Frame) -> None:
    """Run the steps in order."""
    for step in steps:
        step(frame)
