"""Shapes, slices, padding, and the bits of whole numbers."""

from __future__ import annotations

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import both, either, exclusive, floor_div, mul
from mlx_coreml.backends.coreai.lowering.registry import lowering
from mlx_coreml.backends.coreai.lowering.values import (
    Value,
    broadcast,
    cast,
    computed,
    concat,
    dtype,
    is_constant,
    part,
    reshape,
    shape,
    sizes_of,
    transpose,
)
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Node

AND, OR, XOR, LEFT, RIGHT = range(5)  # mlx/primitives.h, BitwiseBinary::Op
LOGIC = {AND: both, OR: either, XOR: exclusive}
BITWISE = {AND: ca.broadcasting_bitwise_and, OR: ca.broadcasting_bitwise_or, XOR: ca.broadcasting_bitwise_xor}


@lowering("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze")
def reshaped(node: Node, x: Value) -> Value:
    """To the shape MLX captured."""
    return reshape(x, node.output.shape)


@lowering("Transpose")
def transposed(node: Node, x: Value) -> Value:
    """Axes in a new order."""
    return transpose(x, node.unpack(1)[0])


@lowering("Concatenate")
def concatenated(node: Node, *parts: Value) -> Value:
    """Parts in order."""
    return concat(parts, node.unpack(1)[0])


@lowering("Split")
def split(node: Node, x: Value) -> list[Value]:
    """Cut before each index along an axis."""
    _, axis = node.unpack(2)
    sizes, axis = [t.shape[axis] for t in node.outputs], axis % len(shape(x))
    return [x] if len(sizes) == 1 else list(ca.split(x, sizes_of(sizes), np.int32(axis)))


@lowering("Slice")
def sliced(node: Node, x: Value) -> Value:
    """From start to end by strides."""
    return part(x, places_of(node.unpack(3), shape(x)))


def places_of(slices, sizes) -> list[range]:
    """The indices of a slice; with a negative stride an end below zero means through index 0."""
    found = []
    for start, end, stride, size in zip(*slices, sizes, strict=True):
        stop = max(end, -1) if stride < 0 else min(end, size)
        found.append(range(start, stop, stride))
    return found


@lowering("Broadcast")
def broadcasted(node: Node, x: Value, *_: Value) -> Value:
    """NumPy's broadcasting."""
    return broadcast(x, node.output.shape)


@lowering("Arange")
def arange(node: Node) -> Value:
    """Whole steps from a start."""
    start, _, step = node.unpack(3)
    made = start + step * np.arange(node.output.shape[0])
    return made.astype(np.float32 if node.output.is_float else node.output.dtype)


@lowering("Pad")
def pad(node: Node, x: Value, value: Value) -> Value:
    """Some axes get elements of one value before and after."""
    axes, low, high = node.unpack(3)
    widths = [(0, 0)] * len(shape(x))
    for axis, before, after in zip(axes, low, high, strict=True):
        widths[axis] = (before, after)
    return padded(x, widths, value) if any(map(any, widths)) else x


def padded(x: Value, widths, value: Value) -> Value:
    """x with elements of one value before and after each axis."""
    return ca.pad(x, sizes_of([n for pair in widths for n in pair]), reshape(cast(value, dtype(x)), ()))


@lowering("windows")
def windows(node: Node, x: Value) -> Value:
    """Windows along an axis, which becomes two: places and the window."""
    axis, size, stride = node.unpack(3)
    index = np.arange(node.output.shape[axis])[:, None] * stride + np.arange(size)
    return taken(x, index, axis)


@lowering("take")
def take(node: Node, x: Value, places: Value) -> Value:
    """Constant places of an axis."""
    return taken(x, places, node.unpack(1)[0])


def taken(x: Value, index: Value, axis: int) -> Value:
    """The elements of an axis at indices of any shape, whose axes replace it."""
    rank, many = len(shape(x)), len(shape(index))
    axis %= rank
    front = transpose(x, [axis, *[a for a in range(rank) if a != axis]])
    picked = gathered(front, [index])
    order = [*range(many, many + axis), *range(many), *range(many + axis, many + rank - 1)]
    return transpose(picked, order)


def gathered(x: Value, indices) -> Value:
    """Slices of x at indices of its first axes, whose own axes come first."""
    index = stacked(indices)
    return ca.gather_nd(x, index)


def stacked(indices) -> Value:
    """Index arrays as coordinates on a new last axis, in the type that gathers take."""
    lifted = [reshape(cast(each, np.int32), (*shape(each), 1)) for each in indices]
    return concat(lifted, len(shape(lifted[0])) - 1)


@lowering("BitwiseBinary")
def bitwise(node: Node, x: Value, y: Value) -> Value:
    """And, or, exclusive or, and shifts, which Core AI lacks: products and quotients of powers of two."""
    (kind,) = node.unpack(1)
    if dtype(x).kind == "b":
        if kind not in LOGIC:
            raise ConversionError(f"{node.where} shifts truth values; allowed are whole numbers")
        return LOGIC[kind](x, y)
    if kind in BITWISE:
        return BITWISE[kind](computed(x) if is_constant(y) else x, y)
    if kind == LEFT:
        return mul(x, _power_of_two(y, dtype(x)))
    wide = np.dtype(np.uint64 if dtype(x).kind == "u" else np.int64)  # 2**31 is no int32
    return cast(floor_div(cast(x, wide), _power_of_two(cast(y, wide), wide)), dtype(x))


def _power_of_two(y: Value, kind: np.dtype) -> Value:
    bits = kind.itemsize * 8
    table = (2 ** np.arange(bits, dtype=np.uint64)).astype(kind)
    return table[y.astype(np.int64)] if is_constant(y) else gathered(table, [y])


@lowering("View")
def view(node: Node, x: Value) -> Value:
    """The same bits as a whole number of the other sign, or a truth value as a whole number."""
    source, wanted = (tensor.dtype.removeprefix("u") for tensor in (node.inputs[0], node.output))
    if source == "bool" and wanted == "int8":
        return cast(x, node.output.dtype)
    if source != wanted or not wanted.startswith("int"):
        raise ConversionError(
            f"{node.where} reads the bits of {node.inputs[0].dtype} as {node.output.dtype}; "
            "allowed are whole numbers of one size"
        )
    return cast(x, node.output.dtype)
