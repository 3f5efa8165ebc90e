"""What the coverage of the converter is measured on: one callable with its seeded random inputs.

Most cases are their own source text ("mx.sum(x, axis=-1)", "nn.Conv2d(3, 8, 3)"): the text is the name in the
table of results, the code that runs, and what tells which functions of MLX are covered.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

import mlx.nn as nn  # isort: skip
from mlx.utils import tree_map  # isort: skip

TOLERANCE = 1e-4  # rms-relative, in float32
# Where MLX itself rounds to 11 or 8 bits, which a float32 model need not.
HALF_TOLERANCES = {"bfloat16": 1e-2, "float16": 1e-3}


@dataclass(frozen=True)
class Draw:
    """A random input: its shape, its type, how NumPy draws it, and what is not plain about the numbers."""

    shape: tuple[int, ...]
    dtype: mx.Dtype
    values: Callable[[np.random.Generator], np.ndarray]
    kind: str = ""

    def __call__(self, rng: np.random.Generator) -> mx.array:
        return mx.array(self.values(rng)).astype(self.dtype)

    def __str__(self) -> str:
        return f"{str(self.dtype).rpartition('.')[2]}{list(self.shape)}{self.kind and ' '}{self.kind}"


def normal(*shape: int, dtype: mx.Dtype = mx.float32) -> Draw:
    """Standard normal numbers."""
    return Draw(shape, dtype, lambda rng: rng.standard_normal(shape).astype(np.float32))


def uniform(low: float, high: float, *shape: int) -> Draw:
    """Numbers between two bounds, in float32."""
    return Draw(shape, mx.float32, lambda rng: rng.uniform(low, high, shape), f"{low}..{high}")


def integers(low: int, high: int, *shape: int, dtype: mx.Dtype = mx.int32) -> Draw:
    """Whole numbers from `low` to `high` - 1."""
    return Draw(shape, dtype, lambda rng: rng.integers(low, high, shape), f"{low}..{high - 1}")


def booleans(*shape: int) -> Draw:
    """True or false, equally likely."""
    return Draw(shape, mx.bool_, lambda rng: rng.integers(0, 2, shape).astype(bool))


def distinct(*shape: int) -> Draw:
    """Numbers that all differ, so that an order or a maximum is unique."""

    def values(rng):
        return rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float32) - 3

    return Draw(shape, mx.float32, values, "distinct")


def ascending(*shape: int) -> Draw:
    """Numbers sorted along the last axis."""
    return Draw(shape, mx.float32, lambda rng: np.sort(rng.standard_normal(shape)), "ascending")


def special(*shape: int) -> Draw:
    """Normal numbers among infinities, zeros and not-a-numbers."""
    rare = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32)

    def values(rng):
        drawn = rng.standard_normal(shape).astype(np.float32)
        return np.where(rng.random(shape) < 0.5, rng.choice(rare, shape), drawn)

    return Draw(shape, mx.float32, values, "special")


@dataclass(frozen=True)
class Case:
    """A callable of MLX to convert: `build` makes it, `inputs` are drawn for it, by argument name."""

    group: str
    name: str
    build: Callable[[], Callable]
    inputs: Mapping[str, Draw]
    tolerance: float = TOLERANCE

    @property
    def seed(self) -> int:
        """What all random numbers of this case start from."""
        return zlib.crc32(f"{self.group} {self.name}".encode())

    def make(self) -> tuple[Callable, tuple[mx.array, ...]]:
        """The callable, always with the same parameters, and its first draw."""
        mx.random.seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002 - mlx-lm's LongCat draws from the global generator
        made = self.build()
        if isinstance(made, nn.Module):
            made.eval()
            unsettle(made)
        return made, self.arrays()

    def arrays(self, draw: int = 0) -> tuple[mx.array, ...]:
        """Other numbers of the same shapes for every draw."""
        rng = np.random.default_rng([self.seed, draw])
        return tuple(value(rng) for value in self.inputs.values())


def unsettle(module: nn.Module) -> None:
    """Make the parameters that start as one constant differ, in place: a forgotten one must show.

    Positive ones stay positive, as a running variance must.
    """
    module.update(tree_map(_differing, module.parameters()))


def _differing(value: mx.array) -> mx.array:
    first = value.flatten()[0] if value.size > 1 else None
    if first is None or not bool((value == first).all()):
        return value
    if value.dtype == mx.uint32:  # packed whole numbers of a quantized layer
        return mx.random.randint(0, 2**31 - 1, value.shape).astype(mx.uint32)
    if not mx.issubdtype(value.dtype, mx.floating):
        return value
    moved = (
        value * mx.random.uniform(0.7, 1.3, value.shape)
        if float(first)
        else 0.1 * mx.random.normal(value.shape)
    )
    return moved.astype(value.dtype)


def texts(group: str, inputs: Mapping[str, Draw], table: str) -> Iterator[Case]:
    """One case per line of the table: an expression of the inputs, or a module that is called on them.

    A line may narrow the inputs: "mx.abs(x)" of {x, y} takes x alone; a module takes all.
    """
    for text in filter(None, map(str.strip, table.splitlines())):
        module = text.startswith("nn.") and not re.search(rf"\b({'|'.join(inputs)})\b", text)
        names = [n for n in inputs if module or re.search(rf"(?<![\w.'\"]){n}\b(?!\s*=[^=])", text)]
        drawn = {name: inputs[name] for name in names}
        label = f"{text} of {', '.join(f'{n} {d}' for n, d in drawn.items())}"
        build = _evaluated(text if module else f"lambda {', '.join(names)}: {text}")
        tolerance = next((t for half, t in HALF_TOLERANCES.items() if half in label), TOLERANCE)
        yield Case(group, label, build, drawn, tolerance)


def _evaluated(source: str) -> Callable[[], Callable]:
    """What makes the object that a line of a table spells."""
    code = compile(source, "<zoo>", "eval")
    return lambda: eval(code, {"mx": mx, "nn": nn, "np": np})
