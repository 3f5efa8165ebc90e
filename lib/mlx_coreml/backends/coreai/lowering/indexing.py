"""Reading and writing at positions. MLX counts negative indices from the end; here they are made positive."""

from __future__ import annotations

import math
from collections.abc import Sequence

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import (
    add,
    as_numbers,
    less,
    maximum,
    minimum,
    mul,
    not_equal,
    sub,
    where,
)
from mlx_coreml.backends.coreai.lowering.registry import lowering
from mlx_coreml.backends.coreai.lowering.tensors import gathered, places_of
from mlx_coreml.backends.coreai.lowering.values import (
    Value,
    bounds,
    broadcast,
    cast,
    computed,
    concat,
    is_constant,
    part,
    reshape,
    shape,
    transpose,
    turned,
)
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Node, Tensor

MODES = ["max", "min", "add", "mul", "update"]  # mlx/primitives.h, Scatter::ReduceType
AXIS_MODES = ["add", "update"]  # ScatterAxis::ReduceType
COMBINED = {"max": maximum, "min": minimum, "add": add, "mul": mul}
MOVED = ("AsType", "Broadcast", "Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Transpose")
MOVED += ("Slice",)


def from_start(tensor: Tensor, index: Value, size: int) -> Value:
    """Indices into an axis of `size` elements, none of them negative, as int32."""
    if is_constant(index):
        index = index.astype(np.int64)
        return np.where(index < 0, index + size, index).astype(np.int32)
    index = cast(index, np.int32)
    if _never_negative(tensor):
        return index
    return where(less(index, 0), add(index, size), index)


def _never_negative(tensor: Tensor) -> bool:
    """Whether the type of a tensor, or of what it is a rearrangement of, has no negative numbers."""
    if tensor.dtype.startswith("uint") or tensor.dtype == "bool":
        return True
    return tensor.node is not None and tensor.node.kind in MOVED and _never_negative(tensor.node.inputs[0])


def _counted(node: Node, x: Value, indices: Sequence[Value], axes: Sequence[int]) -> list[Value]:
    """The indices of some axes, which are the second input of a node and those after it."""
    tensors = node.inputs[1 : 1 + len(indices)]
    triples = zip(tensors, indices, axes, strict=True)
    return [from_start(tensor, index, shape(x)[axis]) for tensor, index, axis in triples]


@lowering("Gather")
def gather(node: Node, x: Value, *indices: Value) -> Value:
    """Slices of x at indices of some axes; the axes of the indices come first, the indexed ones stay as 1."""
    axes, sizes = node.unpack(2)
    if any(sizes[axis] != 1 for axis in axes):
        raise ConversionError(f"{node.where} slices {tuple(sizes)}; allowed is 1 on axes {list(axes)}")
    cut = [range(full if a in axes else sizes[a]) for a, full in enumerate(shape(x))]
    made, _ = _gathered(node, part(x, cut), indices, axes)
    return reshape(made, node.output.shape)


@lowering("gather")
def gather_squeezed(node: Node, x: Value, *indices: Value) -> Value:
    """As Gather, without the indexed axes, the rest in an order of its own (see gathers.py)."""
    axes, wanted = node.unpack(2)
    made, layout = _gathered(node, x, indices, axes)
    return transpose(made, [layout.index(label) for label in wanted])


def _gathered(node: Node, x: Value, indices: Sequence[Value], axes) -> tuple[Value, list[int]]:
    """The slices, and labels of their axes: those of the indices from -rank to -1, those of x by number."""
    rest = [axis for axis in range(len(shape(x))) if axis not in axes]
    counted = _counted(node, x, indices, axes)
    made = gathered(transpose(x, [*axes, *rest]), counted)
    return made, [*range(-len(shape(counted[0])), 0), *rest]


@lowering("GatherAxis")
def gather_axis(node: Node, x: Value, index: Value) -> Value:
    """One element per index along an axis; the other axes go together."""
    (axis,) = node.unpack(1)
    axis %= len(shape(x))
    (index,) = _counted(node, x, [index], [axis])
    return ca.gather_along_axis(x, index, np.int32(axis))


@lowering("DynamicSlice")
def dynamic_slice(node: Node, x: Value, start: Value) -> Value:
    """A slice of fixed size that starts where an input says, on some axes."""
    axes, size = node.unpack(2)
    begin = full_start(start, axes, len(shape(x)))
    size = np.array(size, np.int32)
    return reshape(ca.slice_(computed(x), begin, add(begin, size), np.ones_like(size)), node.output.shape)


def full_start(start: Value, axes: Sequence[int], rank: int) -> Value:
    """One start per axis, as int32: zero on those that are not listed."""
    start = cast(start, np.int32)
    if list(axes) == list(range(rank)):
        return start
    zero = np.zeros(1, np.int32)
    one = [part(start, [range(axes.index(a), axes.index(a) + 1)]) if a in axes else zero for a in range(rank)]
    return concat(one, 0)


