"""Matrix products: linear layers, attention, mixtures of experts, quantized weights."""

from __future__ import annotations

import math

import coreai.authoring as ca
import mlx.core as mx
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import add, mul, not_equal, where
from mlx_coreml.backends.coreai.lowering.indexing import from_start
from mlx_coreml.backends.coreai.lowering.registry import lowering
from mlx_coreml.backends.coreai.lowering.tensors import gathered, taken
from mlx_coreml.backends.coreai.lowering.values import (
    Value,
    cast,
    computed,
    dtype,
    is_constant,
    is_float,
    number,
    reshape,
    shape,
    swap_last,
)
from mlx_coreml.ir.graph import Node

LOWEST = {2: -4e4, 4: -1e30}  # what a constant bias may be at least, by the bytes of its type


def product(a: Value, b: Value) -> Value:
    """a @ b; axes before the last two are broadcast, and a vector is one row."""
    if len(shape(a)) == 1:
        return reshape(product(reshape(a, (1, *shape(a))), b), (*shape(b)[:-2], shape(b)[-1]))
    return ca.broadcasting_batch_matmul(computed(a) if is_constant(b) else a, b)


@lowering("Matmul")
def matrix_product(node: Node, a: Value, b: Value) -> Value:
    """a @ b."""
    return product(a, b)


@lowering("matmul")
def product_of_transposed(node: Node, a: Value, b: Value) -> Value:
    """a @ b, with the last two axes of either transposed."""
    transpose_a, transpose_b = node.unpack(2)
    return product(swap_last(a) if transpose_a else a, swap_last(b) if transpose_b else b)


@lowering("AddMM")
def add_product(node: Node, a: Value, b: Value, c: Value) -> Value:
    """alpha * a @ b + beta * c."""
    alpha, beta = node.unpack(2)
    made = product(a, b)
    made = made if alpha == 1 else mul(made, float(alpha))
    if beta == 0:
        return made
    return add(made, c if beta == 1 else mul(c, float(beta)))


