"""Fuses linear layers, x @ weight.T + bias, which MLX captures as products with flattened rows.

A linear node takes (x, weight (out, in)[, bias (out)]); a matmul node takes (a, b), with the last two axes of
either transposed by its two arguments.
"""

from collections import Counter
from functools import partial

import mlx.core as mx

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import RESHAPES, made_by, readers, replaced, rewrite, step

RANK_LIMIT = 4  # of MIL's linear in Apple's own tests; its documentation says 3


def fuse_linear(graph: Graph) -> None:
    """Replace products with a constant matrix by linear nodes, and fold transposes into other products."""
    rows: dict[Tensor, Tensor] = {}  # one for all readers of a matrix
    rewrite(graph, {"Matmul": [partial(_product, rows)], "AddMM": [partial(_product_and_bias, rows)]})
    rewrite(graph, {"Add": [partial(_bias, graph.uses())]})
    rewrite(graph, {"linear": [partial(_sink_reshape, readers(graph))]})
    rewrite(graph, {"Matmul": [_transposed_product]})


def _product(rows: dict[Tensor, Tensor], node: Node) -> list[Node] | None:
    x, matrix = node.inputs
    if not _fits(x, matrix):
        return None
    return [replaced(node, "linear", [x, _rows(rows, matrix)])]


def _product_and_bias(rows: dict[Tensor, Tensor], node: Node) -> list[Node] | None:
    """a @ b + c, where c is one row; otherwise the sum stays an addition."""
    x, matrix, c = node.inputs
    if node.unpack(2) != (1.0, 1.0) or not _fits(x, matrix):
        return None
    weight = _rows(rows, matrix)
    bias = _row(c, weight.shape[0])
    if bias is not None:
        return [replaced(node, "linear", [x, weight, bias])]
    product = step(node, "linear", [x, weight], (*x.shape[:-1], weight.shape[0]))
    return [product, replaced(node, "Add", [product.output, c])]


def _bias(uses: Counter, node: Node) -> list[Node] | None:
    """A constant row added to a product."""
    for x, c in (node.inputs, node.inputs[::-1]):
        product = made_by(x, "linear")
        if product is None or len(product.inputs) > 2 or uses[x] > 1 or x.shape != node.output.shape:
            continue
        bias = _row(c, x.shape[-1])
        if bias is not None:
            return [replaced(node, "linear", [*product.inputs, bias])]
    return None


def _sink_reshape(reads: dict[Tensor, list[Node]], node: Node) -> list[Node] | None:
    """A reshape of the rows before a product, moved behind it, where it meets another one."""
    before, (x, weight, *bias) = made_by(node.inputs[0], *RESHAPES), node.inputs
    if before is None or before.inputs[0].shape[-1:] != x.shape[-1:] or before.inputs[0].rank > RANK_LIMIT:
        return None
    met = reads.get(node.output, [])
    if not met or any(reader.kind not in RESHAPES for reader in met):
        return None
    rows = before.inputs[0]
    product = step(node, "linear", [rows, weight, *bias], (*rows.shape[:-1], weight.shape[0]))
    return [product, replaced(node, "Reshape", [product.output], node.output.shape)]


def _transposed_product(node: Node) -> list[Node] | None:
    """Transposes of the last two axes of either operand, as flags."""
    befores = [_before_transpose(tensor) for tensor in node.inputs]
    if befores == [None, None]:
        return None
    inputs = [before or tensor for before, tensor in zip(befores, node.inputs, strict=True)]
    return [replaced(node, "matmul", inputs, *(before is not None for before in befores))]


def _before_transpose(tensor: Tensor) -> Tensor | None:
    node = made_by(tensor, "Transpose")
    rank = tensor.rank
    last_two = [*range(rank - 2), rank - 1, rank - 2]
    return node.inputs[0] if node is not None and list(node.arguments[0]) == last_two else None


def _fits(x: Tensor, matrix: Tensor) -> bool:
    """Whether MIL's linear can multiply x by a constant matrix."""
    return matrix.value is not None and matrix.rank == 2 and x.is_float and x.rank <= RANK_LIMIT


def _rows(rows: dict[Tensor, Tensor], matrix: Tensor) -> Tensor:
    """A constant matrix transposed, without a copy."""
    if matrix not in rows:
        rows[matrix] = constant(mx.transpose(matrix.value), matrix.name)
    return rows[matrix]


def _row(tensor: Tensor, size: int) -> Tensor | None:
    """A constant that adds the same numbers to every row, as a vector."""
    if tensor.value is None or tensor.size not in (1, size) or tensor.shape[-1:] not in ((), (1,), (size,)):
        return None
    row = tensor.value.reshape(-1)
    return constant(mx.broadcast_to(row, (size,)), tensor.name)
