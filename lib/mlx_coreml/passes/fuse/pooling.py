"""Fuses pooling and means from the windows that MLX lays out and reduces.

mlx.nn's pools reshape and transpose where windows do not overlap, else pad, flatten and stride; both make
twice as many axes as the image has, more than Core ML's five.
https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.MaxPool2d.html
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.layout.channels import channels_first
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, scalar, step, with_scalar

SUM, MAXIMUM = 2, 5  # mlx/primitives.h, Reduce::ReduceType
FILL = {SUM: 0.0, MAXIMUM: -math.inf}
NAMES = {SUM: "avg_pool", MAXIMUM: "max_pool"}


@dataclass(frozen=True)
class Windows:
    """Windows of a channels-last tensor: size, stride, and pairs of padding per spatial axis."""

    source: Tensor
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]


def fuse_pooling(graph: Graph) -> None:
    """Make reduced windows a "max_pool" or an "avg_pool", channels-first."""
    rewrite(graph, {"Squeeze": [_pool, _strided]})
    rewrite(graph, {"Multiply": [_unscaled]})


def fuse_means(graph: Graph) -> None:
    """Make a sum times one over its terms a "mean" (whether its axes stay as 1, axes), and a reduction that
    drops its axes a "reduce" (as Reduce); after norms are fused.
    """
    rewrite(graph, {"Multiply": [_mean]})
    rewrite(graph, {"Squeeze": [partial(_dropped, graph.uses())]})


def _pool(node: Node) -> list[Node] | None:
    """Squeeze of Reduce of windows; a sum is the average times the size of the window."""
    reduce = made_by(node.inputs[0], "Reduce")
    if reduce is None or not node.output.is_float:
        return None
    (kind, axes), (squeezed,) = reduce.unpack(2), node.unpack(1)
    found = _windows(reduce.inputs[0], squeezed)
    if found is None or kind not in NAMES or not set(axes) <= set(squeezed):
        return None
    found = _padded(found, kind)
    shape = node.output.shape
    arguments = (list(found.kernel), list(found.strides), list(found.pads))
    if kind == MAXIMUM:
        return channels_first(node, "max_pool", [found.source], shape, *arguments)
    pooled = step(node, "avg_pool", [], shape)
    steps = channels_first(pooled, "avg_pool", [found.source], shape, *arguments)
    size = constant(np.float32(math.prod(found.kernel)))
    return [*steps, replaced(node, "Multiply", [pooled.output, size])]


def _strided(node: Node) -> list[Node] | None:
    """Windows of one element, which are not reduced, are a slice."""
    found = _windows(node.inputs[0], node.unpack(1)[0])
    if found is None or math.prod(found.kernel) > 1:
        return None
    rank, shape = found.source.rank, found.source.shape
    return [replaced(node, "Slice", [found.source], (0,) * rank, shape, (1, *found.strides, 1))]


def _unscaled(node: Node) -> list[Node] | None:
    """An average times the size of its window times one over it is the average."""
    outer = with_scalar(node)
    inner = made_by(outer[0], "Multiply") if outer else None
    found = with_scalar(inner) if inner else None
    if found is None or not math.isclose(outer[1] * found[1], 1, rel_tol=1e-6):
        return None
    last = made_by(found[0], "Transpose")
    if last is None or made_by(last.inputs[0], "avg_pool") is None:
        return None
    return [replaced(node, "Transpose", last.inputs, *last.arguments)]


def _windows(x: Tensor, axes: list[int]) -> Windows | None:
    """The windows that a tensor (N, places ..., window ..., C) holds, when `axes` are those of the window."""
    spatial = len(axes)
    if list(axes) != list(range(spatial + 1, 2 * spatial + 1)) or x.rank != 2 * spatial + 2:
        return None
    return _overlapping(x, spatial) or _tiled(x, spatial)


def _overlapping(x: Tensor, spatial: int) -> Windows | None:
    """AsStrided of a flattened image."""
    node = made_by(x, "AsStrided")
    flat = made_by(node.inputs[0], "Flatten", "Reshape") if node else None
    source = flat.inputs[0] if flat else None
    if source is None or source.rank != spatial + 2:
        return None
    shape, strides, offset = node.unpack(3)
    steps = [math.prod(source.shape[i + 1 :]) for i in range(source.rank)]
    places, kernel = shape[1 : spatial + 1], shape[spatial + 1 : -1]
    jumps, rests = zip(*map(divmod, strides[1 : spatial + 1], steps[1:-1]), strict=True)
    inside = all(
        (n - 1) * s + k <= size
        for n, s, k, size in zip(places, jumps, kernel, source.shape[1:-1], strict=True)
    )
    expected = (steps[0], *strides[1 : spatial + 1], *steps[1:])
    same = tuple(strides) == expected and (shape[0], shape[-1]) == (source.shape[0], source.shape[-1])
    if any(rests) or 0 in jumps or not inside or not same or offset:
        return None
    # A pool makes as many windows as fit; what MLX strides over fewer places is cut from the image.
    full = tuple((size - k) // s + 1 for size, k, s in zip(source.shape[1:-1], kernel, jumps, strict=True))
    return Windows(source, tuple(kernel), jumps, (0,) * 2 * spatial) if full == tuple(places) else None


def _tiled(x: Tensor, spatial: int) -> Windows | None:
    """Transpose of a reshaped image; one spatial axis needs none."""
    last = 2 * spatial + 1
    order = [0, *range(1, last, 2), *range(2, last, 2), last]
    turned = made_by(x, "Transpose")
    if (list(turned.unpack(1)[0]) if turned else sorted(order)) != order:
        return None
    split = made_by(turned.inputs[0] if turned else x, "Reshape", "Unflatten")
    source = split.inputs[0] if split else None
    if source is None or source.rank != spatial + 2:
        return None
    shape = split.output.shape
    kernel = shape[2:last:2]
    whole = (shape[0], *(n * k for n, k in zip(shape[1:last:2], kernel, strict=True)), shape[-1])
    return Windows(source, kernel, kernel, (0,) * 2 * spatial) if whole == source.shape else None


def _padded(found: Windows, kind: int) -> Windows:
    """With the padding before it folded in, where it fills as MIL's pool does and is less than a window."""
    pad = made_by(found.source, "Pad")
    if pad is None or scalar(pad.inputs[1]) != FILL[kind]:
        return found
    widths = {axis: (low, high) for axis, low, high in zip(*pad.unpack(3), strict=True)}
    sides = [widths.get(axis, (0, 0)) for axis in range(found.source.rank)]
    wide = any(max(s) >= k for s, k in zip(sides[1:-1], found.kernel, strict=True))
    if wide or any(sides[0]) or any(sides[-1]):
        return found
    return Windows(pad.inputs[0], found.kernel, found.strides, tuple(p for pair in sides[1:-1] for p in pair))


def _mean(node: Node) -> list[Node] | None:
    """A sum over axes times one over the number of its terms; a Squeeze may lie between."""
    found = with_scalar(node)
    if found is None or not node.output.is_float:
        return None
    squeeze = made_by(found[0], "Squeeze")
    reduce = made_by(squeeze.inputs[0] if squeeze else found[0], "Reduce")
    if reduce is None or reduce.arguments[0] != SUM:
        return None
    (x,), axes = reduce.inputs, reduce.unpack(2)[1]
    count = math.prod(x.shape[a] for a in axes)
    dropped = squeeze.unpack(1)[0] if squeeze else []
    if not math.isclose(found[1] * count, 1, rel_tol=1e-6) or (squeeze and list(dropped) != list(axes)):
        return None
    return [replaced(node, "mean", [x], squeeze is None, list(axes))]


def _dropped(uses: Counter, node: Node) -> list[Node] | None:
    """A Reduce whose axes are squeezed out, all of them."""
    reduce = made_by(node.inputs[0], "Reduce")
    if reduce is None or uses[reduce.output] > 1 or list(reduce.arguments[1]) != list(node.unpack(1)[0]):
        return None
    return [replaced(node, "reduce", reduce.inputs, *reduce.unpack(2))]