@lowering("linear")
def linear(node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """x @ weight.T + bias."""
    made = product(x, swap_last(weight))
    return made if bias is None else add(made, bias)


@lowering("resample")
def resample(node: Node, x: Value, matrix: Value) -> Value:
    """A constant matrix times an axis."""
    (axis,) = node.unpack(1)
    return along(x, matrix, axis)


def along(x: Value, matrix: Value, axis: int) -> Value:
    """A matrix (out, in) times an axis."""
    sizes, axis = shape(x), axis % len(shape(x))
    if axis == len(sizes) - 1:
        return product(x, swap_last(matrix))
    joined = reshape(x, [*sizes[: axis + 1], math.prod(sizes[axis + 1 :])])
    return reshape(product(matrix, joined), [*sizes[:axis], shape(matrix)[0], *sizes[axis + 1 :]])


@lowering("Hadamard")
def hadamard(node: Node, x: Value) -> Value:
    """The Walsh-Hadamard transform times a factor, as a product with the transformed unit vectors."""
    (scale,) = node.unpack(1)
    with mx.stream(mx.cpu):
        rows = mx.hadamard_transform(mx.eye(shape(x)[-1]), scale=scale)
    return product(x, np.array(rows).astype(dtype(x)))


@lowering("bounded")
def bounded(node: Node, bias: Value) -> Value:
    """A constant bias, limited so that its sum with a score does not overflow."""
    return np.maximum(bias, number(bias, LOWEST[dtype(bias).itemsize]))


@lowering("masked_softmax")
def masked_softmax(node: Node, scores: Value, bias: Value) -> Value:
    """softmax(scores + bias), computed in fp32 in any program: a bias is as low as the model's user likes."""
    return _softmax(add(scores, bias))


@lowering("attention")
def attention(node: Node, q: Value, k: Value, v: Value, mask: Value | None = None) -> Value:
    """softmax(scale * q @ k.T, masked) @ v: the public interface has no operation for it."""
    scale, how = node.unpack(2)
    scores = product(q if math.isclose(scale, 1, rel_tol=1e-6) else mul(q, float(scale)), swap_last(k))
    if how == "add":
        scores = add(scores, mask)
    elif how == "select":
        scores = where(mask, scores, float(np.finfo(dtype(scores)).min))
    return product(_softmax(scores), v)


def _softmax(x: Value) -> Value:
    return ca.softmax(x, np.int32(len(shape(x)) - 1))


@lowering("GatherMM")
def gathered_product(node: Node, a: Value, b: Value, left: Value, right: Value) -> Value:
    """a[left] @ b[right], the axes before the last two counted as one."""
    node.unpack(2)
    return _selected(node, a, b, left, right)


@lowering("gather_mm")
def gathered_transposed_product(node: Node, a: Value, b: Value, left: Value, right: Value) -> Value:
    """As GatherMM, with the last two axes of b exchanged when the argument says so."""
    (exchanged,) = node.unpack(1)
    return _selected(node, a, swap_last(b) if exchanged else b, left, right)


def _selected(node: Node, a: Value, b: Value, left: Value, right: Value) -> Value:
    a, b = (reshape(x, (math.prod(shape(x)[:-2]), *shape(x)[-2:])) for x in (a, b))
    count = math.prod(node.output.shape[:-2])
    left, right = (
        reshape(from_start(tensor, index, shape(x)[0]), (count,))
        for tensor, index, x in zip(node.inputs[2:], (left, right), (a, b), strict=True)
    )
    if count <= shape(b)[0]:
        made = product(_picked(a, left), _picked(b, right))
    else:  # a copy of one matrix per product would be larger than all the matrices
        rows = reshape(a, (1, shape(a)[0] * shape(a)[1], shape(a)[2]))
        every = reshape(product(rows, b), (shape(b)[0], *shape(a)[:2], node.output.shape[-1]))
        made = gathered(every, [right, left])
    return reshape(made, node.output.shape)


def _picked(x: Value, index: Value) -> Value:
    """The matrices at the indices, without a gather when these are all in order."""
    if is_constant(index) and np.array_equal(index, np.arange(shape(x)[0])):
        return x
    return taken(x, index, 0)


@lowering("BlockMaskedMM")
def block_masked_product(node: Node, a: Value, b: Value, *masks: Value) -> Value:
    """a @ b with masks over square blocks: one is for the product, two for the operands, three for all."""
    (block,) = node.unpack(1)
    outside, operands = masks[: len(masks) % 2], masks[len(masks) % 2 :]
    if operands:
        a, b = (_weighed(x, mask, block) for x, mask in zip((a, b), operands, strict=True))
    made = product(a, b)
    return _weighed(made, outside[0], block) if outside else made


def _weighed(x: Value, mask: Value, block: int) -> Value:
    """x times the mask of its blocks, or x where the mask is true."""
    for axis in (-2, -1):
        mask = taken(mask, np.arange(shape(x)[axis], dtype=np.int32) // block, axis)
    return mul(x, mask) if is_float(mask) else where(not_equal(cast(mask, np.int32), 0), x, 0.0)


@lowering("dequantized")
def dequantized(node: Node, scale: Value, *offset: Value) -> Value:
    """scale * (q - offset), one scale and offset per block along the last axis (see quantized_weights.py).

    The numbers are stored with 8 bits: the interpreter of 1.0.0b3 reads constants of 4 bits wrongly.
    """
    (packed,) = node.unpack(1)
    wide = offset[0] if offset else packed.offset
    whole = np.zeros(shape(scale), np.uint8) if offset else wide.astype(np.uint8)
    shift = -wide * scale if offset else np.zeros_like(scale)
    return ca.blockwise_shift_scale(packed.data.astype(np.uint8), scale, whole, shift)
