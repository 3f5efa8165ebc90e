"""Random programs: compositions as one function, in a type, at sizes, and called as users call functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import mlx.nn as nn
import numpy as np
from compositions import Composition, compose

from mlx_coreml.coverage.user_objects import walk
from twins.frameworks import mx

SHAPES = [
    ((2, 3, 4), (4,)),
    ((6, 5), (2, 6, 5)),
    ((1, 6, 7, 3), (7, 3)),
    ((8,), (3, 8)),
    ((2, 4, 1, 5), (4, 3, 5)),
]
FLEXIBLE = [{"a": 1}, {"a": 0, "b": 1}, {"a": 1}, {"b": 0}, {"a": 0}]  # an axis by input, for each of SHAPES
RANGE, SIZES = (2, 12), (2, 3, 11)  # sizes of it, and those that are tried
BATCH = 20  # compositions in one program


class Numbers(NamedTuple):
    """The type of the source, the precision of the package, the rounding of both, what errors may be."""

    dtype: mx.Dtype
    precision: str
    rounding: float
    tolerance: float


NUMBERS = [
    Numbers(mx.float32, "float32", 1e-6, 1e-4),
    Numbers(mx.bfloat16, "float32", 4e-3, 5e-2),
    Numbers(mx.float32, "float16", 1e-3, 3e-2),
    Numbers(mx.float16, "float32", 5e-4, 1e-2),
]


@dataclass
class Pair:
    """The two inputs, and what is not one."""

    a: mx.array
    b: mx.array
    name: str = "pair"


@dataclass
class Made:
    """Some outputs, and the others."""

    first: Any
    others: tuple = field(default_factory=tuple)
    steps: None = None


class Holder(nn.Module):
    """A module in training mode that a plain object holds."""

    def __init__(self, fn):
        super().__init__()
        self._fn, self.dropout = fn, nn.Dropout(0.5)

    def __call__(self, a, b):
        return self._fn(self.dropout(a), b)


class Pipe:
    """A plain object with a method."""

    def __init__(self, fn):
        self.net, self.calls = Holder(fn), []

    def run(self, a, b):
        self.calls.append(len(self.calls))
        return self.net(a, b)


@dataclass(frozen=True)
class Usage:
    """How a function of a and b is wrapped, and how it is called: (positional, by name)."""

    wrap: Callable[[Callable], Callable]
    call: Callable[[Any, Any], tuple[Sequence, Mapping]] = lambda a, b: ((a, b), {})
    is_stateful: bool = False


def _scaled(fn):
    def fixed(a, b, scale, mode="plain", mask=None):
        return [y * scale if mode == "scaled" and mask is None else y for y in fn(a, b)]

    return fixed


def _nested(fn):
    def nested(batch):
        first, *others = fn(batch["a"], batch["more"][0])
        return {"first": first, "others": [{"n": i, "y": y}["y"] for i, y in enumerate(others)], "none": None}

    return nested


def _dataclass(fn):
    def made(pair):
        first, *others = fn(pair.a, pair.b)
        return Made(first, tuple(others))

    return made


def _stateful(fn):
    return lambda a, b, s: ([*fn(a, b), s * 1.0], 0.5 * s + mx.tanh(a).mean(keepdims=True).reshape(1))


USAGES = {
    "positions": Usage(lambda fn: lambda a, b: fn(a, b)),
    "names": Usage(lambda fn: lambda b, a: fn(a, b), lambda a, b: ((), {"a": a, "b": b})),
    "fixed": Usage(_scaled, lambda a, b: ((a, b, 0.5), {"mode": "scaled", "mask": None})),
    "nested": Usage(_nested, lambda a, b: (({"a": a, "more": (b, None)},), {})),
    "dataclass": Usage(_dataclass, lambda a, b: ((Pair(a, b),), {})),
    "held": Usage(lambda fn: Pipe(fn).run),
    "state": Usage(_stateful, is_stateful=True),
}


@dataclass(frozen=True)
class Program:
    """Compositions of two inputs, the example, and inputs of other numbers and sizes."""

    numbers: Numbers
    usage: str
    flexible: Mapping[str, Mapping[int, tuple]]
    example: Sequence[mx.array]
    unseen: Sequence[Sequence[mx.array]]
    compositions: Sequence[Composition]

    def part(self, compositions: Sequence[Composition]) -> "Program":
        """The same of some compositions."""
        return Program(self.numbers, self.usage, self.flexible, self.example, self.unseen, compositions)

    def fn(self) -> Callable:
        """The function as a user has it."""
        return USAGES[self.usage].wrap(lambda a, b: [composition(a, b) for composition in self.compositions])

    def truth(self, a: mx.array, b: mx.array) -> list[mx.array]:
        """The compositions in float32, with what the usage does to them."""
        for module in self._modules():
            module.set_dtype(mx.float32)
        wide = [x.astype(mx.float32) for x in (a, b)]
        scale = 0.5 if self.usage == "fixed" else 1.0
        made = [composition(*wide) * scale for composition in self.compositions]
        mx.eval(made)
        for module in self._modules():
            module.set_dtype(self.numbers.dtype)
        return made

    def _modules(self) -> list[nn.Module]:
        return [each for _, each in walk(self.compositions) if isinstance(each, nn.Module)]


def draw(seed: int) -> Program:
    """The program of a seed: its type, sizes and usage go round in cycles of 4, 3 and 7."""
    rng = np.random.default_rng(seed)
    numbers, place = NUMBERS[seed % len(NUMBERS)], seed % len(SHAPES)
    axes = FLEXIBLE[place] if seed % 3 == 1 else {}

    def inputs(size=None) -> list[mx.array]:
        shapes = [list(shape) for shape in SHAPES[place]]
        for name, axis in axes.items():
            shapes["ab".index(name)][axis] = size or shapes["ab".index(name)][axis]
        drawn = [mx.array(rng.uniform(-2, 2, shape).astype(np.float32)) for shape in shapes]
        return [x.astype(numbers.dtype).astype(mx.float32) for x in drawn]

    example, unseen = inputs(), [inputs(size) for size in (SIZES if axes else (None,))]
    is_half = numbers.precision == "float16"
    dtype = mx.float16 if is_half else numbers.dtype
    given = (example, unseen, numbers.rounding, dtype, numbers.tolerance)
    compositions = [compose(rng, *given) for _ in range(BATCH)]
    flexible = {name: {axis: RANGE} for name, axis in axes.items()}
    drawn = [[x.astype(numbers.dtype) for x in each] for each in (example, *unseen)]
    program = Program(numbers, list(USAGES)[seed % len(USAGES)], flexible, drawn[0], drawn, compositions)
    for module in program._modules():
        module.set_dtype(numbers.dtype)
    return program
