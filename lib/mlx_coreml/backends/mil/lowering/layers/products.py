"""Matrix products."""

from coremltools.converters.mil.mil import Builder as mb

from twins.coreml.graph import Node
from twins.coreml.lowering.elementwise import number
from twins.coreml.lowering.registry import lowering


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
