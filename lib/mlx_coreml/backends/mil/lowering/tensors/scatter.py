"""Writing at positions: scatters, and slices that replace a part of a tensor."""

from collections.abc import Sequence

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import as_numbers, wrapped
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.backends.mil.lowering.tensors.indexing import from_start, full_start, joined, transposed
from mlx_coreml.backends.mil.lowering.types import at_least
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Node

MODES = ["max", "min", "add", "mul", "update"]  # mlx/primitives.h, Scatter::ReduceType
AXIS_MODES = ["add", "update"]  # ScatterAxis::ReduceType
COMBINED = {"max": "maximum", "min": "minimum", "add": "add", "mul": "mul"}


@lowering("Scatter")
@as_numbers
def scatter(node: Node, x, *rest):
    """Updates combined into x at the indices of some axes; their shape is the indices', then a slice's."""
    *indices, updates = rest
    return _scattered(node, x, indices, updates, *node.unpack(2), updates.shape[-len(x.shape) :])


@lowering("scatter")
@as_numbers
def scatter_of_reshaped(node: Node, x, *rest):
    """As Scatter, with updates of any shape, the slice's being an argument (see gathers.py)."""
    *indices, updates = rest
    return _scattered(node, x, indices, updates, *node.unpack(3))


def _scattered(node: Node, x: Var, indices, updates: Var, kind: int, axes, sizes) -> Var:
    """Whole slices of the other axes, written along the indexed ones, which are moved to the front."""
    others = [axis for axis in range(len(x.shape)) if axis not in axes]
    if not indices or any(sizes[axis] != x.shape[axis] for axis in others):
        raise ConversionError(
            f"{node.where} updates slices of {list(sizes)} on axes {list(axes)}; "
            f"allowed are whole ones of {list(x.shape)} on the other axes"
        )
    counted = [
        from_start(tensor, index, x.shape[axis])
        for tensor, index, axis in zip(node.inputs[1:-1], indices, axes, strict=True)
    ]
    lead, order = list(indices[0].shape), [*axes, *others]
    windows = [sizes[axis] for axis in axes]
    if _wide(windows):
        updates = mb.reshape(x=updates, shape=lead + list(sizes))
        updates = transposed(updates, [*range(len(lead)), *[len(lead) + axis for axis in order]])
    updates = mb.reshape(x=updates, shape=lead + _wide(windows) + [x.shape[axis] for axis in others])
    made = mb.scatter_nd(
        data=transposed(x, order),
        indices=joined(_windowed(counted, lead, windows)),
        updates=updates,
        mode=MODES[kind],
    )
    return wrapped(node, transposed(made, [order.index(axis) for axis in range(len(order))]))


def _wide(windows: Sequence[int]) -> list[int]:
    return [size for size in windows if size > 1]


def _windowed(indices: Sequence, lead: list[int], windows: Sequence[int]) -> list:
    """Indices of every element of windows that start at indices; windows of two and more add an axis each."""
    wide = _wide(windows)
    if not wide:
        return list(indices)
    offsets = np.indices(windows, dtype=np.int32).reshape(len(windows), *wide)
    lifted = lead + [1] * len(wide)
    return [
        mb.add(x=mb.reshape(x=index, shape=lifted), y=np.broadcast_to(offset, [1] * len(lead) + wide))
        for index, offset in zip(indices, offsets, strict=True)
    ]


@lowering("ScatterAxis")
@as_numbers
def scatter_axis(node: Node, x, index, updates):
    """One update per index along an axis."""
    kind, axis = node.unpack(2)
    index = from_start(node.inputs[1], index, x.shape[axis])
    made = mb.scatter_along_axis(data=x, indices=index, updates=updates, axis=axis, mode=AXIS_MODES[kind])
    return wrapped(node, made)


@lowering("MaskedScatter")
@as_numbers
def masked_scatter(node: Node, x, mask, source):
    """Masked places of each row, the first axis, take the row's source elements in order."""
    rows = x.shape[0]
    source = mb.reshape(x=source, shape=[rows, -1])
    nth = mb.sub(x=mb.cumsum(x=mb.reshape(x=mask, shape=[rows, -1]), axis=1), y=1)
    last = source.shape[1] - 1
    nth = mb.minimum(x=mb.maximum(x=nth, y=0), y=last)  # where the mask is false, any place will do
    taken = mb.reshape(x=mb.gather_along_axis(x=source, indices=nth, axis=1), shape=list(x.shape))
    return mb.select(cond=mb.not_equal(x=mask, y=0), a=taken, b=x)


@lowering("SliceUpdate")
@as_numbers
def slice_update(node: Node, x, update):
    """The slice from start to end by strides replaced by, or combined with, an update of its shape."""
    *kind, start, end, strides = node.unpack(3, 4)  # without a kind up to MLX 0.30
    mode = MODES[kind[0]] if kind else "update"
    places = [_places(*each) for each in zip(start, end, strides, strict=True)]
    return wrapped(node, _written(x, update, places, mode))


def _places(start: int, end: int, stride: int) -> range:
    """The indices of a slice; with a negative stride an end below zero means through index 0."""
    return range(start, max(end, -1) if stride < 0 else end, stride)


def _written(x: Var, update: Var, places: Sequence[range], mode: str) -> Var:
    """Axis by axis: the part of x on the first axis that is not whole takes the update of the others."""
    partial = [axis for axis, each in enumerate(places) if each != range(x.shape[axis])]
    if not partial:
        return update if mode == "update" else getattr(mb, COMBINED[mode])(x=x, y=update)
    if at_least(ct.target.iOS18) and mode == "update" and all(each.step > 0 for each in places):
        begin, end, stride = ([getattr(r, name) for r in places] for name in ("start", "stop", "step"))
        return mb.slice_update(x=x, update=update, begin=begin, end=end, stride=stride)
    axis, index = partial[0], np.array(places[partial[0]], np.int32)
    if len(partial) > 1:
        whole = [range(len(index)) if a == axis else each for a, each in enumerate(places)]
        update = _written(mb.gather(x=x, indices=index, axis=axis), update, whole, mode)
        mode = "update"
    return mb.scatter(data=x, indices=index, updates=update, axis=axis, mode=mode)


@lowering("DynamicSliceUpdate")
@as_numbers
def dynamic_slice_update(node: Node, x, update, start):
    """A slice that starts where an input says, on some axes, replaced by an update of its shape."""
    (axes,) = node.unpack(1)
    partial = [axis for axis in axes if update.shape[axis] != x.shape[axis]]  # a whole axis starts at 0
    if not partial:
        return update
    if at_least(ct.target.iOS18):
        begin = full_start(start, axes, len(x.shape))
        return mb.slice_update(x=x, update=update, begin=begin, end=mb.add(x=begin, y=list(update.shape)))
    return _written_from(x, update, {axis: _one(start, axes.index(axis)) for axis in partial})


def _one(start: Var, place: int) -> Var:
    return mb.slice_by_size(x=start, begin=[place], size=[1])


def _written_from(x: Var, update: Var, starts: dict[int, Var]) -> Var:
    """Axis by axis, as `_written`, where the places are known when the model runs."""
    (axis, start), *inner = starts.items()
    index = mb.add(x=start, y=np.arange(update.shape[axis], dtype=np.int32))
    if inner:
        update = _written_from(mb.gather(x=x, indices=index, axis=axis), update, dict(inner))
    return mb.scatter(data=x, indices=index, updates=update, axis=axis, mode="update")
