"""Elementwise operations: what MIL has under another name, and what is composed of several."""

import math

from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from twins.coreml.graph import Node
from twins.coreml.lowering.registry import RULES, lowering

UNARY = (
    {
        "Abs": "abs",
        "Ceil": "ceil",
        "Floor": "floor",
        "Sign": "sign",
        "Exp": "exp",
        "Sin": "sin",
        "Cos": "cos",
    }
    | {"Tan": "tan", "Sinh": "sinh", "Cosh": "cosh", "Tanh": "tanh", "ArcSin": "asin", "ArcCos": "acos"}
    | {"ArcTan": "atan", "ArcTanh": "atanh", "Erf": "erf", "Sigmoid": "sigmoid", "LogicalNot": "logical_not"}
    | {"Round": "round", "identity": "identity"}
)
BINARY = (
    {"Add": "add", "Subtract": "sub", "Multiply": "mul", "Maximum": "maximum", "Minimum": "minimum"}
    | {"Power": "pow", "NotEqual": "not_equal", "Equal": "equal", "Greater": "greater", "Less": "less"}
    | {"GreaterEqual": "greater_equal", "LessEqual": "less_equal"}
    | {"LogicalAnd": "logical_and", "LogicalOr": "logical_or", "FloorDivide": "floor_div"}
)


def number(like, value: float):
    """A number in the type of a variable."""
    return types.nptype_from_builtin(like.dtype)(value)


def _unary(kind: str):
    return lambda node, x: getattr(mb, UNARY[kind])(x=x)


def _binary(kind: str):
    return lambda node, x, y: getattr(mb, BINARY[kind])(x=x, y=y)


for _kind in UNARY:
    RULES[_kind] = _unary(_kind)
for _kind in BINARY:
    RULES[_kind] = _binary(_kind)


@lowering("Negative")
def negative(node: Node, x):
    """-x."""
    return mb.mul(x=x, y=number(x, -1))


@lowering("Square")
def square(node: Node, x):
    """x * x: MIL's `square` takes floating-point numbers only."""
    return mb.mul(x=x, y=x)


@lowering("Sqrt")
def sqrt(node: Node, x):
    """The root, or one over it when the argument says so; MIL adds an epsilon to rsqrt unless told."""
    (reciprocal,) = node.unpack(1)
    root = mb.sqrt(x=x)
    return mb.real_div(x=number(x, 1), y=root) if reciprocal else root


@lowering("Log")
def log(node: Node, x):
    """0 is the logarithm to base 2, 1 to base 10, 2 the natural one."""
    (base,) = node.unpack(1)
    natural = mb.log(x=x, epsilon=number(x, 0))
    return natural if base == 2 else mb.mul(x=natural, y=number(x, 1 / math.log((2, 10)[base])))


@lowering("Divide")
def divide(node: Node, x, y):
    """Floating-point division."""
    return mb.real_div(x=x, y=y)


@lowering("Select")
def select(node: Node, condition, a, b):
    """a where the condition holds, else b."""
    return mb.select(cond=condition, a=a, b=b)


@lowering("AsType")
def as_type(node: Node, x):
    """To a whole number by truncation, to bool by != 0; between floating-point types the driver casts."""
    if node.output.dtype == "bool":
        return x if types.is_bool(x.dtype) else mb.not_equal(x=x, y=number(x, 0))
    if node.output.is_float:
        return x if types.is_float(x.dtype) else mb.cast(x=x, dtype="fp32")
    return x if types.builtin_to_string(x.dtype) == "int32" else mb.cast(x=x, dtype="int32")


@lowering("LogAddExp")
def log_add_exp(node: Node, x, y):
    """max(x, y) + log(1 + exp(-|x - y|))."""
    apart = mb.abs(x=mb.sub(x=x, y=y))
    small = mb.exp(x=mb.mul(x=apart, y=number(x, -1)))
    return mb.add(x=mb.maximum(x=x, y=y), y=mb.log(x=mb.add(x=small, y=number(x, 1)), epsilon=number(x, 0)))


@lowering("Log1p")
def log1p(node: Node, x):
    """log(1 + x)."""
    return mb.log(x=mb.add(x=x, y=number(x, 1)), epsilon=number(x, 0))


@lowering("Expm1")
def expm1(node: Node, x):
    """exp(x) - 1."""
    return mb.sub(x=mb.exp(x=x), y=number(x, 1))
