"""Which nodes of a program in fp16 compute in fp32, because fp16 would overflow or lose too much.

fp16 ends at 65504: a square overflows above 255, an exponential above 11, and sums grow with their length.
"""

import numpy as np

from mlx_coreml.backends.mil.lowering.types import FP16_LIMIT
from mlx_coreml.ir.graph import Graph, Node, Tensor

PRECISIONS = ("float16", "float32", "mixed")
OVERFLOWING = (
    *("Square", "Exp", "Expm1", "Power", "Sinh", "Cosh", "Tan", "Scan", "LogSumExp", "LogAddExp", "rms_norm"),
    "masked_softmax",
    *("Log1p", "ErfInv", "ArcSinh", "ArcCosh"),
)
STATISTICS = ("layer_norm", "group_norm", "instance_norm", "Softmax", "attention")  # fp32 in "mixed" too
LONG = 2048  # terms of a sum; with more of them, fp16 loses small ones beside large ones
POSITIONAL = (
    *("Add", "Subtract", "Multiply", "Divide", "Negative", "Exp", "Power", "Sin", "Cos", "AsType", "Full"),
    *("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Transpose", "Broadcast"),
    *("Concatenate", "Slice", "Split"),
)
COMPARISONS = ("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual")
SUMS = (2, 3)  # kinds of Reduce that grow: sum, product


def floating(node: Node, precision: str) -> str:
    """The floating-point type, fp16 or fp32, in which a node computes under a precision of a conversion."""
    if precision == "float32" or node.kind in OVERFLOWING:
        return "fp32"
    if precision == "mixed" and node.kind in STATISTICS:
        return "fp32"
    if any(_beyond(tensor) for tensor in node.inputs):
        return "fp32"
    if node.kind in COMPARISONS and any(_infinite(tensor) for tensor in node.inputs):
        return "fp32"
    return "fp32" if _long(node) else "fp16"


def exact(graph: Graph) -> set[Node]:
    """Nodes that compute in fp32 because of their readers: angles and masks that are computed from inputs and
    constants by arithmetic alone, since fp16 keeps no fraction of an angle of 2048 (a position, a time step);
    and infinities that reach an output, which fp16 would replace by its largest number.
    """
    made: dict[Tensor, set[Node] | None] = {}

    def arithmetic(tensor: Tensor) -> set[Node] | None:
        node = tensor.node
        if node is None or not tensor.is_float:
            return set()
        if tensor not in made:
            parts = [arithmetic(t) for t in node.inputs] if node.kind in POSITIONAL else [None]
            made[tensor] = None if None in parts else {node}.union(*parts)
        return made[tensor]

    read = [node.output for node in graph.nodes if node.kind in ("Sin", "Cos")]
    read += [node.inputs[1] for node in graph.nodes if node.kind == "masked_softmax"]
    shown = {tensor.node for tensor in graph.outputs if tensor.node and tensor.node.kind == "Select"}
    infinite = {node for node in shown if any(map(_infinite, node.inputs))}
    return infinite.union(*filter(None, map(arithmetic, read)))


def _long(node: Node) -> bool:
    """Sums and softmax over long rows."""
    if node.kind == "mean" or (node.kind in ("Reduce", "reduce") and node.arguments[0] in SUMS):
        return node.inputs[0].size // max(node.output.size, 1) > LONG
    return node.kind == "Softmax" and node.inputs[0].shape[-1] > LONG


def _infinite(tensor: Tensor) -> bool:
    """Whether a constant holds an infinity, which in fp16 becomes the largest number."""
    return tensor.value is not None and tensor.is_float and bool(np.isinf(tensor.numpy()).any())


def _beyond(tensor: Tensor) -> bool:
    """Whether a constant holds a number beyond fp16 that is not a mask's."""
    if tensor.value is None or not tensor.is_float:
        return False
    value = np.abs(tensor.numpy())
    finite = value[np.isfinite(value) & (value < np.finfo(np.float32).max)]
    return bool(finite.size and finite.max() > FP16_LIMIT)
