"""Which nodes of a program in fp16 compute in fp32, because fp16 would overflow or lose too much.

The numbers between nodes are judged by their ranges; here are the nodes that overflow inside.
"""

from collections.abc import Sequence

import numpy as np

from mlx_coreml.backends.mil.ranges.islands import islands
from mlx_coreml.ir.graph import Graph, Node, Tensor

PRECISIONS = ("float16", "float32", "mixed")
OVERFLOWING = (
    *("Expm1", "Power", "Sinh", "Cosh", "Tan", "Scan", "LogSumExp", "LogAddExp", "rms_norm"),
    *("masked_softmax", "Log1p", "ErfInv", "ArcSinh", "ArcCosh"),
)
STATISTICS = ("layer_norm", "group_norm", "instance_norm", "Softmax", "attention")  # fp32 in "mixed" too
LONG = 2048  # terms of a mean or a softmax; with more of them, fp16 loses small ones beside large ones
COMPARISONS = ("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual")


def in_fp32(graphs: Sequence[Graph], precision: str) -> set[Node]:
    """The nodes that compute in fp32 under a precision of a conversion, in graphs of one function.

    Captured at several sizes, the function has the same nodes; one that needs fp32 at any size computes in it
    at all of them.
    """
    found = {node for graph in graphs for node in _in_fp32(graph, precision)}
    if len({tuple(node.kind for node in graph.nodes) for graph in graphs}) == 1:
        alike = zip(*(graph.nodes for graph in graphs), strict=True)
        found.update(*(nodes for nodes in alike if not found.isdisjoint(nodes)))
    return found


def _in_fp32(graph: Graph, precision: str) -> set[Node]:
    if precision == "float32":
        return set(graph.nodes)
    found = islands(graph) | _shown(graph) | {node for node in graph.nodes if _by_itself(node)}
    return found | {n for n in graph.nodes if precision == "mixed" and n.kind in STATISTICS}


def _by_itself(node: Node) -> bool:
    """Nodes that overflow or round too much inside, whatever their inputs are."""
    if node.kind in OVERFLOWING or _long(node):
        return True
    return node.kind in COMPARISONS and any(map(_infinite, node.inputs))


def _shown(graph: Graph) -> set[Node]:
    """Nodes that select infinities for an output, which fp16 would replace by its largest number."""
    selects = {tensor.node for tensor in graph.outputs if tensor.node and tensor.node.kind == "Select"}
    return {node for node in selects if any(map(_infinite, node.inputs))}


def _long(node: Node) -> bool:
    """Means and softmax over long rows."""
    if node.kind == "mean":
        return node.inputs[0].size // max(node.output.size, 1) > LONG
    return node.kind == "Softmax" and node.inputs[0].shape[-1] > LONG


def _infinite(tensor: Tensor) -> bool:
    """Whether a constant holds an infinity, which in fp16 becomes the largest number."""
    return tensor.value is not None and tensor.is_float and bool(np.isinf(tensor.numpy()).any())
