"""One change to try in a pass: what takes the place of which operations, and its sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twins.frameworks import MLX, TORCH
from twins.parity.interception.operations import Changes, Instead, Operation

MILD, USUAL, COARSE, LAST = range(4)  # how much a change takes for granted: the mildest that fits is told


@dataclass(frozen=True)
class Option:
    """A change of operations and its sentence.

    In the sentence {this} is the half that has the operations and {other} the other one; {mlx} and {torch}
    are what each half does, of `own` (the half changed) and `changed` (what the other half then does).
    """

    told: str
    changes: Changes
    rank: int = USUAL
    own: str = ""
    changed: str = ""

    def sentence(self, torch: bool) -> str:
        """The sentence, for a change of PyTorch's half or of MLX's."""
        sides, words = ("MLX", "PyTorch"), (self.changed, self.own)
        mlx, theirs = words if torch else words[::-1]
        this, other = sides[::-1] if torch else sides
        return self.told.format(this=this, other=other, mlx=mlx, torch=theirs)


@dataclass(frozen=True)
class Around:
    """What is known when changes of a half are thought of: the other half's numbers, masks of the batch."""

    numbers: tuple[float, ...]
    masks: dict[str, np.ndarray] = field(default_factory=dict)  # by words, in this half's arrangement
    named: dict[int, str] = field(default_factory=dict)  # id of an array -> the module that gave it, in words


def compare(op: Operation, topic: str, own: str, changed: str, instead: Instead, rank: int = USUAL) -> Option:
    """The option of which both halves' ways are told: a topic, what MLX does and what PyTorch does."""
    told = f"{topic} {{mlx}} in MLX and {{torch}} in PyTorch"
    return Option(told, {op.place: instead}, rank, own, changed)


def value(op: Operation, position: int, *names: str, default: object = None) -> Any:
    """An argument of an operation, given by its position or by one of these names."""
    found = next((op.options[name] for name in names if name in op.options), None)
    if found is not None:
        return found
    return op.args[position] if len(op.args) > position else default


def put(args: tuple, options: dict, position: int, names: Sequence[str], new: object) -> tuple[tuple, dict]:
    """Arguments with another value of one of them; it is added by its first name when it was not given."""
    for name in names:
        if name in options:
            return args, {**options, name: new}
    if len(args) > position:
        return (*args[:position], new, *args[position + 1 :]), options
    return args, {**options, names[0]: new}


def with_value(position: int, names: Sequence[str], new: object) -> Instead:
    """The operation with another value of one argument."""

    def instead(function, args, options, seen):
        args, options = put(args, options, position, names, new)
        return function(*args, **options)

    return instead


def given(change: Callable, *positions: int) -> Instead:
    """The operation with some of its positional arguments changed."""

    def instead(function, args, options, seen):
        listed = list(args)
        for position in positions or (0,):
            listed[position] = change(listed[position])
        return function(*listed, **options)

    return instead


def made(change: Callable) -> Instead:
    """The operation with its result changed."""
    return lambda function, args, options, seen: change(function(*args, **options))


def is_array(value: object) -> bool:
    """Whether a value is an array of either framework with a shape to change."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, np.ndarray)


def shape(value: object) -> tuple[int, ...]:
    """The shape of an array, empty for a number."""
    return tuple(value.shape) if is_array(value) else ()


def kind(value: Any) -> str:
    """The kind of an array's type: "bool", "int" or "float"."""
    name = str(value.dtype).rpartition(".")[2]
    return "bool" if name.startswith("bool") else "int" if "int" in name else "float"


def numpy(value: Any) -> np.ndarray:
    """An array of either framework as NumPy's."""
    return (TORCH if hasattr(value, "detach") else MLX).numpy(value)


def like(array: np.ndarray, other: Any) -> Any:
    """A NumPy array as an array of the framework that another one is of."""
    if hasattr(other, "detach"):
        return TORCH.array(np.ascontiguousarray(array)).to(other.device)
    return MLX.array(np.ascontiguousarray(array))
