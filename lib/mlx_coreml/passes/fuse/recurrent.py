"""Fuses recurrent layers, which MLX captures unrolled over time: one lstm, gru or rnn node for all steps.

A node takes (x (T, B, I), weight (gates * H, I), recurrent weight (gates * H, H), bias, recurrent bias
[, hidden (B, H)[, memory (B, H)]]) with MLX's order of gates, and makes (steps (T, B, H), hidden[, memory]).
https://ml-explore.github.io/mlx/build/html/python/nn/layers.html
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.fuse.recurrent_cells import CELLS, Step, core
from mlx_coreml.passes.rewriting.rewrite import RESHAPES, readers, sort, substitute

GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class Layer:
    """All steps of a layer and the tensor that stacks their hidden states along time."""

    kind: str
    steps: list[Step]
    hidden: list[Tensor]
    stack: Tensor


def fuse_recurrent(graph: Graph) -> None:
    """Replace every unrolled layer by one node, unless something reads what the node does not make."""
    for node in list(graph.nodes):
        layer = _layer(node) if node.kind == "Concatenate" else None
        instead = _replacement(graph, layer) if layer is not None else None
        if instead is not None:
            made, nodes = instead
            graph.nodes += nodes
            substitute(graph, made)
    sort(graph)


def _layer(node: Node) -> Layer | None:
    """The layer whose hidden states a node stacks."""
    axis = node.unpack(1)[0]
    if axis != node.output.rank - 2 or any(t.shape[axis] != 1 for t in node.inputs):
        return None
    hidden = [core(t) for t in node.inputs]
    return next(filter(None, (_chain(kind, cell, hidden, node) for kind, cell in CELLS.items())), None)


def _chain(kind: str, cell: Callable, hidden: list[Tensor], node: Node) -> Layer | None:
    """The steps that lead from each hidden state to the next, if they are steps of one layer."""
    steps = []
    for time, tensor in enumerate(hidden):
        found = [s for s in cell(tensor) if _follows(s, time, steps, hidden)]
        if not found:
            return None
        steps.append(found[0])
    source = steps[0].at.source
    weights = {step.weight for step in steps if step.weight is not None}
    biases = {step.bias for step in steps}
    *rows, features = node.output.shape
    whole = len(steps) == rows[-1] and source.shape == (*rows, GATES[kind] * features)
    if not whole or len(weights) != 1 or len(biases) != 1:
        return None
    return Layer(kind, steps, hidden, node.output)


def _follows(step: Step, time: int, steps: list[Step], hidden: list[Tensor]) -> bool:
    if step.at.time != time:
        return False
    if time == 0:
        return step.hidden not in hidden
    same = step.at.source is steps[0].at.source and step.hidden is hidden[time - 1]
    return same and step.before is steps[-1].memory


def _replacement(graph: Graph, layer: Layer) -> tuple[dict[Tensor, Tensor], list[Node]] | None:
    """What to read instead of the results of a layer, and the nodes that make it."""
    last = _last_memories(graph, layer)
    if last is None:
        return None
    nodes = _nodes(layer)
    made = nodes[-1].outputs
    T, B, H = made[0].shape
    if layer.stack.rank == 3:
        nodes.append(_node("Transpose", [made[0]], (B, T, H), [1, 0, 2]))
        instead = {layer.stack: nodes[-1].output}
    else:
        instead = {layer.stack: _reshaped(nodes, made[0], (T, H))}
    instead[layer.hidden[-1]] = _reshaped(nodes, made[1], layer.hidden[-1].shape)
    for tensor in last:
        instead[tensor] = _reshaped(nodes, made[2], tensor.shape)
    path = layer.stack.node.path
    for node in nodes:
        node.path = path
    return instead, nodes


def _last_memories(graph: Graph, layer: Layer) -> list[Tensor] | None:
    """The tensors that hold the last memory, for others to read; None when they read states in between."""
    own = _own_nodes(layer)
    reads = readers(graph)
    memories = [step.memory for step in layer.steps if step.memory is not None]
    between = {*layer.hidden[:-1], *memories[:-1]}
    if any(tensor in graph.outputs for tensor in between):
        return None
    outside = [n for t in (*between, *memories[-1:]) for n in reads.get(t, []) if n not in own]
    stacks = {r for n in outside if n.kind in RESHAPES for r in reads.get(n.output, [])}
    if not outside or (not stacks and all(n.inputs[0] is memories[-1] for n in outside)):
        return memories[-1:]
    if len(stacks) != 1 or [core(t) for t in next(iter(stacks)).inputs] != memories:
        return None
    (stack,) = stacks
    cut = reads.get(stack.output, [])
    place, count = stack.output.rank - 2, len(memories)
    if stack.output in graph.outputs or any(n.kind != "Slice" for n in cut):
        return None
    if any(n.arguments[0][place] != count - 1 or n.output.shape[place] != 1 for n in cut):
        return None
    whole = all(n.output.size * count == stack.output.size for n in cut)
    return [memories[-1], *(n.output for n in cut)] if whole else None


def _own_nodes(layer: Layer) -> set[Node]:
    """The nodes that compute a layer, from its projected input to its stack."""
    ends = {layer.steps[0].at.source, layer.steps[0].hidden, layer.steps[0].before}
    own, ahead = set(), [layer.stack]
    while ahead:
        tensor = ahead.pop()
        if tensor.node is not None and tensor not in ends and tensor.node not in own:
            own.add(tensor.node)
            ahead += tensor.node.inputs
    return own


def _nodes(layer: Layer) -> list[Node]:
    """The node of a layer, last, and those that lay out what it reads."""
    first, source = layer.steps[0], layer.steps[0].at.source
    x, weight, *bias = source.node.inputs
    B, T = (1, source.shape[0]) if source.rank == 2 else source.shape[:2]
    H, nodes = layer.stack.shape[-1], []
    if source.rank == 3:
        nodes.append(_node("Transpose", [x], (T, B, x.shape[-1]), [1, 0, 2]))
        x = nodes[-1].output
    else:
        x = _reshaped(nodes, x, (T, B, x.shape[-1]))
    recurrent = next(step.weight for step in layer.steps if step.weight is not None)
    zeros = constant(np.zeros(weight.shape[0], np.float32))
    offset = [first.bias or constant(np.zeros(H, np.float32))] if layer.kind == "gru" else []
    states = [_reshaped(nodes, t, (B, H)) for t in (first.hidden, first.before) if t is not None]
    made = [Tensor("steps", (T, B, H), x.dtype), Tensor("hidden", (B, H), x.dtype)]
    made += [Tensor("memory", (B, H), x.dtype)] if layer.kind == "lstm" else []
    inputs = [x, weight, recurrent, *(bias or [zeros]), *offset, *states]
    return [*nodes, Node(layer.kind, inputs, made)]


def _node(kind: str, inputs: list[Tensor], shape: Sequence[int], *arguments) -> Node:
    return Node(kind, inputs, [Tensor(inputs[0].name, tuple(shape), inputs[0].dtype)], arguments)


def _reshaped(nodes: list[Node], tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor in a shape, by a new node where it has another; zeros, say, are broadcast to it."""
    if tensor.shape == tuple(shape):
        return tensor
    kind = "Reshape" if tensor.size == np.prod(shape) else "Broadcast"
    if tensor.value is not None:
        change = mx.reshape if kind == "Reshape" else mx.broadcast_to
        return constant(change(tensor.value, tuple(shape)), tensor.name)
    nodes.append(_node(kind, [tensor], shape, tuple(shape)))
    return nodes[-1].output
