"""The range of the numbers that a tensor holds, and what is assumed of inputs and of a network's values.

An input may hold anything of ordinary size, zero rows and tiny numbers included; whole numbers are as large
as their type allows. What a product with weights makes is zero or of ordinary size, because a network that
runs in fp16 at all keeps its values there; constants are known.
"""

import math
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Tensor

FP16_LIMIT = 65504.0
SMALLEST = 2.0**-14  # fp16's least normal number; below it, fp16 rounds more and more
WHOLE_LIMIT = 2048  # above it, fp16 skips whole numbers
LARGEST = float(np.finfo(np.float32).max)
MASKED = 1e30  # a number this large, or infinite, only hides others
LARGE = 1e3  # what fp16 networks and their inputs stay below
USUAL = 32.0  # what many numbers together stay below on average, when some may be LARGE
MANY = 2**20  # elements of a constant that are looked at


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `least` is the least magnitude, other than 0, that may matter.

    `whole` numbers count or identify something. `given` ones are made of inputs and constants by arithmetic
    alone, without a product with weights. `inverse` ones are large where what they divide is small. `hides`
    says that some are as low as a mask's; these do not count for the bounds. `fine` ones may be factors next
    to 1 that are applied again and again, such as a decay: an exponential, and what is made of it.
    """

    low: float
    high: float
    least: float
    whole: bool = False
    given: bool = False
    inverse: bool = False
    hides: bool = False
    fine: bool = False

    @property
    def most(self) -> float:
        """The greatest magnitude."""
        return max(-self.low, self.high)

    @property
    def wide(self) -> bool:
        """Whether fp16 ends below these numbers, or skips some of them."""
        return self.most > FP16_LIMIT or (self.whole and self.most > WHOLE_LIMIT) or self.fine

    @property
    def tiny(self) -> bool:
        """Whether fp16 rounds some of these numbers to few bits, or to 0."""
        return self.least < SMALLEST

    def __or__(self, other: "Range") -> "Range":
        return Range(
            *(min(self.low, other.low), max(self.high, other.high), min(self.least, other.least)),
            *(self.whole and other.whole, self.given and other.given),
            *(self.inverse or other.inverse, self.hides or other.hides, self.fine or other.fine),
        )


def between(low: float, high: float, least: float | None = None, **flags: bool) -> Range:
    """A range within float32; without `least`, the numbers next to zero do not matter."""
    low, high = max(low, -LARGEST), min(high, LARGEST)
    return Range(low, high, max(1e-2 if least is None else least, 0.0), **flags)


ORDINARY = between(-LARGE, LARGE)  # what a network's products make
BOOLEAN = between(0, 1, 1, whole=True)
ZERO = between(0, 0, 1, given=True)


def of_type(dtype: str) -> Range:
    """What numbers of a type may be when nothing else is known of them."""
    if dtype == "bool":
        return BOOLEAN
    if "int" in dtype:
        bits, signed = min(int(dtype.partition("int")[2]), 32), not dtype.startswith("u")
        return between(-(2.0 ** (bits - 1)) if signed else 0, 2.0 ** (bits - signed), 1, whole=True)
    return ORDINARY


def of_input(tensor: Tensor) -> Range:
    """What an input of the model may hold."""
    made = of_type(tensor.dtype)
    return replace(made, least=1e-7 if tensor.is_float else 1, given=True)


def of_constant(tensor: Tensor) -> Range:
    """What a constant holds; of a large one, evenly spaced numbers are looked at."""
    if tensor.value is None or not tensor.size:
        return ZERO
    value = tensor.value.reshape(-1)[:: tensor.size // MANY + 1]
    value = np.array(value.astype(mx.float32) if tensor.is_float else value).astype(np.float64)
    seen = value[np.abs(value) < MASKED]
    hides = len(seen) < len(value)
    if not len(seen):
        return replace(ZERO, hides=True)
    size = np.abs(seen)
    least = float(size[size > 0].min()) if size.any() else 1.0
    whole = not tensor.is_float or bool((seen == np.round(seen)).all())
    return between(float(seen.min()), float(seen.max()), least, given=True, hides=hides, whole=whole)


def power(base: float, exponent: float) -> float:
    """base ** exponent of magnitudes, within float32."""
    if base <= 0:
        return 0.0 if exponent > 0 else LARGEST
    return math.exp(min(max(exponent * math.log(base), -700), 88.72))
