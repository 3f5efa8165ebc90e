"""Folds additions of and multiplications by one number per channel: bias, and BatchNorm in evaluation mode.

A chain of them is computed in float64 and rounded once: into the constants of the convolution or linear layer
before it, else into one scale and one shift.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import replaced, rewrite

KINDS = ("Add", "Subtract", "Multiply", "Divide")
PRODUCTS = ("Convolution", "linear")


@dataclass(frozen=True)
class Chain:
    """scale * source + shift, with numbers per channel or for all channels; how many nodes it takes."""

    source: Tensor
    scale: np.ndarray
    shift: np.ndarray
    length: int


def fold_affine(graph: Graph) -> None:
    """Fold every chain of constant additions and multiplications per channel."""
    uses = graph.uses()
    chains = filter(None, map(_by_constants, graph.nodes))
    inner = {each.source for each in chains if uses[each.source] == 1}
    rewrite(graph, {kind: [partial(_fold, uses, inner)] for kind in KINDS})


def _fold(uses: Counter, inner: set[Tensor], node: Node) -> list[Node] | None:
    if node.output in inner:  # the chain goes on
        return None
    found = _chain(node, uses)
    if found is None:
        return None
    before = found.source.node
    if before is not None and before.kind in PRODUCTS and uses[found.source] == 1:
        return _into_product(node, before, found) if _belongs(before, found) else None
    channels = node.output.shape[-1:]
    if found.length < 2 or channels not in (found.scale.shape, found.shift.shape):
        return None
    scale, shift = (_constant(np.broadcast_to(v, channels), node.path) for v in (found.scale, found.shift))
    return [replaced(node, "batch_norm", [found.source, scale, shift], node.output.rank - 1)]


def _belongs(product: Node, found: Chain) -> bool:
    """One number stays out of a linear layer: its weight may be an embedding's, and would be stored twice."""
    return product.kind != "linear" or found.scale.size > 1 or found.scale.item() == 1


def _into_product(node: Node, before: Node, found: Chain) -> list[Node] | None:
    """A convolution or linear layer with other constants; their weights have the channels first."""
    x, weight, *bias = before.inputs
    if weight.value is None or any(b.value is None for b in bias):
        return None
    old = bias[0].numpy().astype(np.float64) if bias else np.zeros(weight.shape[0])
    scale = np.broadcast_to(found.scale, old.shape)
    scaled = weight.numpy().astype(np.float64) * scale.reshape(-1, *[1] * (weight.rank - 1))
    same = found.scale.size == 1 and found.scale.item() == 1
    kernel = weight if same else constant(scaled.astype(np.float32), weight.name)
    shift = _constant(old * scale + found.shift, before.path)
    return [Node(before.kind, [x, kernel, shift], node.outputs, before.arguments, before.path or node.path)]


def _constant(value: np.ndarray, path: str) -> Tensor:
    return constant(value.astype(np.float32), ".".join(filter(None, (path, "constant"))))


def _chain(node: Node, uses: Counter) -> Chain | None:
    """The longest chain that ends in a node."""
    last = _by_constants(node)
    if last is None:
        return None
    before = last.source.node
    if uses[last.source] > 1 or before is None or (first := _chain(before, uses)) is None:
        return last
    return Chain(
        first.source, last.scale * first.scale, last.scale * first.shift + last.shift, first.length + 1
    )


def _by_constants(node: Node) -> Chain | None:
    """A node as a chain of one, when its other operand is a constant number per channel."""
    if node.kind not in KINDS or not node.output.is_float:
        return None
    for i, (operand, source) in enumerate(zip(node.inputs, node.inputs[::-1], strict=True)):
        value = _per_channel(operand)
        if value is None or source.value is not None or source.shape != node.output.shape:
            continue
        one, zero = np.ones(1), np.zeros(1)
        if node.kind == "Add":
            return Chain(source, one, value, 1)
        if node.kind == "Subtract":
            return Chain(source, one, -value, 1) if i == 1 else Chain(source, -one, value, 1)
        if node.kind == "Multiply":
            return Chain(source, value, zero, 1)
        if i == 1:
            return Chain(source, 1 / value, zero, 1)
    return None


def _per_channel(tensor: Tensor) -> np.ndarray | None:
    """A constant of one finite number, or of one per element of the last axis, in float64."""
    if tensor.value is None or not tensor.is_float or tensor.size != (tensor.shape or (1,))[-1]:
        return None
    value = tensor.numpy().astype(np.float64).reshape(-1)
    return value if np.isfinite(value).all() and value.size else None
