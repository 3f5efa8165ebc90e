"""Which inputs a node needs accurately: small ones before a division, exact ones before a comparison."""

from collections.abc import Mapping

from mlx_coreml.backends.mil.ranges.interval import SMALLEST, Range
from mlx_coreml.backends.mil.ranges.rules import JOINING, KEEPING_SMALL, MATRIX, MOVING
from mlx_coreml.ir.graph import Node, Tensor

# small results are made of small inputs
PASSING = (
    *MOVING,
    *JOINING,
    *("Gather", "gather"),
    *("Add", "Subtract", "Multiply", "Negative", "Abs", "Square", "Sqrt", "Maximum", "Minimum", "Select"),
    *("clip", "relu", "AsType", "Reduce", "reduce", "Scan", "Divide", "Expm1", "Log1p", "Sinh", "Tan"),
    *KEEPING_SMALL,
)
PRODUCTS = (*MATRIX, "conv", "conv_transpose")
# a rounded input may give another result altogether
DECIDING = (
    *("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "Floor", "Ceil", "Round"),
    *("FloorDivide", "DivMod", "Remainder", "ArgReduce", "ArgSort", "ArgPartition", "SearchSorted"),
    *("Sin", "Cos", "Tan", "top_k"),
)
VANISHING = 2.0**-25  # fp16 rounds this to 0
LARGE_FACTOR = 100.0  # what is multiplied by more had better not be small


def small(node: Node, ranges: Mapping[Tensor, Range], needed: bool) -> list[Tensor]:
    """The inputs whose small numbers matter, when those of its outputs do (`needed`), or in any case."""
    inputs = node.inputs
    if node.kind == "Log" or (node.kind == "ArcTan2") or (node.kind == "Sqrt" and inputs[0].is_float):
        return list(inputs)
    if node.kind == "Divide":
        both = needed or ranges[inputs[1]].tiny
        return list(inputs) if both else [inputs[1]]
    if node.kind == "Power":
        return inputs[:1] if needed or not _grows(ranges[inputs[1]]) else []
    if node.kind == "Multiply" and not needed:
        return [t for t, by in zip(inputs, inputs[::-1], strict=True) if ranges[by].least >= LARGE_FACTOR]
    if needed and node.kind in PRODUCTS:
        return [t for t in inputs if t.value is None and ranges[t].least < VANISHING]
    return list(inputs) if needed and node.kind in PASSING else []


def _grows(exponent: Range) -> bool:
    """Whether a power makes large numbers of large ones: a whole exponent above 0."""
    return exponent.low >= 1


def exact(node: Node, ranges: Mapping[Tensor, Range]) -> list[Tensor]:
    """The inputs that decide, or are angles or masks, and are made of the model's inputs by arithmetic alone."""
    if node.kind in DECIDING or (node.kind == "AsType" and not node.output.is_float):
        read = [t for t in node.inputs if t.is_float]
    elif node.kind == "masked_softmax":
        read = node.inputs[1:]
    elif node.kind == "Softmax":
        return _biased(node.inputs[0], ranges)
    elif node.kind in ("Add", "Subtract", "Multiply"):
        read = [t for t in node.inputs if ranges[t].hides]
    else:
        return []
    return [t for t in read if is_exact(t, ranges)]


def _biased(scores: Tensor, ranges: Mapping[Tensor, Range]) -> list[Tensor]:
    """The scores of a softmax, when what is made of inputs is added to them: it may be a mask."""
    node = scores.node
    added = node is not None and node.kind in ("Add", "Subtract")
    return [scores] if added and any(is_exact(t, ranges) for t in node.inputs) else []


def is_exact(tensor: Tensor, ranges: Mapping[Tensor, Range]) -> bool:
    """Whether exact numbers are known where a tensor is made: those of inputs, or of a mask."""
    return tensor.is_float and tensor.value is None and (ranges[tensor].given or ranges[tensor].hides)


def negligible(x: Range) -> bool:
    """Whether fp16 would round all numbers of a result, which are of no use then, not only its small ones."""
    return x.most < SMALLEST * 32
