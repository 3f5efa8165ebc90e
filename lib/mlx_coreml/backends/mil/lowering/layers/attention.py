"""Attention: one operation from iOS18 on, its products and softmax before.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html#module-coremltools.converters.mil.mil.ops.defs.iOS18.transformers
"""

import math

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.backends.mil.lowering.types import at_least
from mlx_coreml.ir.graph import Node

# What a constant bias may be at least. A score takes it below by less than fp16 has left (65504).
LOWEST = {"fp16": -4e4, "fp32": -1e30}


@lowering("bounded")
def bounded(node: Node, bias):
    """A constant bias, limited so that its sum with a score does not overflow."""
    lowest = number(bias, LOWEST[types.builtin_to_string(bias.dtype)])
    return mb.const(val=np.maximum(bias.val, lowest))


@lowering("masked_softmax")
def masked_softmax(node: Node, scores, bias):
    """softmax(scores + bias), computed in fp32 in any program: a bias is as low as the model's user likes."""
    return mb.softmax(x=mb.add(x=scores, y=bias), axis=-1)


@lowering("attention")
def attention(node: Node, q, k, v, mask=None):
    """softmax(scale * q @ k.T, masked) @ v. MIL's boolean masks are not used: a hidden row becomes NaN."""
    scale, how = node.unpack(2)
    if how != "select" and at_least(ct.target.iOS18):
        options = {} if mask is None else {"attn_mask": mask}
        scaled = _times(q, scale * math.sqrt(q.shape[-1]))  # MIL divides by the root itself
        return mb.scaled_dot_product_attention(query=scaled, key=k, value=v, **options)
    scores = mb.matmul(x=_times(q, scale), y=k, transpose_y=True)
    if how == "add":
        scores = mb.add(x=scores, y=mask)
    elif how == "select":
        lowest = np.finfo(types.nptype_from_builtin(scores.dtype)).min
        scores = mb.select(cond=mask, a=scores, b=lowest)
    return mb.matmul(x=mb.softmax(x=scores, axis=-1), y=v)


def _times(x, scale: float):
    return x if math.isclose(scale, 1, rel_tol=1e-6) else mb.mul(x=x, y=number(x, scale))
