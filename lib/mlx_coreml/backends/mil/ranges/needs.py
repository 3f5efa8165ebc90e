"""Which inputs a node needs accurately: small ones before a division, exact ones before a comparison."""

from collections.abc import Mapping

from mlx_coreml.backends.mil.ranges.interval import SMALLEST, USUAL, Range
from mlx_coreml.backends.mil.ranges.rules import JOINING, KEEPING_SMALL, MOVING, NOTABLE, PRODUCTS
from mlx_coreml.ir.graph import Node, Tensor

# small results are made of small inputs
PASSING = (
    *MOVING,
    *JOINING,
    *("Gather", "gather", "top_k", "Scatter", "scatter", "ScatterAxis"),
    *("Add", "Subtract", "Multiply", "Negative", "Abs", "Square", "Sqrt", "Maximum", "Minimum", "Select"),
    *("clip", "relu", "AsType", "Reduce", "reduce", "Scan", "Divide", "Expm1", "Log1p", "Sinh", "Tan"),
    *KEEPING_SMALL,
)
# an input that is rounded by a small part of itself may give another result altogether
DECIDING = (
    *("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "Floor", "Ceil", "Round"),
    *("FloorDivide", "DivMod", "Remainder", "ArgReduce", "ArgSort", "ArgPartition", "SearchSorted"),
    *("Sin", "Cos", "Tan", "Exp", "Softmax", "top_k", "layer_norm", "group_norm", "instance_norm"),
)
SCALING = ("Add", "Subtract", "Multiply", "Divide", "batch_norm")
NEAR_ONE = ("ArcTanh", "ArcCos", "ArcSin", "ArcCosh", "ErfInv")  # a little below 1 is not 1
LARGE_FACTOR = 100.0  # what is multiplied by more had better not be small


def small(node: Node, ranges: Mapping[Tensor, Range], needed: bool) -> list[Tensor]:
    """The inputs whose small numbers matter, when those of its outputs do (`needed`), or in any case."""
    inputs = node.inputs
    if node.kind == "Log" or (node.kind == "ArcTan2") or (node.kind == "Sqrt" and inputs[0].is_float):
        return list(inputs)
    if node.kind == "Divide":
        both = needed or ranges[inputs[1]].tiny or ranges[inputs[1]].most < 1 / LARGE_FACTOR
        return list(inputs) if both else [inputs[1]]
    if node.kind == "batch_norm":
        return inputs[:1] if needed or ranges[inputs[1]].most >= LARGE_FACTOR else []
    if node.kind == "Power":
        return inputs[:1] if needed or not _grows(ranges[inputs[1]]) else []
    if node.kind == "Multiply" and not needed:
        return [t for t, by in zip(inputs, inputs[::-1], strict=True) if ranges[by].least >= LARGE_FACTOR]
    if needed and node.kind in PRODUCTS:
        return [t for t in inputs if t.value is None] if ranges[node.output].tiny else []
    return list(inputs) if needed and node.kind in PASSING else []


def _grows(exponent: Range) -> bool:
    """Whether a power makes large numbers of large ones: a whole exponent above 0."""
    return exponent.low >= 1


def exact(node: Node, ranges: Mapping[Tensor, Range]) -> list[Tensor]:
    """The inputs that decide, or are angles or masks, and are made of the model's inputs by arithmetic alone;
    those that are next to 1, whatever made them.
    """
    if node.kind in NEAR_ONE:
        return list(node.inputs)
    made = [t for t in node.inputs if is_exact(t, ranges)]
    given = [t for t in made if ranges[t].given]
    if node.kind in DECIDING or (node.kind == "AsType" and not node.output.is_float):
        return given or _biased(node, ranges)
    if node.kind == "masked_softmax":
        return [t for t in made if t is node.inputs[1]]
    if node.kind == "Subtract" and len(given) == len(node.inputs):  # a difference of what is about equal
        return given
    if node.kind in SCALING and _scales_input(node, ranges):  # the input may be beyond fp16
        return given
    return [t for t in made if ranges[t].hides] if node.kind in SCALING else []


def _scales_input(node: Node, ranges: Mapping[Tensor, Range]) -> bool:
    """Whether an input of the model, perhaps in another layout, meets constants alone: factors, or a number
    that it is about as large as.
    """
    (moved, *others) = [t for t in node.inputs if t.value is None] or node.inputs
    while moved.node is not None and moved.node.kind in MOVING:
        moved = moved.node.inputs[0]
    if moved.node is not None or moved.value is not None or others:
        return False
    shifted = node.kind in ("Add", "Subtract")
    return not shifted or any(t.value is not None and ranges[t].most > USUAL for t in node.inputs)


def _biased(softmax: Node, ranges: Mapping[Tensor, Range]) -> list[Tensor]:
    """The scores of a softmax, when what is made of inputs is added to them: it may be a mask."""
    node = softmax.inputs[0].node
    added = softmax.kind == "Softmax" and node is not None and node.kind in ("Add", "Subtract")
    return softmax.inputs if added and any(is_exact(t, ranges) for t in node.inputs) else []


def cancelling(node: Node, ranges: Mapping[Tensor, Range]) -> list[Tensor]:
    """What a node takes from a constant that it is at most as large as: 1 - p."""
    known = [t.value is not None and ranges[t].most > NOTABLE for t in node.inputs]
    if node.kind not in ("Add", "Subtract") or not any(known):
        return []
    made = ranges[node.output]
    return [t for t in node.inputs if t.value is None] if not made.low < 0 < made.high else []


def is_fraction(tensor: Tensor, ranges: Mapping[Tensor, Range]) -> bool:
    """Whether a tensor that is computed lies between -1 and 1."""
    return tensor.is_float and tensor.value is None and ranges[tensor].most <= 1


def is_exact(tensor: Tensor, ranges: Mapping[Tensor, Range]) -> bool:
    """Whether exact numbers are known where a tensor is made: those of inputs, or of a mask."""
    return tensor.is_float and tensor.value is None and (ranges[tensor].given or ranges[tensor].hides)


def negligible(x: Range) -> bool:
    """Whether fp16 would round all numbers of a result, which are of no use then, not only its small ones."""
    return x.most < SMALLEST * 32