@lowering("Scatter")
@as_numbers
def scatter(node: Node, x: Value, *rest: Value) -> Value:
    """Updates combined into x at the indices of some axes; their shape is the indices', then a slice's."""
    *indices, updates = rest
    return _scattered(node, x, indices, updates, *node.unpack(2), shape(updates)[-len(shape(x)) :])


@lowering("scatter")
@as_numbers
def scatter_of_reshaped(node: Node, x: Value, *rest: Value) -> Value:
    """As Scatter, with updates of any shape, the slice's being an argument (see gathers.py)."""
    *indices, updates = rest
    return _scattered(node, x, indices, updates, *node.unpack(3))


def _scattered(node: Node, x: Value, indices, updates: Value, kind: int, axes, sizes) -> Value:
    """Whole slices of the other axes, written to rows of a matrix whose rows are the indexed axes as one."""
    others = [axis for axis in range(len(shape(x))) if axis not in axes]
    if not indices or any(sizes[axis] != shape(x)[axis] for axis in others):
        raise ConversionError(
            f"{node.where} updates slices of {list(sizes)} on axes {list(axes)}; "
            f"allowed are whole ones of {list(shape(x))} on the other axes"
        )
    lead, order = shape(indices[0]), [*axes, *others]
    windows = [sizes[axis] for axis in axes]
    updates = reshape(updates, [*lead, *sizes])
    updates = transpose(updates, [*range(len(lead)), *[len(lead) + axis for axis in order]])
    moved = transpose(x, order)
    indexed = shape(moved)[: len(axes)]
    width = math.prod(shape(moved)[len(axes) :])
    row = _rows(_counted(node, x, indices, axes), indexed, windows)
    made = _written(
        reshape(moved, (math.prod(indexed), width)),
        broadcast(reshape(row, (math.prod(shape(row)), 1)), (math.prod(shape(row)), width)),
        reshape(updates, (math.prod(shape(row)), width)),
        *(0, MODES[kind]),
    )
    return transpose(reshape(made, shape(moved)), np.argsort(order))


def _rows(indices: Sequence[Value], sizes: Sequence[int], windows: Sequence[int]) -> Value:
    """The number of the row of every element of windows that start at indices."""
    lead, row = shape(indices[0]), None
    for axis, index in enumerate(indices):
        spread = [windows[axis] if i == axis else 1 for i in range(len(windows))]
        offsets = np.arange(windows[axis], dtype=np.int32).reshape([1] * len(lead) + spread)
        place = add(reshape(index, [*lead, *[1] * len(windows)]), offsets)
        row = place if row is None else add(mul(row, sizes[axis]), place)
    return broadcast(row, [*lead, *windows])


def _written(x: Value, index: Value, updates: Value, axis: int, mode: str) -> Value:
    x = computed(x)
    return ca.scatter_along_axis(x.type, x, index, updates, np.int32(axis), scatter_mode=mode)


@lowering("ScatterAxis")
@as_numbers
def scatter_axis(node: Node, x: Value, index: Value, updates: Value) -> Value:
    """One update per index along an axis."""
    kind, axis = node.unpack(2)
    axis %= len(shape(x))
    (index,) = _counted(node, x, [index], [axis])
    return _written(x, index, updates, axis, AXIS_MODES[kind])


@lowering("MaskedScatter")
@as_numbers
def masked_scatter(node: Node, x: Value, mask: Value, source: Value) -> Value:
    """Masked places of each row, the first axis, take the row's source elements in order."""
    rows = shape(x)[0]
    source = reshape(source, (rows, math.prod(shape(source)) // rows))
    nth = sub(ca.scan(reshape(cast(mask, np.int32), (rows, -(-math.prod(shape(mask)) // rows))),
                      np.uint32(1), np.bool_(False), "sum"), 1)  # fmt: skip
    nth = minimum(maximum(nth, 0), shape(source)[1] - 1)  # where the mask is false, any place will do
    taken = reshape(ca.gather_along_axis(source, nth, np.int32(1)), shape(x))
    return where(not_equal(mask, 0), taken, x)


@lowering("SliceUpdate")
@as_numbers
def slice_update(node: Node, x: Value, update: Value) -> Value:
    """The slice from start to end by strides replaced by, or combined with, an update of its shape."""
    *kind, start, end, strides = node.unpack(3, 4)  # without a kind up to MLX 0.30
    mode = MODES[kind[0]] if kind else "update"
    places = places_of((start, end, strides), shape(x))
    if mode != "update":
        update = COMBINED[mode](part(x, places), update)
    begin, stop, step = bounds(places)
    return ca.slice_update(computed(x), begin, stop, step, turned(update, places))


@lowering("DynamicSliceUpdate")
@as_numbers
def dynamic_slice_update(node: Node, x: Value, update: Value, start: Value) -> Value:
    """A slice that starts where an input says, on some axes, replaced by an update of its shape."""
    (axes,) = node.unpack(1)
    if shape(update) == shape(x):
        return update
    begin = full_start(start, axes, len(shape(x)))
    end = add(begin, np.array(shape(update), np.int32))
    return ca.slice_update(computed(x), begin, end, np.ones(len(shape(x)), np.int32), update)
