"""The MLX call of each primitive, so that constants are folded with MLX's own arithmetic.

A rule is `rule(node, *values) -> value or list of values`. The meaning of the arguments is in MLX's
headers, mlx/primitives.h (`state()`), https://github.com/ml-explore/mlx.
"""

import math
from collections.abc import Callable

import mlx.core as mx

from mlx_coreml.ir.graph import Node

UNARY = (
    {"Abs": mx.abs, "Ceil": mx.ceil, "Floor": mx.floor, "Negative": mx.negative, "Sign": mx.sign}
    | {"Square": mx.square, "Exp": mx.exp, "Expm1": mx.expm1, "Log1p": mx.log1p, "Round": mx.round}
    | {"Sin": mx.sin, "Cos": mx.cos, "Tan": mx.tan, "Sinh": mx.sinh, "Cosh": mx.cosh, "Tanh": mx.tanh}
    | {"ArcSin": mx.arcsin, "ArcCos": mx.arccos, "ArcTan": mx.arctan, "ArcSinh": mx.arcsinh}
    | {"ArcCosh": mx.arccosh, "ArcTanh": mx.arctanh, "Erf": mx.erf, "ErfInv": mx.erfinv}
    | {"Sigmoid": mx.sigmoid, "LogicalNot": mx.logical_not, "identity": lambda x: x, "Full": lambda x: x}
)
BINARY = (
    {"Add": mx.add, "Subtract": mx.subtract, "Multiply": mx.multiply}
    | {"Power": mx.power, "Maximum": mx.maximum, "Minimum": mx.minimum, "LogAddExp": mx.logaddexp}
    | {"ArcTan2": mx.arctan2, "Remainder": mx.remainder, "FloorDivide": mx.floor_divide}
    | {"NotEqual": mx.not_equal, "Greater": mx.greater, "GreaterEqual": mx.greater_equal}
    | {"Less": mx.less, "LessEqual": mx.less_equal, "LogicalAnd": mx.logical_and}
    | {"LogicalOr": mx.logical_or, "Select": mx.where, "Matmul": mx.matmul}
)
LOGARITHMS = {0: mx.log2, 1: mx.log10, 2: mx.log}
BITWISE = [mx.bitwise_and, mx.bitwise_or, mx.bitwise_xor, mx.left_shift, mx.right_shift]
REDUCTIONS = [mx.all, mx.any, mx.sum, mx.prod, mx.min, mx.max]

EVALUATE: dict[str, Callable] = {}


def _plain(function: Callable) -> Callable:
    return lambda node, *values: function(*values)


EVALUATE |= {kind: _plain(function) for kind, function in (UNARY | BINARY).items()}


def evaluation(kind: str) -> Callable:
    """File a rule under a primitive's name."""

    def file(rule: Callable) -> Callable:
        if kind in EVALUATE:
            raise ValueError(f"primitive '{kind}' has two evaluation rules")
        EVALUATE[kind] = rule
        return rule

    return file


EVALUATE |= {
    "Divide": lambda node, a, b: (mx.divide if node.output.is_float else mx.floor_divide)(a, b),  # MLX 0.31's
    "Sqrt": lambda node, x: mx.rsqrt(x) if node.arguments == (True,) else mx.sqrt(x),
    "Log": lambda node, x: LOGARITHMS[node.arguments[0]](x),
    "Equal": lambda node, a, b: _equal(a, b, node.arguments[0]),
    "BitwiseBinary": lambda node, a, b: BITWISE[node.arguments[0]](a, b),
    "AsType": lambda node, x: x.astype(getattr(mx, _type(node.output.dtype))),
    "Broadcast": lambda node, x, *_: mx.broadcast_to(x, node.output.shape),
    "Reshape": lambda node, x: mx.reshape(x, node.output.shape),
    "Flatten": lambda node, x: mx.reshape(x, node.output.shape),
    "Unflatten": lambda node, x: mx.reshape(x, node.output.shape),
    "ExpandDims": lambda node, x: mx.reshape(x, node.output.shape),
    "Squeeze": lambda node, x: mx.reshape(x, node.output.shape),
    "Transpose": lambda node, x: mx.transpose(x, node.arguments[0]),
    "Concatenate": lambda node, *x: mx.concatenate(list(x), axis=node.arguments[0]),
    "Split": lambda node, x: mx.split(x, list(node.arguments[0]), axis=node.arguments[1]),
    "Slice": lambda node, x: x[slices(*node.arguments)],
    "Softmax": lambda node, x: mx.softmax(x, axis=-1, precise=bool(node.arguments[0])),
    "Depends": lambda node, *values: list(values[: len(node.outputs)]),
    "DivMod": lambda node, a, b: list(mx.divmod(a, b)),
    "View": lambda node, x: x.view(getattr(mx, _type(node.output.dtype))),
    "Real": lambda node, x: mx.real(x),
    "Imag": lambda node, x: mx.imag(x),
    "Conjugate": lambda node, x: mx.conj(x),
    "BroadcastAxes": lambda node, x, *_: mx.broadcast_to(x, node.output.shape),
    "LogSumExp": lambda node, x: mx.logsumexp(x, axis=-1, keepdims=True),
}


def _type(name: str) -> str:
    return "bool_" if name == "bool" else name


def _equal(a, b, nan_equal: bool):
    return (a == b) | ((a != a) & (b != b)) if nan_equal else mx.equal(a, b)


def slices(start: tuple, end: tuple, strides: tuple) -> tuple[slice, ...]:
    """Python slices of a Slice: with a negative stride, an end below zero means through index 0."""
    return tuple(
        slice(a, None if s < 0 and b < 0 else b, s) for a, b, s in zip(start, end, strides, strict=True)
    )


@evaluation("Arange")
def arange(node: Node):
    """Start, stop and step come as floats; type and length from the result."""
    start, _, step = node.unpack(3)
    (count,) = node.output.shape
    counted = start + step * mx.arange(count, dtype=mx.float32 if node.output.is_float else mx.int64)
    return counted.astype(getattr(mx, node.output.dtype))


@evaluation("NumberOfElements")
def number_of_elements(node: Node, x):
    """The product of the sizes of some axes, or one over it."""
    axes, inverted, _ = node.unpack(3)
    count = math.prod(x.shape[axis] for axis in axes)
    return mx.array(1 / count if inverted else count, getattr(mx, _type(node.output.dtype)))


@evaluation("Reduce")
def reduce(node: Node, x):
    """Reduced axes stay as 1."""
    kind, axes = node.unpack(2)
    return REDUCTIONS[kind](x, axis=list(axes), keepdims=True).astype(getattr(mx, _type(node.output.dtype)))


@evaluation("ArgReduce")
def arg_reduce(node: Node, x):
    """0 is argmin, 1 argmax."""
    kind, axis = node.unpack(2)
    return (mx.argmin, mx.argmax)[kind](x, axis=axis, keepdims=True)


@evaluation("Pad")
def pad(node: Node, x, value):
    """Constant padding of some axes."""
    axes, low, high = node.unpack(3)
    widths = [(0, 0)] * x.ndim
    for axis, before, after in zip(axes, low, high, strict=True):
        widths[axis] = (before, after)
    return mx.pad(x, widths, constant_values=value)


@evaluation("AddMM")
def add_product(node: Node, a, b, c):
    """alpha * a @ b + beta * c."""
    alpha, beta = node.unpack(2)
    return alpha * (a @ b) + beta * c
