"""Linear transforms of the last axis as products with a constant matrix."""

import mlx.core as mx
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node


@lowering("Hadamard")
def hadamard(node: Node, x):
    """The Walsh-Hadamard transform times a factor, as a product with the transformed unit vectors."""
    (scale,) = node.unpack(1)
    with mx.stream(mx.cpu):
        rows = mx.hadamard_transform(mx.eye(x.shape[-1]), scale=scale)
    return mb.matmul(x=x, y=np.array(rows, dtype=types.nptype_from_builtin(x.dtype)))
