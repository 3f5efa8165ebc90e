"""Convolutions in true float64 on MLX's CPU back end, for the fairness gate.

MLX 0.32.4 computes a float64 convolution in float32 (outputs are 3e-7 off) and refuses its gradient where
there is a stride, a dilation or groups: "[Convolution::eval] got unsupported data type". Float64 matrix
products are right, so here a convolution is what its definition says: one product per tap.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
Sizes = int | tuple[int, ...]


def _each(value: Sizes, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


def convolve(
    x: mx.array, weight: mx.array, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1
) -> mx.array:
    """A convolution as one matrix product per tap, with the arguments of mx.conv1d, conv2d and conv3d.

    x: (batch, ..., groups * in), weight: (out, ..., in).
    """
    kernel = weight.shape[1:-1]
    stride, padding, dilation = (_each(value, len(kernel)) for value in (stride, padding, dilation))
    x = mx.pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)])
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    ends = [size - r for size, r in zip(x.shape[1:-1], reach, strict=True)]
    total = 0
    for tap in product(*map(range, kernel)):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        cut = tuple(slice(a, a + e, s) for a, e, s in zip(starts, ends, stride, strict=True))
        inputs = mx.split(x[(slice(None), *cut)], groups, axis=-1)  # groups times (batch, ..., in)
        outputs = mx.split(weight[(slice(None), *tap)], groups, axis=0)  # groups times (out / groups, in)
        total = total + mx.concatenate([i @ o.T for i, o in zip(inputs, outputs, strict=True)], axis=-1)
    return total


def _convolution(own: Callable, x: mx.array, weight: mx.array, *sizes: Sizes, stream=None, **named: Sizes):
    """MLX's own convolution unless in float64."""
    return own(x, weight, *sizes, **named) if x.dtype != mx.float64 else convolve(x, weight, *sizes, **named)


@contextmanager
def convolutions() -> Iterator[None]:
    """Every convolution of mlx.core is right in float64 for a while, transposed ones excepted."""
    own = {name: getattr(mx, name) for name in CONVOLUTIONS}
    for name, function in own.items():
        setattr(mx, name, partial(_convolution, function))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(mx, name, function)
