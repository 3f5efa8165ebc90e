"""Normalisations: layer norm and RMS norm, and the ones over channels-first tensors."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.layers.convolution import per_channel
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.backends.mil.lowering.tensors.indexing import transposed
from mlx_coreml.ir.graph import Node

SMALLEST = {np.float16: 2.0**-24, np.float32: 0.0}


@lowering("layer_norm")
def layer_norm(node: Node, x, weight=None, bias=None):
    """(x - mean) / sqrt(variance + epsilon) * weight + bias, over trailing axes, as MIL's frontends."""
    axes, epsilon = node.unpack(2)
    rank = len(x.shape)
    order = [axis for axis in range(rank) if axis not in axes] + list(axes)
    trailing = list(range(rank - len(axes), rank))
    options = {"gamma": weight, "beta": bias, "epsilon": _epsilon(x, epsilon)}
    options = {name: value for name, value in options.items() if value is not None}
    made = mb.layer_norm(x=transposed(x, order), axes=trailing, **options)
    return transposed(made, np.argsort(order))


@lowering("rms_norm")
def rms_norm(node: Node, x, weight=None):
    """x / sqrt(mean(x * x) + epsilon) * weight, as x / sqrt(sum(x * x) + n * epsilon) * (sqrt(n) * weight).

    Computed in fp32 in any program: in fp16 a square overflows above 255.
    """
    axes, epsilon = node.unpack(2)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    total = mb.reduce_sum_square(x=x, axes=list(axes), keep_dims=True)
    unit = mb.mul(x=x, y=mb.rsqrt(x=total, epsilon=number(x, count * epsilon)))
    root = number(x, np.sqrt(count))
    return mb.mul(x=unit, y=root if weight is None else weight.val * root)


@lowering("instance_norm")
def instance_norm(node: Node, x, weight=None, bias=None):
    """A norm of every channel over its spatial axes."""
    (epsilon,) = node.unpack(1)
    options = {"gamma": weight, "beta": bias, "epsilon": _epsilon(x, epsilon)}
    return mb.instance_norm(x=x, **{name: value for name, value in options.items() if value is not None})


@lowering("group_norm")
def group_norm(node: Node, x, weight=None, bias=None):
    """A norm of groups of neighbouring channels over them and their spatial axes."""
    groups, epsilon = node.unpack(2)
    apart = mb.reshape(x=x, shape=[x.shape[0], groups, -1])
    made = mb.reshape(x=mb.layer_norm(x=apart, axes=[2], epsilon=_epsilon(x, epsilon)), shape=list(x.shape))
    if weight is not None and bias is not None and len(x.shape) > 2:
        return per_channel(made, weight.val, bias.val)
    spread = [-1] + [1] * (len(x.shape) - 2)
    made = made if weight is None else mb.mul(x=made, y=weight.val.reshape(spread))
    return made if bias is None else mb.add(x=made, y=bias.val.reshape(spread))


def _epsilon(x, value: float):
    """Epsilon in the type of x, and no less than its smallest number: a constant row must not divide by 0."""
    made = number(x, value)
    return made if made or not value else number(x, SMALLEST[type(made)])
