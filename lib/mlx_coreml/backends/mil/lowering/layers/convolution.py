"""Convolutions over 1 to 3 spatial axes, on channels-first tensors.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html#module-coremltools.converters.mil.mil.ops.defs.iOS15.conv
"""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node


@lowering("conv")
def conv(node: Node, x, weight, bias=None):
    """Correlation; the weight is (out, in / groups, ...)."""
    return mb.conv(x=x, weight=weight, **_options(node, bias))


@lowering("conv_transpose")
def conv_transpose(node: Node, x, weight, bias=None):
    """Transposed convolution, its result cropped by the padding; the weight is (in, out / groups, ...)."""
    return mb.conv_transpose(x=x, weight=weight, **_options(node, bias))


def _options(node: Node, bias) -> dict:
    """What differs from MIL's defaults: every option is an operation of the program."""
    strides, pads, dilations, groups = node.unpack(4)
    options = {"pad_type": "custom", "pad": pads} if any(pads) else {"pad_type": "valid"}
    if any(s != 1 for s in strides):
        options["strides"] = strides
    if any(d != 1 for d in dilations):
        options["dilations"] = dilations
    if groups != 1:
        options["groups"] = groups
    return options if bias is None else options | {"bias": bias}


@lowering("batch_norm")
def batch_norm(node: Node, x, scale, shift):
    """x * scale + shift, with constant numbers per element of an axis."""
    (axis,) = node.unpack(1)
    if axis == 1 and 3 <= len(x.shape) <= 5:
        return per_channel(x, scale.val, shift.val)
    shape = [-1 if i == axis else 1 for i in range(axis, len(x.shape))]
    return mb.add(x=mb.mul(x=x, y=scale.val.reshape(shape)), y=shift.val.reshape(shape))


def per_channel(x, scale: np.ndarray, shift: np.ndarray):
    """x * scale + shift along axis 1, as a normalisation by mean 0 and variance 1."""
    zeros, ones = np.zeros_like(scale), np.ones_like(scale)
    return mb.batch_norm(x=x, mean=zeros, variance=ones, gamma=scale, beta=shift, epsilon=scale.dtype.type(0))
