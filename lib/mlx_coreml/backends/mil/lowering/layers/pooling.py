"""Pooling over 1 to 3 spatial axes of channels-first tensors, and means.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html#module-coremltools.converters.mil.mil.ops.defs.iOS15.pool
"""

from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node


@lowering("max_pool")
def max_pool(node: Node, x):
    """The largest element of each window; padding is never the largest."""
    return mb.max_pool(x=x, **_windows(node))


@lowering("avg_pool")
def avg_pool(node: Node, x):
    """The mean of each window; padding counts as zeros."""
    return mb.avg_pool(x=x, exclude_padding_from_average=False, **_windows(node))


def _windows(node: Node) -> dict:
    kernel, strides, pads = node.unpack(3)
    padding = {"pad_type": "custom", "pad": pads} if any(pads) else {"pad_type": "valid"}
    return {"kernel_sizes": kernel, "strides": strides} | padding


@lowering("mean")
def mean(node: Node, x):
    """The mean over axes, which stay as 1 or go."""
    keep, axes = node.unpack(2)
    return mb.reduce_mean(x=x, axes=axes, keep_dims=keep)


@lowering("windows")
def windows(node: Node, x):
    """Windows along an axis, which becomes two: places and the window."""
    axis, size, stride = node.unpack(3)
    return mb.sliding_windows(x=x, axis=axis, size=size, stride=stride)
