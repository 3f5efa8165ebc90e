"""Quantized weights: stored as whole numbers from iOS18 on, and as floating-point numbers before."""

import warnings

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.backends.mil.lowering.types import at_least
from mlx_coreml.ir.graph import Node

UNSIGNED = {4: types.np_uint4_dtype, 8: np.uint8}


@lowering("dequantized")
def dequantized(node: Node, scale, *offset):
    """scale * (q - offset), one scale and offset per block along the last axis (see quantized_weights.py)."""
    (packed,) = node.unpack(1)
    if not at_least(ct.target.iOS18):
        return _plain(node, packed, scale.val, *[each.val for each in offset])
    unsigned = UNSIGNED[packed.bits]
    data = mb.const(val=packed.data.astype(unsigned))
    if not offset:
        offset = (packed.offset.astype(unsigned),)
    return mb.constexpr_blockwise_shift_scale(data=data, scale=scale, offset=offset[0])


def _plain(node: Node, packed, scale: np.ndarray, offset: np.ndarray | None = None):
    """Floating-point weights: before iOS18, Core ML has one scale per channel, not per block."""
    warnings.warn(
        f"{node.where}: quantized weights become floating-point numbers below deployment target iOS18, "
        f"which makes the package {scale.itemsize * 8 // packed.bits} times larger",
        stacklevel=2,
    )
    offset = packed.offset if offset is None else offset
    group = packed.data.shape[-1] // scale.shape[-1]
    wide, offset = (np.repeat(each.astype(np.float32), group, axis=-1) for each in (scale, offset))
    return mb.const(val=(wide * (packed.data - offset)).astype(scale.dtype))
