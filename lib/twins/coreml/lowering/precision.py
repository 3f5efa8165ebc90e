"""Where a program that computes in fp16 keeps fp32, because fp16 would overflow or lose too much.

fp16 ends at 65504: a square overflows above 255, an exponential above 11, and sums grow with their length.
"""

import numpy as np

from twins.coreml.graph import Node, Tensor
from twins.coreml.lowering.types import FP16_LIMIT

PRECISIONS = ("float16", "float32", "mixed")
OVERFLOWING = (
    *("Square", "Exp", "Expm1", "Power", "Sinh", "Cosh", "Tan", "Scan", "LogSumExp", "LogAddExp", "rms_norm"),
)
STATISTICS = (
    "layer_norm",
    "group_norm",
    "instance_norm",
    "Softmax",
    "attention",
)  # also in fp32 when "mixed"
LONG = 2048  # terms of a sum; with more of them, fp16 loses small ones beside large ones
SUMS = (2, 3)  # kinds of Reduce that grow: sum, product


def floating(node: Node, precision: str) -> str:
    """The floating-point type, fp16 or fp32, in which a node computes under a precision of a conversion."""
    if precision == "float32" or node.kind in OVERFLOWING:
        return "fp32"
    if precision == "mixed" and node.kind in STATISTICS:
        return "fp32"
    if any(_beyond(tensor) for tensor in node.inputs):
        return "fp32"
    return "fp32" if _long(node) else "fp16"


def _long(node: Node) -> bool:
    """Sums and softmax over long rows."""
    if node.kind == "Reduce" and node.arguments[0] in SUMS:
        return node.inputs[0].size // max(node.output.size, 1) > LONG
    return node.kind == "Softmax" and node.inputs[0].shape[-1] > LONG


def _beyond(tensor: Tensor) -> bool:
    """Whether a constant holds a number that fp16 has not, other than what masks use."""
    if tensor.value is None or not tensor.is_float:
        return False
    value = np.abs(tensor.numpy())
    finite = value[np.isfinite(value) & (value < np.finfo(np.float32).max)]
    return bool(finite.size and finite.max() > FP16_LIMIT)
