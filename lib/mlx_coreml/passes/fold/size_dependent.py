"""Takes back the folding of constants that depend on a size: one function is captured at several sizes.

A table that is cut off with the size stays a constant, the largest one. Anything else that differs, such as a
row of a table at a computed place, distances to the end, or a grid of positions, is computed by the model
from what does not differ, and from the numbers in the arguments of its nodes.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import sort

MOVING = ("AsType", "Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Broadcast", "Full", "Copy")
LEFT_OUT = ("Pad", "Slice", "identity")  # where they change nothing
LARGEST = 2**24  # elements of a table that is cut off

Same = tuple[Tensor, ...]  # one tensor, in every graph
Made = Sequence[Mapping[Tensor, Node]]  # the node that made a constant, for each graph


def keep_size_dependent(graphs: Sequence[Graph], made: Made, lowered: Collection[str], tables: bool) -> None:
    """Make constants that depend on a size nodes again. Without `tables` the first graph is not the largest.

    Graphs stay as they are where they differ in more than padding and slices.
    """
    alike = [[node for node in graph.nodes if node.kind not in LEFT_OUT] for graph in graphs]
    if len({tuple(node.kind for node in nodes) for nodes in alike}) > 1:
        return
    waiting = [row for nodes in zip(*alike, strict=True) for row in _reads(nodes)]
    waiting += [(None, 0, each) for each in zip(*(graph.outputs for graph in graphs), strict=True)]
    kept: dict[Node, None] = {}
    seen: dict[Same, Same] = {}
    while waiting:
        readers, place, each = waiting.pop(0)
        if each not in seen and all(t.value is not None for t in each) and not _cut_off(each, tables):
            seen[each] = _numbers(each) if _is_number(each, made) else each
            nodes = _unfolded(each, made, lowered) if seen[each] is each else []
            kept |= dict.fromkeys(nodes)
            waiting += _reads(nodes) if nodes else []
        for node, tensor in zip(readers or (), seen.get(each, each), strict=False):
            node.inputs[place] = tensor
    for graph, own in zip(graphs, made, strict=True):
        graph.nodes += [
            node for node in kept if own.get(node.outputs[0]) is node
        ]  # sorted: before its reader
        sort(graph)
        graph.sweep()


def _reads(nodes: Sequence[Node]) -> list[tuple[Sequence[Node] | None, int, Same]]:
    """What nodes, one in every graph, read at each place."""
    return [(nodes, i, each) for i, each in enumerate(zip(*(node.inputs for node in nodes), strict=False))]


def _numbers(each: Same) -> Same:
    """Tensors of their own for numbers that depend on a size: MLX shares those that are equal by chance."""
    return tuple(Tensor(t.name, t.shape, t.dtype, t.value, sized=True) for t in each)


def _unfolded(each: Same, made: Made, lowered: Collection[str]) -> list[Node]:
    """The nodes that make a constant in each graph, put back; none where it has to stay a constant."""
    nodes = [own.get(t) for t, own in zip(each, made, strict=True)]
    if None in nodes or len({node.kind for node in nodes}) > 1 or nodes[0].kind not in lowered:
        return []
    if len({(len(node.inputs), len(node.outputs)) for node in nodes}) > 1:
        return []
    for node in nodes:
        for output in node.outputs:
            output.peak, output.sized = _peak(output), True
            output.value, output.node = None, node
    return nodes


def _peak(tensor: Tensor) -> float:
    """The largest finite magnitude of a constant; infinity where that is all it has."""
    if not tensor.is_float or not tensor.size:
        return 0.0
    return float(np.abs(tensor.numpy()).max())


def _cut_off(each: Same, tables: bool) -> bool:
    """Whether the values are equal, or beginnings of the first and largest of them."""
    largest, *others = each
    if len({t.rank for t in each}) > 1 or len({t.dtype for t in each}) > 1:
        return False
    if any(n > m for t in others for n, m in zip(t.shape, largest.shape, strict=True)):
        return False
    if (largest.size > LARGEST or not tables) and len({t.shape for t in each}) > 1:
        return False
    whole = largest.numpy()
    return all(
        np.array_equal(whole[tuple(slice(n) for n in t.shape)], t.numpy(), equal_nan=t.is_float)
        for t in others
    )


def _is_number(each: Same, made: Made) -> bool:
    """Whether each is one number that the function computed itself, before MLX: a formula is found later."""
    for tensor, own in zip(each, made, strict=True):
        while tensor in own and own[tensor].kind in MOVING:
            tensor = own[tensor].inputs[0]
        if tensor.size != 1 or tensor in own:
            return False
    return all(t.size == 1 for t in each)
