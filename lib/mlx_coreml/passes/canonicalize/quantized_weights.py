"""Keeps quantized weights packed: products and embeddings read them through a "dequantized" node.

MLX's affine weights are scale * q + bias with q in groups along the last axis; Core ML's are
scale * (q - offset) in the same blocks. The node takes the scales, and the offsets where they are no whole
numbers in the range of q; its argument holds q. Modes other than affine become floating-point numbers.
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
(constexpr_blockwise_shift_scale)
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, step, through

MODES = ("affine", "mxfp4", "mxfp8", "nvfp4")  # mlx/primitives.h, QuantizationMode
WHOLE = 1e-4  # how near an offset is to a whole number that it counts as one
LINEAR_RANK = 4
Tables = dict[tuple, Tensor]


@dataclass(frozen=True, eq=False)
class Packed:
    """Whole numbers of up to `bits` bits, and one whole offset per block, or none."""

    data: np.ndarray
    bits: int
    offset: np.ndarray | None

    def __str__(self) -> str:
        return f"uint{self.bits}{list(self.data.shape)}"


def rewrite_quantized(graph: Graph) -> None:
    """Products with quantized constants, and rows looked up in them, read dequantized tensors."""
    made: Tables = {}
    rewrite(graph, {"QuantizedMatmul": [partial(_product, made)], "GatherQMM": [partial(_experts, made)]})


def _product(made: Tables, node: Node) -> list[Node] | None:
    """x times a constant, or the rows of one: what our stand-in for mx.dequantize multiplies by one."""
    group, bits, mode, transpose = node.unpack(4)
    x, *packed = node.inputs
    if all(tensor.value is not None for tensor in packed):
        before, weight = _weight(made, node, packed, group, bits, mode)
        return before + _times(node, x, weight, transpose)
    if transpose or not _is_one(x):
        return None
    looked_up = [_looked_up(tensor) for tensor in packed]
    if None in looked_up or any(index is not looked_up[0][1] for _, index in looked_up):
        return None
    before, table = _weight(made, node, [tensor for tensor, _ in looked_up], group, bits, mode)
    index = looked_up[0][1]
    labels = [*range(-index.rank, 0), 1]
    rows = step(node, "gather", [table, index], (*index.shape, table.shape[1]), [0], labels)
    return [*before, rows, replaced(node, "Reshape", [rows.output], node.output.shape)]


def _experts(made: Tables, node: Node) -> list[Node] | None:
    """Products with constant matrices picked by index."""
    group, bits, mode, transpose, *_ = node.unpack(6)
    x, *packed, left, right = node.inputs
    if any(tensor.value is None for tensor in packed):
        return None
    before, weight = _weight(made, node, packed, group, bits, mode)
    return [*before, replaced(node, "gather_mm", [x, weight, left, right], transpose)]


def _times(node: Node, x: Tensor, weight: Tensor, transpose: bool) -> list[Node]:
    if not transpose and _is_one(x):
        return [replaced(node, "Reshape", [weight], node.output.shape)]
    if transpose and weight.rank == 2 and x.rank <= LINEAR_RANK:
        return [replaced(node, "linear", [x, weight])]
    return [replaced(node, "matmul", [x, weight], False, transpose)]


def _is_one(x: Tensor) -> bool:
    """Whether every element is the number one, and the last two axes are of length one."""
    x, shape = through(x, "Broadcast"), x.shape
    return shape[-2:] == (1, 1) and x.value is not None and bool((x.numpy() == 1).all())


def _looked_up(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """The constant table and the index, when a tensor is rows of a table with an axis of length one."""
    gather = made_by(through(tensor, "ExpandDims"), "gather")
    if gather is None or gather.inputs[0].value is None or gather.inputs[0].rank != 2:
        return None
    table, index = gather.inputs
    return (table, index) if gather.arguments == ([0], [*range(-index.rank, 0), 1]) else None


def _weight(
    made: Tables, node: Node, packed: Sequence[Tensor], group: int, bits: int, mode: int
) -> tuple[list[Node], Tensor]:
    """The dequantized tensor of constants, and the node that makes it where it is met first."""
    key = tuple(id(tensor.value) for tensor in packed)
    if key in made:
        return [], made[key]
    weight = _affine(node, packed, bits) if MODES[mode] == "affine" else None
    made[key] = weight or _plain(node, packed, group, bits, MODES[mode])
    return [weight.node] if weight else [], made[key]


def _affine(node: Node, packed: Sequence[Tensor], bits: int) -> Tensor | None:
    """The result of a node with the packed numbers; None where an offset is beyond fp16, as in a block of one
    value: its scale is zero or tiny.
    """
    w, scales, biases = packed
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = -biases.numpy().astype(np.float32) / scales.numpy()
    if not (np.abs(offset) <= np.finfo(np.float16).max).all():  # nor nan
        return None
    data, wide, whole = unpacked(w.value, bits), 4 if bits <= 4 else 8, np.rint(offset)
    fits = (np.abs(offset - whole) < WHOLE) & (whole >= 0) & (whole < 1 << wide)
    held = Packed(data, wide, whole.astype(np.uint8) if fits.all() else None)
    inputs = [scales] if fits.all() else [scales, constant(offset, f"{w.name}.offset")]
    made = Tensor(w.name, data.shape, scales.dtype)
    return Node("dequantized", inputs, [made], (held,), node.path).output


def unpacked(w: mx.array, bits: int) -> np.ndarray:
    """The whole numbers of a packed array, which is a stream of bits, lowest first, along the last axis."""
    stream = np.array(w).view(np.uint8)
    if bits == 8:
        return stream
    if bits == 4:
        return np.stack([stream & 15, stream >> 4], axis=-1).reshape(*stream.shape[:-1], -1)
    parts = np.unpackbits(stream, axis=-1, bitorder="little").reshape(*stream.shape[:-1], -1, bits)
    return parts @ (1 << np.arange(bits)).astype(np.uint8)


def _plain(node: Node, packed: Sequence[Tensor], group: int, bits: int, mode: str) -> Tensor:
    w, scales, *biases = (tensor.value for tensor in packed)
    warnings.warn(
        f"{node.where}: weights of {bits} bits in mode {mode} are stored as plain numbers, "
        "Core ML cannot hold them packed",
        stacklevel=2,
    )
    made = mx.dequantize(w, scales, *biases, group_size=group, bits=bits, mode=mode, stream=mx.cpu)
    return constant(made, packed[0].name)
