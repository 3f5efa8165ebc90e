"""Linear layers, and products with transposed operands."""

from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node


@lowering("linear")
def linear(node: Node, x, weight, bias=None):
    """x @ weight.T + bias."""
    return mb.linear(x=x, weight=weight, bias=bias) if bias is not None else mb.linear(x=x, weight=weight)


@lowering("matmul")
def matmul(node: Node, a, b):
    """a @ b, with the last two axes of either transposed."""
    transpose_a, transpose_b = node.unpack(2)
    return mb.matmul(x=a, y=b, transpose_x=transpose_a, transpose_y=transpose_b)
