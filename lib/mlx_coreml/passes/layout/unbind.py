"""Takes the parts of a stacked axis without making an axis of it: the q, k and v of one projection.

(B, T, 3, H, D) -> (3, B, H, T, D), split and squeezed, is (B, T, 3 * H, D) -> (B, 3 * H, T, D) split in
three.
"""

from collections.abc import Collection

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import RESHAPES, made_by, readers, step


def split_in_place(graph: Graph) -> None:
    """Merge an axis that is split into parts of one, and squeezed away, with the axis after it."""
    reads, nodes, dropped = readers(graph), [], set()
    for node in graph.nodes:
        squeezes = _squeezes(node, reads, graph.outputs) if node.kind == "Split" else None
        made = _in_place(node, squeezes) if squeezes else None
        nodes += made or [node]
        dropped.update(squeezes if made else ())
    graph.nodes = [node for node in nodes if node not in dropped]
    graph.sweep()


def _squeezes(node: Node, reads: dict[Tensor, list[Node]], outputs: Collection[Tensor]) -> list[Node] | None:
    """The nodes that squeeze the split axis from each part, if nothing else reads the parts."""
    _, axis = node.unpack(2)
    found = []
    for part in node.outputs:
        readers_of = reads.get(part, [])
        if part in outputs or len(readers_of) != 1 or part.shape[axis] != 1:
            return None
        (squeeze,) = readers_of
        if squeeze.kind != "Squeeze" or list(squeeze.arguments[0]) != [axis]:
            return None
        found.append(squeeze)
    return found


def _in_place(node: Node, squeezes: list[Node]) -> list[Node] | None:
    transpose = made_by(node.inputs[0], "Transpose")
    stacked = transpose.inputs[0] if transpose is not None else node.inputs[0]
    reshape = made_by(stacked, *RESHAPES)
    order = list(transpose.arguments[0]) if transpose is not None else list(range(stacked.rank))
    stack = order[node.unpack(2)[1]]
    if reshape is None or stack + 1 == stacked.rank:
        return None
    shape = stacked.shape
    merged = (*shape[:stack], shape[stack] * shape[stack + 1], *shape[stack + 2 :])
    flat = step(node, "Reshape", reshape.inputs[:1], merged, merged)
    kept = [axis - (axis > stack) for axis in order if axis != stack]
    turned = step(node, "Transpose", [flat.output], [merged[axis] for axis in kept], kept)
    cuts = tuple(i * shape[stack + 1] for i in range(1, shape[stack]))
    parts = [squeeze.output for squeeze in squeezes]
    return [flat, turned, Node("Split", [turned.output], parts, (cuts, kept.index(stack)), node.path)]
