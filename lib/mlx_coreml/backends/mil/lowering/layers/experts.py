"""Products with matrices that are selected by index (mixtures of experts) or masked by blocks."""

import math

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var, types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.backends.mil.lowering.tensors.indexing import from_start, joined
from mlx_coreml.ir.graph import Node


@lowering("GatherMM")
def gathered_product(node: Node, a, b, left, right):
    """a[left] @ b[right], the axes before the last two counted as one."""
    node.unpack(2)
    return _product(node, a, b, left, right, transpose=False)


@lowering("gather_mm")
def gathered_transposed_product(node: Node, a, b, left, right):
    """As GatherMM, with the last two axes of b exchanged when the argument says so."""
    (transpose,) = node.unpack(1)
    return _product(node, a, b, left, right, transpose)


def _product(node: Node, a, b, left, right, transpose: bool) -> Var:
    a, b = (mb.reshape(x=x, shape=[-1, *x.shape[-2:]]) if len(x.shape) != 3 else x for x in (a, b))
    count = math.prod(node.output.shape[:-2])
    left, right = (
        _flat(from_start(tensor, index, x.shape[0]), count)
        for tensor, index, x in zip(node.inputs[2:], (left, right), (a, b), strict=True)
    )
    if count <= b.shape[0]:
        made = mb.matmul(x=_picked(a, left), y=_picked(b, right), transpose_y=transpose)
    else:  # a copy of one matrix per product would be larger than all the matrices
        rows = mb.reshape(x=a, shape=[1, a.shape[0] * a.shape[1], a.shape[2]])
        every = mb.matmul(x=rows, y=b, transpose_y=transpose)
        every = mb.reshape(x=every, shape=[b.shape[0], *a.shape[:2], node.output.shape[-1]])
        made = mb.gather_nd(x=every, indices=joined([right, left]))
    return mb.reshape(x=made, shape=list(node.output.shape))


def _flat(index, count: int):
    if isinstance(index, np.ndarray):
        return index.reshape(count)
    return mb.reshape(x=index, shape=[count])


def _picked(x: Var, index) -> Var:
    """The matrices at the indices, without a gather when these are all in order."""
    if isinstance(index, np.ndarray) and np.array_equal(index, np.arange(x.shape[0])):
        return x
    return mb.gather(x=x, indices=index, axis=0)


@lowering("BlockMaskedMM")
def block_masked_product(node: Node, a, b, *masks):
    """a @ b with masks over square blocks: one is for the product, two for the operands, three for all."""
    (block,) = node.unpack(1)
    outside, operands = masks[: len(masks) % 2], masks[len(masks) % 2 :]
    if operands:
        a, b = (_weighed(x, mask, block) for x, mask in zip((a, b), operands, strict=True))
    product = mb.matmul(x=a, y=b)
    return _weighed(product, outside[0], block) if outside else product


def _weighed(x: Var, mask: Var, block: int) -> Var:
    """x times the mask of its blocks, or x where the mask is true."""
    weights = mb.cast(x=mask, dtype="int32") if types.is_bool(mask.dtype) else mask
    for axis in (-2, -1):
        weights = mb.gather(x=weights, indices=np.arange(x.shape[axis], dtype=np.int32) // block, axis=axis)
    if types.is_float(weights.dtype):
        return mb.mul(x=x, y=weights)
    return mb.select(cond=mb.not_equal(x=weights, y=0), a=x, b=number(x, 0))
