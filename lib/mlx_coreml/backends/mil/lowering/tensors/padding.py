"""Padding with a constant; whole numbers and truth values, which MIL's `pad` does not take, are joined to it.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html#module-coremltools.converters.mil.mil.ops.defs.iOS15.tensor_operation
"""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node


@lowering("Pad")
def pad(node: Node, x, value):
    """Some axes get elements of one value before and after."""
    axes, low, high = node.unpack(3)
    rank = len(x.shape)
    widths = [(0, 0)] * rank
    for axis, before, after in zip(axes, low, high, strict=True):
        widths[axis % rank] = (before, after)
    if not any(map(any, widths)):
        return x
    if not types.is_float(x.dtype):
        return _joined(x, widths, value)
    first = next(axis for axis in range(rank) if any(widths[axis]))
    pads = [n for pair in widths[first:] for n in pair]
    if value.val is not None:
        return mb.pad(x=x, pad=pads, mode="constant", constant_val=number(x, value.val.item()))
    inside = np.pad(np.ones(x.shape, np.bool_), widths)
    return mb.select(
        cond=inside, a=mb.pad(x=x, pad=pads, mode="constant", constant_val=number(x, 0)), b=value
    )


def _joined(x, widths, value):
    """Axis by axis."""
    for axis, (before, after) in enumerate(widths):
        if before or after:
            blocks = [_block(x, axis, n, value) for n in (before, after)]
            x = mb.concat(values=[b for b in (blocks[0], x, blocks[1]) if b is not None], axis=axis)
    return x


def _block(x, axis: int, count: int, value):
    """`count` places of an axis that hold one value, or None for none."""
    shape = [*x.shape[:axis], count, *x.shape[axis + 1 :]]
    if not count:
        return None
    if value.val is not None:
        return np.full(shape, value.val, types.nptype_from_builtin(x.dtype))
    return mb.tile(x=mb.reshape(x=value, shape=[1] * len(shape)), reps=shape)
