"""What a usage is: a function as a user has it, the call it is converted with, and calls it never saw."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import numpy as np


@dataclass(frozen=True)
class Call:
    """Arguments as a user writes them."""

    args: tuple
    named: Mapping[str, Any]


def call(*args: Any, **named: Any) -> Call:
    """The arguments of one call."""
    return Call(args, named)


@dataclass(frozen=True)
class Made:
    """A function, the call to convert it with, and calls that the conversion does not see.

    Structures of `unseen` are those of `example`; numbers and flexible sizes differ. With states, the calls
    follow each other, and the states in their arguments are ignored. `truth` is what a package must
    compute, if that is not the function itself: on the arguments, then on the noise of random="input".
    """

    fn: Callable
    example: Call
    unseen: Sequence[Call]
    options: Mapping[str, Any] = field(default_factory=dict)
    truth: Callable | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class Usage:
    """One usage of a kind. `refused` is a pattern of the refusal; "" when it must be right."""

    kind: str
    name: str
    build: Callable[[], Made]
    refused: str = ""
    group: str = "usage"

    def make(self) -> Made:
        """The function and its calls, always with the same numbers."""
        mx.random.seed(zlib.crc32(self.name.encode()))
        np.random.seed(zlib.crc32(self.name.encode()))  # noqa: NPY002 - libraries draw from the global one
        return self.build()


class Kind:
    """The usages of one kind: a decorator that adds the function it is given, named by its docstring."""

    def __init__(self, name: str):
        self.name = name
        self.usages: dict[str, Usage] = {}

    def __call__(self, build: Callable[[], Made]) -> Callable[[], Made]:
        return self._add(build, "")

    def refused(self, pattern: str) -> Callable:
        """A decorator for a usage that the converter must refuse in a sentence that matches a pattern."""
        return lambda build: self._add(build, pattern)

    def __iter__(self) -> Iterator[Usage]:
        return iter(self.usages.values())

    def _add(self, build: Callable[[], Made], refused: str) -> Callable[[], Made]:
        text = (build.__doc__ or "").partition("\n")[0].rstrip(".")
        if not text or text in self.usages:
            raise ValueError(f"usage {build.__name__} of '{self.name}' has the docstring '{text}' or none")
        self.usages[text] = Usage(self.name, f"{self.name}: {text}", build, refused)
        return build


def normal(*shape: int) -> mx.array:
    """Standard normal numbers."""
    return mx.random.normal(shape)


def whole(low: int, high: int, *shape: int) -> mx.array:
    """Whole numbers from `low` to `high` - 1."""
    return mx.random.randint(low, high, shape)
