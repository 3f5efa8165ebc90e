"""Reductions over axes, and softmax."""

from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number, wrapped
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node

AND, OR, SUM, PRODUCT, MINIMUM, MAXIMUM = range(6)  # mlx/primitives.h, Reduce::ReduceType
REDUCTIONS = {AND: "reduce_min", OR: "reduce_max", SUM: "reduce_sum", PRODUCT: "reduce_prod"} | {
    MINIMUM: "reduce_min",
    MAXIMUM: "reduce_max",
}


@lowering("Reduce")
def reduce(node: Node, x, keep: bool = True):
    """A reduction whose axes stay with size 1. Truth values count as 0 and 1; any number but 0 is true."""
    kind, axes = node.unpack(2)
    if kind in (AND, OR) and not types.is_bool(x.dtype):
        x = mb.not_equal(x=x, y=number(x, 0))
    if types.is_bool(x.dtype):
        x = mb.cast(x=x, dtype="int32")
    made = getattr(mb, REDUCTIONS[kind])(x=x, axes=list(axes), keep_dims=keep) if axes else x
    if kind in (SUM, PRODUCT):
        made = wrapped(node, made)
    return mb.not_equal(x=made, y=0) if node.output.dtype == "bool" else made


@lowering("reduce")
def reduce_dropping(node: Node, x):
    """A reduction that drops its axes."""
    return reduce(node, x, keep=False)


@lowering("Softmax")
def softmax(node: Node, x):
    """Over the last axis; the argument tells MLX how to accumulate."""
    node.unpack(1)
    return mb.softmax(x=x, axis=-1)
