"""Layers over channels-first tensors: convolutions, pooling, norms, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import add, mul, sub
from mlx_coreml.backends.coreai.lowering.products import along
from mlx_coreml.backends.coreai.lowering.registry import RULES, lowering
from mlx_coreml.backends.coreai.lowering.tensors import padded
from mlx_coreml.backends.coreai.lowering.values import (
    Value,
    axes_of,
    broadcast,
    cast,
    computed,
    dtype,
    number,
    part,
    reshape,
    shape,
    sizes_of,
    transpose,
)
from mlx_coreml.ir.graph import Node
from mlx_coreml.passes.fuse.upsampling import linear


@lowering("conv")
def conv(node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Correlation; the weight is (out, in / groups, ...)."""
    strides, pads, dilations, groups = node.unpack(4)
    x = _padded(x, pads, 0.0)
    x, weight, (strides, dilations) = _two_dimensional(x, weight, (strides, dilations))
    operation = ca.conv2d if len(strides) == 2 else ca.conv3d
    made = operation(x, weight, sizes_of(strides), sizes_of(dilations), np.uint32(groups))
    return _biased(node, made, bias)


@lowering("conv_transpose")
def conv_transpose(node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Transposed convolution, its result cropped by the padding; the weight is (in, out / groups, ...)."""
    strides, pads, dilations, groups = node.unpack(4)
    x, weight, (strides, dilations) = _two_dimensional(x, weight, (strides, dilations))
    none = sizes_of([0] * len(strides))
    operation = ca.conv_transpose2d if len(strides) == 2 else ca.conv_transpose3d
    made = operation(x, weight, sizes_of(strides), none, sizes_of(dilations), none, np.uint32(groups))
    sizes = node.output.shape
    before = pads[::2] if any(pads) else [0] * (len(sizes) - 2)
    if len(sizes) == 3:
        made = reshape(made, (*shape(made)[:2], shape(made)[-1]))
    missing = [
        max(b + size - full, 0) for b, size, full in zip(before, sizes[2:], shape(made)[2:], strict=True)
    ]
    if any(missing):
        made = padded(made, [(0, 0), (0, 0), *[(0, n) for n in missing]], number(made, 0))
    kept = [range(b, b + size) for b, size in zip(before, sizes[2:], strict=True)]
    return _biased(node, part(made, [range(sizes[0]), range(sizes[1]), *kept]), bias)


def _two_dimensional(x: Value, weight: Value, options: Sequence) -> tuple[Value, Value, list]:
    """One spatial axis as the second of two; Core AI convolves over two or three."""
    if len(shape(x)) > 3:
        return x, weight, [list(each) for each in options]
    x, weight = (reshape(each, (*shape(each)[:2], 1, shape(each)[2])) for each in (x, weight))
    return x, weight, [[1, *each] for each in options]


def _padded(x: Value, pads: Sequence[int], value: float) -> Value:
    """The spatial axes with a number before and after."""
    if not any(pads):
        return x
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    return padded(x, [(0, 0)] * (len(shape(x)) - len(pairs)) + pairs, number(x, value))


def _biased(node: Node, made: Value, bias: Value | None) -> Value:
    made = reshape(made, node.output.shape)
    return made if bias is None else add(made, reshape(bias, (shape(bias)[0], *_ones(made))))


def _ones(x: Value) -> list[int]:
    return [1] * (len(shape(x)) - 2)


@lowering("max_pool")
def max_pool(node: Node, x: Value) -> Value:
    """The largest element of each window; padding is never the largest."""

    def pooled(x: Value, kernel: Sequence[int], strides: Sequence[int]) -> Value:
        sizes = [(n - k) // s + 1 for n, k, s in zip(shape(x)[2:], kernel, strides, strict=True)]
        made = ca.TensorType((*shape(x)[:2], *sizes), dtype(x).type)
        operation = ca.maxpool2d if len(kernel) == 2 else ca.maxpool3d
        ones = sizes_of([1] * len(kernel))
        return operation(made, x, sizes_of(kernel), sizes_of(strides), ones, np.bool_(False))

    return _pooled(node, x, -math.inf, pooled)


@lowering("avg_pool")
def avg_pool(node: Node, x: Value) -> Value:
    """The mean of each window; padding counts as zeros."""

    def pooled(x: Value, kernel: Sequence[int], strides: Sequence[int]) -> Value:
        operation = ca.sumpool2d if len(kernel) == 2 else ca.sumpool3d
        ones = computed(sizes_of([1] * len(kernel)))
        return mul(operation(x, sizes_of(kernel), sizes_of(strides), ones), 1 / math.prod(kernel))

    return _pooled(node, x, 0.0, pooled)


def _pooled(node: Node, x: Value, value: float, pooled: Callable) -> Value:
    kernel, strides, pads = node.unpack(3)
    x = _padded(x, pads, value)
    if len(kernel) == 1:
        x, kernel, strides = reshape(x, (*shape(x)[:2], 1, shape(x)[2])), [1, *kernel], [1, *strides]
    return reshape(pooled(x, list(kernel), list(strides)), node.output.shape)


@lowering("batch_norm")
def batch_norm(node: Node, x: Value, scale: Value, shift: Value) -> Value:
    """x * scale + shift, with constant numbers per element of an axis."""
    (axis,) = node.unpack(1)
    sizes = [size if i == axis else 1 for i, size in enumerate(shape(x))][axis:]
    return add(mul(x, reshape(scale, sizes)), reshape(shift, sizes))


def _normalized(x: Value, axes: Sequence[int], epsilon: float, centered: bool = True) -> Value:
    """(x - mean) / sqrt(variance + epsilon) over axes, in fp32: in fp16 a square overflows above 255."""
    wide = cast(x, np.float32)
    places = axes_of(axes, x)
    if centered:
        wide = sub(wide, ca.reduce_mean(wide, places))
    variance = ca.reduce_mean(mul(wide, wide), places)
    return cast(mul(wide, ca.rsqrt(add(variance, float(epsilon)))), dtype(x))


def _affine(x: Value, weight: Value | None, bias: Value | None, sizes: Sequence[int]) -> Value:
    made = x if weight is None else mul(x, reshape(weight, sizes))
    return made if bias is None else add(made, reshape(bias, sizes))


@lowering("layer_norm")
def layer_norm(node: Node, x: Value, weight: Value | None = None, bias: Value | None = None) -> Value:
    """(x - mean) / sqrt(variance + epsilon) * weight + bias, over axes."""
    axes, epsilon = node.unpack(2)
    return _over_axes(x, _normalized(x, axes, epsilon), axes, weight, bias)


@lowering("rms_norm")
def rms_norm(node: Node, x: Value, weight: Value | None = None) -> Value:
    """x / sqrt(mean(x * x) + epsilon) * weight."""
    axes, epsilon = node.unpack(2)
    return _over_axes(x, _normalized(x, axes, epsilon, centered=False), axes, weight, None)


def _over_axes(x: Value, made: Value, axes: Sequence[int], weight: Value | None, bias: Value | None) -> Value:
    """Weight and bias have the axes in the order in which these are listed."""
    axes = [axis % len(shape(x)) for axis in axes]
    sizes = [size if axis in axes else 1 for axis, size in enumerate(shape(x))]
    if weight is not None and len(shape(weight)) == len(axes):
        weight = transpose(weight, np.argsort(axes))
    if bias is not None and len(shape(bias)) == len(axes):
        bias = transpose(bias, np.argsort(axes))
    return _affine(made, weight, bias, sizes)


@lowering("instance_norm")
def instance_norm(node: Node, x: Value, weight: Value | None = None, bias: Value | None = None) -> Value:
    """A norm of every channel over its spatial axes."""
    (epsilon,) = node.unpack(1)
    made = _normalized(x, range(2, len(shape(x))), epsilon)
    return _affine(made, weight, bias, [shape(x)[1], *_ones(x)])


@lowering("group_norm")
def group_norm(node: Node, x: Value, weight: Value | None = None, bias: Value | None = None) -> Value:
    """A norm of groups of neighbouring channels over them and their spatial axes."""
    groups, epsilon = node.unpack(2)
    apart = reshape(x, (shape(x)[0], groups, math.prod(shape(x)[1:]) // groups))
    made = reshape(_normalized(apart, [2], epsilon), shape(x))
    return _affine(made, weight, bias, [shape(x)[1], *_ones(x)])


@lowering("upsample_nearest")
def upsample_nearest(node: Node, x: Value) -> Value:
    """Every pixel of the last one to three axes repeated."""
    (factors,) = node.unpack(1)
    kept = shape(x)[: len(shape(x)) - len(factors)]
    last = shape(x)[len(kept) :]
    lifted = reshape(x, [*kept, *[n for size in last for n in (size, 1)]])
    sizes = [*kept, *[n for pair in zip(last, map(int, factors), strict=True) for n in pair]]
    return reshape(broadcast(lifted, sizes), node.output.shape)


@lowering("resize_linear")
def resize_linear(node: Node, x: Value) -> Value:
    """Linear interpolation of the last two axes, as products with the matrices of each axis."""
    sizes, mode = node.unpack(2)
    for axis, size in zip((-2, -1), sizes, strict=True):
        x = along(x, linear(size, shape(x)[axis], mode).astype(dtype(x)), axis)
    return x


# How each shuffle takes the axes apart, and the order in which it joins them.
TO_SPACE = {"pixel_shuffle": (0, 1, 4, 2, 5, 3), "depth_to_space": (0, 3, 4, 1, 5, 2)}
TO_DEPTH = {"pixel_unshuffle": (0, 1, 3, 5, 2, 4), "space_to_depth": (0, 3, 5, 1, 2, 4)}


def _to_space(kind: str) -> Callable:
    def shuffle(node: Node, x: Value) -> Value:
        (r,) = map(int, node.unpack(1))
        n, c, h, w = shape(x)
        parts = (c // r**2, r, r) if kind == "pixel_shuffle" else (r, r, c // r**2)
        return reshape(transpose(reshape(x, (n, *parts, h, w)), TO_SPACE[kind]), node.output.shape)

    return shuffle


def _to_depth(kind: str) -> Callable:
    def shuffle(node: Node, x: Value) -> Value:
        (r,) = map(int, node.unpack(1))
        n, c, h, w = shape(x)
        apart = reshape(x, (n, c, h // r, r, w // r, r))
        return reshape(transpose(apart, TO_DEPTH[kind]), node.output.shape)

    return shuffle


RULES |= {kind: _to_space(kind) for kind in TO_SPACE} | {kind: _to_depth(kind) for kind in TO_DEPTH}
