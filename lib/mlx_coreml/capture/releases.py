"""Brings what older releases of MLX export to the form of the newest, which the rules expect.

https://github.com/ml-explore/mlx/releases
"""

import functools
from collections.abc import Sequence

import mlx.core as mx

from mlx_coreml.ir.graph import Tensor


def settled(kind: str, arguments: Sequence, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple:
    """A primitive's arguments in the newest form. Up to MLX 0.31, a slice of one element has stride 1 and the
    end that belongs to its former stride, so the end is computed from the shape.
    """
    if kind not in ("Slice", "SliceUpdate"):
        return tuple(arguments)
    *kept, start, end, strides = arguments
    shape = outputs[0].shape if kind == "Slice" else inputs[1].shape
    ends = zip(start, end, strides, shape, strict=True)
    return (*kept, start, tuple(_end(*each) for each in ends), strides)


def _end(start: int, end: int, stride: int, size: int) -> int:
    """The end as it was where it fits (below zero: through index 0), else the one after `size` steps."""
    found = len(range(start, max(end, -1) if stride < 0 else end, stride))
    return end if found == size else start + (size - 1) * stride + (1 if stride > 0 else -1)


@functools.cache
def divmod_truncates() -> bool:
    """Whether `mx.divmod` rounds towards zero, as it does up to MLX 0.31, and not down."""
    return mx.divmod(mx.array(-5), mx.array(3), stream=mx.cpu)[0].item() == -1
