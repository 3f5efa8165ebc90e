"""The nodes of a graph that need fp32: a pass forwards for the ranges, one backwards for what needs them.

A node needs it when it makes or reads numbers that fp16 cannot hold, when it reads small numbers that it
divides by, takes the logarithm or root of, or hands on to a node that does, and when it compares, rounds or
takes the sine of what is computed from inputs alone. Products with weights stay in fp16, whose speed they
need, unless only they lie between small numbers and such a node.
"""

import numpy as np

from mlx_coreml.backends.mil.ranges.interval import FP16_LIMIT, Range, of_constant, of_input
from mlx_coreml.backends.mil.ranges.needs import (
    cancelling,
    exact,
    is_exact,
    is_fraction,
    negligible,
    small,
)
from mlx_coreml.backends.mil.ranges.rules import MATRIX, PRODUCTS, contracted, outcome
from mlx_coreml.ir.graph import Graph, Node, Tensor

NARROW = 16  # terms of a product that costs little in fp32
FAST = (
    *PRODUCTS,
    *("attention", "gather_mm", "GatherMM", "BlockMaskedMM", "rnn", "lstm", "gru", "AddMM", "Hadamard"),
    *("quantized", "dequantized", "take", "resample", "resize_linear"),
)
EPSILONS = {"layer_norm": 1, "group_norm": 1, "instance_norm": 0}  # where a norm's arguments have its epsilon
ERROR = 0.02  # of the variance and epsilon together


class Ranges(dict[Tensor, Range]):
    """The ranges of a graph's tensors; a constant's is found when it is asked for."""

    def __missing__(self, tensor: Tensor) -> Range:
        self[tensor] = of_constant(tensor) if tensor.value is not None else of_input(tensor)
        return self[tensor]


def islands(graph: Graph) -> set[Node]:
    """The nodes that compute in fp32 in a program that is otherwise in fp16."""
    ranges = Ranges()
    for node in graph.nodes:
        ranges.update(dict.fromkeys(node.outputs, outcome(node, ranges)))
    found = {node for node in graph.nodes if _is_wide(node, ranges) or _loses_epsilon(node, ranges)}
    return found | _needing(graph, ranges)


def _is_wide(node: Node, ranges: Ranges) -> bool:
    """Whether a node makes or reads numbers that fp16 ends below, or skips."""
    if node.kind in MATRIX and contracted(node) <= NARROW:
        return any(ranges[t].wide and ranges[t].given for t in (*node.inputs, *node.outputs) if t.is_float)
    if node.kind in FAST:
        return False
    return _reads_wide(node, ranges) or any(t.is_float and ranges[t].wide for t in node.outputs)


def _loses_epsilon(node: Node, ranges: Ranges) -> bool:
    """Whether a norm's epsilon, rounded to fp16, counts beside the least variance of its input."""
    if node.kind not in EPSILONS:
        return False
    epsilon = float(node.arguments[EPSILONS[node.kind]])
    rounded = float(max(np.float16(epsilon), np.float16(2.0**-24)))
    return abs(rounded - epsilon) > ERROR * (ranges[node.inputs[0]].least ** 2 + epsilon)


def _reads_wide(node: Node, ranges: Ranges) -> bool:
    return any(
        ranges[t].most > FP16_LIMIT if t.value is not None else ranges[t].wide
        for t in node.inputs
        if t.is_float
    )


def _needing(graph: Graph, ranges: Ranges) -> set[Node]:
    """The nodes between small, or exact, numbers and what needs them."""
    careful = {t for t in graph.outputs if t.is_float and negligible(ranges[t])}
    kept = {t for t in graph.outputs if ranges[t].hides}
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        needed = [t for t in node.outputs if t in careful and ranges[t].tiny]
        wanted = small(node, ranges, any(t in careful for t in node.outputs))
        read = exact(node, ranges) + (cancelling(node, ranges) if needed else [])
        shown = any(t in kept for t in node.outputs)
        if shown:
            read += [t for t in node.inputs if is_exact(t, ranges) or is_fraction(t, ranges)]
        if needed or shown or read or any(t.is_float and ranges[t].tiny for t in wanted):
            found.add(node)
        careful.update(wanted)
        kept.update(read)
    return found
