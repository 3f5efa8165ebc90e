"""Rewrites tensors of more than five axes, which Core ML does not have, as tensors of at most five.

A tensor of higher rank is held as one of lower rank with the same elements in the same order. An operation on
it merges the neighbouring axes that it treats alike, and goes axis by axis where even that is too many: such
are window partitions, shuffles and repeats.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.layout.channels_first import ACTIVATIONS, PLAIN
from mlx_coreml.passes.rewriting.rewrite import step, through

LIMIT = 5  # axes of a tensor in Core ML
RESHAPES = ("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "identity")


@dataclass
class Ranks:
    """The nodes so far, and the low-rank tensors that stand for high-rank ones."""

    nodes: list[Node] = field(default_factory=list)
    low: dict[Tensor, Tensor] = field(default_factory=dict)

    def add(self, node: Node) -> Tensor:
        """Append a node; its first result."""
        self.nodes.append(node)
        return node.outputs[0]

    def shaped(self, node: Node, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """A tensor's elements in another shape."""
        if tensor.value is not None:
            return constant(tensor.value.reshape(shape), tensor.name)
        source = through(self.low.get(tensor, tensor), *RESHAPES)
        if source.shape == tuple(shape):
            return source
        made = step(node, "Reshape", [source], shape, tuple(shape))
        made.output.dtype = source.dtype
        return self.add(made)

    def give(self, node: Node, index: int, tensor: Tensor) -> None:
        """Let a tensor stand for an output of a node, or be it where the rank allows."""
        output = node.outputs[index]
        if output.rank > LIMIT:
            self.low[output] = tensor
        else:
            self.add(Node("Reshape", [tensor], [output], (output.shape,), node.path))


def lower_ranks(graph: Graph) -> None:
    """Rewrite every node that reads or makes a tensor of more than five axes.

    Errors: ConversionError naming the first that cannot be, or an input or output of the model.
    """
    ranks = Ranks()
    for node in graph.nodes:
        if all(t.rank <= LIMIT for t in (*node.inputs, *node.outputs)):
            ranks.add(node)
        elif node.kind not in RULES:
            raise _refused(node)
        else:
            RULES[node.kind](ranks, node)
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.rank > LIMIT:
            what = "input" if tensor in graph.inputs else "output"
            raise ConversionError(
                f"{what} {tensor} has rank {tensor.rank}; Core ML allows rank {LIMIT} at most"
            )
    graph.nodes = ranks.nodes
    graph.sweep()


def _refused(node: Node) -> ConversionError:
    rank = max(t.rank for t in (*node.inputs, *node.outputs))
    return ConversionError(
        f"{node.where} has rank {rank}; Core ML allows rank {LIMIT} at most, and this cannot be rewritten"
    )


def merged(*keys: Sequence) -> list[list[int]]:
    """Axes in runs of neighbours that have the same keys."""
    alike = list(zip(*keys, strict=True))
    runs = itertools.groupby(range(len(alike)), key=alike.__getitem__)
    return [list(run) for _, run in runs]


def _sizes(shape: Sequence[int], runs: list[list[int]]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis] for axis in run) for run in runs)


def _reshape(ranks: Ranks, node: Node) -> None:
    """The same elements in the same order."""
    (x,) = node.inputs
    source = through(ranks.low.get(x, x), *RESHAPES)
    ranks.give(node, 0, source)


def _transpose(ranks: Ranks, node: Node) -> None:
    """Blocks of axes that stay together move as one; where there are too many, one after the other."""
    (x,), (order,) = node.inputs, node.unpack(1)
    order = [axis for axis in order if x.shape[axis] > 1]
    rows = {axis: row for row, axis in enumerate(sorted(order))}
    goal: list[list[int]] = []
    for axis in order:
        if goal and rows[axis] == rows[goal[-1][-1]] + 1:
            goal[-1].append(axis)
        else:
            goal.append([axis])
    blocks = sorted(goal)
    if len(goal) <= LIMIT:
        source = ranks.shaped(node, x, _sizes(x.shape, blocks) or (1,))
        moves = [blocks.index(block) for block in goal] or [0]
        made = ranks.add(step(node, "Transpose", [source], [source.shape[i] for i in moves], moves))
    else:
        made = _one_by_one(ranks, node, x, blocks, goal)
    ranks.give(node, 0, made)


