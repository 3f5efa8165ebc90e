"""What prepared steps share: a prediction's frame, the scope of names, reading and storing values."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from coreml_runtime.format.dtypes import TensorType
from coreml_runtime.format.package import Package

_UNSET = object()


@dataclass(frozen=True)
class Operation:
    """One operation, as a hook sees it: its MIL type, the names it reads and those it writes."""

    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type} '{', '.join(self.outputs)}'"


Hook = Callable[[Operation, str, Any], None]


@dataclass
class Frame:
    """What one prediction works on: a value per slot, the state by name, and the hook."""

    slots: list
    state: dict
    hook: Hook | None


Step = Callable[[Frame], None]


@dataclass
class Scope:
    """The names visible in a block: slots of values, thunks of constants; inner blocks see outer ones."""

    package: Package
    strict: bool
    opset: int
    slots: dict[str, int] = field(default_factory=dict)
    constants: dict[str, Callable] = field(default_factory=dict)
    states: dict[str, TensorType] = field(default_factory=dict)
    counter: list[int] = field(default_factory=lambda: [0])

    def inner(self) -> "Scope":
        """The scope of a nested block, which numbers its slots after the ones in use."""
        names = (dict(self.slots), dict(self.constants), self.states, self.counter)
        return Scope(self.package, self.strict, self.opset, *names)

    def define(self, name: str) -> int:
        """A new slot for `name`."""
        self.slots[name] = self.counter[0]
        self.counter[0] += 1
        return self.slots[name]


def getter(name: str, scope: Scope) -> Callable[[Frame | None], Any]:
    """A function of the frame that returns the value of `name`; ValueError for a name nothing defines."""
    if name in scope.constants:
        thunk = scope.constants[name]
        return lambda frame: thunk()
    if name not in scope.slots:
        raise ValueError(
            f"{scope.package.path} reads the value '{name}', which no operation before it defines"
        )
    slot = scope.slots[name]
    return lambda frame: frame.slots[slot]


def storing(operation, call: Callable[[Frame], tuple], scope: Scope) -> Step:
    """A step that stores the results of `call` in new slots and shows them to the hook."""
    places = [(scope.define(result.name), result.name) for result in operation.outputs]
    seen = describe(operation)

    def run(frame: Frame) -> None:
        for (slot, name), result in zip(places, call(frame), strict=True):
            frame.slots[slot] = result
            if frame.hook is not None:
                frame.hook(seen, name, result)

    return run


def once(thunk: Callable[[], Any]) -> Callable[..., Any]:
    """`thunk`, called at most once; arguments are ignored."""
    kept = _UNSET

    def get(*_: Any) -> Any:
        nonlocal kept
        if kept is _UNSET:
            kept = thunk()
        return kept

    return get


def describe(operation) -> Operation:
    """The record a hook and an error message name an operation by."""
    return Operation(
        operation.type, tuple(names_read(operation)), tuple(result.name for result in operation.outputs)
    )


def names_read(operation) -> Iterator[str]:
    """The names an operation reads, in its blocks too."""
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
