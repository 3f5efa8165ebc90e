"""Fuses the shuffles between channels and space, which MLX writes as a reshape, a transpose and a reshape.

Shi et al. 2016, sub-pixel convolution: https://arxiv.org/abs/1609.05158
"""

from mlx_coreml.ir.graph import Graph, Node
from mlx_coreml.passes.layout.channels import channels_first
from mlx_coreml.passes.rewriting.rewrite import made_by, rewrite

RESHAPES = ("Reshape", "Flatten", "Unflatten")
# (N, H, W, ...) split in six and its order, by the MIL operation on channels-first tensors.
UP = {(0, 1, 4, 2, 5, 3): "pixel_shuffle", (0, 1, 3, 2, 4, 5): "depth_to_space"}
DOWN = {(0, 1, 3, 5, 2, 4): "pixel_unshuffle", (0, 1, 3, 2, 4, 5): "space_to_depth"}


def fuse_shuffles(graph: Graph) -> None:
    """Make them "pixel_shuffle", "depth_to_space" or their inverses, with the factor as argument."""
    rewrite(graph, {kind: [_shuffle] for kind in RESHAPES})


def _shuffle(node: Node) -> list[Node] | None:
    turned = made_by(node.inputs[0], "Transpose")
    split = made_by(turned.inputs[0], *RESHAPES) if turned else None
    source = split.inputs[0] if split else None
    if (
        source is None
        or (source.rank, split.output.rank, node.output.rank) != (4, 6, 4)
        or not source.is_float
    ):
        return None
    N, H, W, C = source.shape
    order, six = tuple(turned.unpack(1)[0]), split.output.shape
    found = None
    if order in UP:
        r = six[4]
        parts = (C // r**2, r, r) if UP[order] == "pixel_shuffle" else (r, r, C // r**2)
        found = UP[order], six == (N, H, W, *parts), (N, H * r, W * r, C // r**2)
    if order in DOWN and not (found and found[1]):
        r = six[2]
        found = DOWN[order], six == (N, H // r, r, W // r, r, C), (N, H // r, W // r, C * r**2)
    if found is None or not found[1] or found[2] != node.output.shape or r == 1:
        return None
    return channels_first(node, found[0], [source], node.output.shape, r)