def _one_by_one(ranks: Ranks, node: Node, x: Tensor, blocks: list, goal: list) -> Tensor:
    """Each block in turn to its place, before those that are not yet."""
    made, blocks = x, list(blocks)
    for place, block in enumerate(goal):
        at = blocks.index(block)
        if at == place:
            continue
        parts = blocks[:place], blocks[place:at], [block], blocks[at + 1 :]
        shape = [math.prod(x.shape[axis] for part in group for axis in part) for group in parts]
        made = ranks.shaped(node, made, shape)
        made = ranks.add(step(node, "Transpose", [made], [shape[i] for i in (0, 2, 1, 3)], [0, 2, 1, 3]))
        blocks.insert(place, blocks.pop(at))
    return made


def _broadcast(ranks: Ranks, node: Node) -> None:
    ranks.give(node, 0, _repeated(ranks, node, node.inputs[0], node.output.shape))


def _repeated(ranks: Ranks, node: Node, x: Tensor, wanted: Sequence[int]) -> Tensor:
    """A tensor broadcast to a shape, one run of repeated axes after the other."""
    shape, made = _lifted(x, len(wanted)), x
    grown = [a != b for a, b in zip(shape, wanted, strict=True)]
    for run in merged(grown):
        if grown[run[0]]:
            before, size, after = _around(shape, run)
            wide = (before, math.prod(wanted[axis] for axis in run), after)
            made = ranks.shaped(node, made, (before, size, after))
            made = ranks.add(step(node, "Broadcast", [made], wide, wide))
            made.dtype = x.dtype
            for axis in run:
                shape[axis] = wanted[axis]
    return made


def _lifted(x: Tensor, rank: int) -> list[int]:
    """The shape of a tensor with leading axes of one."""
    return [1] * (rank - x.rank) + list(x.shape)


def _around(shape: Sequence[int], run: list[int]) -> tuple[int, int, int]:
    """How many elements there are before, in and after a run of axes."""
    return math.prod(shape[: run[0]]), math.prod(shape[a] for a in run), math.prod(shape[run[-1] + 1 :])


def _reduce(ranks: Ranks, node: Node) -> None:
    """One run of reduced axes after the other; a mean of means of equally many is the mean."""
    (x,), (first, axes) = node.inputs, node.unpack(2)
    kind, how = ("mean", True) if node.kind == "mean" else ("Reduce", first)
    shape, made = list(x.shape), x
    for run in merged([axis in axes for axis in range(x.rank)]):
        if run[0] in axes:
            before, size, after = _around(shape, run)
            made = ranks.shaped(node, made, (before, size, after))
            made = ranks.add(step(node, kind, [made], (before, 1, after), how, [1]))
            for axis in run:
                shape[axis] = 1
    ranks.give(node, 0, made)


def _elementwise(ranks: Ranks, node: Node) -> None:
    output = node.outputs[0]
    inputs, runs = _aligned(ranks, node, node.inputs, output.shape, LIMIT)
    outputs = [Tensor(t.name, _sizes(t.shape, runs), t.dtype) for t in node.outputs]
    ranks.add(Node(node.kind, inputs, outputs, node.arguments, node.path))
    for index, tensor in enumerate(outputs):
        ranks.give(node, index, tensor)


def _aligned(
    ranks: Ranks, node: Node, tensors: Sequence[Tensor], wanted: Sequence[int], limit: int, tail: int = 0
) -> tuple[list[Tensor], list[list[int]]]:
    """Tensors that broadcast to a shape, with the axes that each of them has, or has not, merged to `limit`;
    the last `tail` axes of each tensor stay as they are. Where that is too many they are broadcast.
    """
    heads = [_lifted(t, len(wanted) + tail)[: len(wanted)] for t in tensors]
    full = [axis for axis, n in enumerate(wanted) if n > 1]
    runs = merged(*[[head[axis] > 1 for axis in full] for head in heads]) if full else []
    if len(runs) > limit:
        ends = [t.shape[t.rank - tail :] for t in tensors]
        tensors = [_repeated(ranks, node, t, (*wanted, *end)) for t, end in zip(tensors, ends, strict=True)]
        made = [
            ranks.shaped(node, t, (math.prod(wanted), *end)) for t, end in zip(tensors, ends, strict=True)
        ]
        return made, [list(range(len(wanted)))]
    runs = [[full[i] for i in run] for run in runs]
    made = [
        ranks.shaped(node, t, (*_sizes(head, runs), *t.shape[t.rank - tail :])) if t.rank else t
        for t, head in zip(tensors, heads, strict=True)
    ]
    return made, runs


