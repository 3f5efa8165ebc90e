"""Channels-first operations in a channels-last graph: images are (N, C, H, W) in MIL, (N, H, W, C) in MLX."""

from collections.abc import Sequence

from mlx_coreml.ir.graph import Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import replaced, step

KINDS = ("conv", "conv_transpose", "max_pool", "avg_pool", "upsample_nearest", "resize_linear")
KINDS += ("pixel_shuffle", "pixel_unshuffle", "depth_to_space", "space_to_depth")
KINDS += ("instance_norm", "group_norm")


def to_first(rank: int) -> list[int]:
    """The order of axes that brings the last one to place 1."""
    return [0, rank - 1, *range(1, rank - 1)]


def to_last(rank: int) -> list[int]:
    """The order of axes that brings axis 1 to the end."""
    return [0, *range(2, rank), 1]


def permuted(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """A shape in another order."""
    return tuple(shape[i] for i in order)


def moved(node: Node, x: Tensor, order: Sequence[int]) -> Node:
    """A Transpose of a tensor on the way to what `node` makes."""
    return step(node, "Transpose", [x], permuted(x.shape, order), list(order))


def channels_first(
    node: Node, kind: str, inputs: list[Tensor], shape: Sequence[int], *arguments
) -> list[Node]:
    """A node as a channels-first one between two transposes; its input and `shape` are channels-last."""
    rank = len(shape)
    first = moved(node, inputs[0], to_first(rank))
    core = step(node, kind, [first.output, *inputs[1:]], permuted(shape, to_first(rank)), *arguments)
    return [first, core, replaced(node, "Transpose", [core.output], to_last(rank))]
