"""Finds the nodes whose values may exceed fp16 although their inputs do not; they are computed in fp32.

A square may exceed it, and so may the mean of squares; the root of that mean does not. Everything between
the two is computed in fp32. Products and convolutions use fp16 again, because they need its speed.
"""

from mlx_coreml.ir.graph import Graph, Node, Tensor

PRODUCT = 3  # mlx/primitives.h, Reduce::ReduceType
SOURCES = ("Square", "Exp", "Expm1", "Power", "Sinh", "Cosh", "Scan")
CARRYING = (
    *("Add", "Subtract", "Multiply", "Negative", "Abs", "Maximum", "Minimum", "Select", "clip", "Remainder"),
    *("Floor", "Ceil", "Round", "FloorDivide", "DivMod", "AsType", "identity", "Reduce", "reduce", "mean"),
    *("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Transpose", "Broadcast", "Full"),
    *("Concatenate", "Slice", "Split", "Square"),
)
ENDING = (
    *("Divide", "Sqrt", "Log", "Log1p", "LogSumExp", "Sigmoid", "Tanh", "Softmax", "Sin", "Cos", "Sign"),
    *("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"),
)
# before a log
TINY = ("Softmax", "Sigmoid", "Divide", "Maximum", "Minimum", "clip", "Add", "Exp", "Multiply")
SHRINKING = ("Softmax", "Sigmoid", "Divide", "Exp")
MASKED = 1e30  # a mask's lowest number, -inf or nearly


def beyond(graph: Graph) -> set[Node]:
    """The nodes that compute in fp32 because a value they read may be too large, or too small, for fp16."""
    wide: set[Tensor] = set()
    found: set[Node] = set()
    for node in graph.nodes:
        reads = any(tensor in wide for tensor in node.inputs)
        grows = _grows(node) or _masks(node)
        if grows or (reads and node.kind in (*CARRYING, *ENDING)):
            found.add(node)
        if grows or (reads and _carries(node, wide)):
            wide.update(tensor for tensor in node.outputs if tensor.is_float)
        if node.kind == "Log":
            found |= _small(node)
    return found


def _small(log: Node) -> set[Node]:
    """A logarithm and the nodes before it that make its input small; empty if there are none."""
    found, node = {log}, log.inputs[0].node
    while node is not None and node.kind in TINY:
        found.add(node)
        node = None if node.kind in SHRINKING else node.inputs[0].node
    return found if len(found) > 1 else set()


def _carries(node: Node, wide: set[Tensor]) -> bool:
    """Whether the result may be as large as the inputs; the quotient of two large numbers is not."""
    if node.kind == "Divide":
        return node.inputs[0] in wide and node.inputs[1].value is not None
    return node.kind in CARRYING


def _grows(node: Node) -> bool:
    """Whether a node makes large numbers: powers, exponentials, and casts of integers, which exceed fp16."""
    if node.kind == "Multiply":
        return node.inputs[0] is node.inputs[1]
    counts = node.kind == "AsType" and node.output.is_float and "int" in node.inputs[0].dtype
    if node.kind in ("Reduce", "reduce"):
        return node.arguments[0] == PRODUCT
    return counts or node.kind in SOURCES


def _masks(node: Node) -> bool:
    """Whether a node adds a mask: in fp16, a row that is masked as a whole would lose its differences."""
    return node.kind == "Add" and any(_hides(tensor) for tensor in node.inputs)


def _hides(tensor: Tensor) -> bool:
    if tensor.value is None or not tensor.is_float or not tensor.size:
        return False
    return float(tensor.numpy().min()) < -MASKED
