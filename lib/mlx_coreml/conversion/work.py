"""How long MLX needs for a captured graph in half types, which decides whether that is waited for.

MLX 0.32 multiplies half types on a CPU without vector instructions: with packed weights 145 million products
a second for bfloat16 and 33 million for float16, where float32 does thousands.
"""

import math

from mlx_coreml.ir.graph import Graph, Node

PACKED, DENSE = 3e7, 3e8  # products a second
PRODUCTS = ("Matmul", "AddMM", "GatherMM", "QuantizedMatmul", "GatherQMM", "QQMatmul")


def half_seconds(graph: Graph) -> float:
    """The seconds, by a rough estimate, that MLX needs for a graph in half types on a CPU."""
    return sum(_seconds(node) for node in graph.nodes)


def _seconds(node: Node) -> float:
    if node.kind == "Convolution":
        weight = node.inputs[1].shape
        return node.output.size * math.prod(weight[1:]) / DENSE
    if node.kind not in PRODUCTS:
        return 0.0
    products = node.outputs[0].size * node.inputs[0].shape[-1]
    return products / (PACKED if "Q" in node.kind else DENSE)
