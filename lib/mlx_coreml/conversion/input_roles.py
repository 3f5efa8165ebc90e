"""What the inputs of a captured graph are for (ids, positions, masks), and the values that they may take.

A check that draws ids only from the example's range sees a corner of a table. MLX does not look whether an
index is within its table, so values beyond the example's are only given where the graph shows the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor

FAR = 4096  # a position that most models must stand, where no table limits it
LATE = 1000.0  # a time step of diffusion models
MASKED = -1e4  # a mask adds numbers below this, or -inf
MOVED = (
    *("AsType", "Broadcast", "Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze"),
    *("Transpose", "Slice"),
    *("Concatenate", "Copy", "Contiguous", "Split", "StopGradient"),
)
CHOSEN = ("Maximum", "Minimum", "Select")
SCALED = (
    *("Multiply", "Divide", "Negative", "Exp", "Log", "Sqrt", "Floor", "Round", "Remainder"),
    *("Abs", "Power"),
)
WAVES = ("Sin", "Cos")
Shift = tuple[float, float] | None  # least and greatest number added to an input; None: computed otherwise


@dataclass(frozen=True)
class Role:
    """What an input is: "ids", "position", "mask" or "number"; `highest` is its greatest value."""

    kind: str
    highest: float


def roles(graph: Graph, example: Sequence[mx.array]) -> list[Role]:
    """The role of each input of a graph as it was captured, in order, on an example (flat arrays)."""
    return [_role(graph, tensor, array) for tensor, array in zip(graph.inputs, example, strict=True)]


def _role(graph: Graph, tensor: Tensor, array: mx.array) -> Role:
    values = np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)
    if values.dtype.kind == "c" or not values.size:
        return Role("number", 0.0)
    highest = float(values.max())
    if tensor.dtype == "bool" or (tensor.is_float and float(values.min()) <= MASKED):
        return Role("mask", highest)
    limits, waves, selects = _uses(graph, tensor)
    if tensor.is_float:
        return Role("position", max(LATE, highest)) if waves else Role("number", highest)
    most = min([float(min(FAR, np.iinfo(values.dtype).max)), *limits])
    if selects:
        return Role("ids", max(highest, min(limits)))
    return Role("position", max(highest, most))


def _uses(graph: Graph, tensor: Tensor) -> tuple[list[float], bool, bool]:
    """The greatest values that tables allow, whether a sine is taken, whether a table has them as ids."""
    shifts: dict[Tensor, Shift] = {tensor: (0.0, 0.0)}
    limits, waves, selects = [], False, False
    for node in graph.nodes:
        if not any(t in shifts for t in node.inputs):
            continue
        waves = waves or node.kind in WAVES
        for index, limit in _indices(node):
            if index in shifts:
                shift = shifts[index]
                limits.append(-1.0 if shift is None else limit - shift[1])
                selects = selects or (shift == (0.0, 0.0) and node.kind.startswith("Gather"))
        if node.kind in (*MOVED, *CHOSEN, *SCALED, "Add", "Subtract") or not node.outputs[0].is_float:
            shifts |= dict.fromkeys(node.outputs, _shifted(node, shifts))
    return limits, waves, selects


def _shifted(node: Node, shifts: dict[Tensor, Shift]) -> Shift:
    """What the values of a node are more than the input's."""
    found = [shifts[t] for t in node.inputs if t in shifts]
    known = [shift for shift in found if shift is not None]
    if len(known) < len(found):
        return None
    if node.kind in (*MOVED, *CHOSEN):
        return min(low for low, _ in known), max(high for _, high in known)
    if node.kind in ("Add", "Subtract") and len(found) == 1:
        other = node.inputs[1] if node.inputs[0] in shifts else node.inputs[0]
        added = _bounds(other)
        if added is not None and (node.kind == "Add" or other is node.inputs[1]):
            low, high = added if node.kind == "Add" else (-added[1], -added[0])
            return known[0][0] + low, known[0][1] + high
    return None


def _bounds(tensor: Tensor) -> tuple[float, float] | None:
    """The least and greatest number of a constant, of a range, or of a rearrangement of these."""
    if tensor.value is not None:
        values = tensor.numpy()
        return float(values.min()), float(values.max())
    if tensor.node is not None and tensor.node.kind == "Arange":
        start, _, step = tensor.node.arguments[:3]
        ends = (start, start + step * (tensor.size - 1))
        return float(min(ends)), float(max(ends))
    if tensor.node is not None and tensor.node.kind in MOVED:
        found = [_bounds(t) for t in tensor.node.inputs]
        known = [each for each in found if each is not None]
        if len(known) == len(found):
            return min(low for low, _ in known), max(high for _, high in known)
    return None


def _indices(node: Node) -> Iterator[tuple[Tensor, int]]:
    """The index operands of a node, each with the greatest index that it may hold."""
    if node.kind in ("Gather", "Scatter"):
        axes = node.arguments[0] if node.kind == "Gather" else node.arguments[1]
        for axis, index in zip(axes, node.inputs[1:], strict=False):
            yield index, node.inputs[0].shape[axis] - 1
    elif node.kind in ("GatherAxis", "ScatterAxis"):
        yield node.inputs[1], node.inputs[0].shape[node.arguments[-1]] - 1
    elif node.kind in ("GatherMM", "GatherQMM"):
        yield from ((index, 0) for index in node.inputs[-2:])
    elif node.kind in ("DynamicSlice", "DynamicSliceUpdate"):
        whole, part = node.inputs[0].shape, (*node.outputs, node.inputs[1])[node.kind != "DynamicSlice"].shape
        room = [whole[axis] - part[axis] for axis in node.arguments[0] if whole[axis] > part[axis]]
        yield node.inputs[-1], min(room, default=0)
