"""Removes nodes that change nothing, and merges chains of reshapes and of transposes."""

from collections.abc import Sequence

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import (
    RESHAPES,
    made_by,
    replaced,
    rewrite,
    scalar,
    substitute,
    through,
)

NEUTRAL = {"Add": 0.0, "Subtract": 0.0, "Multiply": 1.0, "Divide": 1.0, "Power": 1.0}


def drop_identities(graph: Graph) -> None:
    """Remove nodes whose result is their input: no change of shape, order or type, + 0, * 1."""
    substitute(graph, {node.outputs[0]: same for node in graph.nodes if (same := _same(node)) is not None})


def _same(node: Node) -> Tensor | None:
    """The input that a node gives back unchanged."""
    if node.kind in NEUTRAL:
        return _neutral(node)
    if node.kind == "identity":
        return node.inputs[0]
    x, made = node.inputs[0] if node.inputs else None, node.outputs[0]
    if x is None or (x.shape, x.dtype) != (made.shape, made.dtype):
        return None
    if node.kind in (*RESHAPES, "AsType", "Broadcast", "Full"):
        return x
    if node.kind == "Transpose":
        return x if list(node.arguments[0]) == list(range(x.rank)) else None
    if node.kind == "Slice":
        return x if all(stride == 1 for stride in node.arguments[2]) else None
    return x if node.kind in ("Concatenate", "Split") and len(node.inputs) == len(node.outputs) == 1 else None


def _neutral(node: Node) -> Tensor | None:
    either = node.kind in ("Add", "Multiply")
    for x, number in (node.inputs, node.inputs[::-1]) if either else (node.inputs,):
        same = (x.shape, x.dtype) == (node.output.shape, node.output.dtype)
        if same and scalar(number) == NEUTRAL[node.kind] and not through(number, "Broadcast").sized:
            return x
    return None


def merge_reshapes(graph: Graph) -> None:
    """One reshape for a chain of them, one transpose for two; then drop those that change nothing."""
    rules = {kind: [_merged_reshape] for kind in RESHAPES} | {"Transpose": [_merged_transpose, _as_reshape]}
    while rewrite(graph, rules):
        pass
    drop_identities(graph)


def _merged_reshape(node: Node) -> list[Node] | None:
    before = made_by(node.inputs[0], *RESHAPES)
    if before is None:
        return None
    return [replaced(node, "Reshape", before.inputs[:1], node.output.shape)]


def _merged_transpose(node: Node) -> list[Node] | None:
    before = made_by(node.inputs[0], "Transpose")
    if before is None:
        return None
    (second,), (first,) = node.arguments, before.arguments
    return [replaced(node, "Transpose", before.inputs, [first[axis] for axis in second])]


def _as_reshape(node: Node) -> list[Node] | None:
    """A transpose that moves axes of size one only, beside a reshape to merge with."""
    x, (order,) = node.inputs[0], node.arguments
    if made_by(x, *RESHAPES) is None or not _keeps_order(x.shape, order):
        return None
    return [replaced(node, "Reshape", [x], node.output.shape)]


def _keeps_order(shape: Sequence[int], order: Sequence[int]) -> bool:
    moved = [axis for axis in order if shape[axis] > 1]
    return moved == sorted(moved)
