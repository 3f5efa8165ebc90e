"""Convolutions in float64, from their definitions: one matrix product per tap of the kernel.

MLX 0.32.4 computes a float64 convolution in float32 (outputs are 1e-7 off), or refuses it or its gradient,
where there is a stride, a dilation or groups: "[Convolution::eval] got unsupported data type". Float64 matrix
products are right. Arguments are those of mlx.core; arrays have their channels last.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

Sizes = int | Sequence[int]


def _each(value: Sizes, count: int) -> tuple[int, ...]:
    """One size per axis."""
    return (value,) * count if isinstance(value, int) else tuple(value) * (count // len(value))


def _product(x: mx.array, tap: mx.array, groups: int) -> mx.array:
    """One tap: x (batch, ..., groups * in) by (out, in), each group of outputs from its own inputs."""
    if groups == 1:
        return x @ tap.T
    *lead, channels = x.shape
    each = channels // groups
    tap = tap.reshape(groups, -1, each)  # (groups, out / groups, in)
    x = x.reshape(-1, groups, each)
    if each == 1:  # depthwise: no sum
        return (x * tap[..., 0]).reshape(*lead, -1)
    made = x.swapaxes(0, 1) @ tap.swapaxes(1, 2)  # (groups, batch * ..., out / groups)
    return made.swapaxes(0, 1).reshape(*lead, -1)


def _spread(x: mx.array, steps: Sequence[int]) -> mx.array:
    """x with steps - 1 zeros between neighbours along every axis between the first and the last."""
    for axis, step in enumerate(steps, 1):
        if step > 1:
            shape = x.shape
            wide = mx.pad(
                mx.expand_dims(x, axis + 1),
                [(0, 0)] * (axis + 1) + [(0, step - 1)] + [(0, 0)] * (x.ndim - axis - 1),
            )
            x = wide.reshape(*shape[:axis], shape[axis] * step, *shape[axis + 1 :])
            x = x[(slice(None),) * axis + (slice(0, (shape[axis] - 1) * step + 1),)]
    return x


def _padded(x: mx.array, padding: Sequence[tuple[int, int]]) -> mx.array:
    """x with zeros before and after along every axis between the first and the last; fewer where negative."""
    for axis, (low, high) in enumerate(padding, 1):
        if min(low, high) < 0:
            kept = slice(max(-low, 0), x.shape[axis] - max(-high, 0))
            x = x[(slice(None),) * axis + (kept,)]
    return mx.pad(x, [(0, 0), *((max(low, 0), max(high, 0)) for low, high in padding), (0, 0)])


def conv_general(
    x: mx.array,
    weight: mx.array,
    stride: Sizes = 1,
    padding: Any = 0,
    kernel_dilation: Sizes = 1,
    input_dilation: Sizes = 1,
    groups: int = 1,
    flip: bool = False,
) -> mx.array:
    """A convolution of x (batch, ..., groups * in) with a weight (out, ..., in)."""
    kernel = weight.shape[1:-1]
    count = len(kernel)
    two = not isinstance(padding, int) and not isinstance(padding[0], int)
    low, high = (_each(side, count) for side in (padding if two else (padding, padding)))
    stride, dilation = _each(stride, count), _each(kernel_dilation, count)
    x = _padded(_spread(x, _each(input_dilation, count)), list(zip(low, high, strict=True)))
    ends = [size - d * (k - 1) for size, k, d in zip(x.shape[1:-1], kernel, dilation, strict=True)]
    total: Any = None
    for tap in product(*map(range, kernel)):
        starts = [(k - 1 - t if flip else t) * d for t, k, d in zip(tap, kernel, dilation, strict=True)]
        cut = tuple(slice(a, a + e, s) for a, e, s in zip(starts, ends, stride, strict=True))
        made = _product(x[(slice(None), *cut)], weight[(slice(None), *tap)], groups)
        total = made if total is None else total + made
    return total


def convolve(
    x: mx.array, weight: mx.array, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1
) -> mx.array:
    """mx.conv1d, conv2d and conv3d."""
    return conv_general(x, weight, stride, padding, dilation, 1, groups)


def transposed(
    x: mx.array,
    weight: mx.array,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    output_padding: Sizes = 0,
    groups: int = 1,
) -> mx.array:
    """mx.conv_transpose1d, 2d and 3d: every input adds its multiples of the kernel to the output."""
    kernel = weight.shape[1:-1]
    stride, padding, dilation, extra = (
        _each(value, len(kernel)) for value in (stride, padding, dilation, output_padding)
    )
    reach = [(size - 1) * s + 1 for size, s in zip(x.shape[1:-1], stride, strict=True)]
    full = [r + d * (k - 1) for r, d, k in zip(reach, dilation, kernel, strict=True)]
    total = mx.zeros((x.shape[0], *full, weight.shape[0]), dtype=mx.float64)
    for tap in product(*map(range, kernel)):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        cut = tuple(slice(a, a + r, s) for a, r, s in zip(starts, reach, stride, strict=True))
        total = total.at[(slice(None), *cut)].add(_product(x, weight[(slice(None), *tap)], groups))
    return _padded(total, [(-p, e - p) for p, e in zip(padding, extra, strict=True)])


def convolve_arrays(a: mx.array, v: mx.array, mode: str = "full") -> mx.array:
    """mx.convolve: NumPy's convolution of two arrays of one dimension."""
    if a.size < v.size:
        a, v = v, a
    size = v.size
    low, high = {"full": (size - 1,) * 2, "valid": (0, 0), "same": (size // 2, (size - 1) // 2)}[mode]
    return conv_general(a[None, :, None], v[None, :, None], padding=([low], [high]), flip=True).reshape(-1)
