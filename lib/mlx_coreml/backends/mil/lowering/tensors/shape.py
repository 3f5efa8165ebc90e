"""Layout: reshape, transpose, slices, concatenation, broadcasting."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.registry import RULES, lowering
from mlx_coreml.ir.graph import Node


def _reshape(node: Node, x):
    """To the shape MLX captured; its arguments may hold -1."""
    if not node.output.shape:
        return mb.squeeze(x=x)
    return mb.reshape(x=x, shape=list(node.output.shape)) if node.output.shape != tuple(x.shape) else x


for _kind in ("Reshape", "Flatten", "Unflatten"):
    RULES[_kind] = _reshape


@lowering("ExpandDims")
def expand_dims(node: Node, x):
    """Axes are those of the result."""
    (axes,) = node.unpack(1)
    return mb.expand_dims(x=x, axes=list(axes))


@lowering("Squeeze")
def squeeze(node: Node, x):
    """Axes of size one are dropped."""
    (axes,) = node.unpack(1)
    return mb.squeeze(x=x, axes=list(axes)) if axes else x


@lowering("Transpose")
def transpose(node: Node, x):
    """Axes in a new order."""
    (order,) = node.unpack(1)
    return x if list(order) == sorted(order) else mb.transpose(x=x, perm=list(order))


@lowering("Concatenate")
def concatenate(node: Node, *parts):
    """Parts without elements are left out: MIL has no tensor of size zero."""
    (axis,) = node.unpack(1)
    full = [part for part in parts if 0 not in part.shape]
    return mb.concat(values=full, axis=axis) if len(full) > 1 else full[0]


@lowering("Split")
def split(node: Node, x):
    """Cut before each index along an axis."""
    _, axis = node.unpack(2)
    sizes = [t.shape[axis] for t in node.outputs]
    made = mb.split(x=x, split_sizes=sizes, axis=axis)
    return [made] if len(sizes) == 1 else made


@lowering("Slice")
def slice_(node: Node, x):
    """From start to end by strides; with a negative stride an end below zero means through index 0."""
    start, end, strides = node.unpack(3)
    if tuple(x.shape) == node.output.shape and all(s == 1 for s in strides):
        return x
    through = [s < 0 and e < 0 for e, s in zip(end, strides, strict=True)]
    stop = [0 if t else e for e, t in zip(end, through, strict=True)]
    return mb.slice_by_index(x=x, begin=list(start), end=stop, stride=list(strides), end_mask=through)


@lowering("Broadcast")
def broadcast(node: Node, x, *_):
    """NumPy's broadcasting; MIL has only tiling."""
    shape = node.output.shape
    if tuple(x.shape) == shape:
        return x
    lifted = (
        mb.reshape(x=x, shape=[1] * (len(shape) - len(x.shape)) + list(x.shape))
        if len(x.shape) < len(shape)
        else x
    )
    repeats = [wanted // had if had else 1 for wanted, had in zip(shape, lifted.shape, strict=True)]
    return mb.tile(x=lifted, reps=np.array(repeats, np.int32))


@lowering("Arange")
def arange(node: Node):
    """Whole steps from a start; those of a size-dependent range change with the size (merge_lengths.py)."""
    start, _, step = node.unpack(3)
    (count,) = node.output.shape
    made = mb.range_1d(start=np.int32(0), end=np.int32(count), step=np.int32(1))
    if not node.output.is_float:
        made = made if step == 1 else mb.mul(x=made, y=np.int32(step))
        return made if start == 0 else mb.add(x=made, y=np.int32(start))
    made = mb.cast(x=made, dtype="fp32")
    made = made if step == 1 else mb.mul(x=made, y=np.float32(step))
    return made if start == 0 else mb.add(x=made, y=np.float32(start))


RULES["Full"] = lambda node, x: x
