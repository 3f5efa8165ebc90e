"""Drops the broadcasts that MIL does itself: before elementwise operations and matrix products."""

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import made_by, rewrite

ELEMENTWISE = (
    *("Add", "Subtract", "Multiply", "Divide", "Power", "Maximum", "Minimum", "LogAddExp", "ArcTan2"),
    *("FloorDivide", "Remainder", "DivMod", "Equal", "NotEqual", "Greater", "GreaterEqual", "Less"),
    *("LessEqual", "LogicalAnd", "LogicalOr", "BitwiseBinary", "Select"),
)


def drop_broadcasts(graph: Graph) -> None:
    """Feed elementwise nodes and products with what was broadcast, as far as their result keeps its shape."""
    rewrite(graph, {"Broadcast": [_nothing_to_do], "Full": [_nothing_to_do]})
    for node in graph.nodes:
        if node.kind == "Select":  # whose result MIL gives the shape of the two alternatives
            _narrow(node, lambda shapes: np.broadcast_shapes(*shapes[1:]))
        elif node.kind in ELEMENTWISE:
            _narrow(node, lambda shapes: np.broadcast_shapes(*shapes))
        elif node.kind in ("Matmul", "AddMM"):
            _narrow_product(node)
    graph.sweep()


def _nothing_to_do(node: Node) -> list[Node] | None:
    """A broadcast to the shape a tensor has already."""
    (x, *_) = node.inputs
    return [Node("identity", [x], node.outputs, (), node.path)] if x.shape == node.output.shape else None


def _before(tensor: Tensor) -> Tensor:
    node = made_by(tensor, "Broadcast", "Full", "identity")
    return _before(node.inputs[0]) if node else tensor


def _narrow(node: Node, shape_of) -> None:
    for i, tensor in enumerate(node.inputs):
        inputs = [*node.inputs[:i], _before(tensor), *node.inputs[i + 1 :]]
        if shape_of([t.shape for t in inputs]) == node.outputs[0].shape:
            node.inputs = inputs


def _narrow_product(node: Node) -> None:
    """MIL's matmul broadcasts the axes before the last two; both operands keep rank 2 or more."""
    a, b, *rest = node.inputs
    a, b = (
        small if (small := _before(t)).rank >= 2 and small.shape[-2:] == t.shape[-2:] else t for t in (a, b)
    )
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if (*batch, a.shape[-2], b.shape[-1]) == node.output.shape:
        node.inputs = [a, b, *rest]
    if rest:
        node.inputs[2] = _before(rest[0])
