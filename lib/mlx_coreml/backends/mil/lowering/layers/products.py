"""Matrix products."""

from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node


@lowering("Matmul")
def matmul(node: Node, a, b):
    """a @ b; axes before the last two are broadcast."""
    return mb.matmul(x=a, y=b)


@lowering("AddMM")
def add_product(node: Node, a, b, c):
    """alpha * a @ b + beta * c."""
    alpha, beta = node.unpack(2)
    product = mb.matmul(x=a, y=b)
    if alpha != 1:
        product = mb.mul(x=product, y=number(product, alpha))
    if beta == 0:
        return product
    return mb.add(x=product, y=c if beta == 1 else mb.mul(x=c, y=number(c, beta)))
