"""Fuses the k smallest or largest elements: a partition, of which a slice is taken.

The kind "top_k" takes x; its arguments are k, the axis, whether the smallest are wanted, and whether their
indices are, best first, instead of the values, ascending. MLX leaves the order free, but not the choice among
equal values: the order of a partition is by value, then by index. MIL prefers the first index in either
direction, so the indices of the largest elements are fused only where MLX negates to find them.
"""

from mlx_coreml.ir.graph import Graph, Node
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite


def fuse_top_k(graph: Graph) -> None:
    """Slice(Partition) and Slice(ArgPartition) become "top_k"."""
    rewrite(graph, {"Slice": [top_k]})


def top_k(node: Node) -> list[Node] | None:
    """A slice at one end of a partition, cut where the partition is ordered."""
    partition = made_by(node.inputs[0], "Partition", "ArgPartition")
    if partition is None:
        return None
    (kth, axis), (start, end, strides) = partition.unpack(2), node.unpack(3)
    (x,), shape = partition.inputs, node.inputs[0].shape
    rest_whole = all(node.output.shape[i] == size for i, size in enumerate(shape) if i != axis)
    if not rest_whole or any(step != 1 for step in strides):
        return None
    smallest = start[axis] == 0 and end[axis] in (kth, kth + 1)
    largest = end[axis] == shape[axis] and start[axis] in (kth, kth + 1)
    indices = partition.kind == "ArgPartition"
    if smallest == largest or (largest and indices):
        return None
    negated = made_by(x, "Negative") if indices else None
    x, smallest = (negated.inputs[0], False) if negated else (x, smallest)
    return [replaced(node, "top_k", [x], node.output.shape[axis], axis, smallest, indices)]
