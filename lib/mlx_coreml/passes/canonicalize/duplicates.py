"""Merges duplicates: constants with the same numbers, and nodes that compute the same."""

from collections.abc import Hashable

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import substitute

SAMPLES = 64  # numbers that tell most constants apart before they are compared in full


def merge_duplicates(graph: Graph) -> None:
    """Let readers of equal constants, and of equal results, share one of them."""
    _merge_constants(graph)
    _merge_nodes(graph)


def _merge_constants(graph: Graph) -> None:
    known: dict[Hashable, list[tuple[Tensor, np.ndarray]]] = {}
    instead = {}
    for tensor in graph.constants():
        bits = _bits(tensor.value)
        alike = known.setdefault((tensor.shape, tensor.dtype, _sample(bits)), [])
        twin = next((other for other, theirs in alike if _equal(bits, theirs)), None)
        if twin is None:
            alike.append((tensor, bits))
        else:
            instead[tensor] = twin
    substitute(graph, instead)


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


def _merge_nodes(graph: Graph) -> None:
    known: dict[Hashable, Node] = {}
    instead: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        inputs = tuple(instead.get(tensor, tensor) for tensor in node.inputs)
        promised = tuple((tensor.shape, tensor.dtype) for tensor in node.outputs)
        key = (node.kind, inputs, repr(node.arguments), promised)
        first = known.setdefault(key, node)
        if first is not node:
            instead |= dict(zip(node.outputs, first.outputs, strict=True))
    substitute(graph, instead)
