"""Elementwise operations. Core AI computes in all of MLX's types of whole numbers, and wraps as MLX does."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.registry import RULES, lowering
from mlx_coreml.backends.coreai.lowering.values import (
    Value,
    cast,
    computed,
    dtype,
    is_constant,
    is_float,
    number,
)
from mlx_coreml.capture.releases import divmod_truncates
from mlx_coreml.ir.graph import Node

UNARY = (
    {"Abs": "abs_", "Exp": "exp", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Sinh": "sinh", "Cosh": "cosh"}
    | {"Tanh": "tanh", "ArcSin": "asin", "ArcCos": "acos", "ArcTan": "atan", "ArcSinh": "asinh"}
    | {"ArcCosh": "acosh", "ArcTanh": "atanh", "Erf": "erf", "Sigmoid": "sigmoid", "relu": "relu"}
    | {"silu": "silu"}
)


def _binary(name: str) -> Callable[[Any, Any], ca.Value]:
    operation = getattr(ca, f"broadcasting_{name}")

    def applied(x: Any, y: Any) -> ca.Value:
        if isinstance(x, int | float):
            x = number(y, x)
        if isinstance(y, int | float):
            y = number(x, y)
        return operation(computed(x) if is_constant(x) and is_constant(y) else x, y)

    return applied


add, sub, mul, div = (_binary(name) for name in ("add", "sub", "mul", "divide"))
maximum, minimum, power, greater = (_binary(name) for name in ("maximum", "minimum", "pow", "greater"))
equal, not_equal, floor_div = (_binary(name) for name in ("equal", "not_equal", "floor_divide"))
both, either, exclusive = (_binary(name) for name in ("and", "or", "xor"))
_truncated = _binary("modulo")


def less(x: Any, y: Any) -> ca.Value:
    """x < y."""
    return greater(y, x)


def where(condition: Value, x: Any, y: Any) -> ca.Value:
    """x where the condition holds, else y."""
    x, y = (number(y, x) if isinstance(x, float) else x), (number(x, y) if isinstance(y, float) else y)
    return ca.broadcasting_where(computed(condition), x, y)


def remainder(x: Any, y: Any) -> ca.Value:
    """The remainder with the sign of the divisor; Core AI's own has that of the dividend."""
    made = _truncated(x, y)
    if dtype(made).kind == "u":
        return made
    other_sign = exclusive(less(made, 0), less(y, number(made, 0)))
    return where(both(not_equal(made, 0), other_sign), add(made, y), made)


def floor(x: Value) -> Value:
    """x rounded down; Core AI's own quotient makes infinity not a number."""
    if not is_float(x):
        return x
    nearest = ca.round_(x)
    return sub(nearest, cast(greater(nearest, x), dtype(x)))


def as_numbers(rule: Callable) -> Callable:
    """The rule extended to truth values: they go in as 0 and 1, and results that are not 0 are true."""

    @functools.wraps(rule)
    def applied(node: Node, *inputs: Value) -> Any:
        made = rule(node, *[cast(x, np.int32) if dtype(x).kind == "b" else x for x in inputs])
        wanted = node.outputs[0].dtype
        if wanted != "bool" or dtype(made).kind == "b":
            return made
        return not_equal(made, 0)

    return applied


def _one(operation: str) -> Callable:
    return lambda node, x: getattr(ca, operation)(x)


RULES |= {kind: as_numbers(_one(operation)) for kind, operation in UNARY.items()}
BINARY = {"Add": add, "Subtract": sub, "Multiply": mul, "Maximum": maximum, "Minimum": minimum}
BINARY |= {"Greater": greater, "Less": less, "Remainder": remainder, "FloorDivide": floor_div}
BINARY |= {"Divide": div, "Power": power}
BINARY["GreaterEqual"] = lambda x, y: either(greater(x, y), equal(x, y))
BINARY["LessEqual"] = lambda x, y: either(less(x, y), equal(x, y))


def _two(operation: Callable) -> Callable:
    return lambda node, x, y: operation(x, y)


RULES |= {kind: as_numbers(_two(operation)) for kind, operation in BINARY.items()}
RULES |= {"LogicalAnd": _two(both), "LogicalOr": _two(either)}
RULES["LogicalNot"] = lambda node, x: ca.not_(x)
RULES["identity"] = RULES["Full"] = lambda node, x: x
RULES["Depends"] = lambda node, *inputs: inputs[: len(node.outputs)]
RULES["Floor"] = as_numbers(lambda node, x: floor(x))
RULES["Ceil"] = as_numbers(lambda node, x: mul(floor(mul(x, -1.0)), -1.0) if is_float(x) else x)
RULES["Round"] = as_numbers(lambda node, x: ca.round_(x) if is_float(x) else x)
RULES["Square"] = as_numbers(lambda node, x: mul(x, x))
RULES["Negative"] = lambda node, x: sub(number(x, 0), x) if not is_float(x) else mul(x, -1.0)
RULES["Select"] = lambda node, condition, x, y: where(condition, x, y)


@lowering("Sign")
@as_numbers
def sign(node: Node, x: Value) -> Value:
    """1, 0 or -1."""
    positive = cast(greater(x, number(x, 0)), dtype(x))
    return positive if dtype(x).kind == "u" else sub(positive, cast(less(x, number(x, 0)), dtype(x)))


@lowering("Equal")
@as_numbers
def equals(node: Node, x: Value, y: Value) -> Value:
    """x == y; with the argument, nan equals nan."""
    (nan_equal,) = node.unpack(1)
    same = equal(x, y)
    return either(same, both(not_equal(x, x), not_equal(y, y))) if nan_equal and is_float(x) else same


@lowering("NotEqual")
def not_equals(node: Node, x: Value, y: Value) -> Value:
    """x != y, of truth values the exclusive or."""
    return exclusive(x, y) if dtype(x).kind == "b" else not_equal(x, y)


@lowering("DivMod")
def divide_with_remainder(node: Node, x: Value, y: Value) -> tuple[Value, Value]:
    """The quotient rounded down, and the remainder with the sign of the divisor, in MLX's latest releases."""
    if divmod_truncates():
        return div(x, y), _truncated(x, y)
    return floor_div(x, y), remainder(x, y)


@lowering("Sqrt")
def square_root(node: Node, x: Value) -> Value:
    """sqrt(x), or 1 / sqrt(x) when the argument is true."""
    (reciprocal,) = node.unpack(1)
    return ca.rsqrt(x) if reciprocal else ca.sqrt(x)


@lowering("Log")
def logarithm(node: Node, x: Value) -> Value:
    """log(x); the argument is 0 for base 2, 1 for base 10, 2 for base e."""
    (base,) = node.unpack(1)
    return ca.log(x) if base == 2 else mul(ca.log(x), 1 / math.log((2, 10)[base]))


@lowering("AsType")
def as_type(node: Node, x: Value) -> Value:
    """A cast: to whole numbers by truncation, to bool by != 0; the driver casts between float types."""
    output = node.output
    if output.dtype == "bool":
        return x if dtype(x).kind == "b" else not_equal(x, number(x, 0))
    if output.is_float:
        return x if is_float(x) else cast(x, np.float32)
    if is_float(x):  # a narrow type would be given its nearest number, where MLX keeps the low bits
        x = cast(x, np.int64)
    return cast(x, output.dtype)
