"""Upsampling, interpolation, and shuffles between channels and space.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html#module-coremltools.converters.mil.mil.ops.defs.iOS15.image_resizing
"""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.registry import RULES, lowering
from mlx_coreml.ir.graph import Node

SHUFFLES = {"pixel_shuffle": ("upscale_factor", np.int32), "pixel_unshuffle": ("downscale_factor", np.uint32)}
SHUFFLES |= {"depth_to_space": ("block_size", np.int32), "space_to_depth": ("block_size", np.int32)}


def _shuffle(kind: str):
    name, number = SHUFFLES[kind]
    return lambda node, x: getattr(mb, kind)(x=x, **{name: number(node.unpack(1)[0])})


RULES |= {kind: _shuffle(kind) for kind in SHUFFLES}


@lowering("upsample_nearest")
def upsample_nearest(node: Node, x):
    """Every pixel of the last one to three axes repeated; MIL repeats the last two."""
    (factors,) = node.unpack(1)
    if len(factors) == 3:
        n, c, depth, height, width = x.shape
        x = mb.reshape(x=x, shape=[n, c * depth, height, width])
        x = _repeated(x, factors[1:])
        x = mb.reshape(x=x, shape=[n, c, depth, height * factors[1] * width * factors[2]])
        return mb.reshape(x=_repeated(x, (factors[0], 1)), shape=list(node.output.shape))
    return _repeated(x, (1, *factors)[-2:])


def _repeated(x, factors):
    height, width = factors
    return mb.upsample_nearest_neighbor(x=x, scale_factor_height=height, scale_factor_width=width)


@lowering("resize_linear")
def resize_linear(node: Node, x):
    """Linear interpolation of the last two axes."""
    (height, width), mode = node.unpack(2)
    return mb.resize_bilinear(x=x, target_size_height=height, target_size_width=width, sampling_mode=mode)


@lowering("take")
def take(node: Node, x, places):
    """Constant places of an axis."""
    (axis,) = node.unpack(1)
    return mb.gather(x=x, indices=places, axis=axis)


@lowering("resample")
def resample(node: Node, x, matrix):
    """A constant matrix times an axis."""
    (axis,) = node.unpack(1)
    shape, last = list(x.shape), len(x.shape) - 1
    if axis == last:
        return mb.matmul(x=x, y=matrix, transpose_y=True)
    if axis == last - 1:
        return mb.matmul(x=matrix, y=x)
    joined = mb.reshape(x=x, shape=[*shape[: axis + 1], int(np.prod(shape[axis + 1 :]))])
    return mb.reshape(x=mb.matmul(x=matrix, y=joined), shape=list(node.output.shape))
