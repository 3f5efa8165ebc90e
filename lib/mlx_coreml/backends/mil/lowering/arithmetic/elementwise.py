"""Elementwise operations that are one operation of MIL, or a few that give the same numbers.

MIL's arithmetic does not take bool, so truth values are computed as 0 and 1. Functions that need more
operations are in special_functions.py, those of whole numbers in integers.py.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.registry import RULES, lowering
from mlx_coreml.ir.graph import Node

UNARY = (
    {"Abs": "abs", "Sign": "sign", "Exp": "exp", "Sin": "sin", "Cos": "cos", "Tan": "tan"}
    | {"Sinh": "sinh", "Cosh": "cosh", "Tanh": "tanh", "ArcSin": "asin", "ArcCos": "acos"}
    | {"ArcTan": "atan", "ArcTanh": "atanh", "Erf": "erf", "Sigmoid": "sigmoid"}
)
ROUNDING = {"Ceil": "ceil", "Floor": "floor", "Round": "round"}
BINARY = (
    {"Maximum": "maximum", "Minimum": "minimum", "Greater": "greater", "Less": "less"}
    | {"GreaterEqual": "greater_equal", "LessEqual": "less_equal", "Remainder": "mod"}
    | {"FloorDivide": "floor_div"}
)
LOGIC = {"LogicalAnd": "logical_and", "LogicalOr": "logical_or"}
ARITHMETIC = {"Add": "add", "Subtract": "sub", "Multiply": "mul"}
NARROW = {"uint8": (0, 8), "uint16": (0, 16), "int8": (128, 8), "int16": (32768, 16)}


def number(like, value: float):
    """A number in the type of a variable."""
    return types.nptype_from_builtin(like.dtype)(value)


def as_numbers(rule: Callable) -> Callable:
    """The rule extended to truth values: they go in as 0 and 1, and results that are not 0 are true."""

    @functools.wraps(rule)
    def applied(node: Node, *inputs):
        made = rule(node, *[mb.cast(x=v, dtype="int32") if types.is_bool(v.dtype) else v for v in inputs])
        if node.outputs[0].dtype != "bool" or types.is_bool(made.dtype):
            return made
        return mb.not_equal(x=made, y=0)

    return applied


def wrapped(node: Node, made):
    """Whole numbers of 8 and 16 bits stay in their range, as in MLX; MIL computes with 32 bits."""
    offset, bits = NARROW.get(node.outputs[0].dtype, (0, 0))
    if not bits:
        return made
    if not offset:
        return mb.mod(x=made, y=1 << bits)
    return mb.sub(x=mb.mod(x=mb.add(x=made, y=offset), y=1 << bits), y=offset)


def _one_to_one(operation: str) -> Callable:
    return lambda node, *inputs: getattr(mb, operation)(**dict(zip("xy", inputs, strict=False)))


def _rounding(operation: str) -> Callable:
    return lambda node, x: getattr(mb, operation)(x=x) if types.is_float(x.dtype) else x


def _arithmetic(operation: str) -> Callable:
    return lambda node, *inputs: wrapped(node, _one_to_one(operation)(node, *inputs))


RULES |= {kind: as_numbers(_one_to_one(operation)) for kind, operation in (UNARY | BINARY).items()}
RULES |= {kind: _one_to_one(operation) for kind, operation in LOGIC.items()}
for _kind in ("Abs", "FloorDivide"):  # -128 of 8 bits has no opposite
    RULES[_kind] = as_numbers(_arithmetic((UNARY | BINARY)[_kind]))
RULES |= {kind: as_numbers(_rounding(operation)) for kind, operation in ROUNDING.items()}
RULES |= {kind: as_numbers(_arithmetic(operation)) for kind, operation in ARITHMETIC.items()}
RULES["LogicalNot"] = lambda node, x: mb.logical_not(x=x)
RULES["identity"] = lambda node, x: x
RULES["Depends"] = lambda node, *inputs: inputs[: len(node.outputs)]


@lowering("Equal")
@as_numbers
def equal(node: Node, x, y):
    """x == y; with the argument, nan equals nan."""
    (nan_equal,) = node.unpack(1)
    same = mb.equal(x=x, y=y)
    if not nan_equal or not types.is_float(x.dtype):
        return same
    return mb.logical_or(x=same, y=mb.logical_and(x=mb.not_equal(x=x, y=x), y=mb.not_equal(x=y, y=y)))


@lowering("NotEqual")
def not_equal(node: Node, x, y):
    """x != y, of truth values the exclusive or."""
    return (mb.logical_xor if types.is_bool(x.dtype) else mb.not_equal)(x=x, y=y)


@lowering("Negative")
def negative(node: Node, x):
    """-x."""
    return wrapped(node, mb.mul(x=x, y=number(x, -1)))


@lowering("Square")
@as_numbers
def square(node: Node, x):
    """x * x: MIL's `square` takes floating-point numbers only."""
    return wrapped(node, mb.mul(x=x, y=x))


@lowering("Sqrt")
def sqrt(node: Node, x):
    """sqrt(x), or 1 / sqrt(x) when the argument is true; MIL adds an epsilon to rsqrt by default."""
    (reciprocal,) = node.unpack(1)
    root = mb.sqrt(x=x)
    return mb.real_div(x=number(x, 1), y=root) if reciprocal else root


@lowering("Log")
def log(node: Node, x):
    """log(x); the argument is 0 for base 2, 1 for base 10, 2 for base e."""
    (base,) = node.unpack(1)
    natural = mb.log(x=x, epsilon=number(x, 0))
    return natural if base == 2 else mb.mul(x=natural, y=number(x, 1 / math.log((2, 10)[base])))


@lowering("Power")
@as_numbers
def power(node: Node, x, y):
    """x to the power y; small whole exponents as products, which take negative bases on every device."""
    exponents = np.unique(y.val) if y.val is not None else []
    if len(exponents) == 1 and exponents[0] in (1, 2, 3, 4) and node.output.shape == tuple(x.shape):
        made = x
        for _ in range(int(exponents[0]) - 1):
            made = mb.mul(x=made, y=x)
        return wrapped(node, made)
    return wrapped(node, mb.pow(x=x, y=y))


@lowering("Select")
def select(node: Node, condition, a, b):
    """a where the condition holds, else b."""
    return mb.select(cond=condition, a=a, b=b)


@lowering("AsType")
def as_type(node: Node, x):
    """A cast: to whole numbers by truncation, to bool by != 0; the driver casts between float types."""
    if node.output.dtype == "bool":
        return x if types.is_bool(x.dtype) else mb.not_equal(x=x, y=number(x, 0))
    if node.output.is_float:
        return x if types.is_float(x.dtype) else mb.cast(x=x, dtype="fp32")
    if types.builtin_to_string(x.dtype) != "int32":
        x = mb.cast(x=x, dtype="int32")
    return x if _fits(node.inputs[0].dtype, node.output.dtype) else wrapped(node, x)


def _fits(source: str, wanted: str) -> bool:
    """Whether every number of one whole type is one of another, 32 and 64 bits being wide enough for all."""
    ranges = {"bool": (0, 1)} | {name: (-o, (1 << bits) - 1 - o) for name, (o, bits) in NARROW.items()}
    if wanted not in ranges:
        return True
    low, high = ranges.get(source, (-math.inf, math.inf))
    return ranges[wanted][0] <= low and high <= ranges[wanted][1]
