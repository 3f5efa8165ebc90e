"""The MLX calls of gathers, scatters, sorts and scans (see evaluate.py)."""

from collections.abc import Sequence

import mlx.core as mx

from mlx_coreml.ir.graph import Node
from mlx_coreml.passes.fold.evaluate import evaluation, slices

UPDATES = ["maximum", "minimum", "add", "multiply"]  # mlx/primitives.h, Scatter::ReduceType; then: assign
SCANS = [mx.cummax, mx.cummin, mx.cumsum, mx.cumprod, mx.logcumsumexp]


def places(x: mx.array, indices: Sequence[mx.array], axes: Sequence[int], sizes: Sequence[int]) -> tuple:
    """One index array per axis of x, for slices of `sizes` that start at indices on some axes, else at 0."""
    lead = indices[0].shape if indices else ()
    starts = dict(zip(axes, indices, strict=True))
    found = []
    for axis, size in enumerate(sizes):
        steps = mx.arange(size).reshape([size if i == axis else 1 for i in range(x.ndim)])
        start = starts[axis].reshape(*lead, *[1] * x.ndim) if axis in starts else 0
        found.append(steps + start)
    return tuple(found)


def updated(x: mx.array, index: tuple, update: mx.array, kind: int) -> mx.array:
    """x with an update combined in, or assigned, at an index."""
    if kind < len(UPDATES):
        return getattr(x.at[index], UPDATES[kind])(update)
    made = mx.array(x)
    made[index] = update
    return made


@evaluation("Gather")
def gather(node: Node, x, *indices):
    """Slices at indices."""
    axes, sizes = node.unpack(2)
    return x[places(x, indices, axes, sizes)]


@evaluation("GatherAxis")
def gather_axis(node: Node, x, index):
    """One element per index along an axis."""
    return mx.take_along_axis(x, index, axis=node.unpack(1)[0])


@evaluation("Scatter")
def scatter(node: Node, x, *rest):
    """Slices combined in at indices."""
    kind, axes = node.unpack(2)
    *indices, updates = rest
    sizes = updates.shape[updates.ndim - x.ndim :]
    return updated(x, places(x, indices, axes, sizes), updates, kind)


@evaluation("ScatterAxis")
def scatter_axis(node: Node, x, index, updates):
    """One element per index along an axis: 0 adds, 1 assigns."""
    kind, axis = node.unpack(2)
    if kind == 1:
        return mx.put_along_axis(x, index, updates, axis=axis)
    steps = [
        mx.arange(size).reshape([size if i == along else 1 for i in range(x.ndim)])
        for along, size in enumerate(index.shape)
    ]
    return x.at[tuple(index if along == axis else step for along, step in enumerate(steps))].add(updates)


@evaluation("MaskedScatter")
def masked_scatter(node: Node, x, mask, source):
    """Masked places of each row take the row's source elements in order."""
    rows = []
    for row, chosen, values in zip(x, mask, source, strict=True):
        flat, chosen, values = mx.array(row).reshape(-1), chosen.reshape(-1), values.reshape(-1)
        nth = mx.maximum(mx.cumsum(chosen.astype(mx.int32)) - 1, 0)
        rows.append(mx.where(chosen, values[mx.minimum(nth, values.size - 1)], flat).reshape(row.shape))
    return mx.stack(rows)


@evaluation("SliceUpdate")
def slice_update(node: Node, x, update):
    """A slice combined with, or replaced by, an update; up to MLX 0.30 always replaced."""
    *kind, start, end, strides = node.unpack(3, 4)
    return updated(x, slices(start, end, strides), update, kind[0] if kind else len(UPDATES))


@evaluation("DynamicSlice")
def dynamic_slice(node: Node, x, start):
    """A slice that starts at an array."""
    axes, size = node.unpack(2)
    return mx.slice(x, start, list(axes), tuple(size))


@evaluation("DynamicSliceUpdate")
def dynamic_slice_update(node: Node, x, update, start):
    """A slice that starts at an array, replaced."""
    return mx.slice_update(x, update, start, list(node.unpack(1)[0]))


@evaluation("Sort")
def sort(node: Node, x):
    """Ascending."""
    return mx.sort(x, axis=node.unpack(1)[0])


@evaluation("ArgSort")
def arg_sort(node: Node, x):
    """The indices that sort."""
    return mx.argsort(x, axis=node.unpack(1)[0])


@evaluation("Partition")
def partition(node: Node, x):
    """One element in its place."""
    kth, axis = node.unpack(2)
    return mx.partition(x, kth, axis=axis)


@evaluation("ArgPartition")
def arg_partition(node: Node, x):
    """The indices of a partition."""
    kth, axis = node.unpack(2)
    return mx.argpartition(x, kth, axis=axis)


@evaluation("SearchSorted")
def search_sorted(node: Node, x, values):
    """Where values belong."""
    return mx.searchsorted(x, values, side="right" if node.unpack(1)[0] else "left")


@evaluation("Scan")
def scan(node: Node, x):
    """Running combinations."""
    kind, axis, reverse, inclusive = node.unpack(4)
    return SCANS[kind](x, axis=axis, reverse=reverse, inclusive=inclusive)
