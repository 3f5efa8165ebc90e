"""Fuses padding by the edge, which MLX captures as updates of zeros by slices.

mx.pad(x, widths, mode="edge") writes x into zeros, then the first and last slice of each axis beside it:
https://github.com/ml-explore/mlx/blob/main/mlx/ops.cpp (edge_pad)
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, step, through

ASSIGN = 4  # mlx/primitives.h, SliceUpdate::ReduceType


@dataclass(frozen=True)
class Margin:
    """What an update fills: `width` places of an axis before the rest, or after it."""

    axis: int
    after: bool
    width: int


def fuse_edge_padding(graph: Graph) -> None:
    """Make edge padding a "take" of (x, places) along each axis."""
    uses = graph.uses()
    inner = {n.inputs[0] for n in graph.nodes if n.kind == "SliceUpdate" and uses[n.inputs[0]] == 2}
    rewrite(graph, {"SliceUpdate": [partial(_edges, inner)]})


def _edges(inner: set[Tensor], node: Node) -> list[Node] | None:
    """The last update of a chain that begins with x in the middle and fills every margin once."""
    if node.output in inner:
        return None
    margins, at = set(), node
    while at is not None and at.inputs[0].value is None:
        margin = _margin(at)
        if margin is None or margin in margins:
            return None
        margins.add(margin)
        at = made_by(at.inputs[0], "SliceUpdate")
    if at is None or not _assigns(at):
        return None
    x, low = at.inputs[1], at.arguments[1]
    high = [n - end for n, end in zip(node.output.shape, at.arguments[2], strict=True)]
    wanted = {Margin(axis, False, n) for axis, n in enumerate(low) if n}
    wanted |= {Margin(axis, True, n) for axis, n in enumerate(high) if n}
    if margins != wanted or not wanted or x.value is not None:
        return None
    return _taken(node, x, low, high)


def _taken(node: Node, x: Tensor, low: tuple[int, ...], high: list[int]) -> list[Node]:
    steps, shape = [], list(x.shape)
    for axis, (before, after) in enumerate(zip(low, high, strict=True)):
        if before or after:
            places = np.arange(-before, shape[axis] + after).clip(0, shape[axis] - 1).astype(np.int32)
            shape[axis] = len(places)
            source = steps[-1].output if steps else x
            steps.append(step(node, "take", [source, constant(places)], shape, axis))
    return [*steps[:-1], replaced(node, "take", steps[-1].inputs, *steps[-1].arguments)]


def _assigns(node: Node) -> bool:
    return node.arguments[0] == ASSIGN and all(stride == 1 for stride in node.unpack(4)[3])


def _margin(node: Node) -> Margin | None:
    """The margin that an update fills with the slice beside it of the tensor it updates."""
    base, update = node.inputs
    _, start, end, _ = node.unpack(4)
    part = [axis for axis, n in enumerate(base.shape) if (start[axis], end[axis]) != (0, n)]
    edge = made_by(through(update, "Broadcast"), "Slice")
    if len(part) != 1 or edge is None or edge.inputs[0] is not base or not _assigns(node):
        return None
    (axis,) = part
    after = start[axis] > 0
    place = start[axis] - 1 if after else end[axis]
    first, last, strides = edge.unpack(3)
    beside = all(
        (a, b) == ((place, place + 1) if i == axis else (0, n))
        for i, (a, b, n) in enumerate(zip(first, last, base.shape, strict=True))
    )
    reaches = not after or end[axis] == base.shape[axis]
    fits = beside and reaches and set(strides) == {1}
    return Margin(axis, after, end[axis] - start[axis]) if fits else None
