"""Evaluates, with MLX, nodes that depend on constants only: rotary tables, causal masks, transposed weights.

These are a third of the primitives in MLX's graphs, because its exporter folds nothing.
"""

import mlx.core as mx

from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.fold import evaluate_indexing, evaluate_products  # noqa: F401 - file their rules
from mlx_coreml.passes.fold.evaluate import EVALUATE

LIMIT = 2**26  # elements; a larger result stays an operation of the model
PACKED = ("QuantizedMatmul", "GatherQMM")  # folding would unpack their weights


def fold(graph: Graph) -> dict[Tensor, Node]:
    """Replace every node whose inputs are all constants by constants; the nodes that made them."""
    kept, made = [], {}
    with mx.stream(mx.cpu):
        for node in graph.nodes:
            if _fold(node):
                made |= dict.fromkeys(node.outputs, node)
            else:
                kept.append(node)
    graph.nodes = kept
    graph.sweep()
    return made


def _fold(node: Node) -> bool:
    known = all(tensor.value is not None for tensor in node.inputs)
    rule = node.kind in EVALUATE and node.kind not in PACKED
    if not known or not rule or sum(t.size for t in node.outputs) > LIMIT:
        return False
    made = EVALUATE[node.kind](node, *(tensor.value for tensor in node.inputs))
    for tensor, value in zip(node.outputs, made if isinstance(made, list) else [made], strict=True):
        tensor.value, tensor.node = _as_promised(node, tensor, value), None
        named = [source.name for source in node.inputs if "." in source.name]
        tensor.name = named[0] if named else ".".join(filter(None, (node.path, "constant")))
    return True


def _as_promised(node: Node, tensor, value: mx.array) -> mx.array:
    if (value.shape, str(value.dtype)) != (tensor.shape, f"mlx.core.{tensor.dtype}"):
        raise ValueError(f"{node.where}: evaluated to {value.shape} {value.dtype}, captured was {tensor}")
    return value
