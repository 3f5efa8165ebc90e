"""Sorting and searching. As in MLX, equal values keep their order and nan comes last."""

from coremltools.converters.mil.mil import Builder as mb

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import as_numbers
from mlx_coreml.backends.mil.lowering.registry import RULES, lowering
from mlx_coreml.ir.graph import Node


@as_numbers
def _sorted(node: Node, x):
    """The sorted values, ascending; a sorted array is also a valid partition."""
    axis = node.unpack(1, 2)[-1]
    made, _ = mb.topk(x=x, k=x.shape[axis], axis=axis, ascending=True)
    return made


@as_numbers
def _order(node: Node, x):
    """The indices that sort."""
    return mb.argsort(x=x, axis=node.unpack(1, 2)[-1], ascending=True)


for _kind in ("Sort", "Partition"):
    RULES[_kind] = _sorted
for _kind in ("ArgSort", "ArgPartition"):
    RULES[_kind] = _order


@lowering("top_k")
@as_numbers
def top_k(node: Node, x):
    """The k smallest or largest elements, ascending, or their indices, best first (see top_k.py)."""
    k, axis, smallest, indices = node.unpack(4)
    values, places = mb.topk(x=x, k=k, axis=axis, ascending=smallest)
    if indices:
        return places
    return values if smallest or k == 1 else mb.reverse(x=values, axes=[axis])


@lowering("ArgReduce")
@as_numbers
def arg_reduce(node: Node, x):
    """The index of the smallest (0) or largest (1) element; the axis stays as 1."""
    kind, axis = node.unpack(2)
    return (mb.reduce_argmin, mb.reduce_argmax)[kind](x=x, axis=axis, keep_dims=True)


@lowering("SearchSorted")
@as_numbers
def search_sorted(node: Node, x, values):
    """How many elements of the sorted x are below each value, or, from the right, not above it."""
    (right,) = node.unpack(1)
    values = mb.expand_dims(x=values, axes=[-1])
    below = (mb.less_equal if right else mb.less)(x=x, y=values)
    return mb.reduce_sum(x=mb.cast(x=below, dtype="int32"), axes=[-1])