def _slice(ranks: Ranks, node: Node) -> None:
    """One sliced axis after the other."""
    (x,), ends = node.inputs, node.unpack(3)
    shape, made = list(x.shape), x
    for axis, (start, end, stride) in enumerate(zip(*ends, strict=True)):
        if (start, end, stride) != (0, x.shape[axis], 1):
            before, _, after = _around(shape, [axis])
            made = ranks.shaped(node, made, (before, shape[axis], after))
            shape[axis] = node.output.shape[axis]
            wide = (before, shape[axis], after)
            cut = (0, start, 0), (before, end, after), (1, stride, 1)
            made = ranks.add(step(node, "Slice", [made], wide, *cut))
    ranks.give(node, 0, made)


def _concatenate(ranks: Ranks, node: Node) -> None:
    (axis,) = node.unpack(1)
    parts = [ranks.shaped(node, t, _around(t.shape, [axis])) for t in node.inputs]
    ranks.give(node, 0, ranks.add(step(node, "Concatenate", parts, _around(node.output.shape, [axis]), 1)))


def _split(ranks: Ranks, node: Node) -> None:
    places, axis = node.unpack(2)
    source = ranks.shaped(node, node.inputs[0], _around(node.inputs[0].shape, [axis]))
    outputs = [Tensor(t.name, _around(t.shape, [axis]), t.dtype) for t in node.outputs]
    ranks.add(Node("Split", [source], outputs, (places, 1), node.path))
    for index, tensor in enumerate(outputs):
        ranks.give(node, index, tensor)


def _matmul(ranks: Ranks, node: Node) -> None:
    *batch, rows, columns = node.output.shape
    inputs, runs = _aligned(ranks, node, node.inputs, batch, LIMIT - 2, tail=2)
    made = step(node, node.kind, inputs, (*_sizes(batch, runs), rows, columns), *node.arguments)
    ranks.give(node, 0, ranks.add(made))


AXIS = {"Scan": 1, "ArgReduce": 1, "Sort": 0, "ArgSort": 0, "Partition": 1, "ArgPartition": 1}


def _one_axis(ranks: Ranks, node: Node) -> None:
    """What is computed along the axis that is an argument, whose place is in AXIS."""
    (x,), arguments, place = node.inputs, list(node.arguments), AXIS[node.kind]
    axis = arguments[place] % x.rank
    arguments[place] = 1
    source = ranks.shaped(node, x, _around(x.shape, [axis]))
    made = step(node, node.kind, [source], _around(node.output.shape, [axis]), *arguments)
    ranks.give(node, 0, ranks.add(made))


def _last_axis(ranks: Ranks, node: Node) -> None:
    """What is computed along the last axis only."""
    x, *rest = node.inputs
    source = ranks.shaped(node, x, (math.prod(x.shape[:-1]), x.shape[-1]))
    shape = (source.shape[0], node.output.shape[-1])
    ranks.give(node, 0, ranks.add(step(node, node.kind, [source, *rest], shape, *node.arguments)))


def _gather(ranks: Ranks, node: Node) -> None:
    """Index arrays of one axis; what they gather has the slices' axes besides."""
    (x, *places), (axes, sizes) = node.inputs, node.unpack(2)
    if x.rank + 1 > LIMIT:
        raise _refused(node)
    flat = [ranks.shaped(node, t, (t.size,)) for t in places]
    made = step(node, "Gather", [x, *flat], (places[0].size, *sizes), list(axes), tuple(sizes))
    ranks.give(node, 0, ranks.add(made))


RULES: dict[str, Callable[[Ranks, Node], None]] = {
    **dict.fromkeys(RESHAPES, _reshape),
    **dict.fromkeys((*PLAIN, *ACTIVATIONS), _elementwise),
    "Transpose": _transpose,
    "Broadcast": _broadcast,
    "Full": _broadcast,
    **dict.fromkeys(("Reduce", "reduce", "mean"), _reduce),
    **dict.fromkeys(AXIS, _one_axis),
    "Slice": _slice,
    "Concatenate": _concatenate,
    "Split": _split,
    **dict.fromkeys(("Matmul", "matmul"), _matmul),
    "Softmax": _last_axis,
    "linear": _last_axis,
    "Gather": _gather,
}
