"""Merges duplicates: constants with the same numbers, and nodes that compute the same."""

from collections.abc import Hashable, Mapping, Sequence

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import substitute

Series = tuple[Tensor, ...]  # one tensor, in every graph
SAMPLES = 64  # numbers that tell most constants apart before they are compared in full


def merge_duplicates(graph: Graph) -> None:
    """Let readers of equal constants, and of equal results, share one of them."""
    merge_duplicates_of_all([graph])


def merge_duplicates_of_all(graphs: Sequence[Graph]) -> None:
    """As `merge_duplicates`, of one function captured at several sizes: only what is equal at all of them,
    since two sizes may be equal by chance. Graphs that differ in their nodes stay as they are.
    """
    if len({tuple(node.kind for node in graph.nodes) for graph in graphs}) > 1:
        return
    _merge_constants(graphs)
    _merge_nodes(graphs)


def _merge_constants(graphs: Sequence[Graph]) -> None:
    known: dict[Hashable, list[tuple[Series, list[np.ndarray]]]] = {}
    instead = {}
    for tensors in _constants(graphs):
        bits = [_bits(tensor.value) for tensor in tensors]
        key = tuple((t.shape, t.dtype, _sample(b)) for t, b in zip(tensors, bits, strict=True))
        alike = known.setdefault(key, [])
        first = next((other for other, theirs in alike if all(map(_equal, bits, theirs))), None)
        if first is None:
            alike.append((tensors, bits))
        else:
            instead |= {a: b for a, b in zip(tensors, first, strict=True) if a is not b}
    for graph in graphs:
        substitute(graph, instead)


def _constants(graphs: Sequence[Graph]) -> list[Series]:
    """The constants that nodes read, each once, in order of use, in every graph."""
    rows = zip(*([t for node in graph.nodes for t in node.inputs] for graph in graphs), strict=True)
    return [each for each in dict.fromkeys(rows) if all(t.value is not None for t in each)]


def _bits(value: mx.array) -> np.ndarray:
    """A constant's numbers as bit patterns, without a copy: -0 differs from 0, and a NaN from nothing."""
    if value.dtype == mx.bfloat16:
        value = value.view(mx.uint16)
    found = np.atleast_1d(np.array(value, copy=False))
    return found.view(f"u{found.itemsize}")


def _sample(bits: np.ndarray) -> bytes:
    """Some of the numbers, evenly spread."""
    places = np.unravel_index(np.linspace(0, bits.size - 1, min(bits.size, SAMPLES), dtype=int), bits.shape)
    return bits[places].tobytes() if bits.size else b""


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    same_memory = a.__array_interface__["data"] == b.__array_interface__["data"] and a.strides == b.strides
    return same_memory or bool(np.array_equal(a, b))


def _merge_nodes(graphs: Sequence[Graph]) -> None:
    known: dict[Hashable, Sequence[Node]] = {}
    instead: dict[Tensor, Tensor] = {}
    for nodes in zip(*(graph.nodes for graph in graphs), strict=True):
        key = tuple(_key(node, instead) for node in nodes)
        first = known.setdefault(key, nodes)
        if first is not nodes:
            for node, other in zip(nodes, first, strict=True):
                instead |= dict(zip(node.outputs, other.outputs, strict=True))
    for graph in graphs:
        substitute(graph, instead)


def _key(node: Node, instead: Mapping[Tensor, Tensor]) -> Hashable:
    """What two nodes that compute the same have in common."""
    inputs = tuple(instead.get(tensor, tensor) for tensor in node.inputs)
    promised = tuple((tensor.shape, tensor.dtype) for tensor in node.outputs)
    return node.kind, inputs, repr(node.arguments), promised
