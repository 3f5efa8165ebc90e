"""Reading at positions: gathers and slices that start at a computed place.

MLX counts negative indices from the end; MIL leaves them undefined since iOS17, so they are made positive.
"""

from collections.abc import Sequence

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import as_numbers
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Node, Tensor

MOVED = ("AsType", "Broadcast", "Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Transpose")
MOVED += ("Slice",)


def from_start(tensor: Tensor, index: Var, size: int) -> Var | np.ndarray:
    """Indices into an axis of `size` elements, none of them negative."""
    if index.val is not None:
        return np.where(index.val < 0, index.val + size, index.val).astype(np.int32)
    if never_negative(tensor):
        return index
    return mb.mod(x=index, y=size)


def never_negative(tensor: Tensor) -> bool:
    """Whether the type of a tensor, or of what it is a rearrangement of, has no negative numbers."""
    if tensor.dtype.startswith("uint") or tensor.dtype == "bool":
        return True
    return tensor.node is not None and tensor.node.kind in MOVED and never_negative(tensor.node.inputs[0])


def transposed(x: Var, order: Sequence[int]) -> Var:
    """The axes of x in an order."""
    return x if list(order) == sorted(order) else mb.transpose(x=x, perm=list(order))


def joined(indices: Sequence[Var | np.ndarray]) -> Var:
    """Index arrays of equal shapes as the coordinates on a new last axis."""
    return mb.concat(values=[mb.expand_dims(x=index, axes=[-1]) for index in indices], axis=-1)


@lowering("Gather")
@as_numbers
def gather(node: Node, x, *indices):
    """Slices of x at indices of some axes; the axes of the indices come first, the indexed ones stay as 1."""
    axes, sizes = node.unpack(2)
    if any(sizes[axis] != 1 for axis in axes):
        raise ConversionError(f"{node.where} slices {tuple(sizes)}; allowed is 1 on axes {list(axes)}")
    cut = [x.shape[axis] if axis in axes else size for axis, size in enumerate(sizes)]
    if cut != list(x.shape):
        x = mb.slice_by_size(x=x, begin=[0] * len(cut), size=cut)
    made, layout = _gathered(node, x, indices, axes)
    return mb.reshape(x=transposed(made, np.argsort(layout)), shape=list(node.output.shape))


@lowering("gather")
@as_numbers
def gather_squeezed(node: Node, x, *indices):
    """As Gather, without the indexed axes, the rest in an order of its own (see gathers.py)."""
    axes, wanted = node.unpack(2)
    made, layout = _gathered(node, x, indices, axes)
    return transposed(made, [layout.index(label) for label in wanted])


def _gathered(node: Node, x, indices, axes) -> tuple[Var, list[int]]:
    """MIL's gather, and labels of its axes: those of x by number, those of the indices from -1 down to -rank
    backwards, so that sorting puts them first.
    """
    counted = [
        from_start(tensor, index, x.shape[axis])
        for tensor, index, axis in zip(node.inputs[1:], indices, axes, strict=True)
    ]
    index_axes = list(range(-len(indices[0].shape), 0))
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    if len(axes) == 1:
        layout = [axis for axis in rest if axis < axes[0]] + index_axes
        made = mb.gather(x=x, indices=counted[0], axis=axes[0])
        return made, layout + [axis for axis in rest if axis > axes[0]]
    return mb.gather_nd(x=transposed(x, [*axes, *rest]), indices=joined(counted)), index_axes + rest


@lowering("GatherAxis")
@as_numbers
def gather_axis(node: Node, x, index):
    """One element per index along an axis; the other axes go together."""
    (axis,) = node.unpack(1)
    index = from_start(node.inputs[1], index, x.shape[axis])
    return mb.gather_along_axis(x=x, indices=index, axis=axis)


@lowering("DynamicSlice")
def dynamic_slice(node: Node, x, start):
    """A slice of fixed size that starts where an input says, on some axes."""
    axes, size = node.unpack(2)
    return mb.slice_by_size(x=x, begin=full_start(start, axes, len(x.shape)), size=list(size))


def full_start(start: Var, axes: Sequence[int], rank: int) -> Var | np.ndarray:
    """One start per axis: zero on those that are not listed."""
    if start.val is not None:
        return np.array(
            [start.val[axes.index(axis)] if axis in axes else 0 for axis in range(rank)], np.int32
        )
    if list(axes) == list(range(rank)):
        return start
    places = [axes.index(axis) if axis in axes else len(axes) for axis in range(rank)]
    padded = mb.concat(values=[start, np.zeros(1, np.int32)], axis=0)
    return mb.gather(x=padded, indices=np.array(places, np.int32), axis=0)
